//! JSON in text columns: get a value, merge, pick keys, canonical text. Text that is not JSON fails its row.

use std::sync::Arc;

use arrow_schema::DataType;
use datafusion_expr::ScalarUDF;
use serde_json::{Map, Number, Value};

use super::text::{Given, Listed};

/// The functions.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let path = "Path steps are keys; a number is a position in an array, from 0.";
    let along = |summary: &str| format!("{summary} {path}");
    let many = usize::MAX;
    let list = [
        Listed {
            name: "json_get",
            signature: "json_get(json, step, ...)",
            summary: along("The value at a path as text (strings without quotes); null where there is none."),
            arguments: (2, many),
            output: DataType::Utf8,
            run: |args| Ok(found(args)?.map_or(Given::Nothing, |value| Given::Text(as_text(&value)))),
        },
        Listed {
            name: "json_get_int",
            signature: "json_get_int(json, step, ...)",
            summary: along("The whole number at a path; null where there is none, a failed row where it is something else."),
            arguments: (2, many),
            output: DataType::Int64,
            run: |args| typed(args, "a whole number", |value| whole(value).map(Given::Integer)),
        },
        Listed {
            name: "json_get_float",
            signature: "json_get_float(json, step, ...)",
            summary: along("The number at a path; null where there is none, a failed row where it is something else."),
            arguments: (2, many),
            output: DataType::Float64,
            run: |args| typed(args, "a number", |value| value.as_f64().map(Given::Float)),
        },
        Listed {
            name: "json_get_bool",
            signature: "json_get_bool(json, step, ...)",
            summary: along("The boolean at a path; null where there is none, a failed row where it is something else."),
            arguments: (2, many),
            output: DataType::Boolean,
            run: |args| typed(args, "true or false", |value| value.as_bool().map(Given::Boolean)),
        },
        Listed {
            name: "json_merge",
            signature: "json_merge(a, b, ...)",
            summary: "Objects put together, key by key and level by level; later ones win, nulls are passed over. The result is canonical.".into(),
            arguments: (2, many),
            output: DataType::Utf8,
            run: merge_all,
        },
        Listed {
            name: "json_pick",
            signature: "json_pick(json, key, ...)",
            summary: "The object with only these keys, canonical.".into(),
            arguments: (2, many),
            output: DataType::Utf8,
            run: pick,
        },
        Listed {
            name: "json_canonical",
            signature: "json_canonical(json)",
            summary: "The same value in its one canonical spelling: keys sorted by bytes, no spaces, shortest numbers (1.0 is 1).".into(),
            arguments: (1, 1),
            output: DataType::Utf8,
            run: |args| match args[0] {
                Some(text) => Ok(Given::Text(canonical(&parsed(text)?))),
                None => Ok(Given::Nothing),
            },
        },
    ];
    list.into_iter().map(Listed::function).collect()
}

fn parsed(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| {
        let start: String = text.chars().take(40).collect();
        format!("`{start}` is not JSON: {error}")
    })
}

/// The value at the path that the arguments behind the first spell; JSON's null counts as none.
fn found(args: &[Option<&str>]) -> Result<Option<Value>, String> {
    let Some(text) = args[0] else {
        return Ok(None);
    };
    let mut value = parsed(text)?;
    for step in &args[1..] {
        let Some(step) = step else { return Ok(None) };
        let next = match &mut value {
            Value::Object(map) => map.get_mut(*step),
            Value::Array(items) => step.parse::<usize>().ok().and_then(|i| items.get_mut(i)),
            _ => None,
        };
        match next {
            Some(next) => value = next.take(),
            None => return Ok(None),
        }
    }
    Ok(Some(value).filter(|value| !value.is_null()))
}

fn typed(
    args: &[Option<&str>],
    wanted: &str,
    read: impl Fn(&Value) -> Option<Given>,
) -> Result<Given, String> {
    match found(args)? {
        None => Ok(Given::Nothing),
        Some(value) => read(&value).ok_or_else(|| {
            let path: Vec<&str> = args[1..].iter().flatten().copied().collect();
            let value: String = canonical(&value).chars().take(40).collect();
            format!("`{}` is {value}, not {wanted}", path.join("."))
        }),
    }
}

fn whole(value: &Value) -> Option<i64> {
    let float = |x: f64| (x.fract() == 0.0 && x.abs() < 9e15).then_some(x as i64);
    value.as_i64().or_else(|| float(value.as_f64()?))
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => canonical(other),
    }
}

fn merge_all(args: &[Option<&str>]) -> Result<Given, String> {
    let mut merged: Option<Value> = None;
    for text in args.iter().flatten() {
        let value = parsed(text)?;
        merged = Some(match merged {
            Some(before) => merge(before, value),
            None => value,
        });
    }
    Ok(merged.map_or(Given::Nothing, |value| Given::Text(canonical(&value))))
}

fn merge(a: Value, b: Value) -> Value {
    match (a, b) {
        (Value::Object(mut a), Value::Object(b)) => {
            for (key, value) in b {
                let value = match a.remove(&key) {
                    Some(before) => merge(before, value),
                    None => value,
                };
                a.insert(key, value);
            }
            Value::Object(a)
        }
        (_, b) => b,
    }
}

fn pick(args: &[Option<&str>]) -> Result<Given, String> {
    let Some(text) = args[0] else {
        return Ok(Given::Nothing);
    };
    match parsed(text)? {
        Value::Object(mut map) => {
            let keys = args[1..].iter().flatten();
            let picked: Map<String, Value> =
                keys.filter_map(|key| map.remove_entry(*key)).collect();
            Ok(Given::Text(canonical(&Value::Object(picked))))
        }
        other => {
            let start: String = canonical(&other).chars().take(40).collect();
            Err(format!("`{start}` is not a JSON object"))
        }
    }
}

/// The one spelling of a JSON value.
pub(crate) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => quote(text, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for (i, key) in keys.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                quote(key, out);
                out.push(':');
                write(&map[key], out);
            }
            out.push('}');
        }
    }
}

fn write_number(number: &Number, out: &mut String) {
    match number.as_f64() {
        Some(x) if number.is_f64() && x.fract() == 0.0 && x.abs() < 9_007_199_254_740_992.0 => {
            out.push_str(&(x as i64).to_string());
        }
        _ => out.push_str(&number.to_string()),
    }
}

/// A text as a JSON string.
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push_str(&Value::String(text.to_string()).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_spelling() {
        for (text, spelled) in [
            (
                r#" { "b" : 1.0 , "a" : [ 1e2, -0.0, 0.1 ] } "#,
                r#"{"a":[100,0,0.1],"b":1}"#,
            ),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#""\u00e9\n""#, r#""é\n""#),
            ("18446744073709551615", "18446744073709551615"),
            ("1e300", "1e+300"),
        ] {
            assert_eq!(canonical(&parsed(text).expect(text)), spelled, "{text}");
        }
        assert!(parsed("{'a': 1}").is_err());
        assert!(parsed(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn merging_goes_level_by_level() {
        let merged = merge_all(&[
            Some(r#"{"a":{"x":1,"y":2},"b":1}"#),
            None,
            Some(r#"{"a":{"y":3},"c":null}"#),
        ]);
        let expected = r#"{"a":{"x":1,"y":3},"b":1,"c":null}"#;
        assert_eq!(merged, Ok(Given::Text(expected.into())));
    }
}
