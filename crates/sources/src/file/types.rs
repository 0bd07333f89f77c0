//! The names of types that people write, and a type's name for messages.

use std::borrow::Cow;
use std::fmt;

use arrow_schema::{DataType, TimeUnit};
use dataflow_core::problem::did_you_mean;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A column's type as declared: `int64`, `float64`, `text`, `timestamp`, `decimal(12, 2)` ...
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
        if let Some(decimal) = decimal(text) {
            return decimal.map(Self);
        }
        let lower = text.to_lowercase();
        let other = OTHER_NAMES.iter().find(|(name, _)| *name == lower);
        let help = match other {
            Some((_, ours)) => format!("did you mean `{ours}`?"),
            None => did_you_mean(text, simple().iter().map(|(name, _)| *name)).unwrap_or_else(|| {
                "write one such as \"int64\", \"float64\", \"text\", \"boolean\", \"date\", \"timestamp\" or \
                 \"decimal(12, 2)\""
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

/// A type's name as people would declare it.
pub(super) fn name_of(data_type: &DataType) -> String {
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
        DataType::List(inner) => format!("a list of {}", name_of(inner.data_type())),
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
                { "type": "string", "pattern": r"^decimal *\([0-9]+ *, *[0-9]+\)$|\$\{" },
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
        for (text, said) in [
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
