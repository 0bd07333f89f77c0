//! `dedup`: one row of a key within a span of time; the others are duplicates.
//!
//! The first row of a key is kept as it comes (`first`), and only its time is held. The last one is known to be the last when time
//! is past the span (`last`), so until then one row of each key is held. Keys that are older than the span are forgotten.

mod first;
mod last;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use dataflow_core::component::TransformConfig;
use dataflow_core::plan::envelope;
use dataflow_core::transform::{Columns, Input, Port};
use dataflow_core::units::Duration;
use dataflow_core::{Check, Configured, Info, Located, StageContext, StagePlan, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{By, only_input};
use crate::per_key::PerKey;
use first::First;
use last::Last;

/// One row of a key within a span of time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dedup {
    /// What duplicates have in common: a list of columns, or a table of names and expressions. Default: nothing; all rows are
    /// duplicates of each other.
    #[serde(default)]
    by: By,
    /// How far apart, at most, duplicates happen: `"10m"`. With `"0s"`, only rows of one instant are duplicates.
    within: Located<Duration>,
    /// Which row stays. Default `"first"`.
    #[serde(default)]
    keep: Keep,
}

/// Which of a key's rows stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Keep {
    /// The first. What comes up to `within` behind it is dropped, and the next row behind that stays: of rows that never cease,
    /// one stays for each span.
    #[default]
    First,
    /// The last of a run of rows each of which comes up to `within` behind the one before: a row is dropped if another one follows.
    Last,
}

impl Configured for Dedup {
    const INFO: Info = Info {
        name: "dedup",
        summary: "Drops rows whose key came already within a span of time",
        manual: "With `keep = \"first\"`, a row stays if no row of its key stayed within the span before it. The span is measured from \
            the row that stayed, so of rows that never cease one stays for each span. With `keep = \"last\"`, a row stays if no row \
            of its key follows within the span: of rows that never cease only the last one stays. The others leave on `duplicates`, \
            which may be read or not; they are counted either way. A row that comes exactly `within` behind another is its \
            duplicate. A row for which a key cannot be evaluated is a bad row.\n\n\
            Rows leave in the order of their time, those of one instant by key and then as they stood in their source; with `last`, a \
            row leaves when time is `within` past it. Duplicates leave in the same order; with `last`, in the order of the rows that \
            follow them. The input needs event time. Rows that are older than their source's `lateness` allows leave on `late`.\n\n\
            Rows wait until the watermark has passed them; what does not fit into memory goes to disk. The memory besides is that of \
            the keys that came within the span, and with `last` of one row of each; where that is far over the budget, the run \
            stops and says so. The cost per row is that of finding its key; with `last`, each row that is not followed by another one \
            in its batch is copied once more. For all different values of all time see `aggregate` without `compute`.",
        example: "by = [\"device\", \"temperature\"]\nwithin = \"10m\"\n",
        ports: &[
            ("duplicates", "the rows that are dropped"),
            (
                "late",
                "rows that came too late to be put in order, in the envelope of bad rows",
            ),
        ],
        also_called: &[
            "deduplicate",
            "distinct",
            "unique",
            "drop_duplicates",
            "debounce",
            "throttle",
        ],
    };
}

/// The port of duplicates.
const DUPLICATES: usize = 1;

/// The port of late rows.
const LATE: usize = 2;

impl TransformConfig for Dedup {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        let keys = PerKey::keys("`dedup`", &self.by, input, check);
        let within = self.within.value.nanoseconds();
        if within < 0 {
            let message = format!("`{}` is no span of time", self.within.value);
            let help = "write how far apart duplicates happen, such as `within = \"10m\"`";
            check.error_at(&self.within, message, Some(help.into()));
            return None;
        }
        let main = Port::main(Arc::clone(&input.schema)).timed(true);
        let duplicates = Port::named("duplicates", Arc::clone(&input.schema)).timed(true);
        Some(Arc::new(Checked {
            of: Arc::new(PerKey::new(keys?, Vec::new(), &input.schema, LATE)),
            within,
            keep: self.keep,
            explained: format!("within {}", self.within.value),
            ports: [main, duplicates, Port::named("late", envelope())],
        }))
    }
}

struct Checked {
    of: Arc<PerKey>,
    within: i64,
    keep: Keep,
    explained: String,
    ports: [Port; 3],
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn stages(&self) -> Vec<StagePlan> {
        let (of, within) = (Arc::clone(&self.of), self.within);
        let mut stages = match self.keep {
            Keep::First => self.of.stages("first rows", move |_: &StageContext| {
                Ok(First::new(&of, within))
            }),
            Keep::Last => self.of.stages("last rows", move |context: &StageContext| {
                Ok(Last::new(&of, within, context.batch_rows))
            }),
        };
        // Late rows leave at the first stage, duplicates at the last one.
        stages[0].sides_from = LATE;
        stages[1].sides = true;
        stages
    }

    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        self.of.needs(wanted, std::iter::empty())
    }

    fn explain(&self) -> Vec<String> {
        let keep = match self.keep {
            Keep::First => "the first row",
            Keep::Last => "the last row",
        };
        vec![self.of.explain(), format!("{keep} {}", self.explained)]
    }
}

/// With fewer keys than this, those that are old do no harm. Tests have few.
const FEW: usize = if cfg!(test) { 2 } else { 4096 };

/// When to look again for keys that are old, having found so many that are not.
fn look_again_at(kept: usize) -> usize {
    2 * kept + FEW
}
