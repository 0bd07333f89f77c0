//! Building the list columns that states and values are written in.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, LargeListArray, ListArray, UInt64Array};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, FieldRef};
use dataflow_core::{Error, Result};

/// The field of a list's items.
pub(crate) fn item(data_type: &DataType) -> FieldRef {
    Arc::new(Field::new("item", data_type.clone(), true))
}

/// The type of a state's lists, which may be long.
pub(crate) fn long(items: &DataType) -> DataType {
    DataType::LargeList(item(items))
}

/// The type of a value's lists.
pub(crate) fn short(items: &DataType) -> DataType {
    DataType::List(item(items))
}

/// Lists of these lengths, cut from the items in turn.
pub(crate) fn long_array(items: ArrayRef, lengths: Vec<usize>) -> Result<ArrayRef> {
    let offsets = OffsetBuffer::<i64>::from_lengths(lengths);
    let list = LargeListArray::try_new(item(items.data_type()), offsets, items, None)?;
    Ok(Arc::new(list))
}

/// Lists of these lengths, cut from the items in turn; null where there is no length.
///
/// # Errors
/// When there are more items than one column can hold.
pub(crate) fn short_array(items: ArrayRef, lengths: &[Option<usize>]) -> Result<ArrayRef> {
    if items.len() > i32::MAX as usize {
        return Err(
            Error::resource("lists of more than 2^31 items in one batch")
                .help("ask for fewer values, or lower `engine.batch_rows`"),
        );
    }
    let nulls: NullBuffer = lengths.iter().map(Option::is_some).collect();
    let lengths = lengths.iter().map(|length| length.unwrap_or(0));
    let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
    let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
    let list = ListArray::try_new(item(items.data_type()), offsets, items, nulls)?;
    Ok(Arc::new(list))
}

/// A state's column of lists.
pub(crate) fn lists(column: &ArrayRef) -> Result<&LargeListArray> {
    column
        .as_list_opt::<i64>()
        .ok_or_else(|| not_a_state(column.as_ref()))
}

/// A state's column of numbers.
pub(crate) fn counts(column: &ArrayRef) -> Result<&UInt64Array> {
    column
        .as_primitive_opt()
        .ok_or_else(|| not_a_state(column.as_ref()))
}

/// The column of a state.
pub(crate) fn column(state: &[ArrayRef], index: usize) -> Result<&ArrayRef> {
    state
        .get(index)
        .ok_or_else(|| Error::internal("a state with too few columns"))
}

fn not_a_state(column: &dyn Array) -> Error {
    let found = column.data_type();
    Error::internal(format!("a state's column has the wrong type, {found}"))
}
