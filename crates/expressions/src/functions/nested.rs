//! Parts of nested values: a field of a struct, a value of a map, an element of a list.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, UInt64Array, make_array};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, FieldRef};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::build::{Part, cast_to, unpack, word};
use crate::term::Term;

/// `a.name` or `a['name']` of a struct or a map.
pub(crate) fn field(term: Term, name: &str, part: &Part<'_>) -> Result<Term, String> {
    match &term.data_type {
        DataType::Struct(_) => {
            let field = FieldOf {
                name: name.to_string(),
                signature: Signature::any(1, Volatility::Immutable),
            };
            let function = Arc::new(ScalarUDF::new_from_impl(field));
            crate::calls::call(function, vec![term], part, true)
        }
        DataType::Map(_, _) => {
            let key = Term::literal(ScalarValue::Utf8(Some(name.into())), part.at.clone());
            let function = datafusion_functions::core::get_field();
            crate::calls::call(function, vec![term, key], part, true)
        }
        other => {
            let help = match crate::build::is_text(other) {
                true => ": if it holds JSON, write `json_get(x, 'key')`",
                false => "",
            };
            Err(format!("{} has no field `{name}`{help}", word(other)))
        }
    }
}

/// `a[index]` of a list, counted from 1, or from the end where the index is negative.
pub(crate) fn element(term: Term, index: Term, part: &Part<'_>) -> Result<Term, String> {
    let term = unpack(term)?;
    match &term.data_type {
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => {}
        DataType::Map(_, _) => {
            let function = datafusion_functions::core::get_field();
            return crate::calls::call(function, vec![term, index], part, true);
        }
        other => return Err(format!("{} has no elements", word(other))),
    }
    if !index.data_type.is_integer() {
        let index = word(&index.data_type);
        return Err(format!(
            "an element is chosen by a whole number, not {index}"
        ));
    }
    let index = cast_to(index, &DataType::Int64, part)?;
    let element = ElementOf {
        signature: Signature::any(2, Volatility::Immutable),
    };
    let function = Arc::new(ScalarUDF::new_from_impl(element));
    crate::calls::call(function, vec![term, index], part, true)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct FieldOf {
    name: String,
    signature: Signature,
}

impl FieldOf {
    fn find<'f>(&self, data_type: &'f DataType) -> Result<&'f FieldRef> {
        if let DataType::Struct(fields) = data_type
            && let Some((_, field)) = fields.find(&self.name)
        {
            return Ok(field);
        }
        datafusion_common::exec_err!("there is no field `{}`", self.name)
    }
}

impl ScalarUDFImpl for FieldOf {
    fn name(&self) -> &str {
        "field"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(self.find(&types[0])?.data_type().clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let whole = &args.arg_fields[0];
        let field = self.find(whole.data_type())?.as_ref().clone();
        let nullable = field.is_nullable() || whole.is_nullable();
        Ok(Arc::new(field.with_nullable(nullable)))
    }

    /// A field of a null struct is null, whatever its child array holds there.
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let whole = args.args[0].to_array(args.number_rows)?;
        let whole = whole.as_struct();
        let Some(child) = whole.column_by_name(&self.name) else {
            return datafusion_common::exec_err!("there is no field `{}`", self.name);
        };
        let nulls = NullBuffer::union(whole.nulls(), child.nulls());
        if child.data_type().is_null() || nulls.as_ref() == child.nulls() {
            return Ok(ColumnarValue::Array(Arc::clone(child)));
        }
        let data = child.to_data().into_builder().nulls(nulls).build()?;
        Ok(ColumnarValue::Array(make_array(data)))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ElementOf {
    signature: Signature,
}

impl ScalarUDFImpl for ElementOf {
    fn name(&self) -> &str {
        "element"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match &types[0] {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                Ok(item.data_type().clone())
            }
            other => datafusion_common::exec_err!("{other} has no elements"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let item = self.return_type(&[args.arg_fields[0].data_type().clone()])?;
        Ok(Arc::new(Field::new("element", item, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let lists = args.args[0].to_array(args.number_rows)?;
        let indices = args.args[1].to_array(args.number_rows)?;
        let indices = indices.as_primitive::<Int64Type>();
        let places = (0..lists.len()).map(|row| {
            if lists.is_null(row) || indices.is_null(row) {
                return None;
            }
            let (start, end) = bounds(&lists, row);
            place(start, end, indices.value(row))
        });
        let places: UInt64Array = places.collect();
        let values = items(&lists)?;
        let taken = arrow_select::take::take(&values, &places, None)?;
        Ok(ColumnarValue::Array(taken))
    }
}

fn bounds(lists: &ArrayRef, row: usize) -> (i64, i64) {
    if let Some(lists) = lists.as_list_opt::<i32>() {
        let offsets = lists.value_offsets();
        (i64::from(offsets[row]), i64::from(offsets[row + 1]))
    } else if let Some(lists) = lists.as_list_opt::<i64>() {
        let offsets = lists.value_offsets();
        (offsets[row], offsets[row + 1])
    } else if let Some(lists) = lists.as_fixed_size_list_opt() {
        let start = i64::from(lists.value_offset(row));
        (start, start + i64::from(lists.value_length()))
    } else {
        (0, 0)
    }
}

fn items(lists: &ArrayRef) -> Result<ArrayRef> {
    if let Some(lists) = lists.as_list_opt::<i32>() {
        Ok(Arc::clone(lists.values()))
    } else if let Some(lists) = lists.as_list_opt::<i64>() {
        Ok(Arc::clone(lists.values()))
    } else if let Some(lists) = lists.as_fixed_size_list_opt() {
        Ok(Arc::clone(lists.values()))
    } else {
        datafusion_common::exec_err!("{} has no elements", lists.data_type())
    }
}

fn place(start: i64, end: i64, index: i64) -> Option<u64> {
    let place = match index {
        0 => return None,
        1.. => start.checked_add(index - 1)?,
        _ => end.checked_add(index)?,
    };
    if !(start..end).contains(&place) {
        return None;
    }
    u64::try_from(place).ok()
}
