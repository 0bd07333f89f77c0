//! What the tests of this crate share: configurations from TOML, ways to run them, and small accumulators.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field, FieldRef};
use dataflow_core::accumulator::{Accepted, Call, CallProblem, OrderClass, Reading};
use dataflow_core::component::{Build, Component, TransformConfig};
use dataflow_core::config::{Key, Node, Tree};
use dataflow_core::transform::Input;
use dataflow_core::{
    Accumulator, AccumulatorPlan, Check, Error, Groups, Info, Places, Problems, Result, Sampled,
    Span, TimeRule, Transform,
};
use dataflow_testkit::{Drive, Outcome, Timing};

pub(crate) use dataflow_testkit::rows;

/// Dictionaries unpacked, so that tables compare by their values.
pub(crate) fn plain(rows: &RecordBatch) -> Vec<ArrayRef> {
    let columns = rows.columns().iter();
    let plain =
        columns.map(|c| crate::columns::in_type(c, &crate::columns::plain_type(c.data_type())));
    plain.collect::<Result<Vec<_>>>().expect("unpacks")
}

/// Rows as lines of what they show.
pub(crate) fn lines(rows: &RecordBatch) -> Vec<String> {
    let columns = plain(rows);
    let options = FormatOptions::default().with_null("-");
    let formats = columns
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).expect("shown"));
    let formats: Vec<_> = formats.collect();
    let line = |row: usize| {
        let cells = formats.iter().map(|format| format.value(row).to_string());
        cells.collect::<Vec<_>>().join(" ")
    };
    (0..rows.num_rows()).map(line).collect()
}

/// Workers, batch sizes, pauses and memories that must not change a result.
pub(crate) fn drives() -> Vec<Drive> {
    let mut all = Vec::new();
    for workers in [1, 2, 3, 8] {
        for rows in [1, 7, 8192] {
            for memory in [1, 64 << 20] {
                all.push(Drive {
                    workers,
                    batch_rows: rows,
                    piece_rows: rows,
                    memory,
                    pausing: (workers + rows) % 2 == 0,
                    mark_every: workers,
                    ..Drive::default()
                });
            }
        }
    }
    all.extend(cuts());
    all
}

/// Drives whose stages are saved and go on elsewhere, on fewer and on more workers.
pub(crate) fn cuts() -> [Drive; 6] {
    let cut = |workers, rows, memory, (cut_every, via)| Drive {
        workers,
        batch_rows: rows,
        piece_rows: rows,
        memory,
        pausing: workers == 2,
        mark_every: workers,
        cut_every,
        via,
    };
    [
        cut(3, 7, 64 << 20, (2, 1)),
        cut(2, 7, 1, (3, 3)),
        cut(2, 3, 64 << 20, (4, 2)),
        cut(1, 1, 64 << 20, (5, 2)),
        cut(1, 7, 1, (3, 4)),
        cut(3, 7, 1, (3, 0)),
    ]
}

fn node(value: &toml::Value) -> Node {
    let value = match value {
        toml::Value::String(text) => Tree::Text(text.clone()),
        toml::Value::Integer(n) => Tree::Integer(*n),
        toml::Value::Float(x) => Tree::Float(*x),
        toml::Value::Boolean(b) => Tree::Boolean(*b),
        toml::Value::Datetime(time) => Tree::Text(time.to_string()),
        toml::Value::Array(list) => Tree::List(list.iter().map(node).collect()),
        toml::Value::Table(table) => Tree::Table(
            table
                .iter()
                .map(|(name, value)| {
                    let key = Key {
                        name: name.clone(),
                        span: Some(Span { start: 1, end: 2 }),
                    };
                    (key, node(value))
                })
                .collect(),
        ),
    };
    Node {
        value,
        span: Some(Span { start: 1, end: 2 }),
    }
}

/// The transform that a component's example makes of these inputs.
pub(crate) fn example(component: &Component, inputs: &[&RecordBatch]) -> Arc<dyn Transform> {
    let inputs = &inputs[..=component.tables.len()];
    let example = component.info.example;
    let (built, problems) = made(component, example, inputs, true, &catalog());
    built.unwrap_or_else(|| panic!("{example}: {problems:?}"))
}

/// What is wrong with a component's example.
pub(crate) fn component_problems(component: &Component, inputs: &[&RecordBatch]) -> Vec<String> {
    let inputs = &inputs[..=component.tables.len()];
    let example = component.info.example;
    let (_, problems) = made(component, example, inputs, true, &catalog());
    let messages = problems.list().iter().map(|p| p.message.clone());
    messages.collect()
}

fn checked<C: TransformConfig>(
    config: &str,
    inputs: &[&RecordBatch],
    catalog: &[Component],
) -> (Option<Arc<dyn Transform>>, Problems) {
    made(&Component::transform::<C>(), config, inputs, true, catalog)
}

fn made(
    component: &Component,
    config: &str,
    inputs: &[&RecordBatch],
    timed: bool,
    catalog: &[Component],
) -> (Option<Arc<dyn Transform>>, Problems) {
    made_of(
        component,
        config,
        inputs,
        timed,
        Sampled::default(),
        catalog,
    )
}

fn made_of(
    component: &Component,
    config: &str,
    inputs: &[&RecordBatch],
    timed: bool,
    sampled: Sampled,
    catalog: &[Component],
) -> (Option<Arc<dyn Transform>>, Problems) {
    let table: toml::Table = config.parse().expect("TOML");
    let mut problems = Problems::new();
    let parameters = BTreeMap::new();
    let built = {
        let mut check = Check {
            id: "it",
            span: None,
            parameters: &parameters,
            catalog,
            offline: false,
            stdin: &dataflow_core::StandardInput::default(),
            run_time: 0,
            problems: &mut problems,
        };
        let names = ["before", "table"].into_iter();
        let input = |(name, input): (&str, &&RecordBatch)| Input {
            provisional: false,
            sampled: sampled.clone(),
            from: vec![name.into()],
            schema: input.schema(),
            timed,
        };
        let inputs: Vec<Input> = names.zip(inputs).map(input).collect();
        let Build::Transform(build) = &component.build else {
            panic!("{component:?} is no transform");
        };
        build(&node(&toml::Value::Table(table)), &inputs, &mut check)
    };
    assert_eq!(
        built.is_none(),
        problems.any_error(),
        "{config}: {problems:?}"
    );
    (built, problems)
}

/// The transform that a configuration makes of this input.
pub(crate) fn build<C: TransformConfig>(config: &str, input: &RecordBatch) -> Arc<dyn Transform> {
    build_of::<C>(config, &[input])
}

/// The same of rows that are samples of a signal, or not.
pub(crate) fn build_sampled<C: TransformConfig>(
    config: &str,
    input: &RecordBatch,
    sampled: Sampled,
) -> Arc<dyn Transform> {
    let component = Component::transform::<C>();
    let (built, problems) = made_of(&component, config, &[input], false, sampled, &catalog());
    built.unwrap_or_else(|| panic!("{config}: {problems:?}"))
}

/// The transform that a configuration makes of these inputs.
pub(crate) fn build_of<C: TransformConfig>(
    config: &str,
    inputs: &[&RecordBatch],
) -> Arc<dyn Transform> {
    let (built, problems) = checked::<C>(config, inputs, &catalog());
    built.unwrap_or_else(|| panic!("{config}: {problems:?}"))
}

/// The same with the real accumulators.
pub(crate) fn build_real<C: TransformConfig>(
    config: &str,
    input: &RecordBatch,
) -> Arc<dyn Transform> {
    build_real_of::<C>(config, input, true)
}

/// The same over rows that have event time or not.
pub(crate) fn build_real_of<C: TransformConfig>(
    config: &str,
    input: &RecordBatch,
    timed: bool,
) -> Arc<dyn Transform> {
    let mut catalog = dataflow_accumulators::list();
    catalog.extend(dataflow_windowing::list());
    let component = Component::transform::<C>();
    let (built, problems) = made(&component, config, &[input], timed, &catalog);
    built.unwrap_or_else(|| panic!("{config}: {problems:?}"))
}

/// What is wrong with a configuration.
pub(crate) fn problems<C: TransformConfig>(config: &str, input: &RecordBatch) -> Vec<String> {
    problems_of::<C>(config, &[input])
}

/// The same over rows that are samples of a signal, or not.
pub(crate) fn problems_sampled<C: TransformConfig>(
    config: &str,
    input: &RecordBatch,
    sampled: Sampled,
) -> Vec<String> {
    let component = Component::transform::<C>();
    let (_, problems) = made_of(&component, config, &[input], false, sampled, &catalog());
    problems.list().iter().map(|p| p.message.clone()).collect()
}

/// What is wrong with a configuration over these inputs.
pub(crate) fn problems_of<C: TransformConfig>(
    config: &str,
    inputs: &[&RecordBatch],
) -> Vec<String> {
    let (_, problems) = checked::<C>(config, inputs, &catalog());
    problems.list().iter().map(|p| p.message.clone()).collect()
}

/// The same where none of the inputs has event time.
pub(crate) fn problems_untimed<C: TransformConfig>(
    config: &str,
    inputs: &[&RecordBatch],
) -> Vec<String> {
    let component = Component::transform::<C>();
    let (_, problems) = made(&component, config, inputs, false, &catalog());
    problems.list().iter().map(|p| p.message.clone()).collect()
}

/// The windows, and small accumulators under the names of the real ones.
pub(crate) fn catalog() -> Vec<Component> {
    let mut catalog = dataflow_windowing::list();
    catalog.extend(accumulators());
    catalog
}

fn accumulators() -> Vec<Component> {
    let info = |name| Info {
        name,
        ..Info::EMPTY
    };
    vec![
        Component::accumulator(info("count"), |call| {
            Ok(accept(call, DataType::Int64, "count", "count"))
        }),
        Component::accumulator(info("sum"), |call| {
            match call.arguments.first().map(|f| f.data_type()) {
                Some(DataType::Int64) => Ok(accept(call, DataType::Int64, "sum", "sum")),
                Some(DataType::Float64) => Ok(accept(call, DataType::Float64, "values", "sum")),
                _ => Err(CallProblem::new("`sum` needs a number")),
            }
        }),
        Component::accumulator(info("min"), |call| {
            Ok(accept(call, DataType::Float64, "values", "min"))
        }),
        Component::accumulator(info("max"), |call| {
            Ok(accept(call, DataType::Float64, "values", "max"))
        }),
        Component::accumulator(info("mean"), |call| {
            Ok(accept(call, DataType::Float64, "values", "mean"))
        }),
        Component::accumulator(info("std"), |call| {
            Ok(accept(call, DataType::Float64, "values", "std"))
        }),
        Component::accumulator(info("quantile"), |call| {
            let q = call
                .options
                .iter()
                .find_map(|o| o.value.number())
                .unwrap_or(0.5);
            let mut accepted = accept(call, DataType::Float64, "values", "quantile");
            accepted.plan = Arc::new(Small {
                state: "values",
                reading: Reading {
                    what: "quantile",
                    numbers: vec![q],
                },
                data_type: DataType::Float64,
            });
            Ok(accepted)
        }),
        Component::accumulator(info("first"), |call| {
            Ok(accept(call, DataType::Int64, "first", "first"))
        }),
        Component::accumulator(info("previous"), |call| {
            Ok(accept(call, DataType::Int64, "sequence", "sum"))
        }),
    ]
}

fn accept(
    call: &Call,
    data_type: DataType,
    state: &'static str,
    reading: &'static str,
) -> Accepted {
    let coerce = call.arguments.iter().map(|field| {
        if state == "count" {
            field.data_type().clone()
        } else {
            data_type.clone()
        }
    });
    Accepted {
        coerce: coerce.collect(),
        plan: Arc::new(Small {
            state,
            reading: Reading::of(reading),
            data_type,
        }),
    }
}

/// One of: `count` and `sum` (integers), `values` (all numbers, sorted), `first` (by place), `sequence` (row after row).
#[derive(Debug)]
struct Small {
    state: &'static str,
    reading: Reading,
    data_type: DataType,
}

impl AccumulatorPlan for Small {
    fn output(&self) -> FieldRef {
        Arc::new(Field::new("", self.data_type.clone(), true))
    }

    fn state(&self) -> String {
        self.state.to_string()
    }

    fn reading(&self) -> Reading {
        self.reading.clone()
    }

    fn state_fields(&self) -> Vec<Field> {
        match self.state {
            "values" => {
                let item = Field::new_list_field(DataType::Float64, true);
                vec![Field::new("values", DataType::List(Arc::new(item)), false)]
            }
            _ => vec![
                Field::new("number", DataType::Int64, true),
                Field::new("place", DataType::Int64, true),
            ],
        }
    }

    fn order_class(&self) -> OrderClass {
        match self.state {
            "first" => OrderClass::Place,
            "sequence" => OrderClass::Sequence,
            _ => OrderClass::Any,
        }
    }

    fn make(&self) -> Box<dyn Accumulator> {
        match self.state {
            "values" => Box::new(Values(Vec::new())),
            kind => Box::new(Numbers {
                kind,
                groups: Vec::new(),
            }),
        }
    }
}

struct Numbers {
    kind: &'static str,
    /// A number, and the place that it is from.
    groups: Vec<(Option<i64>, i64)>,
}

impl Numbers {
    fn take(&mut self, group: usize, number: Option<i64>, place: i64) -> Result<()> {
        let (so_far, at) = &mut self.groups[group];
        let Some(number) = number else {
            return Ok(());
        };
        if self.kind == "first" {
            if so_far.is_none() || place < *at {
                (*so_far, *at) = (Some(number), place);
            }
            return Ok(());
        }
        if self.kind == "sequence" {
            *so_far = Some(digest(so_far.unwrap_or(0), number));
            return Ok(());
        }
        let sum = so_far.unwrap_or(0).checked_add(number);
        *so_far = Some(sum.ok_or_else(|| Error::data("an integer sum overflowed"))?);
        Ok(())
    }
}

impl Accumulator for Numbers {
    fn resize(&mut self, groups: usize) {
        self.groups.resize(groups, (None, 0));
    }

    fn update(&mut self, groups: Groups<'_>, columns: &[ArrayRef], places: &Places) -> Result<()> {
        let rows = columns.first().map_or_else(
            || match groups {
                Groups::Each(each) => each.len(),
                Groups::One => panic!("count(*) of a group needs a column in this fixture"),
            },
            |c| c.len(),
        );
        for row in 0..rows {
            let valid = columns.first().is_none_or(|c| c.is_valid(row));
            let number = match self.kind {
                "count" => Some(i64::from(valid)),
                _ => valid.then(|| columns[0].as_primitive::<Int64Type>().value(row)),
            };
            let place = places.get(row).map_or(0, |p| p.0 as i64);
            assert!(
                self.kind != "first" || places.get(row).is_some(),
                "places are known"
            );
            self.take(groups.of(row), number, place)?;
        }
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let numbers = state[0].as_primitive::<Int64Type>();
        let places = state[1].as_primitive::<Int64Type>();
        for (row, group) in groups.iter().enumerate() {
            let number = numbers.is_valid(row).then(|| numbers.value(row));
            if self.kind == "sequence" {
                let empty = &mut self.groups[*group as usize].0;
                assert_eq!(*empty, None, "a sequence goes on with one state only");
                *empty = number;
                continue;
            }
            self.take(*group as usize, number, places.value(row))?;
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let of = |g: &u32| self.groups[*g as usize];
        let numbers: Int64Array = groups.iter().map(|g| of(g).0).collect();
        let places: Int64Array = groups.iter().map(|g| Some(of(g).1)).collect();
        Ok(vec![Arc::new(numbers), Arc::new(places)])
    }

    fn value(&self, _: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        let empty = (self.kind == "count").then_some(0);
        let values: Int64Array = groups
            .iter()
            .map(|g| self.groups[*g as usize].0.or(empty))
            .collect();
        Ok(Arc::new(values))
    }

    fn bytes(&self) -> usize {
        self.groups.len() * 24
    }

    fn clear(&mut self) {
        self.groups = Vec::new();
    }
}

/// What `previous` makes of numbers, one after another: another order gives something else.
pub(crate) fn digest(before: i64, number: i64) -> i64 {
    before.wrapping_mul(31).wrapping_add(number + 7)
}

struct Values(Vec<Vec<f64>>);

impl Accumulator for Values {
    fn resize(&mut self, groups: usize) {
        self.0.resize(groups, Vec::new());
    }

    fn update(&mut self, groups: Groups<'_>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        for (row, value) in columns[0].as_primitive::<Float64Type>().iter().enumerate() {
            self.0[groups.of(row)].extend(value);
        }
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        let lists = state[0].as_list::<i32>();
        for (row, group) in groups.iter().enumerate() {
            let list = lists.value(row);
            self.0[*group as usize].extend(list.as_primitive::<Float64Type>().values());
        }
        Ok(())
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let lists: Vec<Vec<f64>> = groups
            .iter()
            .map(|g| sorted(&self.0[*g as usize]))
            .collect();
        let ends = OffsetBuffer::from_lengths(lists.iter().map(Vec::len));
        let values = Float64Array::new(ScalarBuffer::from(lists.concat()), None);
        let item = Arc::new(Field::new_list_field(DataType::Float64, true));
        Ok(vec![Arc::new(ListArray::new(
            item,
            ends,
            Arc::new(values),
            None,
        ))])
    }

    fn value(&self, reading: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        let read = |values: Vec<f64>| -> Option<f64> {
            let n = values.len();
            let sum: f64 = values.iter().sum();
            match reading.what {
                "sum" => (n > 0).then_some(sum),
                "min" => values.first().copied(),
                "max" => values.last().copied(),
                "mean" => (n > 0).then(|| sum / n as f64),
                "std" => (n > 1).then(|| {
                    let mean = sum / n as f64;
                    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
                    (squares / (n - 1) as f64).sqrt()
                }),
                _ => (n > 0).then(|| {
                    let at = reading.numbers[0] * (n - 1) as f64;
                    let (low, part) = (at.floor() as usize, at.fract());
                    let high = values[(low + 1).min(n - 1)];
                    values[low] + part * (high - values[low])
                }),
            }
        };
        let values: Float64Array = groups
            .iter()
            .map(|g| read(sorted(&self.0[*g as usize])))
            .collect();
        Ok(Arc::new(values))
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|values| 24 + values.len() * 8).sum()
    }

    fn approximate(&self, groups: &[u32]) -> usize {
        groups
            .iter()
            .filter(|g| self.0[**g as usize].len() > 3)
            .count()
    }

    fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Rows of a few devices, in disorder: some happen at one instant, and some are later than they may be.
pub(crate) struct TimedRows {
    pub(crate) batch: RecordBatch,
    pub(crate) times: Vec<i64>,
    pub(crate) devices: Vec<Option<String>>,
    pub(crate) x: Vec<Option<i64>>,
    pub(crate) y: Vec<Option<f64>>,
}

pub(crate) const SECOND: i64 = 1_000_000_000;

impl TimedRows {
    const RULE: TimeRule = TimeRule {
        lateness: 5 * SECOND,
        max_future_skew: None,
        idle: None,
    };

    /// So many rows, about half a second apart; the second half comes a `pause` of seconds later.
    pub(crate) fn new(count: i64, pause: i64) -> Self {
        let mut seed: u64 = 7;
        let mut random = |below: u64| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) % below
        };
        let (mut times, mut devices) = (Vec::new(), Vec::new());
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for row in 0..count {
            let late = match random(20) {
                0 => random(60) as i64,
                _ => random(4) as i64,
            };
            let pause = if row > count / 2 { 2 * pause } else { 0 };
            let some = [0, 0, 0, 1_000_000, 333_333_333][random(5) as usize];
            times.push((row - 100 - late + pause) * SECOND / 2 + some);
            // A device comes and goes.
            let device = (random(3) + (row as u64 / 150) % 4) % 5;
            devices.push((device > 0).then(|| format!("d{}", 9 - device)));
            x.push((random(8) > 0).then(|| random(1000) as i64 - 200));
            y.push((random(8) > 0).then(|| random(1000) as f64 / 16.0));
        }
        let text = |each: Vec<Option<String>>| -> ArrayRef {
            Arc::new(arrow_array::StringArray::from(each))
        };
        let names = x.iter().map(|x| x.map(|x| format!("n{x}"))).collect();
        let columns: [(&str, ArrayRef, bool); 5] = [
            ("device", text(devices.clone()), true),
            ("x", Arc::new(Int64Array::from(x.clone())), true),
            ("y", Arc::new(Float64Array::from(y.clone())), true),
            ("name", text(names), true),
            ("id", Arc::new(Int64Array::from_iter_values(0..count)), true),
        ];
        Self {
            batch: RecordBatch::try_from_iter_with_nullable(columns).expect("columns"),
            times,
            devices,
            x,
            y,
        }
    }

    /// The rows that are not late in the order of (time, key, place), and those that are.
    pub(crate) fn in_order(&self, keys: bool) -> (Vec<usize>, Vec<usize>) {
        let (mut kept, mut late) = (Vec::new(), Vec::new());
        let mut newest: Option<i64> = None;
        for (row, time) in self.times.iter().enumerate() {
            match newest.is_some_and(|newest| *time < newest - Self::RULE.lateness) {
                true => late.push(row),
                false => kept.push(row),
            }
            newest = newest.max(Some(*time));
        }
        let key =
            |row: usize| keys.then(|| (self.devices[row].is_none(), self.devices[row].clone()));
        kept.sort_by_key(|row| (self.times[*row], key(*row), *row));
        (kept, late)
    }

    /// Runs a transform in all ways; what comes out is looked at with `see`, late rows here.
    pub(crate) fn run(&self, transform: &dyn Transform, mut see: impl FnMut(&Outcome, &Drive)) {
        let (_, late) = self.in_order(false);
        let timing = Timing {
            times: &self.times,
            rule: Self::RULE,
        };
        let mut all = drives();
        all.push(Drive {
            workers: 2,
            piece_rows: 30,
            batch_rows: 5,
            mark_every: 1000,
            memory: 3000,
            ..Drive::default()
        });
        let mut spilled = 0;
        for drive in all {
            let outcome = match drive.run_timed(transform, &self.batch, Some(timing)) {
                Ok(outcome) => outcome,
                Err(error) => panic!("{drive:?}: {error}"),
            };
            let told = outcome.late.iter();
            let told: Vec<usize> = told
                .map(|late| late.place.expect("known").row() as usize)
                .collect();
            assert_eq!(told, late, "{drive:?}");
            spilled += outcome.spilled_runs;
            see(&outcome, &drive);
        }
        assert!(spilled > 0);
    }
}

/// The numbers of a column.
pub(crate) fn integers(rows: &RecordBatch, name: &str) -> Vec<Option<i64>> {
    rows[name].as_primitive::<Int64Type>().iter().collect()
}

/// The numbers of a column of floats.
pub(crate) fn floats(rows: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    rows[name].as_primitive::<Float64Type>().iter().collect()
}

/// The texts of a column.
pub(crate) fn texts(rows: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let texts = rows[name].as_string::<i32>().iter();
    texts.map(|text| text.map(str::to_string)).collect()
}

/// What is wrong with a configuration over rows without event time.
pub(crate) fn untimed_problems<C: TransformConfig>(
    config: &str,
    input: &RecordBatch,
) -> Vec<String> {
    let (_, problems) = made(
        &Component::transform::<C>(),
        config,
        &[input],
        false,
        &catalog(),
    );
    let told = problems.list().iter();
    told.map(|p| format!("{} ({})", p.message, p.help.clone().unwrap_or_default()))
        .collect()
}
