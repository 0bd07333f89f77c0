//! The setting `sampling` of sources: their rows are the samples of a signal, so many per second.

use dataflow_core::{Check, Located, Sampling};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::time::TimeUnit;

/// How rows sample a signal.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct SamplingConfig {
    /// Samples per second. Default, and 0: as the files (or the preset) say, or the times in `column`.
    pub rate: Option<f64>,
    /// When the first sample was taken, in seconds of the signal's own time; before a trigger it is negative. Default: the first
    /// time in `column`, else 0.
    pub start: Option<f64>,
    /// The column of a file with the time of each sample. The rate is found from the steps of its first rows (a rate within a
    /// millionth of a whole number is that one), and all steps are looked at: gaps are counted in the closing report. Default: none.
    pub column: Option<Located<String>>,
    /// What its numbers count: `"s"`, `"ms"`, `"us"` or `"ns"`. Default: what its name says, as in `Time (ms)`, else seconds.
    pub unit: Option<TimeUnit>,
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
    let known_rate = known.map(|known| known.rate);
    let asked = declared.rate.is_some_and(|rate| rate == 0.0);
    if asked && known.is_none() {
        // Whoever needs it says so.
        return Some(None);
    }
    let Some(rate) = declared.rate.filter(|_| !asked).or(known_rate) else {
        let message = "nothing says how many samples there are per second";
        let help = "write for instance `sampling = { rate = 1e6 }`";
        check.error_at(declared, message, Some(help.into()));
        return None;
    };
    let start = declared.start.or(known.map(|known| known.start));
    let start = start.unwrap_or(0.0);
    if !(rate.is_finite() && rate > 0.0 && start.is_finite()) {
        let message =
            "a signal has a positive number of samples per second, and begins at some time";
        let help = "write for instance `sampling = { rate = 1e6, start = -0.5 }`";
        check.error_at(declared, message, Some(help.into()));
        return None;
    }
    Some(Some(Sampling::of(rate).from(start)))
}

/// The same where there is no file whose times could be looked at.
pub(crate) fn without_column(
    declared: Option<&Located<SamplingConfig>>,
    known: Option<Sampling>,
    check: &mut Check<'_>,
) -> Option<Option<Sampling>> {
    if let Some(column) = declared.and_then(|declared| declared.column.as_ref()) {
        let message = "generated rows have no column whose times would have to be looked at";
        let help = "write how many samples per second there are: `sampling = { rate = 1e6 }`";
        check.error_at(column, message, Some(help.into()));
        return None;
    }
    sampling(declared, known, check)
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
        let (_, said) = build::<GenerateConfig>("preset = \"cells\"\nsampling = {}", false);
        assert!(
            said[0].contains("nothing says how many samples"),
            "{said:?}"
        );
        let text = "preset = \"cells\"\nsampling = { column = \"x\" }";
        let (_, said) = build::<GenerateConfig>(text, false);
        assert!(
            said[0].contains("generated rows have no column"),
            "{said:?}"
        );
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
