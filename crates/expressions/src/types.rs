//! The types that `cast(x as ...)` knows, by their SQL and Arrow names.

use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use sqlparser::ast::{ArrayElemTypeDef, DataType as Sql, ExactNumberInfo, TimezoneInfo};

/// What is offered where a name is unknown.
pub(crate) const OFFERED: &str = "boolean, tinyint, smallint, int, bigint (each also `unsigned`), real, double, decimal(10, 2), text, binary, \
     date, time, timestamp, timestamp(3), timestamp with time zone, interval";

/// The Arrow type that a SQL type stands for. `float` is 64 bits wide, as in PostgreSQL.
pub(crate) fn arrow_type(sql: &Sql) -> Option<DataType> {
    Some(match sql {
        Sql::Bool | Sql::Boolean => DataType::Boolean,
        Sql::TinyInt(_) => DataType::Int8,
        Sql::SmallInt(_) | Sql::Int2(_) | Sql::Int16 => DataType::Int16,
        Sql::Int(_) | Sql::Integer(_) | Sql::Int4(_) | Sql::Int32 | Sql::MediumInt(_) => {
            DataType::Int32
        }
        Sql::BigInt(_) | Sql::Int8(_) | Sql::Int64 | Sql::Signed | Sql::SignedInteger => {
            DataType::Int64
        }
        Sql::TinyIntUnsigned(_) | Sql::UTinyInt | Sql::UInt8 => DataType::UInt8,
        Sql::SmallIntUnsigned(_) | Sql::Int2Unsigned(_) | Sql::USmallInt | Sql::UInt16 => {
            DataType::UInt16
        }
        Sql::IntUnsigned(_) | Sql::IntegerUnsigned(_) | Sql::Int4Unsigned(_) | Sql::UInt32 => {
            DataType::UInt32
        }
        Sql::BigIntUnsigned(_) | Sql::Int8Unsigned(_) | Sql::UBigInt | Sql::UInt64 => {
            DataType::UInt64
        }
        Sql::Unsigned | Sql::UnsignedInteger => DataType::UInt64,
        Sql::Real | Sql::Float4 | Sql::Float32 => DataType::Float32,
        Sql::Float(ExactNumberInfo::Precision(bits)) if *bits <= 24 => DataType::Float32,
        Sql::Float(_) | Sql::Float8 | Sql::Float64 | Sql::Double(_) | Sql::DoublePrecision => {
            DataType::Float64
        }
        Sql::Decimal(digits) | Sql::Numeric(digits) | Sql::Dec(digits) => decimal(digits)?,
        Sql::Text | Sql::String(_) | Sql::Varchar(None) | Sql::CharacterVarying(None) => {
            DataType::Utf8
        }
        Sql::Char(None) | Sql::Clob(None) | Sql::CharVarying(None) => DataType::Utf8,
        Sql::Bytea | Sql::Binary(None) | Sql::Varbinary(None) | Sql::Blob(None) => DataType::Binary,
        Sql::Bytes(None) => DataType::Binary,
        Sql::Date | Sql::Date32 => DataType::Date32,
        Sql::Time(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            DataType::Time64(TimeUnit::Nanosecond)
        }
        Sql::Timestamp(digits, zone) => {
            let zone = match zone {
                TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => None,
                TimezoneInfo::Tz | TimezoneInfo::WithTimeZone => Some("UTC".into()),
            };
            DataType::Timestamp(unit(*digits)?, zone)
        }
        Sql::TimestampNtz(digits) | Sql::Datetime(digits) => {
            DataType::Timestamp(unit(*digits)?, None)
        }
        Sql::Interval { .. } => DataType::Interval(IntervalUnit::MonthDayNano),
        Sql::Array(
            ArrayElemTypeDef::AngleBracket(item)
            | ArrayElemTypeDef::Parenthesis(item)
            | ArrayElemTypeDef::SquareBracket(item, None),
        ) => DataType::new_list(arrow_type(item)?, true),
        Sql::Custom(name, arguments) if arguments.is_empty() => by_name(&name.to_string())?,
        _ => return None,
    })
}

fn by_name(name: &str) -> Option<DataType> {
    Some(match name.to_lowercase().as_str() {
        "utf8" | "str" => DataType::Utf8,
        "long" => DataType::Int64,
        "short" => DataType::Int16,
        "byte" => DataType::Int8,
        "uint" => DataType::UInt32,
        "timestamp_s" => DataType::Timestamp(TimeUnit::Second, None),
        "timestamp_ms" => DataType::Timestamp(TimeUnit::Millisecond, None),
        "timestamp_us" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamp_ns" => DataType::Timestamp(TimeUnit::Nanosecond, None),
        _ => return None,
    })
}

fn unit(digits: Option<u64>) -> Option<TimeUnit> {
    match digits {
        Some(0) => Some(TimeUnit::Second),
        Some(3) => Some(TimeUnit::Millisecond),
        Some(6) => Some(TimeUnit::Microsecond),
        None | Some(9) => Some(TimeUnit::Nanosecond),
        Some(_) => None,
    }
}

fn decimal(digits: &ExactNumberInfo) -> Option<DataType> {
    let (precision, scale) = match digits {
        ExactNumberInfo::None => (38, 10),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    let precision = u8::try_from(precision)
        .ok()
        .filter(|p| (1..=38).contains(p))?;
    let scale = i8::try_from(scale).ok().filter(|s| *s >= 0)?;
    (scale.unsigned_abs() <= precision).then_some(DataType::Decimal128(precision, scale))
}
