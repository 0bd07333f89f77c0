//! Numbers from text.

use arrow_array::ArrowPrimitiveType;
use arrow_array::types::*;
use arrow_schema::DataType;

use super::primitive::{Booleans, Parse, Primitive};
use super::{Column, Style};

/// A whole number as its sign and size.
#[inline]
fn magnitude(text: &[u8]) -> Option<(bool, u64)> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_u64;
    if digits.len() < 20 {
        // 19 digits cannot overflow.
        for byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            value = value * 10 + u64::from(digit);
        }
        return Some((negative, value));
    }
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some((negative, value))
}

/// A whole number type.
pub(crate) trait Whole: ArrowPrimitiveType {
    /// The number with this sign and size, if the type has it.
    fn made(negative: bool, size: u64) -> Option<Self::Native>;
    /// A wide number, if the type has it.
    fn narrowed(wide: i128) -> Option<Self::Native>;
    /// The type's name.
    const NAME: &'static str;
}

macro_rules! whole {
    ($($arrow:ty, $native:ty, $signed:literal, $name:literal;)*) => {$(
        impl Whole for $arrow {
            const NAME: &'static str = $name;

            #[inline]
            fn made(negative: bool, size: u64) -> Option<$native> {
                if !negative {
                    <$native>::try_from(size).ok()
                } else if $signed && size <= <$native>::MIN.abs_diff(0) as u64 {
                    Some((size as $native).wrapping_neg())
                } else {
                    (size == 0).then_some(0)
                }
            }

            fn narrowed(wide: i128) -> Option<$native> {
                wide.try_into().ok()
            }
        }
    )*};
}

whole! {
    Int8Type, i8, true, "int8";
    Int16Type, i16, true, "int16";
    Int32Type, i32, true, "int32";
    Int64Type, i64, true, "int64";
    UInt8Type, u8, false, "uint8";
    UInt16Type, u16, false, "uint16";
    UInt32Type, u32, false, "uint32";
    UInt64Type, u64, false, "uint64";
}

struct Integers<T>(std::marker::PhantomData<fn() -> T>);

impl<T: Whole> Parse for Integers<T> {
    type Arrow = T;
    const REASON: &'static str = "number";

    #[inline]
    fn parse(&self, text: &[u8]) -> Option<T::Native> {
        match magnitude(text) {
            Some((negative, size)) => T::made(negative, size),
            None => whole_by_value(text).and_then(T::narrowed),
        }
    }

    fn expected(&self) -> String {
        format!("a whole number (type {})", T::NAME)
    }
}

/// `1.0` and `1e3` are whole numbers too.
#[cold]
fn whole_by_value(text: &[u8]) -> Option<i128> {
    text.first()?;
    decimal(text, 38, 0, b'.')
}

/// Whether the text is a whole number, and whether an int64 can hold it.
pub(crate) fn fits_integer(text: &[u8]) -> Option<bool> {
    let digits = text
        .strip_prefix(b"-")
        .or(text.strip_prefix(b"+"))
        .unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let fits = magnitude(text).and_then(|(negative, size)| Int64Type::made(negative, size));
    Some(fits.is_some())
}

const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// A number, correctly rounded; also `inf`, `infinity` and `nan` in any case.
///
/// Up to 19 digits whose value fits 53 bits, with a small power of ten, need one exact multiplication or division
/// (Clinger, "How to read floating point numbers accurately", 1990). The rest goes to `fast-float2`.
#[inline]
fn float(text: &[u8]) -> Option<f64> {
    match clinger(text) {
        Some(value) => Some(value),
        None => fast_float2::parse(text).ok(),
    }
}

#[inline]
fn clinger(text: &[u8]) -> Option<f64> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut size = 0_u64;
    let before = digits(text, &mut size);
    let (mut used, mut count, mut power) = (before, before, 0);
    if text.get(before) == Some(&b'.') {
        let behind = digits(&text[before + 1..], &mut size);
        used += 1 + behind;
        count += behind;
        power = -(behind as i32);
    }
    if count == 0 || count > 19 || size > 1 << 53 {
        return None;
    }
    if used < text.len() {
        power += exponent(&text[used..])?;
    }
    let value = match power {
        -22..0 => size as f64 / POWERS[-power as usize],
        0..=22 => size as f64 * POWERS[power as usize],
        _ => return None,
    };
    Some(if negative { -value } else { value })
}

/// Adds leading digits to `size`; how many.
#[inline]
fn digits(text: &[u8], size: &mut u64) -> usize {
    for (i, byte) in text.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return i;
        }
        *size = size.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    text.len()
}

/// `e-05`: all of it.
fn exponent(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match text {
        [b'e' | b'E', b'-', digits @ ..] => (true, digits),
        [b'e' | b'E', b'+', digits @ ..] | [b'e' | b'E', digits @ ..] => (false, digits),
        _ => return None,
    };
    if digits.is_empty() || digits.len() > 6 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits
        .iter()
        .fold(0, |size, d| size * 10 + i32::from(d - b'0'));
    Some(if negative { -size } else { size })
}

/// Whether the text is a number.
pub(crate) fn float_like(text: &[u8], comma: bool) -> bool {
    if comma {
        return dotted(text, float).is_some();
    }
    float(text).is_some()
}

struct Doubles;

impl Parse for Doubles {
    type Arrow = Float64Type;
    const REASON: &'static str = "number";

    #[inline]
    fn parse(&self, text: &[u8]) -> Option<f64> {
        float(text)
    }

    fn expected(&self) -> String {
        "a number (type float64)".to_string()
    }
}

struct Singles {
    comma: bool,
}

impl Parse for Singles {
    type Arrow = Float32Type;
    const REASON: &'static str = "number";

    fn parse(&self, text: &[u8]) -> Option<f32> {
        if self.comma {
            return dotted(text, |text| fast_float2::parse(text).ok());
        }
        fast_float2::parse(text).ok()
    }

    fn expected(&self) -> String {
        "a number (type float32)".to_string()
    }
}

/// Doubles written with a decimal comma.
struct CommaDoubles;

impl Parse for CommaDoubles {
    type Arrow = Float64Type;
    const REASON: &'static str = "number";

    fn parse(&self, text: &[u8]) -> Option<f64> {
        dotted(text, float)
    }

    fn expected(&self) -> String {
        "a number with a decimal comma (type float64)".to_string()
    }
}

/// Applies `parse` to the text with its decimal comma as a dot. A dot in the text makes it no number.
fn dotted<T>(text: &[u8], parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    let mut copy = [0; 64];
    if text.len() > copy.len() || text.contains(&b'.') {
        return None;
    }
    let copy = &mut copy[..text.len()];
    copy.copy_from_slice(text);
    if let Some(comma) = copy.iter().position(|byte| *byte == b',') {
        copy[comma] = b'.';
    }
    parse(copy)
}

struct Decimals {
    precision: u8,
    scale: i8,
    mark: u8,
}

impl Parse for Decimals {
    type Arrow = Decimal128Type;
    const REASON: &'static str = "number";

    fn parse(&self, text: &[u8]) -> Option<i128> {
        decimal(text, self.precision, self.scale, self.mark)
    }

    fn data_type(&self) -> DataType {
        DataType::Decimal128(self.precision, self.scale)
    }

    fn expected(&self) -> String {
        format!(
            "a number of at most {} digits, {} of them behind the decimal mark (type decimal)",
            self.precision, self.scale
        )
    }
}

/// An exact decimal, times ten to the `scale`. Digits that would be lost make it none.
fn decimal(text: &[u8], precision: u8, scale: i8, mark: u8) -> Option<i128> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mut size = 0_i128;
    let mut power = i32::from(scale);
    let (mut any, mut behind, mut used) = (false, false, 0);
    for byte in text {
        match byte {
            b'0'..=b'9' => {
                any = true;
                let digit = i128::from(byte - b'0');
                match size.checked_mul(10).and_then(|s| s.checked_add(digit)) {
                    Some(grown) => {
                        size = grown;
                        power -= i32::from(behind);
                    }
                    // Zeros behind the mark say nothing, however many; a digit behind them overflows again.
                    None if behind && digit == 0 => {}
                    None => return None,
                }
            }
            byte if *byte == mark && !behind => behind = true,
            _ => break,
        }
        used += 1;
    }
    if used < text.len() {
        power += exponent(&text[used..])?;
    }
    if !any {
        return None;
    }
    let scaled = scaled(size, power)?;
    let fits = scaled < 10_i128.pow(u32::from(precision.min(38)));
    fits.then_some(if negative { -scaled } else { scaled })
}

/// `size` times ten to the `power`, if that is whole.
fn scaled(size: i128, power: i32) -> Option<i128> {
    if size == 0 {
        return Some(0);
    }
    let factor = 10_i128.checked_pow(power.unsigned_abs())?;
    if power >= 0 {
        return size.checked_mul(factor);
    }
    (size % factor == 0).then_some(size / factor)
}

/// A builder for a column of numbers or booleans.
pub(super) fn column(data_type: &DataType, style: Style<'_>) -> Option<Box<dyn Column>> {
    fn integers<T: Whole>() -> Box<dyn Column> {
        Primitive::boxed(Integers::<T>(std::marker::PhantomData))
    }
    Some(match data_type {
        DataType::Int8 => integers::<Int8Type>(),
        DataType::Int16 => integers::<Int16Type>(),
        DataType::Int32 => integers::<Int32Type>(),
        DataType::Int64 => integers::<Int64Type>(),
        DataType::UInt8 => integers::<UInt8Type>(),
        DataType::UInt16 => integers::<UInt16Type>(),
        DataType::UInt32 => integers::<UInt32Type>(),
        DataType::UInt64 => integers::<UInt64Type>(),
        DataType::Float32 => Primitive::boxed(Singles { comma: style.comma }),
        DataType::Float64 if style.comma => Primitive::boxed(CommaDoubles),
        DataType::Float64 => Primitive::boxed(Doubles),
        DataType::Decimal128(precision, scale) => Primitive::boxed(Decimals {
            precision: *precision,
            scale: *scale,
            mark: if style.comma { b',' } else { b'.' },
        }),
        DataType::Boolean => Booleans::boxed(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_numbers() {
        fn int<T: Whole>(text: &str) -> Option<T::Native> {
            Integers::<T>(std::marker::PhantomData).parse(text.as_bytes())
        }
        for (text, expected) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("+7", Some(7)),
            ("007", Some(7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("99999999999999999999999", None),
            ("1.0", Some(1)),
            ("1e3", Some(1000)),
            ("1.5", None),
            ("", None),
            ("-", None),
            ("1 ", None),
            ("1_000", None),
        ] {
            assert_eq!(int::<Int64Type>(text), expected, "{text}");
        }
        assert_eq!(
            (int::<Int8Type>("-128"), int::<Int8Type>("128")),
            (Some(-128), None)
        );
        assert_eq!(
            (int::<UInt8Type>("255"), int::<UInt8Type>("-1")),
            (Some(255), None)
        );
        assert_eq!(int::<UInt64Type>("18446744073709551615"), Some(u64::MAX));
    }

    #[test]
    fn decimals_lose_nothing() {
        for (text, precision, scale, expected) in [
            ("12.345", 10, 3, Some(12_345)),
            ("-12.3", 10, 3, Some(-12_300)),
            (
                "12.3450000000000000000000000000000000000000000",
                10,
                3,
                Some(12_345),
            ),
            ("12.3456", 10, 3, None),
            ("1e2", 10, 1, Some(1000)),
            ("1500", 10, -2, Some(15)),
            ("1550", 10, -2, None),
            ("9999", 4, 0, Some(9999)),
            ("10000", 4, 0, None),
            (
                "99999999999999999999999999999999999999",
                38,
                0,
                Some(10_i128.pow(38) - 1),
            ),
            ("0.0", 3, 0, Some(0)),
            (".5", 3, 1, Some(5)),
            (".", 3, 1, None),
            ("", 3, 1, None),
            ("1.2.3", 9, 3, None),
            ("1e999999", 9, 3, None),
            ("0e999999", 9, 3, Some(0)),
        ] {
            assert_eq!(
                decimal(text.as_bytes(), precision, scale, b'.'),
                expected,
                "{text}"
            );
        }
        assert_eq!(decimal(b"1,5", 3, 1, b','), Some(15));
    }

    fn number_like() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<f64>().prop_map(|x| format!("{x}")),
            any::<f64>().prop_map(|x| format!("{x:e}")),
            any::<f32>().prop_map(|x| format!("{x:.3}")),
            "[+-]?[0-9]{0,22}(\\.[0-9]{0,22})?([eE][+-]?[0-9]{0,3})?",
            "(?i)[+-]?(nan|inf|infinity|infinit|\\.|e5|\\.e5|1\\.e5)",
        ]
    }

    proptest! {
        #[test]
        fn floats_are_those_of_the_standard_library(text in number_like()) {
            let reference = text.parse::<f64>().ok();
            let got = float(text.as_bytes());
            prop_assert_eq!(got.map(f64::to_bits), reference.map(f64::to_bits), "{}", text);
        }

        #[test]
        fn integers_are_those_of_the_standard_library(text in "[+-]?[0-9]{0,21}") {
            let got = magnitude(text.as_bytes()).and_then(|(negative, size)| Int64Type::made(negative, size));
            prop_assert_eq!(got, text.parse::<i64>().ok());
            let got = magnitude(text.as_bytes()).and_then(|(negative, size)| UInt16Type::made(negative, size));
            let reference = text.parse::<i64>().ok().and_then(|n| u16::try_from(n).ok());
            prop_assert_eq!(got, reference);
        }
    }
}
