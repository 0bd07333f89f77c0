//! Rows of an output as an iterator, by batches or one by one: the run waits while nobody takes them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_cast::display::array_value_to_string;
use arrow_schema::DataType;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use dataflow_core::error::Fault;
use dataflow_core::sink::Receipt;
use dataflow_core::{Batch, Error, Result, Sink, SinkContext, Value, Writer};

/// Batches that wait for whoever pulls.
const AHEAD: usize = 2;

/// The batches of an output, in its defined order.
pub struct Batches {
    receiver: Receiver<RecordBatch>,
}

impl Iterator for Batches {
    type Item = RecordBatch;

    fn next(&mut self) -> Option<RecordBatch> {
        self.receiver.recv().ok()
    }
}

impl Batches {
    /// The rows one by one. Whoever has many of them is faster with batches.
    pub fn rows(self) -> Rows {
        Rows {
            batches: self,
            batch: None,
            next: 0,
        }
    }
}

/// The rows of an output, in its defined order.
pub struct Rows {
    batches: Batches,
    batch: Option<RecordBatch>,
    next: usize,
}

impl Iterator for Rows {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        loop {
            if let Some(batch) = &self.batch
                && self.next < batch.num_rows()
            {
                let (batch, at) = (batch.clone(), self.next);
                self.next += 1;
                return Some(Row { batch, at });
            }
            (self.batch, self.next) = (Some(self.batches.next()?), 0);
        }
    }
}

/// A row of an output.
#[derive(Clone, Debug)]
pub struct Row {
    batch: RecordBatch,
    at: usize,
}

impl Row {
    /// The value of a column: whole numbers, other numbers, truths and lists as such, everything else as text. None if there is
    /// no such column.
    pub fn get(&self, column: &str) -> Option<Value> {
        let column = self.batch.column_by_name(column)?;
        Some(value(column, self.at))
    }
}

fn value(column: &ArrayRef, row: usize) -> Value {
    use DataType as T;
    let one = column.slice(row, 1);
    if one.is_null(0) {
        return Value::Null;
    }
    let text = || Value::Text(array_value_to_string(&one, 0).unwrap_or_default());
    match column.data_type() {
        T::Null => Value::Null,
        T::Boolean => Value::Boolean(one.as_boolean().value(0)),
        T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => {
            // One that is too large for the type comes as null.
            match cast(&one, &T::Int64) {
                Ok(whole) if whole.is_valid(0) => {
                    Value::Integer(whole.as_primitive::<Int64Type>().value(0))
                }
                _ => text(),
            }
        }
        T::Float16 | T::Float32 | T::Float64 => match cast(&one, &T::Float64) {
            Ok(number) => Value::Float(number.as_primitive::<Float64Type>().value(0)),
            Err(_) => text(),
        },
        T::List(_) => {
            let items = one.as_list::<i32>().value(0);
            Value::List((0..items.len()).map(|item| value(&items, item)).collect())
        }
        _ => text(),
    }
}

/// A sink that hands rows to an iterator.
pub(crate) struct PullSink {
    sender: std::sync::Mutex<Option<Sender<RecordBatch>>>,
    stopped: Receiver<()>,
}

/// The two ends. Nobody sends on `stopped`; it is closed when the run is stopped, and whoever waits to hand rows over
/// waits no longer.
pub(crate) fn pull(stopped: Receiver<()>) -> (Arc<dyn Sink>, Batches) {
    let (sender, receiver) = bounded(AHEAD);
    (
        Arc::new(PullSink {
            sender: std::sync::Mutex::new(Some(sender)),
            stopped,
        }),
        Batches { receiver },
    )
}

impl Sink for PullSink {
    fn open(&self, _: &SinkContext) -> Result<Box<dyn Writer>> {
        let sender = self.sender.lock().ok().and_then(|mut sender| sender.take());
        Ok(Box::new(PullWriter {
            sender,
            stopped: self.stopped.clone(),
            receipt: Receipt::default(),
        }))
    }
}

struct PullWriter {
    sender: Option<Sender<RecordBatch>>,
    stopped: Receiver<()>,
    receipt: Receipt,
}

impl Writer for PullWriter {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        self.receipt.rows += batch.len() as u64;
        let Some(sender) = &self.sender else {
            return Err(Error::internal("rows came after the end"));
        };
        select! {
            send(sender, batch.rows().clone()) -> sent => sent.map_err(|_| {
                Error::new(
                    Fault::Stopped,
                    "the rows of this output were dropped before they were all taken",
                )
                .help("take all batches, or stop the run first")
            }),
            recv(self.stopped) -> _ => Err(Error::new(Fault::Stopped, "the run was stopped")),
        }
    }

    fn prepare(&mut self) -> Result<Receipt> {
        self.sender = None;
        Ok(self.receipt.clone())
    }

    fn commit(&mut self) -> Result<()> {
        Ok(())
    }
}
