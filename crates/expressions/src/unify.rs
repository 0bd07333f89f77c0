//! One type for several terms: what `=`, `in`, `case` and `coalesce` need. Constants adapt to columns where they fit exactly.

use arrow_schema::DataType;
use datafusion_common::ScalarValue;
use datafusion_expr::type_coercion::binary::comparison_coercion;

use crate::build::{Part, cast_to, is_text, unpacked, word};
use crate::term::Term;

/// What stands in the way of one type for all.
pub(crate) struct Mismatch {
    pub message: String,
    pub help: Option<String>,
}

impl From<String> for Mismatch {
    fn from(message: String) -> Self {
        Self {
            message,
            help: None,
        }
    }
}

/// The type that all terms can be given without loss of meaning. Dictionaries count as their values.
pub(crate) fn common_type(terms: &[&Term]) -> Result<DataType, Mismatch> {
    let mut common = DataType::Null;
    for term in terms.iter().filter(|term| term.as_literal().is_none()) {
        common = widened(&common, unpacked(&term.data_type))?;
    }
    for term in terms {
        match term.as_literal() {
            Some(value) if !fits(value, &common) => {
                common = widened(&common, unpacked(&term.data_type))?;
            }
            _ => {}
        }
    }
    Ok(common)
}

/// The terms, all cast to one type; a dictionary that all of them share is kept.
pub(crate) fn unify(terms: Vec<Term>) -> Result<(Vec<Term>, DataType), Mismatch> {
    let first = terms.iter().find(|term| term.data_type != DataType::Null);
    let shared = first.filter(|first| {
        let alike = |t: &Term| t.data_type.is_null() || t.data_type == first.data_type;
        terms.iter().all(alike)
    });
    let common = match shared {
        Some(first) => first.data_type.clone(),
        None => common_type(&terms.iter().collect::<Vec<_>>())?,
    };
    let cast = terms.into_iter().map(|term| adapted(term, &common));
    Ok((cast.collect::<Result<_, _>>()?, common))
}

/// The term in a type that was found to be common to it and others.
pub(crate) fn adapted(term: Term, to: &DataType) -> Result<Term, Mismatch> {
    let at = term.at.clone();
    let literal = term.as_literal().cloned();
    let text = match &literal {
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let part = Part { at, text: &text };
    cast_to(term, to, &part).map_err(|message| match literal {
        Some(ScalarValue::Utf8(Some(text))) if to.is_temporal() => Mismatch {
            message: format!("'{text}' is not a {}", kind_of_time(to)),
            help: Some(format!("write it as {}", example_of_time(to))),
        },
        _ => message.into(),
    })
}

fn kind_of_time(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Timestamp(_, _) => "time stamp",
        DataType::Time32(_) | DataType::Time64(_) => "time of day",
        _ => "duration",
    }
}

fn example_of_time(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Date32 | DataType::Date64 => "'2025-01-31'",
        DataType::Timestamp(_, _) => "'2025-01-31T10:00:00Z'",
        DataType::Time32(_) | DataType::Time64(_) => "'10:00:00'",
        _ => "interval '90 seconds'",
    }
}

fn widened(a: &DataType, b: &DataType) -> Result<DataType, Mismatch> {
    let mixed = |text: &DataType, other: &DataType| {
        is_text(text) && (other.is_numeric() || *other == DataType::Boolean)
    };
    if mixed(a, b) || mixed(b, a) {
        return Err(Mismatch {
            message: format!("{} and {} do not go together", word(a), word(b)),
            help: Some("cast one of them: `cast(x as double)`, `cast(x as text)`".into()),
        });
    }
    comparison_coercion(a, b).ok_or_else(|| Mismatch {
        message: format!("{} and {} do not go together", word(a), word(b)),
        help: Some("cast one of them".into()),
    })
}

/// Whether a constant has exactly its meaning in a type, so that it need not widen the others.
fn fits(value: &ScalarValue, to: &DataType) -> bool {
    if value.is_null() {
        return true;
    }
    match value {
        ScalarValue::Int64(Some(n)) => match to {
            DataType::Float64 => n.unsigned_abs() <= 1 << 53,
            DataType::Float32 => n.unsigned_abs() <= 1 << 24,
            to if to.is_integer() || to.is_decimal() => value.cast_to(to).is_ok(),
            _ => false,
        },
        ScalarValue::Float64(Some(x)) => match to {
            DataType::Float64 => true,
            DataType::Float32 => f64::from(*x as f32) == *x,
            _ => false,
        },
        ScalarValue::Utf8(Some(_)) => is_text(to) || to.is_temporal(),
        value if value.data_type().is_temporal() && to.is_temporal() => {
            let there = value.cast_to(to);
            let back = there.and_then(|there| there.cast_to(&value.data_type()));
            back.is_ok_and(|back| back == *value)
        }
        _ => value.data_type() == *to,
    }
}
