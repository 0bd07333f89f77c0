//! `lag`: values of a row of the same key before.

use std::sync::Arc;

use dataflow_core::component::TransformConfig;
use dataflow_core::transform::Input;
use dataflow_core::{Check, Configured, Info, Located, Transform};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Checked, Function, LATE_PORT, lines};
use crate::columns::plain_type;
use crate::config::{By, Lines, Texts, only_input};
use crate::per_key::PerKey;

/// Values of the row before.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lag {
    /// The keys: a list of columns, or a table of names and expressions. Default: none; all rows are of one key.
    #[serde(default)]
    by: By,
    /// How many rows of the key are looked back. Default 1: the row before.
    #[serde(default = "one")]
    rows: Located<u32>,
    /// Columns whose values before are wanted; that of `x` is called `previous_x`.
    #[serde(default)]
    columns: Texts,
    /// The same with names, of columns or expressions: `compute.before = "voltage * current"`.
    #[serde(default)]
    compute: Lines,
}

fn one() -> Located<u32> {
    Located::nowhere(1)
}

/// More rows than this are not looked back.
const MOST: u32 = 1 << 20;

impl Configured for Lag {
    const INFO: Info = Info {
        name: "lag",
        summary: "Adds values of a row of the same key before",
        manual: "Each row gets columns with the values that a column or an expression had `rows` rows of its key before, in the \
            order of event time; null for the first rows of a key. A row for which an expression fails is a bad row, and no row \
            before another.\n\n\
            Rows leave in the order of their time, those of one instant by key and then as they stood in their source; a row before \
            is the one before in this order. The input needs event time. Rows that are older than their source's `lateness` allows \
            leave on `late`.\n\n\
            Rows wait until the watermark has passed them; what does not fit into memory goes to disk. The memory besides is that of \
            the values of `rows` rows for each key, for all keys that ever came; where that is far over the budget, the run \
            stops and says so. The cost per row is that of finding its key and copying the values; rows that came in order are not \
            copied themselves.",
        example: "by = [\"device\"]\ncompute.previous_temperature = \"temperature\"\n",
        ports: &[LATE_PORT],
        also_called: &["shift", "previous", "prev", "offset_rows"],
    };
}

impl TransformConfig for Lag {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        let keys = PerKey::keys("`lag`", &self.by, input, check);
        let lines = lines(
            &self.columns,
            &self.compute,
            "previous",
            &input.schema,
            check,
        );
        let rows = self.rows.value;
        if rows == 0 || rows > MOST {
            let help = format!("write a number from 1 to {MOST}");
            let message = match rows {
                0 => "0 rows before a row is the row itself".to_string(),
                _ => format!("`rows = {rows}` is too far to look back"),
            };
            check.error_at(&self.rows, message, Some(help));
            return None;
        }
        let (keys, lines) = (keys?, lines?);
        let types = lines.iter().map(|line| plain_type(line.value.data_type()));
        let types = types.collect();
        Some(Arc::new(Checked::new(
            input,
            keys,
            lines,
            types,
            rows,
            Function::Before,
        )))
    }
}
