//! The states of the accumulators that are built on exact sums, each written as one column of bytes.

pub(crate) mod bytes;
pub(crate) mod integral;
pub(crate) mod moments;
pub(crate) mod pairs;
pub(crate) mod ratio;
pub(crate) mod rows;
pub(crate) mod spectra;
pub(crate) mod total;
pub(crate) mod truths;
pub(crate) mod weighted;

use arrow_schema::DataType;
use dataflow_core::accumulator::CallProblem;

use crate::states::options::{Options, unfit, whole};

/// That a column holds numbers, which are taken in as doubles.
pub(crate) fn number(options: &Options<'_>, column: usize) -> Result<DataType, CallProblem> {
    let data_type = options.column(column);
    if data_type.is_numeric() || data_type == DataType::Null {
        return Ok(DataType::Float64);
    }
    Err(not_numbers(&data_type))
}

/// The problem of a column that cannot be added up.
pub(crate) fn not_numbers(data_type: &DataType) -> CallProblem {
    let help = match data_type {
        DataType::Boolean => "count what is true: `sum(case when x then 1 else 0 end)`",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            "convert the text: `cast(x as double)`"
        }
        _ => "convert the column to a number",
    };
    unfit(data_type, "numbers", help)
}

/// The option `ddof`: how many degrees of freedom are lost, 1 unless given.
pub(crate) fn ddof(options: &mut Options<'_>) -> Result<f64, CallProblem> {
    let given = options.named("ddof");
    Ok(given.map_or(Ok(1), |argument| whole(argument, 0, 1_000_000))? as f64)
}
