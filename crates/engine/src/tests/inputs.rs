//! Transforms with several inputs: routes of each, ends that are told, tables that are complete before the rows that meet them.

use std::collections::BTreeMap;

use dataflow_core::time::{BEGINNING, Instant};

use super::time::{Timed, wobbling};
use super::*;

/// A transform whose inputs go through stages of their own first, and may be loaded.
struct Joined {
    ports: Vec<Port>,
    before: Vec<Vec<StagePlan>>,
    stages: Vec<StagePlan>,
    loaded: &'static [usize],
}

impl Transform for Joined {
    fn ports(&self) -> &[Port] {
        &self.ports
    }
    fn stages(&self) -> Vec<StagePlan> {
        self.stages.clone()
    }
    fn before(&self, input: usize) -> Vec<StagePlan> {
        self.before[input].clone()
    }
    fn loads(&self, input: usize) -> bool {
        self.loaded.contains(&input)
    }
}

fn joined(before: [Vec<StagePlan>; 2], stages: Vec<StagePlan>, loaded: &'static [usize]) -> Work {
    Work::Transform(Arc::new(Joined {
        ports: vec![Port::main(schema())],
        before: before.into(),
        stages,
        loaded,
    }))
}

/// A node that reads several outputs as its main input and one as its table.
fn with_table(id: &str, work: Work, inputs: &[usize], table: usize) -> PlanNode {
    let mut made = node(id, work, inputs);
    made.inputs.push(vec![PortRef {
        node: table,
        port: PortIndex::Declared(0),
    }]);
    made
}

fn by_key() -> StagePlan {
    StagePlan {
        emits: Emits::Unordered,
        ..each(|batch, out| {
            let hash = values(batch)
                .iter()
                .map(|x| key_hash(&x.rem_euclid(KEYS).to_be_bytes()))
                .collect();
            out.send(0, batch.clone().with_hash(Some(hash)));
            Ok(Flow::Ready)
        })
    }
}

/// The sums of both inputs by key, as one number.
#[derive(Default)]
struct BothSums {
    sums: [SumByKey; 2],
    ended: [bool; 2],
}

impl Stage for BothSums {
    fn on_batch(&mut self, _: Batch, _: &mut dyn Output) -> Result<Flow> {
        Err(Error::internal("rows of several inputs say which it is"))
    }
    fn on_input(&mut self, input: usize, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        assert!(!self.ended[input], "rows of input {input} behind its end");
        self.sums[input].on_batch(batch, out)
    }
    fn on_input_end(&mut self, input: usize, _: &mut dyn Output) -> Result<Flow> {
        assert!(!self.ended[input], "the end of input {input} is told twice");
        self.ended[input] = true;
        Ok(Flow::Ready)
    }
    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        assert_eq!(self.ended, [true, true]);
        let [mut both, more] = std::mem::take(&mut self.sums);
        both.sums.append(&mut both.even);
        for (key, sum) in more.sums.into_iter().chain(more.even) {
            *both.sums.entry(key).or_default() += 1_000_000_007 * sum;
        }
        self.sums[0] = both;
        self.sums[0].on_end(out)
    }
    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.sums[0].more(out)
    }
}

fn both_sums() -> StagePlan {
    StagePlan {
        route: Route::Keyed,
        emits: Emits::SortedAtEnd,
        stateful: true,
        ..StagePlan::local("both", |_| Ok(BothSums::default()))
    }
}

#[test]
fn both_inputs_go_to_the_owners_of_their_keys() {
    for (workers, memory, batch_rows) in variants() {
        let (apart, same) = (Collect::default(), Collect::default());
        let both = || joined([vec![by_key()], vec![by_key()]], vec![both_sums()], &[]);
        let nodes = vec![
            node(
                "long",
                Work::Source(Numbers::new(0, &[3000, 0, 500], 50)),
                &[],
            ),
            node("short", Work::Source(Numbers::new(10_000, &[90], 7)), &[]),
            node("none", Work::Source(Numbers::new(0, &[], 7)), &[]),
            with_table("both", both(), &[0, 2, 0], 1),
            // Nothing has to be read twice where nothing is loaded.
            with_table("self", both(), &[1], 1),
            node("out", Work::Sink(Arc::new(apart.clone())), &[3]),
            node("out2", Work::Sink(Arc::new(same.clone())), &[4]),
        ];
        let report = run(nodes, workers, memory, batch_rows).expect("runs");
        let of = |key: i64, first: i64, last: i64| -> i64 {
            let numbers = (first..last).filter(|x| x.rem_euclid(KEYS) == key);
            numbers.sum()
        };
        let expected: Vec<i64> = (0..KEYS)
            .map(|k| 2 * of(k, 0, 3500) + 1_000_000_007 * of(k, 10_000, 10_090))
            .collect();
        let label = format!("{workers} workers, {memory} bytes, {batch_rows} rows");
        assert_eq!(*apart.seen.lock().expect("no panic"), expected, "{label}");
        let expected: Vec<i64> = (0..KEYS)
            .map(|k| 1_000_000_008 * of(k, 10_000, 10_090))
            .filter(|sum| *sum > 0)
            .collect();
        assert_eq!(*same.seen.lock().expect("no panic"), expected, "{label}");
        assert_eq!(report.numbers.components[3].rows_in, 7090);
    }
}

/// Adds up the whole table, then writes each row with that sum; says when a row came before the table was complete.
#[derive(Default)]
struct WithTotal {
    total: i64,
    rows: usize,
    complete: bool,
}

impl Stage for WithTotal {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        assert!(self.complete, "a row came before the table was complete");
        let sums = values(&batch).into_iter().map(|x| x + self.total);
        let sums = rows(sums.collect());
        out.send(0, batch.with_rows(sums));
        Ok(Flow::Ready)
    }
    fn on_input(&mut self, input: usize, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        if input == 0 {
            return self.on_batch(batch, out);
        }
        self.rows += batch.len();
        self.total += values(&batch).into_iter().sum::<i64>();
        Ok(Flow::Ready)
    }
    fn on_input_end(&mut self, input: usize, _: &mut dyn Output) -> Result<Flow> {
        self.complete |= input == 1;
        Ok(Flow::Ready)
    }
}

fn with_total(before: Vec<StagePlan>) -> Work {
    let stage = StagePlan {
        further: vec![Route::Everywhere],
        ..StagePlan::local("with total", |_| Ok(WithTotal::default()))
    };
    joined([Vec::new(), before], vec![stage], &[1])
}

fn pass() -> StagePlan {
    each(|batch, out| {
        out.send(0, batch.clone());
        Ok(Flow::Ready)
    })
}

#[test]
fn a_loaded_table_is_complete_on_every_worker_before_the_first_row() {
    for (workers, memory, batch_rows) in variants() {
        let (first, second) = (Collect::default(), Collect::default());
        let slow = Numbers {
            slow: true,
            ..Arc::into_inner(Numbers::new(0, &[900, 100], 30)).expect("one owner")
        };
        let nodes = vec![
            node("main", Work::Source(Numbers::new(50_000, &[2000], 50)), &[]),
            node("table", Work::Source(Arc::new(slow)), &[]),
            node("sums", keyed_sum(), &[1]),
            node("few", Work::Source(Numbers::new(0, &[3], 1)), &[]),
            // The table of the second is what the first writes of another source: three phases.
            with_table("inner", with_total(vec![pass()]), &[3, 3], 2),
            with_table("outer", with_total(Vec::new()), &[0, 0], 4),
            node("out", Work::Sink(Arc::new(first.clone())), &[4]),
            node("out2", Work::Sink(Arc::new(second.clone())), &[5]),
            node("none", Work::Source(Numbers::new(0, &[], 1)), &[]),
            with_table("empty", with_total(Vec::new()), &[0], 8),
            node("out3", Work::Sink(Arc::new(Collect::default())), &[9]),
        ];
        run(nodes, workers, memory, batch_rows).expect("runs");
        let total: i64 = (0..1000).sum();
        let few: Vec<i64> = (0..3).map(|x| x + total).collect();
        let inner = [&few[..], &few].concat();
        let label = format!("{workers} workers, {memory} bytes, {batch_rows} rows");
        assert_eq!(*first.seen.lock().expect("no panic"), inner, "{label}");
        let total: i64 = inner.iter().sum();
        let main: Vec<i64> = (50_000..52_000).map(|x| x + total).collect();
        let outer = [&main[..], &main].concat();
        assert_eq!(*second.seen.lock().expect("no panic"), outer, "{label}");
    }
}

/// Checks that no row of either input is older than the watermark, and counts the watermarks.
struct Watched {
    reached: Instant,
    marks: Arc<AtomicU64>,
    counts: BTreeMap<usize, i64>,
}

impl Stage for Watched {
    fn on_batch(&mut self, _: Batch, _: &mut dyn Output) -> Result<Flow> {
        Err(Error::internal("rows of several inputs say which it is"))
    }
    fn on_input(&mut self, input: usize, batch: Batch, _: &mut dyn Output) -> Result<Flow> {
        let times = batch.times().expect("rows have times");
        for (row, time) in times.at().iter().enumerate() {
            let late = *time < times.horizon(row);
            assert!(late || *time >= self.reached, "a row is behind time");
        }
        *self.counts.entry(input).or_default() += batch.len() as i64;
        Ok(Flow::Ready)
    }
    fn on_watermark(&mut self, time: Instant, _: &mut dyn Output) -> Result<Flow> {
        assert!(time > self.reached, "time goes on");
        self.reached = time;
        self.marks.fetch_add(1, Ordering::Relaxed);
        Ok(Flow::Ready)
    }
    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let counts = std::mem::take(&mut self.counts);
        let order = BinaryArray::from_iter_values(counts.keys().map(|i| [*i as u8]));
        let counts = rows(counts.into_values().collect());
        out.send(0, Batch::new(counts).with_order(Some(order)));
        Ok(Flow::Ready)
    }
}

#[test]
fn time_goes_as_far_as_the_input_that_is_least_far() {
    let marks = Arc::new(AtomicU64::new(0));
    for (workers, memory, batch_rows) in variants() {
        let sink = Collect::default();
        let count = Arc::clone(&marks);
        let watched = StagePlan {
            route: Route::Keyed,
            emits: Emits::SortedAtEnd,
            timed: true,
            ..StagePlan::local("watched", move |_| {
                Ok(Watched {
                    reached: BEGINNING,
                    marks: Arc::clone(&count),
                    counts: BTreeMap::new(),
                })
            })
        };
        let both = joined([vec![by_key()], vec![by_key()]], vec![watched], &[]);
        let slow = |x| 2 * wobbling(x) - 500;
        let nodes = vec![
            node(
                "a",
                Work::Source(Timed::new(&[2500, 500], 50, true, wobbling)),
                &[],
            ),
            node("b", Work::Source(Timed::new(&[1700], 30, false, slow)), &[]),
            with_table("both", both, &[0], 1),
            node("out", Work::Sink(Arc::new(sink.clone())), &[2]),
        ];
        run(nodes, workers, memory, batch_rows).expect("runs");
        let seen: i64 = sink.seen.lock().expect("no panic").iter().sum();
        assert_eq!(seen, 4700, "{workers} workers, {memory} bytes");
    }
    assert!(marks.load(Ordering::Relaxed) > 100);
}

#[test]
fn places_tell_the_order_of_any_union() {
    for (workers, memory, batch_rows) in variants() {
        let sinks: Vec<Collect> = (0..3).map(|_| Collect::default()).collect();
        // Places as numbers that compare as they do, and behind them whoever wants the order.
        let show = || {
            let places = StagePlan {
                places: true,
                ..each(|batch, out| {
                    let places = (0..batch.len()).map(|row| batch.places().get(row));
                    let places = places.map(|place| place.map_or(-1, |place| place.0 as i64));
                    out.send(0, Batch::new(rows(places.collect())));
                    Ok(Flow::Ready)
                })
            };
            made(vec![places])
        };
        let out = |at: usize| Work::Sink(Arc::new(sinks[at].clone()));
        let nodes = vec![
            node("a", Work::Source(Numbers::new(0, &[300, 20], 10)), &[]),
            node("b", Work::Source(Numbers::new(0, &[70, 70], 10)), &[]),
            node("sums", keyed_sum(), &[0]),
            node("reversed", show(), &[1, 0]),
            node("results", show(), &[1, 2, 0]),
            node("pass", made(vec![pass()]), &[1, 0]),
            node("again", show(), &[5, 0, 1]),
            node("out", out(0), &[3]),
            node("out2", out(1), &[4]),
            node("out3", out(2), &[6]),
        ];
        run(nodes, workers, memory, batch_rows).expect("runs");
        let expected = [460, 460 + KEYS as usize, 920];
        for (sink, expected) in sinks.iter().zip(expected) {
            let seen = sink.seen.lock().expect("no panic");
            assert_eq!(seen.len(), expected);
            let label = format!("{workers} workers, {memory} bytes, {batch_rows} rows");
            assert!(seen[0] >= 0 && seen.is_sorted_by(|a, b| a < b), "{label}");
        }
    }
}
