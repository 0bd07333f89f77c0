//! `zero_crossings`: how often a signal changes its sign.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_schema::DataType;
use dataflow_core::accumulator::{Accepted, Call, CallProblem, OrderClass, Reading};
use dataflow_core::component::{Component, Info};
use dataflow_core::{Error, Places, Result};

use crate::exact::{read_varint, write_varint};
use crate::states::options::Options;
use crate::tallies::bytes::{Tally, ordered};
use crate::tallies::number;

const USAGE: &str = "zero_crossings(x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "zero_crossings",
        summary: "How often a signal changes its sign",
        manual: "\
How many values below 0 follow one that is not, or the other way round, in the order of the source; 0 counts as not below. Nulls and NaN are passed over: the \
values before and behind them are compared.

A nanosecond a row. The memory of a group is a few bytes for each stretch of rows that waits for the one before it. Where places number the samples of \
a signal (a source with `sampling`, no keys, windows and filters), every worker takes the rows that it has; else a group's rows are taken in order.",
        example: USAGE,
        also_called: &["sign_changes", "crossings"],
        ..Info::EMPTY
    };
    Component::accumulator(info, accept)
}

fn accept(call: &Call) -> Result<Accepted, CallProblem> {
    let options = Options::of(call, 1, USAGE)?;
    let column = number(&options, 0)?;
    options.end()?;
    let known = call.sampled.known();
    let numbered = known.is_some_and(|sampling| sampling.numbered);
    let order = match numbered {
        true => OrderClass::Place,
        false => OrderClass::Neighbours,
    };
    let state = if numbered { "numbered signs" } else { "signs" };
    let (reading, output) = (Reading::of("zero_crossings"), DataType::Int64);
    let make = move || Crossings {
        numbered,
        groups: Vec::new(),
        stretches: 0,
    };
    Ok(ordered(state, reading, output, vec![column], order, make))
}

/// Neighbouring rows: where they end, and whether the first and the last of their numbers are below 0.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    end: u64,
    ends: Option<(bool, bool)>,
}

/// What is known of a group: the changes inside its stretches, and these, by their first rows.
#[derive(Debug, Default)]
struct Group {
    changes: u64,
    stretches: BTreeMap<u64, Stretch>,
}

impl Group {
    /// Takes in a stretch from row `start` on, and joins it with those that touch it.
    fn add(&mut self, mut start: u64, mut stretch: Stretch) {
        let before = self.stretches.range(..start).next_back();
        if let Some((at, before)) = before.filter(|(_, before)| before.end == start) {
            (start, stretch) = (*at, joined(*before, stretch, &mut self.changes));
        }
        if let Some(behind) = self.stretches.remove(&stretch.end) {
            stretch = joined(stretch, behind, &mut self.changes);
        }
        self.stretches.insert(start, stretch);
    }

    /// Where rows end that are not numbered by places.
    fn end(&self) -> u64 {
        self.stretches
            .values()
            .next_back()
            .map_or(0, |last| last.end)
    }
}

fn joined(left: Stretch, right: Stretch, changes: &mut u64) -> Stretch {
    let ends = match (left.ends, right.ends) {
        (Some((first, a)), Some((b, last))) => {
            *changes += u64::from(a != b);
            Some((first, last))
        }
        (one, other) => one.or(other),
    };
    Stretch {
        end: right.end,
        ends,
    }
}

struct Crossings {
    numbered: bool,
    groups: Vec<Group>,
    stretches: usize,
}

impl Crossings {
    fn add_to(&mut self, group: usize, start: u64, stretch: Stretch) {
        let group = &mut self.groups[group];
        let held = group.stretches.len();
        group.add(start, stretch);
        self.stretches = self.stretches + group.stretches.len() - held;
    }

    /// Takes rows of one group that follow one another.
    fn push(&mut self, group: usize, start: Option<u64>, x: &[f64]) {
        let mut ends = None;
        let mut changes = 0;
        for x in x.iter().filter(|x| !x.is_nan()) {
            let below = *x < 0.0;
            let (first, last) = ends.unwrap_or((below, below));
            changes += u64::from(below != last);
            ends = Some((first, below));
        }
        self.groups[group].changes += changes;
        if ends.is_none() && !self.numbered {
            return;
        }
        let start = start.unwrap_or_else(|| self.groups[group].end());
        let end = start + x.len() as u64;
        self.add_to(group, start, Stretch { end, ends });
    }
}

impl Tally for Crossings {
    fn resize(&mut self, groups: usize) {
        let most = groups.max(self.groups.len());
        self.groups.resize_with(most, Group::default);
    }

    fn add(&mut self, groups: Option<&[u32]>, columns: &[ArrayRef], places: &Places) -> Result<()> {
        let column = columns[0].as_primitive::<Float64Type>();
        let filled;
        let x: &[f64] = match column.null_count() {
            0 => column.values(),
            _ => {
                filled = column
                    .iter()
                    .map(|x| x.unwrap_or(f64::NAN))
                    .collect::<Vec<_>>();
                &filled
            }
        };
        if self.numbered {
            let stretches = places.stretches(x.len()).ok_or_else(|| {
                Error::internal("samples came without the places that number them")
            })?;
            for (first, rows) in stretches {
                self.push(0, Some(first.row()), &x[rows]);
            }
            return Ok(());
        }
        let Some(groups) = groups else {
            self.push(0, None, x);
            return Ok(());
        };
        let mut from = 0;
        for rows in groups.chunk_by(|a, b| a == b) {
            let to = from + rows.len();
            self.push(rows[0] as usize, None, &x[from..to]);
            from = to;
        }
        Ok(())
    }

    fn write(&self, group: usize, out: &mut Vec<u8>) {
        let group = &self.groups[group];
        write_varint(group.changes, out);
        write_varint(group.stretches.len() as u64, out);
        for (start, stretch) in &group.stretches {
            // Without places only the order of stretches counts, and there is one.
            let (start, end) = match self.numbered {
                true => (*start, stretch.end),
                false => (0, 1),
            };
            write_varint(start, out);
            write_varint(end, out);
            out.push(match stretch.ends {
                None => 4,
                Some((first, last)) => u8::from(first) | u8::from(last) << 1,
            });
        }
    }

    fn read(&mut self, group: usize, bytes: &mut &[u8]) -> Option<()> {
        self.groups[group].changes += read_varint(bytes)?;
        for _ in 0..read_varint(bytes)? {
            let (mut start, mut end) = (read_varint(bytes)?, read_varint(bytes)?);
            let (signs, rest) = bytes.split_first()?;
            *bytes = rest;
            if !self.numbered {
                let before = self.groups[group].end();
                (start, end) = (before, before + (end - start));
            }
            let ends = (*signs != 4).then_some((signs & 1 == 1, signs & 2 == 2));
            self.add_to(group, start, Stretch { end, ends });
        }
        Some(())
    }

    fn settle(&mut self, _: usize) {}

    fn value(&self, _: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        let value = |group: &u32| {
            let group = &self.groups[*group as usize];
            let any = group
                .stretches
                .values()
                .any(|stretch| stretch.ends.is_some());
            any.then_some(group.changes as i64)
        };
        Ok(Arc::new(groups.iter().map(value).collect::<Int64Array>()))
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Group>() + self.stretches * 40
    }

    fn clear(&mut self) {
        self.groups = Vec::new();
        self.stretches = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, check, show, value};
    use arrow_array::Float64Array;
    use dataflow_core::{Sampled, Sampling};

    #[test]
    fn changes_of_the_sign_are_counted() {
        let table: [(Vec<Option<f64>>, &str); 6] = [
            (vec![], "[null]"),
            (vec![Some(1.0)], "[0]"),
            (
                vec![Some(1.0), Some(-1.0), Some(0.0), Some(-0.0), Some(-2.0)],
                "[3]",
            ),
            (vec![Some(1.0), None, Some(f64::NAN), Some(-1.0)], "[1]"),
            (vec![Some(f64::NAN), Some(-1.0), Some(f64::INFINITY)], "[1]"),
            (vec![None, Some(f64::NAN)], "[null]"),
        ];
        for (values, expected) in table {
            let column: ArrayRef = Arc::new(Float64Array::from(values));
            let mut call = call(&[DataType::Float64], &[]);
            assert_eq!(
                show(&value(&component(), &call, &[Arc::clone(&column)])),
                expected
            );
            call.sampled = Sampled::Regular(Sampling::of(1.0).numbered(true));
            let accepted = check(&component(), &call).expect("fits");
            assert_eq!(accepted.plan.order_class(), OrderClass::Place);
            assert_eq!(show(&value(&component(), &call, &[column])), expected);
        }
    }
}
