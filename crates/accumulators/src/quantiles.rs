//! `quantiles`: several quantiles as a list.

use dataflow_core::accumulator::{Accepted, Call, CallProblem};
use dataflow_core::component::{Component, Info};

use crate::states::distribution;
use crate::states::options::{Options, numbers, wrong};

const USAGE: &str = "quantiles(x, [0.25, 0.5, 0.75])";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "quantiles",
        summary: "Several quantiles as a list",
        manual: "\
The list has one value per share, in the order of the call, and is null where there is no value. Everything else is as with
`quantile`, with which it shares its state.",
        example: USAGE,
        also_called: &["percentiles", "approx_quantiles"],
        ..Info::EMPTY
    };
    Component::accumulator(info, accept)
}

fn accept(call: &Call) -> Result<Accepted, CallProblem> {
    let mut options = Options::of(call, 1, USAGE)?;
    let shares = options.needed("q")?;
    let found = numbers(shares)?;
    if found.is_empty() || !found.iter().all(|q| (0.0..=1.0).contains(q)) {
        return Err(wrong(shares, "a list of shares from 0 to 1").help(format!("write `{USAGE}`")));
    }
    distribution::accept(options, "quantiles", found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::testing::{call, check, problem, show, value};
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float64Type;
    use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, TimestampNanosecondArray};
    use arrow_schema::DataType;
    use dataflow_core::{Groups, Places, Value};
    use std::sync::Arc;

    fn list(shares: &[f64]) -> Value {
        Value::List(shares.iter().map(|q| Value::Float(*q)).collect())
    }

    fn quantiles(column: ArrayRef, shares: &[f64]) -> ArrayRef {
        let given = call(&[column.data_type().clone()], &[("", list(shares))]);
        let found = value(&component(), &given, &[column]);
        found.as_list::<i32>().value(0)
    }

    #[test]
    fn numpy_gives_the_same_bits() {
        let golden = include_str!("../tests/golden/order.json");
        let golden: serde_json::Value = serde_json::from_str(golden).expect("is JSON");
        let bits = |of: &serde_json::Value| -> Vec<u64> {
            let list = of.as_array().expect("a list").iter();
            list.map(|hex| u64::from_str_radix(hex.as_str().expect("text"), 16).expect("hex"))
                .collect()
        };
        let cases = golden["quantiles"].as_array().expect("a list");
        assert!(cases.len() > 20);
        for case in cases {
            let values = bits(&case["values"]).into_iter();
            let column: ArrayRef = match case["type"].as_str() {
                Some("int64") => Arc::new(Int64Array::from_iter_values(values.map(|n| n as i64))),
                _ => Arc::new(Float64Array::from_iter_values(values.map(f64::from_bits))),
            };
            let shares: Vec<f64> = bits(&case["shares"])
                .into_iter()
                .map(f64::from_bits)
                .collect();
            let found = quantiles(column, &shares);
            let found = found.as_primitive::<Float64Type>().values();
            let found: Vec<u64> = found.iter().map(|x| x.to_bits()).collect();
            assert_eq!(found, bits(&case["expected"]), "{}", case["name"]);
        }
    }

    /// Rows of a group of exactly this many distinct values, some of them often.
    fn spread(distinct: usize) -> Vec<f64> {
        let numbers = (0..distinct + distinct / 3).map(|i| (i % distinct) as f64);
        // From 1e-9 to 1e12, both signs.
        numbers
            .map(|n| {
                let x = 10_f64.powf(n / distinct as f64 * 21.0 - 9.0);
                if (n as usize).is_multiple_of(4) {
                    -x
                } else {
                    x
                }
            })
            .collect()
    }

    #[test]
    fn one_distinct_value_more_than_the_bound_makes_a_sketch() {
        let shares: Vec<f64> = (0..=1000).map(|i| f64::from(i) / 1000.0).collect();
        for (distinct, sketches) in [(65_536, 0), (65_537, 1)] {
            let values = spread(distinct);
            let given = call(&[DataType::Float64], &[("", list(&shares))]);
            let accepted = check(&component(), &given).expect("fits");
            let feed = |batch: usize, parts: usize| {
                let mut into = accepted.plan.make();
                into.resize(1);
                for part in values.chunks(values.len().div_ceil(parts)) {
                    let mut made = accepted.plan.make();
                    made.resize(1);
                    for rows in part.chunks(batch) {
                        let column: ArrayRef = Arc::new(Float64Array::from(rows.to_vec()));
                        made.update(Groups::One, &[column], &Places::Unknown)
                            .expect("takes rows");
                    }
                    let state = made.state(&[0]).expect("has a state");
                    into.merge(&[0], &state).expect("is a state");
                }
                (
                    into.approximate(&[0]),
                    into.state(&[0]).expect("has a state"),
                    into,
                )
            };
            let (found, state, whole) = feed(usize::MAX, 1);
            assert_eq!(found, sketches);
            for (batch, parts) in [(1, 1), (1000, 3), (8192, 2), (7, 40)] {
                let (again, other, _) = feed(batch, parts);
                assert_eq!(again, sketches);
                assert_eq!(other, state, "{batch} {parts}");
            }
            let found = whole
                .value(&accepted.plan.reading(), &[0])
                .expect("has a value");
            let found = found.as_list::<i32>().value(0);
            let found = found.as_primitive::<Float64Type>();
            assert_close(found.values(), values, &shares, sketches == 0);
        }
    }

    fn assert_close(found: &[f64], mut values: Vec<f64>, shares: &[f64], exact: bool) {
        values.sort_by(f64::total_cmp);
        let last = values.len() - 1;
        for (q, found) in shares.iter().zip(found) {
            let at = q * last as f64;
            let (a, b) = (values[at as usize], values[(at as usize + 1).min(last)]);
            let expected = a + (b - a) * (at - at.floor());
            let allowed = if exact { 1e-12 } else { 0.001 } * a.abs().max(b.abs());
            assert!(
                (found - expected).abs() <= allowed,
                "{q}: {found} {expected}"
            );
        }
        assert_eq!(
            (found[0], found[shares.len() - 1]),
            (values[0], values[last])
        );
    }

    #[test]
    fn a_sketch_of_times_is_within_minutes() {
        let start = 1_760_000_000_000_000_000_i64;
        let times = (0..200_000).map(|i| start + i * 86_400_000_000);
        let column: ArrayRef = Arc::new(TimestampNanosecondArray::from_iter_values(times));
        let given = call(
            &[column.data_type().clone()],
            &[("", list(&[0.0, 0.5, 1.0]))],
        );
        let accepted = check(&component(), &given).expect("fits");
        let mut made = accepted.plan.make();
        made.resize(1);
        made.update(Groups::One, &[column], &Places::Unknown)
            .expect("takes rows");
        let found = made
            .value(&accepted.plan.reading(), &[0])
            .expect("has a value");
        let found = found.as_list::<i32>().value(0);
        let found = found.as_primitive::<arrow_array::types::TimestampNanosecondType>();
        let middle = start + 199_999 * 43_200_000_000;
        assert!((found.value(1) - middle).abs() < 10 * 60_000_000_000);
        assert_eq!(found.value(0), start);
        assert!(made.bytes() < 2_000_000, "{}", made.bytes());
    }

    #[test]
    fn lists_are_in_the_order_of_the_call() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        assert_eq!(
            show(&quantiles(column, &[1.0, 0.0, 0.5])),
            "[3.0, 1.0, 2.0]"
        );
        let none: ArrayRef = Arc::new(Int64Array::from(vec![None::<i64>]));
        let given = call(&[DataType::Int64], &[("", list(&[0.5]))]);
        assert_eq!(show(&value(&component(), &given, &[none])), "[null]");
        problem(&component(), &call(&[DataType::Int64], &[("", list(&[]))]));
        problem(
            &component(),
            &call(&[DataType::Int64], &[("", list(&[0.5, 50.0]))]),
        );
    }
}
