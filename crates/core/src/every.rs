//! How often snapshots are made: by the clock, or by the rows that have gone by.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::units::Duration;

/// How often: `"10s"`, or `{ rows = 1_000_000 }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// So long after the one before.
    Time(Duration),
    /// When so many rows have come since the one before.
    Rows(u64),
}

impl Default for Every {
    fn default() -> Self {
        Self::Time(Duration::from_nanoseconds(10_000_000_000))
    }
}

/// As written in a table.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Rows of all sources together, 1 or more.
    rows: u64,
}

impl<'de> Deserialize<'de> for Every {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Every;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as \"10s\", or rows such as { rows = 1_000_000 }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Every, E> {
                text.parse().map(Every::Time).map_err(E::custom)
            }
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Every, M::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Every::Rows(table.rows))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for Every {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Every".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (time, rows) = (
            Duration::json_schema(generator),
            Table::json_schema(generator),
        );
        json_schema!({ "anyOf": [time, rows] })
    }
}
