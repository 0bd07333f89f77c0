//! The exact sum and the count of each group: what `sum` and `mean` read.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Decimal256Type, Float64Type, Int64Type, UInt64Type};
use arrow_array::{ArrayRef, Decimal128Array, Decimal256Array, Int64Array, UInt64Array};
use arrow_buffer::i256;
use arrow_schema::DataType;
use dataflow_core::accumulator::{Accepted, Call, CallProblem, Reading};
use dataflow_core::{Error, Places, Result};
use num_bigint::{BigInt, BigUint, Sign};

use super::bytes::{Tally, in_bytes, values};
use super::not_numbers;
use super::ratio::scaled;
use super::rows::present;
use crate::exact::{Counts, Sums};
use crate::states::options::Options;

/// The type that a column is summed in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Float,
    Signed,
    Unsigned,
    Decimal(u8, i8),
    LongDecimal(u8, i8),
}

impl Kind {
    fn of(data_type: &DataType) -> Option<Self> {
        use DataType::*;
        Some(match data_type {
            Float16 | Float32 | Float64 | Null => Self::Float,
            Int8 | Int16 | Int32 | Int64 => Self::Signed,
            UInt8 | UInt16 | UInt32 | UInt64 => Self::Unsigned,
            Decimal32(p, s) | Decimal64(p, s) | Decimal128(p, s) => Self::Decimal(*p, *s),
            Decimal256(p, s) => Self::LongDecimal(*p, *s),
            _ => return None,
        })
    }

    fn column(self) -> DataType {
        match self {
            Self::Float => DataType::Float64,
            Self::Signed => DataType::Int64,
            Self::Unsigned => DataType::UInt64,
            Self::Decimal(p, s) => DataType::Decimal128(p, s),
            Self::LongDecimal(p, s) => DataType::Decimal256(p, s),
        }
    }

    fn sum(self) -> DataType {
        match self {
            Self::Decimal(p, s) => DataType::Decimal128((p + 10).min(38), s),
            Self::LongDecimal(p, s) => DataType::Decimal256((p + 10).min(76), s),
            other => other.column(),
        }
    }

    fn mean(self) -> DataType {
        match self {
            Self::Decimal(p, s) => {
                let more = 4.min(38 - p);
                DataType::Decimal128(p + more, s + more as i8)
            }
            Self::LongDecimal(p, s) => {
                let more = 4.min(76 - p);
                DataType::Decimal256(p + more, s + more as i8)
            }
            _ => DataType::Float64,
        }
    }
}

/// Checks a call of `sum` or `mean`.
pub(crate) fn accept(
    call: &Call,
    what: &'static str,
    usage: &'static str,
) -> Result<Accepted, CallProblem> {
    let options = Options::of(call, 1, usage)?;
    let data_type = options.column(0);
    options.end()?;
    let kind = Kind::of(&data_type).ok_or_else(|| not_numbers(&data_type))?;
    let output = if what == "sum" {
        kind.sum()
    } else {
        kind.mean()
    };
    let make = move || Total::new(kind, 0);
    let coerce = vec![kind.column()];
    Ok(in_bytes("sum", Reading::of(what), output, coerce, make))
}

struct Total {
    kind: Kind,
    counts: Counts,
    sums: Sums,
}

impl Total {
    fn new(kind: Kind, groups: usize) -> Self {
        let sums = match kind {
            Kind::Float => Sums::of_floats(),
            _ => Sums::of_integers(),
        };
        let mut made = Self {
            kind,
            counts: Counts::default(),
            sums,
        };
        made.resize(groups);
        made
    }

    fn float(&self, reading: &Reading, group: usize) -> Option<f64> {
        let count = self.counts.of(group);
        if count == 0 {
            return None;
        }
        let strange = self.sums.strange(group);
        Some(strange.unwrap_or_else(|| match reading.what {
            "sum" => self.sums.number(group).to_f64(),
            _ => self.sums.number(group).divided_by(count),
        }))
    }

    /// The sum, if the group has values, in a type that may be too small for it.
    fn whole<T: TryFrom<i128>>(&self, group: usize) -> Result<Option<T>> {
        if self.counts.of(group) == 0 {
            return Ok(None);
        }
        let sum = self.sums.number(group).integer();
        let fits = sum.and_then(|sum| T::try_from(sum).ok());
        fits.map(Some).ok_or_else(|| self.overflow())
    }

    /// The sum or mean of decimals as a whole number of units of the output's scale.
    fn decimal(&self, group: usize, more: u32, mean: bool, digits: u8) -> Result<Option<BigInt>> {
        let count = self.counts.of(group);
        if count == 0 {
            return Ok(None);
        }
        let sum = scaled(&self.sums.number(group), 0);
        let value = match mean {
            true => to_even(sum * BigInt::from(10).pow(more), count),
            false => sum,
        };
        if *value.magnitude() >= BigUint::from(10_u32).pow(u32::from(digits)) {
            return Err(self.overflow());
        }
        Ok(Some(value))
    }

    fn overflow(&self) -> Error {
        let (name, way_out) = match self.kind {
            Kind::Signed => ("Int64", "cast the column to `decimal(38, 0)` or `double`"),
            Kind::Unsigned => ("UInt64", "cast the column to `decimal(38, 0)` or `double`"),
            _ => ("decimal of its precision", "cast the column to `double`"),
        };
        Error::data(format!("the sum is larger than any {name}")).help(way_out)
    }

    fn decimals(&self, reading: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        let mean = reading.what == "mean";
        let output = if mean {
            self.kind.mean()
        } else {
            self.kind.sum()
        };
        let (Kind::Decimal(_, from) | Kind::LongDecimal(_, from)) = self.kind else {
            return Err(Error::internal("this sum is not of decimals"));
        };
        let value = |group: &u32, digits: u8, scale: i8| {
            let more = (i32::from(scale) - i32::from(from)) as u32;
            self.decimal(*group as usize, more, mean, digits)
        };
        let groups = groups.iter();
        Ok(match output {
            DataType::Decimal128(digits, scale) => {
                let short = |value: Option<BigInt>| value.and_then(|v| i128::try_from(v).ok());
                let values = groups.map(|group| Ok(short(value(group, digits, scale)?)));
                let column: Decimal128Array = values.collect::<Result<_>>()?;
                Arc::new(column.with_precision_and_scale(digits, scale)?)
            }
            DataType::Decimal256(digits, scale) => {
                let values = groups.map(|group| Ok(value(group, digits, scale)?.map(long)));
                let column: Decimal256Array = values.collect::<Result<_>>()?;
                Arc::new(column.with_precision_and_scale(digits, scale)?)
            }
            other => return Err(Error::internal(format!("{other} is not a decimal"))),
        })
    }
}

/// The nearest whole number to a quotient; halves go to the even one.
fn to_even(above: BigInt, below: u64) -> BigInt {
    let (sign, size) = above.into_parts();
    let below = BigUint::from(below);
    let mut quotient = &size / &below;
    let twice = (&size - &quotient * &below) * 2_u32;
    if twice > below || (twice == below && quotient.bit(0)) {
        quotient += 1_u32;
    }
    BigInt::from_biguint(sign, quotient)
}

/// A whole number that has at most 76 digits.
fn long(value: BigInt) -> i256 {
    let fill = if value.sign() == Sign::Minus { 0xff } else { 0 };
    let mut bytes = [fill; 32];
    for (to, from) in bytes.iter_mut().zip(value.to_signed_bytes_le()) {
        *to = from;
    }
    i256::from_le_bytes(bytes)
}

impl Tally for Total {
    fn resize(&mut self, groups: usize) {
        self.counts.resize(groups);
        self.sums.resize(groups);
    }

    fn add(&mut self, groups: Option<&[u32]>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        let (column, counts, sums) = (&columns[0], &mut self.counts, &mut self.sums);
        match self.kind {
            Kind::Float => present(groups, column.as_primitive::<Float64Type>(), |groups, x| {
                counts.add(groups, x.len());
                sums.add(groups, x);
            }),
            Kind::Signed => present(groups, column.as_primitive::<Int64Type>(), |groups, x| {
                counts.add(groups, x.len());
                sums.add_whole(groups, x);
            }),
            Kind::Unsigned => present(groups, column.as_primitive::<UInt64Type>(), |groups, x| {
                counts.add(groups, x.len());
                sums.add_whole(groups, x);
            }),
            Kind::Decimal(..) => {
                present(
                    groups,
                    column.as_primitive::<Decimal128Type>(),
                    |groups, x| {
                        counts.add(groups, x.len());
                        sums.add_whole(groups, x);
                    },
                );
            }
            Kind::LongDecimal(..) => {
                present(
                    groups,
                    column.as_primitive::<Decimal256Type>(),
                    |groups, x| {
                        counts.add(groups, x.len());
                        for (row, x) in x.iter().enumerate() {
                            let group = groups.map_or(0, |groups| groups[row] as usize);
                            let (low, high) = x.wrapping_abs().to_parts();
                            let words = [low as u64, (low >> 64) as u64];
                            let words = [words[0], words[1], high as u64, (high >> 64) as u64];
                            sums.add_term(group, x.is_negative(), &words, 0);
                        }
                        sums.settle(x.len());
                    },
                );
            }
        }
        Ok(())
    }

    fn write(&self, group: usize, out: &mut Vec<u8>) {
        self.counts.write(group, out);
        self.sums.write(group, out);
    }

    fn read(&mut self, group: usize, bytes: &mut &[u8]) -> Option<()> {
        self.counts.read(group, bytes)?;
        self.sums.read(group, bytes)
    }

    fn settle(&mut self, terms: usize) {
        self.sums.settle(terms);
    }

    fn value(&self, reading: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        let all = groups.iter().map(|group| *group as usize);
        Ok(match (self.kind, reading.what) {
            (Kind::Decimal(..) | Kind::LongDecimal(..), _) => self.decimals(reading, groups)?,
            (Kind::Signed, "sum") => {
                let sums = all.map(|group| self.whole::<i64>(group));
                Arc::new(sums.collect::<Result<Int64Array>>()?)
            }
            (Kind::Unsigned, "sum") => {
                let sums = all.map(|group| self.whole::<u64>(group));
                Arc::new(sums.collect::<Result<UInt64Array>>()?)
            }
            _ => values(groups, |group| self.float(reading, group)),
        })
    }

    fn bytes(&self) -> usize {
        self.counts.bytes() + self.sums.bytes()
    }

    fn clear(&mut self) {
        self.counts.clear();
        self.sums.clear();
    }
}
