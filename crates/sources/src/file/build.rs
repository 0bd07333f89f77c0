//! Checking the `file` source's settings: what they say together with what the files hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use dataflow_core::component::SourceConfig;
use dataflow_core::error::Fault;
use dataflow_core::{Check, Error, Problems, Source, StandardInput, Wanted};

use super::columns::{self, Seen, Strict, Whose};
use super::inputs::{Inputs, has_value};
use super::read::{Entry, Everything, FileSource};
use super::{FileConfig, Matching, Paths, hive, text};
use crate::sampling::sampling;
use crate::time::timed;

impl SourceConfig for FileConfig {
    fn build(mut self, check: &mut Check<'_>) -> Option<Arc<dyn Source>> {
        let time = self.time.take();
        timed(self.untimed(check), time, check)
    }
}

impl FileConfig {
    /// A path and the defaults.
    pub fn of(path: &str) -> Self {
        Self {
            path: Paths::One(path.to_string()).into(),
            ..Self::default()
        }
    }

    /// Makes the source outside of a pipeline.
    ///
    /// # Errors
    /// All problems that a pipeline with such a source would have.
    pub fn open(self) -> Result<Arc<dyn Source>, Problems> {
        let mut problems = Problems::new();
        let made = self.build(&mut Check {
            id: "file",
            span: None,
            parameters: &BTreeMap::new(),
            catalog: &[],
            offline: false,
            stdin: &StandardInput::default(),
            run_time: 0,
            problems: &mut problems,
        });
        made.ok_or(problems)
    }

    /// The source without its event time.
    fn untimed(&self, check: &mut Check<'_>) -> Option<Arc<dyn Source>> {
        let inputs = self.inputs(check)?;
        let all = self.everything(inputs, check)?;
        let source = FileSource::new(Arc::new(all), &Wanted::default());
        if let Some(error) = source.failure() {
            self.report(error, check);
            return None;
        }
        Some(Arc::new(source))
    }

    pub(super) fn report(&self, error: &Error, check: &mut Check<'_>) {
        let message = match (error.in_file(), error.at_byte()) {
            (Some(file), Some(byte)) => format!("{} ({file}, byte {byte})", error.what()),
            (Some(file), None) => format!("{} ({file})", error.what()),
            (None, _) => error.what().to_string(),
        };
        let help = error.helps().map(str::to_string);
        match &self.format {
            Some(format) if error.fault() == Fault::Pipeline => {
                check.error_at(format, message, help);
            }
            _ if error.fault() == Fault::Pipeline => check.error_at(&self.path, message, help),
            _ => check.data_error_at(&self.path, message, help),
        }
    }

    fn everything(&self, mut inputs: Inputs, check: &mut Check<'_>) -> Option<Everything> {
        let mut told = self.is_told();
        let mut seen = Vec::new();
        if self.is_awaited(inputs.entries.len()) {
            self.check_awaited(check)?;
            told = true;
        } else if !told {
            seen = self.inspect(&mut inputs, check)?;
            told = self.watch.value && self.declares(&seen);
        }
        if told {
            seen = self.told();
        }
        let tells = |at: usize, column: &str| {
            let path = &seen[at].file;
            let entry = inputs.entries.iter().find(|e| e.file.path == *path);
            entry.is_none_or(|entry| {
                // Where it cannot be read, the contradiction stands.
                has_value(&*inputs.kinds[entry.format].reader, &entry.file, column).unwrap_or(true)
            })
        };
        let mut columns = match columns::together(&seen, &self.columns, &tells) {
            Ok(columns) => columns,
            Err(errors) => {
                errors.iter().for_each(|error| self.report(error, check));
                return None;
            }
        };
        let folders = self.folders(&mut inputs.entries, &columns, check)?;
        self.add_absent(&mut columns, &folders, check)?;
        if columns.is_empty() {
            let message = match inputs.entries.as_slice() {
                [entry] => format!(
                    "`{}` is empty, so its columns are not known",
                    entry.file.path
                ),
                _ => "all files are empty, so their columns are not known".to_string(),
            };
            let help = "declare them: `columns.x = { type = \"float64\", optional = true }`";
            check.data_error_at(&self.path, message, Some(help.to_string()));
            return None;
        }
        let taken = columns.iter().chain(&folders);
        let taken: Vec<&str> = taken.map(|f| f.name().as_str()).collect();
        self.check_added(&taken, check)?;
        let strict = self.strict(&columns, told, seen.first());
        let times = self.times(&columns, &inputs, check)?;
        let of_times = times.as_ref().and_then(|(_, sampling)| *sampling);
        let known = of_times.or(seen.first().and_then(|seen| seen.sampling));
        let sampling = sampling(self.sampling.as_ref(), known, check)?;
        Some(Everything {
            entries: inputs.entries.into_iter().map(Arc::new).collect(),
            kinds: inputs.kinds,
            watched: inputs.watched,
            columns: Arc::new(Schema::new(columns)),
            folders,
            file_column: self.file_column.as_ref().map(|c| c.value.clone()),
            row_column: self.row_column.as_ref().map(|c| c.value.clone()),
            declared: self.declared(),
            strict,
            rate: self.rate,
            sampling,
            times: times.map(|(column, _)| column),
            notes: inputs.notes,
        })
    }

    /// The columns that all files must have, if they must. Where more files land, those are no others than at the start.
    fn strict(&self, columns: &[Field], told: bool, first: Option<&Seen>) -> Option<Strict> {
        let watched = self.watch.value;
        let whose = match (self.schema, first?) {
            _ if told => Whose::Declared,
            (Matching::Strict, first) => Whose::File(Arc::clone(&first.file)),
            (Matching::Union, _) if watched => Whose::Start,
            (Matching::Union, _) => return None,
        };
        let union = watched && self.schema == Matching::Union;
        let declared = |name: &str| self.columns.get(name).is_some_and(|d| d.optional);
        Some(Strict {
            columns: with_optional(columns, &|name| union || declared(name)),
            whose,
            others: !watched && told,
        })
    }

    /// The columns whose types were declared.
    fn declared(&self) -> Vec<String> {
        let typed = self.columns.0.iter().filter(|(_, c)| c.data_type.is_some());
        typed.map(|(name, _)| name.value.clone()).collect()
    }

    /// Appends the declared columns that no file has.
    fn add_absent(
        &self,
        columns: &mut Vec<Field>,
        folders: &[Field],
        check: &mut Check<'_>,
    ) -> Option<()> {
        let there: Vec<String> = columns
            .iter()
            .chain(folders)
            .map(|f| f.name().clone())
            .collect();
        let there: Vec<&str> = there.iter().map(String::as_str).collect();
        let mut fine = true;
        for (name, declared) in &self.columns.0 {
            if there.contains(&name.as_str()) {
                continue;
            }
            match columns::absent(name, declared, &there) {
                Ok(field) => columns.push(field),
                Err((message, help)) => {
                    check.error_at(name, message, help);
                    fine = false;
                }
            }
        }
        fine.then_some(())
    }

    /// The columns that `key=value` folders give; their values go into the entries.
    fn folders(
        &self,
        entries: &mut [Entry],
        columns: &[Field],
        check: &mut Check<'_>,
    ) -> Option<Vec<Field>> {
        let mut keys: Vec<String> = Vec::new();
        let mut values: Vec<HashMap<String, Option<String>>> = Vec::with_capacity(entries.len());
        for entry in entries.iter() {
            let found = hive::folders(&entry.file.path);
            for (key, _) in &found {
                if !keys.contains(key) && columns.iter().all(|f| f.name() != key) {
                    keys.push(key.clone());
                }
            }
            values.push(found.into_iter().collect());
        }
        let mut fields = Vec::with_capacity(keys.len());
        for key in &keys {
            let of_files = || values.iter().map(|of| of.get(key));
            if self.schema == Matching::Strict
                && let Some(without) = of_files().position(|value| value.is_none())
            {
                let file = &entries[without].file.path;
                let message = format!("`{file}` is in no folder `{key}=...` as other files are");
                let help = "to read it as null there, set `schema = \"union\"`";
                check.error_at(&self.path, message, Some(help.to_string()));
                return None;
            }
            let texts = of_files().map(|value| value.and_then(|v| v.as_deref()));
            let declared = self.columns.get(key).and_then(|d| d.data_type.as_ref());
            let data_type = match declared.map(|d| &d.value.0) {
                Some(DataType::Utf8) => text(),
                Some(other) => other.clone(),
                None => hive::type_of(texts.clone()),
            };
            let wrong = texts.filter_map(|value| hive::single(key, value, &data_type).err());
            if let Some(error) = wrong.into_iter().next() {
                self.report(&error, check);
                return None;
            }
            fields.push(Field::new(key, data_type, true));
        }
        for (entry, mut found) in entries.iter_mut().zip(values) {
            let value = |key| found.remove(key).flatten().map(Into::into);
            entry.folders = keys.iter().map(value).collect();
        }
        Some(fields)
    }

    /// The names of added columns must be free.
    fn check_added(&self, taken: &[&str], check: &mut Check<'_>) -> Option<()> {
        let mut taken = taken.to_vec();
        let mut fine = true;
        for added in [&self.file_column, &self.row_column].into_iter().flatten() {
            if taken.contains(&added.as_str()) {
                let message = format!("there is a column `{}` already", added.value);
                check.error_at(added, message, Some("choose another name".to_string()));
                fine = false;
            }
            taken.push(added);
        }
        fine.then_some(())
    }
}

/// The names of columns, and whether a file may do without them.
fn with_optional(columns: &[Field], optional: &dyn Fn(&str) -> bool) -> Vec<(String, bool)> {
    let column = |field: &Field| (field.name().clone(), optional(field.name()));
    columns.iter().map(column).collect()
}
