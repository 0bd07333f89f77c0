//! `moving_average`: the mean of the last samples of signals, without drift.

use std::sync::Arc;

use dataflow_core::component::TransformConfig;
use dataflow_core::transform::Input;
use dataflow_core::{Check, Configured, Info, Located, Transform};
use dataflow_signal::average;
use schemars::JsonSchema;
use serde::Deserialize;

use super::filtering::Filtered;
use super::{Kind, Made, Signals, count};
use crate::config::{By, Texts, only_input};

/// The mean of the last samples.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MovingAverage {
    /// The columns, each of them a signal.
    columns: Texts,
    /// Keys that tell signals apart whose samples are rows of one stream: a list of columns, or a table of names and expressions.
    /// Default: none; all rows are of one signal.
    #[serde(default)]
    by: By,
    /// Of how many samples, that of the row included.
    samples: Located<u64>,
    /// How many of them must be there and be numbers; with fewer, there is no mean. Default 1: the first rows have the mean of what
    /// there is so far. As many as `samples`: null until the window is full.
    #[serde(default = "one")]
    minimum: Located<u64>,
    /// With it, the columns stay, and what comes of `x` is added behind them as `prefix_x`. Default: it takes the place of `x`.
    #[serde(default)]
    prefix: Option<Located<String>>,
}

fn one() -> Located<u64> {
    Located::nowhere(1)
}

impl Configured for MovingAverage {
    const INFO: Info = Info {
        name: "moving_average",
        summary: "The mean of the last samples of signals",
        manual: "Each row gets the mean of the last `samples` samples of its signal, its own included; at the beginning, of those that \
            are there, or null if that is fewer than `minimum`. A sample that is null, NaN or infinite has its place among them, and \
            does not count.\n\n\
            Nothing is ever subtracted from a sum, so there is no drift, and a large value leaves nothing behind when it has gone: \
            sums are made anew on a grid of blocks of `samples`, with the rounding errors carried along. A mean depends on the samples of its \
            window and on where that lies in the signal, not on how the input is cut.\n\n\
            Rows go through one worker, in order; their sampling stays. The memory is that of one batch, and of about 32 bytes per sample \
            of the window and signal. The cost per sample does not depend on the window.",
        example: "columns = [\"voltage\"]\nsamples = 100\nprefix = \"smooth\"\n",
        ports: &[],
        also_called: &["rolling_mean", "running_mean", "boxcar", "smooth", "sma"],
    };
}

impl TransformConfig for MovingAverage {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        let of = (&self.columns, &self.by, Kind::Numbers);
        let signals = Signals::check("`moving_average`", of, input, check);
        let samples = count(&self.samples, (1, "moving average"), check);
        let (signals, samples) = (signals?, samples?);
        let fewest = self.minimum.value;
        if fewest == 0 || fewest > samples {
            let message = format!("of {samples} samples there cannot be at least {fewest}");
            let help = format!("write a number from 1 to {samples}");
            check.error_at(&self.minimum, message, Some(help));
            return None;
        }
        let made = Made::check(&signals, self.prefix.as_ref(), input, check)?;
        let explained = format!("the mean of the last {samples} samples");
        Some(Arc::new(Filtered::new(
            "moving average",
            (signals, made),
            input,
            explained,
            move || Box::new(average::MovingAverage::new(samples as usize, fewest)),
        )))
    }
}
