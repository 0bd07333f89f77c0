//! `aggregate`: numbers that summarise all rows, or the rows of each key.
//!
//! Each worker first reduces its own rows in a bounded table (`partial`), and states travel to the owner of their key; rows
//! that seldom share a key travel themselves (`passing`). The owner merges and spills what does not fit (`total`). Where a call
//! needs its rows in order, all of them travel, and the owner takes them in as they come (`in_order`).

mod closing;
mod cut;
mod distinct;
pub(crate) mod groups;
pub(crate) mod hashing;
mod in_order;
mod nearby;
mod pairs;
mod partial;
mod parts;
mod passing;
mod rolled;
mod rolling;
mod sequence;
mod sliding;
mod total;
mod values;
mod window;
mod work;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use dataflow_core::accumulator::OrderClass;
use dataflow_core::component::TransformConfig;
use dataflow_core::order::Keys;
use dataflow_core::plan::envelope;
use dataflow_core::transform::{Columns, Emits, Input, Port, Route};
use dataflow_core::units::Duration;
use dataflow_core::window::{Lookback, Window, Written};
use dataflow_core::{Check, Configured, Info, Located, Sampled, StagePlan, Transform};
use dataflow_expressions::{Computations, Expression};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::calls::Calls;
use crate::columns::KeyColumn;
use crate::config::{By, Lines, column_index, only_input};
use crate::one_group;
use crate::sort::unwrapped;
use closing::Closing;
use cut::Cut;
pub(crate) use groups::Groups;
pub(crate) use hashing::Hashing;
use partial::Partial;
use total::Total;
pub(crate) use total::too_large;
use window::{OF_WINDOW, Windowed};
use work::Work;

/// Numbers that summarise rows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Aggregate {
    /// The keys: a list of columns, or a table of names and expressions, whose order is the columns' order:
    /// `{ day = "cast(timestamp as date)", device = "device" }`. Default: none; all rows make one row.
    #[serde(default)]
    by: By,
    /// The windows that rows are cut into: `{ type = "tumbling", size = "1m" }`. Default: none; a row for all time.
    #[serde(default)]
    window: Option<Written>,
    /// How often, by the clock, to write what the open windows have so far on `provisional`: `"10s"`. Default: never; windows are written
    /// when they have ended.
    #[serde(default)]
    emit: Option<Located<Duration>>,
    /// The numbers: a name and an expression in which accumulators stand: `share = "sum(hot) / count(*)"`. A line may
    /// use the names above it. Default: none; the distinct keys.
    #[serde(default)]
    compute: Lines,
}

impl Configured for Aggregate {
    const INFO: Info = Info {
        name: "aggregate",
        summary: "Summarises all rows, or the rows of each key",
        manual: "With `by`, one row for each key, in ascending order of the keys (NaN above all numbers, null last; null \
            is a key like others; -0.0 is 0.0 and all NaN are one). Without it, one row, also for an empty input. The \
            columns are the keys and then the computed ones, as they are written; a key that comes as a dictionary \
            leaves as its values (text).\n\n\
            Accumulators stand inside expressions (`sum(cpu_seconds) / 3600`), with a filter where wanted \
            (`sum(x) filter (where x > 0)`). Calls that can share a state do: `sum(x)`, `mean(x)` and `count(x)` cost \
            little more than one of them. A row for which a key or an argument cannot be evaluated is a bad row and \
            counts nowhere; an argument of a filtered call is only looked at where the filter is true.\n\n\
            With `window`, the rows of each key are cut into windows, each of which makes a row; the columns `window_start` and \
            `window_end` come first (where rows have event time), and can be used in `compute`. Windows leave as time goes on: in the \
            order of their ends, then of the keys. A row that comes when its window has ended leaves on the port `late`: its window \
            ended no later than the newest time before it in its file, less the lateness of the source. Session, count, change \
            and rolling windows, and calls that depend on the order of rows (`first`, `integral`), take rows in the order of \
            their time, and there a row is late that is older than that. The memory is that of the open windows. Those of time \
            are spilled; those that follow from the rows are not, and a run that has too many open stops and says so.\n\n\
            With `emit = \"10s\"`, windows that are still open are told every ten seconds on `provisional`, in the columns and the \
            order of the main output, which stays as it is. Such rows depend on the clock, so they are others in each run, and a `file` \
            sink takes them only if it says `provisional = true`. Tumbling windows (of calls that do not mind the order of rows), \
            sessions, counts and changes have them; while windows are on disk there are none.\n\n\
            The cost per row is one hash lookup per key column after the first, one more for key columns that are not \
            dictionaries, and that of the accumulators. Each worker reduces its own rows in a small table first; where rows \
            seldom share a key they go to its owner as they are. Where a call needs its rows in order (`integral`), nothing \
            is reduced first: all rows go to the owners of their keys, or to one worker where there are no keys. The memory \
            is that of the groups, each held once. What is over the budget goes to disk: states as sorted runs, or, where \
            rows seldom share a key, the rows themselves in 16 parts whose groups are made part by part, and all is \
            merged at the end. One group cannot be split: where the state of a single group (the exact mode of a \
            billion different values) is far over the budget, the run stops and says so.",
        ports: &[
            (
                "late",
                "With `window`: rows that came too late, in the columns of bad rows",
            ),
            (
                "provisional",
                "With `emit`: what the open windows have so far",
            ),
        ],
        example: "by = [\"device\"]\ncompute.mean_temperature = \"mean(temperature)\"\ncompute.rows = \"count(*)\"\n",
        also_called: &["group_by", "groupby", "summarize", "summarise", "reduce"],
    };
}

impl TransformConfig for Aggregate {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        let mut inputs = Inputs::default();
        let window = self.window.as_ref();
        let window = window.map(|written| self.windowed(written, input, &mut inputs, check));
        let keys = self.keys(&input.schema, check);
        let known = keys.as_deref().unwrap_or_default();
        let of_keys: Vec<FieldRef> = known
            .iter()
            .map(|key| Arc::new(key.field().clone()))
            .collect();
        let fine = self.names_differ(&of_keys, check);
        let of_window = match window.as_ref().and_then(Option::as_ref) {
            Some(Windows::Cut(cut)) => cut.fields(),
            Some(Windows::Grid(_)) => Windowed::fields().to_vec(),
            Some(Windows::One) | None => Vec::new(),
        };
        let fields: Vec<FieldRef> = of_window.into_iter().chain(of_keys).collect();
        let lines = &self.compute.0;
        let sampled = self.sampled(input);
        let computations = Computations::check(lines, &input.schema, &sampled, &fields, check)?;
        let keys = keys.filter(|_| fine)?;
        let windows = match window {
            Some(window) => window?,
            None => Windows::One,
        };
        if keys.is_empty() && self.compute.0.is_empty() {
            check.error("there is nothing to compute: say `by`, or `compute.name = \"...\"`");
            return None;
        }
        let emit = self.early(&windows, &computations, check)?;
        let work = work(keys, windows, &fields, inputs, computations);
        let mut work = unwrapped(work, check)?;
        work.emit = emit;
        let timed = work.is_timed();
        let main = Port::main(Arc::clone(&work.output)).timed(timed);
        let early = Port::named("provisional", Arc::clone(&work.output)).provisional();
        let early = work.emit.map(|_| early);
        let late = timed.then(|| Port::named("late", envelope()));
        Some(Arc::new(Checked {
            ports: [main].into_iter().chain(early).chain(late).collect(),
            work: Arc::new(work),
        }))
    }
}

/// Whether a call minds the order of rows, or depends on their places.
fn mind_order(computations: &Computations) -> bool {
    let mut calls = computations.calls().iter();
    calls.any(|call| call.accepted.plan.order_class() > OrderClass::Any)
}

/// How rows are cut into windows.
enum Windows {
    /// By time.
    Grid(Windowed),
    /// By the rows of each key.
    Cut(Cut),
    /// Not at all.
    One,
}

impl Aggregate {
    /// How the rows of each group sample a signal: keys and windows make groups of which a row's place does not tell the number.
    fn sampled(&self, input: &Input) -> Sampled {
        let keyed = match &self.by {
            By::Columns(names) => !names.is_empty(),
            By::Named(lines) => !lines.0.is_empty(),
        };
        match keyed || self.window.is_some() {
            true => input.sampled.unnumbered(),
            false => input.sampled.clone(),
        }
    }

    fn windowed(
        &self,
        written: &Written,
        input: &Input,
        inputs: &mut Inputs,
        check: &mut Check<'_>,
    ) -> Option<Windows> {
        let window = written.build(check)?;
        let at = Located {
            value: (),
            span: written.span(),
        };
        let needs_time = matches!(
            window,
            Window::Grid(_) | Window::Session { .. } | Window::Rolling(Lookback::Span(_))
        );
        if !input.timed && needs_time {
            let message = format!(
                "windows need event time, and the rows of `{}` have none",
                input.from.join("`, `")
            );
            let help = "say in the source which column has it: time = { column = \"timestamp\" }";
            check.error_at(&at, message, Some(help.into()));
            return None;
        }
        let kind = match window {
            Window::Grid(grid) => {
                let late = work::late_port(self.emit.is_some());
                return Some(Windows::Grid(Windowed::new(grid, late)));
            }
            Window::Global => return Some(Windows::One),
            Window::Session { gap } => cut::Kind::Session { gap },
            Window::Count { size, every } => cut::Kind::Count { size, every },
            Window::Change { of } => cut::Kind::Change {
                of: changing(&of, &input.schema, inputs, check)?,
            },
            Window::Rolling(lookback) => cut::Kind::Rolling(lookback),
            Window::File => cut::Kind::File,
        };
        // Files follow one another as their paths do, whatever time it is in them.
        let timed = input.timed && !matches!(kind, cut::Kind::File);
        Some(Windows::Cut(Cut {
            kind,
            timed,
            spans: input.timed,
        }))
    }

    /// How often open windows are told early.
    fn early(
        &self,
        windows: &Windows,
        computations: &Computations,
        check: &mut Check<'_>,
    ) -> Option<Option<std::time::Duration>> {
        let Some(emit) = &self.emit else {
            return Some(None);
        };
        if emit.value.nanoseconds() <= 0 {
            let message = format!("`{}` is no span of time", emit.value);
            let help = "write how often there are to be early results, such as `emit = \"10s\"`";
            check.error_at(emit, message, Some(help.into()));
            return None;
        }
        let why = match windows {
            Windows::Grid(windowed) if windowed.overlaps => {
                "windows that overlap have no early results: very many are open at a time"
            }
            Windows::Grid(_) if mind_order(computations) => {
                "windows of time have no early results where a call minds the order of rows: they wait for the window's end to be put in order"
            }
            Windows::Grid(_) => return Some(Some(emit.value.to_std())),
            Windows::One => "without windows that end there are no early results",
            Windows::Cut(Cut { timed: false, .. }) => {
                "early results need event time, and these rows have none or are taken file by file"
            }
            Windows::Cut(cut) if matches!(cut.kind, cut::Kind::Rolling(_)) => {
                "rolling windows have no early results: each row has its own already"
            }
            Windows::Cut(_) => return Some(Some(emit.value.to_std())),
        };
        let help = "leave `emit` out, or use a tumbling, session, count or change window over rows with `time`";
        check.error_at(emit, why, Some(help.into()));
        None
    }

    fn keys(&self, schema: &SchemaRef, check: &mut Check<'_>) -> Option<Vec<KeyColumn>> {
        // All of them are checked before one of them fails, so that all problems are found.
        let keys: Vec<Option<KeyColumn>> = match &self.by {
            By::Columns(names) => names
                .iter()
                .map(|name| KeyColumn::named(name, schema, check))
                .collect(),
            By::Named(lines) => lines
                .iter()
                .map(|(name, text)| KeyColumn::expression(name, text, schema, check))
                .collect(),
        };
        keys.into_iter().collect()
    }

    /// Whether each key has a name of its own.
    fn names_differ(&self, keys: &[FieldRef], check: &mut Check<'_>) -> bool {
        let mut seen = BTreeSet::new();
        let mut fine = true;
        let names = match &self.by {
            By::Columns(names) => names.iter().collect::<Vec<_>>(),
            By::Named(lines) => lines.iter().map(|(name, _)| name).collect(),
        };
        for name in names.into_iter().filter(|_| !keys.is_empty()) {
            let of_window = self.window.is_some() && OF_WINDOW.contains(&name.value.as_str());
            if of_window {
                let help = Some("choose another name".into());
                check.error_at(
                    name,
                    format!("the window has a column `{}`", name.value),
                    help,
                );
                fine = false;
            }
            if !seen.insert(name.value.as_str()) {
                check.error_at(
                    name,
                    format!("the key `{}` is named twice", name.value),
                    None,
                );
                fine = false;
            }
        }
        fine
    }
}

/// The columns whose change ends a window, as inputs.
fn changing(
    of: &[Located<String>],
    schema: &SchemaRef,
    inputs: &mut Inputs,
    check: &mut Check<'_>,
) -> Option<Vec<usize>> {
    let mut number = |name: &Located<String>| {
        column_index(name, schema, check)?;
        let text = Located {
            value: format!("\"{}\"", name.value.replace('"', "\"\"")),
            span: name.span,
        };
        Some(inputs.number(&Expression::check(&text, schema, check)?))
    };
    // All are looked up before one of them fails, so that all problems are found.
    let numbers: Vec<Option<usize>> = of.iter().map(&mut number).collect();
    numbers.into_iter().collect()
}

/// Inputs of the calls, each expression once.
#[derive(Default)]
struct Inputs {
    texts: Vec<String>,
    list: Vec<Expression>,
}

impl Inputs {
    fn number(&mut self, expression: &Expression) -> usize {
        let text = format!("{} as {}", expression.text(), expression.data_type());
        let known = self.texts.iter().position(|known| *known == text);
        known.unwrap_or_else(|| {
            self.texts.push(text);
            self.list.push(expression.clone());
            self.list.len() - 1
        })
    }
}

fn work(
    keys: Vec<KeyColumn>,
    windows: Windows,
    fields: &[FieldRef],
    mut inputs: Inputs,
    computations: Computations,
) -> dataflow_core::Result<Work> {
    let (windowed, cut) = match windows {
        Windows::Grid(mut windowed) => {
            windowed.in_order = mind_order(&computations);
            (Some(windowed), None)
        }
        Windows::Cut(cut) => (None, Some(cut)),
        Windows::One => (None, None),
    };
    let mut calls = Calls::default();
    for call in computations.calls() {
        let arguments = call
            .arguments
            .iter()
            .map(|argument| inputs.number(argument))
            .collect();
        let filter = call.filter.as_ref().map(|filter| inputs.number(filter));
        let text = match &call.filter {
            Some(filter) => format!("{} filter (where {})", call.text, filter.text()),
            None => call.text.clone(),
        };
        calls.add(&call.accepted.plan, &text, arguments, filter);
    }
    let of_keys = keys.iter().map(|key| key.field().data_type().clone());
    let of_window = windowed
        .iter()
        .flat_map(|w| vec![DataType::Int64; w.keys()]);
    let types: Vec<DataType> = of_window.chain(of_keys).collect();
    let nullable = |field: &FieldRef| Arc::new(field.as_ref().clone().with_nullable(true));
    let output = fields
        .iter()
        .map(nullable)
        .chain(computations.fields().iter().map(nullable));
    // Inside, keys have no names: only their position counts, and no state's name can meet theirs.
    let key = |(at, data_type): (usize, &DataType)| {
        Arc::new(Field::new(format!("key.{at}"), data_type.clone(), true))
    };
    let states = types
        .iter()
        .enumerate()
        .map(key)
        .chain(calls.fields().iter().map(Arc::clone));
    Ok(Work {
        order: Keys::ascending(&types)?,
        output: Arc::new(Schema::new(output.collect::<Vec<FieldRef>>())),
        states: Arc::new(Schema::new(states.collect::<Vec<FieldRef>>())),
        inputs: inputs.list,
        held: work::Held::default(),
        emit: None,
        calls: Arc::new(calls),
        types,
        keys,
        windowed,
        cut,
        computations,
    })
}

struct Checked {
    work: Arc<Work>,
    ports: Vec<Port>,
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn stages(&self) -> Vec<StagePlan> {
        let mut stages = self.plain_stages();
        if self.work.emit.is_some() {
            stages[0].sides_from = self.work.late();
            for stage in &mut stages {
                stage.every = self.work.emit;
                stage.sides = true;
            }
        }
        stages
    }

    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        // Late rows are told as they came.
        let nothing = Columns::Some(BTreeSet::new());
        if wanted
            .get(self.work.late())
            .is_some_and(|late| *late != nothing)
        {
            return Columns::All;
        }
        let keys = self.work.keys.iter().flat_map(KeyColumn::columns);
        let inputs = self.work.inputs.iter().flat_map(Expression::columns);
        Columns::named(keys.chain(inputs))
    }

    fn explain(&self) -> Vec<String> {
        let keys: Vec<&str> = self
            .work
            .keys
            .iter()
            .map(|key| key.field().name().as_str())
            .collect();
        let calls = &self.work.calls;
        let windows = self.work.windows();
        let of: Vec<&str> = windows.iter().copied().chain(keys).collect();
        let mut lines = vec![match of.is_empty() {
            true => "one row of all".to_string(),
            false => format!("a row per {}", of.join(", ")),
        }];
        if calls.len() > 0 {
            let count = |number: usize, one: &str, many: &str| match number {
                1 => format!("1 {one}"),
                _ => format!("{number} {many}"),
            };
            lines.push(format!(
                "{} of accumulators, {}",
                count(calls.len(), "call", "calls"),
                count(calls.states(), "state", "states")
            ));
        }
        lines.extend(order_of_rows(calls));
        lines
    }
}

impl Checked {
    fn plain_stages(&self) -> Vec<StagePlan> {
        if let Some(windowed) = &self.work.windowed {
            return match windowed.in_order {
                true => sequence::stages_by_time(&self.work),
                false => self.windows(),
            };
        }
        if let Some(cut) = &self.work.cut {
            return match cut.kind {
                cut::Kind::Rolling(lookback) => rolled::stages(&self.work, lookback, cut.timed),
                _ => sequence::stages(&self.work, cut),
            };
        }
        if self.work.calls.order_class() > OrderClass::Place {
            return in_order::stages(&self.work);
        }
        if self.work.keys.is_empty() {
            return one_group::stages(&self.work, "partial sums", "totals");
        }
        let work = Arc::clone(&self.work);
        let mut partial = StagePlan::local("partial groups", move |context| {
            Partial::new(context, &work)
        });
        partial.emits = Emits::Unordered;
        partial.places = self.work.calls.places();
        let work = Arc::clone(&self.work);
        let mut total = StagePlan::local("final groups", move |context| Total::new(context, &work));
        total.route = Route::Keyed;
        total.emits = Emits::SortedAtEnd;
        for stage in [&mut partial, &mut total] {
            stage.stateful = true;
            stage.copied = true;
            stage.amplifies = true;
        }
        vec![partial, total]
    }

    fn windows(&self) -> Vec<StagePlan> {
        let work = Arc::clone(&self.work);
        let mut partial = StagePlan::local("partial windows", move |context| {
            Partial::new(context, &work)
        });
        partial.emits = Emits::Unordered;
        partial.sides = true;
        let work = Arc::clone(&self.work);
        let mut closing = StagePlan::local("windows", move |context| Closing::new(context, &work));
        closing.route = Route::Keyed;
        closing.emits = Emits::SortedAtEnd;
        for stage in [&mut partial, &mut closing] {
            stage.stateful = true;
            stage.copied = true;
            stage.amplifies = true;
            stage.timed = true;
        }
        vec![partial, closing]
    }
}

/// How the calls depend on the order of rows, for `explain`.
fn order_of_rows(calls: &Calls) -> Option<String> {
    let named = || {
        let calls: Vec<&str> = calls.in_order().collect();
        calls.join(", ")
    };
    match calls.order_class() {
        _ if calls.len() == 0 => None,
        OrderClass::Any => Some("rows may come in any order".into()),
        OrderClass::Place => {
            Some("depends on the places of rows, which may come in any order".into())
        }
        OrderClass::Neighbours => Some(format!(
            "takes rows in order, for the neighbours in {}",
            named()
        )),
        OrderClass::Sequence => Some(format!(
            "takes rows in order and cannot spill its groups, for the sequence in {}",
            named()
        )),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod window_tests;
