//! A column's type as people say it.

use arrow_schema::DataType;

/// A type in the words of the manual: `text`, `int64`, `timestamp UTC`, `list of float64`. Dictionaries are their values.
pub fn type_word(data_type: &DataType) -> String {
    use DataType::*;
    match data_type {
        Dictionary(_, values) => type_word(values),
        Utf8 | LargeUtf8 | Utf8View => "text".into(),
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => "bytes".into(),
        Date32 | Date64 => "date".into(),
        Time32(_) | Time64(_) => "time".into(),
        Timestamp(_, None) => "timestamp".into(),
        Timestamp(_, Some(zone)) => format!("timestamp {zone}"),
        Decimal32(p, s) | Decimal64(p, s) | Decimal128(p, s) | Decimal256(p, s) => {
            format!("decimal({p}, {s})")
        }
        List(item) | LargeList(item) | FixedSizeList(item, _) => {
            format!("list of {}", type_word(item.data_type()))
        }
        Struct(_) => "struct".into(),
        Map(..) => "map".into(),
        other => other.to_string().to_lowercase(),
    }
}
