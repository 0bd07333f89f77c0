//! Quotients of whole numbers: `/` gives a float, `div` a whole number; both fail on zero.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_buffer::NullBuffer;
use arrow_schema::{ArrowError, DataType};
use datafusion_common::Result;
use datafusion_expr::{
    ColumnarValue, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::build::{Part, cast_to, unpack, word};
use crate::computing::coerced_binary;
use crate::term::Term;

/// `a / b` of whole numbers.
pub(crate) fn ratio(a: Term, b: Term, part: &Part<'_>) -> Result<Term, String> {
    let a = cast_to(a, &DataType::Float64, part)?;
    let b = cast_to(b, &DataType::Float64, part)?;
    let function = Arc::new(ScalarUDF::new_from_impl(Ratio::new()));
    let nullable = a.nullable || b.nullable;
    let mut term = crate::calls::call(function, vec![a, b], part, false)?;
    if term.as_literal().is_none() {
        term.nullable = nullable;
    }
    Ok(term)
}

/// `div(a, b)`
pub(crate) fn quotient(a: Term, b: Term, part: &Part<'_>) -> Result<Term, String> {
    let (a, b) = (unpack(a)?, unpack(b)?);
    for term in [&a, &b] {
        if !term.data_type.is_integer() && term.data_type != DataType::Null {
            return Err(format!(
                "`div` wants whole numbers, not {}",
                word(&term.data_type)
            ));
        }
    }
    coerced_binary(a, Operator::Divide, b, part)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Ratio {
    signature: Signature,
}

impl Ratio {
    fn new() -> Self {
        let floats = vec![DataType::Float64, DataType::Float64];
        Self {
            signature: Signature::exact(floats, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Ratio {
    fn name(&self) -> &str {
        "/"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [a, b] = &args.args[..] else {
            return datafusion_common::internal_err!("a quotient has two sides");
        };
        if let (ColumnarValue::Array(a), ColumnarValue::Scalar(b)) = (a, b)
            && let datafusion_common::ScalarValue::Float64(Some(b)) = b
            && *b != 0.0
        {
            let quotients = a.as_primitive::<Float64Type>();
            let quotients: Float64Array = quotients.unary(|a| a / b);
            return Ok(ColumnarValue::Array(Arc::new(quotients)));
        }
        let a = a.to_array(args.number_rows)?;
        let b = b.to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(divided(&a, &b)?))
    }
}

fn divided(a: &ArrayRef, b: &ArrayRef) -> Result<ArrayRef> {
    let (a, b) = (
        a.as_primitive::<Float64Type>(),
        b.as_primitive::<Float64Type>(),
    );
    let nulls = NullBuffer::union(a.nulls(), b.nulls());
    let counts = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let mut zeros = (0..b.len()).filter(|&row| b.values()[row] == 0.0);
    if zeros.any(counts) {
        return Err(ArrowError::DivideByZero.into());
    }
    let quotients = a.values().iter().zip(b.values()).map(|(a, b)| a / b);
    let quotients = quotients.collect::<Vec<f64>>();
    Ok(Arc::new(Float64Array::new(quotients.into(), nulls)))
}
