//! Columns that hang on a file rather than on its rows: `year=2025` folders and the file's own name.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StringArray, new_null_array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field};
use dataflow_core::source::{Comparison, Operator};
use dataflow_core::{Error, Result, Value};

use super::types::name_of;

/// What Hive and Spark write for null.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// The `key=value` folders of a path, outermost first; none stands for null.
pub(super) fn folders(path: &str) -> Vec<(String, Option<String>)> {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    parts
        .into_iter()
        .filter_map(|part| part.split_once('='))
        .filter(|(key, _)| !key.is_empty())
        .map(|(key, value)| {
            let value = (value != NULL_FOLDER).then(|| unescaped(value));
            (unescaped(key), value)
        })
        .collect()
}

/// Undoes `%3A`, which stands for characters that a path cannot hold.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let code = match behind {
            [a, b, ..] if first == b'%' => std::str::from_utf8(&[*a, *b])
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_string())
}

/// The type that all values of a folder column have: whole numbers, else text.
pub(super) fn type_of<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> DataType {
    let mut any = false;
    for value in values.into_iter().flatten() {
        if value.parse::<i64>().is_err() {
            return super::text();
        }
        any = true;
    }
    if any { DataType::Int64 } else { super::text() }
}

/// A value of a file as a column of one row.
pub(super) fn single(name: &str, value: Option<&str>, data_type: &DataType) -> Result<ArrayRef> {
    let Some(value) = value else {
        return Ok(new_null_array(data_type, 1));
    };
    let text: ArrayRef = Arc::new(StringArray::from(vec![value]));
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let made = cast_with_options(&text, data_type, &strict).ok();
    made.filter(|made| made.is_valid(0)).ok_or_else(|| {
        Error::data(format!(
            "the folder `{name}={value}` is not {} as declared",
            name_of(data_type)
        ))
        .help(format!("declare `columns.{name} = {{ type = \"text\" }}`"))
    })
}

/// Whether rows with this value may satisfy a comparison. Where it cannot be said, they may.
pub(super) fn may_match(value: Option<&str>, field: &Field, comparison: &Comparison) -> bool {
    let Some(value) = value else {
        return comparison.operator == Operator::IsNull;
    };
    let order = match comparison.operator {
        Operator::IsNull => return false,
        Operator::IsNotNull => return true,
        _ => order(value, field.data_type(), &comparison.value),
    };
    order.is_none_or(|order| match comparison.operator {
        Operator::Equal => order == Ordering::Equal,
        Operator::Less => order == Ordering::Less,
        Operator::LessOrEqual => order != Ordering::Greater,
        Operator::Greater => order == Ordering::Greater,
        Operator::GreaterOrEqual => order != Ordering::Less,
        Operator::IsNull | Operator::IsNotNull => true,
    })
}

fn order(value: &str, data_type: &DataType, constant: &Value) -> Option<Ordering> {
    match (data_type, constant) {
        (DataType::Int64, Value::Integer(n)) => Some(value.parse::<i64>().ok()?.cmp(n)),
        (DataType::Int64, Value::Float(x)) => {
            // Whole numbers that an i32 holds are exact as floats.
            let number: i32 = value.parse().ok()?;
            f64::from(number).partial_cmp(x)
        }
        (data_type, Value::Text(text)) if *data_type == super::text() => {
            Some(value.as_bytes().cmp(text.as_bytes()))
        }
        (DataType::Utf8, Value::Text(text)) => Some(value.as_bytes().cmp(text.as_bytes())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_from_the_path() {
        let read = |path| -> Vec<String> {
            let shown =
                |(k, v): (String, Option<String>)| format!("{k}:{}", v.unwrap_or("(null)".into()));
            folders(path).into_iter().map(shown).collect()
        };
        assert_eq!(
            read("data/year=2025/month=11/x=y.csv"),
            ["year:2025", "month:11"]
        );
        assert_eq!(read("t=10%3A30/k=/a.csv"), ["t:10:30", "k:"]);
        assert_eq!(read("k=__HIVE_DEFAULT_PARTITION__/a.csv"), ["k:(null)"]);
        assert_eq!(read("=2/50%/%zz=%e4/a.csv"), ["%zz:%e4"]);
        assert_eq!(type_of([Some("01"), Some("-5"), None]), DataType::Int64);
        assert_eq!(type_of([Some("1"), Some("x")]), crate::file::text());
    }

    #[test]
    fn comparisons_exclude_what_cannot_match() {
        let year = Field::new("year", DataType::Int64, true);
        let compare = |operator, value| Comparison {
            column: "year".into(),
            operator,
            value,
        };
        let cases = [
            (Some("2025"), Operator::Equal, Value::Integer(2025), true),
            (Some("2025"), Operator::Equal, Value::Integer(2024), false),
            (Some("2025"), Operator::Less, Value::Float(2025.5), true),
            (
                Some("2025"),
                Operator::GreaterOrEqual,
                Value::Integer(2026),
                false,
            ),
            (Some("2025"), Operator::Equal, Value::Text("x".into()), true),
            (Some("2025"), Operator::IsNull, Value::Null, false),
            (None, Operator::Equal, Value::Integer(1), false),
            (None, Operator::IsNull, Value::Null, true),
        ];
        for (value, operator, constant, expected) in cases {
            let comparison = compare(operator, constant);
            assert_eq!(
                may_match(value, &year, &comparison),
                expected,
                "{comparison:?}"
            );
        }
    }
}
