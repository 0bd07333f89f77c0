//! The names of types that people write, and a type's name for messages.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};
use dataflow_core::problem::did_you_mean;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A column's type as declared: `int64`, `float64`, `text`, `timestamp`, `decimal(12, 2)`, `list<float64>` ...
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnType(pub DataType);

fn utc(unit: TimeUnit) -> DataType {
    DataType::Timestamp(unit, Some("UTC".into()))
}

fn simple() -> [(&'static str, DataType); 18] {
    [
        ("int8", DataType::Int8),
        ("int16", DataType::Int16),
        ("int32", DataType::Int32),
        ("int64", DataType::Int64),
        ("uint8", DataType::UInt8),
        ("uint16", DataType::UInt16),
        ("uint32", DataType::UInt32),
        ("uint64", DataType::UInt64),
        ("float32", DataType::Float32),
        ("float64", DataType::Float64),
        ("text", DataType::Utf8),
        ("boolean", DataType::Boolean),
        ("date", DataType::Date32),
        ("timestamp", utc(TimeUnit::Nanosecond)),
        ("timestamp_s", utc(TimeUnit::Second)),
        ("timestamp_ms", utc(TimeUnit::Millisecond)),
        ("timestamp_us", utc(TimeUnit::Microsecond)),
        ("timestamp_ns", utc(TimeUnit::Nanosecond)),
    ]
}

/// What other programs call them.
const OTHER_NAMES: [(&str, &str); 16] = [
    ("string", "text"),
    ("str", "text"),
    ("utf8", "text"),
    ("varchar", "text"),
    ("int", "int64"),
    ("integer", "int64"),
    ("bigint", "int64"),
    ("long", "int64"),
    ("i64", "int64"),
    ("float", "float64"),
    ("double", "float64"),
    ("real", "float64"),
    ("number", "float64"),
    ("f64", "float64"),
    ("bool", "boolean"),
    ("datetime", "timestamp"),
];

impl std::str::FromStr for ColumnType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, data_type)) = simple().into_iter().find(|(name, _)| *name == text) {
            return Ok(Self(data_type));
        }
        let nested = || list(text).or_else(|| structure(text));
        if let Some(found) = decimal(text).or_else(nested) {
            return found.map(Self);
        }
        let lower = text.to_lowercase();
        let other = OTHER_NAMES.iter().find(|(name, _)| *name == lower);
        let help = match other {
            Some((_, ours)) => format!("did you mean `{ours}`?"),
            None => did_you_mean(text, simple().iter().map(|(name, _)| *name)).unwrap_or_else(|| {
                "write one such as \"int64\", \"float64\", \"text\", \"boolean\", \"date\", \"timestamp\", \
                 \"decimal(12, 2)\" or \"list<float64>\""
                    .to_string()
            }),
        };
        Err(format!("`{text}` is not a type: {help}"))
    }
}

/// `decimal(12, 2)`, if it is meant to be one.
fn decimal(text: &str) -> Option<Result<DataType, String>> {
    let inner = text
        .strip_prefix("decimal")?
        .trim()
        .strip_prefix('(')?
        .strip_suffix(')')?;
    let parsed = inner
        .split_once(',')
        .and_then(|(p, s)| Some((p.trim().parse::<u8>().ok()?, s.trim().parse::<i8>().ok()?)));
    Some(match parsed {
        Some((precision @ 1..=38, scale)) if scale >= 0 && scale as u8 <= precision => {
            Ok(DataType::Decimal128(precision, scale))
        }
        _ => Err(format!(
            "`{text}` is not a type: write digits in all (1 to 38) and behind the point, as \"decimal(12, 2)\""
        )),
    })
}

/// What stands between `name<` and `>`, if the type is meant to be such a one.
fn between<'a>(text: &'a str, name: &str) -> Option<Result<&'a str, String>> {
    let inner = text.strip_prefix(name)?.trim_start().strip_prefix('<')?;
    let inner = inner.trim_end().strip_suffix('>');
    Some(
        inner
            .map(str::trim)
            .ok_or_else(|| format!("`{text}` is not a type: its `<` is not closed by a `>`")),
    )
}

/// `list<float64>`, if it is meant to be one.
fn list(text: &str) -> Option<Result<DataType, String>> {
    let item = match between(text, "list")? {
        Ok("") => Err(format!(
            "`{text}` is not a type: write what is in the list, as \"list<float64>\""
        )),
        Ok(item) => item.parse::<ColumnType>(),
        Err(wrong) => Err(wrong),
    };
    Some(item.map(|item| DataType::List(Arc::new(Field::new_list_field(item.0, true)))))
}

/// `struct<x: float64, name: text>`, if it is meant to be one.
fn structure(text: &str) -> Option<Result<DataType, String>> {
    let fields = between(text, "struct")?.and_then(|inner| {
        let fields = at_commas(inner).into_iter();
        fields
            .map(|field| member(field, text))
            .collect::<Result<Vec<_>, _>>()
    });
    Some(fields.and_then(|fields| {
        let name = |i: usize| fields[i].name();
        match (0..fields.len()).find(|&i| (0..i).any(|j| name(j) == name(i))) {
            Some(i) => Err(format!("`{text}` has several members `{}`", name(i))),
            None => Ok(DataType::Struct(fields.into())),
        }
    }))
}

fn member(text: &str, whole: &str) -> Result<Field, String> {
    let (name, of) = text
        .split_once(':')
        .map(|(name, of)| (name.trim(), of.trim()))
        .filter(|(name, of)| !name.is_empty() && !of.is_empty())
        .ok_or_else(|| {
            format!(
                "`{whole}` is not a type: write its members with their types, as \"struct<x: float64, name: text>\""
            )
        })?;
    Ok(Field::new(name, of.parse::<ColumnType>()?.0, true))
}

/// The parts between the commas that are in no brackets.
fn at_commas(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '<' | '(' => depth += 1,
            '>' | ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A type's name as people would declare it.
pub(crate) fn name_of(data_type: &DataType) -> String {
    if let DataType::Dictionary(_, values) = data_type {
        return name_of(values);
    }
    match data_type {
        DataType::Timestamp(TimeUnit::Nanosecond, Some(_)) => "timestamp".to_string(),
        DataType::Timestamp(_, None) => "timestamp without a time zone".to_string(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision}, {scale})"),
        DataType::LargeUtf8 | DataType::Utf8View => "text".to_string(),
        DataType::Null => "null".to_string(),
        DataType::Struct(_) => "an object".to_string(),
        DataType::List(inner) => match inner.data_type() {
            DataType::Struct(_) => "a list of objects".to_string(),
            item => format!("list<{}>", name_of(item)),
        },
        other => {
            let known = simple().into_iter().find(|(_, t)| t == other);
            known.map_or_else(|| other.to_string(), |(name, _)| name.to_string())
        }
    }
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = ColumnType;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a type such as \"float64\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ColumnType, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for ColumnType {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "ColumnType".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = simple().iter().map(|(name, _)| *name).collect();
        json_schema!({
            "anyOf": [
                { "type": "string", "enum": names },
                { "type": "string", "pattern": r"^decimal *\([0-9]+ *, *[0-9]+\)$|^(list|struct) *<.*>$|\$\{" },
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_and_named() {
        for (name, data_type) in simple() {
            assert_eq!(name.parse(), Ok(ColumnType(data_type.clone())));
            if name != "timestamp_ns" {
                assert_eq!(name_of(&data_type), name);
            }
        }
        let decimal = DataType::Decimal128(12, 2);
        assert_eq!("decimal(12, 2)".parse(), Ok(ColumnType(decimal.clone())));
        assert_eq!(name_of(&decimal), "decimal(12, 2)");
        let list = |item: DataType| DataType::List(Arc::new(Field::new_list_field(item, true)));
        let floats = list(DataType::Float64);
        assert_eq!("list<float64>".parse(), Ok(ColumnType(floats.clone())));
        assert_eq!(name_of(&floats), "list<float64>");
        let members = vec![
            Field::new("x", decimal, true),
            Field::new("y", list(floats), true),
        ];
        let nested = "list < struct<x: decimal(12, 2), y: list<list<float64>>> >";
        let expected = list(DataType::Struct(members.into()));
        assert_eq!(nested.parse(), Ok(ColumnType(expected)));
        for (text, said) in [
            (
                "list<double>",
                "`double` is not a type: did you mean `float64`?",
            ),
            (
                "list<float64",
                "`list<float64` is not a type: its `<` is not closed by a `>`",
            ),
            (
                "list<>",
                "`list<>` is not a type: write what is in the list, as \"list<float64>\"",
            ),
            (
                "struct<x, y: text>",
                "`struct<x, y: text>` is not a type: write its members with their types, as \"struct<x: float64, name: text>\"",
            ),
            (
                "struct<x: text, x: int64>",
                "`struct<x: text, x: int64>` has several members `x`",
            ),
            ("string", "`string` is not a type: did you mean `text`?"),
            (
                "Float64",
                "`Float64` is not a type: did you mean `float64`?",
            ),
            (
                "decimal(99, 2)",
                "`decimal(99, 2)` is not a type: write digits in all (1 to 38) and behind the point, as \"decimal(12, 2)\"",
            ),
        ] {
            assert_eq!(text.parse::<ColumnType>(), Err(said.to_string()));
        }
    }
}
