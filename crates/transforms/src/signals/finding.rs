//! Events as rows: those of all signals in the order in which they are known.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow_schema::{FieldRef, Schema};
use dataflow_core::batch::rows_of;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::{Batch, Result, Sampling};
use dataflow_signal::{Event, Find};

use super::running::{Keys, Known, Leaving, Rows, Work};

/// What is told of events.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) kind: &'static str,
    pub(super) sampling: Option<Sampling>,
    /// Whether prominences are told.
    pub(super) prominence: bool,
    /// The columns.
    pub(super) fields: Vec<FieldRef>,
}

/// An event of the signal in a column.
type Seen = (usize, Event);

impl Told {
    /// The rows of events, whose keys are known.
    fn rows(&self, keys: Vec<ArrayRef>, names: &[String], events: &[Seen]) -> Result<RecordBatch> {
        let each = || events.iter().map(|(_, event)| event);
        let whole = |of: fn(&Event) -> u64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(each().map(|e| of(e) as i64)))
        };
        let time = |event: &Event| {
            let sampling = self.sampling?;
            Some(sampling.start + event.at / sampling.rate)
        };
        let value = each().map(|e| (!e.value.is_nan()).then_some(e.value));
        let what = each().map(|e| (!e.what.is_empty()).then_some(e.what));
        let column = events.iter().map(|(column, _)| names[*column].as_str());
        let kind = each().map(|_| self.kind);
        let mut columns = keys;
        columns.push(Arc::new(StringArray::from_iter_values(column)));
        columns.push(Arc::new(StringArray::from_iter_values(kind)));
        columns.push(whole(|event| event.sample));
        columns.push(Arc::new(each().map(time).collect::<Float64Array>()));
        columns.push(Arc::new(value.collect::<Float64Array>()));
        columns.push(whole(|event| event.length));
        columns.push(Arc::new(what.collect::<StringArray>()));
        if self.prominence {
            let prominences = each().map(|event| event.prominence);
            columns.push(Arc::new(Float64Array::from_iter_values(prominences)));
        }
        let schema = Schema::new(self.fields.clone());
        rows_of(Arc::new(schema), columns, events.len())
    }
}

/// The rows that these are taken of, by number.
fn taken(arrays: &[ArrayRef], rows: &UInt32Array) -> Result<Vec<ArrayRef>> {
    Ok(arrow_select::take::take_arrays(arrays, rows, None)?)
}

/// Finds events in the rows of all signals.
pub(super) struct Finding {
    names: Vec<String>,
    told: Told,
    make: Arc<dyn Fn() -> Box<dyn Find> + Send + Sync>,
    /// The last row, of which only its place and time count: events that are known at the end have them.
    last: Option<Batch>,
    batch_rows: usize,
}

impl Finding {
    pub(super) fn new(
        names: Vec<String>,
        told: Told,
        make: Arc<dyn Fn() -> Box<dyn Find> + Send + Sync>,
        batch_rows: usize,
    ) -> Self {
        Self {
            names,
            told,
            make,
            last: None,
            batch_rows: batch_rows.max(1),
        }
    }

    fn remember_last(&mut self, batch: &Batch) -> Result<()> {
        let last = UInt32Array::from(vec![batch.len() as u32 - 1]);
        let nothing: ArrayRef = Arc::new(BooleanArray::from(vec![true; batch.len()]));
        let rows = RecordBatch::try_from_iter([("last", nothing)])?;
        let batch = batch.clone().with_charge(None).with_rows(rows);
        self.last = Some(batch.take(&last)?);
        Ok(())
    }
}

impl Work for Finding {
    type Of = Box<dyn Find>;

    fn make(&self, _: usize) -> Self::Of {
        (self.make)()
    }

    fn take(&mut self, mut rows: Rows<'_, Self::Of>, leaving: &mut Leaving) -> Result<()> {
        let mut seen: Vec<Seen> = Vec::new();
        let mut events = Vec::new();
        rows.each_signal(|find, (_, column), samples, of| {
            find.push(samples, &mut events);
            let row = |known: usize| of.map_or(known, |of| of[known] as usize);
            seen.extend(events.drain(..).map(|event| {
                let known = row(event.known);
                (column, Event { known, ..event })
            }));
        });
        self.remember_last(&rows.batch)?;
        // Each signal's are in order.
        seen.sort_by_key(|(column, event)| (event.known, *column));
        for some in seen.chunks(self.batch_rows) {
            let known = some.iter().map(|(_, event)| event.known as u32);
            let known = UInt32Array::from_iter_values(known);
            let keys = taken(&rows.keys, &known)?;
            let told = self.told.rows(keys, &self.names, some)?;
            // Only places and times of the rows are taken along.
            let facts = bare(&rows.batch)?.take(&known)?;
            leaving.push_back(facts.with_rows(told));
        }
        Ok(())
    }

    fn end(&mut self, known: Known<'_, Self::Of>, leaving: &mut Leaving) -> Result<()> {
        let Some(last) = self.last.take() else {
            return Ok(());
        };
        let (mut seen, mut keys): (Vec<Seen>, Vec<u32>) = (Vec::new(), Vec::new());
        let mut events = Vec::new();
        for (at, find) in known.signals.iter_mut().enumerate() {
            find.end(&mut events);
            let key = (at / known.columns) as u32;
            keys.extend(events.iter().map(|_| key));
            seen.extend(events.drain(..).map(|event| (at % known.columns, event)));
        }
        let pieces = seen.chunks(self.batch_rows);
        for (some, keys) in pieces.zip(keys.chunks(self.batch_rows)) {
            let keys = known.keys.keys(keys)?;
            let told = self.told.rows(keys, &self.names, some)?;
            let facts = last.take(&UInt32Array::from(vec![0; some.len()]))?;
            leaving.push_back(facts.with_rows(told));
        }
        Ok(())
    }

    fn save(&self, into: &mut dyn Save) -> Result<()> {
        if let Some(last) = &self.last {
            into.rows(LAST, last.clone());
        }
        Ok(())
    }

    fn restore(&mut self, _: &mut Keys, from: &Restored<'_>) -> Result<()> {
        from.rows(LAST, Share::Dealt, &mut |batch| {
            self.last = Some(batch);
            Ok(())
        })
    }
}

/// The name under which the last row is saved.
const LAST: &str = "last";

/// The rows without their columns.
fn bare(batch: &Batch) -> Result<Batch> {
    let rows = batch.rows().project(&[])?;
    Ok(batch.clone().with_rows(rows))
}
