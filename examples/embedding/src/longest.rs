//! `longest(x)`: the number of characters of the longest text.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, UInt64Array};
use arrow_schema::{DataType, Field, FieldRef};
use dataflow::core::accumulator::{Accepted, Call, CallProblem, Reading};
use dataflow::core::component::{Component, Info};
use dataflow::core::{Accumulator, AccumulatorPlan, Error, Groups, Places, Result};

/// The catalog's entry: the manual's page, and the check of a call.
pub fn component() -> Component {
    let info = Info {
        name: "longest",
        summary: "The number of characters of the longest text",
        manual: "Characters are Unicode scalar values. Nulls do not count; a group without a text is null.\n\n\
            The cost is that of counting characters; the memory is 8 bytes per group.",
        example: "longest(x)",
        also_called: &["max_length"],
        ..Info::EMPTY
    };
    Component::accumulator(info, accept)
}

/// Looks at the call before any row is read, and says which type the column is to be given.
fn accept(call: &Call) -> std::result::Result<Accepted, CallProblem> {
    if call.arguments.len() != 1 || !call.options.is_empty() {
        return Err(CallProblem::new("`longest` takes one column").help("write `longest(x)`"));
    }
    Ok(Accepted {
        plan: Arc::new(Plan),
        coerce: vec![DataType::Utf8],
    })
}

#[derive(Debug)]
struct Plan;

impl AccumulatorPlan for Plan {
    fn output(&self) -> FieldRef {
        Arc::new(Field::new("longest", DataType::UInt64, true))
    }

    fn state(&self) -> String {
        "longest".to_string()
    }

    fn reading(&self) -> Reading {
        Reading::of("longest")
    }

    fn state_fields(&self) -> Vec<Field> {
        vec![Field::new("longest", DataType::UInt64, true)]
    }

    fn make(&self) -> Box<dyn Accumulator> {
        Box::new(Longest::default())
    }
}

/// One value per group, for all groups of a stage.
#[derive(Default)]
struct Longest {
    groups: Vec<Option<u64>>,
}

impl Longest {
    /// The greater of two does not depend on the order of rows or merges, and so the result does not.
    fn take(&mut self, group: usize, length: Option<u64>) {
        self.groups[group] = self.groups[group].max(length);
    }

    fn of(&self, groups: &[u32]) -> ArrayRef {
        let values = groups.iter().map(|group| self.groups[*group as usize]);
        Arc::new(values.collect::<UInt64Array>())
    }
}

impl Accumulator for Longest {
    fn resize(&mut self, groups: usize) {
        self.groups.resize(groups.max(self.groups.len()), None);
    }

    fn update(&mut self, groups: Groups<'_>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        for (row, text) in columns[0].as_string::<i32>().iter().enumerate() {
            let length = text.map(|text| text.chars().count() as u64);
            self.take(groups.of(row), length);
        }
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let lengths = state
            .first()
            .and_then(|c| c.as_primitive_opt::<UInt64Type>());
        let lengths =
            lengths.ok_or_else(|| Error::internal("these are not states of `longest`"))?;
        for (group, length) in groups.iter().zip(lengths) {
            self.take(*group as usize, length);
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.of(groups)])
    }

    fn value(&self, _: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        Ok(self.of(groups))
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Option<u64>>()
    }

    fn clear(&mut self) {
        self.groups = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::StringArray;

    #[test]
    fn merged_parts_are_the_whole() {
        let texts = [Some("ab"), None, Some("äöüß"), Some("")];
        let column =
            |texts: &[Option<&str>]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
        for cut in 0..=texts.len() {
            let (mut first, mut second) = (Plan.make(), Plan.make());
            for (part, texts) in [(&mut first, &texts[..cut]), (&mut second, &texts[cut..])] {
                part.resize(1);
                part.update(Groups::One, &[column(texts)], &Places::Unknown)
                    .expect("takes rows");
            }
            first
                .merge(&[0], &second.state(&[0]).expect("has a state"))
                .expect("merges");
            let value = first.value(&Plan.reading(), &[0]).expect("has a value");
            assert_eq!(value.as_primitive::<UInt64Type>().value(0), 4, "{cut}");
        }
    }
}
