//! What the `file` source reads: finding files, choosing their formats, looking at their headers and footers.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, new_empty_array};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat;
use dataflow_core::{Check, Error, Located, Place, Wanted};
use dataflow_formats::{InputFile, ReadFormat, Request};

use super::columns::Seen;
use super::discover::{Exclude, Found};
use super::read::{self, Entry, Kind};
use super::watched::Watched;
use super::{FileConfig, FormatConfig, Matching, Paths, SampleConfig};

/// The files and their formats.
pub(super) struct Inputs {
    pub(super) entries: Vec<Entry>,
    pub(super) kinds: Vec<Kind>,
    pub(super) watched: Option<Watched>,
    pub(super) notes: Vec<String>,
}

/// How many names of files a message lists.
const NAMED_FILES: usize = 3;

impl FileConfig {
    /// Finds what is read.
    pub(super) fn inputs(&self, check: &mut Check<'_>) -> Option<Inputs> {
        let paths: Vec<Located<String>> = match &self.path.value {
            Paths::One(path) if path.is_empty() => Vec::new(),
            Paths::One(path) => vec![Located {
                value: path.clone(),
                span: self.path.span,
            }],
            Paths::Many(paths) => paths.clone(),
        };
        self.check_watch(&paths, check)?;
        match (&self.sample, paths.is_empty()) {
            (Some(sample), true) => self.sampled(sample, check),
            (None, true) => {
                let help = "give a path, or `sample = { preset = \"sensors\" }` to try the pipeline without data";
                check.error_at(&self.path, "there is no `path`", Some(help.to_string()));
                None
            }
            (_, false) if paths.iter().any(|path| path.as_str() == "-") => {
                self.standard_input(&paths, check)
            }
            // Whoever checks says what could not be checked offline.
            (_, false) if check.offline => None,
            (_, false) => self.found(&paths, check),
        }
    }

    /// Standard input: one source reads it, and before the run it is looked at only for what nobody declared.
    fn standard_input(&self, paths: &[Located<String>], check: &mut Check<'_>) -> Option<Inputs> {
        if paths.len() > 1 {
            // Which is wrong, and is said there.
            return self.found(paths, check);
        }
        if let Some(first) = check.stdin.take(check.id) {
            let message = format!("standard input is read by `{first}` already");
            let help = format!("let what reads this source read `{first}`");
            check.error_at(&self.path, message, Some(help));
            return None;
        }
        if let Some(format) = &self.format
            && !format.value.is_streamed()
        {
            let name = format.value.name();
            let message = format!("{name} cannot be read from standard input");
            let help = "it is read here and there: write it to a file first".to_string();
            check.error_at(format, message, Some(help));
            return None;
        }
        if !self.is_told() && !check.stdin.may_look() {
            let message =
                "standard input is not looked at before a run, so its columns are not known";
            let help =
                "declare `format`, and all columns with their types, to have everything checked";
            check.warn_at(&self.path, message, Some(help.to_string()));
            return None;
        }
        self.found(paths, check)
    }

    /// Whether it is standard input of which everything was declared: then only declared columns are read.
    pub(super) fn is_told(&self) -> bool {
        let stdin = match &self.path.value {
            Paths::One(path) => path == "-",
            Paths::Many(paths) => matches!(paths.as_slice(), [path] if path.as_str() == "-"),
        };
        let format = self.format.as_ref().is_some_and(|f| f.is_text());
        let mut columns = self.columns.0.iter();
        let typed = columns.all(|(_, column)| column.data_type.is_some());
        stdin && format && typed && !self.columns.0.is_empty()
    }

    /// The columns that were declared.
    pub(super) fn told(&self) -> Vec<Seen> {
        let columns = self.columns.0.iter().filter_map(|(name, column)| {
            let data_type = column.data_type.as_ref()?.value.0.clone();
            Some(Field::new(name.as_str(), data_type, true))
        });
        vec![Seen {
            file: "-".into(),
            sampling: None,
            schema: Arc::new(Schema::new(columns.collect::<Vec<_>>())),
        }]
    }

    fn sampled(&self, sample: &Located<SampleConfig>, check: &mut Check<'_>) -> Option<Inputs> {
        let reader: Arc<dyn ReadFormat> = Arc::new(sample.format(self.rate, check)?);
        let title = sample.title();
        let help = "give a `path` to read your own data";
        let message = format!("`path` is empty, so {title} is read");
        check.warn_at(&self.path, message, Some(help.to_string()));
        Some(Inputs {
            entries: vec![Entry {
                file: InputFile {
                    path: title.as_str().into(),
                    bytes: None,
                },
                format: 0,
                folders: Vec::new(),
                rows: None,
            }],
            kinds: vec![Kind {
                name: "generated".to_string(),
                names: Arc::clone(&reader),
                reader,
                is_text: false,
                may_leave_out: false,
            }],
            watched: None,
            notes: vec![format!("{title}, since `path` is empty")],
        })
    }

    /// Finds the files, and how each is read.
    fn found(&self, paths: &[Located<String>], check: &mut Check<'_>) -> Option<Inputs> {
        let files = self.discover(paths, check)?;
        let mut kinds: Vec<FormatConfig> = Vec::new();
        let mut entries = Vec::with_capacity(files.len());
        for file in files {
            let format = match self.format_of(&file) {
                Ok(format) => format,
                Err(error) => {
                    self.report(&error, check);
                    continue;
                }
            };
            let known = kinds.iter().position(|kind| *kind == format);
            let format = known.unwrap_or_else(|| {
                kinds.push(format);
                kinds.len() - 1
            });
            entries.push(Entry {
                file,
                format,
                folders: Vec::new(),
                rows: None,
            });
        }
        if check.problems.any_error() && entries.is_empty() {
            return None;
        }
        let formats = self.with_landing(kinds);
        let watched = self.watched(paths, &formats, check);
        let kinds: Vec<Kind> = formats
            .iter()
            .map(|format| Kind {
                name: format.name().to_string(),
                reader: format.reader(),
                names: format.only_names().reader(),
                is_text: format.is_text(),
                may_leave_out: format.may_leave_out(),
            })
            .collect();
        Some(Inputs {
            notes: vec![read::summary(&entries, &kinds)],
            entries,
            kinds,
            watched,
        })
    }

    fn format_of(&self, file: &InputFile) -> Result<FormatConfig, Error> {
        if let Some(format) = &self.format {
            let format = format.value.clone();
            return Ok(if self.is_told() {
                format.told()
            } else {
                format
            });
        }
        match FormatConfig::of_extension(&file.path) {
            Some(format) => Ok(format),
            None => FormatConfig::of_content(file),
        }
    }

    fn discover(&self, paths: &[Located<String>], check: &mut Check<'_>) -> Option<Vec<InputFile>> {
        if let Some(stdin) = paths.iter().find(|path| *path.value == *"-") {
            if paths.len() > 1 {
                let help = "read the files in a source of their own";
                let message = "standard input cannot be put together with files";
                check.error_at(stdin, message, Some(help.to_string()));
                return None;
            }
            return Some(vec![InputFile {
                path: "-".into(),
                bytes: None,
            }]);
        }
        let exclude = match Exclude::new(self.exclude.iter().map(|pattern| pattern.as_str())) {
            Ok(exclude) => exclude,
            Err((message, help)) => {
                let place = self.exclude.first().cloned().unwrap_or_default();
                check.error_at(&place, message, help);
                return None;
            }
        };
        let known =
            |name: &str| self.format.is_some() || FormatConfig::of_extension(name).is_some();
        let mut found = Found {
            may_be_none: self.watch.value,
            ..Found::default()
        };
        let mut fine = true;
        for path in paths {
            if let Err((message, help)) = found.add(path, &exclude, &known) {
                check.data_error_at(path, message, help);
                fine = false;
            }
        }
        self.say_what_is_left_out(&found, check);
        if found.files.len() as u64 > Place::MAX_SPLITS {
            let message = format!("{} files are more than one source reads", found.files.len());
            let help = format!("read at most {} files in one run", Place::MAX_SPLITS);
            check.error_at(&self.path, message, Some(help));
            return None;
        }
        let files = found.files.into_iter().map(|(path, bytes)| InputFile {
            path: path.into(),
            bytes: Some(bytes),
        });
        fine.then(|| files.collect())
    }

    fn say_what_is_left_out(&self, found: &Found, check: &mut Check<'_>) {
        let unknown = &found.unknown;
        if unknown.is_empty() || found.files.is_empty() {
            return;
        }
        let mut names = unknown[..unknown.len().min(NAMED_FILES)].join(", ");
        if unknown.len() > NAMED_FILES {
            names.push_str(", ...");
        }
        let message = match unknown.len() {
            1 => format!("1 file is left out, since its extension is not known ({names})"),
            many => {
                format!("{many} files are left out, since their extensions are not known ({names})")
            }
        };
        let help = "to read what is left out, set `format`; to leave it out silently, use `exclude` or a glob such as `**/*.csv`";
        check.warn_at(&self.path, message, Some(help.to_string()));
    }

    /// Reads headers and footers: of the first file, or of all of them.
    pub(super) fn inspect(&self, inputs: &mut Inputs, check: &mut Check<'_>) -> Option<Vec<Seen>> {
        let holds_something =
            |entry: &Entry| !(inputs.kinds[entry.format].is_text && entry.file.bytes == Some(0));
        let mut chosen: Vec<usize> = (0..inputs.entries.len())
            .filter(|&at| holds_something(&inputs.entries[at]))
            .collect();
        if chosen.is_empty() {
            // Perhaps the format's options tell the columns; else it says that it cannot.
            chosen.extend((!inputs.entries.is_empty()).then_some(0));
        }
        let mut seen: Vec<Seen> = Vec::new();
        let mut fine = true;
        for at in chosen {
            let entry = &mut inputs.entries[at];
            let kind = &inputs.kinds[entry.format];
            match kind.reader.inspect(&entry.file) {
                // An empty text file, perhaps a compressed one, has no columns, and no rows to miss them.
                Ok(inspected) if kind.is_text && inspected.schema.fields().is_empty() => {}
                Ok(inspected) => {
                    entry.rows = inspected.rows;
                    seen.push(Seen {
                        file: Arc::clone(&entry.file.path),
                        schema: inspected.schema,
                        sampling: inspected.sampling,
                    });
                    if self.schema == Matching::Strict {
                        break;
                    }
                }
                Err(error) => {
                    self.report(&error.file(&*entry.file.path), check);
                    fine = false;
                    if self.schema == Matching::Strict {
                        break;
                    }
                }
            }
        }
        fine.then_some(seen)
    }
}

/// How many rows are looked at to see whether a column has any value, as many as formats look at by default.
const LOOK_ROWS: usize = 10_000;

/// Whether a column of a file has a value in its first rows.
pub(super) fn has_value(
    format: &dyn ReadFormat,
    file: &InputFile,
    column: &str,
) -> Result<bool, Error> {
    let field = Field::new(column, DataType::Utf8, true);
    let mut found = false;
    look(format, file, &field, &mut |values| {
        found = values.null_count() < values.len();
        !found
    })?;
    Ok(found)
}

/// The values of a column in the first rows of a file.
pub(super) fn first_values(
    format: &dyn ReadFormat,
    file: &InputFile,
    field: &Field,
) -> Result<ArrayRef, Error> {
    let mut parts = vec![new_empty_array(field.data_type())];
    look(format, file, field, &mut |values| {
        parts.push(Arc::clone(values));
        true
    })?;
    let parts: Vec<&dyn Array> = parts.iter().map(|part| &**part).collect();
    Ok(concat(&parts)?)
}

/// Shows a column of the first rows of a file, some at a time, as long as more are wanted.
fn look(
    format: &dyn ReadFormat,
    file: &InputFile,
    field: &Field,
    more: &mut dyn FnMut(&ArrayRef) -> bool,
) -> Result<(), Error> {
    let reading = format.reading(&Request {
        columns: Arc::new(Schema::new(vec![field.clone()])),
        wanted: Wanted::default(),
    })?;
    let mut cutter = reading.cutter(file, 0, Place::default())?;
    let mut reader = reading.reader();
    let mut rows = 0;
    while rows < LOOK_ROWS
        && let Some(piece) = cutter.next()?
    {
        reader.open(file, piece)?;
        while rows < LOOK_ROWS
            && let Some(decoded) = reader.next(LOOK_ROWS)?
        {
            rows += decoded.bad.len();
            for (_, batch) in decoded.batches {
                let values = batch.rows().column(0);
                if !more(values) {
                    return Ok(());
                }
                rows += values.len();
            }
        }
    }
    Ok(())
}
