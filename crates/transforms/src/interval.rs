//! `interval`: the pairs of rows of a key that happened within a span of one another.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use dataflow_core::component::TransformConfig;
use dataflow_core::transform::Input;
use dataflow_core::units::Duration;
use dataflow_core::{Check, Configured, Info, Located, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::config::By;
use crate::time_join::{self, PORTS, Rule, Unmatched, Written};

/// Pairs of rows that happened within a span of one another.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Interval {
    /// Where the rows to be matched come from: the id of a component, or `id.port`.
    table: Located<String>,
    /// The columns that must be equal: a list of names that both sides have, or a table of the main side's names and the table's:
    /// `{ device = "sensor" }`.
    on: By,
    /// How far apart the times of a pair may be, this far included: `"5s"`; or how much older than the row and how much newer
    /// the table's row may be: `{ before = "5s", after = "0s" }`, of which each is nothing by default and may be negative.
    within: Located<Within>,
    /// Which rows leave: pairs only (`"inner"`), or also the rows of the main side without a match, with nulls (`"left"`).
    #[serde(default)]
    kind: Kind,
    /// Put before the names of the table's columns. Default: nothing.
    #[serde(default)]
    prefix: Option<Located<String>>,
    /// The name of a column with the time of the table's row. Default: there is no such column.
    #[serde(default)]
    time_as: Option<Located<String>>,
}

/// Which rows leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// Pairs.
    #[default]
    Inner,
    /// Pairs, and rows of the main side without a match.
    Left,
}

/// How much older and how much newer than a row those may be that match it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Within {
    before: Duration,
    after: Duration,
}

struct WithinVisitor;

impl<'de> Visitor<'de> for WithinVisitor {
    type Value = Within;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a duration such as \"5s\", or a table such as { before = \"5s\", after = \"0s\" }",
        )
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Within, E> {
        let both = text.parse::<Duration>().map_err(E::custom)?;
        Ok(Within {
            before: both,
            after: both,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Within, A::Error> {
        let mut within = Within {
            before: Duration::default(),
            after: Duration::default(),
        };
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "before" => within.before = map.next_value()?,
                "after" => within.after = map.next_value()?,
                _ => return Err(A::Error::unknown_field(&key, &["before", "after"])),
            }
        }
        Ok(within)
    }
}

impl<'de> Deserialize<'de> for Within {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WithinVisitor)
    }
}

impl JsonSchema for Within {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Within".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string" },
            {
                "type": "object",
                "properties": { "before": { "type": "string" }, "after": { "type": "string" } },
                "additionalProperties": false,
            },
        ] })
    }
}

impl Configured for Interval {
    const INFO: Info = Info {
        name: "interval",
        summary: "Pairs of rows of a key that happened within a span of one another",
        manual: "Both sides have event time. A row of `inputs` and a row of `table` make a pair if they are equal in the columns \
            of `on` and the time of the table's row lies within `within` around that of the row, both ends included. A null \
            in a key matches nothing; -0.0 is 0.0 and all NaN are one. Types that cannot be compared exactly are an \
            error.\n\n\
            The columns are those of the row, then those of the table without its columns of `on`, then `time_as`. Pairs leave \
            in the order of (time, key, place of the row, place of the table's row) and have the event time of the row. Rows \
            of either side that are older than their source's `lateness` allows leave on `late`, and the message tells \
            the side.\n\n\
            The pairs of a row leave when the watermark has passed its time and `after`. The cost per row is that of finding \
            its key, and of putting both sides in the order of their time, which is little where they come so; that of a \
            pair is copying it. Rows that wait take up to their share of the memory and then the disk. Held in memory are \
            the rows of the table within the span around where time is. If these take more than the memory, the run stops and \
            says so.",
        example: "table = \"alarms\"\non = [\"device\"]\nwithin = { before = \"0s\", after = \"5m\" }\nprefix = \"alarm_\"\n",
        ports: PORTS,
        also_called: &["range_join", "band_join", "interval_join", "window_join"],
    };
}

impl TransformConfig for Interval {
    const TABLES: &'static [&'static str] = &["table"];

    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let Within { before, after } = self.within.value;
        let empty = before.nanoseconds().saturating_add(after.nanoseconds()) < 0;
        if empty {
            let message = "no time lies within `within`: it ends before it begins";
            let help = "with a negative `before` the table's rows are that much newer at least, so `after` must be larger";
            check.error_at(&self.within, message, Some(help.into()));
        }
        let rule = Rule::Within {
            before: before.nanoseconds(),
            after: after.nanoseconds(),
        };
        let written = Written {
            name: "interval",
            table: &self.table,
            on: &self.on,
            kind: match self.kind {
                Kind::Inner => Unmatched::Inner,
                Kind::Left => Unmatched::Left,
            },
            prefix: &self.prefix,
            time_as: &self.time_as,
            keyless: false,
        };
        let explained = vec![format!("from {before} before to {after} after each row")];
        let built = time_join::build(&written, rule, explained, inputs, check)?;
        (!empty).then_some(built)
    }
}

#[cfg(test)]
mod tests;
