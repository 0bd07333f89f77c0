//! Frequencies of filters as they are written: which pass, from where or where to, against the sampling rate.

use std::borrow::Cow;
use std::fmt;

use dataflow_core::{Check, Located};
use dataflow_signal::Band;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

/// A number, or several.
#[derive(Clone, Debug)]
pub(super) struct Numbers(pub(super) Vec<f64>);

struct NumbersVisitor;

impl<'de> Visitor<'de> for NumbersVisitor {
    type Value = Numbers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a list of numbers")
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Numbers, E> {
        Ok(Numbers(vec![number as f64]))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Numbers, E> {
        Ok(Numbers(vec![number]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Numbers, A::Error> {
        let mut numbers = Vec::new();
        while let Some(number) = list.next_element()? {
            numbers.push(number);
        }
        Ok(Numbers(numbers))
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumbersVisitor)
    }
}

impl JsonSchema for Numbers {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Numbers".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "number" },
            { "type": "array", "items": { "type": "number" } },
        ] })
    }
}

/// Which frequencies pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Passes {
    /// Those below the cutoff.
    Lowpass,
    /// Those above it.
    Highpass,
    /// Those between two.
    Bandpass,
    /// Those outside of two.
    Bandstop,
}

/// The band of a design, for signals of so many samples per second.
pub(super) fn band(
    passes: Passes,
    cutoff: &Located<Numbers>,
    rate: f64,
    check: &mut Check<'_>,
) -> Option<Band> {
    let half = rate / 2.0;
    let edges = &cutoff.value.0;
    let outside = |edge: &f64| !(*edge > 0.0 && *edge < half);
    if let Some(edge) = edges.iter().copied().find(outside) {
        let message =
            format!("no filter can be cut off at {edge} Hz: there are {rate} samples per second");
        let help = format!("write a frequency above 0 and below {half} Hz, half the sampling rate");
        check.error_at(cutoff, message, Some(help));
        return None;
    }
    let share = |edge: f64| edge / half;
    match (passes, edges[..].as_ref()) {
        (Passes::Lowpass, [edge]) => Some(Band::Low(share(*edge))),
        (Passes::Highpass, [edge]) => Some(Band::High(share(*edge))),
        (Passes::Bandpass, [from, to]) if from < to => Some(Band::Pass(share(*from), share(*to))),
        (Passes::Bandstop, [from, to]) if from < to => Some(Band::Stop(share(*from), share(*to))),
        _ => {
            let help = match passes {
                Passes::Lowpass | Passes::Highpass => "write one frequency: `cutoff = 1000.0`",
                _ => "write two, the lower one first: `cutoff = [100.0, 200.0]`",
            };
            let message = "these are not the frequencies of such a filter";
            check.error_at(cutoff, message, Some(help.into()));
            None
        }
    }
}
