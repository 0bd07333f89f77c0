//! A sink's writer on a thread of its own: while it encodes, the worker that has the sink goes on with its share of the other work.
//!
//! Without it that worker would do all of the encoding beside its part of everything else, and the others would wait for it. What
//! waits for the thread is charged to a gauge, by which the sink's operator sees when to take no more; it never waits here.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, unbounded};
use dataflow_core::memory::Gauge;
use dataflow_core::saved::{Save, Saved};
use dataflow_core::sink::Receipt;
use dataflow_core::{Batch, Error, Result, Writer};

use crate::abort::{Abort, from_panic};
use crate::metrics::Metrics;

/// More than this need not wait for a writer.
pub const AHEAD: usize = 4 << 20;

/// The thread's end: its writer with everything written, or why not.
type Written = Result<Box<dyn Writer>>;

/// What the thread is to do.
enum Order {
    Write(Batch),
    /// To say where it is.
    Save(Sender<Result<Saved>>),
}

/// What the thread needs to know.
pub struct BesideSetup {
    /// The sink's index in the plan.
    pub node: usize,
    /// Its id.
    pub id: Arc<str>,
    /// Where the bytes that wait are counted.
    pub gauge: Arc<Gauge>,
    /// The switch that stops the run.
    pub abort: Arc<Abort>,
    /// The numbers.
    pub metrics: Arc<Metrics>,
}

/// A writer that writes elsewhere. Errors are told with a later batch than the one that they are about, or when it prepares.
pub struct Beside {
    gauge: Arc<Gauge>,
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<Written>>,
    /// The writer, when everything was written.
    writer: Option<Box<dyn Writer>>,
}

impl Beside {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(writer: Box<dyn Writer>, setup: BesideSetup) -> Result<Self> {
        let (orders, waiting) = unbounded();
        let gauge = Arc::clone(&setup.gauge);
        let thread = std::thread::Builder::new()
            .name(format!("write {}", setup.id))
            .spawn(move || write_all(writer, &waiting, &setup))
            .map_err(|error| Error::resource(format!("cannot start a writing thread: {error}")))?;
        Ok(Self {
            gauge,
            orders: Some(orders),
            thread: Some(thread),
            writer: None,
        })
    }

    /// Waits for the thread to write what it has.
    fn written(&mut self) -> Result<&mut Box<dyn Writer>> {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let written = thread.join();
            let writer = written.unwrap_or_else(|panic| Err(from_panic(panic.as_ref())))?;
            self.writer = Some(writer);
        }
        let writer = self.writer.as_mut();
        writer.ok_or_else(|| Error::internal("a writer that failed was asked to go on"))
    }
}

/// Writes until nothing more comes. A run that is being stopped makes nothing visible, so the rest need not be written.
fn write_all(
    mut writer: Box<dyn Writer>,
    orders: &Receiver<Order>,
    setup: &BesideSetup,
) -> Written {
    let counters = setup.metrics.of(setup.node);
    for order in orders {
        if setup.abort.is_raised() {
            break;
        }
        let batch = match order {
            Order::Write(batch) => batch,
            Order::Save(answer) => {
                let mut saved = Saved::default();
                let done = writer.save(&mut saved);
                // Whoever asked may be gone.
                let _ = answer.send(done.map(|()| saved));
                continue;
            }
        };
        let began = Instant::now();
        writer.write(&batch)?;
        let took = began.elapsed().as_nanos() as u64;
        counters.busy.fetch_add(took, Ordering::Relaxed);
    }
    Ok(writer)
}

impl Writer for Beside {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        let charge = Arc::new(self.gauge.charge(batch.bytes()));
        let batch = batch.clone().with_charge(Some(charge));
        let orders = self.orders.as_ref();
        if orders.is_some_and(|orders| orders.send(Order::Write(batch)).is_ok()) {
            return Ok(());
        }
        // The thread is gone, so it has failed.
        self.written().map(|_| ())
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        let (answer, saved) = unbounded();
        let orders = self.orders.as_ref();
        let asked = orders.is_some_and(|orders| orders.send(Order::Save(answer)).is_ok());
        if let (true, Ok(saved)) = (asked, saved.recv()) {
            saved?.give(into);
            return Ok(());
        }
        self.written()?.save(into)
    }

    fn prepare(&mut self) -> Result<Receipt> {
        self.written()?.prepare()
    }

    fn commit(&mut self) -> Result<()> {
        self.written()?.commit()
    }

    fn bytes(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| writer.bytes())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Whatever it says: nobody is there any more who would listen.
        let _ = self.written();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Label;
    use arrow_array::{ArrayRef, Int64Array, RecordBatch};
    use std::sync::Mutex;

    /// Remembers how many rows came, until it is to fail.
    struct Counting {
        rows: Arc<Mutex<Vec<usize>>>,
        fails_at: Option<usize>,
        panics: bool,
    }

    impl Writer for Counting {
        fn write(&mut self, batch: &Batch) -> Result<()> {
            let mut rows = crate::abort::lock(&self.rows);
            assert!(!self.panics, "it breaks");
            if self.fails_at == Some(rows.len()) {
                return Err(Error::resource("the disk is full"));
            }
            rows.push(batch.len());
            Ok(())
        }

        fn prepare(&mut self) -> Result<Receipt> {
            let rows = crate::abort::lock(&self.rows).iter().sum::<usize>() as u64;
            let files = Vec::new();
            Ok(Receipt {
                rows,
                bytes: 0,
                files,
            })
        }

        fn commit(&mut self) -> Result<()> {
            Ok(())
        }
    }

    fn batch(rows: usize) -> Batch {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![0; rows]));
        Batch::new(RecordBatch::try_from_iter([("x", column)]).expect("one column"))
    }

    fn beside(fails_at: Option<usize>, panics: bool) -> (Beside, Arc<Mutex<Vec<usize>>>) {
        let rows = Arc::new(Mutex::new(Vec::new()));
        let writer = Counting {
            rows: Arc::clone(&rows),
            fails_at,
            panics,
        };
        let metrics = Metrics::new(vec![Label {
            id: "out".into(),
            type_name: "file".into(),
            family: "sink",
            ports: Vec::new(),
        }]);
        let setup = BesideSetup {
            node: 0,
            id: "out".into(),
            gauge: Gauge::new(),
            abort: Abort::new(),
            metrics,
        };
        let beside = Beside::new(Box::new(writer), setup).expect("a thread");
        (beside, rows)
    }

    #[test]
    fn batches_are_written_in_the_order_in_which_they_came() {
        let (mut writer, rows) = beside(None, false);
        for length in 1..=50 {
            writer.write(&batch(length)).expect("writes");
        }
        let receipt = writer.prepare().expect("prepares");
        assert_eq!(receipt.rows, 50 * 51 / 2);
        assert_eq!(*rows.lock().expect("whole"), Vec::from_iter(1..=50));
        assert_eq!(writer.gauge.bytes(), 0, "nothing waits any more");
        assert!(writer.gauge.peak() > 0);
        writer.commit().expect("commits");
    }

    #[test]
    fn an_error_is_told_with_a_later_batch_or_at_the_end() {
        let (mut writer, _) = beside(Some(3), false);
        let failed = std::iter::repeat_with(|| writer.write(&batch(1))).find_map(Result::err);
        assert!(failed.expect("it fails").to_string().contains("disk"));
        assert_eq!(writer.gauge.bytes(), 0, "nobody waits for room in vain");
        assert!(writer.write(&batch(1)).is_err(), "and goes on failing");
        let (mut writer, _) = beside(Some(0), false);
        writer.write(&batch(1)).expect("is taken");
        let error = writer.prepare().expect_err("it failed");
        assert!(error.to_string().contains("disk"));
    }

    #[test]
    fn a_panic_is_an_error() {
        let (mut writer, _) = beside(None, true);
        writer.write(&batch(1)).expect("is taken");
        let error = writer.prepare().expect_err("it broke");
        assert!(error.to_string().contains("it breaks"), "{error}");
    }
}
