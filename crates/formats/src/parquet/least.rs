//! The least value of a column, as the statistics of all row groups tell it.

use ::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use ::parquet::basic::Type as Physical;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Schema};
use dataflow_core::Result;

use super::footer::{Footer, Indexes, guarded};
use crate::InputFile;
use crate::convert::logical;

/// The least value of a column in the units of its type in `columns`; none unless all row groups with values tell theirs.
pub(super) fn minimum(file: &InputFile, columns: &Schema, column: &str) -> Result<Option<i64>> {
    let Ok(asked) = columns.field_with_name(column) else {
        return Ok(None);
    };
    let footer = Footer::load(file, Indexes::None)?;
    guarded(&file.path, || {
        Ok(of_groups(&footer, column, asked.data_type()))
    })
}

fn of_groups(footer: &Footer, column: &str, asked: &DataType) -> Option<i64> {
    let index = footer.arrow.schema().index_of(column).ok()?;
    let leaf = footer.leaf(index)?;
    let field = footer.arrow.schema().field(index);
    let parquet = footer.arrow.parquet_schema();
    // Whole numbers with a sign, and times, have always been compared in our order.
    let ordered = |t: &DataType| t.is_signed_integer() || t.is_temporal();
    let found = logical(field.data_type());
    if !(ordered(&found) && ordered(asked) && found.is_temporal() == asked.is_temporal())
        || parquet.column(leaf).physical_type() == Physical::INT96
    {
        return None;
    }
    let groups = footer.metadata().row_groups();
    let statistics = StatisticsConverter::from_column_index(leaf, field, parquet).ok()?;
    let statistics = statistics.with_missing_null_counts_as_zero(false);
    let least = counted(&statistics.row_group_mins(groups).ok()?, asked)?;
    let least = least.as_primitive::<Int64Type>();
    let nulls = statistics.row_group_null_counts(groups).ok()?;
    let mut all = i64::MAX;
    for (at, group) in groups.iter().enumerate() {
        let without_values = nulls.is_valid(at) && nulls.value(at) == group.num_rows() as u64;
        match least.is_valid(at) {
            true => all = all.min(least.value(at)),
            false if without_values => {}
            false => return None,
        }
    }
    Some(all)
}

/// Values as numbers of the type's own unit; none if one does not fit.
fn counted(values: &ArrayRef, asked: &DataType) -> Option<ArrayRef> {
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let values = cast_with_options(values, asked, &strict).ok()?;
    let narrow = match asked {
        DataType::Date32 => cast_with_options(&values, &DataType::Int32, &strict).ok()?,
        _ => values,
    };
    cast_with_options(&narrow, &DataType::Int64, &strict).ok()
}
