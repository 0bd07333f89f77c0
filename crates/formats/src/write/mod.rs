//! Writing: rows as CSV, JSON lines, Parquet, Arrow or arrays of NumPy, so that nothing but the rows shapes the bytes.
//!
//! Batches are cut anew into blocks of a fixed number of rows before they reach an encoder that could notice how they were
//! cut. Dictionary columns are written as their values.

mod arrow;
mod blocks;
mod cells;
mod csv;
mod groups;
mod jsonl;
mod npy;
mod npz;
mod numbers;
mod output;
mod parquet;
mod times;

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

pub use arrow::{Arrow, ArrowCompression};
pub use blocks::{plain, written_schema};
pub use cells::{Cells, Style};
pub use csv::{Csv, Delimiter};
pub use jsonl::Jsonl;
pub use npy::Npy;
pub use npz::{FREQUENCIES, Npz};
pub use output::{decompressed, failed};
pub use parquet::{Parquet, ParquetCompression};

use crate::WriteFormat;

/// How a text file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (`.gz`).
    Gzip,
    /// Zstandard (`.zst`).
    Zstd,
}

/// A format to write, with its options: `"csv"`, or `{ csv = { delimiter = ";" } }`.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// Comma-separated values.
    Csv(Csv),
    /// A JSON object per line.
    Jsonl(Jsonl),
    /// Apache Parquet.
    Parquet(Parquet),
    /// Apache Arrow IPC.
    Arrow(Arrow),
    /// An array of NumPy.
    Npy(Npy),
    /// Arrays of NumPy in an archive.
    Npz(Npz),
}

const NAMES: [&str; 6] = ["csv", "jsonl", "parquet", "arrow", "npy", "npz"];

impl Format {
    /// The format of a path by its extension (a compression's extension may follow it).
    pub fn of_path(path: &str) -> Option<Self> {
        let (path, _) = split_compression(path);
        let name = path.rsplit('/').next().unwrap_or(path);
        let (_, extension) = name.rsplit_once('.')?;
        Some(match extension.to_ascii_lowercase().as_str() {
            "csv" => Self::Csv(Csv::default()),
            "tsv" => Self::Csv(Csv {
                delimiter: Delimiter(b'\t'),
                ..Csv::default()
            }),
            "jsonl" | "ndjson" | "json" => Self::Jsonl(Jsonl::default()),
            "parquet" => Self::Parquet(Parquet::default()),
            "arrow" | "feather" | "ipc" => Self::Arrow(Arrow::default()),
            "arrows" => Self::Arrow(Arrow {
                stream: true,
                ..Arrow::default()
            }),
            "npy" => Self::Npy(Npy::default()),
            "npz" => Self::Npz(Npz::default()),
            _ => return None,
        })
    }

    /// With the compression that the path's extension says, where the options do not say one.
    #[must_use]
    pub fn compressed_as(mut self, path: &str) -> Self {
        let (_, of_path) = split_compression(path);
        if let Self::Csv(Csv { compression, .. }) | Self::Jsonl(Jsonl { compression }) = &mut self {
            *compression = compression.or(of_path);
        }
        self
    }

    /// Whether rows can be added behind those of a file that exists.
    pub fn appends(&self) -> bool {
        matches!(self, Self::Csv(_) | Self::Jsonl(_))
    }

    /// Whether it can be written from its beginning to its end alone, as to a pipe.
    pub fn is_streamed(&self) -> bool {
        !matches!(self, Self::Npy(_) | Self::Npz(_))
    }

    /// How the text is compressed.
    pub fn compression(&self) -> Compression {
        match self {
            Self::Csv(Csv { compression, .. }) | Self::Jsonl(Jsonl { compression }) => {
                compression.unwrap_or(Compression::None)
            }
            _ => Compression::None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Csv(_) => "csv",
            Self::Jsonl(_) => "jsonl",
            Self::Parquet(_) => "parquet",
            Self::Arrow(_) => "arrow",
            Self::Npy(_) => "npy",
            Self::Npz(_) => "npz",
        }
    }

    /// What writes it.
    pub fn writer(&self) -> &dyn WriteFormat {
        match self {
            Self::Csv(csv) => csv,
            Self::Jsonl(jsonl) => jsonl,
            Self::Parquet(parquet) => parquet,
            Self::Arrow(arrow) => arrow,
            Self::Npy(npy) => npy,
            Self::Npz(npz) => npz,
        }
    }
}

fn split_compression(path: &str) -> (&str, Option<Compression>) {
    for (extension, compression) in [
        (".gz", Compression::Gzip),
        (".zst", Compression::Zstd),
        (".zstd", Compression::Zstd),
    ] {
        if let Some(path) = path.strip_suffix(extension) {
            return (path, Some(compression));
        }
    }
    (path, None)
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FormatVisitor)
    }
}

struct FormatVisitor;

impl<'de> Visitor<'de> for FormatVisitor {
    type Value = Format;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a format such as \"csv\", or a table such as { csv = { delimiter = \";\" } }")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Format, E> {
        Ok(match name {
            "csv" => Format::Csv(Csv::default()),
            "jsonl" => Format::Jsonl(Jsonl::default()),
            "parquet" => Format::Parquet(Parquet::default()),
            "arrow" => Format::Arrow(Arrow::default()),
            "npy" => Format::Npy(Npy::default()),
            "npz" => Format::Npz(Npz::default()),
            other => return Err(E::unknown_variant(other, &NAMES)),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Format, A::Error> {
        let format = match map.next_key::<Name>()? {
            Some(Name::Csv) => Format::Csv(map.next_value()?),
            Some(Name::Jsonl) => Format::Jsonl(map.next_value()?),
            Some(Name::Parquet) => Format::Parquet(map.next_value()?),
            Some(Name::Arrow) => Format::Arrow(map.next_value()?),
            Some(Name::Npy) => Format::Npy(map.next_value()?),
            Some(Name::Npz) => Format::Npz(map.next_value()?),
            None => return Err(de::Error::custom("a format's name is missing here")),
        };
        match map.next_key::<Name>()? {
            Some(_) => Err(de::Error::custom(
                "a file has one format, these are several",
            )),
            None => Ok(format),
        }
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    Csv,
    Jsonl,
    Parquet,
    Arrow,
    Npy,
    Npz,
}

impl JsonSchema for Format {
    fn schema_name() -> Cow<'static, str> {
        "WriteFormat".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let csv = generator.subschema_for::<Csv>();
        let jsonl = generator.subschema_for::<Jsonl>();
        let parquet = generator.subschema_for::<Parquet>();
        let arrow = generator.subschema_for::<Arrow>();
        let npy = generator.subschema_for::<Npy>();
        let npz = generator.subschema_for::<Npz>();
        schemars::json_schema!({
            "anyOf": [
                { "type": "string", "enum": NAMES },
                {
                    "type": "object",
                    "properties": {
                        "csv": csv, "jsonl": jsonl, "parquet": parquet, "arrow": arrow, "npy": npy, "npz": npz
                    },
                    "additionalProperties": false,
                    "minProperties": 1,
                    "maxProperties": 1
                }
            ]
        })
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
