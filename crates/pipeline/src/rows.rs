//! Rows written as TOML tables become columns of a given schema.
//!
//! A column that a row does not name is null; `{ null = true }` says so explicitly. Times are text as in RFC 3339,
//! durations text such as `"5s"`, decimals text or numbers, bytes text.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float64Array, Int64Array, ListArray,
    MapArray, NullArray, OffsetSizeTrait, RecordBatch, RecordBatchOptions, StructArray,
    TimestampNanosecondArray,
};
use arrow_array::{GenericListArray, LargeListArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, FieldRef, Fields, SchemaRef};
use dataflow_core::config::{Key, Node, Tree};
use dataflow_core::problem::did_you_mean;
use dataflow_core::{Problem, units};

use crate::time;

type Cells<'a> = Vec<Option<&'a Node>>;

/// The rows as a batch of this schema.
///
/// # Errors
/// A problem at the value that does not fit its column, or at the key that is no column.
pub fn record_batch(rows: &[Node], schema: &SchemaRef) -> Result<RecordBatch, Problem> {
    for row in rows {
        known_columns(row, schema.fields())?;
    }
    let columns = schema.fields().iter().map(|field| {
        let cells: Cells<'_> = rows.iter().map(|row| row.get(field.name())).collect();
        not_null(field, rows, &cells)?;
        column(field.data_type(), &cells)
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>, Problem>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| Problem::error(error.to_string(), rows.first().and_then(|r| r.span)))
}

/// Checks that a row is a table and names only columns.
pub(crate) fn known_columns(row: &Node, fields: &Fields) -> Result<(), Problem> {
    for (key, _) in entries(row)? {
        if fields.find(&key.name).is_none() {
            let names = fields.iter().map(|f| f.name().as_str());
            let help = did_you_mean(&key.name, names.clone()).unwrap_or_else(|| {
                let listed: Vec<String> = names.map(|n| format!("`{n}`")).collect();
                format!("the columns are {}", listed.join(", "))
            });
            let message = format!("there is no column `{}`", key.name);
            return Err(Problem::error(message, key.span).help(help));
        }
    }
    Ok(())
}

fn entries(row: &Node) -> Result<&[(Key, Node)], Problem> {
    match &row.value {
        Tree::Table(entries) => Ok(entries),
        _ => {
            Err(Problem::error("a row is a table", row.span)
                .help("write `{ column = value, ... }`"))
        }
    }
}

fn not_null(field: &FieldRef, rows: &[Node], cells: &Cells<'_>) -> Result<(), Problem> {
    let null = cells.iter().position(|cell| given(*cell).is_none());
    match null.filter(|_| !field.is_nullable()) {
        Some(at) => {
            let message = format!(
                "the column `{}` is never null: this row needs a value for it",
                field.name()
            );
            Err(Problem::error(message, rows.get(at).and_then(|r| r.span)))
        }
        None => Ok(()),
    }
}

/// Whether a value is the explicit null.
pub(crate) fn is_null(node: &Node) -> bool {
    match &node.value {
        Tree::Table(entries) => {
            matches!(entries.as_slice(), [(key, value)] if key.name == "null" && value.value == Tree::Boolean(true))
        }
        _ => false,
    }
}

fn given(cell: Option<&Node>) -> Option<&Node> {
    cell.filter(|node| !is_null(node))
}

/// The cells as a column of this type.
pub(crate) fn column(data_type: &DataType, cells: &Cells<'_>) -> Result<ArrayRef, Problem> {
    match data_type {
        DataType::Null => Ok(Arc::new(NullArray::new(cells.len()))),
        DataType::Boolean => booleans(cells),
        _ if data_type.is_integer() => cast(&integers(cells)?, data_type, cells),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            cast(&floats(cells)?, data_type, cells)
        }
        DataType::Timestamp(_, zone) => {
            let times = times(cells)?.with_timezone_opt(zone.clone());
            cast(&(Arc::new(times) as ArrayRef), data_type, cells)
        }
        DataType::Duration(_) => {
            let nanoseconds = DataType::Duration(arrow_schema::TimeUnit::Nanosecond);
            let exact = cast(&durations(cells)?, &nanoseconds, cells)?;
            cast(&exact, data_type, cells)
        }
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => cast(&bytes(cells)?, data_type, cells),
        DataType::List(field) => Ok(Arc::new(list::<i32>(field, cells)?) as ArrayRef),
        DataType::LargeList(field) => Ok(Arc::new(list::<i64>(field, cells)?) as ArrayRef),
        DataType::FixedSizeList(field, size) => fixed_list(field, *size, cells),
        DataType::Struct(fields) => structs(fields, cells),
        DataType::Map(field, sorted) => map(field, *sorted, cells),
        DataType::Dictionary(_, values) => cast(&column(values, cells)?, data_type, cells),
        _ => cast(&texts(data_type, cells)?, data_type, cells),
    }
}

fn mismatch(expected: &str, node: &Node) -> Problem {
    let found = crate::compare::show(node);
    Problem::error(format!("expected {expected}, found {found}"), node.span)
}

fn each<T>(
    cells: &Cells<'_>,
    expected: &str,
    read: impl Fn(&Tree) -> Option<T>,
) -> Result<Vec<Option<T>>, Problem> {
    let one = |cell: &Option<&Node>| match given(*cell) {
        None => Ok(None),
        Some(node) => read(&node.value)
            .map(Some)
            .ok_or_else(|| mismatch(expected, node)),
    };
    cells.iter().map(one).collect()
}

fn booleans(cells: &Cells<'_>) -> Result<ArrayRef, Problem> {
    let values = each(cells, "`true` or `false`", |tree| match tree {
        Tree::Boolean(b) => Some(*b),
        _ => None,
    })?;
    Ok(Arc::new(BooleanArray::from(values)))
}

fn integers(cells: &Cells<'_>) -> Result<ArrayRef, Problem> {
    let values = each(cells, "a whole number", |tree| match tree {
        Tree::Integer(n) => Some(*n),
        _ => None,
    })?;
    Ok(Arc::new(Int64Array::from(values)))
}

fn floats(cells: &Cells<'_>) -> Result<ArrayRef, Problem> {
    let values = each(cells, "a number", |tree| match tree {
        Tree::Integer(n) => Some(*n as f64),
        Tree::Float(x) => Some(*x),
        _ => None,
    })?;
    Ok(Arc::new(Float64Array::from(values)))
}

fn times(cells: &Cells<'_>) -> Result<TimestampNanosecondArray, Problem> {
    let values = each(
        cells,
        "a time such as \"2025-01-31T00:00:00Z\"",
        |tree| match tree {
            Tree::Text(text) => time::nanoseconds(text),
            _ => None,
        },
    )?;
    Ok(TimestampNanosecondArray::from(values))
}

fn durations(cells: &Cells<'_>) -> Result<ArrayRef, Problem> {
    let values = each(cells, "a duration such as \"5s\"", |tree| match tree {
        Tree::Text(text) => text
            .parse::<units::Duration>()
            .ok()
            .map(units::Duration::nanoseconds),
        _ => None,
    })?;
    Ok(Arc::new(Int64Array::from(values)))
}

fn bytes(cells: &Cells<'_>) -> Result<ArrayRef, Problem> {
    let values = each(cells, "text", |tree| match tree {
        Tree::Text(text) => Some(text.clone()),
        _ => None,
    })?;
    let mut builder = BinaryBuilder::new();
    values
        .into_iter()
        .for_each(|value| builder.append_option(value));
    Ok(Arc::new(builder.finish()))
}

/// Text, dates, times of day and decimals: Arrow reads them from text.
fn texts(data_type: &DataType, cells: &Cells<'_>) -> Result<ArrayRef, Problem> {
    let number = data_type.is_decimal();
    let expected = if number { "a number" } else { "text" };
    let values = each(cells, expected, |tree| match tree {
        Tree::Text(text) => Some(text.clone()),
        Tree::Integer(n) if number => Some(n.to_string()),
        Tree::Float(x) if number => Some(x.to_string()),
        _ => None,
    })?;
    let mut builder = StringBuilder::new();
    values
        .into_iter()
        .for_each(|value| builder.append_option(value));
    Ok(Arc::new(builder.finish()))
}

/// Casts; a value that gets lost on the way did not fit.
fn cast(column: &ArrayRef, data_type: &DataType, cells: &Cells<'_>) -> Result<ArrayRef, Problem> {
    let options = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    let made = cast_with_options(column, data_type, &options).map_err(|error| {
        let span = cells.iter().flatten().next().and_then(|node| node.span);
        Problem::error(
            format!("a column of type {data_type} cannot be written here: {error}"),
            span,
        )
    })?;
    let lost = (0..made.len()).find(|row| made.is_null(*row) && column.is_valid(*row));
    match lost.and_then(|row| cells[row]) {
        Some(node) => Err(mismatch(&format!("a value of type {data_type}"), node)),
        None => Ok(made),
    }
}

/// The elements of all cells behind each other, how many each has, and which cells are null.
fn elements<'a>(cells: &Cells<'a>) -> Result<(Cells<'a>, Vec<usize>, NullBuffer), Problem> {
    let (mut all, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for cell in cells {
        let items: &[Node] = match given(*cell).map(|node| (node, &node.value)) {
            None => &[],
            Some((_, Tree::List(items))) => items,
            Some((node, _)) => return Err(mismatch("a list", node)),
        };
        valid.push(given(*cell).is_some());
        lengths.push(items.len());
        all.extend(items.iter().map(Some));
    }
    Ok((all, lengths, NullBuffer::from(valid)))
}

fn list<O: OffsetSizeTrait>(
    field: &FieldRef,
    cells: &Cells<'_>,
) -> Result<GenericListArray<O>, Problem> {
    let (all, lengths, valid) = elements(cells)?;
    let values = column(field.data_type(), &all)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    GenericListArray::try_new(Arc::clone(field), offsets, values, Some(valid))
        .map_err(|error| nested(&error, cells))
}

fn fixed_list(field: &FieldRef, size: i32, cells: &Cells<'_>) -> Result<ArrayRef, Problem> {
    let wanted = usize::try_from(size).unwrap_or_default();
    let mut all: Cells<'_> = Vec::new();
    for cell in cells {
        match given(*cell) {
            None => all.extend(std::iter::repeat_n(None, wanted)),
            Some(node) => match &node.value {
                Tree::List(items) if items.len() == wanted => all.extend(items.iter().map(Some)),
                _ => return Err(mismatch(&format!("a list of {wanted} values"), node)),
            },
        }
    }
    let valid = NullBuffer::from_iter(cells.iter().map(|cell| given(*cell).is_some()));
    let values = column(field.data_type(), &all)?;
    let made = FixedSizeListArray::try_new(Arc::clone(field), size, values, Some(valid));
    Ok(Arc::new(made.map_err(|error| nested(&error, cells))?))
}

fn structs(fields: &Fields, cells: &Cells<'_>) -> Result<ArrayRef, Problem> {
    for node in cells.iter().filter_map(|cell| given(*cell)) {
        known_columns(node, fields)?;
    }
    let one = |field: &FieldRef| {
        let inner: Cells<'_> = cells
            .iter()
            .map(|cell| given(*cell).and_then(|node| node.get(field.name())))
            .collect();
        column(field.data_type(), &inner)
    };
    let columns = fields
        .iter()
        .map(one)
        .collect::<Result<Vec<ArrayRef>, Problem>>()?;
    let valid = NullBuffer::from_iter(cells.iter().map(|cell| given(*cell).is_some()));
    let made = StructArray::try_new_with_length(fields.clone(), columns, Some(valid), cells.len());
    Ok(Arc::new(made.map_err(|error| nested(&error, cells))?))
}

fn map(field: &FieldRef, sorted: bool, cells: &Cells<'_>) -> Result<ArrayRef, Problem> {
    let DataType::Struct(parts) = field.data_type() else {
        return Err(Problem::error("a map without keys cannot be written", None));
    };
    let (mut keys, mut values, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for cell in cells {
        let pairs = given(*cell).map_or(Ok(&[][..]), entries)?;
        lengths.push(pairs.len());
        for (key, value) in pairs {
            keys.push(Node {
                value: Tree::Text(key.name.clone()),
                span: key.span,
            });
            values.push(Some(value));
        }
    }
    let keys: Cells<'_> = keys.iter().map(Some).collect();
    let columns = vec![
        column(parts[0].data_type(), &keys)?,
        column(parts[1].data_type(), &values)?,
    ];
    let valid = NullBuffer::from_iter(cells.iter().map(|cell| given(*cell).is_some()));
    let made = StructArray::try_new(parts.clone(), columns, None).and_then(|inner| {
        let offsets = OffsetBuffer::from_lengths(lengths);
        MapArray::try_new(Arc::clone(field), offsets, inner, Some(valid), sorted)
    });
    Ok(Arc::new(made.map_err(|error| nested(&error, cells))?))
}

fn nested(error: &arrow_schema::ArrowError, cells: &Cells<'_>) -> Problem {
    let span = cells.iter().flatten().next().and_then(|node| node.span);
    Problem::error(error.to_string(), span)
}

/// Lists of either offset size, for those who look inside.
pub(crate) fn list_element(array: &dyn Array, row: usize) -> Option<ArrayRef> {
    let any = array.as_any();
    any.downcast_ref::<ListArray>()
        .map(|list| list.value(row))
        .or_else(|| {
            any.downcast_ref::<LargeListArray>()
                .map(|list| list.value(row))
        })
        .or_else(|| {
            any.downcast_ref::<FixedSizeListArray>()
                .map(|list| list.value(row))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use arrow_schema::{Field, Schema, TimeUnit};

    fn named(name: &str, data_type: DataType) -> Field {
        Field::new(name, data_type, true)
    }

    fn read(data_type: DataType, values: &[&str]) -> Result<ArrayRef, String> {
        let text: Vec<String> = values
            .iter()
            .map(|v| {
                if v.is_empty() {
                    "{}".into()
                } else {
                    format!("{{ x = {v} }}")
                }
            })
            .collect();
        let node = parse::value(&format!("[{}]", text.join(", ")), 0).expect("TOML");
        let Tree::List(rows) = node.value else {
            panic!("a list");
        };
        let schema = Arc::new(Schema::new(vec![named("x", data_type)]));
        let batch = record_batch(&rows, &schema).map_err(|p| p.message)?;
        Ok(Arc::clone(batch.column(0)))
    }

    fn shown(array: &ArrayRef) -> Vec<String> {
        let one = |row| arrow_cast::display::array_value_to_string(array, row).expect("shown");
        (0..array.len()).map(one).collect()
    }

    #[test]
    fn values_of_every_kind_become_columns() {
        let utf8 = || Arc::new(named("item", DataType::Utf8));
        let point = Fields::from(vec![
            named("a", DataType::Int32),
            named("b", DataType::Utf8),
        ]);
        let entries = Fields::from(vec![
            Field::new("keys", DataType::Utf8, false),
            named("values", DataType::Int64),
        ]);
        let map = DataType::Map(
            Arc::new(Field::new("entries", DataType::Struct(entries), false)),
            false,
        );
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let utc = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        for (data_type, values, expected) in [
            (DataType::Int8, ["5", "", "-1"], ["5", "", "-1"]),
            (
                DataType::Float32,
                ["5", "2.5", "nan"],
                ["5.0", "2.5", "NaN"],
            ),
            (
                DataType::Boolean,
                ["true", "{ null = true }", "false"],
                ["true", "", "false"],
            ),
            (
                DataType::Decimal128(10, 2),
                ["1.5", "3", "'2.25'"],
                ["1.50", "3.00", "2.25"],
            ),
            (dictionary, ["'a'", "'b'", "'a'"], ["a", "b", "a"]),
            (
                DataType::Date32,
                ["'2025-01-01'", "2025-01-02", ""],
                ["2025-01-01", "2025-01-02", ""],
            ),
            (
                utc,
                ["'2025-01-01T01:00:00+01:00'", "2025-01-02", ""],
                ["2025-01-01T00:00:00Z", "2025-01-02T00:00:00Z", ""],
            ),
            (
                DataType::List(utf8()),
                ["['a', 'b']", "[]", ""],
                ["[a, b]", "[]", ""],
            ),
            (
                DataType::LargeList(utf8()),
                ["['a', 'b']", "[]", ""],
                ["[a, b]", "[]", ""],
            ),
            (
                DataType::FixedSizeList(utf8(), 2),
                ["['a', 'b']", "", "['c', 'd']"],
                ["[a, b]", "", "[c, d]"],
            ),
            (
                DataType::Struct(point),
                ["{ a = 1, b = 'x' }", "{ b = 'y' }", ""],
                ["{a: 1, b: x}", "{a: , b: y}", ""],
            ),
            (map, ["{ k = 1 }", "{}", ""], ["{k: 1}", "{}", ""]),
            (
                DataType::Duration(TimeUnit::Second),
                ["'90s'", "", ""],
                ["PT90S", "", ""],
            ),
            (DataType::Binary, ["'ab'", "", ""], ["6162", "", ""]),
        ] {
            let name = data_type.to_string();
            assert_eq!(
                shown(&read(data_type, &values).expect(&name)),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_a_problem() {
        for (data_type, value, message) in [
            (
                DataType::Int8,
                "300",
                "expected a value of type Int8, found 300",
            ),
            (
                DataType::Int64,
                "'5'",
                "expected a whole number, found \"5\"",
            ),
            (DataType::Utf8, "5", "expected text, found 5"),
            (
                DataType::Date32,
                "'soon'",
                "expected a value of type Date32, found \"soon\"",
            ),
        ] {
            assert_eq!(read(data_type, &[value]).expect_err(value), message);
        }
        let never_null = Arc::new(Schema::new(vec![Field::new("y", DataType::Int64, false)]));
        let row = parse::value("{}", 0).expect("TOML");
        assert!(record_batch(&[row], &never_null).is_err());
        let row = parse::value("{ z = 1 }", 0).expect("TOML");
        assert_eq!(
            record_batch(&[row], &never_null).expect_err("z").message,
            "there is no column `z`"
        );
    }
}
