//! What must be true of every accumulator, tried on all that are listed, over every type of column that they take.
//!
//! An accumulator's result is a function of its rows: no batch size, order, group number, cut or tree of merges may change a bit
//! of its state or value. Those that depend on places are given them. Those whose neighbouring rows belong together are given
//! rows in order, and must not mind any cut of the rows into runs that are merged in order.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int8Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::take::take;
use dataflow_core::accumulator::{Accepted, Call, OrderClass};
use dataflow_core::component::Component;
use dataflow_core::{Accumulator, Groups, Place, Places, Value};

use crate::states::testing::{call, check};

/// Calls besides the examples, for the ways that these do not take.
const MORE: [&str; 10] = [
    "count(x)",
    "covariance(x, y, ddof => 0)",
    "std(x, ddof => 0)",
    "variance(x, ddof => 3)",
    "count_distinct(x, exact_up_to => 4)",
    "quantile(x, 0.3, exact_up_to => 4)",
    "quantiles(x, [0.0, 1.0], exact_up_to => 0)",
    "histogram(x, edges => [-1.0, 0.0, 1.0, 1e16])",
    "histogram(x, width => 0.5)",
    "top_values(x, 2)",
];

// ---- calls as text

/// The name, the number of columns, and the literals of a call as people write it.
fn parsed(text: &str) -> (&str, usize, Vec<(String, Value)>) {
    let (name, rest) = text.split_once('(').expect("a call");
    let inner = rest.strip_suffix(')').expect("a call");
    let (mut columns, mut options) = (0, Vec::new());
    for argument in pieces(inner) {
        match argument.split_once("=>") {
            Some((name, value)) => options.push((name.trim().to_owned(), literal(value))),
            None if argument == "*" => {}
            None if argument.starts_with(|c: char| c.is_ascii_alphabetic()) => columns += 1,
            None => options.push((String::new(), literal(argument))),
        }
    }
    (name, columns, options)
}

/// The parts between commas that stand in no bracket.
fn pieces(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut pieces) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                pieces.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(text[start..].trim());
    pieces
}

fn literal(text: &str) -> Value {
    let text = text.trim();
    if let Some(list) = text.strip_prefix('[') {
        let list = list.strip_suffix(']').expect("a list");
        return Value::List(pieces(list).into_iter().map(literal).collect());
    }
    match text.parse() {
        Ok(whole) => Value::Integer(whole),
        Err(_) => Value::Float(text.parse().expect("a number")),
    }
}

// ---- columns made to hurt

const NUMBERS: [f64; 16] = [
    1e16,
    1.0,
    -1e16,
    f64::NAN,
    0.1,
    -0.0,
    0.0,
    f64::INFINITY,
    1e300,
    -1e300,
    5e-324,
    1e-300,
    f64::MAX,
    0.30000000000000004,
    -7.25,
    3.0,
];

/// A column of a type, whose `i`-th row is drawn by `pick(i)`; every seventh or so is null.
fn column(data_type: &DataType, rows: usize, kind: Kind, salt: usize) -> ArrayRef {
    let mixed = |row: usize| {
        let x = (row + 1 + 1000 * salt) as u64;
        (x.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize
    };
    let there = |row: usize| kind != Kind::Null && mixed(row) % 7 != 3;
    let float = |row: usize| match kind {
        Kind::Tame => (mixed(row) % 1000) as f64 / 8.0 - 40.0,
        _ => NUMBERS[mixed(row) % 16],
    };
    let whole = |row: usize| match (kind, mixed(row) % 9) {
        (Kind::Wild, 0) => i64::MAX,
        (Kind::Wild, 1) => i64::MIN,
        (_, n) => (mixed(row) % 50) as i64 - n as i64,
    };
    fn all<T>(
        rows: usize,
        there: impl Fn(usize) -> bool,
        value: impl Fn(usize) -> T,
    ) -> Vec<Option<T>> {
        (0..rows)
            .map(|row| there(row).then(|| value(row)))
            .collect()
    }
    match data_type {
        DataType::Boolean => Arc::new(BooleanArray::from(all(rows, there, |r| whole(r) % 2 == 0))),
        DataType::Int8 => Arc::new(Int8Array::from(all(rows, there, |r| whole(r) as i8))),
        DataType::Int64 => Arc::new(Int64Array::from(all(rows, there, whole))),
        DataType::UInt64 => Arc::new(UInt64Array::from(all(rows, there, |r| whole(r) as u64))),
        DataType::Float32 => Arc::new(Float32Array::from(all(rows, there, |r| float(r) as f32))),
        DataType::Float64 => Arc::new(Float64Array::from(all(rows, there, float))),
        DataType::Decimal128(p, s) => {
            let decimals = all(rows, there, |r| i128::from(whole(r) % 10_000_000));
            let decimals = Decimal128Array::from(decimals);
            Arc::new(decimals.with_precision_and_scale(*p, *s).expect("fits"))
        }
        DataType::Utf8 => {
            let texts = all(rows, there, |r| "äbc".repeat(mixed(r) % 5));
            Arc::new(StringArray::from(texts))
        }
        DataType::Date32 => Arc::new(Date32Array::from(all(rows, there, |r| whole(r) as i32))),
        DataType::Timestamp(..) => {
            Arc::new(TimestampMicrosecondArray::from(all(rows, there, whole)))
        }
        other => panic!("no columns of {other} are made"),
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Tame,
    Wild,
    Null,
}

fn types() -> Vec<DataType> {
    vec![
        DataType::Boolean,
        DataType::Int8,
        DataType::Int64,
        DataType::UInt64,
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal128(10, 2),
        DataType::Utf8,
        DataType::Date32,
        DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, None),
    ]
}

// ---- running one

/// A call over columns of certain types that its component takes.
struct Case {
    about: String,
    accepted: Accepted,
    types: Vec<DataType>,
}

/// Rows of a case: their columns as the accumulator gets them, and their groups.
struct Rows {
    columns: Vec<ArrayRef>,
    places: Places,
    groups: Vec<u32>,
}

impl Case {
    fn all() -> Vec<Case> {
        let listed = crate::list();
        let examples = listed.iter().map(|component| component.info.example);
        let texts = examples.chain(MORE);
        texts.flat_map(|text| Self::of(&listed, text)).collect()
    }

    fn of(listed: &[Component], text: &str) -> Vec<Case> {
        let (name, columns, options) = parsed(text);
        let component = listed.iter().find(|component| component.info.name == name);
        let component = component.expect("listed under its name");
        let options: Vec<(&str, Value)> = options
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        let types = match columns {
            0 => vec![vec![]],
            1 => types().into_iter().map(|t| vec![t]).collect(),
            _ => {
                let pairs = types().into_iter();
                pairs
                    .flat_map(|a| types().into_iter().map(move |b| vec![a.clone(), b]))
                    .collect()
            }
        };
        let cases: Vec<Case> = types
            .into_iter()
            .filter_map(|types: Vec<DataType>| {
                let call: Call = call(&types, &options);
                let accepted = check(component, &call).ok()?;
                let about = format!("{text} of {types:?}");
                Some(Case {
                    about,
                    accepted,
                    types,
                })
            })
            .collect();
        assert!(!cases.is_empty(), "{text} takes no columns at all");
        cases
    }

    fn rows(&self, rows: usize, kind: Kind) -> Rows {
        let columns = self.types.iter().zip(&self.accepted.coerce).enumerate();
        let columns = columns.map(|(salt, (from, to))| {
            let made = column(from, rows, kind, salt);
            arrow_cast::cast(&made, to).expect("can be cast to what was asked for")
        });
        Rows {
            columns: columns.collect(),
            places: match self.accepted.plan.order_class() {
                OrderClass::Place => Places::From(Place(5000)),
                _ => Places::Unknown,
            },
            groups: (0..rows as u32).map(|row| row * row % 5).collect(),
        }
    }

    /// Whether rows may come in any order, and states be merged in any.
    fn is_free(&self) -> bool {
        self.accepted.plan.order_class() <= OrderClass::Place
    }

    fn made(&self, groups: usize) -> Box<dyn Accumulator> {
        let mut made = self.accepted.plan.make();
        made.resize(groups);
        made
    }

    /// Fed with these rows, so many at a time.
    fn fed(&self, rows: &Rows, picked: &[u32], batch: usize) -> Box<dyn Accumulator> {
        let mut made = self.made(5);
        for picked in picked.chunks(batch) {
            let part = rows.picked(picked);
            let taken = made.update(Groups::Each(&part.groups), &part.columns, &part.places);
            taken.unwrap_or_else(|error| panic!("{}: {error}", self.about));
        }
        made
    }

    /// State and value of all groups, or what is wrong with the value.
    fn result(&self, of: &dyn Accumulator) -> (Vec<ArrayRef>, Result<ArrayRef, String>) {
        let groups = [0, 1, 2, 3, 4];
        let state = of.state(&groups).expect("has a state");
        let value = of.value(&self.accepted.plan.reading(), &groups);
        (state, value.map_err(|error| error.to_string()))
    }

    fn agrees(&self, a: &dyn Accumulator, b: &dyn Accumulator, when: &str) {
        let (a, b) = (self.result(a), self.result(b));
        assert_eq!(a.0, b.0, "the state of {} {when}", self.about);
        assert_eq!(a.1, b.1, "the value of {} {when}", self.about);
    }
}

impl Rows {
    fn picked(&self, rows: &[u32]) -> Rows {
        let indices = UInt32Array::from(rows.to_vec());
        let columns = self.columns.iter();
        let columns = columns.map(|column| take(column, &indices, None).expect("in range"));
        Rows {
            columns: columns.collect(),
            places: self.places.take(rows.iter().map(|row| *row as usize)),
            groups: rows.iter().map(|row| self.groups[*row as usize]).collect(),
        }
    }

    fn all(&self) -> Vec<u32> {
        (0..self.groups.len() as u32).collect()
    }
}

fn shuffled(mut rows: Vec<u32>) -> Vec<u32> {
    rows.sort_by_key(|row| (u64::from(*row) + 3).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    rows
}

fn every(law: impl Fn(&Case, &Rows)) {
    for case in Case::all() {
        for (rows, kind) in [
            (0, Kind::Tame),
            (1, Kind::Wild),
            (300, Kind::Tame),
            (600, Kind::Wild),
            (40, Kind::Null),
        ] {
            law(&case, &case.rows(rows, kind));
        }
    }
}

// ---- the laws

#[test]
fn neither_batches_nor_order_matter() {
    every(|case, rows| {
        let all = rows.all();
        let whole = case.fed(rows, &all, usize::MAX);
        let mixed = shuffled(all.clone());
        let ways = [
            (&all, 1, "row by row"),
            (&all, 3, "three rows at a time"),
            (&mixed, usize::MAX, "in another order"),
            (&mixed, 7, "in another order, seven at a time"),
        ];
        let ways = ways.into_iter().take(if case.is_free() { 4 } else { 2 });
        for (picked, batch, when) in ways {
            case.agrees(case.fed(rows, picked, batch).as_ref(), whole.as_ref(), when);
        }
    });
}

#[test]
fn all_rows_may_be_one_group() {
    every(|case, rows| {
        // A call without columns is always told the groups.
        if case.types.is_empty() {
            return;
        }
        let (mut one, mut each) = (case.made(5), case.made(5));
        let zeros = vec![0; rows.groups.len()];
        for (made, groups) in [(&mut one, Groups::One), (&mut each, Groups::Each(&zeros))] {
            let taken = made.update(groups, &rows.columns, &rows.places);
            taken.expect("takes rows");
        }
        case.agrees(one.as_ref(), each.as_ref(), "as one group");
    });
}

#[test]
fn any_tree_of_merges_gives_the_same() {
    let groups = [0, 1, 2, 3, 4];
    every(|case, rows| {
        if !case.is_free() {
            return;
        }
        let whole = case.fed(rows, &rows.all(), usize::MAX);
        let mixed = shuffled(rows.all());
        let cut = (mixed.len() / 6).max(1);
        let parts: Vec<_> = mixed
            .chunks(cut)
            .map(|part| case.fed(rows, part, 50))
            .collect();
        let mut chain = case.made(5);
        for part in &parts {
            chain
                .merge(&groups, &part.state(&groups).expect("has a state"))
                .expect("merges");
        }
        case.agrees(chain.as_ref(), whole.as_ref(), "merged in a chain");
        let mut tree = parts;
        while tree.len() > 1 {
            let pick = tree.len() * 7 % (tree.len() - 1);
            let (first, second) = (tree.remove(pick), tree.remove(pick));
            let mut both = case.made(5);
            // The groups of one state may come in any order, and in several pieces.
            for half in [&[4, 1][..], &[0, 3, 2][..]] {
                both.merge(half, &second.state(half).expect("has a state"))
                    .expect("merges");
                both.merge(half, &first.state(half).expect("has a state"))
                    .expect("merges");
            }
            tree.push(both);
        }
        if let Some(tree) = tree.first() {
            case.agrees(tree.as_ref(), whole.as_ref(), "merged in a tree");
        }
    });
}

#[test]
fn any_cut_into_runs_merged_in_order_gives_the_same() {
    let groups = [0, 1, 2, 3, 4];
    every(|case, rows| {
        if case.accepted.plan.order_class() == OrderClass::Sequence {
            return;
        }
        let all = rows.all();
        let whole = case.fed(rows, &all, usize::MAX);
        for cut in [1, 2, 9, 100] {
            let runs: Vec<_> = all.chunks(cut).map(|run| case.fed(rows, run, 5)).collect();
            let state = |run: &dyn Accumulator| run.state(&groups).expect("has a state");
            let mut chain = case.made(5);
            for run in &runs {
                chain.merge(&groups, &state(run.as_ref())).expect("merges");
            }
            case.agrees(chain.as_ref(), whole.as_ref(), "of runs in a chain");
            // All at once: states of one group follow one another in the columns.
            let states: Vec<Vec<ArrayRef>> = runs.iter().map(|run| state(run.as_ref())).collect();
            let mut together = case.made(5);
            if let Some(columns) = states.first().map(Vec::len) {
                let column = |at: usize| {
                    let parts: Vec<&dyn Array> = states.iter().map(|s| s[at].as_ref()).collect();
                    arrow_select::concat::concat(&parts).expect("of one type")
                };
                let columns: Vec<ArrayRef> = (0..columns).map(column).collect();
                together
                    .merge(&groups.repeat(states.len()), &columns)
                    .expect("merges");
            }
            case.agrees(together.as_ref(), whole.as_ref(), "of runs at once");
            let mut tree = runs;
            while tree.len() > 1 {
                let left = tree.len() * 7 % (tree.len() - 1);
                let right = tree.remove(left + 1);
                let mut both = case.made(5);
                for run in [&tree[left], &right] {
                    both.merge(&groups, &state(run.as_ref())).expect("merges");
                }
                tree[left] = both;
            }
            if let Some(tree) = tree.first() {
                case.agrees(tree.as_ref(), whole.as_ref(), "of runs in a tree");
            }
        }
    });
}

#[test]
fn groups_that_were_apart_may_become_one() {
    every(|case, rows| {
        if !case.is_free() {
            return;
        }
        let apart = case.fed(rows, &rows.all(), usize::MAX);
        let state = apart.state(&[0, 1, 2, 3, 4]).expect("has a state");
        let mut merged = case.made(5);
        merged.merge(&[2; 5], &state).expect("merges");
        let together = Rows {
            columns: rows.columns.clone(),
            places: rows.places.clone(),
            groups: vec![2; rows.groups.len()],
        };
        let together = case.fed(&together, &rows.all(), usize::MAX);
        case.agrees(
            merged.as_ref(),
            together.as_ref(),
            "of groups merged into one",
        );
    });
}

#[test]
fn a_restored_state_goes_on_as_if_nothing_had_happened() {
    let groups = [0, 1, 2, 3, 4];
    every(|case, rows| {
        let all = rows.all();
        let (before, after) = all.split_at(all.len() / 2);
        let first = case.fed(rows, before, usize::MAX);
        let mut restored = case.made(5);
        restored
            .merge(&groups, &first.state(&groups).expect("has a state"))
            .expect("merges");
        case.agrees(restored.as_ref(), first.as_ref(), "restored");
        let rest = rows.picked(after);
        let taken = restored.update(Groups::Each(&rest.groups), &rest.columns, &rest.places);
        taken.expect("takes rows");
        let whole = case.fed(rows, &all, usize::MAX);
        case.agrees(restored.as_ref(), whole.as_ref(), "restored and gone on");
    });
}

#[test]
fn what_is_written_is_what_was_promised() {
    every(|case, rows| {
        let made = case.fed(rows, &rows.all(), usize::MAX);
        let (state, value) = case.result(made.as_ref());
        let fields = case.accepted.plan.state_fields();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), state);
        let batch = batch.unwrap_or_else(|error| panic!("{}: {error}", case.about));
        assert_eq!(batch.num_rows(), 5, "{}", case.about);
        if let Ok(value) = value {
            let output = case.accepted.plan.output();
            assert_eq!(value.data_type(), output.data_type(), "{}", case.about);
            assert_eq!(value.len(), 5, "{}", case.about);
            let field = Field::new("value", output.data_type().clone(), output.is_nullable());
            let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![value]);
            batch.unwrap_or_else(|error| panic!("{}: {error}", case.about));
        }
        assert_eq!(
            case.accepted.coerce.len(),
            case.types.len(),
            "{}",
            case.about
        );
    });
}

#[test]
fn nothing_is_defined() {
    every(|case, _| {
        let made = case.made(5);
        let nulls = case.fed(&case.rows(40, Kind::Null), &(0..40).collect::<Vec<_>>(), 9);
        // A null is a missing sample of a signal, which no spectrum may close up.
        let of_signals = ["periodogram", "spectrum", "welch"];
        let counts = of_signals.iter().any(|name| case.about.starts_with(name));
        if !case.types.is_empty() && !counts {
            case.agrees(nulls.as_ref(), made.as_ref(), "of nulls");
        }
        let (_, value) = case.result(made.as_ref());
        assert!(value.is_ok(), "{}: {value:?}", case.about);
    });
}

#[test]
fn memory_is_told_and_given_back() {
    every(|case, rows| {
        let mut made = case.fed(rows, &rows.all(), usize::MAX);
        let state = made.state(&[0, 1, 2, 3, 4]).expect("has a state");
        let sizes = state.iter().map(|c| c.to_data().get_slice_memory_size());
        let written: usize = sizes.map(|size| size.expect("has a size")).sum();
        // A compact state may be written at length.
        assert!(
            written <= 4 * made.bytes() + 1024,
            "{}: {written} of {}",
            case.about,
            made.bytes()
        );
        let fresh = case.made(5);
        made.clear();
        assert!(
            made.bytes() <= fresh.bytes() + 4096,
            "{}: {}",
            case.about,
            made.bytes()
        );
        made.resize(5);
        case.agrees(made.as_ref(), fresh.as_ref(), "cleared");
    });
}

#[test]
fn foreign_states_are_errors() {
    every(|case, _| {
        let columns = case.accepted.plan.state_fields().len();
        let foreign = FixedSizeBinaryArray::try_from_iter([[1, 2, 3]; 5].into_iter());
        let foreign: ArrayRef = Arc::new(foreign.expect("all of a size"));
        let foreign = vec![foreign; columns];
        let merged = case.made(5).merge(&[0, 1, 2, 3, 4], &foreign);
        assert!(merged.is_err(), "{}", case.about);
    });
}

#[test]
fn pages_are_whole_and_names_are_unique() {
    let listed = crate::list();
    let names: Vec<&str> = listed.iter().map(|component| component.info.name).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    for info in listed.iter().map(|component| component.info) {
        assert!(
            info.example.starts_with(&format!("{}(", info.name)),
            "{}",
            info.name
        );
        assert!(
            !info.summary.is_empty() && !info.summary.ends_with('.'),
            "{}",
            info.name
        );
        assert!(!info.manual.trim().is_empty(), "{}", info.name);
        let taken = |other: &&str| names.contains(other);
        assert!(!info.also_called.iter().any(taken), "{}", info.name);
    }
    let mut others: Vec<&str> = listed
        .iter()
        .flat_map(|c| c.info.also_called)
        .copied()
        .collect();
    let count = others.len();
    others.sort_unstable();
    others.dedup();
    assert_eq!(others.len(), count, "a spelling leads to two accumulators");
}
