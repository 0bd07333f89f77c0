//! Numbers as files hold them: their types, the orders of their bytes, and how they become columns.

use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, BooleanArray, Float64Array, PrimitiveArray};
use arrow_buffer::{Buffer, ScalarBuffer};
use arrow_schema::DataType;
use schemars::JsonSchema;
use serde::Deserialize;

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    Boolean,
    Int8,
    Int16,
    /// Three bytes; read as 32 bits.
    Int24,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float16,
    Float32,
    Float64,
}

impl Number {
    /// How many bytes it takes.
    pub fn bytes(self) -> usize {
        match self {
            Self::Boolean | Self::Int8 | Self::UInt8 => 1,
            Self::Int16 | Self::UInt16 | Self::Float16 => 2,
            Self::Int24 => 3,
            Self::Int32 | Self::UInt32 | Self::Float32 => 4,
            Self::Int64 | Self::UInt64 | Self::Float64 => 8,
        }
    }

    /// The type of its column.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int8 => DataType::Int8,
            Self::Int16 => DataType::Int16,
            Self::Int24 | Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::UInt8 => DataType::UInt8,
            Self::UInt16 => DataType::UInt16,
            Self::UInt32 => DataType::UInt32,
            Self::UInt64 => DataType::UInt64,
            Self::Float16 => DataType::Float16,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
        }
    }
}

/// Which byte of a number comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The one that weighs least, as Intel and ARM machines write.
    #[default]
    Little,
    /// The one that weighs most, as networks and older instruments write.
    Big,
}

/// What stored numbers stand for: `stored * scale + offset`, as float64.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scaling {
    pub scale: f64,
    pub offset: f64,
}

impl Scaling {
    fn of(self, stored: f64) -> f64 {
        stored * self.scale + self.offset
    }
}

/// How the numbers of a column are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stored {
    pub number: Number,
    pub order: Order,
    pub scaling: Option<Scaling>,
}

impl Stored {
    /// The type of the column.
    pub fn data_type(self) -> DataType {
        match self.scaling {
            Some(_) => DataType::Float64,
            None => self.number.data_type(),
        }
    }
}

/// Where `count` numbers are: at equal distances in a buffer.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub buffer: &'a Buffer,
    /// Where the first one is.
    pub from: usize,
    /// From one to the next, in bytes.
    pub step: usize,
    pub count: usize,
}

impl Strided<'_> {
    fn values<const N: usize>(&self) -> impl Iterator<Item = [u8; N]> {
        let start = self.from.min(self.buffer.len());
        let frames = self.buffer.as_slice()[start..].chunks(self.step);
        frames.take(self.count).map(|frame| {
            let mut value = [0; N];
            value.copy_from_slice(&frame[..N]);
            value
        })
    }

    /// The buffer itself as a column, where numbers are in it as the machine has them.
    fn shared<T: ArrowPrimitiveType>(&self, order: Order) -> Option<ArrayRef> {
        let size = size_of::<T::Native>();
        let address = self.buffer.as_ptr() as usize + self.from;
        let as_here = order == Order::Little && cfg!(target_endian = "little");
        if !as_here || self.step != size || !address.is_multiple_of(align_of::<T::Native>()) {
            return None;
        }
        let bytes = self.buffer.slice_with_length(self.from, self.count * size);
        let values = ScalarBuffer::<T::Native>::from(bytes);
        Some(Arc::new(PrimitiveArray::<T>::new(values, None)))
    }

    fn column<T: ArrowPrimitiveType, const N: usize>(
        &self,
        read: impl Fn([u8; N]) -> T::Native,
    ) -> ArrayRef {
        let values: Vec<T::Native> = self.values().map(read).collect();
        Arc::new(PrimitiveArray::<T>::new(values.into(), None))
    }

    fn scaled<const N: usize>(&self, scaling: Scaling, read: impl Fn([u8; N]) -> f64) -> ArrayRef {
        let values: Vec<f64> = self.values().map(|v| scaling.of(read(v))).collect();
        Arc::new(Float64Array::new(values.into(), None))
    }
}

/// The same steps for each type: as it is, or scaled.
macro_rules! read {
    ($from:expr, $stored:expr, $arrow:ty, $native:ty) => {{
        let (from, stored) = ($from, $stored);
        match (stored.scaling, stored.order) {
            (Some(s), Order::Little) => from.scaled(s, |v| <$native>::from_le_bytes(v) as f64),
            (Some(s), Order::Big) => from.scaled(s, |v| <$native>::from_be_bytes(v) as f64),
            (None, order) => match (from.shared::<$arrow>(order), order) {
                (Some(column), _) => column,
                (None, Order::Little) => from.column::<$arrow, _>(<$native>::from_le_bytes),
                (None, Order::Big) => from.column::<$arrow, _>(<$native>::from_be_bytes),
            },
        }
    }};
}

/// Makes a column of numbers. The buffer must hold all of them.
pub(crate) fn column(from: Strided<'_>, stored: Stored) -> ArrayRef {
    match stored.number {
        Number::Boolean => Arc::new(
            from.values()
                .map(|[b]| Some(b != 0))
                .collect::<BooleanArray>(),
        ),
        Number::Int8 => read!(from, stored, Int8Type, i8),
        Number::Int16 => read!(from, stored, Int16Type, i16),
        Number::Int24 => int24(from, stored),
        Number::Int32 => read!(from, stored, Int32Type, i32),
        Number::Int64 => read!(from, stored, Int64Type, i64),
        Number::UInt8 => read!(from, stored, UInt8Type, u8),
        Number::UInt16 => read!(from, stored, UInt16Type, u16),
        Number::UInt32 => read!(from, stored, UInt32Type, u32),
        Number::UInt64 => read!(from, stored, UInt64Type, u64),
        Number::Float16 => float16(from, stored.order),
        Number::Float32 => read!(from, stored, Float32Type, f32),
        Number::Float64 => read!(from, stored, Float64Type, f64),
    }
}

fn int24(from: Strided<'_>, stored: Stored) -> ArrayRef {
    let order = stored.order;
    // Shifted back from the upper three bytes, so that the sign comes along.
    let read = move |[a, b, c]: [u8; 3]| match order {
        Order::Little => i32::from_le_bytes([0, a, b, c]) >> 8,
        Order::Big => i32::from_be_bytes([a, b, c, 0]) >> 8,
    };
    match stored.scaling {
        Some(scaling) => from.scaled(scaling, |value| f64::from(read(value))),
        None => from.column::<Int32Type, _>(read),
    }
}

/// No format scales them.
fn float16(from: Strided<'_>, order: Order) -> ArrayRef {
    type Half = <Float16Type as ArrowPrimitiveType>::Native;
    match order {
        Order::Little => from.column::<Float16Type, _>(Half::from_le_bytes),
        Order::Big => from.column::<Float16Type, _>(Half::from_be_bytes),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;

    use super::*;

    fn made(bytes: &[u8], number: Number, order: Order, scaling: Option<Scaling>) -> ArrayRef {
        let buffer = Buffer::from(bytes.to_vec());
        let stored = Stored {
            number,
            order,
            scaling,
        };
        let from = Strided {
            buffer: &buffer,
            from: 0,
            step: number.bytes(),
            count: bytes.len() / number.bytes(),
        };
        column(from, stored)
    }

    #[test]
    fn both_orders_and_all_signs() {
        let three = [0xfe, 0xff, 0xff, 0x01, 0x00, 0x80];
        let little = made(&three, Number::Int24, Order::Little, None);
        assert_eq!(
            little.as_primitive::<Int32Type>().values(),
            &[-2, -8_388_607]
        );
        let big = made(&three, Number::Int24, Order::Big, None);
        assert_eq!(big.as_primitive::<Int32Type>().values(), &[-65_537, 65_664]);
        let two = made(&[0x12, 0x34], Number::UInt16, Order::Big, None);
        assert_eq!(two.as_primitive::<UInt16Type>().values(), &[0x1234]);
        let half = made(&[0x3c, 0x00], Number::Float16, Order::Big, None);
        let half = arrow_cast::cast(&half, &DataType::Float32).expect("castable");
        assert_eq!(half.as_primitive::<Float32Type>().values(), &[1.0]);
        let flags = made(&[0, 1, 7], Number::Boolean, Order::Little, None);
        assert_eq!(flags.as_boolean().true_count(), 2);
    }

    #[test]
    fn numbers_in_frames_are_scaled() {
        let buffer = Buffer::from(vec![9_u8, 0, 255, 9, 9, 1, 0]);
        let scaling = Some(Scaling {
            scale: 0.5,
            offset: 1.0,
        });
        let stored = Stored {
            number: Number::Int16,
            order: Order::Little,
            scaling,
        };
        let from = Strided {
            buffer: &buffer,
            from: 1,
            step: 4,
            count: 2,
        };
        let values = column(from, stored);
        assert_eq!(
            values.as_primitive::<Float64Type>().values(),
            &[-127.0, 1.5]
        );
    }
}
