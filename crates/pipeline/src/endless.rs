//! That nobody waits for the end of a source that has none.

use dataflow_core::plan::{Plan, Work};
use dataflow_core::{Problem, Problems};

use crate::connect::Graph;

/// Reports sources that grow while they are read, and for whose end the rows of others would wait.
pub(crate) fn check(graph: &Graph, plan: &Plan, problems: &mut Problems) {
    for node in plan.awaited() {
        let Work::Source(source) = &plan.nodes[node].work else {
            continue;
        };
        if !source.grows() {
            continue;
        }
        let item = &graph.items[graph.order[node]];
        let span = item
            .config
            .get("watch")
            .map_or(item.span, |watch| watch.span);
        let message = format!(
            "`{}` does not end while it is watched, and the rows of others wait for its end",
            item.id
        );
        let help = "name it last in the `inputs` where it meets others; a table that is loaded cannot be watched, but `join`, `asof` and `interval` over event time take one";
        problems.push(Problem::error(message, span).help(help));
    }
}
