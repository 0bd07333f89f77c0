//! What the tests of this crate share: settings from TOML, reading a source to its end, rows as text.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_select::concat::concat_batches;
use dataflow_core::component::SourceConfig;
use dataflow_core::config::{Key, Node, Tree};
use dataflow_core::stage::BadRow;
use dataflow_core::{Check, Place, Problems, Result, Source};

/// TOML as a tree without spans.
pub(crate) fn node(toml: &str) -> Node {
    fn tree(value: toml::Value) -> Node {
        Node::from(match value {
            toml::Value::String(text) => Tree::Text(text),
            toml::Value::Integer(n) => Tree::Integer(n),
            toml::Value::Float(x) => Tree::Float(x),
            toml::Value::Boolean(b) => Tree::Boolean(b),
            toml::Value::Datetime(time) => Tree::Text(time.to_string()),
            toml::Value::Array(list) => Tree::List(list.into_iter().map(tree).collect()),
            toml::Value::Table(table) => Tree::Table(
                table
                    .into_iter()
                    .map(|(name, value)| (Key { name, span: None }, tree(value)))
                    .collect(),
            ),
        })
    }
    tree(toml::Value::Table(
        toml.parse().unwrap_or_else(|e| panic!("{toml}: {e}")),
    ))
}

/// Checks settings; returns the source and the problems, one line each.
pub(crate) fn build<C: SourceConfig>(
    toml: &str,
    offline: bool,
) -> (Option<Arc<dyn Source>>, Vec<String>) {
    let mut problems = Problems::new();
    let mut check = Check {
        id: "rows",
        span: None,
        parameters: &BTreeMap::new(),
        catalog: &[],
        offline,
        stdin: &dataflow_core::StandardInput::unseen(),
        run_time: 0,
        problems: &mut problems,
    };
    let made = match node(toml).read::<C>() {
        Ok(config) => config.build(&mut check),
        Err(problem) => {
            check.problems.push(problem);
            None
        }
    };
    let said = problems.list().iter().map(|p| match &p.help {
        Some(help) => format!("{} | {help}", p.message),
        None => p.message.clone(),
    });
    (made, said.collect())
}

/// A source that must be fine.
pub(crate) fn source<C: SourceConfig>(toml: &str) -> Arc<dyn Source> {
    let (made, said) = build::<C>(toml, false);
    made.unwrap_or_else(|| panic!("{toml}: {said:?}"))
}

/// All rows, split by split and piece by piece, read `batch` rows at a time; and the bad ones.
pub(crate) fn read(source: &dyn Source, batch: usize) -> Result<(RecordBatch, Vec<BadRow>)> {
    let schema = Arc::clone(&source.ports()[0].schema);
    let mut batches = Vec::new();
    let mut bad = Vec::new();
    let mut reader = source.reader()?;
    for (index, _) in source.splits()?.iter().enumerate() {
        let first = Place::new(index as u32, 0)?;
        let mut cutter = source.cutter(index, first)?;
        while let Some(piece) = cutter.next()? {
            reader.open(piece)?;
            while let Some(decoded) = reader.next(batch)? {
                batches.extend(decoded.batches.into_iter().map(|(_, b)| b.rows().clone()));
                bad.extend(decoded.bad);
            }
        }
    }
    assert!(batches.iter().all(|b| b.num_rows() <= batch));
    Ok((concat_batches(&schema, &batches)?, bad))
}

/// The rows as lines of text, columns separated by a space.
pub(crate) fn lines(rows: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let columns: Vec<ArrayFormatter<'_>> = rows
        .columns()
        .iter()
        .map(|c| ArrayFormatter::try_new(c.as_ref(), &options).expect("printable"))
        .collect();
    let line = |row: usize| {
        let cells: Vec<String> = columns.iter().map(|c| c.value(row).to_string()).collect();
        cells.join(" ")
    };
    (0..rows.num_rows()).map(line).collect()
}

/// A header line and all rows of a source.
pub(crate) fn table(source: &dyn Source) -> Vec<String> {
    let (rows, bad) = read(source, 1000).expect("readable");
    assert!(bad.is_empty(), "{bad:?}");
    let schema = rows.schema();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let mut all = vec![names.join(" ")];
    all.extend(lines(&rows));
    all
}
