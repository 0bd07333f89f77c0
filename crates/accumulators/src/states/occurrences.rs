//! How often each value of any type occurred in each group, exactly.
//!
//! A value is counted under its order key, or under its number in a table of byte strings that all groups share.

use std::sync::Arc;

use arrow_array::builder::UInt64Builder;
use arrow_array::{Array, ArrayRef, Int64Array, StructArray};
use arrow_schema::{DataType, Field, Fields};
use dataflow_core::accumulator::{Accepted, CallProblem, OrderClass, Reading};
use dataflow_core::{Accumulator, Error, Groups, Places, Result};

use super::interner::Interner;
use super::keys::{self, Floats, Scale};
use super::lists::{self, column, counts, lists as list_column};
use super::multiset::Multiset;
use super::options::{Options, unfit};
use super::plan::Plan;
use super::wide::{Wide, visit};

/// Makes the plan of a call that reads `mode`, or `top_values` with their number.
pub(crate) fn accept(options: Options<'_>, reading: Reading) -> Result<Accepted, CallProblem> {
    let data_type = options.column(0);
    options.end()?;
    let help = "convert it to text, or take one field of it";
    let codes = Codes::new(&data_type)
        .map_err(|_| unfit(&data_type, "values that can be compared", help))?;
    let output = match reading.what {
        "mode" => data_type.clone(),
        _ => lists::short(&DataType::Struct(pair(&data_type))),
    };
    let plan = Plan {
        state: "occurrences".to_owned(),
        reading,
        output,
        fields: vec![
            Field::new("values", lists::long(&data_type), false),
            Field::new("counts", lists::long(&DataType::UInt64), false),
        ],
        order: OrderClass::Any,
        make: Arc::new(move || {
            Box::new(Occurrences {
                codes: codes.empty(),
                groups: Vec::new(),
                group_bytes: 0,
            })
        }),
    };
    Ok(plan.accept(vec![data_type]))
}

/// A value and its count.
fn pair(data_type: &DataType) -> Fields {
    vec![
        Field::new("value", data_type.clone(), true),
        Field::new("count", DataType::Int64, true),
    ]
    .into()
}

/// Numbers for values of a type.
struct Codes {
    data_type: DataType,
    wide: Option<(Wide, Interner)>,
}

impl Codes {
    fn new(data_type: &DataType) -> Result<Self> {
        let wide = match Scale::of(data_type) {
            Some(_) => None,
            None => Some((Wide::new(data_type)?, Interner::default())),
        };
        Ok(Self {
            data_type: data_type.clone(),
            wide,
        })
    }

    fn empty(&self) -> Self {
        let wide = self.wide.as_ref();
        Self {
            data_type: self.data_type.clone(),
            wide: wide.map(|(wide, _)| (wide.clone(), Interner::default())),
        }
    }

    /// Calls `each` with the first row and the codes of runs of valid rows.
    fn visit(&mut self, column: &ArrayRef, each: impl FnMut(usize, &[u64])) -> Result<()> {
        let nulls = column.nulls();
        let Some((wide, interner)) = &mut self.wide else {
            return keys::visit(column.as_ref(), nulls, Floats::Canonical, each);
        };
        let cells = wide.cells(column)?;
        let code = |row| {
            let code = interner.number(cells.get(row)).ok_or_else(|| {
                Error::resource("more than 2^32 distinct values")
                    .help("count the values of fewer groups at once, or round them first")
            })?;
            Ok(u64::from(code))
        };
        visit(column.len(), nulls, code, each)
    }

    /// Puts runs in the order of their values.
    fn sort(&self, runs: &mut [(u64, u64)]) {
        if let Some((_, interner)) = &self.wide {
            runs.sort_unstable_by_key(|(code, _)| interner.get(*code as u32));
        }
    }

    fn array(&self, codes: &[Option<u64>]) -> Result<ArrayRef> {
        let codes = codes.iter().copied();
        match &self.wide {
            None => keys::array(&self.data_type, codes),
            Some((wide, interner)) => {
                wide.array(codes.map(|code| code.map(|code| interner.get(code as u32))))
            }
        }
    }

    fn bytes(&self) -> usize {
        self.wide
            .as_ref()
            .map_or(0, |(_, interner)| interner.bytes())
    }
}

/// The accumulator.
struct Occurrences {
    codes: Codes,
    groups: Vec<Multiset<u64>>,
    group_bytes: usize,
}

impl Occurrences {
    /// The values of a group, ascending, with their counts.
    fn runs(&self, group: u32, into: &mut Vec<(u64, u64)>) {
        self.groups[group as usize].runs(into);
        self.codes.sort(into);
    }

    fn modes(&self, groups: &[u32]) -> Result<ArrayRef> {
        let mut runs = Vec::new();
        let mut modes = Vec::with_capacity(groups.len());
        for group in groups {
            self.runs(*group, &mut runs);
            // The last of equals is found, hence the smallest value from behind.
            let most = runs.iter().rev().max_by_key(|(_, count)| *count);
            modes.push(most.map(|(code, _)| *code));
        }
        self.codes.array(&modes)
    }

    fn top(&self, most: usize, groups: &[u32]) -> Result<ArrayRef> {
        let mut runs = Vec::new();
        let (mut codes, mut times) = (Vec::new(), Vec::new());
        let mut lengths = Vec::with_capacity(groups.len());
        for group in groups {
            self.runs(*group, &mut runs);
            runs.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            runs.truncate(most);
            lengths.push((!runs.is_empty()).then_some(runs.len()));
            codes.extend(runs.iter().map(|(code, _)| Some(*code)));
            times.extend(runs.iter().map(|(_, count)| *count as i64));
        }
        let values = self.codes.array(&codes)?;
        let columns: Vec<ArrayRef> = vec![values, Arc::new(Int64Array::from(times))];
        let pairs = StructArray::try_new(pair(&self.codes.data_type), columns, None)?;
        lists::short_array(Arc::new(pairs), &lengths)
    }
}

impl Accumulator for Occurrences {
    fn resize(&mut self, groups: usize) {
        self.groups.resize_with(groups, Multiset::default);
    }

    fn update(&mut self, groups: Groups<'_>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        let column = column(columns, 0)?;
        let (all, bytes) = (&mut self.groups, &mut self.group_bytes);
        match groups {
            Groups::One => self.codes.visit(column, |_, codes| {
                all[0].extend(codes, usize::MAX, bytes);
            }),
            Groups::Each(each) => self.codes.visit(column, |start, codes| {
                for (group, code) in each[start..].iter().zip(codes) {
                    all[*group as usize].add(*code, 1, usize::MAX, bytes);
                }
            }),
        }
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let values = list_column(column(state, 0)?)?;
        let times = list_column(column(state, 1)?)?;
        let offsets = values.value_offsets();
        if offsets != times.value_offsets() {
            return Err(Error::internal("a state's values and counts do not pair"));
        }
        let times = counts(times.values())?;
        let (all, bytes) = (&mut self.groups, &mut self.group_bytes);
        // The items are visited in order, and so are the lists that they belong to.
        let (first, last) = (offsets[0] as usize, offsets[groups.len()] as usize);
        let mut row = 0;
        let items = values.values().slice(first, last - first);
        self.codes.visit(&items, |start, codes| {
            for (i, code) in codes.iter().enumerate() {
                let item = first + start + i;
                while offsets[row + 1] as usize <= item {
                    row += 1;
                }
                let group = groups[row] as usize;
                all[group].add(*code, times.value(item), usize::MAX, bytes);
            }
        })
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut runs = Vec::new();
        let (mut codes, mut times) = (Vec::new(), UInt64Builder::new());
        let mut lengths = Vec::with_capacity(groups.len());
        for group in groups {
            self.runs(*group, &mut runs);
            lengths.push(runs.len());
            codes.extend(runs.iter().map(|(code, _)| Some(*code)));
            runs.iter()
                .for_each(|(_, count)| times.append_value(*count));
        }
        Ok(vec![
            lists::long_array(self.codes.array(&codes)?, lengths.clone())?,
            lists::long_array(Arc::new(times.finish()), lengths)?,
        ])
    }

    fn value(&self, reading: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        match reading.numbers.first() {
            Some(most) => self.top(*most as usize, groups),
            None => self.modes(groups),
        }
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Multiset<u64>>() + self.group_bytes + self.codes.bytes()
    }

    fn clear(&mut self) {
        self.groups = Vec::new();
        self.group_bytes = 0;
        self.codes = self.codes.empty();
    }
}
