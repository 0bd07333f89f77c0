//! `all`: whether a condition held in every row.

use dataflow_core::component::{Component, Info};

use crate::tallies::truths::accept;

const USAGE: &str = "all(x > 0)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "all",
        summary: "Whether a condition held in every row",
        manual: "\
Rows where the condition is null do not count; a group without others is null, else the result is true or false.

About a nanosecond per row and one byte per group; shared with `any`.",
        example: USAGE,
        also_called: &["bool_and", "every", "all_true"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept(call, "all", USAGE))
}
