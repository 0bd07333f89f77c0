//! Columns of primitive values, filled by whoever knows how to read one; and columns of booleans.

use std::sync::Arc;

use arrow_array::{ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer, NullBufferBuilder};
use arrow_schema::DataType;
use dataflow_core::Result;

use super::Column;

/// Reads values of one primitive type.
pub(crate) trait Parse: Send + 'static {
    /// The type of the array.
    type Arrow: ArrowPrimitiveType;
    /// Why a row is bad whose value does not parse.
    const REASON: &'static str;

    /// The value of a text.
    fn parse(&self, text: &[u8]) -> Option<<Self::Arrow as ArrowPrimitiveType>::Native>;

    /// The array's exact type.
    fn data_type(&self) -> DataType {
        Self::Arrow::DATA_TYPE
    }

    /// What a value should be.
    fn expected(&self) -> String;
}

/// Values of one primitive type.
pub(crate) struct Primitive<P: Parse> {
    parse: P,
    values: Vec<<P::Arrow as ArrowPrimitiveType>::Native>,
    /// Reaches to the last null only.
    nulls: NullBufferBuilder,
}

impl<P: Parse> Primitive<P> {
    pub(crate) fn boxed(parse: P) -> Box<dyn Column> {
        Box::new(Self {
            parse,
            values: Vec::new(),
            nulls: NullBufferBuilder::new(0),
        })
    }
}

impl<P: Parse> Column for Primitive<P> {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn null(&mut self) {
        catch_up(&mut self.nulls, self.values.len());
        self.nulls.append_null();
        self.values.push(Default::default());
    }

    #[inline]
    fn push(&mut self, text: &[u8]) -> bool {
        match self.parse.parse(text) {
            Some(value) => {
                self.values.push(value);
                true
            }
            None => false,
        }
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        shorten(&mut self.nulls, rows);
    }

    fn ends_in_null(&self) -> bool {
        is_null(&self.nulls, self.values.len())
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let capacity = self.values.len();
        let values = std::mem::replace(&mut self.values, Vec::with_capacity(capacity));
        let nulls = complete(&mut self.nulls, values.len());
        let array = PrimitiveArray::<P::Arrow>::try_new(values.into(), nulls)?;
        Ok(Arc::new(array.with_data_type(self.parse.data_type())))
    }

    fn reason(&self) -> &'static str {
        P::REASON
    }

    fn expected(&self) -> String {
        self.parse.expected()
    }
}

/// Marks the values up to `length` as present, where nothing is marked yet.
pub(super) fn catch_up(nulls: &mut NullBufferBuilder, length: usize) {
    nulls.append_n_non_nulls(length - nulls.len());
}

pub(super) fn shorten(nulls: &mut NullBufferBuilder, length: usize) {
    if nulls.len() > length {
        nulls.truncate(length);
    }
}

/// Whether the last of `length` values is null.
pub(super) fn is_null(nulls: &NullBufferBuilder, length: usize) -> bool {
    length > 0 && nulls.len() == length && !nulls.is_valid(length - 1)
}

pub(super) fn complete(nulls: &mut NullBufferBuilder, length: usize) -> Option<NullBuffer> {
    catch_up(nulls, length);
    nulls.finish()
}

/// Booleans.
pub(super) struct Booleans {
    values: BooleanBufferBuilder,
    /// Reaches to the last null only.
    nulls: NullBufferBuilder,
}

impl Booleans {
    pub(super) fn boxed() -> Box<dyn Column> {
        Box::new(Self {
            values: BooleanBufferBuilder::new(0),
            nulls: NullBufferBuilder::new(0),
        })
    }
}

impl Column for Booleans {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn null(&mut self) {
        catch_up(&mut self.nulls, self.values.len());
        self.nulls.append_null();
        self.values.append(false);
    }

    #[inline]
    fn push(&mut self, text: &[u8]) -> bool {
        match boolean(text) {
            Some(value) => {
                self.values.append(value);
                true
            }
            None => false,
        }
    }

    fn truncate(&mut self, rows: usize) {
        if self.values.len() > rows {
            self.values.truncate(rows);
        }
        shorten(&mut self.nulls, rows);
    }

    fn ends_in_null(&self) -> bool {
        is_null(&self.nulls, self.values.len())
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let values = self.values.finish();
        let nulls = complete(&mut self.nulls, values.len());
        Ok(Arc::new(BooleanArray::new(values, nulls)))
    }

    fn reason(&self) -> &'static str {
        "boolean"
    }

    fn expected(&self) -> String {
        "true or false".to_string()
    }
}

/// `true`, `false`, in any case, or their first letters, or 1 and 0.
fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"true" | b"1" | b"t" | b"T" => Some(true),
        b"false" | b"0" | b"f" | b"F" => Some(false),
        _ if text.eq_ignore_ascii_case(b"true") => Some(true),
        _ if text.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}
