//! The columns of a source of many files: what each file has, what was declared, and the types that hold all of it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Fields, SchemaRef, TimeUnit};
use dataflow_core::Sampling;
use dataflow_core::problem::did_you_mean;
use dataflow_core::{Error, Located, Result};
use dataflow_formats::{DICTIONARY_HINT, settled};
use schemars::JsonSchema;
use serde::Deserialize;

use super::types::{ColumnType, name_of};
use crate::named::Named;

/// What is declared of a column.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct DeclaredColumn {
    /// Its type: `int64` (`int8` to `uint64`), `float64`, `float32`, `text`, `boolean`, `date`, `timestamp` (nanoseconds UTC;
    /// `timestamp_s`, `_ms`, `_us` for others), `decimal(12, 2)`, `list<float64>`, `struct<x: float64, name: text>`; lists
    /// and structs are in JSON lines, Parquet and Arrow files only. Default: what the files say, or what their first rows look like.
    #[serde(rename = "type")]
    pub data_type: Option<Located<ColumnType>>,
    /// It may be absent from files, and is null there. Default false: a column that no file has is an error.
    pub optional: bool,
}

impl DeclaredColumn {
    fn declared_type(&self) -> Option<&DataType> {
        self.data_type.as_ref().map(|declared| &declared.0)
    }
}

/// The columns of one file.
pub(super) struct Seen {
    pub(super) file: Arc<str>,
    pub(super) schema: SchemaRef,
    /// How its rows sample a signal, if it says so.
    pub(super) sampling: Option<Sampling>,
}

/// A column on the way to its type.
struct Column {
    field: Field,
    coded: bool,
    first: Arc<str>,
    /// The files, by index, in which it is text. A text format says so too where it saw no value to tell the type by.
    texts: Vec<usize>,
}

impl Column {
    fn new(field: &Field, file: &Arc<str>) -> Self {
        let mut metadata = field.metadata().clone();
        metadata.remove(DICTIONARY_HINT);
        Self {
            field: field.clone().with_nullable(true).with_metadata(metadata),
            coded: true,
            first: Arc::clone(file),
            texts: Vec::new(),
        }
    }

    /// Takes in the type that a file says; false if nothing holds both. `tells`: whether the column has a value there.
    fn meet(&mut self, data_type: &DataType, tells: &dyn Fn(usize) -> bool, file: usize) -> bool {
        let known = self.field.data_type();
        if let Some(both) = wider(known, data_type) {
            self.field.set_data_type(both);
            return true;
        }
        if *data_type == DataType::Utf8 && !tells(file) {
            return true;
        }
        if *known == DataType::Utf8 && !self.texts.iter().any(|file| tells(*file)) {
            self.texts.clear();
            self.field.set_data_type(data_type.clone());
            return true;
        }
        false
    }
}

/// The columns of all seen files, in the order in which they first appear; types widened where that loses nothing.
/// `tells` says whether a column has a value in the head of a file, given as its index.
pub(super) fn together(
    seen: &[Seen],
    declared: &Named<DeclaredColumn>,
    tells: &dyn Fn(usize, &str) -> bool,
) -> Result<Vec<Field>, Vec<Error>> {
    let mut columns: Vec<Column> = Vec::new();
    let mut at: HashMap<String, usize> = HashMap::new();
    let mut errors = Vec::new();
    for (index, Seen { file, schema, .. }) in seen.iter().enumerate() {
        for (position, field) in schema.fields().iter().enumerate() {
            let name = field.name();
            if schema.fields()[..position].iter().any(|f| f.name() == name) {
                errors.push(doubled(name, file));
                continue;
            }
            let known = *at.entry(name.clone()).or_insert_with(|| {
                columns.push(Column::new(field, file));
                columns.len() - 1
            });
            let column = &mut columns[known];
            column.coded &= field.metadata().contains_key(DICTIONARY_HINT);
            let settled = declared.get(name).is_some_and(|d| d.data_type.is_some());
            if !settled && !column.meet(field.data_type(), &|file| tells(file, name), index) {
                errors.push(unlike(column, field, file));
            }
            if *field.data_type() == DataType::Utf8 {
                column.texts.push(index);
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let finish = |column| finished(column, declared);
    Ok(columns.into_iter().map(finish).collect())
}

fn finished(column: Column, declared: &Named<DeclaredColumn>) -> Field {
    let field = column.field;
    let asked = declared
        .get(field.name())
        .and_then(|d| d.declared_type())
        .unwrap_or(field.data_type());
    let data_type = match asked {
        DataType::Utf8 if column.coded => super::text(),
        // Where no file has a value to tell the type by, it is text.
        other => settled(other),
    };
    field.with_data_type(data_type)
}

fn doubled(name: &str, file: &str) -> Error {
    Error::data(format!("there are several columns `{name}`"))
        .file(file)
        .help("give the columns of this file different names")
}

fn unlike(column: &Column, field: &Field, file: &str) -> Error {
    let (a, b) = (column.field.data_type(), field.data_type());
    Error::data(format!(
        "column `{}` is {} in {} and {} in {file}",
        field.name(),
        name_of(a),
        column.first,
        name_of(b),
    ))
    .help(format!(
        "declare a type for it, such as `columns.{} = {{ type = \"text\" }}`, or read the files as two sources",
        field.name()
    ))
}

/// A declared column that the files do not have: null if it is optional.
pub(super) fn absent(
    name: &str,
    declared: &DeclaredColumn,
    there: &[&str],
) -> Result<Field, (String, Option<String>)> {
    if !declared.optional {
        let help = did_you_mean(name, there.iter().copied()).unwrap_or_else(|| {
            format!(
                "if it may be absent, declare `columns.{name} = {{ type = ..., optional = true }}`"
            )
        });
        return Err((format!("there is no column `{name}`"), Some(help)));
    }
    match declared.declared_type() {
        Some(data_type) => Ok(Field::new(name, data_type.clone(), true)),
        None => Err((
            format!("no file has the column `{name}`, so its type is not known"),
            Some(format!(
                "declare it: `columns.{name} = {{ type = \"float64\", optional = true }}`"
            )),
        )),
    }
}

/// Where the columns come from that all files have.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Whose {
    /// From this file, the first.
    File(Arc<str>),
    /// They were declared.
    Declared,
    /// From all files that there were at the start.
    Start,
}

/// The columns that all files have.
pub(super) struct Strict {
    /// The columns and whether a file may do without them.
    pub(super) columns: Vec<(String, bool)>,
    /// Where they come from.
    pub(super) whose: Whose,
    /// Whether others are left out, rather than refused.
    pub(super) others: bool,
}

impl Strict {
    /// Whether a file has the right columns; `may_leave_out`: its head need not show all of them.
    pub(super) fn verify(&self, found: &SchemaRef, file: &str, may_leave_out: bool) -> Result<()> {
        let mut missing = self.columns.iter().filter(|(name, optional)| {
            !optional && !may_leave_out && found.field_with_name(name).is_err()
        });
        if let Some((name, _)) = missing.next() {
            let (whose, union) = match &self.whose {
                Whose::File(first) => (format!("which {first} has"), "`schema = \"union\"` or "),
                Whose::Declared => ("which is declared".to_string(), ""),
                Whose::Start => ("which the files at the start had".to_string(), ""),
            };
            return Err(Error::data(format!("there is no column `{name}`, {whose}"))
                .file(file)
                .help(format!(
                    "to read it as null there, set {union}`columns.{name} = {{ optional = true }}`"
                )));
        }
        if self.others {
            return Ok(());
        }
        let known = |field: &&FieldRef| self.columns.iter().any(|(name, _)| name == field.name());
        let Some(field) = found.fields().iter().find(|field| !known(field)) else {
            return Ok(());
        };
        let (whose, help) = match &self.whose {
            Whose::File(first) => (
                format!("which {first} does not have"),
                "to read the columns of all files, set `schema = \"union\"`".to_string(),
            ),
            Whose::Declared => (
                "which is not declared".to_string(),
                format!(
                    "declare it: `columns.{} = {{ type = ..., optional = true }}`",
                    field.name()
                ),
            ),
            Whose::Start => (
                "which no file had when the run began".to_string(),
                "start the run again: it finds the columns of all files that are there".to_string(),
            ),
        };
        let what = format!("there is a column `{}`, {whose}", field.name());
        Err(Error::data(what).file(file).help(help))
    }
}

/// Bits of a whole number and whether it is signed.
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

fn signed(bits: u32) -> Option<DataType> {
    Some(match bits {
        8 => DataType::Int8,
        16 => DataType::Int16,
        32 => DataType::Int32,
        64 => DataType::Int64,
        _ => return None,
    })
}

/// A type that holds the values of both, if there is one.
fn wider(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType as T;
    if a == b {
        return Some(a.clone());
    }
    if let (Some((x, x_signed)), Some((y, y_signed))) = (whole(a), whole(b)) {
        return match (x_signed, y_signed) {
            (true, false) => signed(x.max(2 * y)),
            (false, true) => signed(y.max(2 * x)),
            _ => Some(if x > y { a.clone() } else { b.clone() }),
        };
    }
    match (a, b) {
        (T::Null, other) | (other, T::Null) => Some(other.clone()),
        (x, y)
            if (x.is_floating() || whole(x).is_some())
                && (y.is_floating() || whole(y).is_some()) =>
        {
            Some(T::Float64)
        }
        (T::Date32, T::Timestamp(unit, zone)) | (T::Timestamp(unit, zone), T::Date32)
            if zone.as_deref().is_none_or(|zone| zone == "UTC") =>
        {
            Some(T::Timestamp(*unit, zone.clone()))
        }
        (T::Timestamp(x, zone), T::Timestamp(y, other)) if zone == other => {
            Some(T::Timestamp(finer(*x, *y), zone.clone()))
        }
        (T::Decimal128(p, s), T::Decimal128(q, t)) => {
            let scale = *s.max(t);
            let digits = (i16::from(*p) - i16::from(*s)).max(i16::from(*q) - i16::from(*t));
            let precision = u8::try_from(digits + i16::from(scale)).ok()?;
            (precision <= 38).then_some(T::Decimal128(precision, scale))
        }
        (T::List(x), T::List(y)) => {
            let both = wider(x.data_type(), y.data_type())?;
            Some(T::List(Arc::new(
                Field::clone(x).with_data_type(both).with_nullable(true),
            )))
        }
        (T::Struct(x), T::Struct(y)) => Some(T::Struct(wider_struct(x, y)?)),
        _ => None,
    }
}

fn wider_struct(a: &Fields, b: &Fields) -> Option<Fields> {
    let mut fields: Vec<Field> = a
        .iter()
        .map(|f| Field::clone(f).with_nullable(true))
        .collect();
    for field in b {
        match fields.iter_mut().find(|f| f.name() == field.name()) {
            Some(known) => known.set_data_type(wider(known.data_type(), field.data_type())?),
            None => fields.push(Field::clone(field).with_nullable(true)),
        }
    }
    Some(fields.into())
}

fn finer(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    let ascending = [
        TimeUnit::Second,
        TimeUnit::Millisecond,
        TimeUnit::Microsecond,
    ];
    let rank = |unit| ascending.iter().position(|u| *u == unit).unwrap_or(3);
    if rank(a) > rank(b) { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::Schema;

    fn seen(file: &str, columns: &[(&str, DataType)]) -> Seen {
        let fields = columns
            .iter()
            .map(|(name, data_type)| Field::new(*name, data_type.clone(), false));
        Seen {
            file: file.into(),
            sampling: None,
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
        }
    }

    #[test]
    fn types_are_widened_where_nothing_is_lost() {
        use DataType as T;
        let utc = |unit| T::Timestamp(unit, Some("UTC".into()));
        let cases = [
            (T::Int32, T::Int64, Some(T::Int64)),
            (T::UInt32, T::Int32, Some(T::Int64)),
            (T::UInt64, T::Int8, None),
            (T::Int64, T::Float64, Some(T::Float64)),
            (T::Float32, T::Float64, Some(T::Float64)),
            (T::Null, T::Utf8, Some(T::Utf8)),
            (T::Int64, T::Utf8, None),
            (
                T::Date32,
                utc(TimeUnit::Second),
                Some(utc(TimeUnit::Second)),
            ),
            (
                utc(TimeUnit::Second),
                utc(TimeUnit::Millisecond),
                Some(utc(TimeUnit::Millisecond)),
            ),
            (
                T::Decimal128(5, 2),
                T::Decimal128(9, 1),
                Some(T::Decimal128(10, 2)),
            ),
        ];
        for (a, b, expected) in cases {
            assert_eq!(wider(&a, &b), expected, "{a} {b}");
            assert_eq!(wider(&b, &a), expected, "{b} {a}");
        }
        let object = |names: &[&str]| {
            let fields = names.iter().map(|name| Field::new(*name, T::Int64, true));
            T::Struct(fields.collect())
        };
        // An empty list goes with any other, however deep it is.
        let list = |item: T| T::List(Arc::new(Field::new_list_field(item, true)));
        let deep = |item: T| {
            let fields = vec![Field::new("l", list(list(item)), true)];
            list(T::Struct(fields.into()))
        };
        for item in [T::Float64, T::Utf8, object(&["a"]), list(T::Int64)] {
            for (a, b) in [(T::Null, item.clone()), (item.clone(), T::Null)] {
                assert_eq!(
                    wider(&list(a.clone()), &list(b.clone())),
                    Some(list(item.clone()))
                );
                assert_eq!(wider(&deep(a), &deep(b)), Some(deep(item.clone())));
            }
        }
        let both = wider(&object(&["a", "b"]), &object(&["c", "b"]));
        assert_eq!(both, Some(object(&["a", "b", "c"])));
    }

    #[test]
    fn columns_come_in_order_of_appearance() {
        let files = [
            seen("a", &[("x", DataType::Int64), ("y", DataType::Utf8)]),
            seen("b", &[("z", DataType::Boolean), ("x", DataType::Float64)]),
        ];
        let columns = together(&files, &Named::default(), &|_, _| true).expect("fits");
        let shown: Vec<String> = columns
            .iter()
            .map(|f| format!("{}:{}", f.name(), name_of(f.data_type())))
            .collect();
        assert_eq!(shown, ["x:float64", "y:text", "z:boolean"]);
        assert!(columns.iter().all(Field::is_nullable));
        let files = [
            seen("a", &[("x", DataType::Int64)]),
            seen("b", &[("x", DataType::Utf8)]),
        ];
        let errors = together(&files, &Named::default(), &|_, _| true).expect_err("does not fit");
        assert_eq!(errors[0].what(), "column `x` is int64 in a and text in b");
        // Text that no value told is no contradiction, wherever it comes.
        for silent in [0, 1] {
            let files = match silent {
                0 => [&files[1], &files[0]],
                _ => [&files[0], &files[1]],
            };
            let files = files.map(|seen| Seen {
                file: Arc::clone(&seen.file),
                schema: Arc::clone(&seen.schema),
                sampling: None,
            });
            let told = |file: usize, _: &str| file != silent;
            let columns = together(&files, &Named::default(), &told).expect("fits");
            assert_eq!(columns[0].data_type(), &DataType::Int64);
        }
    }
}
