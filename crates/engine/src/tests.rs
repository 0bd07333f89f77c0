//! The engine on its own: small sources, stages and sinks, run in every way that must not matter.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use dataflow_core::order::key_hash;
use dataflow_core::plan::{OnError, Plan, PlanNode, PortIndex, PortRef, Work};
use dataflow_core::sink::Receipt;
use dataflow_core::stage::BadRow;
use dataflow_core::transform::{Emits, Port, StagePlan};
use dataflow_core::*;

use crate::{Report, Run, Settings};

mod growing;
mod inputs;
mod resuming;
mod time;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, false)]))
}

fn rows(values: Vec<i64>) -> RecordBatch {
    RecordBatch::try_new(
        schema(),
        vec![Arc::new(Int64Array::from(values)) as ArrayRef],
    )
    .expect("one column")
}

fn values(batch: &Batch) -> Vec<i64> {
    batch
        .rows()
        .column(0)
        .as_primitive::<Int64Type>()
        .values()
        .to_vec()
}

/// Splits of consecutive numbers, cut into small pieces; reading may be slow on purpose.
struct Numbers {
    ports: Vec<Port>,
    first: i64,
    splits: Vec<u64>,
    piece: u64,
    slow: bool,
}

impl Numbers {
    fn new(first: i64, splits: &[u64], piece: u64) -> Arc<Self> {
        Arc::new(Self {
            ports: vec![Port::main(schema())],
            first,
            splits: splits.to_vec(),
            piece,
            slow: false,
        })
    }

    fn start(&self, split: usize) -> i64 {
        self.first + self.splits[..split].iter().sum::<u64>() as i64
    }
}

impl Source for Numbers {
    fn ports(&self) -> &[Port] {
        &self.ports
    }
    fn narrow(self: Arc<Self>, _: &Wanted) -> Arc<dyn Source> {
        self
    }
    fn splits(&self) -> Result<Vec<Split>> {
        let split = |(i, rows): (usize, &u64)| Split {
            name: format!("split {i}").into(),
            bytes: None,
            rows: Some(*rows),
        };
        Ok(self.splits.iter().enumerate().map(split).collect())
    }
    fn cutter(&self, split: usize, first: Place) -> Result<Box<dyn Cutter>> {
        Ok(Box::new(NumberCutter {
            split,
            first,
            at: 0,
            rows: self.splits[split],
            piece: self.piece,
        }))
    }
    fn reader(&self) -> Result<Box<dyn Reader>> {
        let starts = (0..self.splits.len())
            .map(|split| self.start(split))
            .collect();
        Ok(Box::new(NumberReader {
            starts,
            slow: self.slow,
            piece: None,
        }))
    }
}

struct NumberCutter {
    split: usize,
    first: Place,
    at: u64,
    rows: u64,
    piece: u64,
}

impl Cutter for NumberCutter {
    fn next(&mut self) -> Result<Option<Piece>> {
        if self.at == self.rows {
            return Ok(None);
        }
        let (start, end) = (self.at, (self.at + self.piece).min(self.rows));
        self.at = end;
        Ok(Some(Piece {
            split: self.split,
            first: Place(self.first.0 + start),
            rows: Some(end - start),
            start,
            end,
            text: None,
            bytes: (end - start) as usize * 8,
            input_bytes: 0,
            unfinished: false,
        }))
    }
}

struct NumberReader {
    starts: Vec<i64>,
    slow: bool,
    piece: Option<Piece>,
}

impl Reader for NumberReader {
    fn open(&mut self, piece: Piece) -> Result<()> {
        if self.slow && piece.start.is_multiple_of(3) {
            std::thread::sleep(Duration::from_micros(300));
        }
        self.piece = Some(piece);
        Ok(())
    }
    fn next(&mut self, limit: usize) -> Result<Option<Decoded>> {
        let Some(piece) = self.piece.as_mut().filter(|piece| piece.start < piece.end) else {
            return Ok(None);
        };
        let end = (piece.start + limit as u64).min(piece.end);
        let base = self.starts[piece.split];
        let batch = Batch::new(rows((piece.start..end).map(|i| base + i as i64).collect()))
            .with_places(Places::From(piece.first));
        piece.first = Place(piece.first.0 + end - piece.start);
        piece.start = end;
        Ok(Some(Decoded {
            batches: vec![(0, batch)],
            bad: vec![],
        }))
    }
}

/// A transform made of given stages.
struct Made {
    ports: Vec<Port>,
    stages: Vec<StagePlan>,
}

impl Transform for Made {
    fn ports(&self) -> &[Port] {
        &self.ports
    }
    fn stages(&self) -> Vec<StagePlan> {
        self.stages.clone()
    }
}

fn made(stages: Vec<StagePlan>) -> Work {
    Work::Transform(Arc::new(Made {
        ports: vec![Port::main(schema())],
        stages,
    }))
}

struct Each<F>(F);

impl<F: FnMut(&Batch, &mut dyn Output) -> Result<Flow> + Send> Stage for Each<F> {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        (self.0)(&batch, out)
    }
}

fn each(
    f: impl FnMut(&Batch, &mut dyn Output) -> Result<Flow> + Send + Sync + Clone + 'static,
) -> StagePlan {
    StagePlan::local("each", move |_| Ok(Each(f.clone())))
}

/// Repeats every row, a slice at a time.
struct Repeat {
    times: usize,
    waiting: Vec<i64>,
}

impl Stage for Repeat {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        self.waiting = values(&batch)
            .into_iter()
            .rev()
            .flat_map(|x| vec![x; self.times])
            .collect();
        self.more(out)
    }
    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let keep = self.waiting.len().saturating_sub(100);
        let mut slice = self.waiting.split_off(keep);
        slice.reverse();
        out.send(0, Batch::new(rows(slice)));
        Ok(if self.waiting.is_empty() {
            Flow::Ready
        } else {
            Flow::More
        })
    }
}

/// Routes numbers by their remainder and sums them; writes sorted at the end. A sum that is even is not held but set aside, so keys come
/// and go between snapshots, which tell what has changed.
#[derive(Default)]
struct SumByKey {
    sums: std::collections::BTreeMap<i64, i64>,
    even: std::collections::BTreeMap<i64, i64>,
    changes: [saved::Changes; 2],
    waiting: Vec<(i64, i64)>,
}

const KEYS: i64 = 97;

impl Stage for SumByKey {
    fn on_batch(&mut self, batch: Batch, _: &mut dyn Output) -> Result<Flow> {
        for x in values(&batch) {
            let key = x.rem_euclid(KEYS);
            let before = self.sums.remove(&key).or_else(|| self.even.remove(&key));
            let sum = before.unwrap_or_default() + x;
            match sum % 2 == 0 {
                true => self.even.insert(key, sum),
                false => self.sums.insert(key, sum),
            };
            let changes = self.changes.iter_mut();
            changes.for_each(|changes| changes.mark_one(key as u32));
        }
        Ok(Flow::Ready)
    }
    fn save(&mut self, into: &mut dyn saved::Save) -> Result<()> {
        let held = [("held", &self.sums), ("even", &self.even)];
        for (changes, (name, held)) in self.changes.iter_mut().zip(held) {
            let is_held = |key: u32| held.contains_key(&i64::from(key));
            let write = |keys: &[u32]| {
                let some = keys.iter().map(|key| i64::from(*key));
                Ok(resuming::pairs(
                    &some.map(|key| (key, held[&key])).collect(),
                ))
            };
            into.numbered(name, changes.numbered(KEYS as usize, 7, is_held, write)?);
        }
        Ok(())
    }
    fn restore(&mut self, from: &saved::Restored<'_>) -> Result<()> {
        self.sums = resuming::restored(from, "held")?;
        self.even = resuming::restored(from, "even")?;
        Ok(())
    }
    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.sums.append(&mut self.even);
        self.waiting = std::mem::take(&mut self.sums).into_iter().rev().collect();
        self.more(out)
    }
    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let keep = self.waiting.len().saturating_sub(5);
        let slice: Vec<_> = self.waiting.split_off(keep).into_iter().rev().collect();
        let order = BinaryArray::from_iter_values(slice.iter().map(|(key, _)| key.to_be_bytes()));
        let sums = rows(slice.iter().map(|(_, sum)| *sum).collect());
        out.send(0, Batch::new(sums).with_order(Some(order)));
        Ok(if self.waiting.is_empty() {
            Flow::Ready
        } else {
            Flow::More
        })
    }
}

fn keyed_sum() -> Work {
    let partial = StagePlan {
        emits: Emits::Unordered,
        ..each(|batch, out| {
            let hash = values(batch)
                .iter()
                .map(|x| key_hash(&x.rem_euclid(KEYS).to_be_bytes()))
                .collect();
            out.send(0, batch.clone().with_hash(Some(hash)));
            Ok(Flow::Ready)
        })
    };
    let last = StagePlan {
        route: Route::Keyed,
        emits: Emits::SortedAtEnd,
        stateful: true,
        ..StagePlan::local("sums", |_| Ok(SumByKey::default()))
    };
    made(vec![partial, last])
}

/// The numbers of each key in the order in which they come, as a digest that another order would change.
#[derive(Default)]
struct DigestByKey {
    digests: std::collections::BTreeMap<i64, i64>,
}

/// The keys that numbers are digested by: with fewer of them than rows, each has many.
const DIGESTS: i64 = 13;

fn digested(numbers: impl IntoIterator<Item = i64>) -> i64 {
    numbers.into_iter().fold(0, digest)
}

fn digest(before: i64, x: i64) -> i64 {
    before.wrapping_mul(31).wrapping_add(x + 7)
}

impl Stage for DigestByKey {
    fn on_batch(&mut self, batch: Batch, _: &mut dyn Output) -> Result<Flow> {
        for x in values(&batch) {
            let before = self.digests.entry(x.rem_euclid(DIGESTS)).or_default();
            *before = digest(*before, x);
        }
        Ok(Flow::Ready)
    }
    fn save(&mut self, into: &mut dyn saved::Save) -> Result<()> {
        into.rows("held", resuming::pairs(&self.digests));
        Ok(())
    }
    fn restore(&mut self, from: &saved::Restored<'_>) -> Result<()> {
        self.digests = resuming::restored(from, "held")?;
        Ok(())
    }
    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let digests = std::mem::take(&mut self.digests);
        let keys = digests.keys().map(|key| key.to_be_bytes());
        let order = BinaryArray::from_iter_values(keys);
        let digests = rows(digests.into_values().collect());
        out.send(0, Batch::new(digests).with_order(Some(order)));
        Ok(Flow::Ready)
    }
}

fn keyed_digest() -> Work {
    let first = each(|batch, out| {
        let hash = values(batch)
            .into_iter()
            .map(|x| key_hash(&x.rem_euclid(DIGESTS).to_be_bytes()));
        out.send(0, batch.clone().with_hash(Some(hash.collect())));
        Ok(Flow::Ready)
    });
    made(vec![first, ordered_digest()])
}

fn ordered_digest() -> StagePlan {
    StagePlan {
        route: Route::Keyed,
        ordered: true,
        emits: Emits::SortedAtEnd,
        stateful: true,
        ..StagePlan::local("digests", |_| Ok(DigestByKey::default()))
    }
}

/// Collects what arrives, slowly if asked to.
#[derive(Clone, Default)]
struct Collect {
    seen: Arc<Mutex<Vec<i64>>>,
    committed: Arc<AtomicUsize>,
    delay: Duration,
}

impl Sink for Collect {
    fn open(&self, _: &SinkContext) -> Result<Box<dyn Writer>> {
        self.seen.lock().expect("no panic").clear();
        Ok(Box::new(self.clone()))
    }
    fn resume(&self, _: &SinkContext, from: &saved::Restored<'_>) -> Result<Box<dyn Writer>> {
        let written = from.values("written")?;
        let rows = written
            .first()
            .and_then(|rows| rows.as_u64())
            .expect("a number");
        self.seen.lock().expect("no panic").truncate(rows as usize);
        Ok(Box::new(self.clone()))
    }
}

impl Writer for Collect {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        std::thread::sleep(self.delay);
        let column = batch.rows().column(0);
        let numbers = column
            .as_primitive_opt::<Int64Type>()
            .map(|c| c.values().to_vec());
        self.seen
            .lock()
            .expect("no panic")
            .extend(numbers.unwrap_or_else(|| vec![0; batch.len()]));
        Ok(())
    }
    fn save(&mut self, into: &mut dyn saved::Save) -> Result<()> {
        into.value("written", self.seen.lock().expect("no panic").len().into());
        Ok(())
    }
    fn prepare(&mut self) -> Result<Receipt> {
        Ok(Receipt::default())
    }
    fn commit(&mut self) -> Result<()> {
        self.committed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn node(id: &str, work: Work, inputs: &[usize]) -> PlanNode {
    let inputs: Vec<PortRef> = inputs
        .iter()
        .map(|node| PortRef {
            node: *node,
            port: PortIndex::Declared(0),
        })
        .collect();
    PlanNode {
        id: id.into(),
        type_name: "test".into(),
        inputs: if inputs.is_empty() {
            vec![]
        } else {
            vec![inputs]
        },
        ports: match &work {
            Work::Sink(_) => vec![],
            _ => vec![Port::main(schema())],
        },
        work,
        on_error: OnError::Fail,
    }
}

fn run(nodes: Vec<PlanNode>, workers: usize, memory: usize, batch_rows: usize) -> Result<Report> {
    let plan = Plan {
        name: "test".into(),
        nodes,
    };
    Run::new(
        plan,
        Settings {
            workers,
            memory,
            batch_rows,
            ..Settings::default()
        },
    )?
    .execute()
}

fn variants() -> impl Iterator<Item = (usize, usize, usize)> {
    [1, 2, 3, 8]
        .into_iter()
        .flat_map(|w| [1, 20_000, 16 << 20].map(|m| (w, m)))
        .flat_map(|(w, m)| [7, 8192].map(|b| (w, m, b)))
}

#[test]
fn stateless_rows_come_in_source_order() {
    for (workers, memory, batch_rows) in variants() {
        let sink = Collect::default();
        let source = Numbers {
            slow: true,
            ..Arc::into_inner(Numbers::new(0, &[1000, 0, 1, 777], 50)).expect("one owner")
        };
        let evens = each(|batch, out| {
            let keep = values(batch).iter().map(|x| Some(x % 2 == 0)).collect();
            out.send(0, batch.filter(&keep)?);
            Ok(Flow::Ready)
        });
        let nodes = vec![
            node("numbers", Work::Source(Arc::new(source)), &[]),
            node("evens", made(vec![evens]), &[0]),
            node("out", Work::Sink(Arc::new(sink.clone())), &[1]),
        ];
        let report = run(nodes, workers, memory, batch_rows).expect("runs");
        let expected: Vec<i64> = (0..1778).filter(|x| x % 2 == 0).collect();
        assert_eq!(
            *sink.seen.lock().expect("no panic"),
            expected,
            "{workers} workers, {memory} bytes"
        );
        assert_eq!(sink.committed.load(Ordering::Relaxed), 1);
        assert_eq!(report.numbers.components[1].rows_in, 1778);
        assert_eq!(report.numbers.components[2].rows_in, 889);
    }
}

#[test]
fn groups_come_in_key_order_and_amplified_rows_stay_in_place() {
    let total: Vec<i64> = (0..KEYS)
        .map(|key| {
            (0..5000)
                .filter(|x: &i64| x.rem_euclid(KEYS) == key)
                .sum::<i64>()
        })
        .collect();
    for (workers, memory, batch_rows) in variants() {
        let (sums, repeated) = (Collect::default(), Collect::default());
        let repeat = StagePlan {
            amplifies: true,
            ends_early: false,
            ..StagePlan::local("repeat", |_| {
                Ok(Repeat {
                    times: 30,
                    waiting: vec![],
                })
            })
        };
        let nodes = vec![
            node("numbers", Work::Source(Numbers::new(0, &[5000], 64)), &[]),
            node("sums", keyed_sum(), &[0]),
            node("repeat", made(vec![repeat]), &[0]),
            node("out", Work::Sink(Arc::new(sums.clone())), &[1]),
            node("many", Work::Sink(Arc::new(repeated.clone())), &[2]),
        ];
        run(nodes, workers, memory, batch_rows).expect("runs");
        assert_eq!(
            *sums.seen.lock().expect("no panic"),
            total,
            "{workers} workers, {memory} bytes"
        );
        let expected: Vec<i64> = (0..5000).flat_map(|x| vec![x; 30]).collect();
        assert!(
            *repeated.seen.lock().expect("no panic") == expected,
            "{workers} workers, {memory} bytes"
        );
    }
}

#[test]
fn unions_are_read_input_after_input() {
    for (workers, memory, batch_rows) in variants() {
        let (direct, through) = (Collect::default(), Collect::default());
        let pass = each(|batch, out| {
            out.send(0, batch.clone());
            Ok(Flow::Ready)
        });
        let nodes = vec![
            node("short", Work::Source(Numbers::new(10_000, &[30], 10)), &[]),
            node("long", Work::Source(Numbers::new(0, &[3000], 50)), &[]),
            node("sums", keyed_sum(), &[1]),
            node("both", made(vec![pass]), &[1, 0, 2]),
            node("out", Work::Sink(Arc::new(direct.clone())), &[0, 1, 2, 1]),
            node("out2", Work::Sink(Arc::new(through.clone())), &[3]),
        ];
        run(nodes, workers, memory, batch_rows).expect("runs");
        let short: Vec<i64> = (10_000..10_030).collect();
        let long: Vec<i64> = (0..3000).collect();
        let sums: Vec<i64> = (0..KEYS)
            .map(|k| (0..3000).filter(|x: &i64| x % KEYS == k).sum())
            .collect();
        let label = format!("{workers} workers, {memory} bytes, {batch_rows} rows");
        assert_eq!(
            *direct.seen.lock().expect("no panic"),
            [&short[..], &long, &sums, &long].concat(),
            "{label}"
        );
        assert_eq!(
            *through.seen.lock().expect("no panic"),
            [&long[..], &short, &sums].concat(),
            "{label}"
        );
    }
}

#[test]
fn there_may_be_many_sources() {
    let sink = Collect::default();
    let mut nodes: Vec<PlanNode> = (0..20)
        .map(|at| {
            let numbers = Numbers::new(100 * at, &[30], 7);
            node(&format!("numbers{at}"), Work::Source(numbers), &[])
        })
        .collect();
    let all: Vec<usize> = (0..20).collect();
    nodes.push(node("out", Work::Sink(Arc::new(sink.clone())), &all));
    run(nodes, 2, 16 << 20, 100).expect("runs");
    let expected: Vec<i64> = (0..20).flat_map(|at| 100 * at..100 * at + 30).collect();
    assert_eq!(*sink.seen.lock().expect("no panic"), expected);
}

fn digests(numbers: &[i64]) -> Vec<i64> {
    let of = |key: i64| numbers.iter().filter(move |x| x.rem_euclid(DIGESTS) == key);
    let keys = (0..DIGESTS).filter(|key| of(*key).next().is_some());
    keys.map(|key| digested(of(key).copied())).collect()
}

#[test]
fn the_rows_of_each_key_come_in_order_to_its_owner() {
    for (workers, memory, batch_rows) in variants() {
        let (plain, of_sums, of_union) =
            (Collect::default(), Collect::default(), Collect::default());
        let source = Numbers {
            slow: true,
            ..Arc::into_inner(Numbers::new(0, &[1000, 0, 1, 2777], 50)).expect("one owner")
        };
        let nodes = vec![
            node("long", Work::Source(Arc::new(source)), &[]),
            node("short", Work::Source(Numbers::new(10_000, &[90], 7)), &[]),
            node("sums", keyed_sum(), &[0]),
            node("plain", keyed_digest(), &[0]),
            node("of_sums", keyed_digest(), &[2]),
            node("of_union", keyed_digest(), &[0, 1, 2, 0]),
            node("out", Work::Sink(Arc::new(plain.clone())), &[3]),
            node("out2", Work::Sink(Arc::new(of_sums.clone())), &[4]),
            node("out3", Work::Sink(Arc::new(of_union.clone())), &[5]),
        ];
        run(nodes, workers, memory, batch_rows).expect("runs");
        let long: Vec<i64> = (0..3778).collect();
        let short: Vec<i64> = (10_000..10_090).collect();
        let sums: Vec<i64> = (0..KEYS)
            .map(|k| long.iter().filter(|x| **x % KEYS == k).sum())
            .collect();
        let label = format!("{workers} workers, {memory} bytes, {batch_rows} rows");
        let seen = |sink: &Collect| sink.seen.lock().expect("no panic").clone();
        assert_eq!(seen(&plain), digests(&long), "{label}");
        assert_eq!(seen(&of_sums), digests(&sums), "{label}");
        let union = [&long[..], &short, &sums, &long].concat();
        assert_eq!(seen(&of_union), digests(&union), "{label}");
    }
}

#[test]
fn an_ordered_keyed_stage_reads_its_inputs_one_after_another() {
    for (workers, memory, batch_rows) in variants() {
        let sink = Collect::default();
        let hashed = || {
            each(|batch, out| {
                let hash = values(batch)
                    .into_iter()
                    .map(|x| key_hash(&x.rem_euclid(DIGESTS).to_be_bytes()));
                out.send(0, batch.clone().with_hash(Some(hash.collect())));
                Ok(Flow::Ready)
            })
        };
        let nodes = vec![
            node("long", Work::Source(Numbers::new(0, &[3000], 50)), &[]),
            node("short", Work::Source(Numbers::new(10_000, &[90], 7)), &[]),
            node("sums", keyed_sum(), &[0]),
            node("a", made(vec![hashed()]), &[2]),
            node("b", made(vec![hashed()]), &[1]),
            node("c", made(vec![hashed()]), &[0]),
            node("digests", made(vec![ordered_digest()]), &[3, 4, 5, 3]),
            node("out", Work::Sink(Arc::new(sink.clone())), &[6]),
        ];
        run(nodes, workers, memory, batch_rows).expect("runs");
        let long: Vec<i64> = (0..3000).collect();
        let short: Vec<i64> = (10_000..10_090).collect();
        let sums: Vec<i64> = (0..KEYS)
            .map(|k| long.iter().filter(|x| **x % KEYS == k).sum())
            .collect();
        let union = [&sums[..], &short, &long, &sums].concat();
        assert_eq!(
            *sink.seen.lock().expect("no panic"),
            digests(&union),
            "{workers} workers, {memory} bytes, {batch_rows} rows"
        );
    }
}

#[test]
fn a_worker_that_has_no_more_rows_of_a_sorted_stream_is_waited_for_no_longer() {
    for (workers, memory, batch_rows) in variants() {
        let sink = Collect::default();
        let pass = each(|batch, out| {
            out.send(0, batch.clone());
            Ok(Flow::Ready)
        });
        let nodes = vec![
            node("numbers", Work::Source(Numbers::new(0, &[5000], 64)), &[]),
            node("sums", keyed_sum(), &[0]),
            node("pass", made(vec![pass.clone(), pass]), &[1]),
            node("out", Work::Sink(Arc::new(sink.clone())), &[2]),
        ];
        run(nodes, workers, memory, batch_rows).expect("runs");
        let sums: Vec<i64> = (0..KEYS)
            .map(|k| (0..5000).filter(|x: &i64| x % KEYS == k).sum())
            .collect();
        assert_eq!(*sink.seen.lock().expect("no panic"), sums);
    }
}

/// Where the owner of a key is also the sender of its rows, each owner has rows of one sender only, and the others'
/// senders must not have to wait for it.
#[test]
fn sorted_runs_that_are_dealt_again_by_the_same_key_do_not_wait_for_each_other() {
    for (workers, memory, batch_rows) in variants() {
        let sink = Collect::default();
        let key_again = each(|batch, out| {
            let order = batch.order().expect("a sorted run");
            let hash = order.iter().flatten().map(key_hash).collect();
            out.send(0, batch.clone().with_hash(Some(hash)));
            Ok(Flow::Ready)
        });
        let nodes = vec![
            node("numbers", Work::Source(Numbers::new(0, &[5000], 64)), &[]),
            node("sums", keyed_sum(), &[0]),
            node(
                "digests",
                made(vec![
                    key_again,
                    StagePlan {
                        route: Route::Keyed,
                        ordered: true,
                        emits: Emits::SortedAtEnd,
                        ..StagePlan::local("last", |_| Ok(Sorted::default()))
                    },
                ]),
                &[1],
            ),
            node("out", Work::Sink(Arc::new(sink.clone())), &[2]),
        ];
        run(nodes, workers, memory, batch_rows).expect("runs");
        let sums: Vec<i64> = (0..KEYS)
            .map(|k| (0..5000).filter(|x: &i64| x % KEYS == k).sum())
            .collect();
        let mut expected = sums;
        expected.sort_unstable();
        assert_eq!(
            *sink.seen.lock().expect("no panic"),
            expected,
            "{workers} workers, {memory} bytes, {batch_rows} rows"
        );
    }
}

/// Writes what came, sorted.
#[derive(Default)]
struct Sorted(Vec<i64>);

impl Stage for Sorted {
    fn on_batch(&mut self, batch: Batch, _: &mut dyn Output) -> Result<Flow> {
        self.0.extend(values(&batch));
        Ok(Flow::Ready)
    }
    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.0.sort_unstable();
        let order = BinaryArray::from_iter_values(self.0.iter().map(|x| x.to_be_bytes()));
        let all = rows(std::mem::take(&mut self.0));
        out.send(0, Batch::new(all).with_order(Some(order)));
        Ok(Flow::Ready)
    }
}

#[test]
fn rows_of_a_sorted_stream_are_numbered_for_who_asks() {
    for workers in [1, 2, 3, 8] {
        let sink = Collect::default();
        let show_places = StagePlan {
            places: true,
            ..each(|batch, out| {
                let places = (0..batch.len()).map(|row| {
                    batch
                        .places()
                        .get(row)
                        .map_or(-1, |place| place.row() as i64)
                });
                out.send(0, Batch::new(rows(places.collect())));
                Ok(Flow::Ready)
            })
        };
        let nodes = vec![
            node("numbers", Work::Source(Numbers::new(0, &[500], 10)), &[]),
            node("sums", keyed_sum(), &[0]),
            node("places", made(vec![show_places]), &[1]),
            node("out", Work::Sink(Arc::new(sink.clone())), &[2]),
        ];
        run(nodes, workers, 1 << 20, 8192).expect("runs");
        assert_eq!(
            *sink.seen.lock().expect("no panic"),
            (0..KEYS).collect::<Vec<_>>(),
            "{workers} workers"
        );
    }
}

#[test]
fn who_needs_no_more_stops_the_source() {
    for workers in [1, 2, 3] {
        let sink = Collect::default();
        let limit = StagePlan {
            route: Route::Gather,
            ordered: true,
            ..each({
                let mut left = 10;
                move |batch, out| {
                    let taken = batch.len().min(left);
                    left -= taken;
                    out.send(0, batch.slice(0, taken));
                    Ok(if left == 0 { Flow::Done } else { Flow::Ready })
                }
            })
        };
        let nodes = vec![
            node(
                "numbers",
                Work::Source(Numbers::new(0, &[1 << 37], 100)),
                &[],
            ),
            node("limit", made(vec![limit]), &[0]),
            node("out", Work::Sink(Arc::new(sink.clone())), &[1]),
        ];
        run(nodes, workers, 1 << 20, 8192).expect("runs");
        assert_eq!(
            *sink.seen.lock().expect("no panic"),
            (0..10).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_panic_anywhere_ends_the_run_with_its_name_and_commits_nothing() {
    for worker in [0, 1, 2] {
        let sink = Collect {
            delay: Duration::from_millis(1),
            ..Collect::default()
        };
        let seen = Arc::new(AtomicU64::new(0));
        let panics = {
            let seen = Arc::clone(&seen);
            StagePlan::local("panics", move |context| {
                let seen = Arc::clone(&seen);
                Ok(Each(move |batch: &Batch, out: &mut dyn Output| {
                    out.send(0, batch.clone());
                    assert!(
                        context.worker != worker || seen.fetch_add(1, Ordering::Relaxed) < 20,
                        "out of cheese"
                    );
                    Ok(Flow::Ready)
                }))
            })
        };
        let nodes = vec![
            node(
                "numbers",
                Work::Source(Numbers::new(0, &[1 << 37], 100)),
                &[],
            ),
            node("fragile", made(vec![panics]), &[0]),
            node("out", Work::Sink(Arc::new(sink.clone())), &[1]),
        ];
        let error = run(nodes, 3, 50_000, 100).expect_err("panics");
        assert_eq!(error.in_component(), Some("fragile"));
        assert!(error.what().contains("out of cheese"), "{error}");
        assert_eq!(sink.committed.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn bad_rows_stop_the_run_or_are_counted_or_go_to_the_port() {
    let odd_is_bad = || {
        each(|batch, out| {
            let keep = values(batch).iter().map(|x| Some(x % 2 == 0)).collect();
            let odd = values(batch)
                .into_iter()
                .enumerate()
                .filter(|(_, x)| x % 2 != 0);
            let bad = odd.map(|(row, x)| BadRow {
                time: None,
                place: batch.places().get(row),
                index: Some(row),
                reason: "odd",
                message: format!("{x} is odd"),
                data: format!("{{\"x\":{x}}}"),
            });
            out.bad(bad.collect())?;
            out.send(0, batch.filter(&keep)?);
            Ok(Flow::Ready)
        })
    };
    let plan = |on_error, connect: bool, sink: &Collect| {
        let mut nodes = vec![
            node("numbers", Work::Source(Numbers::new(0, &[100, 50], 9)), &[]),
            PlanNode {
                on_error,
                ..node("even", made(vec![odd_is_bad()]), &[0])
            },
            node("out", Work::Sink(Arc::new(sink.clone())), &[1]),
        ];
        if connect {
            let errors = PortRef {
                node: 1,
                port: PortIndex::Errors,
            };
            nodes[2].inputs[0].push(errors);
        }
        nodes
    };
    use dataflow_core::plan::MaxErrors::{Rows, Share, Unlimited};
    let sink = Collect::default();
    let error = run(plan(OnError::Fail, false, &sink), 2, 1 << 20, 10).expect_err("stops");
    assert!(error.to_string().starts_with("even: "), "{error}");
    assert!(
        error.in_file().is_some_and(|f| f.starts_with("split ")) && error.helps().is_some(),
        "{error}"
    );
    let report = run(plan(OnError::Drop(Unlimited), false, &sink), 2, 1 << 20, 10).expect("drops");
    let counted = &report.numbers.components[1].errors[0];
    assert_eq!(counted.count, 75);
    // The first by its place, whichever worker was first.
    assert_eq!(counted.first, "1 is odd");
    assert_eq!(counted.at.as_deref(), Some("split 0:2"));
    let error = run(plan(OnError::Drop(Rows(3)), false, &sink), 1, 1 << 20, 10).expect_err("stops");
    assert_eq!(
        error.what(),
        "4 rows are bad, more than `max_errors` allows; this one: 7 is odd"
    );
    assert_eq!(error.at_row(), Some(7), "{error}");
    assert!(run(plan(OnError::Drop(Rows(75)), false, &sink), 2, 1 << 20, 10).is_ok());
    assert!(run(plan(OnError::Drop(Rows(74)), false, &sink), 2, 1 << 20, 10).is_err());
    assert!(
        run(
            plan(OnError::Drop(Share(0.6)), false, &sink),
            2,
            1 << 20,
            10
        )
        .is_ok()
    );
    assert!(
        run(
            plan(OnError::Drop(Share(0.2)), false, &sink),
            2,
            1 << 20,
            10
        )
        .is_err()
    );
    let sink = Collect::default();
    run(plan(OnError::Port(Unlimited), true, &sink), 2, 1 << 20, 10).expect("goes to the port");
    assert_eq!(sink.seen.lock().expect("no panic").len(), 150);
}

#[test]
fn what_is_in_flight_stays_within_the_budget_behind_a_slow_sink() {
    for workers in [1, 2, 3] {
        let sink = Collect {
            delay: Duration::from_micros(200),
            ..Collect::default()
        };
        let nodes = vec![
            node(
                "numbers",
                Work::Source(Numbers::new(0, &[400_000], 1000)),
                &[],
            ),
            node("out", Work::Sink(Arc::new(sink.clone())), &[0]),
        ];
        let plan = Plan {
            name: "test".into(),
            nodes,
        };
        let run = Run::new(
            plan,
            Settings {
                workers,
                memory: 1 << 20,
                ..Settings::default()
            },
        )
        .expect("prepares");
        let (metrics, limit) = (run.metrics(), (1 << 20) * 2 / 3 / 5);
        let watched = std::thread::spawn(move || {
            let mut most = 0;
            while most == 0 || metrics.numbers().components[1].rows_in < 390_000 {
                most = most.max(metrics.numbers().in_flight_bytes);
                std::thread::sleep(Duration::from_micros(100));
            }
            most
        });
        run.execute().expect("runs");
        let most = watched.join().expect("watches");
        assert!(most <= limit as u64 + 16_000, "{most} bytes in flight");
        assert_eq!(sink.seen.lock().expect("no panic").len(), 400_000);
    }
}

#[test]
fn a_stop_ends_a_blocked_run() {
    let sink = Collect {
        delay: Duration::from_millis(5),
        ..Collect::default()
    };
    let nodes = vec![
        node(
            "numbers",
            Work::Source(Numbers::new(0, &[1 << 37], 1000)),
            &[],
        ),
        node("out", Work::Sink(Arc::new(sink.clone())), &[0]),
    ];
    let run = Run::new(
        Plan {
            name: "test".into(),
            nodes,
        },
        Settings {
            workers: 2,
            ..Settings::default()
        },
    )
    .expect("prepares");
    let stop = run.stop_handle();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        stop.stop();
    });
    let error = run.execute().expect_err("stopped");
    assert_eq!(error.fault(), dataflow_core::error::Fault::Stopped);
    assert_eq!(sink.committed.load(Ordering::Relaxed), 0);
}
