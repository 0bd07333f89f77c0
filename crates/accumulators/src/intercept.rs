//! `intercept`: of the straight line that fits best.

use dataflow_core::component::{Component, Info};

use crate::tallies::pairs::accept;

const USAGE: &str = "intercept(y, x)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "intercept",
        summary: "Where the straight line that fits `y` over `x` best crosses `x = 0`",
        manual: "\
By least squares, over the rows where neither is null; see `slope`. From exact sums, rounded once. Null for fewer than two
rows; NaN if `x` is constant, or where a value is infinite or NaN.

The cost of `covariance`, with which it shares its state.",
        example: USAGE,
        also_called: &["regr_intercept", "offset"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| accept(call, "intercept", USAGE))
}
