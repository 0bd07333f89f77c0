//! `asof`: to each row the table's row of the same key that is nearest in time.

use std::sync::Arc;

use dataflow_core::component::TransformConfig;
use dataflow_core::transform::Input;
use dataflow_core::units::Duration;
use dataflow_core::{Check, Configured, Info, Located, Transform};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::By;
use crate::time_join::{self, Nearest, PORTS, Rule, Unmatched, Written};

/// To each row the table's row that is nearest in time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asof {
    /// Where the rows to be matched come from: the id of a component, or `id.port`.
    table: Located<String>,
    /// The columns that must be equal: a list of names that both sides have, or a table of the main side's names and the table's:
    /// `{ device = "sensor" }`. Default: none; all rows have one key.
    #[serde(default)]
    on: By,
    /// Which of the table's rows counts: the newest that is not newer than the row (`"backward"`), the oldest that is not
    /// older (`"forward"`), or the closer of these, and at the same distance the earlier (`"nearest"`).
    #[serde(default)]
    direction: Direction,
    /// How far away it may be, this far included: `"10s"`. Default: any distance.
    #[serde(default)]
    tolerance: Option<Located<Duration>>,
    /// Whether a row of the table counts that happened at the very same time. Default: true.
    #[serde(default = "yes")]
    allow_exact: bool,
    /// Which rows leave: all of the main side, with nulls where there is no match (`"left"`), or those with a match (`"inner"`).
    #[serde(default = "left")]
    kind: Unmatched,
    /// Put before the names of the table's columns. Default: nothing.
    #[serde(default)]
    prefix: Option<Located<String>>,
    /// The name of a column with the time of the table's row. Default: there is no such column.
    #[serde(default)]
    time_as: Option<Located<String>>,
}

fn yes() -> bool {
    true
}

fn left() -> Unmatched {
    Unmatched::Left
}

/// Where the table's row is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Direction {
    /// Among those that are not newer.
    #[default]
    Backward,
    /// Among those that are not older.
    Forward,
    /// Among both.
    Nearest,
}

impl Configured for Asof {
    const INFO: Info = Info {
        name: "asof",
        summary: "To each row the table's row of the same key that is nearest in time",
        manual: "Both sides have event time. To each row of `inputs` comes at most one row of `table` that is equal in the \
            columns of `on`: with `direction = \"backward\"` the newest whose time is not after the row's, with `\"forward\"` \
            the oldest whose time is not before it, with `\"nearest\"` the closer of the two. Of several at the same time the \
            last counts looking back, in the order of the table, and the first looking forward. One that is farther away than \
            `tolerance` does not match. A null in a key matches nothing; -0.0 is 0.0 and all NaN are one. Types that cannot be \
            compared exactly are an error.\n\n\
            The columns are those of the row, then those of the table without its columns of `on`, then `time_as`. Rows leave \
            in the order of (time, key, place of the row) and keep their event time. Rows of either side that are older \
            than their source's `lateness` allows leave on `late`, and the message tells the side.\n\n\
            A row leaves when the watermark has passed its time; looking forward, its time and the `tolerance`. Without a \
            `tolerance`, looking forward, a row of any later time may match, so nothing leaves before both sides have \
            ended: set one where rows come for months. The cost per row is that of finding its key, and of putting both \
            sides in the order of their time, which is little where they come so. Rows that wait take up to their share \
            of the memory and then the disk. Held in memory are, looking back, the newest row of the table for each key \
            (those within the `tolerance`), and looking forward also those up to the `tolerance` behind, as far as \
            they are needed. If these take more than the memory, the run stops and says so.",
        example: "table = \"calibrations\"\non = [\"device\"]\ntolerance = \"1h\"\nprefix = \"calibration_\"\n",
        ports: PORTS,
        also_called: &["merge_asof", "join_asof", "asof_join", "temporal_join"],
    };
}

impl TransformConfig for Asof {
    const TABLES: &'static [&'static str] = &["table"];

    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let tolerance = self.tolerance.as_ref();
        let negative = tolerance.filter(|tolerance| tolerance.nanoseconds() < 0);
        if let Some(negative) = negative {
            let message =
                "`tolerance` is how far away a row may be, which is never less than nothing";
            check.error_at(negative, message, Some("leave the `-` out".into()));
        }
        let rule = Rule::Nearest(Nearest {
            backward: self.direction != Direction::Forward,
            forward: self.direction != Direction::Backward,
            exact: self.allow_exact,
            tolerance: tolerance.map(|tolerance| tolerance.nanoseconds()),
        });
        let written = Written {
            name: "asof",
            table: &self.table,
            on: &self.on,
            kind: self.kind,
            prefix: &self.prefix,
            time_as: &self.time_as,
            keyless: true,
        };
        let built = time_join::build(&written, rule, self.explained(), inputs, check)?;
        negative.is_none().then_some(built)
    }
}

impl Asof {
    fn explained(&self) -> Vec<String> {
        let direction = match self.direction {
            Direction::Backward => "the newest row of the table before each row",
            Direction::Forward => "the oldest row of the table behind each row",
            Direction::Nearest => "the row of the table nearest to each row",
        };
        let mut words = vec![direction.to_string()];
        if let Some(tolerance) = &self.tolerance {
            words.push(format!("within {}", tolerance.value));
        }
        words
    }
}

#[cfg(test)]
mod tests;
