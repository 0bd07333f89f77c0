//! `iir`: filters signals by sections of second order, written or designed.

use std::sync::Arc;

use dataflow_core::component::TransformConfig;
use dataflow_core::transform::Input;
use dataflow_core::{Check, Configured, Info, Located, Transform};
use dataflow_signal::{Family, Section, Sections, design};
use schemars::JsonSchema;
use serde::Deserialize;

use super::band::{Numbers, Passes, band};
use super::filtering::Filtered;
use super::{Kind, Made, Signals, sampling};
use crate::config::{By, Texts, only_input};

/// Filters with a memory for ever.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Iir {
    /// The columns, each of them a signal.
    columns: Texts,
    /// Keys that tell signals apart whose samples are rows of one stream: a list of columns, or a table of names and expressions.
    /// Default: none; all rows are of one signal.
    #[serde(default)]
    by: By,
    /// Sections of six coefficients `[b0, b1, b2, a0, a1, a2]`, one behind another, as scipy writes them (`output="sos"`); `a0` need not be 1.
    /// Either these or a `design`.
    #[serde(default)]
    sections: Vec<Located<Vec<f64>>>,
    /// What the filter is to do, in frequencies.
    #[serde(default)]
    design: Option<Located<Design>>,
    /// Samples per second, for a design. Default: as the source says, or the file.
    #[serde(default)]
    rate: Option<Located<f64>>,
    /// How the filter begins. Default `"zero"`.
    #[serde(default)]
    initial: Initial,
    /// With it, the columns stay, and what comes of `x` is added behind them as `prefix_x`. Default: it takes the place of `x`.
    #[serde(default)]
    prefix: Option<Located<String>>,
}

/// How a filter begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Initial {
    /// As if there had been zeros before the first sample: it jumps to where the signal is.
    #[default]
    Zero,
    /// As if the first sample had been there always.
    Steady,
}

/// A design, as scipy's `butter` and `cheby1` make it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Design {
    /// Whose. Default `"butterworth"`.
    #[serde(default, rename = "type")]
    family: Type,
    /// Which frequencies pass.
    kind: Passes,
    /// How steep it is, from 1 to 24: 6 dB per octave each. A filter with two edges has twice as many poles.
    order: Located<u32>,
    /// Where it is cut off, in hertz: one frequency, or for a band two. There a Butterworth filter has lost 3 dB, and a Chebyshev
    /// filter its ripple.
    cutoff: Located<Numbers>,
    /// How many decibels a Chebyshev filter may lose where it passes. Default 1.
    #[serde(default)]
    ripple: Option<Located<f64>>,
}

/// Whose design it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Type {
    /// As flat as can be where it passes.
    #[default]
    Butterworth,
    /// Of the first type: steeper, with ripples where it passes.
    Chebyshev,
}

/// The highest order of a design: beyond, rounding moves the poles.
const HIGHEST: u32 = 24;

impl Configured for Iir {
    const INFO: Info = Info {
        name: "iir",
        summary: "Filters signals by a low-pass, high-pass, band-pass or band-stop with feedback",
        manual: "Each column is a signal whose samples come in the order of the rows, across all batches and files. It runs through \
            sections of second order one behind another (transposed direct form II), with the sums of `scipy.signal.sosfilt` in its \
            order: the results are the same to the bit, for any cut of the input. The filter is causal, so what comes out lags \
            behind. Sections are written as scipy writes them, or made of a `design` in hertz, as `scipy.signal.butter` and `cheby1` \
            make them; a design needs the sampling rate, of the source or as `rate`. A section that would run away (a pole on or outside \
            the unit circle) is an error when the pipeline is checked.\n\n\
            A sample that is null, NaN or infinite is passed over: it becomes null, and the filter stays as it was, since \
            otherwise all samples behind it would be lost. What comes out is a float of 64 bits.\n\n\
            Rows go through one worker, in order; their sampling stays. The memory is that of one batch, and of two numbers per \
            section and signal. The cost is about 4 ns per sample for each four sections.",
        example: "columns = [\"voltage\"]\nrate = 1e6\ndesign = { kind = \"lowpass\", order = 8, cutoff = 10e3 }\n",
        ports: &[],
        also_called: &[
            "sosfilt",
            "butterworth",
            "butter",
            "lowpass",
            "highpass",
            "bandpass",
            "bandstop",
            "notch",
            "filter_signal",
        ],
    };
}

impl TransformConfig for Iir {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        let of = (&self.columns, &self.by, Kind::Numbers);
        let signals = Signals::check("`iir`", of, input, check);
        let sections = self.sections(input, check);
        let (signals, sections) = (signals?, sections?);
        let made = Made::check(&signals, self.prefix.as_ref(), input, check)?;
        let steady = self.initial == Initial::Steady;
        let explained = match sections.len() {
            1 => "1 section of second order".to_string(),
            many => format!("{many} sections of second order"),
        };
        let filter = Sections::new(&sections, steady);
        Some(Arc::new(Filtered::new(
            "filter",
            (signals, made),
            input,
            explained,
            move || Box::new(filter.clone()),
        )))
    }
}

impl Iir {
    fn sections(&self, input: &Input, check: &mut Check<'_>) -> Option<Vec<Section>> {
        match (&self.design, self.sections.is_empty()) {
            (Some(design), false) => {
                let help = "remove one of the two";
                check.error_at(
                    design,
                    "`sections` and `design` exclude each other",
                    Some(help.into()),
                );
                None
            }
            (None, true) => {
                check.error(
                    "there is no filter: say `design = { kind = \"lowpass\", order = 4, cutoff = 1000.0 }`, or `sections = [[...]]`",
                );
                None
            }
            (Some(design), true) => self.designed(design, input, check),
            (None, false) => {
                let each = self.sections.iter().enumerate();
                // All are checked before one of them fails, so that all problems are found.
                let each: Vec<_> = each.map(|(at, row)| section(at, row, check)).collect();
                each.into_iter().collect()
            }
        }
    }

    fn designed(
        &self,
        written: &Located<Design>,
        input: &Input,
        check: &mut Check<'_>,
    ) -> Option<Vec<Section>> {
        let design = &written.value;
        let why = "`iir` cannot place its frequencies";
        let sampling = sampling(self.rate.as_ref(), input, Some(why), check);
        let family = design.family(check);
        let order = design.order.value;
        if order == 0 || order > HIGHEST {
            let message = format!("a filter of order {order} cannot be made");
            let help = format!("write a number from 1 to {HIGHEST}");
            check.error_at(&design.order, message, Some(help));
            return None;
        }
        let band = band(design.kind, &design.cutoff, sampling??.rate, check)?;
        let sections = design::sections(family?, order as usize, band);
        if sections.iter().all(Section::is_stable) {
            return Some(sections);
        }
        let message = "the band is too narrow for this order: rounding moves the poles out of the unit circle";
        let help = "use a lower order, or decimate the signal first";
        check.error_at(written, message, Some(help.into()));
        None
    }
}

impl Design {
    fn family(&self, check: &mut Check<'_>) -> Option<Family> {
        match (self.family, &self.ripple) {
            (Type::Butterworth, None) => Some(Family::Butterworth),
            (Type::Butterworth, Some(ripple)) => {
                let help = "remove `ripple`, or say `type = \"chebyshev\"`";
                check.error_at(
                    ripple,
                    "a Butterworth filter has no ripple",
                    Some(help.into()),
                );
                None
            }
            (Type::Chebyshev, None) => Some(Family::Chebyshev(1.0)),
            (Type::Chebyshev, Some(ripple)) if ripple.value > 0.0 && ripple.value <= 60.0 => {
                Some(Family::Chebyshev(ripple.value))
            }
            (Type::Chebyshev, Some(ripple)) => {
                let message = format!("a filter cannot have ripples of {} dB", ripple.value);
                let help = "write decibels above 0, up to 60";
                check.error_at(ripple, message, Some(help.into()));
                None
            }
        }
    }
}

fn section(at: usize, written: &Located<Vec<f64>>, check: &mut Check<'_>) -> Option<Section> {
    let number = at + 1;
    let Ok(row) = <[f64; 6]>::try_from(&written.value[..]) else {
        let message = format!("section {number} has {} coefficients", written.value.len());
        let help = "write six: `[b0, b1, b2, a0, a1, a2]`";
        check.error_at(written, message, Some(help.into()));
        return None;
    };
    let Some(section) = Section::of(row) else {
        let message =
            format!("section {number} cannot be used: `a0` is 0, or a coefficient is no number");
        check.error_at(written, message, Some("divide by another `a0`".into()));
        return None;
    };
    if !section.is_stable() {
        let message =
            format!("section {number} is not stable: it has a pole on or outside the unit circle");
        let help = "what it remembers would grow without end; design the filter again";
        check.error_at(written, message, Some(help.into()));
        return None;
    }
    Some(section)
}
