//! What transforms share that match the rows of two inputs: which columns must be equal, and what the table adds.

mod added;
mod on;

use dataflow_core::transform::Input;
use dataflow_core::{Check, Located};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use added::Added;
pub(crate) use on::{KeyPairs, SideKeys, lost};

/// Which of the table's rows of one key count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Keep {
    /// The first, in the order of the table.
    First,
    /// The last.
    Last,
    /// All of them: a row leaves once for each.
    #[default]
    All,
}

/// The main input and the table; reports it where one is missing.
pub(crate) fn both_inputs<'a>(
    inputs: &'a [Input],
    table: &Located<String>,
    check: &mut Check<'_>,
) -> Option<(&'a Input, &'a Input)> {
    let [main, second, ..] = inputs else {
        let help = "write the id of another component: `table = \"some_id\"`";
        check.error_at(table, "there is no table to read", Some(help.into()));
        return None;
    };
    Some((main, second))
}
