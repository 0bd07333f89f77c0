//! Values of any type as bytes, for those that have no order key: text and binary as they are, the rest row-encoded.

use std::sync::Arc;

use arrow_array::builder::LargeBinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, FixedSizeBinaryArray, LargeBinaryArray,
    LargeStringArray, StringArray, StringViewArray, new_null_array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use dataflow_core::order::Keys;
use dataflow_core::{Error, Result};

use super::keys::CHUNK;

/// How the values of a type become bytes, and bytes that type. Where the type has an order, the bytes have it too.
#[derive(Clone)]
pub(crate) struct Wide {
    data_type: DataType,
    keys: Option<Arc<Keys>>,
}

/// The bytes of a column's values.
pub(crate) enum Cells {
    Text(StringArray),
    LargeText(LargeStringArray),
    TextView(StringViewArray),
    Binary(BinaryArray),
    LargeBinary(LargeBinaryArray),
    BinaryView(BinaryViewArray),
    Fixed(FixedSizeBinaryArray),
}

impl Cells {
    /// The bytes of a row, which must not be null.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> &[u8] {
        match self {
            Self::Text(values) => values.value(row).as_bytes(),
            Self::LargeText(values) => values.value(row).as_bytes(),
            Self::TextView(values) => values.value(row).as_bytes(),
            Self::Binary(values) => values.value(row),
            Self::LargeBinary(values) => values.value(row),
            Self::BinaryView(values) => values.value(row),
            Self::Fixed(values) => values.value(row),
        }
    }
}

/// Calls `each` with the first row and what `make` makes of each row, for runs of rows that are valid in `valid`.
pub(crate) fn visit<T>(
    rows: usize,
    valid: Option<&NullBuffer>,
    mut make: impl FnMut(usize) -> Result<T>,
    mut each: impl FnMut(usize, &[T]),
) -> Result<()> {
    let mut made = Vec::with_capacity(rows.min(CHUNK));
    for row in 0..rows {
        let ends = made.len() == CHUNK || valid.is_some_and(|valid| valid.is_null(row));
        if ends && !made.is_empty() {
            each(row - made.len(), &made);
            made.clear();
        }
        if valid.is_none_or(|valid| valid.is_valid(row)) {
            made.push(make(row)?);
        }
    }
    if !made.is_empty() {
        each(rows - made.len(), &made);
    }
    Ok(())
}

fn is_bytes(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_)
    )
}

impl Wide {
    /// For values of this type.
    ///
    /// # Errors
    /// When they cannot be compared.
    pub(crate) fn new(data_type: &DataType) -> Result<Self> {
        let keys = if is_bytes(data_type) {
            None
        } else {
            Some(Arc::new(Keys::ascending(std::slice::from_ref(data_type))?))
        };
        Ok(Self {
            data_type: data_type.clone(),
            keys,
        })
    }

    /// The bytes of a column's values.
    pub(crate) fn cells(&self, column: &ArrayRef) -> Result<Cells> {
        if let Some(keys) = &self.keys {
            return Ok(Cells::Binary(keys.encode(std::slice::from_ref(column))?));
        }
        Ok(match column.data_type() {
            DataType::Utf8 => Cells::Text(column.as_string().clone()),
            DataType::LargeUtf8 => Cells::LargeText(column.as_string().clone()),
            DataType::Utf8View => Cells::TextView(column.as_string_view().clone()),
            DataType::Binary => Cells::Binary(column.as_binary().clone()),
            DataType::LargeBinary => Cells::LargeBinary(column.as_binary().clone()),
            DataType::BinaryView => Cells::BinaryView(column.as_binary_view().clone()),
            DataType::FixedSizeBinary(_) => Cells::Fixed(column.as_fixed_size_binary().clone()),
            other => {
                let wanted = &self.data_type;
                return Err(Error::internal(format!("{other} where {wanted} was due")));
            }
        })
    }

    /// A column of the values that these bytes stand for.
    pub(crate) fn array<'a>(
        &self,
        cells: impl ExactSizeIterator<Item = Option<&'a [u8]>>,
    ) -> Result<ArrayRef> {
        let Some(keys) = &self.keys else {
            let mut builder = LargeBinaryBuilder::with_capacity(cells.len(), 0);
            cells.for_each(|cell| builder.append_option(cell));
            return self.cast(Arc::new(builder.finish()));
        };
        let null = keys.encode(&[new_null_array(&self.data_type, 1)])?;
        let rows: BinaryArray = cells
            .map(|cell| Some(cell.unwrap_or_else(|| null.value(0))))
            .collect();
        let column = keys.decode(&rows)?.pop();
        self.cast(column.ok_or_else(|| Error::internal("a key of no columns"))?)
    }

    fn cast(&self, column: ArrayRef) -> Result<ArrayRef> {
        if *column.data_type() == self.data_type {
            return Ok(column);
        }
        if let (DataType::FixedSizeBinary(width), DataType::LargeBinary) =
            (&self.data_type, column.data_type())
        {
            let cells = column.as_binary::<i64>().iter();
            let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(cells, *width)?;
            return Ok(Arc::new(fixed));
        }
        if self.data_type.is_string() {
            // Bytes that came from text are text, but Arrow has no cast from large bytes to each kind of it.
            let text = arrow_cast::cast(&column, &DataType::LargeUtf8)?;
            return Ok(arrow_cast::cast(&text, &self.data_type)?);
        }
        Ok(arrow_cast::cast(&column, &self.data_type)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::Int32Type;
    use arrow_array::{Decimal128Array, ListArray};

    fn columns() -> Vec<ArrayRef> {
        let text = StringArray::from(vec![
            Some("b"),
            None,
            Some(""),
            Some("längere Zeichenkette"),
        ]);
        let text: ArrayRef = Arc::new(text);
        let cast = |to: DataType| arrow_cast::cast(&text, &to).expect("casts");
        let fixed = [Some([1_u8, 2]), None, Some([0, 0])].into_iter();
        let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(fixed, 2).expect("fits");
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]);
        vec![
            Arc::clone(&text),
            cast(DataType::LargeUtf8),
            cast(DataType::Utf8View),
            cast(DataType::Binary),
            cast(DataType::LargeBinary),
            cast(DataType::BinaryView),
            Arc::new(fixed),
            Arc::new(list),
            Arc::new(Decimal128Array::from(vec![Some(5), None, Some(-7)])),
        ]
    }

    #[test]
    fn bytes_lead_back_to_the_values() {
        for column in columns() {
            let wide = Wide::new(column.data_type()).expect("has bytes");
            let cells = wide.cells(&column).expect("has bytes");
            let rows = 0..column.len();
            let cells = rows.map(|row| column.is_valid(row).then(|| cells.get(row)));
            let back = wide.array(cells).expect("builds");
            assert_eq!(&back, &column, "{}", column.data_type());
        }
    }

    #[test]
    fn runs_end_at_nulls_and_at_the_chunk() {
        let valid: Vec<bool> = (0..2500).map(|row| row % 1700 != 3).collect();
        let valid = NullBuffer::from(valid);
        let mut runs = Vec::new();
        visit(2500, Some(&valid), Ok, |start, rows| {
            assert!(rows.iter().copied().eq(start..start + rows.len()));
            runs.push((start, rows.len()));
        })
        .expect("nothing fails");
        assert_eq!(runs, [(0, 3), (4, 1024), (1028, 675), (1704, 796)]);
        visit(0, None, Ok::<usize, Error>, |_, _| panic!("no rows")).expect("nothing fails");
    }
}
