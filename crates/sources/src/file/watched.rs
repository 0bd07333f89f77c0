//! The `file` source whose folders are watched: what is checked beforehand, and files that land as further files of the source.

use std::sync::Arc;

use arrow_schema::Field;
use dataflow_core::{Arrivals, Check, Error, Located, Result, Split};
use dataflow_formats::InputFile;

use super::columns::Seen;
use super::discover::{Exclude, Root};
use super::read::{Entry, Inner};
use super::watch::{Folders, Watcher};
use super::{FileConfig, FormatConfig, Matching, hive};

/// Where files land, and what they may be.
pub(super) struct Watched {
    /// The id of the source.
    id: String,
    folders: Arc<Folders>,
    /// The formats that files may have, in the order of the source's.
    formats: Vec<FormatConfig>,
    /// The one that they have, if it was declared.
    declared: bool,
    /// Whether all must be in the same folders.
    strict: bool,
}

impl FileConfig {
    /// Whether what is read can be watched.
    pub(super) fn check_watch(
        &self,
        paths: &[Located<String>],
        check: &mut Check<'_>,
    ) -> Option<()> {
        if !self.watch.value {
            return Some(());
        }
        let (message, help) = match paths {
            [] => (
                "there is no folder to `watch`, since `path` is empty".to_string(),
                "give a `path`; a sample has no files that could land",
            ),
            _ if paths.iter().any(|path| path.as_str() == "-") => (
                "standard input is no folder to `watch`".to_string(),
                "leave `watch` out: its rows are read as they come anyway",
            ),
            [path] if std::fs::metadata(path.as_str()).is_ok_and(|found| found.is_file()) => (
                format!("`{}` is a file, and no other files land in it", path.value),
                "watch its folder, or a glob such as `data/*.csv`",
            ),
            _ => return Some(()),
        };
        check.error_at(&self.watch, message, Some(help.to_string()));
        None
    }

    /// Whether nothing is there yet, so that the columns are those that were declared.
    pub(super) fn is_awaited(&self, there: usize) -> bool {
        self.watch.value && there == 0
    }

    /// Whether columns are declared, all with their types.
    fn declares_types(&self) -> bool {
        let mut columns = self.columns.0.iter();
        !self.columns.0.is_empty() && columns.all(|(_, column)| column.data_type.is_some())
    }

    /// Whether all columns that were seen are declared with their types: then those are the columns, as they are where no file is there
    /// yet, and whatever files a later run finds.
    pub(super) fn declares(&self, seen: &[Seen]) -> bool {
        let mut fields = seen.iter().flat_map(|seen| seen.schema.fields());
        self.declares_types() && fields.all(|field| self.columns.get(field.name()).is_some())
    }

    /// Where no file is there yet: that all columns were declared.
    pub(super) fn check_awaited(&self, check: &mut Check<'_>) -> Option<()> {
        if self.declares_types() {
            return Some(());
        }
        let message = "no file is there yet, so the columns are not known";
        let help = "declare all of them with their types, such as `columns.x = { type = \"float64\" }`, or put a first file there";
        check.data_error_at(&self.path, message.to_string(), Some(help.to_string()));
        None
    }

    /// What is watched of these paths, if it is to be. Files among them are read and not watched.
    pub(super) fn watched(
        &self,
        paths: &[Located<String>],
        formats: &[FormatConfig],
        check: &mut Check<'_>,
    ) -> Option<Watched> {
        if !self.watch.value {
            return None;
        }
        let mut roots = Vec::new();
        for path in paths {
            match Root::of(path) {
                Ok(root) => roots.extend(root),
                Err((message, help)) => check.data_error_at(path, message, help),
            }
        }
        // What is wrong with a glob was said when files were looked for.
        let exclude = Exclude::new(self.exclude.iter().map(|pattern| pattern.as_str())).ok()?;
        Some(Watched {
            id: check.id.to_string(),
            folders: Arc::new(Folders {
                roots,
                exclude,
                any: self.format.is_some(),
            }),
            formats: formats.to_vec(),
            declared: self.format.is_some(),
            strict: self.schema == Matching::Strict,
        })
    }

    /// The formats of a source: those of the files that are there, and those that files which land may have.
    pub(super) fn with_landing(&self, mut there: Vec<FormatConfig>) -> Vec<FormatConfig> {
        if !self.watch.value {
            return there;
        }
        let more: Vec<FormatConfig> = match &self.format {
            Some(format) => vec![format.value.clone()],
            None => FormatConfig::all().collect(),
        };
        for format in more {
            if !there.contains(&format) {
                there.push(format);
            }
        }
        there
    }
}

impl Watched {
    /// Starts to watch for files other than these.
    pub(super) fn watcher<'a>(
        &self,
        known: impl Iterator<Item = &'a InputFile>,
    ) -> Result<Watcher> {
        Watcher::new(&self.id, &self.folders, known)
    }

    /// A file that has landed, with its values of the folder columns.
    pub(super) fn entry(&self, file: InputFile, columns: &[Field]) -> Result<Entry> {
        let path = Arc::clone(&file.path);
        self.checked(file, columns).map_err(|e| e.file(&*path))
    }

    fn checked(&self, file: InputFile, columns: &[Field]) -> Result<Entry> {
        let format = match (self.declared, FormatConfig::of_extension(&file.path)) {
            (true, _) => self.formats.first().cloned(),
            (false, Some(known)) => Some(known),
            (false, None) => Some(FormatConfig::of_content(&file)?),
        };
        let format = self.formats.iter().position(|f| Some(f) == format.as_ref());
        let format = format.ok_or_else(|| Error::internal("there is no such format"))?;
        let mut found = hive::folders(&file.path);
        let mut folders = Vec::with_capacity(columns.len());
        for column in columns {
            let key = column.name();
            let at = found.iter().position(|(name, _)| name == key);
            if at.is_none() && self.strict {
                let what = format!("it is in no folder `{key}=...` as other files are");
                let help = "to read it as null there, set `schema = \"union\"`";
                return Err(Error::data(what).help(help));
            }
            let value = at.and_then(|at| found.swap_remove(at).1);
            hive::single(key, value.as_deref(), column.data_type())?;
            folders.push(value.map(Into::into));
        }
        Ok(Entry {
            file,
            format,
            folders,
            rows: None,
        })
    }
}

/// Files that land, as further files of a source.
pub(super) struct Landings {
    source: Arc<Inner>,
    watcher: Watcher,
}

impl Landings {
    pub(super) fn new(source: &Arc<Inner>, watcher: Watcher) -> Self {
        Self {
            source: Arc::clone(source),
            watcher,
        }
    }
}

impl Arrivals for Landings {
    fn next(&mut self) -> Result<Option<Vec<Split>>> {
        while let Some(files) = self.watcher.next()? {
            let mut splits = Vec::with_capacity(files.len());
            for file in files {
                splits.extend(self.source.take_in(file)?);
            }
            if !splits.is_empty() {
                return Ok(Some(splits));
            }
        }
        Ok(None)
    }

    fn ending(&self) -> Box<dyn FnOnce() + Send> {
        self.watcher.ending()
    }
}
