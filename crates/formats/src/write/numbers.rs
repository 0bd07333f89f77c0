//! Columns as the bytes of arrays of NumPy: numbers one behind another, lists of one length as rows of numbers.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, PrimitiveArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, TimeUnit};
use dataflow_core::{Error, Result};

/// A column that becomes an array, or a part of one.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    pub name: String,
    /// The type of its numbers.
    pub item: DataType,
    /// Whether each row holds a list of them.
    pub list: bool,
    /// How many numbers a row has; none as long as no list has told.
    pub width: Option<u64>,
}

impl Numbers {
    /// The column, if it can be written as numbers.
    ///
    /// # Errors
    /// When it holds something else.
    pub fn of(field: &Field) -> Result<Self> {
        let (item, list, width) = match field.data_type() {
            DataType::List(item) => (item.data_type(), true, None),
            DataType::FixedSizeList(item, size) => {
                (item.data_type(), true, u64::try_from(*size).ok())
            }
            other => (other, false, Some(1)),
        };
        let numbers = Self {
            name: field.name().clone(),
            item: item.clone(),
            list,
            width,
        };
        if described(item).is_none() {
            let what = format!(
                "column `{}` is {}, which no array of numbers can hold",
                field.name(),
                field.data_type()
            );
            return Err(Error::data(what)
                .help("leave it out with a `select` in front, or write another format"));
        }
        Ok(numbers)
    }

    /// The numbers of these rows as float64.
    pub fn into_floats(mut self) -> Self {
        self.item = DataType::Float64;
        self
    }

    /// How NumPy calls the type.
    pub fn described(&self) -> &'static str {
        described(&self.item).unwrap_or_default()
    }

    /// The bytes of a row.
    pub fn row_bytes(&self) -> u64 {
        self.width.unwrap_or(0) * self.item_bytes()
    }

    fn item_bytes(&self) -> u64 {
        match self.item {
            DataType::Boolean => 1,
            _ => self.item.primitive_width().unwrap_or(0) as u64,
        }
    }

    /// Appends the numbers of a column; `first` is the number of its first row, for errors.
    pub fn write(&mut self, column: &ArrayRef, first: u64, into: &mut Vec<u8>) -> Result<()> {
        let items = match self.list {
            true => self.unrolled(column, first)?,
            false => Arc::clone(column),
        };
        let wrong = |at: usize| {
            let row = first + at as u64 / self.width.unwrap_or(1).max(1);
            Error::data(format!(
                "column `{}` is null, which whole numbers cannot say",
                self.name
            ))
            .row(row)
            .help("fill it with `coalesce` in front, or write it as a float: then it is NaN")
        };
        let null = (items.null_count() > 0)
            .then(|| (0..items.len()).find(|&at| items.is_null(at)))
            .flatten();
        if let Some(at) = null
            && self.item != DataType::Float64
            && !items.data_type().is_floating()
            && !matches!(items.data_type(), DataType::Timestamp(..))
        {
            return Err(wrong(at));
        }
        let items = if *items.data_type() == self.item {
            items
        } else {
            cast(&items, &self.item)?
        };
        append(&filled(items)?, into);
        Ok(())
    }

    /// The numbers in all lists, which must have one length.
    fn unrolled(&mut self, column: &ArrayRef, first: u64) -> Result<ArrayRef> {
        let wrong = |row: usize, what: String| {
            Err(Error::data(format!("column `{}`: {what}", self.name))
                .row(first + row as u64)
                .help("an array has as many numbers in each row"))
        };
        if let Some(row) = (0..column.len()).find(|&row| column.is_null(row)) {
            return wrong(row, "the list is null here".into());
        }
        if let Some(lists) = column.as_fixed_size_list_opt() {
            let width = lists.value_length() as usize;
            let start = lists.value_offset(0) as usize;
            return Ok(lists.values().slice(start, width * lists.len()));
        }
        let lists = column.as_list::<i32>();
        let offsets = lists.value_offsets();
        let mut lengths = offsets.windows(2).map(|pair| (pair[1] - pair[0]) as u64);
        let width = match (self.width, lengths.clone().next()) {
            (Some(width), _) | (None, Some(width)) => width,
            (None, None) => return Ok(lists.values().slice(0, 0)),
        };
        if let Some(row) = lengths.position(|length| length != width) {
            let found = offsets[row + 1] - offsets[row];
            return wrong(
                row,
                format!("the list has {found} numbers here, those before have {width}"),
            );
        }
        self.width = Some(width);
        let start = offsets[0] as usize;
        let end = offsets[lists.len()] as usize;
        Ok(lists.values().slice(start, end - start))
    }
}

/// How NumPy calls a type of numbers; none for what is none.
fn described(data_type: &DataType) -> Option<&'static str> {
    Some(match data_type {
        DataType::Boolean => "|b1",
        DataType::Int8 => "|i1",
        DataType::UInt8 => "|u1",
        DataType::Int16 => "<i2",
        DataType::Int32 => "<i4",
        DataType::Int64 => "<i8",
        DataType::UInt16 => "<u2",
        DataType::UInt32 => "<u4",
        DataType::UInt64 => "<u8",
        DataType::Float32 => "<f4",
        DataType::Float64 => "<f8",
        DataType::Timestamp(TimeUnit::Second, _) => "<M8[s]",
        DataType::Timestamp(TimeUnit::Millisecond, _) => "<M8[ms]",
        DataType::Timestamp(TimeUnit::Microsecond, _) => "<M8[us]",
        DataType::Timestamp(TimeUnit::Nanosecond, _) => "<M8[ns]",
        _ => return None,
    })
}

/// The numbers with what NumPy has for null: NaN, and a time that is none.
fn filled(items: ArrayRef) -> Result<ArrayRef> {
    fn with<T: ArrowPrimitiveType>(items: &ArrayRef, null: T::Native) -> ArrayRef {
        let values = items.as_primitive::<T>().iter();
        let values = values.map(|value| value.unwrap_or(null));
        Arc::new(PrimitiveArray::<T>::from_iter_values(values))
    }
    Ok(match items.data_type() {
        DataType::Float32 if items.null_count() > 0 => with::<Float32Type>(&items, f32::NAN),
        DataType::Float64 if items.null_count() > 0 => with::<Float64Type>(&items, f64::NAN),
        DataType::Timestamp(..) => {
            let times = cast(&items, &DataType::Int64)?;
            let times = times.as_primitive::<arrow_array::types::Int64Type>().iter();
            Arc::new(Int64Array::from_iter_values(
                times.map(|t| t.unwrap_or(i64::MIN)),
            ))
        }
        _ => items,
    })
}

/// Appends values, the least byte of each first.
fn append(items: &ArrayRef, into: &mut Vec<u8>) {
    if let Some(flags) = items.as_boolean_opt() {
        into.extend(flags_of(flags));
        return;
    }
    let data = items.to_data();
    let width = items.data_type().primitive_width().unwrap_or(0);
    let bytes = &data.buffers()[0][data.offset() * width..][..data.len() * width];
    let start = into.len();
    into.extend_from_slice(bytes);
    if cfg!(target_endian = "big") {
        into[start..]
            .chunks_exact_mut(width.max(1))
            .for_each(<[u8]>::reverse);
    }
}

fn flags_of(flags: &BooleanArray) -> impl Iterator<Item = u8> {
    flags.values().iter().map(u8::from)
}

/// The bytes in front of an array of NumPy's. As many whatever the shape, so that a shape can be put in the place of another.
pub(super) const HEADER: usize = 128;

/// The header of an array (version 1 of the format).
pub(super) fn header(described: &str, shape: &[u64]) -> Vec<u8> {
    let axes = match shape {
        [one] => format!("({one},)"),
        axes => {
            let axes: Vec<String> = axes.iter().map(u64::to_string).collect();
            format!("({})", axes.join(", "))
        }
    };
    let text = format!("{{'descr': '{described}', 'fortran_order': False, 'shape': {axes}, }}");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((HEADER as u16 - 10).to_le_bytes());
    bytes.extend(text.bytes());
    bytes.resize(HEADER - 1, b' ');
    bytes.push(b'\n');
    bytes
}
