//! The least and the greatest value of each group.
//!
//! Values with order keys take 8 bytes a group and end (see `one_end`; here are both, for `range`) and a few instructions
//! a row; one group of doubles without nulls is searched in eight lanes. Other values are compared as bytes and kept as
//! such.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Decimal256Type, Float64Type};
use arrow_array::{
    Array, ArrayRef, Decimal128Array, Decimal256Array, Float64Array, Int64Array, UInt64Array,
};
use arrow_buffer::{NullBuffer, i256};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, TimeUnit};
use dataflow_core::accumulator::{Accepted, Call, CallProblem, OrderClass, Reading};
use dataflow_core::{Accumulator, Error, Groups, Places, Result};

use super::keys::{self, Floats, Scale};
use super::lists::column;
use super::one_end::OneEnd;
use super::options::{Options, unfit};
use super::picked::has_order;
use super::plan::Plan;
use super::values::put;
use super::wide::Wide;

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The least.
    Least,
    /// The greatest.
    Greatest,
    /// The greatest less the least.
    Range,
}

/// Checks a call such as `min(x)`.
pub(crate) fn accept(call: &Call, end: End, usage: &'static str) -> Result<Accepted, CallProblem> {
    let options = Options::of(call, 1, usage)?;
    let data_type = options.column(0);
    options.end()?;
    let (wants, help) = (
        "an order: numbers, text, dates or times",
        "convert it, or take one field of it",
    );
    if !has_order(&data_type) {
        return Err(unfit(&data_type, wants, help));
    }
    let output = match end {
        End::Least | End::Greatest => Some(data_type.clone()),
        End::Range => difference(&data_type),
    };
    let output = output.ok_or_else(|| unfit(&data_type, "numbers, dates or times", help))?;
    let wide = match Scale::of(&data_type) {
        Some(_) => None,
        None => Some(Wide::new(&data_type).map_err(|_| unfit(&data_type, wants, help))?),
    };
    let kept = data_type.clone();
    let what = match end {
        End::Least => "least",
        End::Greatest => "greatest",
        End::Range => "range",
    };
    let field = |name: &str| Field::new(name, data_type.clone(), true);
    // Values with order keys keep the one end that is asked for; the bytes of others are kept for both ends at once.
    let alone = wide.is_none() && end != End::Range;
    let plan = Plan {
        state: if alone { what } else { "extremes" }.to_owned(),
        reading: Reading::of(what),
        output,
        fields: match alone {
            true => vec![field(what)],
            false => vec![field("least"), field("greatest")],
        },
        order: OrderClass::Any,
        make: Arc::new(move || match &wide {
            Some(wide) => Box::new(WideExtremes::new(&kept, wide)),
            None if alone => Box::new(OneEnd::new(&kept, end)),
            None => Box::new(Extremes::new(&kept)),
        }),
    };
    Ok(plan.accept(vec![data_type]))
}

/// The type of the difference of two values of a type.
fn difference(data_type: &DataType) -> Option<DataType> {
    use DataType as T;
    Some(match data_type {
        T::Float32 | T::Float64 => T::Float64,
        T::Int8 | T::Int16 | T::Int32 | T::Int64 => T::Int64,
        T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => T::UInt64,
        T::Date32 => T::Duration(TimeUnit::Second),
        T::Date64 => T::Duration(TimeUnit::Millisecond),
        T::Time32(unit) | T::Time64(unit) | T::Timestamp(unit, _) | T::Duration(unit) => {
            T::Duration(*unit)
        }
        T::Decimal32(_, scale) | T::Decimal64(_, scale) | T::Decimal128(_, scale) => {
            T::Decimal128(38, *scale)
        }
        T::Decimal256(_, scale) => T::Decimal256(76, *scale),
        _ => return None,
    })
}

/// The greatest less the least, in the type of differences.
fn range(least: &ArrayRef, greatest: &ArrayRef) -> Result<ArrayRef> {
    let data_type = least.data_type();
    let to = difference(data_type)
        .ok_or_else(|| Error::internal(format!("the range of {data_type}")))?;
    match to {
        DataType::Float64 => {
            let (a, b) = (cast(least, &to)?, cast(greatest, &to)?);
            let (a, b) = (
                a.as_primitive::<Float64Type>(),
                b.as_primitive::<Float64Type>(),
            );
            let range = a.iter().zip(b).map(|(a, b)| Some(b? - a?));
            Ok(Arc::new(range.collect::<Float64Array>()))
        }
        DataType::Decimal128(precision, scale) => {
            let (a, b) = (cast(least, &to)?, cast(greatest, &to)?);
            let (a, b) = (
                a.as_primitive::<Decimal128Type>(),
                b.as_primitive::<Decimal128Type>(),
            );
            let range = checked(a.iter().zip(b), i128::checked_sub)?;
            let range = Decimal128Array::from(range).with_precision_and_scale(precision, scale)?;
            range.validate_decimal_precision(precision)?;
            Ok(Arc::new(range))
        }
        DataType::Decimal256(precision, scale) => {
            let (a, b) = (cast(least, &to)?, cast(greatest, &to)?);
            let (a, b) = (
                a.as_primitive::<Decimal256Type>(),
                b.as_primitive::<Decimal256Type>(),
            );
            let range = checked(a.iter().zip(b), i256::checked_sub)?;
            let range = Decimal256Array::from(range).with_precision_and_scale(precision, scale)?;
            range.validate_decimal_precision(precision)?;
            Ok(Arc::new(range))
        }
        _ => whole_range(least, greatest, &to),
    }
}

fn checked<T>(
    pairs: impl Iterator<Item = (Option<T>, Option<T>)>,
    less: impl Fn(T, T) -> Option<T>,
) -> Result<Vec<Option<T>>> {
    pairs
        .map(|pair| match pair {
            (Some(a), Some(b)) => less(b, a).ok_or_else(overflow).map(Some),
            _ => Ok(None),
        })
        .collect()
}

fn overflow() -> Error {
    Error::data("the range overflows").help("convert the column to double before taking its range")
}

/// Of whole numbers, and of dates and times in their units.
fn whole_range(least: &ArrayRef, greatest: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let seconds_of_day = if *least.data_type() == DataType::Date32 {
        86_400
    } else {
        1
    };
    let (a, b) = (whole(least)?, whole(greatest)?);
    let pairs = a.into_iter().zip(b);
    let range = checked(pairs, |b, a| (b - a).checked_mul(seconds_of_day))?;
    if *to == DataType::UInt64 {
        // Two u64 differ by a u64.
        let range = range.into_iter().map(|n| n.map(|n| n as u64));
        return Ok(Arc::new(range.collect::<UInt64Array>()));
    }
    let range: Result<Int64Array> = range
        .into_iter()
        .map(|n| n.map(i64::try_from).transpose().map_err(|_| overflow()))
        .collect();
    Ok(cast(&range?, to)?)
}

fn whole(column: &ArrayRef) -> Result<Vec<Option<i128>>> {
    let scale = Scale::of(column.data_type())
        .ok_or_else(|| Error::internal("whole numbers without order keys"))?;
    let mut found = vec![None; column.len()];
    keys::visit(
        column.as_ref(),
        column.nulls(),
        Floats::Canonical,
        |start, keys| {
            for (to, key) in found[start..].iter_mut().zip(keys) {
                *to = Some(scale.whole(*key));
            }
        },
    )?;
    Ok(found)
}

fn read(reading: &Reading, ends: Vec<ArrayRef>) -> Result<ArrayRef> {
    let (least, greatest) = (column(&ends, 0)?, column(&ends, 1)?);
    match reading.what {
        "least" => Ok(Arc::clone(least)),
        "greatest" => Ok(Arc::clone(greatest)),
        _ => range(least, greatest),
    }
}

/// No value yet: above and below all keys.
const NONE: [u64; 2] = [u64::MAX, 0];

/// The order keys of the least and the greatest value of each group.
struct Extremes {
    data_type: DataType,
    ends: Vec<[u64; 2]>,
}

impl Extremes {
    fn new(data_type: &DataType) -> Self {
        Self {
            data_type: data_type.clone(),
            ends: Vec::new(),
        }
    }

    #[inline(always)]
    fn widen(ends: &mut [u64; 2], key: u64) {
        ends[0] = ends[0].min(key);
        ends[1] = ends[1].max(key);
    }

    fn take_in(&mut self, groups: Groups<'_>, column: &ArrayRef) -> Result<()> {
        let nulls = column.nulls();
        match groups {
            Groups::One => {
                let mut ends = self.ends[0];
                let doubles = column.as_primitive_opt::<Float64Type>();
                if let Some(doubles) = doubles.filter(|doubles| doubles.null_count() == 0) {
                    for key in doubles_ends(doubles.values()).into_iter().flatten() {
                        Self::widen(&mut ends, key);
                    }
                } else {
                    keys::visit(column.as_ref(), nulls, Floats::Canonical, |_, keys| {
                        keys.iter().for_each(|key| Self::widen(&mut ends, *key));
                    })?;
                }
                self.ends[0] = ends;
                Ok(())
            }
            Groups::Each(each) => {
                let all = &mut self.ends[..];
                keys::visit(column.as_ref(), nulls, Floats::Canonical, |start, keys| {
                    for (group, key) in each[start..].iter().zip(keys) {
                        Self::widen(&mut all[*group as usize], *key);
                    }
                })
            }
        }
    }

    fn column(&self, groups: &[u32], end: usize) -> Result<ArrayRef> {
        let ends = groups.iter().map(|group| &self.ends[*group as usize]);
        let keys = ends.map(|ends| (ends[0] <= ends[1]).then_some(ends[end]));
        keys::array(&self.data_type, keys)
    }
}

/// The keys of the least and the greatest of some doubles, NaN above all numbers.
pub(super) fn doubles_ends(values: &[f64]) -> Option<[u64; 2]> {
    const LANES: usize = 8;
    let (mut low, mut high) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    // A word a lane, so that a comparison's mask is taken as it is.
    let mut nan = [0_u64; LANES];
    let blocks = values.chunks_exact(LANES);
    let rest = blocks.remainder();
    // A comparison with NaN is false, so that NaN never becomes an end.
    for block in blocks {
        for lane in 0..LANES {
            let x = block[lane];
            low[lane] = if x < low[lane] { x } else { low[lane] };
            high[lane] = if x > high[lane] { x } else { high[lane] };
            nan[lane] |= u64::from(x.is_nan());
        }
    }
    for (lane, x) in rest.iter().enumerate() {
        low[lane] = if *x < low[lane] { *x } else { low[lane] };
        high[lane] = if *x > high[lane] { *x } else { high[lane] };
        nan[lane] |= u64::from(x.is_nan());
    }
    let low = low.into_iter().fold(f64::INFINITY, f64::min);
    let high = high.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let key = |x: f64| Scale::Float.nearest(x);
    match (low <= high, nan.iter().any(|nan| *nan != 0)) {
        (true, false) => Some([key(low), key(high)]),
        (true, true) => Some([key(low), keys::NAN]),
        (false, true) => Some([keys::NAN, keys::NAN]),
        (false, false) => None,
    }
}

impl Accumulator for Extremes {
    fn resize(&mut self, groups: usize) {
        crate::exact::grow(&mut self.ends, groups, NONE);
    }

    fn update(&mut self, groups: Groups<'_>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        self.take_in(groups, column(columns, 0)?)
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        self.take_in(Groups::Each(groups), column(state, 0)?)?;
        self.take_in(Groups::Each(groups), column(state, 1)?)
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.column(groups, 0)?, self.column(groups, 1)?])
    }

    fn value(&self, reading: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        match reading.what {
            "least" => self.column(groups, 0),
            "greatest" => self.column(groups, 1),
            _ => read(reading, self.state(groups)?),
        }
    }

    fn bytes(&self) -> usize {
        self.ends.capacity() * size_of::<[u64; 2]>()
    }

    fn clear(&mut self) {
        self.ends = Vec::new();
    }
}

type Cells = [Option<Box<[u8]>>; 2];

/// The bytes of the least and the greatest value of each group.
struct WideExtremes {
    wide: Wide,
    data_type: DataType,
    ends: Vec<Cells>,
    cell_bytes: usize,
}

impl WideExtremes {
    fn new(data_type: &DataType, wide: &Wide) -> Self {
        Self {
            wide: wide.clone(),
            data_type: data_type.clone(),
            ends: Vec::new(),
            cell_bytes: 0,
        }
    }

    fn take_in(&mut self, groups: Groups<'_>, column: &ArrayRef) -> Result<()> {
        if *column.data_type() != self.data_type {
            let (found, due) = (column.data_type(), &self.data_type);
            return Err(Error::internal(format!("{found} where {due} was due")));
        }
        let cells = self.wide.cells(column)?;
        let valid: Option<&NullBuffer> = column.nulls();
        for row in (0..column.len()).filter(|row| valid.is_none_or(|valid| valid.is_valid(*row))) {
            let new = cells.get(row);
            let [least, greatest] = &mut self.ends[groups.of(row)];
            if least.as_deref().is_none_or(|held| new < held) {
                put(least, new, &mut self.cell_bytes);
            }
            if greatest.as_deref().is_none_or(|held| new > held) {
                put(greatest, new, &mut self.cell_bytes);
            }
        }
        Ok(())
    }

    fn column(&self, groups: &[u32], end: usize) -> Result<ArrayRef> {
        let ends = groups.iter().map(|group| &self.ends[*group as usize]);
        self.wide.array(ends.map(|ends| ends[end].as_deref()))
    }
}

impl Accumulator for WideExtremes {
    fn resize(&mut self, groups: usize) {
        self.ends.resize(groups, [None, None]);
    }

    fn update(&mut self, groups: Groups<'_>, columns: &[ArrayRef], _: &Places) -> Result<()> {
        self.take_in(groups, column(columns, 0)?)
    }

    fn merge(&mut self, groups: &[u32], state: &[ArrayRef]) -> Result<()> {
        self.take_in(Groups::Each(groups), column(state, 0)?)?;
        self.take_in(Groups::Each(groups), column(state, 1)?)
    }

    fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.column(groups, 0)?, self.column(groups, 1)?])
    }

    fn value(&self, reading: &Reading, groups: &[u32]) -> Result<ArrayRef> {
        read(reading, self.state(groups)?)
    }

    fn bytes(&self) -> usize {
        self.ends.capacity() * size_of::<Cells>() + self.cell_bytes
    }

    fn clear(&mut self) {
        self.ends = Vec::new();
        self.cell_bytes = 0;
    }
}
