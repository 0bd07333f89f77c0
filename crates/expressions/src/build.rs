//! Terms from operators and functions: constants are computed at once, casts know whether they can fail.

use std::ops::Range;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use dataflow_core::words::type_word;
use datafusion_common::ScalarValue;
use datafusion_expr::Operator;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, Literal, TryCastExpr, cast, is_not_null, is_null, not, try_cast,
};

use crate::kernel::{Kernel, said};
use crate::term::{Node, Term};

/// What is built, and where it stands.
pub(crate) struct Part<'a> {
    pub at: Range<usize>,
    /// Its text, for messages about rows.
    pub text: &'a str,
}

type Made = datafusion_common::Result<Arc<dyn PhysicalExpr>>;

/// A function over terms. `make` gets one expression per argument (constants as such) and the schema of the others.
pub(crate) fn apply(
    arguments: Vec<Term>,
    part: &Part<'_>,
    infallible: bool,
    make: impl FnOnce(Vec<Arc<dyn PhysicalExpr>>, &Schema) -> Made,
) -> Result<Term, String> {
    let mut inputs: Vec<Arc<dyn PhysicalExpr>> = Vec::new();
    let mut fields = Vec::new();
    let mut terms = Vec::new();
    for term in arguments {
        match term.as_literal() {
            Some(value) => inputs.push(Arc::new(Literal::new(value.clone()))),
            None => {
                let name = format!("c{}", fields.len());
                inputs.push(Arc::new(Column::new(&name, fields.len())));
                fields.push(Field::new(name, term.data_type.clone(), true));
                terms.push(term);
            }
        }
    }
    // Columns count as nullable, since a row that failed in one is null there.
    let schema = Arc::new(Schema::new(fields));
    let function = make(inputs, &schema).map_err(|error| said(&error))?;
    let output = function.data_type(&schema).map_err(|error| said(&error))?;
    let nullable = function.nullable(&schema).map_err(|error| said(&error))?;
    let cast = function.downcast_ref::<CastExpr>();
    let reads = cast.filter(|_| terms.first().is_some_and(|term| is_text(&term.data_type)));
    let kernel = Kernel {
        cast: cast.is_some(),
        lenient: reads.map(|cast| {
            let to = cast.cast_type().clone();
            Arc::new(TryCastExpr::new(Arc::clone(cast.expr()), to)) as Arc<dyn PhysicalExpr>
        }),
        function,
        schema,
        output: output.clone(),
        text: part.text.to_string(),
    };
    if terms.is_empty() {
        let value = kernel.constant()?;
        let value = match value.is_null() {
            true => ScalarValue::try_from(&output).unwrap_or(ScalarValue::Null),
            false => value,
        };
        return Ok(Term::literal(value, part.at.clone()));
    }
    let infallible = infallible && terms.iter().all(|term| term.infallible);
    Ok(Term {
        data_type: output,
        nullable,
        infallible,
        at: part.at.clone(),
        node: Node::Apply {
            kernel: Arc::new(kernel),
            arguments: terms.into(),
            says: None,
        },
    })
}

/// `left op right`, of types that already fit; integer overflow fails.
pub(crate) fn binary(
    left: Term,
    op: Operator,
    right: Term,
    part: &Part<'_>,
    infallible: bool,
) -> Result<Term, String> {
    // Null only where one of them is: DataFusion's own answer would count every column as nullable.
    let nullable = left.nullable || right.nullable;
    let mut term = apply(vec![left, right], part, infallible, |mut inputs, _| {
        let (right, left) = (inputs.pop(), inputs.pop());
        let (Some(left), Some(right)) = (left, right) else {
            return datafusion_common::internal_err!("an operator has two sides");
        };
        Ok(Arc::new(
            BinaryExpr::new(left, op, right).with_fail_on_overflow(true),
        ))
    })?;
    let never_null = matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom);
    if term.as_literal().is_none() {
        term.nullable = nullable && !never_null;
    }
    Ok(term)
}

/// A function of one argument that no row can fail.
pub(crate) fn simple(
    argument: Term,
    part: &Part<'_>,
    make: fn(Arc<dyn PhysicalExpr>) -> Made,
) -> Result<Term, String> {
    let nullable = argument.nullable;
    let mut term = apply(vec![argument], part, true, |mut inputs, _| {
        match inputs.pop() {
            Some(input) => make(input),
            None => datafusion_common::internal_err!("a function of one argument has one"),
        }
    })?;
    if term.as_literal().is_none() {
        term.nullable = nullable;
    }
    Ok(term)
}

/// `not x`
pub(crate) fn negation(term: Term, part: &Part<'_>) -> Result<Term, String> {
    simple(term, part, not)
}

/// `x is null` or `x is not null`
pub(crate) fn null_test(term: Term, negated: bool, part: &Part<'_>) -> Result<Term, String> {
    let mut term = simple(term, part, if negated { is_not_null } else { is_null })?;
    term.nullable = false;
    Ok(term)
}

/// The term cast to a type; a row whose value does not fit fails.
pub(crate) fn cast_to(term: Term, to: &DataType, part: &Part<'_>) -> Result<Term, String> {
    if term.data_type == *to {
        return Ok(term);
    }
    if let Some(value) = term.as_literal()
        && value.is_null()
        && let Ok(null) = ScalarValue::try_from(to)
    {
        return Ok(Term::literal(null, part.at.clone()));
    }
    let refused = || format!("{} cannot be cast to {}", word(&term.data_type), word(to));
    if !arrow_cast::can_cast_types(&term.data_type, to) {
        return Err(refused());
    }
    let infallible = cast_never_fails(&term.data_type, to);
    // Arrow casts all values of a dictionary, also those that no row uses.
    let term = if infallible { term } else { unpack(term)? };
    if term.data_type == *to {
        return Ok(term);
    }
    let nullable = term.nullable;
    let mut term = apply(
        vec![term],
        part,
        infallible,
        |mut inputs, schema| match inputs.pop() {
            Some(input) => cast(input, schema, to.clone()),
            None => datafusion_common::internal_err!("a cast has an argument"),
        },
    )?;
    if term.as_literal().is_none() {
        term.nullable = nullable;
    }
    Ok(term)
}

/// The term cast to a type; null where the value does not fit.
pub(crate) fn try_cast_to(term: Term, to: &DataType, part: &Part<'_>) -> Result<Term, String> {
    if term.data_type == *to {
        return Ok(term);
    }
    if !arrow_cast::can_cast_types(&term.data_type, to) {
        let from = word(&term.data_type);
        return Err(format!("{from} cannot be cast to {}", word(to)));
    }
    apply(
        vec![unpack(term)?],
        part,
        true,
        |mut inputs, schema| match inputs.pop() {
            Some(input) => try_cast(input, schema, to.clone()),
            None => datafusion_common::internal_err!("a cast has an argument"),
        },
    )
}

/// A dictionary's values; other terms as they are.
pub(crate) fn unpack(term: Term) -> Result<Term, String> {
    match &term.data_type {
        DataType::Dictionary(_, values) => {
            let values = values.as_ref().clone();
            let part = Part {
                at: term.at.clone(),
                text: "",
            };
            cast_to(term, &values, &part)
        }
        _ => Ok(term),
    }
}

/// The type behind a dictionary.
pub(crate) fn unpacked(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}

/// Whether every value of a type has a place in another.
pub(crate) fn cast_never_fails(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    if from == to || CastExpr::check_bigger_cast(to, from) {
        return true;
    }
    match (from, to) {
        (Null, _) => true,
        (Dictionary(_, values), to) => cast_never_fails(values, to),
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => true,
        (Boolean, to) => to.is_integer() || to.is_floating() || is_text(to),
        (from, Float32 | Float64) if from.is_integer() || from.is_floating() => true,
        (from, to) if is_text(to) => from.is_integer() || from.is_floating() || is_decimal(from),
        (Timestamp(from, a), Timestamp(to, b)) => finer(from, to) && same_clock(a, b),
        (Timestamp(TimeUnit::Nanosecond, zone), Date32) => same_clock(zone, &None),
        (Decimal128(_, _), Float64) => true,
        _ => false,
    }
}

fn is_decimal(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal128(_, _))
}

fn finer(from: &TimeUnit, to: &TimeUnit) -> bool {
    let rank = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    };
    rank(from) >= rank(to)
}

fn same_clock(a: &Option<Arc<str>>, b: &Option<Arc<str>>) -> bool {
    let utc = |zone: &Option<Arc<str>>| matches!(zone.as_deref(), None | Some("UTC" | "+00:00"));
    (utc(a) && utc(b)) || (a.is_some() && b.is_some())
}

/// Text, dictionaries of text included.
pub(crate) fn is_text(data_type: &DataType) -> bool {
    matches!(
        unpacked(data_type),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

/// Floats, which have two zeros and many NaNs.
pub(crate) fn is_float(data_type: &DataType) -> bool {
    data_type.is_floating()
}

/// A type as people call it.
pub(crate) fn word(data_type: &DataType) -> String {
    match data_type {
        data_type if is_text(data_type) => "text".into(),
        DataType::Boolean => "a boolean".into(),
        DataType::Null => "null".into(),
        DataType::Dictionary(_, values) => word(values),
        other => type_word(other),
    }
}
