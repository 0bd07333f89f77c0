//! The setting `sampling` of sources: their rows are the samples of a signal, so many per second.

use dataflow_core::{Check, Located, Sampling};
use schemars::JsonSchema;
use serde::Deserialize;

/// How rows sample a signal.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SamplingConfig {
    /// Samples per second. Default 0: as the files (or the preset) say.
    #[serde(default)]
    pub rate: f64,
    /// When the first sample was taken, in seconds of the signal's own time; before a trigger it is negative. Default 0.
    #[serde(default)]
    pub start: f64,
}

/// The sampling that was declared, else what is known otherwise; the outer none: something is wrong with it.
pub(crate) fn sampling(
    declared: Option<&Located<SamplingConfig>>,
    known: Option<Sampling>,
    check: &mut Check<'_>,
) -> Option<Option<Sampling>> {
    let Some(declared) = declared else {
        return Some(known);
    };
    let (rate, start) = (declared.value.rate, declared.value.start);
    if rate == 0.0 && start.is_finite() {
        let begun = |known: Sampling| {
            if start == 0.0 {
                known
            } else {
                known.from(start)
            }
        };
        return Some(known.map(begun));
    }
    if !(rate.is_finite() && rate > 0.0 && start.is_finite()) {
        let message =
            "a signal has a positive number of samples per second, and begins at some time";
        let help = "write for instance `sampling = { rate = 1e6, start = -0.5 }`";
        check.error_at(declared, message, Some(help.into()));
        return None;
    }
    Some(Some(Sampling::of(rate).from(start)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GenerateConfig;
    use crate::testing::{build, source};

    #[test]
    fn a_rate_is_positive() {
        for rate in ["-1e-9", "-1.0", "inf", "nan"] {
            let text = format!("preset = \"trace\"\nsampling = {{ rate = {rate} }}");
            let (made, said) = build::<GenerateConfig>(&text, false);
            assert!(made.is_none(), "{rate}");
            assert!(said[0].contains("positive number of samples"), "{said:?}");
        }
    }

    #[test]
    fn samples_are_numbered_from_the_first() {
        let of = |text: &str| source::<GenerateConfig>(text).ports()[0].sampling;
        let trace = Sampling::of(1e6).numbered(true);
        assert_eq!(of("preset = \"trace\""), Some(trace));
        let said = Sampling::of(2e3).from(-1.5).numbered(true);
        let text = "preset = \"cells\"\nsampling = { rate = 2e3, start = -1.5 }";
        assert_eq!(of(text), Some(said));
        assert_eq!(of("preset = \"cells\""), None);
        let known = "preset = \"trace\"\nsampling = { rate = 0, start = 2.0 }";
        assert_eq!(of(known), Some(trace.from(2.0)));
    }
}
