//! Paths with a column's value in them: `out/{dataset}/x.parquet`.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema, SchemaRef};
use dataflow_core::problem::did_you_mean;
use dataflow_core::{Check, Located, Problem, Result};
use dataflow_formats::write::{Cells, Style};

/// A path, cut at the columns in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Column(String, usize),
}

/// What stands for a null, as Hive has it, and for an empty text.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";
const EMPTY: &str = "__EMPTY__";

impl Pattern {
    /// Reads a path: `Some(None)` if there is no column in it, `None` if problems were reported.
    pub fn check(
        path: &Located<String>,
        schema: &SchemaRef,
        check: &mut Check<'_>,
    ) -> Option<Option<Self>> {
        if path.is_empty() {
            let help = "write the name of a file, or `-` for standard output".to_string();
            check.error_at(path, "the path is empty", Some(help));
            return None;
        }
        let parts = match cut(path, schema) {
            Ok(parts) => parts,
            Err(problem) => {
                check.problems.push(problem);
                return None;
            }
        };
        let mut names: Vec<&str> = parts.iter().filter_map(Part::column).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() && !path.contains(['{', '}']) {
            return Some(None);
        }
        if names.len() == schema.fields().len() && !names.is_empty() {
            let message = "all columns are in the path, so there is none to write";
            check.error_at(path, message, None);
            return None;
        }
        Some(Some(Self { parts }))
    }

    /// The columns in the path, once each.
    pub fn names(&self) -> Vec<&str> {
        let columns = self.parts.iter().filter_map(|part| match part {
            Part::Column(name, index) => Some((*index, name.as_str())),
            Part::Text(_) => None,
        });
        columns
            .collect::<BTreeMap<usize, &str>>()
            .into_values()
            .collect()
    }

    /// The columns that are written.
    pub fn without_columns(&self, schema: &SchemaRef) -> SchemaRef {
        let names = self.names();
        let kept = schema
            .fields()
            .iter()
            .filter(|field| !names.contains(&field.name().as_str()));
        SchemaRef::new(Schema::new_with_metadata(
            kept.cloned().collect::<Vec<_>>(),
            schema.metadata().clone(),
        ))
    }

    /// The rows without the columns in the path.
    pub fn without_columns_of(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let names = self.names();
        let schema = rows.schema();
        let kept = schema
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| !names.contains(&field.name().as_str()))
            .map(|(index, _)| index);
        Ok(rows.project(&kept.collect::<Vec<_>>())?)
    }

    /// The folder that all files are in.
    pub fn base(&self) -> String {
        let Some(Part::Text(text)) = self.parts.first() else {
            return ".".into();
        };
        match text.rfind('/') {
            Some(0) => "/".into(),
            Some(end) => text[..end].into(),
            None => ".".into(),
        }
    }

    /// What makes the paths of rows.
    pub fn paths<'a>(&'a self, rows: &'a RecordBatch) -> Result<Paths<'a>> {
        let parts = self.parts.iter().map(|part| {
            Ok(match part {
                Part::Text(text) => Shown::Text(text),
                Part::Column(_, index) => Shown::Cells(Cells::new(rows.column(*index).as_ref())?),
            })
        });
        Ok(Paths {
            parts: parts.collect::<Result<_>>()?,
            value: Vec::new(),
        })
    }
}

impl Part {
    fn column(&self) -> Option<&str> {
        match self {
            Self::Column(name, _) => Some(name),
            Self::Text(_) => None,
        }
    }
}

fn cut(path: &Located<String>, schema: &SchemaRef) -> Result<Vec<Part>, Problem> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = path.char_indices().peekable();
    while let Some((at, character)) = rest.next() {
        let doubled = rest.peek().is_some_and(|(_, next)| *next == character);
        match character {
            '{' | '}' if doubled => {
                text.push(character);
                rest.next();
            }
            '{' => {
                let end = path[at..].find('}').map(|length| at + length);
                let end = end.ok_or_else(|| {
                    Problem::inside("this `{` has no `}`", path, at..at + 1)
                        .help("write `{{` for a brace in the name")
                })?;
                parts.push(Part::Text(std::mem::take(&mut text)));
                parts.push(column(path, at + 1..end, schema)?);
                while rest.next_if(|(next, _)| *next <= end).is_some() {}
            }
            '}' => {
                return Err(Problem::inside("this `}` has no `{`", path, at..at + 1)
                    .help("write `}}` for a brace in the name"));
            }
            other => text.push(other),
        }
    }
    parts.push(Part::Text(text));
    parts.retain(|part| *part != Part::Text(String::new()));
    Ok(parts)
}

fn column(
    path: &Located<String>,
    range: std::ops::Range<usize>,
    schema: &SchemaRef,
) -> Result<Part, Problem> {
    let name = &path[range.clone()];
    let fields = schema.fields();
    let Some(index) = fields.iter().position(|field| field.name() == name) else {
        let names = fields.iter().map(|field| field.name().as_str());
        let help = did_you_mean(name, names.clone()).unwrap_or_else(|| {
            let names: Vec<String> = names.map(|n| format!("`{n}`")).collect();
            format!("the columns are {}", names.join(", "))
        });
        let message = format!("there is no column `{name}`");
        return Err(Problem::inside(message, path, range).help(help));
    };
    let data_type = fields[index].data_type();
    if !names_files(data_type) {
        let message = format!("values of type {data_type} cannot name files");
        return Err(Problem::inside(message, path, range)
            .help("use text, whole numbers, booleans, dates or times"));
    }
    Ok(Part::Column(name.to_string(), index))
}

fn names_files(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => names_files(values),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean => true,
        DataType::Date32 | DataType::Timestamp(..) => true,
        other => other.is_integer(),
    }
}

/// Makes paths of rows.
pub(super) struct Paths<'a> {
    parts: Vec<Shown<'a>>,
    value: Vec<u8>,
}

enum Shown<'a> {
    Text(&'a str),
    Cells(Cells<'a>),
}

impl Paths<'_> {
    /// Puts the path of a row into `path`.
    pub fn put(&mut self, row: usize, path: &mut Vec<u8>) {
        path.clear();
        for part in &self.parts {
            match part {
                Shown::Text(text) => path.extend_from_slice(text.as_bytes()),
                Shown::Cells(cells) if cells.is_null(row) => {
                    path.extend_from_slice(NULL.as_bytes());
                }
                Shown::Cells(cells) => {
                    self.value.clear();
                    cells.write(row, Style::Plain, &mut self.value);
                    name(&self.value, path);
                }
            }
        }
    }
}

/// Appends a value as (a part of) a file's name, so that different values have different names.
fn name(value: &[u8], path: &mut Vec<u8>) {
    if value.is_empty() {
        path.extend_from_slice(EMPTY.as_bytes());
        return;
    }
    let reserved = value == NULL.as_bytes() || value == EMPTY.as_bytes();
    for (i, &byte) in value.iter().enumerate() {
        let special = byte < 0x20 || b"\x7f/\\%\"#'*:=?<>|{}[]^".contains(&byte);
        // A leading point would hide the file, or leave the folder.
        if special || (i == 0 && (byte == b'.' || reserved)) {
            path.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            path.push(byte);
        }
    }
}
