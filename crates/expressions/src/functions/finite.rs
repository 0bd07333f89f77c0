//! `finite(x)`: the number, or null where it is NaN or infinite, so that what follows leaves it out.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_schema::DataType;
use datafusion_common::Result;
use datafusion_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The function.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::new(ScalarUDF::new_from_impl(Finite {
        signature: Signature::exact(vec![DataType::Float64], Volatility::Immutable),
    }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Finite {
    signature: Signature,
}

impl ScalarUDFImpl for Finite {
    fn name(&self) -> &str {
        "finite"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [x] = &args.args[..] else {
            return datafusion_common::internal_err!("`finite` has one argument");
        };
        let x = x.to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(finite(&x)))
    }
}

/// The same array where all numbers are finite, which is nearly always so.
fn finite(x: &ArrayRef) -> ArrayRef {
    const EXPONENT: u64 = 0x7ff << 52;
    let numbers: &Float64Array = x.as_primitive::<Float64Type>();
    let strange = |x: &f64| u64::from(x.to_bits() & EXPONENT == EXPONENT);
    if numbers
        .values()
        .iter()
        .map(strange)
        .fold(0, |any, one| any | one)
        == 0
    {
        return Arc::clone(x);
    }
    let values = numbers.values();
    let fine = BooleanBuffer::collect_bool(values.len(), |row| values[row].is_finite());
    let nulls = NullBuffer::union(numbers.nulls(), Some(&NullBuffer::new(fine)));
    Arc::new(Float64Array::new(values.clone(), nulls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_null() {
        let x: ArrayRef = Arc::new(Float64Array::from(vec![
            Some(1.0),
            Some(f64::NAN),
            None,
            Some(f64::NEG_INFINITY),
            Some(-0.0),
        ]));
        let expected = Float64Array::from(vec![Some(1.0), None, None, None, Some(-0.0)]);
        assert_eq!(finite(&x).as_primitive::<Float64Type>(), &expected);
        let fine: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None]));
        assert!(Arc::ptr_eq(&finite(&fine), &fine));
    }
}
