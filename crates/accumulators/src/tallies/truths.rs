//! Whether each group met something true, and something false: what `any` and `all` read.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, ArrayRef, BooleanArray, UInt8Array};
use arrow_schema::{DataType, Field};
use dataflow_core::accumulator::{Accepted, Call, CallProblem, OrderClass, Reading};
use dataflow_core::{Accumulator, Error, Groups, Places, Result};

use crate::states::options::{Options, unfit};
use crate::states::plan::Plan;

const FALSE: u8 = 1;
const TRUE: u8 = 2;

/// Checks a call of `any` or `all`.
pub(crate) fn accept(
    call: &Call,
    what: &'static str,
    usage: &'static str,
) -> Result<Accepted, CallProblem> {
    let options = Options::of(call, 1, usage)?;
    let data_type = options.column(0);
    options.end()?;
    if !matches!(data_type, DataType::Boolean | DataType::Null) {
        let help = format!("write a condition, such as `{what}(x > 0)`");
        return Err(unfit(&data_type, "what is true or false", &help));
    }
    let plan = Plan {
        state: "truths".to_owned(),
        reading: Reading::of(what),
        output: DataType::Boolean,
        fields: vec![Field::new("met", DataType::UInt8, false)],
        order: OrderClass::Any,
        make: Arc::new(|| Box::new(Truths::default())),
    };
    Ok(plan.accept(vec![DataType::Boolean]))
}

#[derive(Default)]
struct Truths {
    met: Vec<u8>,
}

impl Accumulator for Truths {
    fn resize(&mut self, groups: usize) {
        self.met.resize(groups.max(self.met.len()), 0);
    }

    fn update(&mut self, groups: Groups<'_>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        let column = columns[0].as_boolean();
        let valid = column.len() - column.null_count();
        match groups {
            Groups::One => {
                let met_true = column.true_count();
                self.met[0] |= if met_true > 0 { TRUE } else { 0 };
                self.met[0] |= if met_true < valid { FALSE } else { 0 };
            }
            Groups::Each(groups) if valid == column.len() => {
                for (group, truth) in groups.iter().zip(column.values()) {
                    self.met[*group as usize] |= FALSE << u8::from(truth);
                }
            }
            Groups::Each(groups) => {
                for (group, truth) in groups.iter().zip(column) {
                    let met = truth.map_or(0, |truth| FALSE << u8::from(truth));
                    self.met[*group as usize] |= met;
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let column = state.first();
        let column = column.and_then(|column| column.as_primitive_opt::<UInt8Type>());
        let foreign = || Error::internal("these are not the states of this accumulator");
        for (group, met) in groups.iter().zip(column.ok_or_else(foreign)?.values()) {
            self.met[*group as usize] |= met & (TRUE | FALSE);
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let met = groups.iter().map(|group| self.met[*group as usize]);
        Ok(vec![Arc::new(met.collect::<UInt8Array>())])
    }

    fn value(&self, reading: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        let values = groups.iter().map(|group| match self.met[*group as usize] {
            0 => None,
            met if reading.what == "any" => Some(met & TRUE != 0),
            met => Some(met & FALSE == 0),
        });
        Ok(Arc::new(values.collect::<BooleanArray>()))
    }

    fn bytes(&self) -> usize {
        self.met.capacity()
    }

    fn clear(&mut self) {
        self.met = Vec::new();
    }
}
