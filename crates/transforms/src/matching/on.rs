//! The columns in which rows of two inputs must be equal to match, each pair compared in a type that holds both exactly.

use arrow_array::{Array, ArrayRef, BinaryArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};
use dataflow_core::order::Keys;
use dataflow_core::transform::Input;
use dataflow_core::words::type_word;
use dataflow_core::{BadRows, Batch, Check, Located, Result};
use dataflow_expressions::{Failure, reject_once};

use crate::columns::{column, in_type, plain_type};
use crate::config::{By, column_index};

/// Pairs of columns, one of the main input and one of the table.
#[derive(Clone, Debug)]
pub(crate) struct KeyPairs {
    /// The names, of the main input and of the table.
    names: [Vec<String>; 2],
    /// The types in which they are compared.
    types: Vec<DataType>,
}

impl KeyPairs {
    /// Checks what stands in `on`: columns of both, or a table of the main input's columns and the table's.
    pub(crate) fn check(
        on: &By,
        (main, table): (&Input, &Input),
        check: &mut Check<'_>,
    ) -> Option<Self> {
        let written: Vec<(Located<String>, Located<String>)> = match on {
            By::Columns(columns) => columns.iter().map(|c| (c.clone(), c.clone())).collect(),
            By::Named(lines) => lines.0.clone(),
        };
        if written.is_empty() {
            check.error("`on` names no columns that are to be equal");
            return None;
        }
        let mut pairs = Self {
            names: [Vec::new(), Vec::new()],
            types: Vec::new(),
        };
        let mut whole = true;
        for (here, there) in &written {
            let at = column_index(here, &main.schema, check);
            let other = Self::of_table(there, table, check);
            let (Some(at), Some(other)) = (at, other) else {
                whole = false;
                continue;
            };
            let of_main = main.schema.field(at).data_type();
            let of_table = table.schema.field(other).data_type();
            match comparable(of_main, of_table) {
                Some(data_type) => {
                    pairs.names[0].push(here.value.clone());
                    pairs.names[1].push(there.value.clone());
                    pairs.types.push(data_type);
                }
                None => {
                    let message = format!(
                        "`{}` is of type {} and `{}` of the table of type {}, which cannot be compared exactly",
                        here.value,
                        type_word(&plain_type(of_main)),
                        there.value,
                        type_word(&plain_type(of_table))
                    );
                    let help = "cast one of them to the other's type, in a `select` before";
                    check.error_at(there, message, Some(help.into()));
                    whole = false;
                }
            }
        }
        whole.then_some(pairs)
    }

    fn of_table(name: &Located<String>, table: &Input, check: &mut Check<'_>) -> Option<usize> {
        let fields = table.schema.fields();
        let found = fields.iter().position(|field| *field.name() == name.value);
        if found.is_none() {
            let names = || fields.iter().map(|field| field.name().as_str());
            let help = dataflow_core::problem::did_you_mean(name, names()).unwrap_or_else(|| {
                let listed: Vec<String> = names().take(20).map(|n| format!("`{n}`")).collect();
                format!(
                    "its columns are {}; where they have other names, write `on = {{ here = \"there\" }}`",
                    listed.join(", ")
                )
            });
            let from = table.from.join(", ");
            let message = format!("the table `{from}` has no column `{}`", name.value);
            check.error_at(name, message, Some(help));
        }
        found
    }

    /// The names of an input's columns.
    pub(crate) fn names(&self, input: usize) -> &[String] {
        &self.names[input]
    }

    /// The types in which columns are compared.
    pub(crate) fn types(&self) -> &[DataType] {
        &self.types
    }

    /// The keys of an input's rows.
    ///
    /// # Errors
    /// Never: types without an order are refused by [`KeyPairs::check`].
    pub(crate) fn side(&self, input: usize) -> Result<SideKeys> {
        Ok(SideKeys {
            names: self.names[input].clone(),
            types: self.types.clone(),
            keys: Keys::ascending(&self.types)?,
        })
    }

    /// In words: `day = date and node`.
    pub(crate) fn explained(&self) -> String {
        let pairs = self.names[0].iter().zip(&self.names[1]);
        let words = pairs.map(|(here, there)| match here == there {
            true => here.clone(),
            false => format!("{here} = {there}"),
        });
        words.collect::<Vec<_>>().join(" and ")
    }
}

/// The type in which values of both types can be compared exactly; none if there is no such.
fn comparable(a: &DataType, b: &DataType) -> Option<DataType> {
    let (a, b) = (plain_type(a), plain_type(b));
    let found = match (&a, &b) {
        _ if a == b => a,
        (DataType::Null, other) | (other, DataType::Null) => other.clone(),
        _ if is_text(&a) && is_text(&b) => {
            match a == DataType::LargeUtf8 || b == DataType::LargeUtf8 {
                true => DataType::LargeUtf8,
                false => DataType::Utf8,
            }
        }
        (DataType::Date32 | DataType::Date64, DataType::Date32 | DataType::Date64) => {
            DataType::Date64
        }
        (DataType::Timestamp(one, zone), DataType::Timestamp(other, other_zone)) => {
            if zone.is_some() != other_zone.is_some() {
                return None;
            }
            DataType::Timestamp(finer(*one, *other), zone.clone())
        }
        _ if a.is_floating() || b.is_floating() => floats(&a, &b)?,
        _ => integers(&a, &b)?,
    };
    Keys::ascending(std::slice::from_ref(&found))
        .is_ok()
        .then_some(found)
}

fn is_text(data_type: &DataType) -> bool {
    use DataType::{LargeUtf8, Utf8, Utf8View};
    matches!(data_type, Utf8 | LargeUtf8 | Utf8View)
}

fn finer(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    let units = [
        TimeUnit::Nanosecond,
        TimeUnit::Microsecond,
        TimeUnit::Millisecond,
    ];
    let found = units.into_iter().find(|unit| [a, b].contains(unit));
    found.unwrap_or(TimeUnit::Second)
}

/// A double holds every float, and every integer of up to 32 bits.
fn floats(a: &DataType, b: &DataType) -> Option<DataType> {
    let fits = |data_type: &DataType| {
        let whole = whole_digits(data_type).is_some_and(|digits| digits <= 10);
        data_type.is_floating() || (data_type.is_integer() && whole)
    };
    (fits(a) && fits(b)).then_some(DataType::Float64)
}

/// Integers in 64 bits where that is enough, else decimals.
fn integers(a: &DataType, b: &DataType) -> Option<DataType> {
    if !is_exact(a) || !is_exact(b) {
        return None;
    }
    let fits = |t: &DataType| t.is_signed_integer() || (t.is_integer() && *t != DataType::UInt64);
    if fits(a) && fits(b) {
        return Some(DataType::Int64);
    }
    if a.is_unsigned_integer() && b.is_unsigned_integer() {
        return Some(DataType::UInt64);
    }
    let scale = scale(a).max(scale(b));
    let digits = whole_digits(a)?.max(whole_digits(b)?) + i16::from(scale);
    match digits {
        ..=38 => Some(DataType::Decimal128(digits as u8, scale)),
        39..=76 => Some(DataType::Decimal256(digits as u8, scale)),
        _ => None,
    }
}

fn is_exact(data_type: &DataType) -> bool {
    use DataType::{Decimal128, Decimal256};
    data_type.is_integer() || matches!(data_type, Decimal128(..) | Decimal256(..))
}

fn scale(data_type: &DataType) -> i8 {
    match data_type {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => (*scale).max(0),
        _ => 0,
    }
}

/// How many digits there may be before the point.
fn whole_digits(data_type: &DataType) -> Option<i16> {
    Some(match data_type {
        DataType::Int8 | DataType::UInt8 => 3,
        DataType::Int16 | DataType::UInt16 => 5,
        DataType::Int32 | DataType::UInt32 => 10,
        DataType::Int64 => 19,
        DataType::UInt64 => 20,
        DataType::Decimal128(digits, scale) | DataType::Decimal256(digits, scale) => {
            i16::from(*digits) - i16::from(*scale)
        }
        _ => return None,
    })
}

/// Finds the keys of an input's rows.
pub(crate) struct SideKeys {
    names: Vec<String>,
    types: Vec<DataType>,
    keys: Keys,
}

/// Rows whose keys are known.
pub(crate) struct WithKeys {
    /// The rows that did not fail.
    pub(crate) batch: Batch,
    /// Their keys, as bytes that compare as the keys do.
    pub(crate) bytes: BinaryArray,
    /// Which rows have a null in their key, if some have: they match nothing.
    pub(crate) nulls: Option<NullBuffer>,
    /// The rows whose key cannot be compared.
    pub(crate) bad: BadRows,
}

impl SideKeys {
    /// Takes the rows out whose keys cannot be compared, and finds the keys of the others.
    ///
    /// # Errors
    /// When a column is missing.
    pub(crate) fn of(&self, batch: Batch) -> Result<WithKeys> {
        let mut keys = Vec::with_capacity(self.names.len());
        let mut failed = Vec::new();
        for (name, data_type) in self.names.iter().zip(&self.types) {
            let values = column(batch.rows(), name)?;
            let compared = in_type(&values, data_type)?;
            failed.extend(lost(name, &values, &compared));
            keys.push(compared);
        }
        let (batch, bad, kept) = match failed.is_empty() {
            true => (batch, Vec::new(), None),
            false => reject_once(&batch, failed)?,
        };
        if let Some(kept) = kept {
            keys = arrow_select::take::take_arrays(&keys, &kept, None)?;
        }
        let nulls = keys.iter().fold(None, |nulls, key| {
            NullBuffer::union(nulls.as_ref(), key.logical_nulls().as_ref())
        });
        Ok(WithKeys {
            batch,
            bytes: self.keys.encode(&keys)?,
            nulls: nulls.filter(|nulls| nulls.null_count() > 0),
            bad,
        })
    }
}

/// The rows whose value has no place in the type in which it is compared.
pub(crate) fn lost<'a>(
    name: &'a str,
    values: &'a ArrayRef,
    compared: &'a ArrayRef,
) -> impl Iterator<Item = Failure> + 'a {
    let before = values.logical_nulls();
    let count = before.as_ref().map_or(0, NullBuffer::null_count);
    let rows = if compared.null_count() > count {
        0..values.len()
    } else {
        0..0
    };
    let was_null = move |row: usize| before.as_ref().is_some_and(|nulls| nulls.is_null(row));
    let lost = rows.filter(move |row| compared.is_null(*row) && !was_null(*row));
    lost.map(move |row| Failure {
        row: row as u32,
        reason: "cast",
        message: format!(
            "`{name}` is outside of what a {} can hold, in which it is compared with the other side",
            compared.data_type()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_meet_where_both_are_exact() {
        use DataType::*;
        let dictionary = Dictionary(Box::new(Int32), Box::new(Utf8));
        let zoned = |unit, zone: &str| Timestamp(unit, Some(zone.into()));
        for (a, b, expected) in [
            (Int32, Int64, Some(Int64)),
            (UInt8, Int16, Some(Int64)),
            (UInt64, UInt32, Some(UInt64)),
            (UInt64, Int8, Some(Decimal128(20, 0))),
            (Int64, Decimal128(10, 2), Some(Decimal128(21, 2))),
            (
                Decimal128(38, 0),
                Decimal128(38, 30),
                Some(Decimal256(68, 30)),
            ),
            (Int32, Float32, Some(Float64)),
            (UInt32, Float64, Some(Float64)),
            (Float32, Float64, Some(Float64)),
            (Int64, Float64, None),
            (Decimal128(3, 1), Float64, None),
            (dictionary.clone(), Utf8, Some(Utf8)),
            (dictionary, LargeUtf8, Some(LargeUtf8)),
            (Utf8, Int32, None),
            (Boolean, Int8, None),
            (Boolean, Boolean, Some(Boolean)),
            (Date32, Date64, Some(Date64)),
            (Date32, Timestamp(TimeUnit::Second, None), None),
            (
                zoned(TimeUnit::Second, "UTC"),
                zoned(TimeUnit::Microsecond, "+01:00"),
                Some(zoned(TimeUnit::Microsecond, "UTC")),
            ),
            (
                zoned(TimeUnit::Second, "UTC"),
                Timestamp(TimeUnit::Second, None),
                None,
            ),
            (Null, Int32, Some(Int32)),
        ] {
            assert_eq!(comparable(&a, &b), expected, "{a} and {b}");
            let back = comparable(&b, &a).map(|t| matches!(t, Timestamp(..)));
            assert_eq!(back, expected.map(|t| matches!(t, Timestamp(..))));
        }
    }
}
