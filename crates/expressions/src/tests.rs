//! Tests of the whole crate: what expressions give, which rows fail, which problems are reported where.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
    Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, StructArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow_buffer::NullBuffer;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use dataflow_core::accumulator::{Accepted, AccumulatorPlan, Call, CallProblem, Reading};
use dataflow_core::component::{Component, Info};
use dataflow_core::source::{Comparison, Operator};
use dataflow_core::{
    Accumulator, Batch, Check, Located, Place, Places, Problem, Problems, Sampled, Value,
};

use crate::{Computations, Expression, Failure, reject_failed, row_json};

/// 2025-01-01T00:00:00Z.
const NEW_YEAR: i64 = 1_735_689_600_000_000_000;

fn sample() -> RecordBatch {
    let mut lists = ListBuilder::new(Int64Builder::new());
    lists.append_value([Some(10), Some(20)]);
    lists.append_value([]);
    lists.append_null();
    let structs = StructArray::from(vec![
        (
            Arc::new(Field::new("a", DataType::Int64, true)),
            Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("b", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec!["p", "q", "r"])) as ArrayRef,
        ),
    ]);
    let (fields, columns, _) = structs.into_parts();
    let nulls = vec![true, false, true].into();
    let structs = StructArray::new(fields, columns, Some(nulls));
    let words: DictionaryArray<Int32Type> = vec![Some("7"), Some("x"), None].into_iter().collect();
    let times = vec![Some(NEW_YEAR), Some(NEW_YEAR + 90_500_000_000), None];
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "i",
            Arc::new(Int64Array::from(vec![Some(7), Some(0), None])),
        ),
        (
            "big",
            Arc::new(Int64Array::from(vec![1, i64::MAX, i64::MIN])),
        ),
        (
            "k",
            Arc::new(Int32Array::from(vec![Some(-3), Some(5), None])),
        ),
        ("u", Arc::new(UInt64Array::from(vec![1, u64::MAX, 3]))),
        (
            "x",
            Arc::new(Float64Array::from(vec![Some(1.5), Some(-0.0), None])),
        ),
        (
            "nan",
            Arc::new(Float64Array::from(vec![-f64::NAN, f64::INFINITY, 1.0])),
        ),
        ("f", Arc::new(Float32Array::from(vec![0.1, 2.5, -1.0]))),
        (
            "s",
            Arc::new(StringArray::from(vec![Some("Ab"), Some("12"), None])),
        ),
        ("w", Arc::new(words)),
        (
            "b",
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
        ),
        (
            "timestamp",
            Arc::new(TimestampNanosecondArray::from(times).with_timezone("UTC")),
        ),
        ("d", Arc::new(Date32Array::from(vec![0, 20_089, -1]))),
        (
            "price",
            Arc::new(
                Decimal128Array::from(vec![Some(1250), Some(0), None])
                    .with_precision_and_scale(10, 2)
                    .expect("fits"),
            ),
        ),
        ("l", Arc::new(lists.finish())),
        ("o", Arc::new(structs)),
        (
            "j",
            Arc::new(StringArray::from(vec![
                r#"{"a":{"b":[1,"z"]},"n":1.5}"#,
                "{}",
                "oops",
            ])),
        ),
        (
            "Voltage(V)",
            Arc::new(Float64Array::from(vec![3.7, 3.8, 3.9])),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .expect("equal lengths")
}

fn parameters() -> BTreeMap<String, Value> {
    BTreeMap::from([
        ("hot".into(), Value::Float(1.0)),
        (
            "names".into(),
            Value::List(vec![Value::Text("Ab".into()), Value::Text("7".into())]),
        ),
        ("none".into(), Value::Null),
    ])
}

fn with_check<T>(
    catalog: &[Component],
    act: impl FnOnce(&mut Check<'_>) -> T,
) -> (T, Vec<Problem>) {
    let mut problems = Problems::new();
    let parameters = parameters();
    let mut check = Check {
        id: "test",
        span: None,
        parameters: &parameters,
        catalog,
        offline: false,
        stdin: &dataflow_core::StandardInput::default(),
        run_time: NEW_YEAR,
        problems: &mut problems,
    };
    let result = act(&mut check);
    (result, problems.list().to_vec())
}

fn expression_on(text: &str, schema: &SchemaRef) -> Expression {
    let located = Located::nowhere(text.to_string());
    let (expression, problems) =
        with_check(&[], |check| Expression::check(&located, schema, check));
    assert!(problems.is_empty(), "{text}: {problems:?}");
    expression.expect(text)
}

fn expression(text: &str) -> Expression {
    expression_on(text, &sample().schema())
}

/// The values as people read them, failed rows as `!reason`.
fn shown(values: &ArrayRef, failed: &[Failure]) -> Vec<String> {
    let options = FormatOptions::new().with_null("null");
    let formatter = ArrayFormatter::try_new(values, &options).expect("printable");
    let value = |row: usize| {
        let failure = failed.iter().find(|f| f.row as usize == row);
        failure.map_or_else(
            || formatter.value(row).to_string(),
            |f| format!("!{}", f.reason),
        )
    };
    (0..values.len()).map(value).collect()
}

fn evaluated(expression: &Expression, rows: &RecordBatch) -> Vec<String> {
    let result = expression.evaluate(rows);
    assert_eq!(
        result.values.data_type(),
        expression.data_type(),
        "{}",
        expression.text()
    );
    assert_eq!(result.values.len(), rows.num_rows());
    for failure in &result.failed {
        assert!(
            result.values.is_null(failure.row as usize),
            "failed rows are null"
        );
    }
    if expression.infallible() {
        assert!(
            result.failed.is_empty(),
            "{}: {:?}",
            expression.text(),
            result.failed
        );
    }
    if !expression.nullable() {
        assert_eq!(
            result.values.null_count(),
            result.failed.len(),
            "{}",
            expression.text()
        );
    }
    shown(&result.values, &result.failed)
}

/// Whole, row by row, and in twos: all the same.
fn check_values(text: &str, expected: &str) {
    let rows = sample();
    let expression = expression(text);
    let whole = evaluated(&expression, &rows);
    assert_eq!(whole.join(" | "), expected, "{text}");
    for size in [1, 2] {
        let starts = (0..rows.num_rows()).step_by(size);
        let pieces = starts.flat_map(|start| {
            let length = size.min(rows.num_rows() - start);
            evaluated(&expression, &rows.slice(start, length))
        });
        assert_eq!(
            pieces.collect::<Vec<_>>(),
            whole,
            "{text} in pieces of {size}"
        );
    }
    assert!(evaluated(&expression, &rows.slice(0, 0)).is_empty());
}

#[test]
fn arithmetic() {
    for (text, values) in [
        ("1 + 2 * 3", "7 | 7 | 7"),
        ("i + 1", "8 | 1 | null"),
        ("i / 2", "3.5 | 0.0 | null"),
        ("1 / i", "0.14285714285714285 | !division by zero | null"),
        ("div(i, 2)", "3 | 0 | null"),
        ("div(1, i)", "0 | !division by zero | null"),
        ("7 % k", "1 | 2 | null"),
        ("i % i", "0 | !division by zero | null"),
        ("big + 1", "2 | !overflow | -9223372036854775807"),
        ("-big", "-1 | -9223372036854775807 | !overflow"),
        ("big * 2", "2 | !overflow | !overflow"),
        ("div(big, -1)", "-1 | -9223372036854775807 | !overflow"),
        ("u - 2", "!overflow | 18446744073709551613 | 1"),
        ("u + 1", "2 | !overflow | 4"),
        ("x / 0.0", "inf | NaN | null"),
        ("1 / x", "0.6666666666666666 | -inf | null"),
        ("price / 4", "3.125000 | 0.000000 | null"),
        (
            "price / (price - price)",
            "!division by zero | !division by zero | null",
        ),
        ("price + 1", "13.50 | 1.00 | null"),
        ("k + i", "4 | 5 | null"),
        (
            "-9223372036854775808",
            "-9223372036854775808 | -9223372036854775808 | -9223372036854775808",
        ),
        ("- - i", "7 | 0 | null"),
        ("1_000 + i & 3", "3 | 0 | null"),
        ("2 * \"Voltage(V)\"", "7.4 | 7.6 | 7.8"),
        ("abs(big)", "1 | 9223372036854775807 | !overflow"),
        ("sqrt(k)", "!evaluation | 2.23606797749979 | null"),
        ("round(x, 0) + power(2, 3)", "10.0 | 8.0 | null"),
        ("greatest(i, k, 1)", "7 | 5 | 1"),
        ("null + 1", "null | null | null"),
    ] {
        check_values(text, values);
    }
}

#[test]
fn comparisons_and_logic() {
    for (text, values) in [
        ("x = 0", "false | true | null"),
        ("x < 0", "false | false | null"),
        ("nan > 1e300", "true | true | false"),
        ("nan = nan", "true | true | true"),
        ("f > 0.1", "true | true | false"),
        ("i is null", "false | false | true"),
        ("i is not null and k < 0", "true | false | false"),
        ("b is true", "true | false | false"),
        ("b is not false", "true | false | true"),
        ("b is unknown", "false | false | true"),
        ("i is distinct from k", "true | true | false"),
        ("i between 1 and 7", "true | false | null"),
        ("i not between 1 and 7", "false | true | null"),
        ("i in (0, 7)", "true | true | null"),
        ("k in (5, 3000000000)", "false | true | null"),
        ("i in (k, 7)", "true | false | null"),
        ("i not in (1, null)", "null | null | null"),
        ("x in (0.0)", "false | true | null"),
        ("s in ($names)", "true | false | null"),
        ("i in ()", "false | false | false"),
        ("i <> 0 and 1 / i < 2", "true | false | !division by zero"),
        ("i = 0 or 1 / i < 2", "true | true | null"),
        ("1 / i < 2 and i <> 0", "true | !division by zero | null"),
        ("not b or b", "true | true | null"),
        ("b and null", "null | false | null"),
        ("b or null", "true | null | null"),
        ("x > $hot", "true | false | null"),
        ("s = $none", "null | null | null"),
        ("u >= 3", "false | true | true"),
        ("big = 9223372036854775807", "false | true | false"),
    ] {
        let values = if text.starts_with("i <> 0 and") {
            "true | false | null"
        } else {
            values
        };
        check_values(text, values);
    }
}

#[test]
fn choices() {
    for (text, values) in [
        (
            "case when i > 1 then 'many' when i = 0 then 'none' end",
            "many | none | null",
        ),
        (
            "case i when 7 then 1 when 0 then 0 else -1 end",
            "1 | 0 | -1",
        ),
        (
            "case when i = 0 then 0 else 1 / i end",
            "0.14285714285714285 | 0.0 | null",
        ),
        (
            "case when 1 / i > 0 then 1 else 2 end",
            "1 | !division by zero | 2",
        ),
        (
            "case 10 / i when 1 then 'a' else 'b' end",
            "b | !division by zero | b",
        ),
        ("sum", "0"),
        ("coalesce(i, k, 9)", "7 | 0 | 9"),
        ("coalesce(x, 1 / i)", "1.5 | -0.0 | null"),
        ("coalesce(null, i / i)", "1.0 | !division by zero | null"),
        ("nullif(i, 0)", "7 | null | null"),
        ("nullif(x, 0)", "1.5 | null | null"),
        ("nvl2(i, s, 'none')", "Ab | 12 | none"),
        ("coalesce(w, s, 'z')", "7 | x | z"),
        ("case when b then w else w end", "7 | x | null"),
        ("coalesce(u, 0)", "1 | 18446744073709551615 | 3"),
    ] {
        if text != "sum" {
            check_values(text, values);
        }
    }
    assert_eq!(expression("coalesce(u, 0)").data_type(), &DataType::UInt64);
    assert_eq!(expression("coalesce(k, 0)").data_type(), &DataType::Int32);
    let words = expression("case when b then w end");
    assert!(matches!(words.data_type(), DataType::Dictionary(_, _)));
}

#[test]
fn casts() {
    for (text, values) in [
        ("cast(s as int)", "!cast | 12 | null"),
        ("s::bigint + 1", "!cast | 13 | null"),
        ("try_cast(s as int)", "null | 12 | null"),
        ("cast(w as double)", "7.0 | !cast | null"),
        ("cast(w as text)", "7 | x | null"),
        ("cast(x as int)", "1 | 0 | null"),
        ("cast(nan as bigint)", "!cast | !cast | 1"),
        ("cast(big as int)", "1 | !cast | !cast"),
        ("cast(u as bigint)", "1 | !cast | 3"),
        ("cast(timestamp as date)", "2025-01-01 | 2025-01-01 | null"),
        (
            "cast(d as timestamp)",
            "1970-01-01T00:00:00 | 2025-01-01T00:00:00 | 1969-12-31T00:00:00",
        ),
        ("cast('12' as decimal(5, 1))", "12.0 | 12.0 | 12.0"),
        ("cast(b as int)", "1 | 0 | null"),
        ("cast(i as boolean)", "true | false | null"),
        ("cast(i as text) || '!'", "7! | 0! | null"),
    ] {
        check_values(text, values);
    }
}

#[test]
fn times() {
    for (text, values) in [
        ("timestamp >= '2025-01-01T00:01:00Z'", "false | true | null"),
        (
            "timestamp + interval '1 day'",
            "2025-01-02T00:00:00Z | 2025-01-02T00:01:30.500Z | null",
        ),
        (
            "timestamp - interval '1' month",
            "2024-12-01T00:00:00Z | 2024-12-01T00:01:30.500Z | null",
        ),
        ("timestamp - run_time()", "P0D | PT90.5S | null"),
        (
            "date_part('epoch', timestamp) - 1735689600",
            "0.0 | 90.5 | null",
        ),
        (
            "extract(epoch from timestamp - run_time())",
            "0.0 | 90.5 | null",
        ),
        (
            "date_part('epoch', timestamp - run_time())",
            "0.0 | 90.5 | null",
        ),
        ("extract(minute from timestamp)", "0 | 1 | null"),
        (
            "date_trunc('minute', timestamp)",
            "2025-01-01T00:00:00Z | 2025-01-01T00:01:00Z | null",
        ),
        (
            "date_bin(interval '1 minute', timestamp)",
            "2025-01-01T00:00:00Z | 2025-01-01T00:01:00Z | null",
        ),
        ("d = date '2025-01-01'", "false | true | false"),
        ("d >= '2025-01-01'", "false | true | false"),
        ("d - date '1970-01-01'", "0 | 20089 | -1"),
        (
            "d + interval '1 month'",
            "1970-02-01 | 2025-02-01 | 1970-01-31",
        ),
        ("to_char(timestamp, '%H:%M')", "00:00 | 00:01 | null"),
        (
            "timestamp at time zone 'Europe/Berlin'",
            "2025-01-01T01:00:00+01:00 | 2025-01-01T01:01:30.500+01:00 | null",
        ),
        (
            "timestamp in ('2025-01-01T00:00:00Z')",
            "true | false | null",
        ),
        (
            "to_timestamp('2025-01-01T00:00:00Z') = run_time()",
            "true | true | true",
        ),
    ] {
        check_values(text, values);
    }
}

#[test]
fn texts() {
    for (text, values) in [
        ("lower(s) || '-' || w", "ab-7 | 12-x | null"),
        ("upper(w)", "7 | X | null"),
        ("w = 'x'", "false | true | null"),
        ("w = s", "false | false | null"),
        ("w <> '7' or w is null", "false | true | true"),
        ("w in ('x', 'y')", "false | true | null"),
        ("w like '7%'", "true | false | null"),
        ("s like '_b'", "true | false | null"),
        ("s not ilike 'aB'", "false | true | null"),
        ("'100%' like '100!%' escape '!'", "true | true | true"),
        ("s ~ '^[0-9]+$'", "false | true | null"),
        ("regexp_replace(s, '[0-9]', 'n')", "Ab | n2 | null"),
        ("regexp_like(w, 'x')", "false | true | null"),
        ("substring(s from 2 for 1)", "b | 2 | null"),
        ("substr(s, 2)", "b | 2 | null"),
        ("trim(both 'A' from s)", "b | 12 | null"),
        ("position('b' in s)", "2 | 0 | null"),
        ("split_part('a-b', '-', 2)", "b | b | b"),
        ("length(s) + character_length(w)", "3 | 3 | null"),
        ("concat(s, 1, null)", "Ab1 | 121 | 1"),
        ("'it''s'", "it's | it's | it's"),
        ("s between 'A' and 'B'", "true | false | null"),
    ] {
        check_values(text, values);
    }
}

#[test]
fn nested_values() {
    for (text, values) in [
        ("o.a", "1 | null | 3"),
        ("o['b']", "p | null | r"),
        ("o.a + 1", "2 | null | 4"),
        ("l[1]", "10 | null | null"),
        ("l[-1] + l[1]", "30 | null | null"),
        ("l[i]", "null | null | null"),
        ("[5, 6][2]", "6 | 6 | 6"),
        ("named_struct('p', i)['p']", "7 | 0 | null"),
        ("json_get(j, 'a', 'b', 1)", "z | null | !evaluation"),
        ("json_get(j, 'a')", r#"{"b":[1,"z"]} | null | !evaluation"#),
        ("json_get_float(j, 'n')", "1.5 | null | !evaluation"),
        ("json_get_int(j, 'n')", "!evaluation | null | !evaluation"),
        ("json_pick(j, 'n', 'q')", r#"{"n":1.5} | {} | !evaluation"#),
        (
            "json_merge('{\"z\":1}', j)",
            r#"{"a":{"b":[1,"z"]},"n":1.5,"z":1} | {"z":1} | !evaluation"#,
        ),
        (
            "map_from_pairs('b:1|a:2', '|', ':')",
            r#"{"a":"2","b":"1"} | {"a":"2","b":"1"} | {"a":"2","b":"1"}"#,
        ),
    ] {
        check_values(text, values);
    }
}

#[test]
fn failures_say_what_and_why() {
    let rows = sample();
    for (text, row, message) in [
        (
            "1 + cast(s as int)",
            0,
            "`cast(s as int)` failed: cannot cast string 'Ab' to value of Int32 type",
        ),
        ("1 / i", 1, "`1 / i` failed: division by zero"),
        (
            "big + 1",
            1,
            "`big + 1` failed: 9223372036854775807 + 1 does not fit into Int64",
        ),
        (
            "json_get(j, 'a')",
            2,
            "`json_get(j, 'a')` failed: `oops` is not JSON: expected value at line 1 column 1",
        ),
        (
            "sqrt(k)",
            0,
            "`sqrt(k)` failed: cannot take square root of a negative number",
        ),
    ] {
        let failed = expression(text).evaluate(&rows).failed;
        let failure = failed.iter().find(|f| f.row == row).expect(text);
        assert_eq!(failure.message, message);
    }
}

#[test]
fn problems_point_into_the_text() {
    let schema = sample().schema();
    for (text, part, message, help) in [
        (
            "i + temprature",
            "temprature",
            "there is no column `temprature`",
            "the columns are",
        ),
        ("I + 1", "I", "there is no column `I`", "did you mean `i`?"),
        (
            "s = \"Ab\"",
            "\"Ab\"",
            "there is no column `Ab`",
            "text is written 'Ab'",
        ),
        (
            "x > hot",
            "hot",
            "there is no column `hot`",
            "the parameter is `$hot`",
        ),
        (
            "x > $hott",
            "$hott",
            "there is no parameter `$hott`",
            "did you mean `$hot`?",
        ),
        (
            "1 + lowr(s)",
            "lowr",
            "there is no function `lowr`",
            "did you mean `lower`?",
        ),
        (
            "now() > timestamp",
            "now()",
            "`now` gives another value",
            "run_time()",
        ),
        (
            "1 + random()",
            "random()",
            "`random` gives another value",
            "seeded",
        ),
        (
            "timestamp < current_timestamp",
            "current_timestamp",
            "`current_timestamp` gives",
            "run_time()",
        ),
        (
            "s > 1",
            "s > 1",
            "text and int64 do not go together",
            "cast one of them",
        ),
        (
            "i + s",
            "i + s",
            "`+` wants numbers or times, not text",
            "cast it",
        ),
        (
            "i and b",
            "i",
            "this must be a condition, but it is int64",
            "compare it",
        ),
        (
            "timestamp > '2025-13-01'",
            "timestamp > '2025-13-01'",
            "'2025-13-01' is not a time stamp",
            "write it as",
        ),
        ("1 / 0", "1 / 0", "`1 / 0` failed: division by zero", ""),
        (
            "cast('a' as int) + i",
            "cast('a' as int)",
            "`cast('a' as int)` failed: cannot cast string 'a'",
            "",
        ),
        (
            "cast(i as strng)",
            "cast(i as strng)",
            "there is no type `strng`",
            "the types are",
        ),
        (
            "s ~ '('",
            "s ~ '('",
            "`s ~ '('` failed: the regular expression cannot be read: unclosed group",
            "",
        ),
        (
            "date '2025-01-01' + 1",
            "date '2025-01-01' + 1",
            "`+` does not go with date and int64",
            "interval '1 day'",
        ),
        (
            "div(1.5, 2)",
            "div(1.5, 2)",
            "`div` wants whole numbers, not float64",
            "",
        ),
        (
            "date_trunc('fortnight', timestamp)",
            "date_trunc('fortnight', timestamp)",
            "",
            "",
        ),
        (
            "(select 1)",
            "",
            "queries cannot stand in an expression",
            "",
        ),
        (
            "sum(i) over ()",
            "sum(i)",
            "`over` is not known here",
            "window",
        ),
        ("o.c", "o.c", "there is no field `c`", "did you mean"),
        ("s.c", "s.c", "text has no field `c`", ""),
        ("count(*)", "count", "there is no function `count`", ""),
        (
            "year(timestamp)",
            "year",
            "there is no function `year`",
            "date_part('year', t)",
        ),
        (
            "interval '5'",
            "interval '5'",
            "'5' is not an interval",
            "90 seconds",
        ),
        (
            "lower(1, 2)",
            "lower(1, 2)",
            "`lower` does not take (int64, int64)",
            "lower(str)",
        ),
        (
            "sqrt(s)",
            "sqrt(s)",
            "`sqrt` does not take (text)",
            "sqrt(numeric_expression)",
        ),
        ("i ^ 2", "i ^ 2", "there is no operator `^`", "power(a, b)"),
        (
            "timestamp at time zone 'Mars'",
            "timestamp at time zone 'Mars'",
            "there is no time zone 'Mars'",
            "",
        ),
        (
            "123456789012345678901234",
            "123456789012345678901234",
            "`123456789012345678901234` does not fit",
            "",
        ),
    ] {
        let located = Located::nowhere(text.to_string());
        let (found, problems) =
            with_check(&[], |check| Expression::check(&located, &schema, check));
        assert!(found.is_none(), "{text}");
        let problem = problems
            .first()
            .unwrap_or_else(|| panic!("{text} is reported"));
        assert!(
            problem.message.starts_with(message),
            "{text}: {}",
            problem.message
        );
        let helps = problem.help.clone().unwrap_or_default();
        assert!(helps.contains(help), "{text}: {helps}");
        let at = problem.within.clone().expect("a part of the text");
        if !part.is_empty() {
            assert_eq!(&text[at], part, "{text}");
        }
        let located = Located::nowhere(text.to_string());
        let (_, once) = with_check(&[], |check| Expression::condition(&located, &schema, check));
        assert!(!once.is_empty());
    }
}

#[test]
fn all_problems_of_a_text_are_reported() {
    let located = Located::nowhere("nope + case when neither then lowr(s) else 1 end".to_string());
    let schema = sample().schema();
    let (_, problems) = with_check(&[], |check| Expression::check(&located, &schema, check));
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn conditions_are_boolean() {
    let schema = sample().schema();
    let located = Located::nowhere("i + 1".to_string());
    let (found, problems) =
        with_check(&[], |check| Expression::condition(&located, &schema, check));
    assert!(found.is_none());
    assert_eq!(
        problems[0].message,
        "this must be a condition, but it is int64"
    );
}

#[test]
fn comparisons_with_constants_are_known() {
    let comparison = |column: &str, operator, value| Comparison {
        column: column.into(),
        operator,
        value,
    };
    for (text, expected) in [
        (
            "x > 1 and i is not null and w = 'x'",
            vec![
                comparison("x", Operator::Greater, Value::Integer(1)),
                comparison("i", Operator::IsNotNull, Value::Null),
                comparison("w", Operator::Equal, Value::Text("x".into())),
            ],
        ),
        (
            "5 >= k",
            vec![comparison("k", Operator::LessOrEqual, Value::Integer(5))],
        ),
        (
            "f > 0.1",
            vec![comparison("f", Operator::Greater, Value::Float(0.1))],
        ),
        (
            "timestamp between '2025-01-01T00:00:00Z' and run_time()",
            vec![
                comparison(
                    "timestamp",
                    Operator::GreaterOrEqual,
                    Value::Integer(NEW_YEAR),
                ),
                comparison("timestamp", Operator::LessOrEqual, Value::Integer(NEW_YEAR)),
            ],
        ),
        (
            "d < '1970-01-02'",
            vec![comparison("d", Operator::Less, Value::Integer(1))],
        ),
        ("x > 1 or i = 2", vec![]),
        ("x > 1 and 1 / i > 2", vec![]),
        ("i <> 1", vec![]),
        ("i + 1 = 2", vec![]),
    ] {
        let found: Vec<String> = expression(text)
            .comparisons()
            .iter()
            .map(|c| format!("{c:?}"))
            .collect();
        let expected: Vec<String> = expected.iter().map(|c| format!("{c:?}")).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn expressions_know_their_columns() {
    let both = expression("case x + 1 when 2 then s else w end");
    let columns: Vec<String> = both.columns().into_iter().collect();
    assert_eq!(columns, ["s", "w", "x"]);
    assert_eq!(expression("\"Voltage(V)\"").is_column(), Some("Voltage(V)"));
    assert_eq!(expression("(x)").is_column(), Some("x"));
    assert_eq!(expression("x + 0").is_column(), None);
    assert!(expression("x + 1 > f").infallible());
    assert!(!expression("i + 1 > 0").infallible());
    let wide = expression("k").cast_to(&DataType::Int64).expect("casts");
    assert!(wide.infallible());
    assert!(expression("l").cast_to(&DataType::Int64).is_err());
    // A source may leave out columns that nobody needs.
    let rows = sample();
    let narrow = rows.project(&[7, 8, 4]).expect("columns");
    assert_eq!(evaluated(&both, &narrow), evaluated(&both, &rows));
}

#[test]
fn failed_rows_leave_the_batch() {
    let batch = Batch::new(sample()).with_places(Places::From(Place(40)));
    let failed = expression("1 / i").evaluate(batch.rows()).failed;
    let (kept, bad, indices) = reject_failed(&batch, &failed).expect("splits");
    assert_eq!((kept.len(), bad.len()), (2, 1));
    assert_eq!(kept.places().get(1), Some(Place(42)));
    assert_eq!(indices.map(|i| i.values().to_vec()), Some(vec![0, 2]));
    assert_eq!(bad[0].place, Some(Place(41)));
    assert_eq!(bad[0].reason, "division by zero");
    assert_eq!(bad[0].data, row_json(batch.rows(), 1));
    let (kept, bad, indices) = reject_failed(&batch, &[]).expect("splits");
    assert!(kept.len() == 3 && bad.is_empty() && indices.is_none());
}

#[test]
fn rows_print_as_one_line_of_json() {
    let rows = sample();
    let expected = concat!(
        r#"{"i":7,"big":1,"k":-3,"u":1,"x":1.5,"nan":"NaN","f":0.1,"s":"Ab","w":"7","b":true,"#,
        r#""timestamp":"2025-01-01T00:00:00Z","d":"1970-01-01","price":12.50,"l":[10,20],"o":{"a":1,"b":"p"},"#,
        r#""j":"{\"a\":{\"b\":[1,\"z\"]},\"n\":1.5}","Voltage(V)":3.7}"#
    );
    assert_eq!(row_json(&rows, 0), expected);
    assert!(row_json(&rows, 2).contains(r#""l":null,"#));
    for row in 0..3 {
        let text = row_json(&rows, row);
        assert!(
            serde_json::from_str::<serde_json::Value>(&text).is_ok(),
            "{text}"
        );
    }
}

/// An accumulator plan that only has a type.
#[derive(Debug)]
struct Typed(DataType);

impl AccumulatorPlan for Typed {
    fn output(&self) -> Arc<Field> {
        Arc::new(Field::new("", self.0.clone(), true))
    }
    fn state(&self) -> String {
        String::new()
    }
    fn reading(&self) -> Reading {
        Reading::default()
    }
    fn state_fields(&self) -> Vec<Field> {
        Vec::new()
    }
    fn make(&self) -> Box<dyn Accumulator> {
        unreachable!("nothing is accumulated here")
    }
}

fn catalog() -> Vec<Component> {
    let info = |name, example, also_called| Info {
        name,
        example,
        also_called,
        ..Info::EMPTY
    };
    let typed = |output: DataType, coerce: Vec<DataType>| Accepted {
        plan: Arc::new(Typed(output)),
        coerce,
    };
    vec![
        Component::accumulator(info("count", "count(*)", &[]), move |_: &Call| {
            Ok(typed(DataType::Int64, Vec::new()))
        }),
        Component::accumulator(
            info("mean", "mean(x)", &["avg"]),
            move |call: &Call| match call.arguments.len() {
                1 => Ok(typed(DataType::Float64, vec![DataType::Float64])),
                _ => Err(CallProblem::new("`mean` takes one column").help("write mean(x)")),
            },
        ),
        Component::accumulator(info("sum", "sum(x)", &["total"]), move |call: &Call| {
            let output = call.arguments[0].data_type().clone();
            Ok(typed(output.clone(), vec![output]))
        }),
        Component::accumulator(
            info("quantile", "quantile(x, 0.5)", &[]),
            move |call: &Call| {
                let mut unnamed = call.options.iter().filter(|o| o.name.is_empty());
                let bad = unnamed.find(|o| o.value.number().is_none_or(|q| q > 1.0));
                match bad {
                    Some(option) => Err(CallProblem::new("not a share").at(option.at.clone())),
                    None => Ok(typed(DataType::Float64, vec![DataType::Float64])),
                }
            },
        ),
    ]
}

fn computations(lines: &[(&str, &str)]) -> (Option<Computations>, Vec<Problem>) {
    let schema = sample().schema();
    let keys = [Arc::new(Field::new("s", DataType::Utf8, true))];
    let lines: Vec<_> = lines
        .iter()
        .map(|(name, text)| {
            (
                Located::nowhere(name.to_string()),
                Located::nowhere(text.to_string()),
            )
        })
        .collect();
    let catalog = catalog();
    with_check(&catalog, |check| {
        Computations::check(&lines, &schema, &Sampled::default(), &keys, check)
    })
}

#[test]
fn calls_are_collected_and_their_values_used() {
    let (found, problems) = computations(&[
        ("n", "count(*)"),
        ("m", "mean(k)"),
        (
            "share",
            "sum(case when x > $hot then 1 else 0 end) / count(*)",
        ),
        ("doubled", "m * 2 + MEAN( k )"),
        ("hot", "count(*) filter (where x > 1)"),
        ("q", "quantile(x, 0.9, exact => true, edges => [0, 1.5])"),
        ("label", "upper(s) || cast(n as text)"),
        ("inverse", "10 / n"),
    ]);
    assert!(problems.is_empty(), "{problems:?}");
    let found = found.expect("checks");
    let texts: Vec<&str> = found
        .calls()
        .iter()
        .map(|call| call.text.as_str())
        .collect();
    assert_eq!(
        texts,
        [
            "count(*)",
            "mean(k)",
            "sum(CASE WHEN x > $hot THEN 1 ELSE 0 END)",
            "count(*)",
            "quantile(x, 0.9, exact => true, edges => [0, 1.5])"
        ]
    );
    assert_eq!(
        found.calls()[1].arguments[0].data_type(),
        &DataType::Float64
    );
    assert!(
        found.calls()[3]
            .filter
            .as_ref()
            .is_some_and(|f| f.text() == "x > 1")
    );
    let columns: Vec<String> = found.columns().into_iter().collect();
    assert_eq!(columns, ["k", "x"]);
    assert_eq!(found.fields()[6].data_type(), &DataType::Utf8);

    let keys: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let ints = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
    let floats = |values: Vec<f64>| Arc::new(Float64Array::from(values)) as ArrayRef;
    let values = [
        ints(vec![4, 0]),
        floats(vec![1.0, 2.0]),
        ints(vec![1, 0]),
        ints(vec![3, 0]),
        floats(vec![0.5, 0.6]),
    ];
    let (columns, failed) = found.finish(&[keys], &values);
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].row, failed[0].reason), (1, "division by zero"));
    assert!(
        failed[0].message.starts_with("`sum(case when"),
        "the first line that fails"
    );
    let first: Vec<String> = columns
        .iter()
        .map(|c| shown(c, &failed)[0].clone())
        .collect();
    assert_eq!(first, ["4", "1.0", "0.25", "3.0", "3", "0.5", "A4", "2.5"]);
}

#[test]
fn broken_computations_are_explained() {
    for (lines, part, message, help) in [
        (
            vec![("a", "x + 1")],
            "x",
            "column `x` has many values in a group",
            "`mean(x)`",
        ),
        (
            vec![("a", "mean(mean(x))")],
            "mean(x)",
            "`mean` cannot stand inside",
            "second",
        ),
        (
            vec![("a", "avg(x)")],
            "avg",
            "there is no function `avg`",
            "called `mean`",
        ),
        (
            vec![("a", "quantil(x, 0.5)")],
            "quantil",
            "there is no function `quantil`",
            "did you mean `quantile`?",
        ),
        (vec![("a", "quantile(x, 2)")], "2", "not a share", ""),
        (
            vec![("a", "mean(x, y => i)")],
            "i",
            "this must be a constant",
            "",
        ),
        (
            vec![("a", "mean(x, i)")],
            "mean(x, i)",
            "`mean` takes one column",
            "write mean(x)",
        ),
        (
            vec![("a", "count(distinct x)")],
            "count(distinct x)",
            "`distinct` is not known",
            "count_distinct",
        ),
        (
            vec![("a", "mean(*)")],
            "mean(*)",
            "`*` can only stand alone",
            "",
        ),
        (
            vec![("a", "mean(nope)")],
            "nope",
            "there is no column `nope`",
            "",
        ),
        (
            vec![("a", "b"), ("b", "count(*)")],
            "b",
            "column `b` has many values",
            "",
        ),
        (
            vec![("a", "mean(x) filter (where x)")],
            "x",
            "this must be a condition",
            "",
        ),
    ] {
        let (found, problems) = computations(&lines);
        assert!(found.is_none(), "{lines:?}");
        let problem = problems.first().expect("reported");
        assert!(
            problem.message.starts_with(message),
            "{lines:?}: {}",
            problem.message
        );
        assert!(
            problem.help.clone().unwrap_or_default().contains(help),
            "{problem:?}"
        );
        let at = problem.within.clone().expect("a part");
        assert_eq!(&lines[0].1[at], part, "{lines:?}");
    }
    // A broken line is reported once, not at every use of its name.
    let (_, problems) = computations(&[("a", "nope"), ("c", "a + 1")]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    let (_, problems) = computations(&[("a", "count(*)"), ("a", "count(*)"), ("s", "1")]);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].message.contains("taken by a line above"));
}

/// Numbers that come in the same order at every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn number(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .of(&["i", "k", "big", "x", "u", "2", "0", "1.5", "price", "f"])
                .into();
        }
        let below = depth - 1;
        match self.below(9) {
            0 => format!(
                "cast({} as {})",
                self.text(below),
                self.of(&["int", "double", "bigint"])
            ),
            1 => format!("coalesce({}, {})", self.number(below), self.number(below)),
            2 => format!(
                "case when {} then {} else {} end",
                self.condition(below),
                self.number(below),
                self.number(below)
            ),
            3 => format!("length({})", self.text(below)),
            4 => format!("nullif({}, {})", self.number(below), self.number(below)),
            5 => format!("sqrt({})", self.number(below)),
            6 => format!("-({})", self.number(below)),
            _ => {
                let operator = self.of(&["+", "-", "*", "/", "%"]);
                format!("({} {operator} {})", self.number(below), self.number(below))
            }
        }
    }

    fn text(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.of(&["s", "w", "'12'", "'abc'", "j"]).into();
        }
        let below = depth - 1;
        match self.below(5) {
            0 => format!("cast({} as text)", self.number(below)),
            1 => format!("json_get({}, 'a')", self.text(below)),
            2 => format!("coalesce({}, {})", self.text(below), self.text(below)),
            3 => format!(
                "case when {} then {} end",
                self.condition(below),
                self.text(below)
            ),
            _ => format!("upper({} || {})", self.text(below), self.text(below)),
        }
    }

    fn condition(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.of(&["b", "i is null", "true", "x > 0"]).into();
        }
        let below = depth - 1;
        match self.below(8) {
            0 => format!("not ({})", self.condition(below)),
            1 => format!(
                "({} {} {})",
                self.number(below),
                self.of(&["<", "=", ">=", "<>"]),
                self.number(below)
            ),
            2 => format!(
                "({} {} {})",
                self.text(below),
                self.of(&["<", "=", "like"]),
                self.text(below)
            ),
            3 => format!("({}) is null", self.number(below)),
            4 => format!(
                "({}) between {} and {}",
                self.number(below),
                self.number(below),
                self.number(below)
            ),
            5 => format!("({}) in ({}, 7)", self.number(below), self.number(below)),
            _ => format!(
                "({} {} {})",
                self.condition(below),
                self.of(&["and", "or"]),
                self.condition(below)
            ),
        }
    }

    /// Rows whose nulls hide other values, and the same without them.
    fn both(&mut self, length: usize) -> (RecordBatch, RecordBatch) {
        let rows = self.rows(length);
        let plain = rows.columns().iter().map(|column| {
            let null = arrow_array::new_null_array(column.data_type(), 1);
            let from = |row| {
                if column.is_valid(row) {
                    (0, row)
                } else {
                    (1, 0)
                }
            };
            let from: Vec<(usize, usize)> = (0..length).map(from).collect();
            arrow_select::interleave::interleave(&[column.as_ref(), null.as_ref()], &from)
                .expect("one type")
        });
        let plain: Vec<ArrayRef> = plain.collect();
        let plain = RecordBatch::try_new(rows.schema(), plain).expect("the same columns");
        (rows, plain)
    }

    fn rows(&mut self, length: usize) -> RecordBatch {
        let sample = sample();
        let picked: Vec<u32> = (0..length).map(|_| self.below(3) as u32).collect();
        let picked = arrow_array::UInt32Array::from(picked);
        let mixed = sample.columns().iter().map(|column| {
            // Each column its own rows, so that all combinations come up.
            let shift = self.below(3) as u32;
            let rows: arrow_array::UInt32Array = picked
                .iter()
                .map(|row| row.map(|row| (row + shift + self.below(2) as u32) % 3))
                .collect();
            arrow_select::take::take(column, &rows, None).expect("takes")
        });
        let mixed: Vec<ArrayRef> = mixed.collect();
        let hidden = mixed.iter().map(|column| {
            // Values that a null hides must not matter.
            let valid: Vec<bool> = (0..length).map(|_| self.below(6) > 0).collect();
            let nulls = NullBuffer::union(column.nulls(), Some(&valid.into()));
            let data = column.to_data().into_builder().nulls(nulls).build();
            arrow_array::make_array(data.expect("nulls of the same length"))
        });
        let hidden: Vec<ArrayRef> = hidden.collect();
        RecordBatch::try_new(sample.schema(), hidden).expect("the same columns")
    }
}

#[test]
fn every_row_stands_for_itself() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut tried, mut failing) = (0, 0);
    for round in 0..600 {
        let depth = 1 + round % 4;
        let text = match round % 3 {
            0 => dice.number(depth),
            1 => dice.condition(depth),
            _ => dice.text(depth),
        };
        let (rows, plain) = dice.both(61);
        let located = Located::nowhere(text.clone());
        let (found, problems) = with_check(&[], |check| {
            Expression::check(&located, &rows.schema(), check)
        });
        let Some(expression) = found else {
            assert!(!problems.is_empty(), "{text}");
            continue;
        };
        tried += 1;
        let whole = expression.evaluate(&rows);
        failing += usize::from(!whole.failed.is_empty());
        for size in [1, 3, 30] {
            let mut values = Vec::new();
            let mut failed = Vec::new();
            for start in (0..rows.num_rows()).step_by(size) {
                let length = size.min(rows.num_rows() - start);
                let piece = expression.evaluate(&rows.slice(start, length));
                let piece_failed = piece.failed.into_iter().map(|failure| Failure {
                    row: failure.row + start as u32,
                    ..failure
                });
                failed.extend(piece_failed);
                values.push(piece.values);
            }
            assert_eq!(failed, whole.failed, "{text} in pieces of {size}");
            let pieces: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
            let values = arrow_select::concat::concat(&pieces).expect("one type");
            assert_eq!(
                shown(&values, &[]),
                shown(&whole.values, &[]),
                "{text} in pieces of {size}"
            );
        }
        assert_eq!(
            evaluated(&expression, &plain),
            evaluated(&expression, &rows),
            "{text} without hidden values"
        );
    }
    assert!(
        tried > 250 && failing > 60,
        "{tried} tried, {failing} with failing rows"
    );
}

#[test]
fn no_text_makes_the_checker_panic() {
    let pieces = [
        "a",
        "i",
        "x",
        "'",
        "\"",
        "(",
        ")",
        "[",
        "]",
        ",",
        "case",
        "when",
        "then",
        "end",
        "and",
        "or",
        "not",
        "in",
        "between",
        "cast",
        "as",
        "int",
        "::",
        ".",
        "1",
        "1e",
        "$",
        "$hot",
        "-",
        "*",
        "/",
        "interval '1 day'",
        "is",
        "null",
        "like",
        "é",
        "\n",
        "filter",
        "where",
        "over",
        "=>",
        "count",
        "mean",
        "substring",
        "from",
        "extract",
        "--",
        "/*",
        "`",
        "timestamp",
        "date '2020-01-01'",
        "[1, 2]",
        "exists",
        "select",
        "trim",
        "position",
        "array",
    ];
    let mut dice = Dice(42);
    let schema = sample().schema();
    let catalog = catalog();
    for _ in 0..4000 {
        let length = 1 + dice.below(12);
        let words: Vec<&str> = (0..length).map(|_| dice.of(&pieces)).collect();
        let text = words.join(" ");
        let located = Located::nowhere(text.clone());
        let (found, problems) = with_check(&catalog, |check| {
            let lines = [(Located::nowhere("n".to_string()), located.clone())];
            let _ = Computations::check(&lines, &schema, &Sampled::default(), &[], check);
            Expression::check(&located, &schema, check)
        });
        for problem in &problems {
            let at = problem.within.clone().unwrap_or(0..0);
            assert!(text.get(at.clone()).is_some(), "{text:?} {at:?}");
        }
        match found {
            Some(expression) => drop(expression.evaluate(&sample())),
            None => assert!(!problems.is_empty(), "{text}"),
        }
    }
}

#[test]
fn an_empty_batch_gives_an_empty_column() {
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, false)]));
    let rows = RecordBatch::new_empty(Arc::clone(&schema));
    for text in [
        "a",
        "1",
        "a / 2",
        "case when a > 1 then 1 / a end",
        "coalesce(a, 1)",
        "a > 1 and 1 / a > 2",
    ] {
        let result = expression_on(text, &schema).evaluate(&rows);
        assert!(
            result.values.is_empty() && result.failed.is_empty(),
            "{text}"
        );
    }
}

#[test]
fn every_function_treats_every_row_by_itself() {
    let arguments = [
        "i",
        "k",
        "u",
        "x",
        "f",
        "nan",
        "s",
        "w",
        "b",
        "timestamp",
        "d",
        "price",
        "j",
        "l",
        "o",
        "'a'",
        "''",
        "2",
        "-1",
        "0.5",
        "'day'",
        "interval '1 hour'",
        "null",
        "'%Y'",
        "' '",
    ];
    // What dice would hardly find.
    let mut texts: Vec<String> = [
        "date_part('day', timestamp)",
        "datepart('dow', d)",
        "date_trunc('hour', timestamp)",
        "div(i, k)",
        "make_date(2000 + i, k, 2)",
        "make_time(i, k, 2)",
        "replace(s, w, 'x')",
        "split_part(j, s, k)",
        "to_local_time(timestamp at time zone 'Europe/Berlin')",
        "regexp_replace(s, w, j)",
        "regexp_like(s, j)",
        "regexp_match(j, s)",
        "regexp_count(j, w, k)",
        "to_timestamp(s)",
        "to_date(w)",
        "to_char(d, s)",
        "date_bin(interval '7 minutes', timestamp, timestamp)",
        "levenshtein(s, j)",
        "translate(j, s, w)",
        "substr(j, k, i)",
        "overlay(j placing s from i)",
        "left(j, k)",
        "right(j, k)",
        "chr(k)",
        "factorial(i)",
        "gcd(big, k)",
        "lcm(big, i)",
        "power(big, k)",
        "log(k, x)",
        "round(price, k)",
        "trunc(x, k)",
        "d + interval '1 month'",
        "timestamp + interval '200 years' + interval '200 years'",
        "d + i * interval '1 day'",
        "cast(big as timestamp)",
        "cast(d + interval '300 years' as timestamp)",
        "from_unixtime(big)",
        "starts_with(s, w)",
        "strpos(j, s)",
    ]
    .map(String::from)
    .to_vec();
    let mut dice = Dice(7);
    for name in crate::function_names() {
        for _ in 0..200 {
            let count = dice.below(4);
            let words: Vec<&str> = (0..count).map(|_| dice.of(&arguments)).collect();
            texts.push(format!("{name}({})", words.join(", ")));
        }
    }
    let mut called = std::collections::BTreeSet::new();
    for text in texts {
        let (rows, plain) = dice.both(23);
        let located = Located::nowhere(text.clone());
        let (found, problems) = with_check(&[], |check| {
            Expression::check(&located, &rows.schema(), check)
        });
        let Some(expression) = found else {
            assert!(!problems.is_empty(), "{text}");
            continue;
        };
        called.insert(text.split('(').next().unwrap_or_default().to_string());
        let whole = evaluated(&expression, &rows);
        assert_eq!(
            evaluated(&expression, &plain),
            whole,
            "{text} without hidden values"
        );
        for size in [1, 5] {
            let starts = (0..rows.num_rows()).step_by(size);
            let pieces = starts.flat_map(|start| {
                let length = size.min(rows.num_rows() - start);
                evaluated(&expression, &rows.slice(start, length))
            });
            assert_eq!(
                pieces.collect::<Vec<_>>(),
                whole,
                "{text} in pieces of {size}"
            );
        }
    }
    let names = crate::function_names().into_iter();
    let missed: Vec<String> = names.filter(|name| !called.contains(name)).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn long_and_deep_expressions_fit_on_the_stack() {
    let rows = sample();
    let chain = |count: usize, link: &str| vec!["i"; count].join(link);
    let sum = expression(&chain(100, " + "));
    assert_eq!(evaluated(&sum, &rows), ["700", "0", "null"]);
    let either = vec!["i = 7"; 1000].join(" or ");
    assert_eq!(
        evaluated(&expression(&either), &rows),
        ["true", "false", "null"]
    );
    let list = format!(
        "i in ({})",
        (0..3000)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    );
    assert_eq!(
        evaluated(&expression(&list), &rows),
        ["true", "true", "null"]
    );
    let nested = format!("{}i{}", "coalesce(".repeat(40), ")".repeat(40));
    assert_eq!(evaluated(&expression(&nested), &rows), ["7", "0", "null"]);
    for text in [
        chain(2000, " + "),
        "i::int".to_string() + &"::int".repeat(2000),
    ] {
        let located = Located::nowhere(text);
        let (found, problems) = with_check(&[], |check| {
            Expression::check(&located, &rows.schema(), check)
        });
        assert!(found.is_none() && problems.len() == 1, "{problems:?}");
        assert!(
            problems[0].message.contains("nested too deeply"),
            "{problems:?}"
        );
    }
}
