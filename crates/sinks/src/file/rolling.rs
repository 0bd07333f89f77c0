//! One file after the other: each ends when it is long or large enough, or when time is in the next span.
//!
//! Where a file ends follows from the rows alone. A complete file gets its name at once or, where snapshots are made, when one is
//! durable that has all its rows: what appears is never taken back.

use std::fs;
use std::path::{Path, PathBuf};

use arrow_schema::SchemaRef;
use dataflow_core::saved::{Restored, Save};
use dataflow_core::sink::{FileReceipt, Receipt};
use dataflow_core::units::{Bytes, Duration};
use dataflow_core::{Batch, Error, Result, Writer};
use dataflow_formats::write::Format;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::target::{self, Target, check_new};
use super::{FILE, IfExists, OpenFile, SavedFile, unreadable};

/// When a file ends and the next one begins: whichever comes first.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Roll {
    /// With so many rows.
    #[serde(default)]
    pub rows: Option<u64>,
    /// When it is so large, which is looked at every 1,024 rows. Of compressed text the complete frames count, of Parquet the
    /// complete row groups.
    #[serde(default)]
    pub bytes: Option<Bytes>,
    /// Before the first row whose event time is in a later span, counted from 1970 in UTC: with `"1d"` a file has a day. It goes by
    /// the rows and not by the clock, so rows need event time.
    #[serde(default)]
    pub every: Option<Duration>,
}

impl Roll {
    /// What is wrong with it, and what to do.
    pub(super) fn misfit(&self, timed: bool) -> Option<(&'static str, &'static str)> {
        let empty = self.rows == Some(0)
            || self.bytes == Some(Bytes(0))
            || self.every.is_some_and(|every| every.nanoseconds() <= 0);
        match self {
            Self {
                rows: None,
                bytes: None,
                every: None,
            } => Some((
                "`roll` does not say when a file ends",
                "say `rows`, `bytes` or `every`: roll = { rows = 1_000_000 }",
            )),
            _ if empty => Some((
                "a file that ends before its first row cannot be written",
                "give `rows`, `bytes` and `every` more than nothing",
            )),
            Self { every: Some(_), .. } if !timed => Some((
                "`every` goes by event time, and these rows have none",
                "say in the source which column has it: time = { column = \"timestamp\" }; or use `rows` or `bytes`",
            )),
            _ => None,
        }
    }

    /// For `explain`.
    pub(super) fn told(&self) -> String {
        let rows = self.rows.map(|rows| format!("{rows} rows"));
        let bytes = self.bytes.map(|bytes| bytes.to_string());
        let every = self.every.map(|every| format!("{every} of event time"));
        let parts: Vec<String> = [rows, bytes, every].into_iter().flatten().collect();
        format!("a new file after {}", parts.join(" or "))
    }
}

/// How often is looked how large a file is, in rows.
const LOOK_EVERY: u64 = 1024;

/// The names of files: `out/x.csv.gz` becomes `out/x-000000.csv.gz` and so on.
#[derive(Clone, Debug)]
pub(super) struct Names {
    stem: String,
    extension: String,
}

/// So many digits; more where numbers are larger.
const DIGITS: usize = 6;

impl Names {
    pub(super) fn of(path: &str) -> Self {
        let start = path.rfind('/').map_or(0, |at| at + 1);
        let name = &path[start..];
        let plain = name
            .strip_suffix(".gz")
            .or_else(|| name.strip_suffix(".zst"));
        let plain = plain.unwrap_or(name);
        let stem = plain.rfind('.').filter(|at| *at > 0).unwrap_or(plain.len());
        Self {
            stem: path[..start + stem].to_string(),
            extension: name[stem..].to_string(),
        }
    }

    fn path(&self, number: u64) -> String {
        format!("{}-{number:0DIGITS$}{}", self.stem, self.extension)
    }

    /// All of them, for messages and comparisons.
    pub(super) fn pattern(&self) -> String {
        format!("{}-{{number}}{}", self.stem, self.extension)
    }

    /// The files that there are, with their numbers.
    fn existing(&self) -> Vec<(u64, PathBuf)> {
        let stem = Path::new(&self.stem);
        let folder = match stem.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let prefix = format!(
            "{}-",
            stem.file_name().unwrap_or_default().to_string_lossy()
        );
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let number = |name: &str| {
            let number = name.strip_prefix(&prefix)?.strip_suffix(&*self.extension)?;
            let digits = number.len() >= DIGITS && number.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| number.parse().ok()).flatten()
        };
        let known = entries.filter_map(|entry| {
            let number = number(entry.file_name().to_str()?)?;
            entry.path().is_file().then(|| (number, entry.path()))
        });
        known.collect()
    }
}

/// A file that is being written.
struct Open {
    file: OpenFile,
    number: u64,
    rows: u64,
    /// The span of event time that its first row is in.
    span: Option<i64>,
}

/// A file that is complete and has not got its name.
struct Complete {
    target: Target,
    /// Where snapshots are made: for the run that gives it its name.
    saved: Option<SavedPart>,
}

/// What is saved of a complete file.
#[derive(Clone, Serialize, Deserialize)]
struct SavedPart {
    number: u64,
    target: target::Saved,
}

/// The name under which is saved where the row of files is.
const PARTS: &str = "parts";

#[derive(Serialize, Deserialize)]
struct SavedParts {
    /// The number of the next file, and all rows so far.
    next: u64,
    rows: u64,
    complete: Vec<SavedPart>,
    open: Option<SavedOpen>,
}

#[derive(Serialize, Deserialize)]
struct SavedOpen {
    number: u64,
    rows: u64,
    span: Option<i64>,
}

/// Writes one file after the other.
pub(super) struct Rolling {
    names: Names,
    roll: Roll,
    format: Format,
    schema: SchemaRef,
    /// Whether snapshots are made.
    saved: bool,
    next: u64,
    open: Option<Open>,
    /// Files that were complete at the last snapshot, and those that are since.
    behind: Vec<Complete>,
    complete: Vec<Complete>,
    /// Whether the files of earlier runs are still to be removed.
    replaces: bool,
    rows: u64,
    bytes: u64,
    files: Vec<FileReceipt>,
}

impl Rolling {
    /// Begins with the first file.
    ///
    /// # Errors
    /// When there are files already, and must not be.
    pub(super) fn new(
        (path, roll): (&str, &Roll),
        (format, schema): (&Format, SchemaRef),
        if_exists: IfExists,
        saved: bool,
    ) -> Result<Self> {
        let names = Names::of(path);
        let mut existing = names.existing();
        existing.sort_unstable();
        let last = existing.last();
        if let (IfExists::Fail, Some((_, path))) = (if_exists, last) {
            check_new(&path.to_string_lossy())?;
        }
        let next = match (if_exists, last) {
            (IfExists::Append, Some((number, _))) => number + 1,
            _ => 0,
        };
        Ok(Self {
            names,
            roll: roll.clone(),
            format: format.clone(),
            schema,
            saved,
            next,
            open: None,
            behind: Vec::new(),
            complete: Vec::new(),
            replaces: if_exists == IfExists::Replace,
            rows: 0,
            bytes: 0,
            files: Vec::new(),
        })
    }

    /// Goes on where an earlier run was, if it has saved that.
    ///
    /// # Errors
    /// When what it wrote is gone.
    pub(super) fn resumed(mut self, from: &Restored<'_>) -> Result<Option<Self>> {
        let Some(saved) = from.values(PARTS)?.pop() else {
            return Ok(None);
        };
        let saved: SavedParts = serde_json::from_value(saved).map_err(unreadable)?;
        for part in saved.complete {
            let path = self.names.path(part.number);
            let mut target = Target::resume(&path, IfExists::Replace, &part.target)?;
            // The run may be killed again before it has its name.
            let kept = target.save(part.target.bytes)?.unwrap_or(part.target);
            target.sync()?;
            let saved = Some(SavedPart {
                number: part.number,
                target: kept,
            });
            self.behind.push(Complete { target, saved });
        }
        if let Some(open) = saved.open {
            let file = from.values(FILE)?.pop();
            let file = file.ok_or_else(|| Error::data("what was saved of a file is not there"))?;
            let file: SavedFile = serde_json::from_value(file).map_err(unreadable)?;
            let path = self.names.path(open.number);
            let target = Target::resume(&path, IfExists::Replace, &file.target)?;
            let schema = SchemaRef::clone(&self.schema);
            self.open = Some(Open {
                file: OpenFile::resume(target, &self.format, schema, (&file, from))?,
                number: open.number,
                rows: open.rows,
                span: open.span,
            });
        }
        (self.next, self.rows, self.replaces) = (saved.next, saved.rows, false);
        Ok(Some(self))
    }

    /// The span of event time that a row is in.
    fn span(&self, batch: &Batch, row: usize) -> Option<i64> {
        let every = self.roll.every?.nanoseconds();
        let times = batch.times()?.at();
        Some(times[row].div_euclid(every))
    }

    fn begin(&mut self, span: Option<i64>) -> Result<Open> {
        let number = self.next;
        self.next += 1;
        let path = self.names.path(number);
        let schema = SchemaRef::clone(&self.schema);
        Ok(Open {
            file: OpenFile::begin(
                Target::create(&path, IfExists::Replace)?,
                &self.format,
                schema,
            )?,
            number,
            rows: 0,
            span,
        })
    }

    /// How far the rows from `at` on go into one file before it is to be looked at again.
    fn until(&self, batch: &Batch, at: usize, open: &Open) -> usize {
        let room = self.roll.rows.map(|most| most - open.rows);
        let look = self.roll.bytes.map(|_| LOOK_EVERY - open.rows % LOOK_EVERY);
        let room = room.into_iter().chain(look).min();
        let room = room.map_or(usize::MAX, |room| room.try_into().unwrap_or(usize::MAX));
        let until = batch.len().min(at.saturating_add(room));
        match open.span {
            Some(span) => (at + 1..until)
                .find(|row| self.span(batch, *row) > Some(span))
                .unwrap_or(until),
            None => until,
        }
    }

    fn is_full(&self, open: &Open) -> bool {
        let long = self.roll.rows.is_some_and(|most| open.rows >= most);
        let looked_at = open.rows.is_multiple_of(LOOK_EVERY);
        let large = |most: Bytes| looked_at && open.file.rows.bytes() >= most.0;
        long || self.roll.bytes.is_some_and(large)
    }

    /// A file has all its rows.
    fn end(&mut self, open: Open) -> Result<()> {
        let path = self.names.path(open.number);
        let (target, bytes, saved) = match self.saved {
            true => open.file.complete_and_saved()?,
            false => {
                let (target, bytes) = open.file.complete()?;
                (target, bytes, None)
            }
        };
        let number = open.number;
        let saved = saved.map(|target| SavedPart { number, target });
        self.complete.push(Complete { target, saved });
        self.bytes += bytes;
        self.files.push(FileReceipt {
            path,
            rows: open.rows,
            bytes,
        });
        Ok(())
    }

    /// Gives files their names, the first time in place of those of earlier runs.
    fn publish(&mut self, complete: Vec<Complete>) -> Result<()> {
        if complete.is_empty() {
            return Ok(());
        }
        if std::mem::take(&mut self.replaces) {
            self.remove_from(0)?;
        }
        complete
            .into_iter()
            .try_for_each(|complete| complete.target.publish())
    }

    /// Removes the files with this number or a larger one, which this run has not written.
    fn remove_from(&self, number: u64) -> Result<()> {
        for (of, path) in self.names.existing() {
            if of >= number {
                fs::remove_file(&path)
                    .map_err(|e| Error::io("replace", path.display().to_string(), &e))?;
            }
        }
        Ok(())
    }
}

impl Writer for Rolling {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        let mut at = 0;
        while at < batch.len() {
            let span = self.span(batch, at);
            let mut open = match self.open.take() {
                Some(open) if span > open.span => {
                    self.end(open)?;
                    self.begin(span)?
                }
                Some(open) => open,
                None => self.begin(span)?,
            };
            let until = self.until(batch, at, &open);
            open.file.write(&batch.rows().slice(at, until - at))?;
            open.rows += (until - at) as u64;
            at = until;
            match self.is_full(&open) {
                true => self.end(open)?,
                false => self.open = Some(open),
            }
        }
        self.rows += batch.len() as u64;
        if !self.saved {
            let complete = std::mem::take(&mut self.complete);
            self.publish(complete)?;
        }
        Ok(())
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        // A snapshot is begun when the one before is durable: what was complete then will never be taken back.
        let behind = std::mem::replace(&mut self.behind, std::mem::take(&mut self.complete));
        self.publish(behind)?;
        let complete = self.behind.iter();
        let saved = SavedParts {
            next: self.next,
            rows: self.rows,
            complete: complete.filter_map(|part| part.saved.clone()).collect(),
            open: self.open.as_ref().map(|open| SavedOpen {
                number: open.number,
                rows: open.rows,
                span: open.span,
            }),
        };
        into.value(PARTS, serde_json::to_value(saved).map_err(unreadable)?);
        match &mut self.open {
            Some(open) => open.file.save(open.rows, into),
            None => Ok(()),
        }
    }

    fn prepare(&mut self) -> Result<Receipt> {
        let open = match self.open.take() {
            None if self.next == 0 => Some(self.begin(None)?),
            open => open,
        };
        if let Some(open) = open {
            self.end(open)?;
        }
        Ok(Receipt {
            rows: self.rows,
            bytes: self.bytes,
            files: self.files.clone(),
        })
    }

    fn commit(&mut self) -> Result<()> {
        let mut complete = std::mem::take(&mut self.behind);
        complete.append(&mut self.complete);
        self.publish(complete)?;
        self.remove_from(self.next)
    }

    fn bytes(&self) -> u64 {
        let open = self.open.as_ref();
        self.bytes + open.map_or(0, |open| open.file.rows.bytes())
    }
}
