//! The `file` source at work: its files in order, which of them are read, and how far.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use dataflow_core::source::{Comparison, Head, Operator};
use dataflow_core::transform::Port;
use dataflow_core::units::{Bytes, Rate};
use dataflow_core::{
    Arrivals, Cutter, Error, Place, Reader, Result, Sampling, Source, Split, Wanted,
};
use dataflow_formats::{DECLARED, InputFile, ReadFormat, Reading, Request};

use super::columns::{Strict, Whose};
use super::hive;
use super::reader::{FileCutter, FileReader};
use super::steps::{Steps, TimeColumn};
use super::watched::{Landings, Watched};

/// A file of the source.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) file: InputFile,
    /// The index of its format.
    pub(super) format: usize,
    /// Its values of the folder columns.
    pub(super) folders: Vec<Option<Arc<str>>>,
    /// Its rows, if they are known.
    pub(super) rows: Option<u64>,
}

/// A format that files of the source have.
pub(super) struct Kind {
    pub(super) name: String,
    pub(super) reader: Arc<dyn ReadFormat>,
    /// What looks at the names of columns alone.
    pub(super) names: Arc<dyn ReadFormat>,
    /// A file of no bytes is one of no rows.
    pub(super) is_text: bool,
    /// A file's head need not show all columns.
    pub(super) may_leave_out: bool,
}

/// All that a source can read.
pub(super) struct Everything {
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) kinds: Vec<Kind>,
    /// Where files land while others are read.
    pub(super) watched: Option<Watched>,
    /// The columns that are read from files.
    pub(super) columns: SchemaRef,
    /// The columns of `key=value` folders.
    pub(super) folders: Vec<Field>,
    pub(super) file_column: Option<String>,
    pub(super) row_column: Option<String>,
    /// Columns whose types were declared.
    pub(super) declared: Vec<String>,
    pub(super) strict: Option<Strict>,
    pub(super) rate: Option<Rate>,
    /// How rows sample a signal, if they do.
    pub(super) sampling: Option<Sampling>,
    /// The column that says when samples were taken, if one does.
    pub(super) times: Option<TimeColumn>,
    /// Lines for `explain`.
    pub(super) notes: Vec<String>,
}

/// Where a column of the output comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Origin {
    /// The column at this index of what the format reads.
    Read(usize),
    /// A folder, by index.
    Folder(usize),
    /// The file's path.
    File,
    /// The row's number in its file.
    Row,
}

impl Everything {
    /// How rows sample a signal. Those of several files, one behind another, are not numbered by their places.
    fn sampling(&self) -> Option<Sampling> {
        let alone = self.entries.len() == 1 && self.watched.is_none();
        self.sampling.map(|sampling| sampling.numbered(alone))
    }

    /// What looks at the times of samples, if there are some, and where they are among the columns that are read.
    fn steps(&self, read: &[Field], origins: &[Origin]) -> Option<(Steps, usize)> {
        let (column, sampling) = self.times.as_ref().zip(self.sampling)?;
        let at = read.iter().position(|field| *field.name() == column.name)?;
        match origins[at] {
            Origin::Read(at) => Some((Steps::new(column.clone(), sampling), at)),
            _ => None,
        }
    }

    /// All columns: those of the files, of the folders, the file's and the row's.
    fn all(&self) -> Vec<(Field, Origin)> {
        let read = self.columns.fields().iter().enumerate();
        let read = read.map(|(i, f)| (Field::clone(f), Origin::Read(i)));
        let folders = self.folders.iter().enumerate();
        let folders = folders.map(|(i, f)| (f.clone(), Origin::Folder(i)));
        let file = self.file_column.iter();
        let file = file.map(|name| (Field::new(name, super::text(), false), Origin::File));
        let row = self.row_column.iter();
        let row = row.map(|name| {
            let field = Field::new(name, DataType::Int64, false);
            (field, Origin::Row)
        });
        read.chain(folders).chain(file).chain(row).collect()
    }

    /// The text that a column has in all rows of a file; the outer none: it is not such a column.
    fn constant<'a>(&'a self, entry: &'a Entry, column: &str) -> Option<(Field, Option<&'a str>)> {
        if self.file_column.as_deref() == Some(column) {
            let field = Field::new(column, super::text(), false);
            return Some((field, Some(&*entry.file.path)));
        }
        let at = self.folders.iter().position(|f| f.name() == column)?;
        Some((self.folders[at].clone(), entry.folders[at].as_deref()))
    }

    /// Whether some file of this format is there, or none is and this is the one that they will have.
    fn is_used(&self, kind: usize) -> bool {
        let only = self.entries.is_empty() && self.kinds.len() == 1;
        only || self.entries.iter().any(|entry| entry.format == kind)
    }

    /// Whether a file can have rows that satisfy all comparisons.
    fn may_match(&self, entry: &Entry, predicate: &[Comparison]) -> bool {
        predicate.iter().all(|comparison| {
            self.constant(entry, &comparison.column)
                .is_none_or(|(field, value)| hive::may_match(value, &field, comparison))
        })
    }
}

/// A source with what is wanted of it.
pub(super) struct Inner {
    all: Arc<Everything>,
    /// The files that are read, as indices.
    files: Vec<usize>,
    /// The files behind those, which have landed since.
    landed: RwLock<Vec<Arc<Entry>>>,
    /// What rows must satisfy that files may be left out by.
    skipping: Vec<Comparison>,
    readings: Vec<Result<Arc<dyn Reading>>>,
    /// Where its columns come from.
    pub(super) outputs: Vec<Origin>,
    /// Its columns.
    pub(super) schema: SchemaRef,
    /// What looks at the times of samples, and where they are among what the format reads.
    pub(super) steps: Option<(Steps, usize)>,
    /// The most rows in all.
    rows: Option<u64>,
    /// How many of them the first file leaves, the first two, and so on, as far as somebody had to know.
    left: Mutex<Vec<u64>>,
    predicate: Vec<Comparison>,
}

/// Rows of files.
pub(super) struct FileSource {
    inner: Arc<Inner>,
    ports: [Port; 1],
}

impl FileSource {
    /// A source that reads what is wanted.
    pub(super) fn new(all: Arc<Everything>, wanted: &Wanted) -> Self {
        let is_wanted = |field: &Field| match &wanted.columns {
            Some(names) => names.contains(field.name()),
            None => true,
        };
        // Times of samples are looked at whether or not anybody else wants them.
        let times = all.times.as_ref().map(|times| &times.name);
        let read = all.all().into_iter();
        let read = read.filter(|(field, _)| is_wanted(field) || times == Some(field.name()));
        let (read, origins): (Vec<Field>, Vec<Origin>) = read.unzip();
        let origins = dense(origins);
        let steps = all.steps(&read, &origins);
        let outputs = read.iter().cloned().zip(origins);
        let outputs = outputs.filter(|(field, _)| is_wanted(field));
        let (fields, outputs): (Vec<Field>, Vec<Origin>) = outputs.unzip();
        // Which rows are the first so many must not depend on what could be skipped.
        let predicate = match wanted.rows {
            Some(_) => Vec::new(),
            None => wanted.predicate.clone(),
        };
        let files = (0..all.entries.len())
            .filter(|&i| all.may_match(&all.entries[i], &predicate))
            .collect();
        let request = request(&all, &read, &predicate, wanted);
        let readings = all.kinds.iter().map(|k| k.reader.reading(&request));
        let schema = Arc::new(Schema::new(fields));
        Self {
            ports: [Port::main(Arc::clone(&schema)).sampled(all.sampling())],
            inner: Arc::new(Inner {
                files,
                landed: RwLock::default(),
                skipping: predicate,
                readings: readings.collect(),
                outputs,
                schema,
                steps,
                rows: wanted.rows,
                left: Mutex::default(),
                predicate: request.wanted.predicate,
                all,
            }),
        }
    }

    /// What makes it impossible to read, if anything.
    pub(super) fn failure(&self) -> Option<&Error> {
        let used = |kind: &usize| self.inner.all.is_used(*kind);
        let mut used = (0..self.inner.readings.len()).filter(used);
        used.find_map(|kind| self.inner.readings[kind].as_ref().err())
    }
}

fn request(
    all: &Everything,
    fields: &[Field],
    predicate: &[Comparison],
    wanted: &Wanted,
) -> Request {
    let read = |name: &str| all.columns.field_with_name(name).is_ok();
    let names = fields.iter().map(|f| f.name().clone());
    let predicate = predicate.iter().filter(|c| read(&c.column));
    let marked = |field: &FieldRef| {
        let mut field = Field::clone(field);
        if all.declared.contains(field.name()) {
            let mut metadata = field.metadata().clone();
            metadata.insert(DECLARED.to_string(), String::new());
            field.set_metadata(metadata);
        }
        field
    };
    let columns: Vec<Field> = all.columns.fields().iter().map(marked).collect();
    Request {
        columns: Arc::new(Schema::new(columns)),
        wanted: Wanted {
            columns: Some(names.filter(|name| read(name)).collect()),
            predicate: predicate.cloned().collect(),
            rows: wanted.rows,
        },
    }
}

/// The indices of read columns, counted among those that are read.
fn dense(outputs: Vec<Origin>) -> Vec<Origin> {
    let mut next = 0;
    let renumbered = outputs.into_iter().map(|origin| match origin {
        Origin::Read(_) => {
            next += 1;
            Origin::Read(next - 1)
        }
        other => other,
    });
    renumbered.collect()
}

impl Inner {
    pub(super) fn entry(&self, split: usize) -> Result<Arc<Entry>> {
        let entry = match self.files.get(split) {
            Some(&at) => Some(Arc::clone(&self.all.entries[at])),
            None => {
                let landed = self.landed.read().unwrap_or_else(PoisonError::into_inner);
                landed.get(split - self.files.len()).cloned()
            }
        };
        entry.ok_or_else(|| Error::internal(format!("there is no split {split}")))
    }

    /// Takes in a file that has landed, unless none of its rows are wanted.
    pub(super) fn take_in(&self, file: InputFile) -> Result<Option<Split>> {
        let Some(watched) = &self.all.watched else {
            return Ok(None);
        };
        let entry = watched.entry(file, &self.all.folders)?;
        if !self.all.may_match(&entry, &self.skipping) {
            return Ok(None);
        }
        let split = split_of(&entry);
        let mut landed = self.landed.write().unwrap_or_else(PoisonError::into_inner);
        landed.push(Arc::new(entry));
        Ok(Some(split))
    }

    /// All files that were found, whether or not they are read.
    pub(super) fn found(&self) -> impl Iterator<Item = &InputFile> {
        self.all.entries.iter().map(|entry| &entry.file)
    }

    /// Where files land, and the id of the source.
    pub(super) fn watched(&self) -> Option<&Watched> {
        // Whoever wants the first so many rows wants them of what there is.
        self.all.watched.as_ref().filter(|_| self.rows.is_none())
    }

    pub(super) fn reading(&self, entry: &Entry) -> Result<&Arc<dyn Reading>> {
        self.readings[entry.format].as_ref().map_err(Clone::clone)
    }

    /// Cuts a file, after a look at its columns where all files must have the same.
    fn open(&self, entry: &Entry, split: usize, first: Place) -> Result<Option<Box<dyn Cutter>>> {
        let kind = &self.all.kinds[entry.format];
        if kind.is_text && entry.file.bytes == Some(0) {
            return Ok(None);
        }
        if let Some(strict) = &self.all.strict
            && !matches!(&strict.whose, Whose::File(first) if *first == entry.file.path)
            && !(strict.others && kind.may_leave_out)
        {
            let found = kind.names.inspect(&entry.file)?;
            // A compressed text file may turn out to be empty.
            if !(kind.is_text && found.schema.fields().is_empty()) {
                strict.verify(&found.schema, &entry.file.path, kind.may_leave_out)?;
            }
        }
        let cutter = self.reading(entry)?.cutter(&entry.file, split, first)?;
        Ok(Some(cutter))
    }

    fn cutter(&self, split: usize, first: Place) -> Result<Option<Box<dyn Cutter>>> {
        let entry = self.entry(split)?;
        let opened = self.open(&entry, split, first);
        opened.map_err(|e| e.file(&*entry.file.path))
    }

    /// How many rows of a file are among the first so many of all. It depends on the files before it, whose rows are
    /// counted once, so that files may be read in any order and by anybody.
    pub(super) fn allowed(&self, split: usize) -> Result<Option<u64>> {
        let Some(rows) = self.rows else {
            return Ok(None);
        };
        let mut known = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        while known.len() < split {
            let left = known.last().copied().unwrap_or(rows);
            let here = self.count(known.len(), left)?;
            known.push(left - here);
        }
        Ok(Some(match split {
            0 => rows,
            split => known[split - 1],
        }))
    }

    /// A file's rows, or `most` if there are more.
    fn count(&self, split: usize, most: u64) -> Result<u64> {
        if most == 0 {
            return Ok(0);
        }
        if let Some(rows) = self.entry(split)?.rows {
            return Ok(rows.min(most));
        }
        let Some(mut cutter) = self.cutter(split, Place::new(split as u32, 0)?)? else {
            return Ok(0);
        };
        let mut rows = 0;
        while rows < most {
            let Some(piece) = cutter.next()? else { break };
            rows += piece.rows.ok_or_else(|| uncounted(self.entry(split)))?;
        }
        Ok(rows.min(most))
    }
}

/// A file as others know it.
fn split_of(entry: &Entry) -> Split {
    Split {
        name: Arc::clone(&entry.file.path),
        bytes: entry.file.bytes,
        rows: entry.rows,
    }
}

fn uncounted(entry: Result<Arc<Entry>>) -> Error {
    let error = Error::internal("the rows of a piece were not counted");
    match entry {
        Ok(entry) => error.file(&*entry.file.path),
        Err(_) => error,
    }
}

impl Source for FileSource {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn narrow(self: Arc<Self>, wanted: &Wanted) -> Arc<dyn Source> {
        Arc::new(Self::new(Arc::clone(&self.inner.all), wanted))
    }

    fn splits(&self) -> Result<Vec<Split>> {
        let entries = self.inner.files.iter().map(|&i| &self.inner.all.entries[i]);
        Ok(entries.map(|entry| split_of(entry)).collect())
    }

    fn grows(&self) -> bool {
        self.inner.watched().is_some()
    }

    fn arrivals(&self) -> Result<Option<Box<dyn Arrivals>>> {
        let Some(watched) = self.inner.watched() else {
            return Ok(None);
        };
        let watcher = watched.watcher(self.inner.found())?;
        Ok(Some(Box::new(Landings::new(&self.inner, watcher))))
    }

    fn cutter(&self, split: usize, first: Place) -> Result<Box<dyn Cutter>> {
        let allowed = self.inner.allowed(split)?;
        let cutter = match allowed {
            Some(0) => None,
            _ => self.inner.cutter(split, first)?,
        };
        Ok(Box::new(FileCutter {
            cutter,
            path: Arc::clone(&self.inner.entry(split)?.file.path),
            end: allowed.map(|rows| first.0 + rows),
        }))
    }

    fn reader(&self) -> Result<Box<dyn Reader>> {
        Ok(Box::new(FileReader::new(Arc::clone(&self.inner))))
    }

    fn live(&self) -> bool {
        self.inner.all.entries.iter().any(|e| e.file.is_stdin())
    }

    fn rate(&self) -> Option<Rate> {
        self.inner.all.rate
    }

    fn minimum(&self, split: usize, column: &str) -> Result<Option<i64>> {
        let inner = &*self.inner;
        let entry = inner.entry(split)?;
        if inner.all.columns.field_with_name(column).is_err() {
            return Ok(None);
        }
        let least = inner.reading(&entry)?.minimum(&entry.file, column);
        least.map_err(|e| e.file(&*entry.file.path))
    }

    fn head(&self, split: usize, most: u64) -> Result<Option<Head>> {
        let entry = self.inner.entry(split)?;
        let file = &entry.file;
        match file.bytes {
            Some(_) => Ok(Some(Head::of(&file.first_bytes(most)?))),
            None => Ok(None),
        }
    }

    fn remarks(&self) -> Vec<(String, u64)> {
        let steps = self.inner.steps.as_ref();
        steps
            .and_then(|(steps, _)| steps.remark())
            .into_iter()
            .collect()
    }

    fn explain(&self) -> Vec<String> {
        let inner = &*self.inner;
        let all = &*inner.all;
        let mut lines = all.notes.clone();
        if inner.files.len() < all.entries.len() {
            lines.push(format!(
                "skips {} files by their folders or names",
                all.entries.len() - inner.files.len()
            ));
        }
        for comparison in &inner.predicate {
            lines.push(format!(
                "leaves out, where the file can tell, what fails {}",
                shown(comparison)
            ));
        }
        if inner.watched().is_some() {
            lines.push("goes on with files that land while it reads".to_string());
        }
        if let Some(sampling) = all.sampling {
            let (rate, start) = (sampling.rate, sampling.start);
            lines.push(format!("{rate} samples per second from {start} s on"));
        }
        if let Some(times) = &all.times {
            lines.push(format!("looks whether the times in `{}` agree", times.name));
        }
        if let Some(rate) = all.rate {
            lines.push(format!("hands out {rate} at most"));
        }
        if let Some(rows) = inner.rows {
            lines.push(format!("stops after {rows} rows"));
        }
        lines
    }
}

fn shown(comparison: &Comparison) -> String {
    let Comparison {
        column,
        operator,
        value,
    } = comparison;
    match operator {
        Operator::Equal => format!("{column} = {value}"),
        Operator::Less => format!("{column} < {value}"),
        Operator::LessOrEqual => format!("{column} <= {value}"),
        Operator::Greater => format!("{column} > {value}"),
        Operator::GreaterOrEqual => format!("{column} >= {value}"),
        Operator::IsNull => format!("{column} is null"),
        Operator::IsNotNull => format!("{column} is not null"),
    }
}

/// How many files of which format, and how many bytes.
pub(super) fn summary(entries: &[Entry], kinds: &[Kind]) -> String {
    if entries.is_empty() {
        return "no file yet".to_string();
    }
    let there = |at: &usize| entries.iter().any(|entry| entry.format == *at);
    let formats: Vec<String> = kinds
        .iter()
        .enumerate()
        .filter(|(at, _)| there(at))
        .map(|(at, kind)| {
            let many = entries.iter().filter(|e| e.format == at).count();
            let files = if many == 1 { "file" } else { "files" };
            format!("{many} {} {files}", kind.name)
        })
        .collect();
    let bytes: u64 = entries.iter().filter_map(|e| e.file.bytes).sum();
    format!("{}, {}", formats.join(", "), Bytes(bytes).for_people())
}
