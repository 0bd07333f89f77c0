//! Which format a file is read with: declared, by the extension, or by the first bytes.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;
use std::sync::Arc;

use dataflow_core::{Error, Result};
use dataflow_formats::arrow::{self, Arrow};
use dataflow_formats::csv::{Csv, CsvOptions};
use dataflow_formats::jsonl::{Jsonl, JsonlOptions};
use dataflow_formats::npy::{self, Npy};
use dataflow_formats::npz::{self, Npz};
use dataflow_formats::parquet::{self, Parquet};
use dataflow_formats::raw::Raw;
use dataflow_formats::wav::{self, Wav};
use dataflow_formats::{InputFile, ReadFormat};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

/// A format with its options: `"csv"`, or `{ csv = { delimiter = ";" } }`.
#[derive(Clone, Debug, PartialEq)]
pub enum FormatConfig {
    /// Apache Arrow IPC, file or stream.
    Arrow(Arrow),
    /// Comma-separated values and their relatives.
    Csv(Box<CsvOptions>),
    /// A JSON object per line.
    Jsonl(Box<JsonlOptions>),
    /// An array of NumPy.
    Npy(Npy),
    /// Arrays of NumPy in an archive.
    Npz(Npz),
    /// Apache Parquet.
    Parquet(Parquet),
    /// Numbers one behind another.
    Raw(Raw),
    /// Sound and other signals.
    Wav(Wav),
}

/// The formats whose name alone says how to read them.
const NAMES: [&str; 7] = ["arrow", "csv", "jsonl", "npy", "npz", "parquet", "wav"];

/// As written in a table; a name alone means the defaults.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Table {
    /// Apache Arrow IPC, file or stream.
    Arrow(Arrow),
    /// Comma-separated values and their relatives.
    Csv(Box<CsvOptions>),
    /// A JSON object per line.
    Jsonl(Box<JsonlOptions>),
    /// An array of NumPy.
    Npy(Npy),
    /// Arrays of NumPy in an archive.
    Npz(Npz),
    /// Apache Parquet.
    Parquet(Parquet),
    /// Numbers one behind another.
    Raw(Raw),
    /// Sound and other signals.
    Wav(Wav),
}

impl FormatConfig {
    /// Its name in a pipeline file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Arrow(_) => "arrow",
            Self::Csv(_) => "csv",
            Self::Jsonl(_) => "jsonl",
            Self::Npy(_) => "npy",
            Self::Npz(_) => "npz",
            Self::Parquet(_) => "parquet",
            Self::Raw(_) => "raw",
            Self::Wav(_) => "wav",
        }
    }

    /// The format of that name with its defaults.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "arrow" => Self::Arrow(Arrow::default()),
            "csv" => Self::Csv(Box::default()),
            "jsonl" => Self::Jsonl(Box::default()),
            "npy" => Self::Npy(Npy::default()),
            "npz" => Self::Npz(Npz::default()),
            "parquet" => Self::Parquet(Parquet::default()),
            "wav" => Self::Wav(Wav::default()),
            _ => return None,
        })
    }

    /// All that a name or an extension alone can say.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let raw = Raw::EXTENSIONS.into_iter().filter_map(Raw::of_extension);
        NAMES
            .into_iter()
            .filter_map(Self::named)
            .chain(raw.map(Self::Raw))
    }

    /// The format that a file's extension promises; a compression's extension may follow it.
    pub fn of_extension(path: &str) -> Option<Self> {
        let lower = path.to_ascii_lowercase();
        let plain = [".gz", ".gzip", ".zst", ".zstd"]
            .iter()
            .find_map(|end| lower.strip_suffix(end));
        let (_, extension) = plain.unwrap_or(&lower).rsplit_once('.')?;
        if plain.is_none()
            && let Some(raw) = Raw::of_extension(extension)
        {
            return Some(Self::Raw(raw));
        }
        let name = match extension {
            "csv" | "tsv" | "tab" => "csv",
            "jsonl" | "ndjson" | "json" => "jsonl",
            "parquet" | "pq" if plain.is_none() => "parquet",
            "arrow" | "arrows" | "feather" | "ipc" if plain.is_none() => "arrow",
            "npy" if plain.is_none() => "npy",
            "npz" if plain.is_none() => "npz",
            "wav" | "wave" | "rf64" | "bw64" if plain.is_none() => "wav",
            _ => return None,
        };
        Self::named(name)
    }

    /// The format that a file's first bytes look like.
    pub(super) fn of_content(file: &InputFile) -> Result<Self> {
        if is_untold(&file.path) {
            let error = Error::data("a raw file does not say what it holds").file(&*file.path);
            return Err(error.help(
                "say it: `format = { raw = { type = \"f64\" } }`, or give the file an extension that does (.f64 .f32 .i32 .i16 .i8)",
            ));
        }
        let head = head(file)?;
        let name = recognised(&head).ok_or_else(|| {
            Error::data("its first bytes look like no format that can be read")
                .file(&*file.path)
                .help("the formats are csv, jsonl, parquet, arrow, npy, npz, wav and raw; leave other files out with `exclude`")
        })?;
        Self::named(name).ok_or_else(|| Error::internal(format!("there is no format {name}")))
    }

    /// Whether files of this format hold text, so that one of no bytes is a file of no rows.
    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Csv(_) | Self::Jsonl(_))
    }

    /// Whether a row may leave out columns, so that the head of a file need not show all of them.
    pub(super) fn may_leave_out(&self) -> bool {
        matches!(self, Self::Jsonl(_))
    }

    /// The same with as little looking at rows as the names of the columns need.
    pub(super) fn only_names(&self) -> Self {
        let mut quick = self.clone();
        match &mut quick {
            Self::Csv(options) => options.infer_rows = 0,
            // The keys that some rows leave out show after a few.
            Self::Jsonl(options) => options.infer_rows = options.infer_rows.min(100),
            _ => {}
        }
        quick
    }

    /// The same without looking at rows: all that they would tell was declared.
    pub(super) fn told(mut self) -> Self {
        match &mut self {
            Self::Csv(options) => options.infer_rows = 0,
            Self::Jsonl(options) => options.infer_rows = 0,
            _ => {}
        }
        self
    }

    /// What reads it.
    pub(super) fn reader(&self) -> Arc<dyn ReadFormat> {
        match self {
            Self::Arrow(arrow) => Arc::new(arrow.clone()),
            Self::Csv(options) => Arc::new(Csv::new((**options).clone())),
            Self::Jsonl(options) => Arc::new(Jsonl::new((**options).clone())),
            Self::Npy(npy) => Arc::new(npy.clone()),
            Self::Npz(npz) => Arc::new(npz.clone()),
            Self::Parquet(parquet) => Arc::new(parquet.clone()),
            Self::Raw(raw) => Arc::new(raw.clone()),
            Self::Wav(wav) => Arc::new(wav.clone()),
        }
    }

    /// Whether it can be read from its start to its end alone, as from standard input.
    pub(super) fn is_streamed(&self) -> bool {
        matches!(self, Self::Arrow(_) | Self::Csv(_) | Self::Jsonl(_))
    }
}

/// Whether a name says that nothing but samples is in a file, and not which.
fn is_untold(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    lower.ends_with(".raw") || lower.ends_with(".bin")
}

/// The first bytes of a file, decompressed.
fn head(file: &InputFile) -> Result<Vec<u8>> {
    const ENOUGH: u64 = 4096;
    let failed = |error: std::io::Error| Error::io("read", &file.path, &error);
    let raw = if file.is_stdin() {
        first_line(&mut file.peek()?.take(4 * ENOUGH)).map_err(failed)?
    } else {
        file.first_bytes(4 * ENOUGH)?
    };
    let mut plain = Vec::new();
    // The end of what was looked at cuts the compressed text short; what came before counts.
    match &raw[..] {
        [0x1f, 0x8b, ..] => {
            let decoder = flate2::read::MultiGzDecoder::new(&raw[..]);
            let _ = decoder.take(ENOUGH).read_to_end(&mut plain);
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder = zstd::stream::read::Decoder::new(&raw[..]).map_err(failed)?;
            let _ = decoder.take(ENOUGH).read_to_end(&mut plain);
        }
        _ => plain = raw,
    }
    Ok(plain)
}

/// Text up to the end of the first line that is not blank; what is behind it may be long in coming.
fn first_line(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    const BLOCK: usize = 4096;
    let mut text = Vec::new();
    loop {
        let start = text.len();
        text.resize(start + BLOCK, 0);
        let read = match stream.read(&mut text[start..]) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => 0,
            Ok(0) => {
                text.truncate(start);
                return Ok(text);
            }
            read => read?,
        };
        text.truncate(start + read);
        let compressed = text.starts_with(&[0x1f, 0x8b]) || text.starts_with(&[0x28, 0xb5]);
        let blank = text.iter().take_while(|b| b.is_ascii_whitespace()).count();
        if let Some(end) = text[blank..].iter().position(|byte| *byte == b'\n')
            && !compressed
        {
            text.truncate(blank + end + 1);
            return Ok(text);
        }
    }
}

/// The name of the format that starts with these bytes.
fn recognised(head: &[u8]) -> Option<&'static str> {
    let known = match head {
        head if parquet::recognise(head) => Some("parquet"),
        head if arrow::recognise(head) => Some("arrow"),
        head if npy::recognise(head) => Some("npy"),
        head if npz::recognise(head) => Some("npz"),
        head if wav::recognise(head) => Some("wav"),
        _ => None,
    };
    if known.is_some() {
        return known;
    }
    let wide = head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]);
    if head.contains(&0) && !wide {
        return None;
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    Some(if first == Some(&b'{') { "jsonl" } else { "csv" })
}

impl<'de> Deserialize<'de> for FormatConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = FormatConfig;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a format such as \"csv\", or a table such as { csv = { delimiter = \";\" } }",
                )
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<FormatConfig, E> {
                if name == "raw" {
                    let what = "raw samples have a type: write `{ raw = { type = \"f64\" } }`";
                    return Err(E::custom(what));
                }
                FormatConfig::named(name).ok_or_else(|| E::unknown_variant(name, &NAMES))
            }
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<FormatConfig, M::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(match table {
                    Table::Arrow(options) => FormatConfig::Arrow(options),
                    Table::Csv(options) => FormatConfig::Csv(options),
                    Table::Jsonl(options) => FormatConfig::Jsonl(options),
                    Table::Npy(options) => FormatConfig::Npy(options),
                    Table::Npz(options) => FormatConfig::Npz(options),
                    Table::Parquet(options) => FormatConfig::Parquet(options),
                    Table::Raw(options) => FormatConfig::Raw(options),
                    Table::Wav(options) => FormatConfig::Wav(options),
                })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for FormatConfig {
    fn schema_name() -> Cow<'static, str> {
        "ReadFormat".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = Table::json_schema(generator);
        json_schema!({ "anyOf": [
            { "type": "string", "enum": NAMES },
            table,
        ] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_tell_the_format() {
        let cases = [
            ("a.csv", Some("csv")),
            ("data.d/a.CSV.gz", Some("csv")),
            ("a.ndjson.zst", Some("jsonl")),
            ("a.parquet", Some("parquet")),
            ("a.parquet.gz", None),
            ("a.feather", Some("arrow")),
            ("a.F64", Some("raw")),
            ("a.i16.gz", None),
            ("a.raw", None),
            ("a.npy", Some("npy")),
            ("a.npz", Some("npz")),
            ("a.WAV", Some("wav")),
            ("data.csv/a", None),
            ("README.md", None),
            ("-", None),
        ];
        for (path, expected) in cases {
            let found = FormatConfig::of_extension(path);
            assert_eq!(found.map(|f| f.name()), expected, "{path}");
        }
    }

    #[test]
    fn the_first_bytes_tell_the_format() {
        let cases: [(&[u8], Option<&str>); 14] = [
            (b"\x93NUMPY\x01\0", Some("npy")),
            (b"PK\x03\x04", Some("npz")),
            (b"RIFF\x24\0\0\0WAVEfmt ", Some("wav")),
            (b"RF64\xff\xff\xff\xffWAVEds64", Some("wav")),
            (b"RIFF\x24\0\0\0AVI ", None),
            (b"PAR1\0\0", Some("parquet")),
            (b"ARROW1\0\0", Some("arrow")),
            (b"\xff\xff\xff\xff\x10\0", Some("arrow")),
            (b"\xef\xbb\xbf {\"a\":1}", Some("jsonl")),
            (b"\n\n{\"a\":1}", Some("jsonl")),
            (b"a,b\n1,2\n", Some("csv")),
            (b"\xff\xfea\0,\0", Some("csv")),
            (b"", Some("csv")),
            (b"\x89HDF\r\n\x1a\n\0", None),
        ];
        for (head, expected) in cases {
            assert_eq!(recognised(head), expected, "{head:?}");
        }
    }
}
