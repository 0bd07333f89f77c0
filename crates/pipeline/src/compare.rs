//! Compares rows that a test expects with those that came: expected columns are a subset, numbers have a tolerance.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_cast::display::array_value_to_string;
use arrow_schema::DataType;
use dataflow_core::config::{Node, Tree};

use crate::rows;

/// How many differences are listed before the rest is only counted.
const LISTED: usize = 10;

/// Whether the batches are the expected rows, in this order; else what differs, a line for each.
///
/// Two numbers are equal if they differ by no more than `tolerance` times the larger one's size (or times 1, if both are
/// smaller than that); NaN equals NaN.
///
/// # Errors
/// The differences.
pub fn compare(expected: &[Node], actual: &[RecordBatch], tolerance: f64) -> Result<(), String> {
    let mut lines = Vec::new();
    let mut at = 0;
    for batch in actual {
        for row in 0..batch.num_rows() {
            match expected.get(at) {
                Some(wanted) => row_differences(at, wanted, batch, row, tolerance, &mut lines),
                None => lines.push(format!(
                    "row {}: not expected: {}",
                    at + 1,
                    show_row(batch, row)
                )),
            }
            at += 1;
        }
    }
    for (missing, wanted) in expected.iter().enumerate().skip(at) {
        lines.push(format!("row {}: missing: {}", missing + 1, show(wanted)));
    }
    if lines.is_empty() {
        return Ok(());
    }
    let more = lines.len().saturating_sub(LISTED);
    lines.truncate(LISTED);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    Err(lines.join("\n"))
}

fn row_differences(
    at: usize,
    wanted: &Node,
    batch: &RecordBatch,
    row: usize,
    tolerance: f64,
    lines: &mut Vec<String>,
) {
    let Tree::Table(entries) = &wanted.value else {
        lines.push(format!("row {}: {} is not a row", at + 1, show(wanted)));
        return;
    };
    for (key, node) in entries {
        match batch.column_by_name(&key.name) {
            None => lines.push(format!("row {}: there is no column `{}`", at + 1, key.name)),
            Some(column) if !fits(node, column, row, tolerance) => lines.push(format!(
                "row {}: `{}` is {}, expected {}",
                at + 1,
                key.name,
                show_cell(column, row),
                show(node)
            )),
            Some(_) => {}
        }
    }
}

/// Whether a value is what was written.
fn fits(node: &Node, column: &ArrayRef, row: usize, tolerance: f64) -> bool {
    if let DataType::Dictionary(_, values) = column.data_type() {
        let plain = cast(&column.slice(row, 1), values);
        return plain.is_ok_and(|plain| fits(node, &plain, 0, tolerance));
    }
    if rows::is_null(node) || column.is_null(row) {
        return rows::is_null(node) && column.is_null(row);
    }
    match &node.value {
        Tree::Float(_) | Tree::Integer(_) if column.data_type().is_numeric() => {
            number_fits(node, column, row, tolerance)
        }
        Tree::List(items) => rows::list_element(column.as_ref(), row).is_some_and(|list| {
            list.len() == items.len()
                && items
                    .iter()
                    .enumerate()
                    .all(|(i, item)| fits(item, &list, i, tolerance))
        }),
        Tree::Table(entries) if matches!(column.data_type(), DataType::Struct(_)) => {
            let parts = column.as_struct();
            entries.iter().all(|(key, node)| {
                parts
                    .column_by_name(&key.name)
                    .is_some_and(|part| fits(node, part, row, tolerance))
            })
        }
        _ => exactly(node, column, row),
    }
}

fn exactly(node: &Node, column: &ArrayRef, row: usize) -> bool {
    let wanted = rows::column(column.data_type(), &vec![Some(node)]);
    wanted.is_ok_and(|wanted| wanted.to_data() == column.slice(row, 1).to_data())
}

fn number_fits(node: &Node, column: &ArrayRef, row: usize, tolerance: f64) -> bool {
    if !column.data_type().is_floating() && exactly(node, column, row) {
        return true;
    }
    let wanted = match &node.value {
        Tree::Integer(n) if column.data_type().is_integer() && tolerance == 0.0 => {
            return exactly(&Node::from(Tree::Integer(*n)), column, row);
        }
        Tree::Integer(n) => *n as f64,
        Tree::Float(x) => *x,
        _ => return false,
    };
    let found = cast(&column.slice(row, 1), &DataType::Float64);
    found.is_ok_and(|found| {
        let found = found.as_primitive::<Float64Type>().value(0);
        let scale = wanted.abs().max(found.abs()).max(1.0);
        found == wanted
            || (found.is_nan() && wanted.is_nan())
            || (found - wanted).abs() <= tolerance * scale
    })
}

fn show_cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "null".into();
    }
    let shown = array_value_to_string(column, row).unwrap_or_else(|error| error.to_string());
    let text = match column.data_type() {
        DataType::Dictionary(_, values) => values.is_string(),
        other => other.is_string(),
    };
    if text { format!("{shown:?}") } else { shown }
}

fn show_row(batch: &RecordBatch, row: usize) -> String {
    let schema = batch.schema();
    let cells = schema.fields().iter().zip(batch.columns());
    let cells: Vec<String> = cells
        .map(|(f, c)| format!("{} = {}", f.name(), show_cell(c, row)))
        .collect();
    format!("{{ {} }}", cells.join(", "))
}

/// A value as it may be written in TOML.
pub(crate) fn show(node: &Node) -> String {
    if rows::is_null(node) {
        return "null".into();
    }
    match &node.value {
        Tree::Boolean(b) => b.to_string(),
        Tree::Integer(n) => n.to_string(),
        Tree::Float(x) => format!("{x:?}"),
        Tree::Text(text) => format!("{text:?}"),
        Tree::List(items) => {
            let items: Vec<String> = items.iter().map(show).collect();
            format!("[{}]", items.join(", "))
        }
        Tree::Table(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(k, v)| format!("{} = {}", k.name, show(v)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use arrow_array::{Float64Array, Int64Array, StringArray, StructArray};
    use std::sync::Arc;

    fn expected(text: &str) -> Vec<Node> {
        match parse::value(text, 0).expect("TOML").value {
            Tree::List(rows) => rows,
            other => panic!("{other:?}"),
        }
    }

    fn actual() -> Vec<RecordBatch> {
        let batch = |x: Vec<Option<f64>>, n: Vec<i64>, s: Vec<&str>| {
            let s: ArrayRef = Arc::new(StringArray::from(s));
            let n: ArrayRef = Arc::new(Int64Array::from(n));
            let field = |name: &str, a: &ArrayRef| {
                Arc::new(arrow_schema::Field::new(name, a.data_type().clone(), true))
            };
            let inner = StructArray::from(vec![
                (field("s", &s), Arc::clone(&s)),
                (field("n", &n), Arc::clone(&n)),
            ]);
            let x: ArrayRef = Arc::new(Float64Array::from(x));
            RecordBatch::try_from_iter([
                ("x", x),
                ("n", n),
                ("s", s),
                ("inner", Arc::new(inner) as ArrayRef),
            ])
            .expect("a batch")
        };
        vec![
            batch(vec![Some(0.1 + 0.2)], vec![1], vec!["a"]),
            batch(
                vec![None, Some(f64::NAN)],
                vec![2, i64::MAX],
                vec!["b", "c"],
            ),
        ]
    }

    #[test]
    fn a_subset_of_columns_within_the_tolerance_is_enough() {
        let rows = "[{ x = 0.3, s = 'a' }, { x = { null = true }, inner = { n = 2 } }, { x = nan, n = 9223372036854775807 }]";
        assert_eq!(compare(&expected(rows), &actual(), 1e-9), Ok(()));
    }

    #[test]
    fn differences_are_listed_by_row() {
        let rows = "[{ x = 0.4, s = 'b' }, { n = 2, y = 1 }, { x = { null = true } }, { s = 'd' }]";
        let found = compare(&expected(rows), &actual(), 1e-9).expect_err("differs");
        assert_eq!(
            found,
            "row 1: `x` is 0.30000000000000004, expected 0.4\n\
             row 1: `s` is \"a\", expected \"b\"\n\
             row 2: there is no column `y`\n\
             row 3: `x` is NaN, expected null\n\
             row 4: missing: { s = \"d\" }"
        );
        let found = compare(&expected("[{}, {}]"), &actual(), 0.0).expect_err("one more");
        assert_eq!(
            found,
            "row 3: not expected: { x = NaN, n = 9223372036854775807, s = \"c\", inner = {s: c, n: 9223372036854775807} }"
        );
    }
}
