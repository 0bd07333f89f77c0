//! `histogram`: how many values fall into each of a row of intervals.

use std::sync::Arc;

use arrow_array::builder::UInt64Builder;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, StructArray, UInt64Array};
use arrow_schema::{DataType, Field, Fields};
use dataflow_core::accumulator::{Accepted, Argument, Call, CallProblem, OrderClass, Reading};
use dataflow_core::component::{Component, Info};
use dataflow_core::{Accumulator, Error, Groups, Places, Result};

use crate::states::keys::Scale;
use crate::states::lists::{self, column, counts, lists as list_column};
use crate::states::multiset::Multiset;
use crate::states::options::{Options, number, numbers, unfit, whole, wrong};
use crate::states::plan::Plan;

mod growing;

use growing::Growing;

const USAGE: &str = "histogram(x, bins => 20, range => [0.0, 10.0])";
const MOST_BINS: i64 = 100_000;
/// At most so many intervals where nothing is said of them.
const USUAL: usize = 100;

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "histogram",
        summary: "How many values fall into each of a row of intervals",
        manual: "\
The intervals are given in one of four ways: `edges => [0, 1, 10]`, which must rise; `bins => 20, range => [0, 10]`, equally
wide with numpy's edges; `width => 0.5`, intervals between multiples of the width, wherever there are values; or not at all: then they
are between multiples of a power of two, the smallest with which at most `bins` of them (default 100, so 50 to 100) reach from
the least value to the greatest. That follows from the values alone, in whatever order they come, and infinite ones are above or below.

The result is a structure of `below` and `above`, the numbers of values outside of all intervals, and `bins`, a list of
structures `from`, `to` and `count`; `unnest` makes rows of it. An interval contains its lower end and not its upper one; as in
numpy, the last of given edges contains both. With `width` only intervals with values are listed, and infinite values, or those
more than 2^53 widths from 0, are above or below. Nulls and NaN do not count.

Memory is 8 bytes per interval and group, with `width` 16 to 48 per interval that occurs. A few nanoseconds per row; edges that are
not equally wide cost a binary search.",
        example: USAGE,
        also_called: &["hist", "bucket", "bins", "width_bucket"],
        ..Info::EMPTY
    };
    Component::accumulator(info, accept)
}

fn accept(call: &Call) -> Result<Accepted, CallProblem> {
    let mut options = Options::of(call, 1, USAGE)?;
    let data_type = options.column(0);
    if !data_type.is_numeric() {
        return Err(unfit(&data_type, "numbers", "convert the column to double"));
    }
    let (edges, width) = (options.named("edges"), options.named("width"));
    let (bins, range) = (options.named("bins"), options.named("range"));
    let intervals = match (edges, width, bins, range) {
        (Some(edges), None, None, None) => Intervals::Edges(Edges::given(edges)?),
        (None, Some(width), None, None) => Intervals::Width(positive(width)?),
        (None, None, Some(bins), Some(range)) => Intervals::Edges(Edges::equal(bins, range)?),
        (None, None, bins, None) => Intervals::Growing(match bins {
            None => USUAL,
            Some(bins) => whole(bins, 2, MOST_BINS)?,
        }),
        _ => {
            let message = "the intervals are given by `edges`, by `width`, by `bins` and `range`, or by `bins` alone";
            return Err(CallProblem::new(message).help(format!("write `{USAGE}`")));
        }
    };
    options.end()?;
    Ok(intervals.plan().accept(vec![DataType::Float64]))
}

fn positive(width: &Argument) -> Result<f64, CallProblem> {
    let found = number(width)?;
    if found > 0.0 {
        Ok(found)
    } else {
        Err(wrong(width, "a width above 0"))
    }
}

enum Intervals {
    Edges(Edges),
    Width(f64),
    Growing(usize),
}

impl Intervals {
    fn plan(self) -> Plan {
        let long = |items| lists::long(&items);
        let counts = Field::new("counts", long(DataType::UInt64), false);
        let (state, fields) = match &self {
            Self::Edges(edges) => (format!("histogram {:?}", edges.edges), vec![counts]),
            Self::Width(width) => {
                let bins = Field::new("bins", long(DataType::Float64), false);
                (format!("histogram of width {width:?}"), vec![bins, counts])
            }
            Self::Growing(bins) => (format!("histogram of {bins} bins"), growing::fields()),
        };
        Plan {
            state,
            reading: Reading::of("histogram"),
            output: DataType::Struct(result()),
            fields,
            order: OrderClass::Any,
            make: Arc::new(move || match &self {
                Self::Edges(edges) => Box::new(Fixed {
                    edges: edges.clone(),
                    counts: Vec::new(),
                }),
                Self::Width(width) => Box::new(Multiples {
                    width: *width,
                    groups: Vec::new(),
                    group_bytes: 0,
                }),
                Self::Growing(bins) => Box::new(Growing::new(*bins)),
            }),
        }
    }
}

fn bin() -> Fields {
    vec![
        Field::new("from", DataType::Float64, true),
        Field::new("to", DataType::Float64, true),
        Field::new("count", DataType::Int64, true),
    ]
    .into()
}

fn result() -> Fields {
    vec![
        Field::new("below", DataType::Int64, true),
        Field::new("above", DataType::Int64, true),
        Field::new("bins", lists::short(&DataType::Struct(bin())), true),
    ]
    .into()
}

/// The values of several groups while they are put together.
#[derive(Default)]
struct Results {
    below: Vec<i64>,
    above: Vec<i64>,
    from: Vec<f64>,
    to: Vec<f64>,
    count: Vec<i64>,
    lengths: Vec<Option<usize>>,
}

impl Results {
    fn array(self) -> Result<ArrayRef> {
        let bins: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from(self.from)),
            Arc::new(Float64Array::from(self.to)),
            Arc::new(Int64Array::from(self.count)),
        ];
        let bins = Arc::new(StructArray::try_new(bin(), bins, None)?);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(self.below)),
            Arc::new(Int64Array::from(self.above)),
            lists::short_array(bins, &self.lengths)?,
        ];
        Ok(Arc::new(StructArray::try_new(result(), columns, None)?))
    }
}

/// Rising edges of intervals that touch.
#[derive(Clone)]
struct Edges {
    edges: Arc<[f64]>,
    /// Intervals per unit, where they are equally wide.
    density: Option<f64>,
    /// How far a value's place among equally wide intervals may be off, in intervals.
    slack: f64,
}

impl Edges {
    fn given(argument: &Argument) -> Result<Self, CallProblem> {
        let edges = numbers(argument)?;
        let rises = edges.windows(2).all(|pair| pair[0] < pair[1]);
        if edges.len() < 2 || !rises {
            return Err(wrong(argument, "a list of at least two rising numbers"));
        }
        if edges.len() as i64 > MOST_BINS {
            return Err(wrong(argument, "a list of at most 100000 edges"));
        }
        Ok(Self {
            edges: edges.into(),
            density: None,
            slack: 1.0,
        })
    }

    /// The edges that numpy's `linspace` gives.
    fn equal(bins: &Argument, range: &Argument) -> Result<Self, CallProblem> {
        let count = whole(bins, 1, MOST_BINS)?;
        let [from, to] = numbers(range)?[..] else {
            return Err(wrong(range, "a list of two numbers"));
        };
        if from >= to {
            return Err(wrong(range, "a list of two rising numbers"));
        }
        let step = (to - from) / count as f64;
        let mut edges: Vec<f64> = (0..count).map(|i| i as f64 * step + from).collect();
        edges.push(to);
        if !step.is_finite() || !edges.windows(2).all(|pair| pair[0] < pair[1]) {
            let what = format!("a range that has {count} intervals");
            return Err(wrong(range, &what).help("take fewer bins"));
        }
        let density = count as f64 / (to - from);
        // A difference, a product and the edges themselves are rounded: a few units in the last place of what is largest.
        let slack = 16.0 * f64::EPSILON * (from.abs().max(to.abs()) * density + count as f64);
        Ok(Self {
            edges: edges.into(),
            density: Some(density),
            slack,
        })
    }

    fn bins(&self) -> usize {
        self.edges.len() - 1
    }

    /// 0 is below, the bins follow, the last is above; the edges decide, whatever the guess was.
    #[inline]
    fn slot(&self, x: f64) -> usize {
        let (edges, bins) = (&self.edges, self.bins());
        if x < edges[0] {
            return 0;
        }
        if x >= edges[bins] {
            return if x == edges[bins] { bins } else { bins + 1 };
        }
        match self.density {
            None => edges.partition_point(|edge| *edge <= x),
            Some(density) => {
                let mut bin = (((x - edges[0]) * density) as usize).min(bins - 1);
                while x < edges[bin] {
                    bin -= 1;
                }
                while x >= edges[bin + 1] {
                    bin += 1;
                }
                bin + 1
            }
        }
    }
}

impl Edges {
    /// Counts values that all belong to one group. Where a value's place is not within reach of an edge, it need not be compared with any.
    fn count(&self, values: &[f64], counts: &mut [u64]) {
        let (first, bins) = (self.edges[0], self.bins() as f64);
        let density = self.density.unwrap_or(f64::NAN);
        let inside = self.slack..1.0 - self.slack;
        for x in values {
            let place = (x - first) * density;
            let below = place as u32;
            if place >= 0.0 && place < bins && inside.contains(&(place - f64::from(below))) {
                counts[below as usize + 1] += 1;
            } else if !x.is_nan() {
                counts[self.slot(*x)] += 1;
            }
        }
    }
}

/// A dense row of counters per group: below, the bins, above.
struct Fixed {
    edges: Edges,
    counts: Vec<u64>,
}

impl Fixed {
    fn slots(&self) -> usize {
        self.edges.bins() + 2
    }

    fn of(&self, group: u32) -> &[u64] {
        &self.counts[group as usize * self.slots()..][..self.slots()]
    }
}

/// Calls `each` with the row and value of all rows that count.
fn visit(column: &ArrayRef, mut each: impl FnMut(usize, f64)) -> Result<()> {
    let values = column
        .as_primitive_opt::<Float64Type>()
        .ok_or_else(|| Error::internal("a histogram of something else than doubles"))?;
    let nulls = values.nulls().filter(|nulls| nulls.null_count() > 0);
    let mut one = |row: usize| {
        let x = values.values()[row];
        if !x.is_nan() {
            each(row, x);
        }
    };
    match nulls {
        None => (0..values.len()).for_each(&mut one),
        Some(nulls) => nulls.valid_indices().for_each(&mut one),
    }
    Ok(())
}

impl Accumulator for Fixed {
    fn resize(&mut self, groups: usize) {
        self.counts.resize(groups * self.slots(), 0);
    }

    fn update(&mut self, groups: Groups<'_>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        let slots = self.slots();
        let (edges, counts) = (&self.edges, &mut self.counts);
        let values = column(columns, 0)?.as_primitive_opt::<Float64Type>();
        let values = values.filter(|values| values.null_count() == 0);
        if let (Some(values), Groups::One) = (values, groups) {
            edges.count(values.values(), &mut counts[..slots]);
            return Ok(());
        }
        visit(column(columns, 0)?, |row, x| {
            counts[groups.of(row) * slots + edges.slot(x)] += 1;
        })
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let slots = self.slots();
        let lists = list_column(column(state, 0)?)?;
        let items = counts(lists.values())?.values();
        for (row, group) in groups.iter().enumerate() {
            let from = lists.value_offsets()[row] as usize;
            if lists.value_length(row) as usize != slots {
                return Err(Error::internal("a state of a histogram with other edges"));
            }
            let mine = &mut self.counts[*group as usize * slots..][..slots];
            for (mine, theirs) in mine.iter_mut().zip(&items[from..from + slots]) {
                *mine += theirs;
            }
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let counts = groups.iter().flat_map(|group| self.of(*group));
        let counts = Arc::new(UInt64Array::from_iter_values(counts.copied()));
        let lengths = vec![self.slots(); groups.len()];
        Ok(vec![lists::long_array(counts, lengths)?])
    }

    fn value(&self, _: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        let (edges, bins) = (&self.edges.edges, self.edges.bins());
        let mut results = Results::default();
        for group in groups {
            let counts = self.of(*group);
            results.below.push(counts[0] as i64);
            results.above.push(counts[bins + 1] as i64);
            results.from.extend(&edges[..bins]);
            results.to.extend(&edges[1..]);
            let inside = counts[1..=bins].iter().map(|count| *count as i64);
            results.count.extend(inside);
            results.lengths.push(Some(bins));
        }
        results.array()
    }

    fn bytes(&self) -> usize {
        self.counts.capacity() * size_of::<u64>()
    }

    fn clear(&mut self) {
        self.counts = Vec::new();
    }
}

/// A count per multiple of the width, under the order key of the multiple; infinite ones are below and above.
struct Multiples {
    width: f64,
    groups: Vec<Multiset<u64>>,
    group_bytes: usize,
}

/// Which multiple of the width is at or below `x`; the products decide, since they are what is shown.
fn multiple(x: f64, width: f64) -> f64 {
    /// Beyond it, neighbouring whole numbers are no longer told apart.
    const FURTHEST: f64 = 9_007_199_254_740_992.0;
    let found = (x / width).floor();
    if found >= FURTHEST {
        return f64::INFINITY;
    }
    if found < -FURTHEST {
        return f64::NEG_INFINITY;
    }
    if x < found * width {
        found - 1.0
    } else if x >= (found + 1.0) * width {
        found + 1.0
    } else {
        found
    }
}

impl Accumulator for Multiples {
    fn resize(&mut self, groups: usize) {
        self.groups.resize_with(groups, Multiset::default);
    }

    fn update(&mut self, groups: Groups<'_>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        let (all, bytes, width) = (&mut self.groups, &mut self.group_bytes, self.width);
        visit(column(columns, 0)?, |row, x| {
            let key = Scale::Float.nearest(multiple(x, width));
            all[groups.of(row)].add(key, 1, usize::MAX, bytes);
        })
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let bins = list_column(column(state, 0)?)?;
        let times = list_column(column(state, 1)?)?;
        let offsets = bins.value_offsets();
        let items = bins.values().as_primitive_opt::<Float64Type>();
        let items = items.filter(|_| offsets == times.value_offsets());
        let items = items.ok_or_else(|| Error::internal("this is not a state of a histogram"))?;
        let times = counts(times.values())?;
        for (row, group) in groups.iter().enumerate() {
            for item in offsets[row] as usize..offsets[row + 1] as usize {
                let key = Scale::Float.nearest(items.value(item));
                let into = &mut self.groups[*group as usize];
                into.add(key, times.value(item), usize::MAX, &mut self.group_bytes);
            }
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let (mut bins, mut times) = (Vec::new(), UInt64Builder::new());
        let (mut lengths, mut runs) = (Vec::with_capacity(groups.len()), Vec::new());
        for group in groups {
            self.groups[*group as usize].runs(&mut runs);
            lengths.push(runs.len());
            for (key, count) in &runs {
                bins.push(Scale::Float.float(*key));
                times.append_value(*count);
            }
        }
        Ok(vec![
            lists::long_array(Arc::new(Float64Array::from(bins)), lengths.clone())?,
            lists::long_array(Arc::new(times.finish()), lengths)?,
        ])
    }

    fn value(&self, _: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        let mut results = Results::default();
        let mut runs = Vec::new();
        for group in groups {
            self.groups[*group as usize].runs(&mut runs);
            let (mut below, mut above, mut bins) = (0, 0, 0);
            for (key, count) in &runs {
                let (multiple, count) = (Scale::Float.float(*key), *count as i64);
                if multiple == f64::NEG_INFINITY {
                    below += count;
                } else if multiple == f64::INFINITY {
                    above += count;
                } else {
                    results.from.push(multiple * self.width);
                    results.to.push((multiple + 1.0) * self.width);
                    results.count.push(count);
                    bins += 1;
                }
            }
            results.below.push(below);
            results.above.push(above);
            results.lengths.push(Some(bins));
        }
        results.array()
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Multiset<u64>>() + self.group_bytes
    }

    fn clear(&mut self) {
        self.groups = Vec::new();
        self.group_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, problem, show, value};
    use dataflow_core::Value;

    fn list(numbers: &[f64]) -> Value {
        Value::List(numbers.iter().map(|x| Value::Float(*x)).collect())
    }

    fn found(options: &[(&str, Value)], values: &[f64]) -> String {
        let given = call(&[DataType::Float64], options);
        let column: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
        let result = value(&component(), &given, &[column]);
        let result = result.as_struct();
        let bins = result.column(2).as_list::<i32>().value(0);
        let bins = bins.as_struct();
        let (below, above) = (show(result.column(0)), show(result.column(1)));
        let ends = [show(bins.column(0)), show(bins.column(1))];
        format!(
            "{below} {above} {} {} {}",
            ends[0],
            ends[1],
            show(bins.column(2))
        )
    }

    #[test]
    fn values_fall_into_their_intervals() {
        let inf = f64::INFINITY;
        let edges = ("edges", list(&[0.0, 1.0, 10.0]));
        let bins = ("bins", Value::Integer(2));
        let range = ("range", list(&[0.0, 1.0]));
        let width = ("width", Value::Float(0.1));
        let all = [-1.0, 0.0, 0.5, 1.0, 10.0, 11.0, f64::NAN, inf, -inf, -0.0];
        assert_eq!(
            found(&[edges], &all),
            "[2] [2] [0.0, 1.0] [1.0, 10.0] [3, 2]"
        );
        let both = [bins.clone(), range.clone()];
        assert_eq!(found(&both, &all), "[2] [3] [0.0, 0.5] [0.5, 1.0] [2, 2]");
        assert_eq!(found(&both, &[]), "[0] [0] [0.0, 0.5] [0.5, 1.0] [0, 0]");
        // 0.3 / 0.1 is below 3, and 3 * 0.1 above 0.3: it stays in the interval that the edges shown say.
        assert_eq!(
            found(&[width], &[0.3, -0.05, 0.0, inf, 1e300]),
            "[0] [2] [-0.1, 0.0, 0.2] [0.0, 0.1, 0.30000000000000004] [1, 1, 1]"
        );
    }

    #[test]
    fn equal_bins_have_the_edges_that_are_shown() {
        let bins = ("bins", Value::Integer(97));
        let range = ("range", list(&[-0.3, 0.7]));
        let given = call(&[DataType::Float64], &[bins, range]);
        let edges = Edges::equal(&given.options[0], &given.options[1]).expect("fits");
        let loose = Edges {
            density: None,
            ..edges.clone()
        };
        let near = edges
            .edges
            .iter()
            .flat_map(|e| [e.next_down(), *e, e.next_up()]);
        near.for_each(|x| assert_eq!(edges.slot(x), loose.slot(x), "{x}"));
    }

    #[test]
    fn numpy_counts_the_same() {
        let golden = include_str!("../tests/golden/order.json");
        let golden: serde_json::Value = serde_json::from_str(golden).expect("is JSON");
        let bits = |of: &serde_json::Value| -> Vec<f64> {
            let list = of.as_array().expect("a list").iter();
            let bits = list.map(|hex| u64::from_str_radix(hex.as_str().expect("text"), 16));
            bits.map(|bits| f64::from_bits(bits.expect("hex")))
                .collect()
        };
        for case in golden["histograms"].as_array().expect("a list") {
            let bins = case["bins"].as_i64().expect("a number");
            let range = bits(&case["range"]);
            let options = [("bins", Value::Integer(bins)), ("range", list(&range))];
            let edges = bits(&case["edges"]);
            let (from, to) = (&edges[..edges.len() - 1], &edges[1..]);
            let counts = serde_json::from_value::<Vec<i64>>(case["counts"].clone());
            let counts = counts.expect("numbers");
            let (below, above) = (&case["below"], &case["above"]);
            let expected = format!("[{below}] [{above}] {from:?} {to:?} {counts:?}");
            assert_eq!(found(&options, &bits(&case["values"])), expected);
        }
    }

    #[test]
    fn values_at_edges_are_where_the_edges_say() {
        for (bins, from, to) in [
            (10, 0.0, 1.0),
            (7, -0.3, 0.4),
            (100, 1e8, 1e8 + 1e-3),
            (3, -1e-300, 2e-300),
        ] {
            let of = |value: Value| Argument {
                name: String::new(),
                value,
                at: 0..1,
            };
            let edges = Edges::equal(&of(Value::Integer(bins)), &of(list(&[from, to])));
            let Ok(edges) = edges else { continue };
            let near = |edge: &f64| [edge.next_down(), *edge, edge.next_up()];
            let mut values: Vec<f64> = edges.edges.iter().flat_map(near).collect();
            values.extend([
                f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
                from - 1.0,
                to + 1.0,
                (from + to) / 2.0,
            ]);
            let mut expected = vec![0; edges.bins() + 2];
            values
                .iter()
                .filter(|x| !x.is_nan())
                .for_each(|x| expected[edges.slot(*x)] += 1);
            let mut counts = vec![0; edges.bins() + 2];
            edges.count(&values, &mut counts);
            assert_eq!(counts, expected, "{bins} {from} {to}");
        }
    }

    #[test]
    fn what_cannot_be_is_said() {
        let wrong: [&[(&str, Value)]; 6] = [
            &[("range", list(&[0.0, 1.0]))],
            &[("edges", list(&[1.0, 1.0]))],
            &[("edges", list(&[1.0]))],
            &[("width", Value::Integer(0))],
            &[("bins", Value::Integer(1))],
            &[
                ("bins", Value::Integer(3)),
                ("range", list(&[1.0, f64::from_bits(1.0_f64.to_bits() + 1)])),
            ],
        ];
        for options in wrong {
            problem(&component(), &call(&[DataType::Float64], options));
        }
        problem(
            &component(),
            &call(&[DataType::Utf8], &[("width", Value::Integer(1))]),
        );
    }
}
