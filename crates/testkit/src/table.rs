//! Rows drawn as text: `"x:f64 name\n1 a\n- b"`, with `-` for null.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, DictionaryArray, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampNanosecondArray,
};

/// The rows that a text draws. The first line names the columns, each with its type behind a colon: `i64`, `i32`,
/// `f64`, `bool`, `text` (the default), `dict` (text as a dictionary), `time` (nanoseconds), `date` (days), `list` (of
/// `i64`, elements between semicolons; `;` is an empty one).
///
/// # Panics
/// When the text draws nothing of that kind.
pub fn rows(text: &str) -> RecordBatch {
    let mut lines = text.lines();
    let header: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let cells: Vec<Vec<&str>> = lines
        .map(|line| line.split_whitespace().collect())
        .collect();
    let columns = header.iter().enumerate().map(|(i, head)| {
        let (name, kind) = head.split_once(':').unwrap_or((head, "text"));
        let values = cells
            .iter()
            .map(|line| Some(line[i]).filter(|cell| *cell != "-"));
        (name, column(kind, values.collect()), true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}

fn parsed<T: std::str::FromStr>(cells: Vec<Option<&str>>) -> impl Iterator<Item = Option<T>> {
    let parse = |cell: &str| {
        cell.parse()
            .ok()
            .unwrap_or_else(|| panic!("`{cell}` does not parse"))
    };
    cells.into_iter().map(move |cell| cell.map(parse))
}

fn column(kind: &str, cells: Vec<Option<&str>>) -> ArrayRef {
    match kind {
        "i64" => Arc::new(parsed(cells).collect::<Int64Array>()),
        "i32" => Arc::new(parsed(cells).collect::<Int32Array>()),
        "f64" => Arc::new(parsed(cells).collect::<Float64Array>()),
        "bool" => Arc::new(parsed(cells).collect::<BooleanArray>()),
        "text" => Arc::new(StringArray::from(cells)),
        "dict" => Arc::new(cells.into_iter().collect::<DictionaryArray<Int32Type>>()),
        "time" => Arc::new(parsed(cells).collect::<TimestampNanosecondArray>()),
        "date" => Arc::new(parsed(cells).collect::<Date32Array>()),
        "list" => lists(cells),
        other => panic!("`{other}` is no type of a drawn table"),
    }
}

fn lists(cells: Vec<Option<&str>>) -> ArrayRef {
    let mut lists = ListBuilder::new(Int64Builder::new());
    for cell in cells {
        for element in cell
            .unwrap_or_default()
            .split(';')
            .filter(|e| !e.is_empty())
        {
            lists
                .values()
                .append_value(element.parse().expect("an integer"));
        }
        lists.append(cell.is_some());
    }
    Arc::new(lists.finish())
}
