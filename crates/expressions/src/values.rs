//! Constants: numbers and texts as written, parameters, and their way to and from the vocabulary's values.

use arrow_schema::DataType;
use dataflow_core::Value;
use datafusion_common::ScalarValue;

/// A number as written, perhaps with a sign.
pub(crate) fn number(text: &str) -> Result<ScalarValue, String> {
    let digits = text.replace('_', "");
    if digits.contains(['.', 'e', 'E']) {
        let parsed: Result<f64, _> = digits.parse();
        return match parsed {
            Ok(x) if x.is_finite() => Ok(ScalarValue::Float64(Some(x))),
            _ => Err(format!(
                "`{text}` is not a number that a 64-bit float can hold"
            )),
        };
    }
    if let Ok(n) = digits.parse::<i64>() {
        return Ok(ScalarValue::Int64(Some(n)));
    }
    match digits.parse::<u64>() {
        Ok(n) => Ok(ScalarValue::UInt64(Some(n))),
        Err(_) => Err(format!(
            "`{text}` does not fit into 64 bits: write `{text}.0` for a float, or cast('{text}' as decimal(38, 0))"
        )),
    }
}

/// A parameter's value as a constant.
pub(crate) fn scalar(value: &Value) -> Result<ScalarValue, String> {
    Ok(match value {
        Value::Null => ScalarValue::Null,
        Value::Boolean(b) => ScalarValue::Boolean(Some(*b)),
        Value::Integer(n) => ScalarValue::Int64(Some(*n)),
        Value::Float(x) => ScalarValue::Float64(Some(*x)),
        Value::Text(text) => ScalarValue::Utf8(Some(text.clone())),
        Value::List(values) => {
            let values = values.iter().map(scalar).collect::<Result<Vec<_>, _>>()?;
            list(&values)?
        }
    })
}

/// Several constants as one list; whole numbers among others become floats.
pub(crate) fn list(values: &[ScalarValue]) -> Result<ScalarValue, String> {
    let mut types: Vec<DataType> = values
        .iter()
        .map(ScalarValue::data_type)
        .filter(|t| *t != DataType::Null)
        .collect();
    types.dedup();
    let item = match types.as_slice() {
        [] => DataType::Int64,
        [one] => one.clone(),
        many if many.iter().all(DataType::is_numeric) => DataType::Float64,
        _ => return Err("the values of a list need one type".into()),
    };
    let cast = values.iter().map(|value| value.cast_to(&item));
    let cast = cast
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    Ok(ScalarValue::List(ScalarValue::new_list_nullable(
        &cast, &item,
    )))
}

/// The constants in a list.
pub(crate) fn items(value: &ScalarValue) -> Option<Vec<ScalarValue>> {
    let ScalarValue::List(list) = value else {
        return None;
    };
    let items = list.values();
    (0..items.len())
        .map(|i| ScalarValue::try_from_array(items, i).ok())
        .collect()
}

/// A constant as a value of the vocabulary. Dates and time stamps become the number that their own type counts in.
pub(crate) fn value(scalar: &ScalarValue) -> Option<Value> {
    if scalar.is_null() {
        return Some(Value::Null);
    }
    Some(match scalar {
        ScalarValue::Boolean(Some(b)) => Value::Boolean(*b),
        ScalarValue::Utf8(Some(text))
        | ScalarValue::LargeUtf8(Some(text))
        | ScalarValue::Utf8View(Some(text)) => Value::Text(text.clone()),
        ScalarValue::Float32(Some(x)) => Value::Float(f64::from(*x)),
        ScalarValue::Float64(Some(x)) => Value::Float(*x),
        ScalarValue::Int8(Some(n)) => Value::Integer(i64::from(*n)),
        ScalarValue::Int16(Some(n)) => Value::Integer(i64::from(*n)),
        ScalarValue::Int32(Some(n)) | ScalarValue::Date32(Some(n)) => Value::Integer(i64::from(*n)),
        ScalarValue::Int64(Some(n))
        | ScalarValue::Date64(Some(n))
        | ScalarValue::TimestampSecond(Some(n), _)
        | ScalarValue::TimestampMillisecond(Some(n), _)
        | ScalarValue::TimestampMicrosecond(Some(n), _)
        | ScalarValue::TimestampNanosecond(Some(n), _) => Value::Integer(*n),
        ScalarValue::UInt8(Some(n)) => Value::Integer(i64::from(*n)),
        ScalarValue::UInt16(Some(n)) => Value::Integer(i64::from(*n)),
        ScalarValue::UInt32(Some(n)) => Value::Integer(i64::from(*n)),
        ScalarValue::UInt64(Some(n)) => Value::Integer(i64::try_from(*n).ok()?),
        ScalarValue::Dictionary(_, inner) => value(inner)?,
        list @ ScalarValue::List(_) => {
            let items = items(list)?;
            Value::List(items.iter().map(value).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}
