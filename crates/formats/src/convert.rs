//! Types of a file turned into types of a stream: which of them are the same to people, and which conversions lose nothing.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_cast::{CastOptions, can_cast_types, cast, cast_with_options};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use dataflow_core::{Error, Result};

use crate::Request;

/// The key of a field's metadata that says: in this file the column is dictionary-encoded throughout, ask for it as
/// [`dictionary`]. The type of the field is the type of the values.
pub const DICTIONARY_HINT: &str = "dataflow.dictionary";

/// Text with its distinct values written once per batch or row group.
pub fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The type that people mean: widths of offsets, views, dictionaries and runs are matters of storage.
pub fn logical(data_type: &DataType) -> DataType {
    let inner = |field: &FieldRef| Arc::new(logical_field(field));
    match data_type {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::Float16 => DataType::Float32,
        DataType::Dictionary(_, values) => logical(values),
        DataType::RunEndEncoded(_, values) => logical(values.data_type()),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field) => DataType::List(inner(field)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(inner(field), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::Map(entries, sorted) => DataType::Map(inner(entries), *sorted),
        other => other.clone(),
    }
}

/// The type with text in the places of which no value has told the type, at any depth.
pub fn settled(data_type: &DataType) -> DataType {
    let inner = |field: &FieldRef| {
        let data_type = settled(field.data_type());
        Arc::new(Field::clone(field).with_data_type(data_type))
    };
    match data_type {
        DataType::Null => DataType::Utf8,
        DataType::List(field) => DataType::List(inner(field)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}

fn logical_field(field: &Field) -> Field {
    field.clone().with_data_type(logical(field.data_type()))
}

/// The schema that people see, without what only a file's storage is concerned with.
pub(crate) fn logical_schema(schema: &Schema, dictionary: impl Fn(usize) -> bool) -> SchemaRef {
    let fields = schema.fields().iter().enumerate().map(|(i, field)| {
        let mut metadata = field.metadata().clone();
        metadata.retain(|key, _| !key.starts_with("PARQUET:") && key != DICTIONARY_HINT);
        if dictionary(i) {
            metadata.insert(DICTIONARY_HINT.into(), "1".into());
        }
        logical_field(field).with_metadata(metadata)
    });
    let mut metadata = schema.metadata().clone();
    metadata.retain(|key, _| !matches!(key.as_str(), "ARROW:schema" | "pandas"));
    Arc::new(Schema::new_with_metadata(
        fields.collect::<Vec<_>>(),
        metadata,
    ))
}

/// The columns to give, in the order of the request.
pub(crate) fn wanted_columns(request: &Request) -> SchemaRef {
    let Some(wanted) = &request.wanted.columns else {
        return Arc::clone(&request.columns);
    };
    let fields = request.columns.fields().iter();
    let used = fields
        .filter(|field| wanted.contains(field.name()))
        .cloned();
    Arc::new(Schema::new_with_metadata(
        used.collect::<Vec<_>>(),
        request.columns.metadata().clone(),
    ))
}

/// How a column of a file becomes a column of the stream.
#[derive(Clone, Debug, PartialEq)]
enum Conversion {
    /// It is one already.
    Same,
    /// Every value has its counterpart, or is out of range, which is an error.
    Cast,
    /// Whole numbers as floats: each is checked to be representable.
    Exact,
}

/// Where a wanted column comes from.
#[derive(Clone, Debug, PartialEq)]
enum Origin {
    /// The column at this index of what was decoded.
    Decoded(usize, Conversion),
    /// The file does not have it: nulls.
    Absent,
}

/// Makes the requested columns from the decoded ones.
#[derive(Clone, Debug)]
pub(crate) struct Shaping {
    target: SchemaRef,
    origins: Vec<Origin>,
    /// The indices in the file of the columns to decode, ascending.
    pub used: Vec<usize>,
}

impl Shaping {
    /// Plans how columns of a file with `types` (as decoded) become `target`.
    ///
    /// # Errors
    /// Names the column that is absent, ambiguous, or of a type that cannot be converted without loss.
    pub fn plan(target: SchemaRef, names: &[&str], types: &[DataType], path: &str) -> Result<Self> {
        let mut sources = Vec::with_capacity(target.fields().len());
        for field in target.fields() {
            let at = find(names, field, path)?;
            if let Some(at) = at {
                let conversion = conversion(&types[at], field.data_type())
                    .ok_or_else(|| unconvertible(field, &types[at], path))?;
                sources.push(Some((at, conversion)));
            } else {
                sources.push(None);
            }
        }
        let mut used: Vec<usize> = sources.iter().flatten().map(|(at, _)| *at).collect();
        used.sort_unstable();
        used.dedup();
        let origins = sources.into_iter().map(|source| match source {
            Some((at, conversion)) => {
                Origin::Decoded(used.partition_point(|&u| u < at), conversion)
            }
            None => Origin::Absent,
        });
        Ok(Self {
            target,
            origins: origins.collect(),
            used,
        })
    }

    /// Turns decoded columns into the requested ones. `first` is the file's row of the first one, for errors.
    pub fn apply(&self, decoded: &RecordBatch, path: &str, first: u64) -> Result<RecordBatch> {
        let rows = decoded.num_rows();
        let mut columns = Vec::with_capacity(self.origins.len());
        for (field, origin) in self.target.fields().iter().zip(&self.origins) {
            let column = match origin {
                Origin::Absent => new_null_array(field.data_type(), rows),
                Origin::Decoded(at, conversion) => {
                    converted(decoded.column(*at), field, conversion)
                        .map_err(|(row, what)| wrong_value(field, what, path, first + row as u64))?
                }
            };
            columns.push(column);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.target), columns, &options)
            .map_err(|e| Error::data(e.to_string()).file(path))
    }
}

fn find(names: &[&str], field: &Field, path: &str) -> Result<Option<usize>> {
    let mut places = (0..names.len()).filter(|&i| names[i] == field.name());
    let first = places.next();
    if first.is_some() && places.next().is_some() {
        return Err(Error::data(format!(
            "there are several columns `{}`, so it is not clear which is meant",
            field.name()
        ))
        .file(path)
        .help("give the columns of this file different names"));
    }
    if first.is_none() && !field.is_nullable() {
        let help = match dataflow_core::problem::did_you_mean(field.name(), names.iter().copied()) {
            Some(help) => help,
            None => format!(
                "declare it with `columns.{} = {{ optional = true }}`, or leave this file out",
                field.name()
            ),
        };
        return Err(
            Error::data(format!("there is no column `{}`", field.name()))
                .file(path)
                .help(help),
        );
    }
    Ok(first)
}

fn unconvertible(field: &Field, found: &DataType, path: &str) -> Error {
    Error::data(format!(
        "column `{}` is {found} here, and cannot become {} without loss",
        field.name(),
        logical(field.data_type())
    ))
    .file(path)
    .help("declare another type for it, or read this file in a source of its own")
}

fn wrong_value(field: &Field, what: String, path: &str, row: u64) -> Error {
    Error::data(format!("column `{}`: {what}", field.name()))
        .file(path)
        .row(row)
}

/// The converted column, or the first row that cannot be converted and why.
fn converted(
    column: &ArrayRef,
    field: &Field,
    conversion: &Conversion,
) -> std::result::Result<ArrayRef, (usize, String)> {
    if !field.is_nullable() && column.null_count() > 0 {
        let row = (0..column.len()).find(|&i| column.is_null(i));
        return Err((
            row.unwrap_or(0),
            "it is null here, where no null is expected".into(),
        ));
    }
    match conversion {
        Conversion::Same => return Ok(Arc::clone(column)),
        Conversion::Cast => {}
        Conversion::Exact => representable(column)?,
    }
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(column, field.data_type(), &strict).map_err(|error| {
        let row = first_failure(column, field.data_type());
        (row.unwrap_or(0), error.to_string())
    })
}

fn first_failure(column: &ArrayRef, to: &DataType) -> Option<usize> {
    let lenient = cast(column, to).ok()?;
    (0..column.len()).find(|&i| column.is_valid(i) && lenient.is_null(i))
}

fn representable(column: &ArrayRef) -> std::result::Result<(), (usize, String)> {
    let wrong = |row: usize, value: String| {
        let why = format!("{value} has no exact counterpart among floating-point numbers");
        Err((row, why))
    };
    match column.data_type() {
        DataType::Int64 => {
            let column = column.as_primitive::<Int64Type>();
            for (row, value) in column.iter().enumerate() {
                if let Some(value) = value
                    && (value as f64) as i128 != i128::from(value)
                {
                    return wrong(row, value.to_string());
                }
            }
        }
        DataType::UInt64 => {
            let column = column.as_primitive::<UInt64Type>();
            for (row, value) in column.iter().enumerate() {
                if let Some(value) = value
                    && (value as f64) as u128 != u128::from(value)
                {
                    return wrong(row, value.to_string());
                }
            }
        }
        _ => {
            debug_assert!(column.as_primitive_opt::<Float64Type>().is_none());
        }
    }
    Ok(())
}

fn conversion(from: &DataType, to: &DataType) -> Option<Conversion> {
    if from == to {
        return Some(Conversion::Same);
    }
    let (values, target) = (logical(from), logical(to));
    let found = match (&values, &target) {
        (DataType::Int64 | DataType::UInt64, DataType::Float64) => Conversion::Exact,
        (a, b) if a == b || lossless(a, b) => Conversion::Cast,
        _ => return None,
    };
    if matches!(found, Conversion::Exact) && *from != values {
        return None;
    }
    can_cast_types(from, to).then_some(found)
}

/// The bits of a whole number's type, and whether it is signed.
fn whole(data_type: &DataType) -> Option<(u32, bool)> {
    Some(match data_type {
        DataType::Int8 => (8, true),
        DataType::Int16 => (16, true),
        DataType::Int32 => (32, true),
        DataType::Int64 => (64, true),
        DataType::UInt8 => (8, false),
        DataType::UInt16 => (16, false),
        DataType::UInt32 => (32, false),
        DataType::UInt64 => (64, false),
        _ => return None,
    })
}

fn decimal(data_type: &DataType) -> Option<(i32, i32)> {
    match data_type {
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => Some((i32::from(*p), i32::from(*s))),
        _ => None,
    }
}

fn digits(bits: u32) -> i32 {
    match bits {
        8 => 3,
        16 => 5,
        32 => 10,
        _ => 20,
    }
}

fn finer(from: TimeUnit, to: TimeUnit) -> bool {
    let rank = |unit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    };
    rank(from) <= rank(to)
}

fn is_utc(zone: Option<&Arc<str>>) -> bool {
    zone.is_none_or(|zone| matches!(&**zone, "UTC" | "utc" | "Z" | "+00:00" | "Etc/UTC"))
}

/// Whether every value of `from` has its counterpart in `to` (or is out of its range, which the cast reports).
fn lossless(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    if let (Some((a, signed)), Some((b, to_signed))) = (whole(from), whole(to)) {
        return (signed == to_signed && a <= b) || (!signed && to_signed && a < b);
    }
    if let (Some((bits, _)), Some((precision, scale))) = (whole(from), decimal(to)) {
        return precision - scale >= digits(bits);
    }
    if let (Some((p, s)), Some((to_p, to_s))) = (decimal(from), decimal(to)) {
        return to_s >= s && to_p - to_s >= p - s;
    }
    match (from, to) {
        (T::Null, _) => true,
        (from, T::Float64) => whole(from).is_some_and(|(bits, _)| bits <= 32) || from.is_floating(),
        (from, T::Float32) => whole(from).is_some_and(|(bits, _)| bits <= 16),
        (T::Boolean, T::Utf8) | (T::Utf8, T::Binary) => true,
        (from, T::Utf8) => whole(from).is_some(),
        (T::Date32, T::Date64 | T::Timestamp(_, None)) => true,
        (T::Date32, T::Timestamp(_, zone)) => is_utc(zone.as_ref()),
        (T::Timestamp(a, from), T::Timestamp(b, to)) => {
            finer(*a, *b)
                && (from.is_some() == to.is_some() || is_utc(from.as_ref()) && is_utc(to.as_ref()))
        }
        (T::Time32(a) | T::Time64(a), T::Time32(b) | T::Time64(b)) => finer(*a, *b),
        (T::Duration(a), T::Duration(b)) => finer(*a, *b),
        (T::List(a), T::List(b)) => same_or_lossless(a, b),
        (T::FixedSizeList(a, _), T::List(b)) => same_or_lossless(a, b),
        (T::Struct(a), T::Struct(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|(a, b)| a.name() == b.name() && same_or_lossless(a, b))
        }
        (T::Map(a, _), T::Map(b, _)) => same_or_lossless(a, b),
        _ => false,
    }
}

fn same_or_lossless(a: &FieldRef, b: &FieldRef) -> bool {
    (b.is_nullable() || !a.is_nullable())
        && (a.data_type() == b.data_type() || lossless(a.data_type(), b.data_type()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int32Array, Int64Array, StringArray, TimestampMillisecondArray};

    fn shaped(column: ArrayRef, to: DataType) -> Result<ArrayRef> {
        let rows = RecordBatch::try_from_iter_with_nullable([("x", column, true)])?;
        let target = Arc::new(Schema::new(vec![Field::new("x", to, true)]));
        let types = [rows.column(0).data_type().clone()];
        let shaping = Shaping::plan(target, &["x"], &types, "f")?;
        Ok(Arc::clone(shaping.apply(&rows, "f", 100)?.column(0)))
    }

    #[test]
    fn what_loses_nothing_is_converted() {
        let ints = || -> ArrayRef { Arc::new(Int32Array::from(vec![Some(1), None])) };
        for to in [
            DataType::Int64,
            DataType::Float64,
            DataType::Utf8,
            DataType::Decimal128(12, 2),
        ] {
            assert_eq!(shaped(ints(), to.clone()).expect("fits").data_type(), &to);
        }
        for to in [
            DataType::Int16,
            DataType::Float32,
            DataType::UInt64,
            DataType::Boolean,
        ] {
            let error = shaped(ints(), to).expect_err("loses");
            assert!(error.to_string().contains("column `x` is Int32"), "{error}");
        }
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "a"]));
        let coded = shaped(text, dictionary()).expect("fits");
        assert_eq!(coded.data_type(), &dictionary());
        let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![5]));
        let utc = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        assert_eq!(shaped(times, utc.clone()).expect("fits").data_type(), &utc);
    }

    #[test]
    fn a_value_out_of_range_is_named() {
        let large: ArrayRef = Arc::new(Int64Array::from(vec![1, (1 << 53) + 1]));
        let error = shaped(large, DataType::Float64).expect_err("not representable");
        assert_eq!((error.at_row(), error.in_file()), (Some(101), Some("f")));
        let late: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![0, 0, i64::MAX]));
        let to = DataType::Timestamp(TimeUnit::Nanosecond, None);
        assert_eq!(shaped(late, to).expect_err("overflows").at_row(), Some(102));
    }

    #[test]
    fn absent_columns_are_null_or_an_error() {
        let target = |nullable| {
            let field = Field::new("speed", DataType::Int64, nullable);
            Arc::new(Schema::new(vec![field]))
        };
        let plan = |nullable| Shaping::plan(target(nullable), &["sped"], &[DataType::Int64], "f");
        assert_eq!(plan(true).expect("nulls").used, Vec::<usize>::new());
        let error = plan(false).expect_err("absent");
        assert_eq!(error.helps(), Some("did you mean `sped`?"));
    }
}
