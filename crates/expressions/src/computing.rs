//! Arithmetic as terms: types are made to fit, whole numbers are checked for overflow.

use std::sync::Arc;

use arrow_schema::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::Operator;
use datafusion_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion_physical_expr::expressions::NegativeExpr;

use crate::build::{Part, apply, binary, cast_to, is_float, is_text, unpack, word};
use crate::functions::arithmetic;
use crate::term::Term;
use crate::unify::Mismatch;

/// `+ - * / %`. Whole numbers divide to a float; by zero they fail, as decimals do.
pub(crate) fn arithmetic_of(
    left: Term,
    op: Operator,
    right: Term,
    part: &Part<'_>,
) -> Result<Term, Mismatch> {
    let (left, right) = (unpack(left)?, unpack(right)?);
    for term in [&left, &right] {
        let odd = is_text(&term.data_type) || term.data_type == DataType::Boolean;
        if odd {
            let help = match term.as_literal() {
                Some(_) => {
                    "constants have types: date '2025-01-31', timestamp '2025-01-31T10:00:00Z', interval '1 day'"
                }
                None => "cast it: `cast(x as double)`",
            };
            return Err(Mismatch {
                message: format!(
                    "`{op}` wants numbers or times, not {}",
                    word(&term.data_type)
                ),
                help: Some(help.into()),
            });
        }
    }
    if let Some(mismatch) = days(&left, op, &right) {
        return Err(mismatch);
    }
    let whole = |term: &Term| term.data_type.is_integer();
    if op == Operator::Divide && whole(&left) && whole(&right) {
        return Ok(arithmetic::ratio(left, right, part)?);
    }
    let (left, right) = match (whole(&left), whole(&right)) {
        (true, true) => unsigned_constants(left, right)?,
        _ => (left, right),
    };
    Ok(coerced_binary(left, op, right, part)?)
}

/// What is wrong with `day + 1`: a number is no length of time.
fn days(left: &Term, op: Operator, right: &Term) -> Option<Mismatch> {
    let moment = |t: &DataType| {
        matches!(
            t,
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64
        )
    };
    let (a, b) = (&left.data_type, &right.data_type);
    let moved = matches!(op, Operator::Plus | Operator::Minus);
    let unfit = moved && (moment(a) && b.is_numeric() || a.is_numeric() && moment(b));
    unfit.then(|| Mismatch {
        message: format!("`{op}` does not go with {} and {}", word(a), word(b)),
        help: Some("write a length of time: `interval '1 day'`".into()),
    })
}

/// `u + 1` for an unsigned 64-bit `u` stays unsigned: the constant's own type would make it a decimal.
fn unsigned_constants(left: Term, right: Term) -> Result<(Term, Term), String> {
    let adapt = |term: Term, other: &DataType| match term.as_literal() {
        Some(ScalarValue::Int64(Some(n))) if *n >= 0 && *other == DataType::UInt64 => {
            let value = ScalarValue::UInt64(Some(n.unsigned_abs()));
            Term::literal(value, term.at.clone())
        }
        _ => term,
    };
    let (a, b) = (left.data_type.clone(), right.data_type.clone());
    Ok((adapt(left, &b), adapt(right, &a)))
}

/// An operator whose sides are cast as DataFusion would.
pub(crate) fn coerced_binary(
    left: Term,
    op: Operator,
    right: Term,
    part: &Part<'_>,
) -> Result<Term, String> {
    let (left, right) = (unpack(left)?, unpack(right)?);
    let unfit = |_| {
        format!(
            "`{op}` does not go with {} and {}",
            word(&left.data_type),
            word(&right.data_type)
        )
    };
    let (l, r) = BinaryTypeCoercer::new(&left.data_type, &op, &right.data_type)
        .get_input_types()
        .map_err(unfit)?;
    let (left, right) = (cast_to(left, &l, part)?, cast_to(right, &r, part)?);
    let float = is_float(&l) && is_float(&r);
    let joined = op == Operator::StringConcat && is_text(&l) && is_text(&r);
    binary(left, op, right, part, float || joined)
}

/// `- x`; of a whole number it is `0 - x`, so that it cannot overflow silently.
pub(crate) fn negative(term: Term, part: &Part<'_>) -> Result<Term, String> {
    let term = unpack(term)?;
    if term.data_type.is_integer() {
        let term = match &term.data_type {
            unsigned if unsigned.is_unsigned_integer() => cast_to(term, &DataType::Int64, part)?,
            _ => term,
        };
        let zero = ScalarValue::new_zero(&term.data_type).map_err(|error| error.to_string())?;
        let zero = Term::literal(zero, part.at.clone());
        return binary(zero, Operator::Minus, term, part, false);
    }
    let known = is_float(&term.data_type)
        || term.data_type.is_decimal()
        || matches!(term.data_type, DataType::Interval(_) | DataType::Null);
    if !known {
        return Err(format!("`-` wants a number, not {}", word(&term.data_type)));
    }
    let float = is_float(&term.data_type);
    let nullable = term.nullable;
    let mut term = apply(vec![term], part, float, |mut inputs, _| {
        match inputs.pop() {
            Some(input) => Ok(Arc::new(NegativeExpr::new(input))),
            None => datafusion_common::internal_err!("a sign has an argument"),
        }
    })?;
    if term.as_literal().is_none() {
        term.nullable = nullable;
    }
    Ok(term)
}
