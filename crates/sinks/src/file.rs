//! Writes files that appear under their final names only when they are complete.

mod append;
#[cfg(test)]
mod arrays_tests;
mod partitions;
mod pattern;
#[cfg(test)]
mod resuming;
mod rolling;
#[cfg(test)]
mod rolling_tests;
pub(crate) mod target;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use dataflow_core::component::{Configured, Info, SinkConfig};
use dataflow_core::saved::{Restored, Save};
use dataflow_core::sink::{FileReceipt, Receipt, Target as Place};
use dataflow_core::transform::Input;
use dataflow_core::{Batch, Check, Error, Located, Result, Sink, SinkContext, Writer};
use dataflow_formats::RowsWriter;
use dataflow_formats::write::Format;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stdout::Streamed;
use partitions::Partitions;
use pattern::Pattern;
pub use rolling::Roll;
use rolling::{Names, Rolling};
use target::Target;

/// Where the rows go, and in which format.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The file; `-` is standard output. `{column}` stands for the value of a column: `"out/{dataset}/x.parquet"` makes a
    /// file per dataset, and the column is left out of the rows. `{{` and `}}` are braces. Folders are made.
    pub path: Located<String>,
    /// The format: `"csv"`, `"jsonl"`, `"parquet"`, `"arrow"`, `"npy"`, `"npz"`, or a table with its options, such as
    /// `{ csv = { delimiter = ";" } }`. Default: by the extension (`.csv .tsv .jsonl .ndjson .json .parquet .arrow .feather
    /// .arrows .npy .npz`, the text formats also with `.gz` or `.zst`); `csv` on standard output.
    #[serde(default)]
    pub format: Option<Located<Format>>,
    /// What to do if the file exists already. Default `"replace"`.
    #[serde(default)]
    pub if_exists: Located<IfExists>,
    /// Writes one file after the other: `roll = { rows = 1_000_000 }`. `out/x.csv` becomes `out/x-000000.csv`, `out/x-000001.csv` and so
    /// on. Default: one file.
    #[serde(default)]
    pub roll: Option<Located<Roll>>,
    /// Takes early results (the output `provisional` of an aggregation with `emit`), which later rows correct and which are others in
    /// each run. Default: false; they are refused.
    #[serde(default)]
    pub provisional: bool,
}

/// What to do with a file that exists already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IfExists {
    /// It is replaced, at once and only by a complete one.
    #[default]
    Replace,
    /// It is an error.
    Fail,
    /// Rows are added behind its own (`csv` and `jsonl`). It is copied, so that it is replaced at once, too.
    Append,
}

impl Configured for File {
    const INFO: Info = Info {
        name: "file",
        summary: "Writes CSV, JSON lines, Parquet or Arrow files, or arrays for NumPy",
        manual: "\
A file is written under a hidden name in its folder and renamed when all sinks are complete, so nobody ever sees half of one. \
What a stopped run left behind is removed by the next run that writes the same file. Where snapshots are taken, the hidden file \
stays when the run is stopped, and the run that goes on from the snapshot cuts it back and goes on in it. It makes \
the bytes that an undisturbed run would have made.

The bytes depend on the rows alone, not on how they came in batches. A Parquet row group is held in memory until it is full, \
some 8 MiB; see `row_group_rows`.

With `{column}` in the path, rows are sorted into files. They wait in memory (32 MiB) and in one temporary file in the folder, \
and the files are written one after another at the end, so their number needs no open files. A null is \
`__HIVE_DEFAULT_PARTITION__`, an empty text `__EMPTY__`, and characters that a file name should not have are written as `%2F`. \
With snapshots, the rows in memory are part of each, and the temporary file stays, also behind a complete run, for one that goes \
on; a run that begins anew removes it. Rows cannot be added to files that exist then.

Files for NumPy are complete only at their end, so they are written to files alone. Of an `npz` file, the rows are in a hidden file \
first, and the archive is made of it at the end; with snapshots the hidden file stays for a run that goes on, and a run that \
begins anew removes it.

Compressed text is written in frames of 1 MiB of text, one after the other, which readers take for one text.

With `roll`, rows go to one file after the other, for runs that have no end, or more rows than one file should have. A file gets its name when it is complete; where snapshots are taken, when one is durable that has all its rows, so what has appeared is never taken back. The first one that appears replaces all files of such names that earlier runs have left; with `append` numbers go on behind them. A run that fails leaves those that were complete. Where a file ends follows from the rows alone.

On standard output rows appear as they come. They are not taken back: a run that goes on from a snapshot prints those behind it \
again, and begins as a file does, with a header. A reader that closes it (`| head`) has enough: no more is made for it, other sinks \
get all of theirs, and the run ends well.",
        example: "type = \"file\"\ninputs = [\"per_minute\"]\npath = \"out/per_minute.parquet\"\n",
        also_called: &["csv", "parquet", "jsonl", "npy", "npz", "numpy", "write", "save"],
        ..Info::EMPTY
    };
}

impl SinkConfig for File {
    fn build(self, input: &Input, check: &mut Check<'_>) -> Option<Arc<dyn Sink>> {
        let pattern = Pattern::check(&self.path, &input.schema, check);
        let format = self.chosen_format(check)?;
        self.check_early(input, check)?;
        let adds = *self.if_exists == IfExists::Append && self.roll.is_none();
        if adds && !format.appends() {
            let message = format!("rows cannot be added to a {} file", format.name());
            let help = "write `csv` or `jsonl`, or a new file each time".to_string();
            check.error_at(&self.if_exists, message, Some(help));
            return None;
        }
        self.check_roll(input.timed, check)?;
        let sink = FileSink {
            roll: self.roll.as_ref().map(|roll| roll.value.clone()),
            path: self.path.value.clone(),
            if_exists: self.if_exists.value,
            schema: Arc::clone(&input.schema),
            pattern: pattern?,
            format,
        };
        self.check_content(&sink, check)?;
        if !check.offline {
            self.check_place(&sink, check)?;
        }
        Some(Arc::new(sink))
    }
}

impl File {
    /// Early results are written on demand only.
    fn check_early(&self, input: &Input, check: &mut Check<'_>) -> Option<()> {
        if !input.provisional || self.provisional {
            return Some(());
        }
        let message = format!(
            "`{}` has early results, which a file would keep beside those that correct them",
            input.from.join("`, `")
        );
        let help = "read the main output, or say `provisional = true` to have every one of them";
        check.error_at(&self.path, message, Some(help.into()));
        None
    }

    fn check_roll(&self, timed: bool, check: &mut Check<'_>) -> Option<()> {
        let Some(roll) = &self.roll else {
            return Some(());
        };
        let path = self.path.value.as_str();
        let wrong = match path {
            "-" => Some((
                "standard output is not cut into files",
                "leave `roll` out, or name a file",
            )),
            path if path.contains('{') => Some((
                "`roll` and `{column}` in the path do not go together",
                "use one of them",
            )),
            _ => roll.misfit(timed),
        };
        match wrong {
            Some((message, help)) => {
                check.error_at(roll, message.to_string(), Some(help.to_string()));
                None
            }
            None => Some(()),
        }
    }

    fn chosen_format(&self, check: &mut Check<'_>) -> Option<Format> {
        let path = self.path.value.as_str();
        let format = match &self.format {
            Some(format) => Some(format.value.clone()),
            None if path == "-" => Format::of_path("-.csv"),
            None => Format::of_path(path),
        };
        let Some(format) = format else {
            check.error_at(
                &self.path,
                format!("what format to write is not clear from the name `{path}`"),
                Some("write `format = \"csv\"`, or a name that ends in .csv, .jsonl, .parquet, .arrow, .npy or .npz".into()),
            );
            return None;
        };
        if path == "-" && !format.is_streamed() {
            let message = format!("{} cannot be written to standard output", format.name());
            let help = "it is complete only at its end: write a file".to_string();
            check.error_at(&self.path, message, Some(help));
            return None;
        }
        Some(match format.compressed_as(path) {
            Format::Arrow(mut arrow) if path == "-" => {
                arrow.stream = true;
                Format::Arrow(arrow)
            }
            other => other,
        })
    }

    /// Whether the format can hold the columns.
    fn check_content(&self, sink: &FileSink, check: &mut Check<'_>) -> Option<()> {
        let begun = sink
            .format
            .writer()
            .begin(Box::new(std::io::sink()), sink.written());
        if let Err(error) = begun {
            let help = error.helps().map(str::to_string);
            check.error_at(&self.path, error.what(), help);
            return None;
        }
        Some(())
    }

    /// Whether the path is one that can be written to.
    fn check_place(&self, sink: &FileSink, check: &mut Check<'_>) -> Option<()> {
        if sink.pattern.is_some() || sink.roll.is_some() || sink.path == "-" {
            return Some(());
        }
        if Path::new(&sink.path).is_dir() {
            let message = format!("`{}` is a folder", sink.path);
            let help = "write the name of a file in it".to_string();
            check.error_at(&self.path, message, Some(help));
            return None;
        }
        Some(())
    }
}

/// A checked file sink.
struct FileSink {
    path: String,
    format: Format,
    if_exists: IfExists,
    schema: SchemaRef,
    /// Set if there is a file per value.
    pattern: Option<Pattern>,
    /// Set if there is one file after the other.
    roll: Option<Roll>,
}

impl FileSink {
    /// The columns that a file has.
    fn written(&self) -> SchemaRef {
        match &self.pattern {
            Some(pattern) => pattern.without_columns(&self.schema),
            None => Arc::clone(&self.schema),
        }
    }

    fn rolling(&self, roll: &Roll, if_exists: IfExists, context: &SinkContext) -> Result<Rolling> {
        let content = (&self.format, Arc::clone(&self.schema));
        Rolling::new((&self.path, roll), content, if_exists, context.snapshots)
    }
}

impl Sink for FileSink {
    fn open(&self, context: &SinkContext) -> Result<Box<dyn Writer>> {
        if self.path == "-" {
            let schema = Arc::clone(&self.schema);
            return Ok(Box::new(Streamed::new(context, &self.format, schema)?));
        }
        if let Some(pattern) = &self.pattern {
            let written = self.written();
            let (pattern, format) = (pattern.clone(), self.format.clone());
            let files = Partitions::new(pattern, format, self.if_exists, written)?;
            return Ok(Box::new(files.anew()));
        }
        if let Some(roll) = &self.roll {
            return Ok(Box::new(self.rolling(roll, self.if_exists, context)?));
        }
        let schema = Arc::clone(&self.schema);
        let target = Target::create(&self.path, self.if_exists)?;
        let file = OpenFile::begin(target, &self.format, schema)?;
        Ok(Box::new(OneFile::new(file, 0)))
    }

    fn resume(&self, context: &SinkContext, from: &Restored<'_>) -> Result<Box<dyn Writer>> {
        if let Some(pattern) = &self.pattern {
            let (pattern, format) = (pattern.clone(), self.format.clone());
            let written = self.written();
            let files = Partitions::new(pattern, format, self.if_exists, written)?;
            return Ok(Box::new(files.resumed(from)?));
        }
        if let Some(roll) = &self.roll {
            // What is there has been looked at by the run that began.
            let rolling = self.rolling(roll, IfExists::Replace, context)?;
            return match rolling.resumed(from)? {
                Some(rolling) => Ok(Box::new(rolling)),
                None => self.open(context),
            };
        }
        let Some(saved) = from.values(FILE)?.pop() else {
            return self.open(context);
        };
        let saved: SavedFile = serde_json::from_value(saved).map_err(unreadable)?;
        let schema = Arc::clone(&self.schema);
        let target = Target::resume(&self.path, self.if_exists, &saved.target)?;
        let file = OpenFile::resume(target, &self.format, schema, (&saved, from))?;
        Ok(Box::new(OneFile::new(file, saved.rows)))
    }

    fn targets(&self) -> Vec<Place> {
        vec![match self.path.as_str() {
            "-" => Place::Streamed,
            path if self.roll.is_some() => Place::File(Names::of(path).pattern()),
            path => Place::File(path.to_string()),
        }]
    }

    fn explain(&self) -> Vec<String> {
        let way = match self.if_exists {
            IfExists::Replace => "replaced when complete",
            IfExists::Fail => "must not exist",
            IfExists::Append => "added to what exists",
        };
        let mut lines = vec![format!(
            "writes {} to {} ({way})",
            self.format.name(),
            self.path
        )];
        if let Some(pattern) = &self.pattern {
            lines.push(format!("a file per {}", pattern.names().join(", ")));
        }
        lines.extend(self.roll.as_ref().map(Roll::told));
        lines
    }
}

/// The name under which a file is saved.
const FILE: &str = "file";

/// A file that is not complete, for the run that goes on with it.
#[derive(Serialize, Deserialize)]
struct SavedFile {
    target: target::Saved,
    /// The bytes of the file that rows are added to.
    before: u64,
    rows: u64,
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::data(format!("what was saved of a file is not that: {error}"))
}

/// A file that is being written.
struct OpenFile {
    rows: Box<dyn RowsWriter>,
    target: Target,
    /// The bytes that were there before those of the rows.
    before: u64,
    path: String,
}

impl OpenFile {
    fn begin(mut target: Target, format: &Format, schema: SchemaRef) -> Result<Self> {
        let path = target.path().to_string();
        let format = append::continued(format, &target, &schema)?;
        let length = target.length()?;
        if length.is_none() && !format.is_streamed() {
            return Err(target.no_file());
        }
        let before = length.unwrap_or(0);
        let out = Box::new(target.output()?);
        let rows = format.writer().begin(out, schema);
        let rows = rows.map_err(|e| e.file(&*path))?;
        target.expect_head(rows.head());
        Ok(Self {
            rows,
            target,
            before,
            path,
        })
    }

    /// Goes on with what was saved.
    fn resume(
        mut target: Target,
        format: &Format,
        schema: SchemaRef,
        (saved, from): (&SavedFile, &Restored<'_>),
    ) -> Result<Self> {
        let out = Box::new(target.output()?);
        let bytes = saved.target.bytes - saved.before;
        let path = target.path().to_string();
        let rows = format.writer().resume(out, schema, bytes, from);
        let rows = rows.map_err(|e| e.file(&*path))?;
        target.expect_head(rows.head());
        Ok(Self {
            rows,
            target,
            before: saved.before,
            path,
        })
    }

    /// Writes down where it is. What is no file has nothing that could be gone on with.
    fn save(&mut self, rows: u64, into: &mut dyn Save) -> Result<()> {
        if self.target.length()?.is_none() {
            return Ok(());
        }
        let bytes = self.rows.save(into).map_err(|e| e.file(&*self.path))?;
        let Some(target) = self.target.save(self.before + bytes)? else {
            return Ok(());
        };
        let saved = SavedFile {
            target,
            before: self.before,
            rows,
        };
        into.value(FILE, serde_json::to_value(saved).map_err(unreadable)?);
        Ok(())
    }

    fn write(&mut self, rows: &arrow_array::RecordBatch) -> Result<()> {
        self.rows.write(rows).map_err(|e| e.file(&*self.path))
    }

    /// Writes what is left.
    fn end(mut self) -> Result<Target> {
        let of_file = |e: Error| e.file(&*self.path);
        let ending = self.rows.ending().map_err(of_file)?;
        drop(self.rows.finish().map_err(of_file)?);
        self.target.end(ending).map_err(of_file)?;
        Ok(self.target)
    }

    /// Writes what is left, makes it durable, and saves it for the run that gives it its name, should this one be killed.
    fn complete_and_saved(self) -> Result<(Target, u64, Option<target::Saved>)> {
        let mut target = self.end()?;
        let length = target.length()?.unwrap_or(0);
        let saved = target.save(length)?;
        let written = target.sync()?;
        Ok((target, written, saved))
    }

    /// Writes what is left, and makes it durable.
    fn complete(self) -> Result<(Target, u64)> {
        let mut target = self.end()?;
        let written = target.sync()?;
        Ok((target, written))
    }
}

struct OneFile {
    file: Option<OpenFile>,
    target: Option<Target>,
    path: String,
    rows: u64,
    bytes: u64,
}

impl OneFile {
    fn new(file: OpenFile, rows: u64) -> Self {
        Self {
            path: file.path.clone(),
            bytes: file.rows.bytes(),
            file: Some(file),
            target: None,
            rows,
        }
    }
}

impl Writer for OneFile {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        if let Some(file) = &mut self.file {
            file.write(batch.rows())?;
            self.bytes = file.rows.bytes();
        }
        self.rows += batch.len() as u64;
        Ok(())
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        match &mut self.file {
            Some(file) => file.save(self.rows, into),
            None => Ok(()),
        }
    }

    fn prepare(&mut self) -> Result<Receipt> {
        if let Some(file) = self.file.take() {
            let (target, bytes) = file.complete()?;
            target.check_absent()?;
            self.target = Some(target);
            self.bytes = bytes;
        }
        Ok(Receipt {
            rows: self.rows,
            bytes: self.bytes,
            files: vec![FileReceipt {
                path: self.path.clone(),
                rows: self.rows,
                bytes: self.bytes,
            }],
        })
    }

    fn commit(&mut self) -> Result<()> {
        match self.target.take() {
            Some(target) => target.commit(),
            None => Ok(()),
        }
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}
