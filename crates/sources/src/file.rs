//! The `file` source: files, folders, globs or standard input, in any of the formats, as one stream of rows.

use std::fmt;
use std::sync::Arc;

use arrow_schema::DataType;
use dataflow_core::component::{Configured, Info};
use dataflow_core::units::Rate;
use dataflow_core::{Located, Problems, Source};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

mod build;
mod columns;
mod discover;
mod format;
mod hive;
mod inputs;
mod landing;
mod read;
mod reader;
mod sample;
mod steps;
mod types;
mod watch;
mod watched;

pub use columns::DeclaredColumn;
pub use format::FormatConfig;
pub use sample::SampleConfig;
pub use types::ColumnType;
pub(crate) use types::name_of;

use crate::named::Named;
use crate::sampling::SamplingConfig;
use crate::time::TimeConfig;

/// Settings of the `file` source.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FileConfig {
    /// A file, a folder (with all folders in it), a glob such as `data/**/*.csv`, or `-` for standard input; or a list of
    /// those. Empty: the `sample`. Relative paths start from the folder that the program is started in.
    pub path: Located<Paths>,
    /// Globs of files and folders to leave out; one without `/` means names at any depth. Names in folders that begin with `.`
    /// or `_` are left out anyway.
    pub exclude: Vec<Located<String>>,
    /// `"csv"`, `"jsonl"`, `"parquet"`, `"arrow"`, `"npy"`, `"npz"` or `"wav"`, or one of them with options:
    /// `{ csv = { delimiter = ";" } }`; for numbers without a head `{ raw = { type = "f64" } }`. Default: by the extension (`.gz` and
    /// `.zst` may follow that of a text format; `.f64 .f32 .i32 .i16 .i8` are raw), else by the first bytes of each file.
    pub format: Option<Located<FormatConfig>>,
    /// Whether all files must have the same columns. Default `"strict"`.
    pub schema: Matching,
    /// What is known of columns: `columns.x = { type = "float64", optional = true }`. Undeclared ones are read too.
    pub columns: Named<DeclaredColumn>,
    /// Adds a column of this name with the path of each row's file. Default: none.
    pub file_column: Option<Located<String>>,
    /// Adds a column of this name with each row's number in its file, from 1, rows that could not be read counted too. Default: none.
    pub row_column: Option<Located<String>>,
    /// What is read while `path` is empty: `{ preset = "sensors", rows = 100_000 }`. Default: an empty path is an error.
    pub sample: Option<Located<SampleConfig>>,
    /// Whether files are read that land in the folders while the run goes on; then it has no end of its own. Default false: it ends with
    /// the files that there are.
    pub watch: Located<bool>,
    /// Rows per second at most, as `"10k/s"`. Default: as fast as they are taken.
    pub rate: Option<Rate>,
    /// That the rows are samples of a signal, for spectra and filters: `{ rate = 1e6, start = -0.5 }`, so many per second, the first at
    /// so many seconds; or `{ column = "time" }`, as the times in a column say. Default: what the files say, else they are not.
    pub sampling: Option<Located<SamplingConfig>>,
    /// When the rows happened, for windows and for all that goes by event time: `{ column = "timestamp", lateness = "5s" }`.
    /// Default: they have no event time.
    pub time: Option<Located<TimeConfig>>,
}

/// One path or several.
#[derive(Clone, Debug, JsonSchema, PartialEq)]
#[schemars(untagged)]
pub enum Paths {
    /// A file, a folder, a glob, or `-`.
    One(String),
    /// Several of those.
    Many(Vec<Located<String>>),
}

impl Default for Paths {
    fn default() -> Self {
        Self::One(String::new())
    }
}

/// Whether all files must have the same columns.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Matching {
    /// They must have the columns of the first file; the order may differ.
    #[default]
    Strict,
    /// The columns of all files in the order in which they first appear, paths sorted; null where a file has none. Types
    /// are widened where nothing is lost (int32 to int64, whole numbers to float64).
    Union,
}

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Paths;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, or a list of paths")
            }
            fn visit_str<E: de::Error>(self, path: &str) -> Result<Paths, E> {
                Ok(Paths::One(path.to_string()))
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Paths, S::Error> {
                let mut all = Vec::new();
                while let Some(path) = list.next_element()? {
                    all.push(path);
                }
                Ok(Paths::Many(all))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

const MANUAL: &str = "\
Files are read in the order of their paths' bytes; that order, and the rows' order in each file, is the order of the stream. \
Only the columns in use are decoded; conditions of a following `filter` leave out parts of Parquet files and whole folders. \
Files are opened when their turn comes, so tens of thousands are no trouble.

When a pipeline is checked, the header or footer of the first file is read (with `schema = \"union\"`, of every file); the others are \
compared with it when they are opened.

Standard input (`-`) is read by one source, and its rows go on as they arrive. If `format` is `csv` or `jsonl` and all `columns` that \
are declared have a type, these are its columns, others are left out, and nothing has to arrive before the run; else a run waits for \
the rows that types are found in (`infer_rows`), and `validate` says what it could not check.

Folders named `year=2025/month=11` become columns (int64 where all values are whole numbers, else text) unless the files have columns \
of these names. Text that Parquet files keep in dictionaries stays so.

Traces of instruments (`raw`, `npy`, `npz`, `wav`) are read by range: a sample is found by its number, and a channel that nobody wants \
is not made. Archives (`npz`) whose arrays are compressed are decompressed in their order by one thread. A file that says how many \
samples there are per second says so to spectra and filters, too; of others `sampling` says it, or the times in a column \
(`sampling = { column = \"time\" }`): steps that are other than the rate are counted in the closing report.

With `time`, rows have event time: any column can hold it, those of folders and files too. What is late is judged by all rows, so a \
following `filter` leaves out no part of a file then.

With `watch`, files that land in the folders are read as well, in the order in which they are complete: moved or linked into their place, \
closed by who wrote them, or, where the system does not tell that, the same at two looks a second apart. New folders are watched too; \
names that are left out at the start are left out. Where all columns that files have are declared with types, or no file is there yet, the columns are those that are declared; files may have \
no others than at the start. \
The run ends when nobody wants more rows, or when it is stopped; nobody may wait for its end, so it is no table that is loaded, and the last \
of several inputs. With `time`, a file that lands is late by all before it. `--rows` takes the first rows of what is there.

With `rate`, a piece of a file (up to 64k rows, or a mebibyte of text) is handed out when its rows are due; no result changes.

Rows that cannot be read (too few fields, a number that does not parse) leave on the port `errors` with file and row. A file that \
cannot be read at all is an error.

Memory: one piece of a file per reading thread, whatever the size of files, row groups and lines up to the declared limit.";

const EXAMPLE: &str = "\
path = \"data/**/*.csv\"
exclude = [\"old\"]
format = { csv = { delimiter = \";\" } }
schema = \"union\"
columns.temperature = { type = \"float64\" }
columns.comment = { type = \"text\", optional = true }
file_column = \"file\"
time = { column = \"timestamp\", lateness = \"5s\" }
";

impl Configured for FileConfig {
    const INFO: Info = Info {
        name: "file",
        summary: "Reads files, folders, globs or standard input",
        manual: MANUAL,
        example: EXAMPLE,
        also_called: &[
            "csv", "jsonl", "json", "parquet", "arrow", "npy", "npz", "numpy", "wav", "raw",
            "trace", "read", "files", "stdin",
        ],
        ..Info::EMPTY
    };
}

/// The type of text with few distinct values.
fn text() -> DataType {
    dataflow_formats::dictionary()
}

/// Opens a path with the defaults, as `dataflow peek` does.
///
/// # Errors
/// All problems that a pipeline with such a source would have.
pub fn open_path(path: &str) -> Result<Arc<dyn Source>, Problems> {
    FileConfig::of(path).open()
}

#[cfg(test)]
mod tests;
