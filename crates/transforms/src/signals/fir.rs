//! `fir`: filters signals by a weighted sum of the last samples, whose weights are written or designed.

use std::sync::Arc;

use dataflow_core::component::TransformConfig;
use dataflow_core::transform::Input;
use dataflow_core::{Check, Configured, Info, Located, Transform};
use dataflow_signal::{Band, Taps, Window, taps};
use schemars::JsonSchema;
use serde::Deserialize;

use super::band::{Numbers, Passes, band};
use super::filtering::Filtered;
use super::{Kind, Made, Signals, sampling};
use crate::config::{By, Texts, only_input};

/// A weighted sum of the last samples.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fir {
    /// The columns, each of them a signal.
    columns: Texts,
    /// Keys that tell signals apart whose samples are rows of one stream: a list of columns, or a table of names and expressions.
    /// Default: none; all rows are of one signal.
    #[serde(default)]
    by: By,
    /// The weights, that of the newest sample first. Either these or a `design`.
    #[serde(default)]
    taps: Option<Located<Vec<f64>>>,
    /// What the filter is to do, in frequencies.
    #[serde(default)]
    design: Option<Located<Design>>,
    /// Samples per second, for a design. Default: as the source says, or the file.
    #[serde(default)]
    rate: Option<Located<f64>>,
    /// With it, the columns stay, and what comes of `x` is added behind them as `prefix_x`. Default: it takes the place of `x`.
    #[serde(default)]
    prefix: Option<Located<String>>,
}

/// A design by a window, as scipy's `firwin` makes it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Design {
    /// Which frequencies pass.
    kind: Passes,
    /// Where it is cut off, in hertz: one frequency, or for a band two. There half of the amplitude is left.
    cutoff: Located<Numbers>,
    /// How many weights there are, from 3 to 65536. More make it steeper; the cost grows with them. Default 101.
    #[serde(default = "default_taps")]
    taps: Located<usize>,
    /// The window that fades the ideal filter out, written as in `welch`. Default `"hamming"`.
    #[serde(default = "default_window")]
    window: Located<String>,
}

fn default_taps() -> Located<usize> {
    Located::nowhere(101)
}

fn default_window() -> Located<String> {
    Located::nowhere("hamming".to_string())
}

/// More weights than this are too many to be summed for each sample.
const MOST_TAPS: usize = 1 << 16;

impl Configured for Fir {
    const INFO: Info = Info {
        name: "fir",
        summary: "Filters signals by a weighted sum of the last samples",
        manual: "Each column is a signal whose samples come in the order of the rows, across all batches and files. A row gets \
            `taps[0] * x[n] + taps[1] * x[n - 1] + ...`, as `scipy.signal.lfilter(taps, 1, x)` does; before the first sample there are \
            zeros. The filter is causal: with symmetric weights, what comes out lags `(taps - 1) / 2` samples behind. The weights are \
            written, or made of a `design` in hertz, as `scipy.signal.firwin` makes them; a design needs the sampling rate, of the \
            source or as `rate`.\n\n\
            A sample that is null, NaN or infinite is passed over: it becomes null, and is not among the last samples of those behind. \
            What comes out is a float of 64 bits, summed from the newest sample on, so it does not depend on how the input is cut. \
            Long filters are not made faster by a transform: rows would have to wait until a block of them is there.\n\n\
            Rows go through one worker, in order; their sampling stays. The memory is that of one batch, and of a number per weight \
            and signal. The cost per sample is about a quarter of a nanosecond for each weight.",
        example: "columns = [\"voltage\"]\nrate = 1e6\ndesign = { kind = \"bandpass\", cutoff = [10e3, 20e3], taps = 51 }\n",
        ports: &[],
        also_called: &["lfilter", "firwin", "convolve", "convolution"],
    };
}

impl TransformConfig for Fir {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        let of = (&self.columns, &self.by, Kind::Numbers);
        let signals = Signals::check("`fir`", of, input, check);
        let taps = self.taps(input, check);
        let (signals, taps) = (signals?, taps?);
        let made = Made::check(&signals, self.prefix.as_ref(), input, check)?;
        let explained = format!("the weighted sum of the last {} samples", taps.len());
        let filter = Taps::new(&taps);
        Some(Arc::new(Filtered::new(
            "weighted sums",
            (signals, made),
            input,
            explained,
            move || Box::new(filter.clone()),
        )))
    }
}

impl Fir {
    fn taps(&self, input: &Input, check: &mut Check<'_>) -> Option<Vec<f64>> {
        match (&self.taps, &self.design) {
            (Some(_), Some(design)) => {
                let help = "remove one of the two";
                check.error_at(
                    design,
                    "`taps` and `design` exclude each other",
                    Some(help.into()),
                );
                None
            }
            (None, None) => {
                check.error(
                    "there is no filter: say `design = { kind = \"lowpass\", cutoff = 1000.0 }`, or `taps = [...]`",
                );
                None
            }
            (Some(taps), None) => {
                let count = taps.value.len();
                let fine = (1..=MOST_TAPS).contains(&count);
                if fine && taps.value.iter().all(|tap| tap.is_finite()) {
                    return Some(taps.value.clone());
                }
                let message = "these are no weights of a filter";
                let help = format!("write from 1 to {MOST_TAPS} numbers");
                check.error_at(taps, message, Some(help));
                None
            }
            (None, Some(design)) => self.designed(&design.value, input, check),
        }
    }

    fn designed(&self, design: &Design, input: &Input, check: &mut Check<'_>) -> Option<Vec<f64>> {
        let why = "`fir` cannot place its frequencies";
        let sampling = sampling(self.rate.as_ref(), input, Some(why), check);
        let window = design.window.value.parse::<Window>();
        if let Err(message) = &window {
            check.error_at(&design.window, message.as_str(), None);
        }
        let count = design.taps.value;
        if !(3..=MOST_TAPS).contains(&count) {
            let message = format!("a filter of {count} weights cannot be made");
            let help = format!("write a number from 3 to {MOST_TAPS}");
            check.error_at(&design.taps, message, Some(help));
            return None;
        }
        let band = band(design.kind, &design.cutoff, sampling??.rate, check)?;
        if matches!(band, Band::High(_) | Band::Stop(..)) && count.is_multiple_of(2) {
            let message = "with an even number of weights nothing passes at half the sampling rate, so this filter cannot be made";
            let help = format!("write `taps = {}`", count + 1);
            check.error_at(&design.taps, message, Some(help));
            return None;
        }
        Some(taps::design(count, band, window.ok()?))
    }
}
