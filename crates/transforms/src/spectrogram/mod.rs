//! `spectrogram`: a row for each segment of a signal, with its spectrum.
//!
//! Where places number the samples, each worker makes the spectra of the segments that lie inside its own batches, and passes on the
//! samples at their ends; one worker makes those of the segments across ([`cutting`], [`joining`]). Else that worker makes all of
//! them. A segment's spectrum is a function of its samples, so nobody can tell.

mod cutting;
mod joining;
mod spectra;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use dataflow_core::component::TransformConfig;
use dataflow_core::transform::{Columns, Emits, Input, Port, Route};
use dataflow_core::words::type_word;
use dataflow_core::{Check, Configured, Info, Located, Sampled, Sampling, StagePlan, Transform};
use dataflow_signal::{Detrend, Grid, Shape, Window};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{column_index, only_input};
use cutting::Cutting;
use joining::Joining;

/// The key of the metadata that tells which frequencies the values of a row have, as JSON: the first, the step, and how many.
pub(crate) const FREQUENCIES: &str = "dataflow.frequencies";

/// The spectra of a signal's segments.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spectrogram {
    /// The column that has the signal.
    column: Located<String>,
    /// The column that has the imaginary part, if the signal is complex. Default: it is real.
    #[serde(default)]
    imaginary: Option<Located<String>>,
    /// Samples of a segment. Default 1024.
    #[serde(default)]
    segment: Option<Located<u64>>,
    /// Samples that a segment shares with the next one. Default: half of a segment.
    #[serde(default)]
    overlap: Option<Located<u64>>,
    /// Points of the transform, if more than samples: the rest is zeros. Default: as many as `segment`.
    #[serde(default)]
    points: Option<Located<u64>>,
    /// `"hann"`, `"hamming"`, `"blackman"`, `"blackmanharris"`, `"flattop"`, `"boxcar"`, `"kaiser(8.6)"`, `"tukey(0.25)"` or
    /// `"gaussian(512)"`. Default `"hann"`.
    #[serde(default)]
    window: Option<Located<String>>,
    /// What is taken out of each segment: `"constant"` (its mean), `"linear"` or `"none"`. Default `"constant"`.
    #[serde(default)]
    detrend: Option<Located<String>>,
    /// Power per hertz, or power. Default `"density"`.
    #[serde(default)]
    scaling: Scaling,
    /// Whether values are decibels, ten times the decimal logarithm of the power. Default false.
    #[serde(default)]
    decibels: bool,
    /// With `decibels`, what is less counts as this. Default -200.
    #[serde(default)]
    floor: Option<Located<f64>>,
    /// Whether a real signal has its negative frequencies too. Default false.
    #[serde(default)]
    two_sided: bool,
    /// Samples per second. Default: as the source says.
    #[serde(default)]
    rate: Option<Located<f64>>,
}

/// What a value is.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Scaling {
    /// Power per hertz.
    #[default]
    Density,
    /// Power: a sine of amplitude 1 has 1/2.
    Spectrum,
}

impl Configured for Spectrogram {
    const INFO: Info = Info {
        name: "spectrogram",
        summary: "Makes a row of each segment of a signal, with its spectrum",
        manual: "The rows are `time`, the middle of the segment in seconds of the signal, and `power`, a list with a value for each frequency, \
            as `scipy.signal.spectrogram` gives them for the whole signal with the same window and overlap. Segments lie on one grid over the whole signal, however \
            it comes in pieces; samples behind the last whole one do not count. Which frequencies the values have is in the metadata of the columns \
            (`dataflow.frequencies`: first, step, count), for the `plot` and `file` sinks; `unnest` makes a row of each value.\n\n\
            A segment with a sample that is null, NaN or infinite, or that is missing, has null in place of its list, so that the grid has no holes. The rate is the source's \
            (`sampling`) or `rate`.\n\n\
            The cost is that of the transforms, 2 to 4 ns a sample of a segment, and as much for decibels. Where places number the samples, all workers \
            make spectra; they leave in order. The memory is that of two segments and a few rows.",
        example: "column = \"voltage\"\nsegment = 128\nwindow = \"blackman\"\ndecibels = true\nrate = 1e6\n",
        ports: &[],
        also_called: &["stft", "specgram", "waterfall"],
    };
}

/// A spectrogram's settings.
#[derive(Clone, Debug)]
struct Settings {
    columns: Vec<String>,
    shape: Shape,
    grid: Grid,
    rate: f64,
    start: f64,
    scaling: Scaling,
    /// The least value, where values are decibels.
    floor: Option<f64>,
    /// Whether places number the samples.
    numbered: bool,
    /// The columns of what leaves.
    output: SchemaRef,
}

impl TransformConfig for Spectrogram {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        let columns = self.columns(input, check);
        let grid = self.grid(check);
        let window = parsed(self.window.as_ref(), Window::Hann, check);
        let detrend = parsed(self.detrend.as_ref(), Detrend::Constant, check);
        let sampling = self.sampling(input, check);
        let grid = grid?;
        let points = self.points(&grid, check);
        let shape = Shape {
            segment: grid.segment as usize,
            points: points?,
            window: window?,
            detrend: detrend?,
            complex: grid.width == 2,
            two_sided: self.two_sided,
        };
        let (columns, sampling) = (columns?, sampling?);
        let settings = Settings {
            output: output(&shape, sampling.rate),
            columns,
            grid,
            rate: sampling.rate,
            start: sampling.start,
            scaling: self.scaling,
            floor: self
                .decibels
                .then(|| self.floor.map_or(-200.0, |floor| floor.value)),
            numbered: sampling.numbered,
            shape,
        };
        let every = Sampling::of(settings.rate / settings.grid.hop as f64).from(settings.time(0));
        let port = Port::main(Arc::clone(&settings.output)).sampled(Some(every));
        Some(Arc::new(Checked {
            settings: Arc::new(settings),
            port: [port],
        }))
    }
}

fn parsed<T: FromStr<Err = String>>(
    written: Option<&Located<String>>,
    usual: T,
    check: &mut Check<'_>,
) -> Option<T> {
    let Some(written) = written else {
        return Some(usual);
    };
    let parsed = written.parse();
    parsed
        .map_err(|message| check.error_at(written, message, None))
        .ok()
}

fn output(shape: &Shape, rate: f64) -> SchemaRef {
    let first = shape.frequency(0, rate);
    let frequencies = serde_json::json!({
        "first": first,
        "step": rate / shape.points as f64,
        "count": shape.bins(),
    });
    let metadata = HashMap::from([(FREQUENCIES.to_string(), frequencies.to_string())]);
    let values = Field::new_list_field(DataType::Float64, true);
    let fields = vec![
        Field::new("time", DataType::Float64, false),
        Field::new("power", DataType::List(Arc::new(values)), true),
    ];
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

impl Spectrogram {
    fn columns(&self, input: &Input, check: &mut Check<'_>) -> Option<Vec<String>> {
        // All are looked at before one of them fails, so that all problems are found.
        let names = [Some(&self.column), self.imaginary.as_ref()];
        let column = |name: &Located<String>| {
            let at = column_index(name, &input.schema, check)?;
            let data_type = input.schema.field(at).data_type();
            if data_type.is_numeric() {
                return Some(name.value.clone());
            }
            let message = format!(
                "`{}` is {}, and a signal is numbers",
                name.value,
                type_word(data_type)
            );
            check.error_at(name, message, None);
            None
        };
        let found: Vec<Option<String>> = names.into_iter().flatten().map(column).collect();
        found.into_iter().collect()
    }

    fn grid(&self, check: &mut Check<'_>) -> Option<Grid> {
        const LONGEST: u64 = 1 << 26;
        let segment = self.segment.as_ref().map_or(1024, |segment| segment.value);
        if let Some(written) = self
            .segment
            .as_ref()
            .filter(|s| !(1..=LONGEST).contains(&s.value))
        {
            let message = format!(
                "a segment has 1 to {LONGEST} samples, not {}",
                written.value
            );
            check.error_at(written, message, None);
            return None;
        }
        let overlap = self
            .overlap
            .as_ref()
            .map_or(segment / 2, |overlap| overlap.value);
        if let Some(written) = self.overlap.as_ref().filter(|o| o.value >= segment) {
            let message = format!(
                "segments of {segment} samples cannot share {}",
                written.value
            );
            let help = format!(
                "take an overlap of at most {}, or longer segments",
                segment - 1
            );
            check.error_at(written, message, Some(help));
            return None;
        }
        Some(Grid {
            segment,
            hop: segment - overlap,
            width: 1 + usize::from(self.imaginary.is_some()),
        })
    }

    fn points(&self, grid: &Grid, check: &mut Check<'_>) -> Option<usize> {
        const MOST: u64 = 1 << 28;
        let Some(written) = &self.points else {
            return Some(grid.segment as usize);
        };
        if (grid.segment..=MOST).contains(&written.value) {
            return Some(written.value as usize);
        }
        let message = format!(
            "a transform has {} (the samples of a segment) to {MOST} points, not {}",
            grid.segment, written.value
        );
        check.error_at(written, message, None);
        None
    }

    fn sampling(&self, input: &Input, check: &mut Check<'_>) -> Option<Sampling> {
        let known = input.sampled.known();
        let Some(written) = &self.rate else {
            if known.is_none() {
                let message = format!(
                    "the sampling rate is not known: {}",
                    input.sampled.missing().0
                );
                let help = match &input.sampled {
                    Sampled::Lost(id) => {
                        format!("take the rows from before `{id}`, or write `rate = 1e6`")
                    }
                    _ => "say it in the source, `sampling = { rate = 1e6 }`, or here, `rate = 1e6`"
                        .into(),
                };
                check.error_at(&self.column, message, Some(help));
            }
            return known;
        };
        if !(written.value > 0.0 && written.value.is_finite()) {
            let message = format!("{} samples per second are no rate", written.value);
            check.error_at(written, message, None);
            return None;
        }
        let known = known.unwrap_or(Sampling::of(written.value));
        Some(Sampling {
            rate: written.value,
            ..known
        })
    }
}

impl Settings {
    /// The middle of a segment, in seconds.
    fn time(&self, number: u64) -> f64 {
        let middle = (number * self.grid.hop) as f64 + self.grid.segment as f64 / 2.0;
        self.start + middle / self.rate
    }
}

struct Checked {
    settings: Arc<Settings>,
    port: [Port; 1],
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.port
    }

    fn stages(&self) -> Vec<StagePlan> {
        let settings = Arc::clone(&self.settings);
        let mut cutting = StagePlan::local("segments", move |_| Ok(Cutting::new(&settings)));
        cutting.places = self.settings.numbered;
        let settings = Arc::clone(&self.settings);
        let across = move |_| Ok(Joining::new(&settings));
        let mut joining = StagePlan::local("segments across", across);
        joining.route = Route::Gather;
        joining.ordered = true;
        joining.emits = Emits::InOrder;
        for stage in [&mut cutting, &mut joining] {
            stage.amplifies = true;
        }
        vec![cutting, joining]
    }

    fn needs(&self, _: usize, _: &[Columns]) -> Columns {
        Columns::named(self.settings.columns.iter().cloned())
    }

    fn explain(&self) -> Vec<String> {
        let (shape, grid) = (&self.settings.shape, &self.settings.grid);
        let mut lines = vec![format!(
            "segments of {} samples, a {} window, one every {} samples, {} frequencies",
            grid.segment,
            shape.window,
            grid.hop,
            shape.bins()
        )];
        if !self.settings.numbered {
            lines.push(
                "one worker makes all spectra, since places do not number the samples".into(),
            );
        }
        lines
    }
}
