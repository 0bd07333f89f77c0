//! SQL scalar expressions over Arrow batches, and the `compute` blocks that call accumulators.
//!
//! A text is parsed by `sqlparser`, checked and typed by a planner of our own, and evaluated with DataFusion's operators
//! and functions. What differs from other SQLs, and why:
//!
//! - Names are case-sensitive as written; quotes are needed only for odd characters: `max("Voltage(V)")`.
//! - **A row stands for itself.** What a row gives, or why it fails, never depends on the other rows of its batch:
//!   `x <> 0 and 1 / x > 2` looks at the right side only for rows where the left one is not false, and `case` and
//!   `coalesce` compute a branch only for rows that get there. A failed row is reported with a reason (`cast`,
//!   `division by zero`, `overflow`, `evaluation`) and a sentence.
//! - Whole numbers add, subtract and multiply with a check for overflow. `/` of whole numbers gives a float (`1 / 2` is
//!   0.5; `div(1, 2)` is 0); by zero it fails, as decimals do. Floats follow IEEE 754: `1.0 / 0.0` is infinite.
//! - Comparisons follow the order of rows: -0.0 = 0.0, all NaN are one, above every number.
//! - Text and numbers are not compared without a cast. A text constant beside a date or time stamp is read as one.
//! - A part without columns is computed while the pipeline is checked, so a constant that fails is found there.
//! - Functions whose value changes from call to call (`now()`, `random()`) are refused; `run_time()` is fixed.

mod accumulate;
mod build;
mod calls;
mod comparing;
mod computing;
mod expression;
mod functions;
mod kernel;
mod operators;
mod plan;
mod rows;
mod source;
mod term;
mod types;
mod unify;
mod values;

pub use accumulate::{AccumulatorCall, Computations};
pub use expression::{Evaluated, Expression, Failure};
pub use functions::{FunctionPage, function_names, reference};
pub use rows::{reject_failed, reject_once, row_json};

#[cfg(test)]
mod tests;
