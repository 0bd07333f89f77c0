//! `find`: events in signals as rows: crossings, edges, glitches, dropouts, runs and peaks.

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Schema};
use dataflow_core::component::TransformConfig;
use dataflow_core::transform::{Columns, Input, Port};
use dataflow_core::{Check, Configured, Info, Located, StagePlan, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

use super::finding::{Finding, Told};
use super::running::plan;
use super::searches::Make;
use super::{Kind as Columned, Signals, sampling};
use crate::config::{By, Texts, only_input};

/// Events in signals.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Find {
    /// What is looked for.
    pub(super) kind: Located<Kind>,
    /// The columns, each of them a signal; for `runs`, of conditions.
    columns: Texts,
    /// Keys that tell signals apart whose samples are rows of one stream: a list of columns, or a table of names and expressions.
    /// Default: none; all rows are of one signal.
    #[serde(default)]
    by: By,
    /// Crossings: the level that is crossed.
    #[serde(default)]
    pub(super) level: Option<Located<f64>>,
    /// Crossings and edges: which way. Default `"both"`.
    #[serde(default)]
    pub(super) direction: Option<Located<Direction>>,
    /// Edges: the level that must have been reached below. Glitches: what is lower is one.
    #[serde(default)]
    pub(super) low: Option<Located<f64>>,
    /// Edges: the level that must have been reached above. Glitches: what is higher is one.
    #[serde(default)]
    pub(super) high: Option<Located<f64>>,
    /// Glitches: they are shorter than so many samples. Dropouts and runs: they have at least so many; default 1.
    #[serde(default)]
    pub(super) samples: Option<Located<u64>>,
    /// Dropouts: samples below this count, too. Default: only what is missing does.
    #[serde(default)]
    pub(super) below: Option<Located<f64>>,
    /// Dropouts: whether samples that are all the same count, too; say how many, with `samples`. Default false.
    #[serde(default)]
    pub(super) constant: Option<Located<bool>>,
    /// Peaks: how high they are at least. Default: any height.
    #[serde(default)]
    pub(super) height: Option<Located<f64>>,
    /// Peaks: how many samples they are apart at least; of those that are nearer, the higher ones count, and of two that are as high
    /// the later one. Default 1.
    #[serde(default)]
    pub(super) distance: Option<Located<u64>>,
    /// Peaks: how far they stand out at least from what is around them within `wlen`.
    #[serde(default)]
    pub(super) prominence: Option<Located<f64>>,
    /// Peaks: in how many samples around each its prominence is looked for. Needed for `prominence`; the signal has no end that could be waited for.
    #[serde(default)]
    pub(super) wlen: Option<Located<u64>>,
    /// Samples per second, for the `time` of events. Default: as the source says, or the file; where nobody does, `time` is null.
    #[serde(default)]
    rate: Option<Located<f64>>,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Where the signal crosses a level.
    Crossings,
    /// Where it goes from one level to another.
    Edges,
    /// Short excursions.
    Glitches,
    /// Where there is no signal.
    Dropouts,
    /// Where a condition is met.
    Runs,
    /// Where it is highest.
    Peaks,
}

impl Kind {
    /// What an event of this kind is called, in the column `kind`.
    fn event(self) -> &'static str {
        match self {
            Self::Crossings => "crossing",
            Self::Edges => "edge",
            Self::Glitches => "glitch",
            Self::Dropouts => "dropout",
            Self::Runs => "run",
            Self::Peaks => "peak",
        }
    }

    /// The keys that say more of it.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Crossings => &["level", "direction"],
            Self::Edges => &["low", "high", "direction"],
            Self::Glitches => &["low", "high", "samples"],
            Self::Dropouts => &["below", "constant", "samples"],
            Self::Runs => &["samples"],
            Self::Peaks => &["height", "distance", "prominence", "wlen"],
        }
    }
}

/// Which way a signal goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Direction {
    /// Up.
    Rising,
    /// Down.
    Falling,
    /// Any.
    Both,
}

impl Configured for Find {
    const INFO: Info = Info {
        name: "find",
        summary: "Finds crossings, edges, glitches, dropouts, runs and peaks in signals, a row for each",
        manual: "Each column is a signal whose samples come in the order of the rows, across all batches and files.\n\n\
            - `crossings`: where it gets to `level` from below, or below it from there. The time is that at which the straight line between the two \
            samples is at the level.\n\
            - `edges`: where it reaches `high` after it was at `low` or below, or `low` after it was at `high` or above. What goes to \
            and fro in between is none. The time is that at which it reached the level.\n\
            - `glitches`: excursions above `high` or below `low` (at least one of them) of fewer than `samples` samples, which begin and \
            end within the signal. The value is the one furthest out.\n\
            - `dropouts`: at least `samples` samples in a row that are missing (null, NaN or infinite), or with `below`, below it, or with \
            `constant = true`, all the same. `what` says which.\n\
            - `runs`: at least `samples` rows in a row for which a column of conditions is true.\n\
            - `peaks`: samples that are higher than both neighbours, and the middles of flat tops, as `scipy.signal.find_peaks` finds them in the \
            whole signal: with `height`, then `distance`, then `prominence` within `wlen`.\n\n\
            A row has the keys of its signal, `column`, `kind`, `sample` (the number of the sample in its signal, from 0; of a longer event \
            the first), `time` (seconds, by the sampling rate), `value`, `length` (in samples), `what` (`rising` or `falling`, `above` or \
            `below`, `missing`, `below` or `constant`) and with `wlen` `prominence`. Where samples are missing, crossings, edges and glitches are \
            looked for in those around, and there is no peak beside one.\n\n\
            An event leaves when it is known, so where rows have event time, its own is that of the row by which it is known: a crossing's \
            own row, for a run the row behind it, for a peak with `wlen` half of that behind it. Events are in the order in which they \
            were known, of one row in the order of `columns`.\n\n\
            Rows go through one worker, in order. The memory is a few numbers per signal, for peaks with `wlen` two to four for each sample of it; peaks with a \
            `distance` wait as long as each is followed by a higher one within it, and where these are too many for the budget, the run stops and \
            says so. The cost is a few nanoseconds per sample; of a peak's prominence, that of looking at the samples around it, up to a higher one.",
        example: "kind = \"peaks\"\ncolumns = [\"voltage\"]\nheight = 0.5\ndistance = 3\n",
        ports: &[],
        also_called: &[
            "find_peaks",
            "peaks",
            "crossings",
            "edges",
            "glitches",
            "dropouts",
            "events",
            "zero_crossings",
            "trigger",
        ],
    };
}

impl TransformConfig for Find {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        let of_columns = match self.kind.value {
            Kind::Runs => Columned::Conditions,
            _ => Columned::Numbers,
        };
        let of = (&self.columns, &self.by, of_columns);
        let signals = Signals::check("`find`", of, input, check);
        let sampling = sampling(self.rate.as_ref(), input, None, check);
        let fits = self.fits(check);
        let finder = self.finder(check);
        let (signals, sampling, finder) = (signals?, sampling?, finder?);
        fits.then_some(())?;
        let told = Told {
            kind: self.kind.value.event(),
            sampling,
            prominence: self.wlen.is_some(),
            fields: self.fields(&signals, check)?,
        };
        let port = Port::main(Arc::new(Schema::new(told.fields.clone())));
        Some(Arc::new(Checked {
            explained: vec![format!("a row for each {}", told.kind), signals.explain()],
            signals,
            told,
            finder,
            port: [port.timed(input.timed)],
        }))
    }
}

impl Find {
    /// Reports keys that say nothing of this kind.
    fn fits(&self, check: &mut Check<'_>) -> bool {
        let written = [
            ("level", self.level.as_ref().map(|at| at.span)),
            ("direction", self.direction.as_ref().map(|at| at.span)),
            ("low", self.low.as_ref().map(|at| at.span)),
            ("high", self.high.as_ref().map(|at| at.span)),
            ("samples", self.samples.as_ref().map(|at| at.span)),
            ("below", self.below.as_ref().map(|at| at.span)),
            ("constant", self.constant.as_ref().map(|at| at.span)),
            ("height", self.height.as_ref().map(|at| at.span)),
            ("distance", self.distance.as_ref().map(|at| at.span)),
            ("prominence", self.prominence.as_ref().map(|at| at.span)),
            ("wlen", self.wlen.as_ref().map(|at| at.span)),
        ];
        let kind = self.kind.value;
        let mut fits = true;
        for (key, span) in written {
            if let (Some(span), false) = (span, kind.keys().contains(&key)) {
                let message = format!("`{key}` says nothing of a {}", kind.event());
                let known: Vec<String> = kind.keys().iter().map(|k| format!("`{k}`")).collect();
                let help = format!("remove it; what it is can be said by {}", known.join(", "));
                check.error_at(&Located { value: (), span }, message, Some(help));
                fits = false;
            }
        }
        fits
    }

    fn fields(&self, signals: &Signals, check: &mut Check<'_>) -> Option<Vec<FieldRef>> {
        let keys = signals.keys.iter();
        let mut fields: Vec<Field> = keys
            .map(|key| key.field().clone().with_nullable(true))
            .collect();
        let own = [
            ("column", DataType::Utf8, false),
            ("kind", DataType::Utf8, false),
            ("sample", DataType::Int64, false),
            ("time", DataType::Float64, true),
            ("value", DataType::Float64, true),
            ("length", DataType::Int64, false),
            ("what", DataType::Utf8, true),
        ];
        for (name, of, nullable) in own {
            fields.push(Field::new(name, of, nullable));
        }
        if self.wlen.is_some() {
            fields.push(Field::new("prominence", DataType::Float64, false));
        }
        let names: Vec<&String> = fields.iter().map(|field| field.name()).collect();
        let doubled = |at: &usize| names[..*at].contains(&names[*at]);
        if let Some(at) = (0..names.len()).find(doubled) {
            let name = names[at];
            check.error(format!(
                "there would be two columns `{name}`: give the key another name, `by = {{ of_{name} = \"{name}\" }}`"
            ));
            return None;
        }
        Some(fields.into_iter().map(Arc::new).collect())
    }
}

struct Checked {
    signals: Signals,
    told: Told,
    finder: Make,
    explained: Vec<String>,
    port: [Port; 1],
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.port
    }

    fn stages(&self) -> Vec<StagePlan> {
        let (names, told) = (self.signals.names.clone(), self.told.clone());
        let finder = Arc::clone(&self.finder);
        let mut plan = plan("events", &self.signals, move |context| {
            let make = Arc::clone(&finder);
            Finding::new(names.clone(), told.clone(), make, context.batch_rows)
        });
        plan.amplifies = true;
        vec![plan]
    }

    fn needs(&self, _: usize, _: &[Columns]) -> Columns {
        self.signals.needs(&[], &[])
    }

    fn explain(&self) -> Vec<String> {
        self.explained.clone()
    }
}
