//! Values as text, for CSV, JSON and tables: shortest floats that read back the same, RFC 3339 times, exact decimals.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DecimalType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, BinaryArray, BinaryViewArray, BooleanArray, FixedSizeBinaryArray, LargeBinaryArray,
    LargeStringArray, PrimitiveArray, StringArray, StringViewArray,
};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Schema};
use dataflow_core::{Error, Result};

use super::times::{Moment, Zone, date, moment, per_second};

/// How values that JSON has no word for are written, and whether text is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As they are: `NaN`, `2025-01-01T00:00:00Z`.
    Plain,
    /// As JSON: `"NaN"`, `"Infinity"`, `"2025-01-01T00:00:00Z"`.
    Json,
}

/// A column, ready to write its values one by one.
pub struct Cells<'a> {
    array: &'a dyn Array,
    values: Values<'a>,
}

enum Values<'a> {
    Null,
    Truth(&'a BooleanArray),
    I8(&'a PrimitiveArray<Int8Type>),
    I16(&'a PrimitiveArray<Int16Type>),
    I32(&'a PrimitiveArray<Int32Type>),
    I64(&'a PrimitiveArray<Int64Type>),
    U8(&'a PrimitiveArray<UInt8Type>),
    U16(&'a PrimitiveArray<UInt16Type>),
    U32(&'a PrimitiveArray<UInt32Type>),
    U64(&'a PrimitiveArray<UInt64Type>),
    F16(&'a PrimitiveArray<Float16Type>),
    F32(&'a PrimitiveArray<Float32Type>),
    F64(&'a PrimitiveArray<Float64Type>),
    Decimal(Box<dyn Fn(usize) -> String + Send + 'a>),
    Date32(&'a PrimitiveArray<Date32Type>),
    Date64(&'a PrimitiveArray<Date64Type>),
    /// Numbers of units since 1970, midnight or nothing.
    Time(Moment, i64, Box<dyn Fn(usize) -> i64 + Send + 'a>),
    Text(&'a StringArray),
    LargeText(&'a LargeStringArray),
    TextView(&'a StringViewArray),
    Bytes(&'a BinaryArray),
    LargeBytes(&'a LargeBinaryArray),
    BytesView(&'a BinaryViewArray),
    FixedBytes(&'a FixedSizeBinaryArray),
    List(
        Box<dyn Fn(usize) -> (usize, usize) + Send + 'a>,
        Box<Cells<'a>>,
    ),
    Struct(Vec<(Vec<u8>, Cells<'a>)>),
    /// Keys and values; whether keys are text.
    Map(&'a [i32], Box<Cells<'a>>, Box<Cells<'a>>, bool),
    Coded(Box<dyn Fn(usize) -> usize + Send + 'a>, Box<Cells<'a>>),
    Other(ArrayFormatter<'a>),
}

impl<'a> Cells<'a> {
    /// For the values of a column.
    ///
    /// # Errors
    /// When its type cannot be written as text (unions), or its time zone is not known.
    pub fn new(array: &'a dyn Array) -> Result<Self> {
        Ok(Self {
            values: values(array)?,
            array,
        })
    }

    /// Whether a value is null.
    pub fn is_null(&self, row: usize) -> bool {
        match &self.values {
            Values::Null => true,
            Values::Coded(key, values) => self.array.is_null(row) || values.is_null(key(row)),
            _ => self.array.is_null(row),
        }
    }

    /// Appends a value; null is nothing in plain style and `null` in JSON.
    pub fn write(&self, row: usize, style: Style, out: &mut Vec<u8>) {
        if self.is_null(row) {
            if style == Style::Json {
                out.extend_from_slice(b"null");
            }
            return;
        }
        match &self.values {
            Values::Null => {}
            Values::Truth(a) => {
                out.extend_from_slice(if a.value(row) { b"true" } else { b"false" })
            }
            Values::I8(a) => whole(a.value(row), out),
            Values::I16(a) => whole(a.value(row), out),
            Values::I32(a) => whole(a.value(row), out),
            Values::I64(a) => whole(a.value(row), out),
            Values::U8(a) => whole(a.value(row), out),
            Values::U16(a) => whole(a.value(row), out),
            Values::U32(a) => whole(a.value(row), out),
            Values::U64(a) => whole(a.value(row), out),
            Values::F16(a) => float(a.value(row).to_f32(), style, out),
            Values::F32(a) => float(a.value(row), style, out),
            Values::F64(a) => float(a.value(row), style, out),
            Values::Decimal(value) => out.extend_from_slice(value(row).as_bytes()),
            Values::Text(a) => text(a.value(row), style, out),
            Values::LargeText(a) => text(a.value(row), style, out),
            Values::TextView(a) => text(a.value(row), style, out),
            Values::Coded(key, values) => values.write(key(row), style, out),
            Values::List(..) | Values::Struct(_) | Values::Map(..) => self.nested(row, out),
            Values::Other(formatter) => text(&formatter.value(row).to_string(), style, out),
            _ => quoted(style, out, |out| self.simple(row, out)),
        }
    }

    /// Values whose text needs no escapes.
    fn simple(&self, row: usize, out: &mut Vec<u8>) {
        match &self.values {
            Values::Date32(a) => date(i64::from(a.value(row)), out),
            Values::Date64(a) => {
                let stamp = Moment::Stamp(Zone::Local);
                moment(&stamp, 1_000, a.value(row), out);
            }
            Values::Time(kind, per_second, value) => moment(kind, *per_second, value(row), out),
            Values::Bytes(a) => hex(a.value(row), out),
            Values::LargeBytes(a) => hex(a.value(row), out),
            Values::BytesView(a) => hex(a.value(row), out),
            Values::FixedBytes(a) => hex(a.value(row), out),
            _ => {}
        }
    }

    /// Lists, structs and maps are JSON in either style.
    fn nested(&self, row: usize, out: &mut Vec<u8>) {
        match &self.values {
            Values::List(range, items) => {
                let (start, end) = range(row);
                sequence(b'[', b']', start..end, out, |i, out| {
                    items.write(i, Style::Json, out);
                });
            }
            Values::Struct(fields) => {
                sequence(b'{', b'}', 0..fields.len(), out, |i, out| {
                    let (key, cells) = &fields[i];
                    out.extend_from_slice(key);
                    cells.write(row, Style::Json, out);
                });
            }
            Values::Map(offsets, keys, items, true) => {
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                sequence(b'{', b'}', range, out, |i, out| {
                    keys.write(i, Style::Json, out);
                    out.push(b':');
                    items.write(i, Style::Json, out);
                });
            }
            Values::Map(offsets, keys, items, false) => {
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                sequence(b'[', b']', range, out, |i, out| {
                    out.push(b'[');
                    keys.write(i, Style::Json, out);
                    out.push(b',');
                    items.write(i, Style::Json, out);
                    out.push(b']');
                });
            }
            _ => {}
        }
    }
}

fn sequence(
    open: u8,
    close: u8,
    range: std::ops::Range<usize>,
    out: &mut Vec<u8>,
    mut item: impl FnMut(usize, &mut Vec<u8>),
) {
    out.push(open);
    for i in range.clone() {
        if i > range.start {
            out.push(b',');
        }
        item(i, out);
    }
    out.push(close);
}

fn quoted(style: Style, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    if style == Style::Json {
        out.push(b'"');
    }
    write(out);
    if style == Style::Json {
        out.push(b'"');
    }
}

fn text(value: &str, style: Style, out: &mut Vec<u8>) {
    match style {
        Style::Plain => out.extend_from_slice(value.as_bytes()),
        Style::Json => json_text(value, out),
    }
}

/// Appends text as a JSON string.
pub(super) fn json_text(value: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = value.as_bytes();
    let mut done = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[done..i]);
        done = i + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                hex(&[byte], out);
            }
        }
    }
    out.extend_from_slice(&bytes[done..]);
    out.push(b'"');
}

fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

fn whole(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// JSON has no word for what is not finite; the strings are those of the JSON mapping of Protocol Buffers.
fn float<F: zmij::Float + Into<f64> + Copy>(value: F, style: Style, out: &mut Vec<u8>) {
    let number: f64 = value.into();
    if style == Style::Json && !number.is_finite() {
        out.extend_from_slice(match number {
            x if x.is_nan() => b"\"NaN\"",
            x if x > 0.0 => b"\"Infinity\"",
            _ => b"\"-Infinity\"",
        });
        return;
    }
    out.extend_from_slice(zmij::Buffer::new().format(value).as_bytes());
}

fn values<'a>(array: &'a dyn Array) -> Result<Values<'a>> {
    Ok(match array.data_type() {
        DataType::Null => Values::Null,
        DataType::Boolean => Values::Truth(array.as_boolean()),
        DataType::Int8 => Values::I8(array.as_primitive()),
        DataType::Int16 => Values::I16(array.as_primitive()),
        DataType::Int32 => Values::I32(array.as_primitive()),
        DataType::Int64 => Values::I64(array.as_primitive()),
        DataType::UInt8 => Values::U8(array.as_primitive()),
        DataType::UInt16 => Values::U16(array.as_primitive()),
        DataType::UInt32 => Values::U32(array.as_primitive()),
        DataType::UInt64 => Values::U64(array.as_primitive()),
        DataType::Float16 => Values::F16(array.as_primitive()),
        DataType::Float32 => Values::F32(array.as_primitive()),
        DataType::Float64 => Values::F64(array.as_primitive()),
        DataType::Decimal32(..) => decimal::<Decimal32Type>(array),
        DataType::Decimal64(..) => decimal::<Decimal64Type>(array),
        DataType::Decimal128(..) => decimal::<Decimal128Type>(array),
        DataType::Decimal256(..) => decimal::<Decimal256Type>(array),
        DataType::Date32 => Values::Date32(array.as_primitive()),
        DataType::Date64 => Values::Date64(array.as_primitive()),
        DataType::Utf8 => Values::Text(array.as_string()),
        DataType::LargeUtf8 => Values::LargeText(array.as_string()),
        DataType::Utf8View => Values::TextView(array.as_string_view()),
        DataType::Binary => Values::Bytes(array.as_binary()),
        DataType::LargeBinary => Values::LargeBytes(array.as_binary()),
        DataType::BinaryView => Values::BytesView(array.as_binary_view()),
        DataType::FixedSizeBinary(_) => Values::FixedBytes(array.as_fixed_size_binary()),
        DataType::Timestamp(..)
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Duration(_) => times(array)?,
        _ => nested(array)?,
    })
}

fn decimal<T: DecimalType>(array: &dyn Array) -> Values<'_> {
    let array = array.as_primitive::<T>();
    Values::Decimal(Box::new(|row| array.value_as_string(row)))
}

fn times(array: &dyn Array) -> Result<Values<'_>> {
    let (kind, unit) = match array.data_type() {
        DataType::Timestamp(unit, zone) => {
            (Moment::Stamp(super::times::zone(zone.as_deref())?), unit)
        }
        DataType::Duration(unit) => (Moment::Length, unit),
        DataType::Time32(unit) | DataType::Time64(unit) => (Moment::Clock, unit),
        _ => return Err(Error::internal("this is no time")),
    };
    let data = array.to_data();
    let start = data.offset();
    let narrow = matches!(array.data_type(), DataType::Time32(_));
    let value: Box<dyn Fn(usize) -> i64 + Send> = if narrow {
        Box::new(move |row| i64::from(data.buffers()[0].typed_data::<i32>()[start + row]))
    } else {
        Box::new(move |row| data.buffers()[0].typed_data::<i64>()[start + row])
    };
    Ok(Values::Time(kind, per_second(*unit), value))
}

fn nested(array: &dyn Array) -> Result<Values<'_>> {
    let inner = |array| Ok::<_, Error>(Box::new(Cells::new(array)?));
    Ok(match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            let range = |row| (offsets[row] as usize, offsets[row + 1] as usize);
            Values::List(Box::new(range), inner(list.values().as_ref())?)
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let offsets = list.value_offsets();
            let range = |row| (offsets[row] as usize, offsets[row + 1] as usize);
            Values::List(Box::new(range), inner(list.values().as_ref())?)
        }
        DataType::FixedSizeList(_, size) => {
            let list = array.as_fixed_size_list();
            let size = *size as usize;
            let range = move |row| (row * size, (row + 1) * size);
            Values::List(Box::new(range), inner(list.values().as_ref())?)
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns().iter().zip(fields);
            let columns = columns.map(|(column, field)| {
                let mut key = Vec::new();
                json_text(field.name(), &mut key);
                key.push(b':');
                Ok((key, Cells::new(column.as_ref())?))
            });
            Values::Struct(columns.collect::<Result<_>>()?)
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let text = matches!(
                map.keys().data_type(),
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
            );
            Values::Map(
                map.value_offsets(),
                inner(map.keys().as_ref())?,
                inner(map.values().as_ref())?,
                text,
            )
        }
        DataType::Dictionary(..) => {
            let coded = array.as_any_dictionary();
            // Without values all rows are null, and their keys mean nothing.
            let keys = match coded.values().len() {
                0 => Vec::new(),
                _ => coded.normalized_keys(),
            };
            Values::Coded(
                Box::new(move |row| keys[row]),
                inner(coded.values().as_ref())?,
            )
        }
        DataType::Interval(_) => Values::Other(ArrayFormatter::try_new(array, &OPTIONS)?),
        other => {
            return Err(
                Error::data(format!("values of type {other} cannot be written as text"))
                    .help("leave the column out with a `select`"),
            );
        }
    })
}

static OPTIONS: FormatOptions<'static> = FormatOptions::new();

/// Whether columns of these types can be written as text.
pub(super) fn can_write_all(schema: &Schema) -> Result<()> {
    for field in schema.fields() {
        let empty = arrow_array::new_empty_array(field.data_type());
        Cells::new(empty.as_ref()).map_err(|e| {
            let name = field.name();
            e.help(format!("column `{name}`: leave it out with a `select`"))
        })?;
    }
    Ok(())
}
