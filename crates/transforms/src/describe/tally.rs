//! Counting values, nulls and NaN of a column, and leaving NaN out.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array};
use arrow_schema::{DataType, Field, FieldRef};
use dataflow_core::accumulator::Reading;
use dataflow_core::{Accumulator, AccumulatorPlan, Error, Groups, Places, Result};

/// The column with null for NaN. Costs one look at the values where there is none.
pub(super) fn without_nan(array: &ArrayRef) -> Result<ArrayRef> {
    if nan_count(array) == 0 {
        return Ok(Arc::clone(array));
    }
    let is_nan: BooleanArray = match array.data_type() {
        DataType::Float32 => array
            .as_primitive::<Float32Type>()
            .values()
            .iter()
            .map(|x| Some(x.is_nan()))
            .collect(),
        _ => array
            .as_primitive::<Float64Type>()
            .values()
            .iter()
            .map(|x| Some(x.is_nan()))
            .collect(),
    };
    let numbers = arrow_buffer::NullBuffer::new(!is_nan.values());
    let nulls = arrow_buffer::NullBuffer::union(array.nulls(), Some(&numbers));
    Ok(arrow_array::make_array(
        array.to_data().into_builder().nulls(nulls).build()?,
    ))
}

fn nan_count(array: &ArrayRef) -> usize {
    let valid = |row: usize| array.is_valid(row);
    match array.data_type() {
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().values();
            let any = values.iter().filter(|x| x.is_nan()).count();
            if any == 0 || array.null_count() == 0 {
                any
            } else {
                values
                    .iter()
                    .enumerate()
                    .filter(|(row, x)| x.is_nan() && valid(*row))
                    .count()
            }
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>().values();
            values
                .iter()
                .enumerate()
                .filter(|(row, x)| x.is_nan() && valid(*row))
                .count()
        }
        _ => 0,
    }
}

/// Counts values, nulls and NaN of a column of any type.
#[derive(Debug)]
pub(super) struct Tally(pub(super) &'static str);

impl AccumulatorPlan for Tally {
    fn output(&self) -> FieldRef {
        Arc::new(Field::new(self.0, DataType::Int64, false))
    }

    fn state(&self) -> String {
        "describe: count, nulls, nan".into()
    }

    fn reading(&self) -> Reading {
        Reading::of(self.0)
    }

    fn state_fields(&self) -> Vec<Field> {
        ["count", "nulls", "nan"]
            .map(|name| Field::new(name, DataType::Int64, false))
            .into()
    }

    fn make(&self) -> Box<dyn Accumulator> {
        Box::new(Tallies::default())
    }
}

/// For each group: values, nulls, NaN.
#[derive(Default)]
struct Tallies(Vec<[i64; 3]>);

impl Accumulator for Tallies {
    fn resize(&mut self, groups: usize) {
        self.0.resize(groups, [0; 3]);
    }

    fn update(&mut self, groups: Groups<'_>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        let Groups::One = groups else {
            return Err(Error::internal("columns are described as a whole"));
        };
        let column = &columns[0];
        // A column of type null counts none of its nulls itself.
        let nulls = column.logical_null_count();
        let counts = [column.len() - nulls, nulls, nan_count(column)];
        for (sum, count) in self.0[0].iter_mut().zip(counts) {
            *sum += count as i64;
        }
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        for (at, counts) in state.iter().enumerate() {
            let counts = counts.as_primitive::<Int64Type>().values();
            for (group, count) in groups.iter().zip(counts) {
                self.0[*group as usize][at] += count;
            }
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let column = |at: usize| -> ArrayRef {
            Arc::new(
                groups
                    .iter()
                    .map(|g| Some(self.0[*g as usize][at]))
                    .collect::<Int64Array>(),
            )
        };
        Ok((0..3).map(column).collect())
    }

    fn value(&self, reading: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        let at = match reading.what {
            "count" => 0,
            "nulls" => 1,
            _ => 2,
        };
        let counts: Int64Array = groups
            .iter()
            .map(|g| Some(self.0[*g as usize][at]))
            .collect();
        Ok(Arc::new(counts))
    }

    fn bytes(&self) -> usize {
        self.0.capacity() * 24
    }

    fn clear(&mut self) {
        self.0 = Vec::new();
    }
}
