//! Comparisons, membership and patterns as terms, and what a comparison with a constant says of a column.

use std::sync::Arc;

use arrow_schema::DataType;
use dataflow_core::source::{Comparison, Operator as Says};
use datafusion_common::ScalarValue;
use datafusion_expr::Operator;
use datafusion_physical_expr::expressions::{in_list, like};

use crate::build::{Part, apply, binary, is_float, is_text, unpack, unpacked, word};
use crate::term::{Node, Term};
use crate::unify::{Mismatch, common_type, unify};
use crate::values;

/// `left op right` for a comparison. Floats are compared as rows are ordered: -0.0 = 0.0, NaN = NaN above all numbers.
pub(crate) fn compare(
    left: Term,
    op: Operator,
    right: Term,
    part: &Part<'_>,
) -> Result<Term, Mismatch> {
    let says = says(&left, op, &right).or_else(|| says(&right, op.swap()?, &left));
    let common = common_type(&[&left, &right])?;
    // Arrow compares a dictionary with plain values: no need to unpack it.
    let keep = |term: &Term| unpacked(&term.data_type) == &common && !common.is_null();
    let side = |term: Term| match keep(&term) {
        true => Ok(term),
        false => crate::unify::adapted(term, &common),
    };
    let (left, right) = (canonical(side(left)?)?, canonical(side(right)?)?);
    let infallible = !common.is_nested();
    let mut term = binary(left, op, right, part, infallible)?;
    if let Node::Apply { says: slot, .. } = &mut term.node {
        *slot = says.map(Arc::new);
    }
    Ok(term)
}

/// The comparison of a column with a constant that this is, as far as statistics can decide it.
fn says(left: &Term, op: Operator, right: &Term) -> Option<Comparison> {
    let (column, constant) = (left.as_column()?, right.as_literal()?);
    let operator = match op {
        Operator::Eq => Says::Equal,
        Operator::Lt => Says::Less,
        Operator::LtEq => Says::LessOrEqual,
        Operator::Gt => Says::Greater,
        Operator::GtEq => Says::GreaterOrEqual,
        _ => return None,
    };
    let to = unpacked(column.data_type());
    let value = match constant {
        value if value.is_null() => return None,
        // A float beyond 2^53 stands for several whole numbers.
        ScalarValue::Float64(Some(x)) if to.is_integer() => {
            if x.abs() >= 9_007_199_254_740_992.0 || x.is_nan() {
                return None;
            }
            constant.clone()
        }
        ScalarValue::Float64(Some(x)) if is_float(to) && !x.is_nan() => constant.clone(),
        ScalarValue::Utf8(_) if is_text(to) => constant.clone(),
        ScalarValue::Int64(Some(n)) if is_float(to) && n.unsigned_abs() < 1 << 53 => {
            constant.clone()
        }
        ScalarValue::Int64(_) | ScalarValue::UInt64(_) if to.is_integer() => constant.clone(),
        ScalarValue::Boolean(_) if *to == DataType::Boolean => constant.clone(),
        value if to.is_temporal() => {
            let cast = value.cast_to(to).ok()?;
            // A cast to a coarser clock would move the border.
            let back = cast.cast_to(&value.data_type()).ok()?;
            if back != *value && !matches!(value, ScalarValue::Utf8(_)) {
                return None;
            }
            cast
        }
        _ => return None,
    };
    Some(Comparison {
        column: column.name().clone(),
        operator,
        value: values::value(&value)?,
    })
}

/// Floats with one zero and one NaN.
pub(crate) fn canonical(term: Term) -> Result<Term, String> {
    let term = match is_float(unpacked(&term.data_type)) {
        true => unpack(term)?,
        false => return Ok(term),
    };
    if let Some(value) = term.as_literal() {
        let value = match value {
            ScalarValue::Float64(Some(x)) => {
                ScalarValue::Float64(Some(if x.is_nan() { f64::NAN } else { x + 0.0 }))
            }
            ScalarValue::Float32(Some(x)) => {
                ScalarValue::Float32(Some(if x.is_nan() { f32::NAN } else { x + 0.0 }))
            }
            other => other.clone(),
        };
        return Ok(Term::literal(value, term.at.clone()));
    }
    Ok(Term {
        data_type: term.data_type.clone(),
        nullable: term.nullable,
        infallible: term.infallible,
        at: term.at.clone(),
        node: Node::Canonical(Arc::new(term)),
    })
}

pub(crate) fn in_constants(
    value: Term,
    items: Vec<Term>,
    negated: bool,
    part: &Part<'_>,
) -> Result<Term, Mismatch> {
    let mut all = vec![unpack(value)?];
    all.extend(items);
    let (all, _) = unify(all)?;
    let all = all.into_iter().map(canonical);
    let all = all.collect::<Result<Vec<_>, _>>()?;
    let nullable = all.iter().any(|term| term.nullable);
    let mut term = apply(all, part, true, |mut inputs, schema| {
        let value = inputs.remove(0);
        in_list(value, inputs, &negated, schema)
    })?;
    if term.as_literal().is_none() {
        term.nullable = nullable;
    }
    Ok(term)
}

/// The pattern with backslashes for escapes, which is what the evaluator understands.
pub(crate) fn escaped(pattern: Term, escape: Option<ScalarValue>) -> Result<Term, Mismatch> {
    let escape = match escape {
        None => return Ok(pattern),
        Some(ScalarValue::Utf8(Some(text))) if text == "\\" => return Ok(pattern),
        Some(ScalarValue::Utf8(Some(text))) if text.chars().count() == 1 => text,
        Some(_) => return Err("an escape is one character".to_string().into()),
    };
    let Some(ScalarValue::Utf8(Some(text))) = pattern.as_literal() else {
        return Err("an escape needs a constant pattern".to_string().into());
    };
    let mut made = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if escape.starts_with(letter) {
            made.push('\\');
            made.extend(letters.next());
        } else {
            if letter == '\\' {
                made.push('\\');
            }
            made.push(letter);
        }
    }
    Ok(Term::literal(
        ScalarValue::Utf8(Some(made)),
        pattern.at.clone(),
    ))
}

pub(crate) fn liked(
    value: Term,
    pattern: Term,
    negated: bool,
    any_case: bool,
    part: &Part<'_>,
) -> Result<Term, Mismatch> {
    let (value, pattern) = both_text("like", value, pattern)?;
    let nullable = value.nullable || pattern.nullable;
    let mut term = apply(vec![value, pattern], part, true, |mut inputs, schema| {
        let (pattern, value) = (inputs.pop(), inputs.pop());
        match (value, pattern) {
            (Some(value), Some(pattern)) => like(negated, any_case, value, pattern, schema),
            _ => datafusion_common::internal_err!("a pattern has two sides"),
        }
    })?;
    if term.as_literal().is_none() {
        term.nullable = nullable;
    }
    Ok(term)
}

/// `a ~ 'regular expression'`
pub(crate) fn matching(
    left: Term,
    op: Operator,
    right: Term,
    part: &Part<'_>,
) -> Result<Term, Mismatch> {
    let (left, right) = both_text("~", left, right)?;
    let constant = right.as_literal().is_some();
    if constant {
        // A broken pattern is found now, not at the first row.
        let empty = Term::literal(ScalarValue::Utf8(Some(String::new())), part.at.clone());
        binary(empty, op, right.clone(), part, false)?;
    }
    Ok(binary(left, op, right, part, constant)?)
}

fn both_text(name: &str, left: Term, right: Term) -> Result<(Term, Term), Mismatch> {
    for term in [&left, &right] {
        if !is_text(&term.data_type) && term.data_type != DataType::Null {
            let message = format!("`{name}` wants text, not {}", word(&term.data_type));
            let help = "cast it: `cast(x as text)`".to_string();
            return Err(Mismatch {
                message,
                help: Some(help),
            });
        }
    }
    let (left, right) = (unpack(left)?, unpack(right)?);
    let (mut both, _) = unify(vec![left, right])?;
    match (both.pop(), both.pop()) {
        (Some(right), Some(left)) if left.data_type == DataType::Null => {
            let text = |term: Term| crate::unify::adapted(term, &DataType::Utf8);
            Ok((text(left)?, text(right)?))
        }
        (Some(right), Some(left)) => Ok((left, right)),
        _ => Err("two sides are two".to_string().into()),
    }
}
