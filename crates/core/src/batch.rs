//! Rows in columns, together with what the engine must know of them: their places, their order, their route, their bytes.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array,
};
use arrow_buffer::ScalarBuffer;
use arrow_schema::SchemaRef;
use arrow_select::interleave::{interleave, interleave_record_batch};

use crate::{Charge, Places, Result, Times};

/// A slice of a stream: Arrow columns, and the row-wise facts that travel beside them.
///
/// Whoever takes, filters or slices rows does it here, so that the facts stay true.
#[derive(Clone, Debug)]
pub struct Batch {
    rows: RecordBatch,
    places: Places,
    times: Option<Times>,
    order: Option<BinaryArray>,
    hash: Option<ScalarBuffer<u64>>,
    charge: Option<Arc<Charge>>,
}

impl Batch {
    /// A batch of rows whose places nobody knows.
    pub fn new(rows: RecordBatch) -> Self {
        Self {
            rows,
            places: Places::Unknown,
            times: None,
            order: None,
            hash: None,
            charge: None,
        }
    }

    /// The columns.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// The columns' names and types.
    pub fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the rows stand in their source.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Sets where the rows stand.
    #[must_use]
    pub fn with_places(mut self, places: Places) -> Self {
        self.places = places;
        self
    }

    /// When the rows happened, if their stream has event time.
    pub fn times(&self) -> Option<&Times> {
        self.times.as_ref()
    }

    /// Sets or clears when the rows happened.
    #[must_use]
    pub fn with_times(mut self, times: Option<Times>) -> Self {
        self.times = times;
        self
    }

    /// Sort keys as bytes, present while the rows are one of several sorted runs that somebody has yet to merge.
    pub fn order(&self) -> Option<&BinaryArray> {
        self.order.as_ref()
    }

    /// Sets or clears the sort keys.
    #[must_use]
    pub fn with_order(mut self, order: Option<BinaryArray>) -> Self {
        self.order = order;
        self
    }

    /// Routing hashes, present between a stage and the keyed stage behind it.
    pub fn hash(&self) -> Option<&ScalarBuffer<u64>> {
        self.hash.as_ref()
    }

    /// Sets or clears the routing hashes.
    #[must_use]
    pub fn with_hash(mut self, hash: Option<ScalarBuffer<u64>>) -> Self {
        self.hash = hash;
        self
    }

    /// The bytes that this batch holds on a gauge, shared by all that was derived from it.
    pub fn charge(&self) -> Option<&Arc<Charge>> {
        self.charge.as_ref()
    }

    /// Sets or clears the charge.
    #[must_use]
    pub fn with_charge(mut self, charge: Option<Arc<Charge>>) -> Self {
        self.charge = charge;
        self
    }

    /// Other columns for the same rows: places, times, order, hash and charge stay.
    ///
    /// # Panics
    /// When the number of rows differs, which is a bug of the caller.
    #[must_use]
    pub fn with_rows(mut self, rows: RecordBatch) -> Self {
        assert_eq!(rows.num_rows(), self.rows.num_rows(), "the same rows");
        self.rows = rows;
        self
    }

    /// `length` rows from `offset`, without copying.
    #[must_use]
    pub fn slice(&self, offset: usize, length: usize) -> Self {
        Self {
            rows: self.rows.slice(offset, length),
            places: self.places.slice(offset, length),
            times: self.times.as_ref().map(|t| t.slice(offset, length)),
            order: self.order.as_ref().map(|order| order.slice(offset, length)),
            hash: self.hash.as_ref().map(|hash| hash.slice(offset, length)),
            charge: self.charge.clone(),
        }
    }

    /// The rows at `indices` (which may repeat), in that order.
    ///
    /// # Errors
    /// When Arrow cannot (offsets of a text column overflow, an index out of range).
    pub fn take(&self, indices: &UInt32Array) -> Result<Self> {
        let columns = arrow_select::take::take_arrays(self.rows.columns(), indices, None)?;
        let rows = rows_of(self.rows.schema(), columns, indices.len())?;
        let order = match &self.order {
            Some(order) => {
                let taken = arrow_select::take::take(order, indices, None)?;
                Some(BinaryArray::from(taken.to_data()))
            }
            None => None,
        };
        let at = || indices.values().iter().map(|&i| i as usize);
        Ok(Self {
            rows,
            places: self.places.take(at()),
            times: self.times.as_ref().map(|times| times.take(at())),
            order,
            hash: self
                .hash
                .as_ref()
                .map(|hash| at().map(|i| hash[i]).collect()),
            charge: self.charge.clone(),
        })
    }

    /// The rows where `keep` is true (null counts as false).
    ///
    /// # Errors
    /// When Arrow cannot.
    pub fn filter(&self, keep: &BooleanArray) -> Result<Self> {
        if keep.true_count() == keep.len() {
            return Ok(self.clone());
        }
        let indices: UInt32Array = (0..keep.len())
            .filter(|&i| keep.is_valid(i) && keep.value(i))
            .map(|i| i as u32)
            .collect::<Vec<_>>()
            .into();
        let rows = arrow_select::filter::filter_record_batch(&self.rows, keep)?;
        let order = match &self.order {
            Some(order) => {
                let kept = arrow_select::filter::filter(order, keep)?;
                Some(BinaryArray::from(kept.to_data()))
            }
            None => None,
        };
        let at = || indices.values().iter().map(|&i| i as usize);
        Ok(Self {
            rows,
            places: self.places.take(at()),
            times: self.times.as_ref().map(|times| times.take(at())),
            order,
            hash: self
                .hash
                .as_ref()
                .map(|hash| at().map(|i| hash[i]).collect()),
            charge: self.charge.clone(),
        })
    }

    /// Rows of several batches: the batch and the row of each. What is not known of all batches is known of none.
    ///
    /// # Errors
    /// When Arrow cannot put them together.
    pub fn interleave(batches: &[&Self], indices: &[(usize, usize)]) -> Result<Self> {
        let rows: Vec<&RecordBatch> = batches.iter().map(|batch| &batch.rows).collect();
        let orders: Option<Vec<&dyn Array>> = batches
            .iter()
            .map(|batch| batch.order.as_ref().map(|order| order as &dyn Array))
            .collect();
        let order = match orders {
            Some(orders) => Some(BinaryArray::from(interleave(&orders, indices)?.to_data())),
            None => None,
        };
        let place = |(batch, row): &(usize, usize)| batches[*batch].places.get(*row).map(|p| p.0);
        let places: Option<Vec<u64>> = indices.iter().map(place).collect();
        let times: Option<Vec<&Times>> = batches.iter().map(|batch| batch.times()).collect();
        Ok(Self {
            rows: interleaved(&rows, indices)?,
            places: places.map_or(Places::Unknown, |places| Places::Each(places.into())),
            times: times.map(|times| Times::interleave(&times, indices)),
            order,
            hash: None,
            charge: None,
        })
    }

    /// The bytes that these rows need: buffers shared with other rows are counted by this batch's share of them.
    pub fn bytes(&self) -> usize {
        let columns: usize = self.rows.columns().iter().map(|c| share(c.as_ref())).sum();
        let order = self.order.as_ref().map_or(0, |order| share(order));
        let times = self.times.as_ref().map_or(0, Times::bytes);
        columns + order + times + 64
    }
}

/// So many rows of these columns, also where there are none.
///
/// # Errors
/// When the columns do not fit to the schema, or are not of that length.
pub fn rows_of(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

/// Rows of several batches, also where they have no columns.
fn interleaved(batches: &[&RecordBatch], indices: &[(usize, usize)]) -> Result<RecordBatch> {
    match batches.first() {
        Some(first) if first.num_columns() == 0 => {
            rows_of(first.schema(), Vec::new(), indices.len())
        }
        _ => Ok(interleave_record_batch(batches, indices)?),
    }
}

fn share(array: &dyn Array) -> usize {
    array
        .to_data()
        .get_slice_memory_size()
        .unwrap_or_else(|_| array.get_buffer_memory_size())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Place;
    use arrow_array::Int64Array;

    fn numbers(values: &[i64]) -> Batch {
        let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        let rows = RecordBatch::try_from_iter([("x", column)]).expect("one column");
        Batch::new(rows).with_places(Places::From(Place(100)))
    }

    #[test]
    fn facts_follow_the_rows() {
        let hash: ScalarBuffer<u64> = vec![7, 8, 9, 10].into();
        let batch = numbers(&[1, 2, 3, 4]).with_hash(Some(hash));
        let keep = BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]);
        let kept = batch.filter(&keep).expect("filters");
        assert_eq!(kept.len(), 2);
        assert_eq!(kept.places().get(1), Some(Place(103)));
        assert_eq!(kept.hash().map(|h| h.to_vec()), Some(vec![7, 10]));
        let taken = batch.take(&UInt32Array::from(vec![3, 3])).expect("takes");
        assert_eq!(taken.places().get(1), Some(Place(103)));
        assert_eq!(batch.slice(2, 2).places().get(0), Some(Place(102)));
    }
}
