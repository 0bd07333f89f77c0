//! `detrend`: takes the mean or the line of each window of so many samples out of signals.
//!
//! Rows wait until the windows of all signals in them are complete, and leave in the order in which they came.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, BooleanArray, Float64Array};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use dataflow_core::batch::rows_of;
use dataflow_core::component::TransformConfig;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::stage::Unread;
use dataflow_core::time::Instant;
use dataflow_core::transform::{Columns, Input, Port};
use dataflow_core::{Batch, Check, Configured, Error, Info, Located, Result, StagePlan, Transform};
use dataflow_signal::{Detrend as What, Trend};
use schemars::JsonSchema;
use serde::Deserialize;

use super::running::{Keys, Known, Leaving, Rows, Work, plan};
use super::{Kind as Columned, Made, Signals, count, values};
use crate::columns::conform;
use crate::config::{By, Texts, only_input};

/// Takes trends out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Detrend {
    /// The columns, each of them a signal.
    columns: Texts,
    /// Keys that tell signals apart whose samples are rows of one stream: a list of columns, or a table of names and expressions.
    /// Default: none; all rows are of one signal.
    #[serde(default)]
    by: By,
    /// How many samples a window has. Windows lie one behind another from the first sample on; the last one may be shorter.
    samples: Located<u64>,
    /// What is taken out of each window. Default `"linear"`.
    #[serde(default)]
    kind: Kind,
    /// With it, the columns stay, and what comes of `x` is added behind them as `prefix_x`. Default: it takes the place of `x`.
    #[serde(default)]
    prefix: Option<Located<String>>,
}

/// What is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// The straight line that fits the window best.
    #[default]
    Linear,
    /// Its mean.
    Constant,
}

impl Configured for Detrend {
    const INFO: Info = Info {
        name: "detrend",
        summary: "Takes the mean or the line of each window out of signals",
        manual: "Each column is a signal whose samples come in the order of the rows, across all batches and files, and is cut into windows \
            of `samples` samples from the first on; the last one may be shorter. What is left of a window is that of `scipy.signal.detrend`: \
            its mean is taken out, or the straight line that fits it best. Where two windows meet there is a step. A sample that \
            is null, NaN or infinite has its place in the window and no say in the line, and becomes null.\n\n\
            Rows go through one worker, in order, and wait until their windows are complete; their sampling stays. The memory is that of the rows \
            of a window; with keys, of the rows behind the oldest window that is not complete. Where that is far over the budget, the run stops and says so. \
            The cost per sample is a few nanoseconds.",
        example: "columns = [\"voltage\"]\nsamples = 10_000\nkind = \"linear\"\n",
        ports: &[],
        also_called: &["remove_trend", "baseline", "demean"],
    };
}

impl TransformConfig for Detrend {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        let of = (&self.columns, &self.by, Columned::Numbers);
        let signals = Signals::check("`detrend`", of, input, check);
        let samples = count(&self.samples, (1, "window"), check);
        let (signals, samples) = (signals?, samples?);
        let made = Made::check(&signals, self.prefix.as_ref(), input, check)?;
        let (kind, name) = match self.kind {
            Kind::Linear => (What::Linear, "line"),
            Kind::Constant => (What::Constant, "mean"),
        };
        let port = Port::main(Arc::clone(&made.schema)).timed(input.timed);
        Some(Arc::new(Checked {
            explained: vec![
                format!("without the {name} of every {samples} samples"),
                signals.explain(),
            ],
            schema: Arc::clone(&input.schema),
            signals,
            made,
            trend: Trend::new(kind, samples as usize),
            port: [port.sampled(input.sampled.known())],
        }))
    }
}

struct Checked {
    signals: Signals,
    made: Made,
    /// The columns that come.
    schema: SchemaRef,
    /// One that has no samples.
    trend: Trend,
    explained: Vec<String>,
    port: [Port; 1],
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.port
    }

    fn stages(&self) -> Vec<StagePlan> {
        let (made, schema) = (self.made.clone(), Arc::clone(&self.schema));
        let trend = self.trend.clone();
        let mut plan = plan("windows", &self.signals, move |_| Detrending {
            made: made.clone(),
            schema: Arc::clone(&schema),
            trend: trend.clone(),
            waiting: VecDeque::new(),
            next: 0,
            open: Vec::new(),
        });
        plan.amplifies = true;
        vec![plan]
    }

    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        self.signals.needs(wanted, self.made.new_names())
    }

    fn explain(&self) -> Vec<String> {
        self.explained.clone()
    }
}

/// Rows that wait, with what is left of their samples, as far as it is known.
struct Waiting {
    /// The number of the first row.
    first: u64,
    batch: Batch,
    /// A column for each signal.
    made: Vec<Vec<f64>>,
    /// Which rows are known.
    known: Vec<bool>,
    /// How many are not.
    left: usize,
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.batch.bytes() + self.known.len() * (1 + 8 * self.made.len())
    }
}

struct Detrending {
    made: Made,
    schema: SchemaRef,
    trend: Trend,
    waiting: VecDeque<Waiting>,
    /// How many rows have come.
    next: u64,
    /// The rows of each key whose windows are not complete.
    open: Vec<VecDeque<u64>>,
}

impl Detrending {
    /// Lets rows wait; those of `open` have windows that are not complete.
    fn hold(&mut self, batch: Batch, made: Vec<Vec<f64>>, known: Vec<bool>) {
        let left = known.iter().filter(|known| !**known).count();
        self.waiting.push_back(Waiting {
            first: self.next,
            made,
            left,
            known,
            // What is held does not keep others from being read.
            batch: batch.with_charge(None),
        });
        self.next += self
            .waiting
            .back()
            .map_or(0, |held| held.batch.len() as u64);
    }

    /// Of the first open rows of a key, what is left of a column's samples.
    fn put(&mut self, key: u32, column: usize, done: &[f64]) {
        for (row, x) in self.open[key as usize].iter().zip(done) {
            let at = self.waiting.partition_point(|held| held.first <= *row) - 1;
            let held = &mut self.waiting[at];
            held.made[column][(row - held.first) as usize] = *x;
        }
    }

    /// All columns of the first open rows of a key are known.
    fn close(&mut self, key: u32, rows: usize) {
        for row in self.open[key as usize].drain(..rows) {
            let at = self.waiting.partition_point(|held| held.first <= row) - 1;
            let held = &mut self.waiting[at];
            held.known[(row - held.first) as usize] = true;
            held.left -= 1;
        }
    }

    fn done(&mut self, done: Vec<(u32, usize, Vec<f64>)>) {
        let last = self.made.names.len() - 1;
        for (key, column, some) in done {
            self.put(key, column, &some);
            if column == last {
                self.close(key, some.len());
            }
        }
    }

    /// Rows leave of which all is known, as far as none before them waits.
    fn leave(&mut self, leaving: &mut Leaving) -> Result<()> {
        while let Some(held) = self.waiting.pop_front_if(|held| held.left == 0) {
            let made = held.made.into_iter().map(values).collect();
            let rows = self.made.rows(held.batch.rows(), made)?;
            leaving.push_back(held.batch.with_rows(rows));
        }
        Ok(())
    }
}

impl Work for Detrending {
    type Of = Trend;

    fn make(&self, _: usize) -> Trend {
        self.trend.clone()
    }

    fn take(&mut self, mut rows: Rows<'_, Trend>, leaving: &mut Leaving) -> Result<()> {
        let (count, first) = (rows.batch.len(), self.next);
        for (number, row) in rows.numbers.iter().zip(first..) {
            let keys = self.open.len().max(*number as usize + 1);
            self.open.resize(keys, VecDeque::new());
            self.open[*number as usize].push_back(row);
        }
        let mut done = Vec::new();
        rows.each_signal(|trend, (key, column), samples, _| {
            let mut some = Vec::new();
            trend.push(samples, &mut some);
            done.push((key, column, some));
        });
        let made = vec![vec![f64::NAN; count]; rows.samples.len()];
        self.hold(conform(rows.batch, &self.schema)?, made, vec![false; count]);
        self.done(done);
        self.leave(leaving)
    }

    fn end(&mut self, known: Known<'_, Trend>, leaving: &mut Leaving) -> Result<()> {
        let columns = known.columns;
        let each = known.signals.iter_mut().enumerate();
        let rest = each.map(|(at, trend)| {
            let mut some = Vec::new();
            trend.end(&mut some);
            ((at / columns) as u32, at % columns, some)
        });
        let rest = rest.filter(|(.., some)| !some.is_empty()).collect();
        self.done(rest);
        self.leave(leaving)
    }

    fn progress(&self, watermark: Instant) -> Instant {
        let times = self.waiting.iter().filter_map(|held| held.batch.times());
        let oldest = times.flat_map(|times| times.at().iter().copied()).min();
        oldest.map_or(watermark, |oldest| watermark.min(oldest))
    }

    fn save(&self, into: &mut dyn Save) -> Result<()> {
        for held in &self.waiting {
            into.rows(WAITING, written(held)?);
        }
        Ok(())
    }

    fn restore(&mut self, keys: &mut Keys, from: &Restored<'_>) -> Result<()> {
        from.rows(WAITING, Share::Dealt, &mut |batch| {
            let (batch, made, known) = read(batch, self.made.names.len())?;
            let mut numbers = Vec::new();
            let (batch, _) = keys.split(batch, &mut numbers, &mut Unread)?;
            self.open.resize(keys.numbers.len(), VecDeque::new());
            let open = numbers.iter().zip(self.next..).zip(&known);
            for ((number, row), _) in open.filter(|(_, known)| !**known) {
                self.open[*number as usize].push_back(row);
            }
            self.hold(batch, made, known);
            Ok(())
        })
    }

    fn bytes(&self) -> usize {
        let rows: usize = self.open.iter().map(VecDeque::capacity).sum();
        8 * rows + self.waiting.iter().map(Waiting::bytes).sum::<usize>()
    }
}

/// The name under which rows are saved that wait.
const WAITING: &str = "waiting";

/// Rows that wait as they are saved: behind their columns what is left of each signal, and whether it is known.
fn written(held: &Waiting) -> Result<Batch> {
    let rows = held.batch.rows();
    let mut columns = rows.columns().to_vec();
    columns.extend(
        held.made
            .iter()
            .map(|made| -> ArrayRef { Arc::new(Float64Array::from(made.clone())) }),
    );
    columns.push(Arc::new(BooleanArray::from(held.known.clone())));
    let mut fields: Vec<FieldRef> = rows.schema_ref().fields().to_vec();
    for (at, column) in columns.iter().enumerate().skip(fields.len()) {
        // The input may have a column of any name; these are told apart by where they are.
        let name = format!("detrend.{at}");
        fields.push(Arc::new(Field::new(name, column.data_type().clone(), true)));
    }
    let rows = rows_of(Arc::new(Schema::new(fields)), columns, rows.num_rows())?;
    Ok(held.batch.clone().with_rows(rows))
}

/// The rows that were saved, what is left of each signal, and whether it is known.
fn read(batch: Batch, signals: usize) -> Result<(Batch, Vec<Vec<f64>>, Vec<bool>)> {
    let rows = batch.rows();
    let count = rows.num_columns().checked_sub(signals + 1);
    let count =
        count.filter(|count| *rows.column(count + signals).data_type() == DataType::Boolean);
    let count = count.ok_or_else(|| Error::data("rows that were saved are none that waited"))?;
    let known = rows.column(count + signals).as_boolean();
    let known = known.iter().map(|known| known == Some(true)).collect();
    let made = rows.columns()[count..count + signals].iter();
    let made = made.map(|made| made.as_primitive::<Float64Type>().values().to_vec());
    let made = made.collect();
    let came: Vec<usize> = (0..count).collect();
    let rows = rows.project(&came)?;
    Ok((batch.with_rows(rows), made, known))
}
