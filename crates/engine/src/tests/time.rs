//! Event time through the engine: watermarks, horizons, windows that close, and windows of windows.

use std::collections::{BTreeMap, VecDeque};

use dataflow_core::time::{BEGINNING, Instant, Newest};
use dataflow_core::{TimeRule, Times};

use super::*;

pub(super) const SIZE: i64 = 100;
pub(super) const RULE: TimeRule = TimeRule {
    lateness: 30,
    max_future_skew: None,
    idle: None,
};

/// Numbers that happened at times which a function tells.
pub(super) struct Timed {
    numbers: Arc<Numbers>,
    ports: Vec<Port>,
    time: fn(i64) -> i64,
}

impl Timed {
    pub(super) fn new(splits: &[u64], piece: u64, slow: bool, time: fn(i64) -> i64) -> Arc<Self> {
        let numbers = Arc::into_inner(Numbers::new(0, splits, piece)).expect("one owner");
        Arc::new(Self {
            numbers: Arc::new(Numbers { slow, ..numbers }),
            ports: vec![Port::main(schema()).timed(true)],
            time,
        })
    }

    /// The numbers of a split and their times.
    pub(super) fn of(&self, split: usize) -> impl Iterator<Item = (i64, i64)> {
        let numbers = self.numbers.start(split)..self.numbers.start(split + 1);
        numbers.map(|x| (x, (self.time)(x)))
    }

    /// Each number, its time and whether it is late, in the order of the splits.
    fn judged(&self) -> Vec<(i64, i64, bool)> {
        let mut all = Vec::new();
        for split in 0..self.numbers.splits.len() {
            let mut newest: Option<i64> = None;
            for (x, time) in self.of(split) {
                let late =
                    newest.is_some_and(|newest| end_of(time, SIZE) <= newest - RULE.lateness);
                all.push((x, time, late));
                newest = newest.max(Some(time));
            }
        }
        all
    }
}

impl Source for Timed {
    fn ports(&self) -> &[Port] {
        &self.ports
    }
    fn narrow(self: Arc<Self>, _: &Wanted) -> Arc<dyn Source> {
        self
    }
    fn splits(&self) -> Result<Vec<Split>> {
        self.numbers.splits()
    }
    fn cutter(&self, split: usize, first: Place) -> Result<Box<dyn Cutter>> {
        self.numbers.cutter(split, first)
    }
    fn reader(&self) -> Result<Box<dyn Reader>> {
        Ok(Box::new(TimedReader(self.numbers.reader()?, self.time)))
    }
    fn time(&self) -> Option<TimeRule> {
        Some(RULE)
    }
    fn lower_bound(&self, split: usize) -> Result<Option<Instant>> {
        let first = (self.time)(self.numbers.start(split));
        Ok(Some(match self.numbers.splits[split] {
            0 => i64::MAX,
            _ => first - RULE.lateness,
        }))
    }
}

struct TimedReader(Box<dyn Reader>, fn(i64) -> i64);

impl Reader for TimedReader {
    fn open(&mut self, piece: Piece) -> Result<()> {
        self.0.open(piece)
    }
    fn next(&mut self, rows: usize) -> Result<Option<Decoded>> {
        let Some(mut decoded) = self.0.next(rows)? else {
            return Ok(None);
        };
        for (_, batch) in &mut decoded.batches {
            let times: Vec<i64> = values(batch).into_iter().map(self.1).collect();
            *batch = batch.clone().with_times(Some(Times::new(times)));
        }
        Ok(Some(decoded))
    }
}

pub(super) fn end_of(time: i64, size: i64) -> i64 {
    (time.div_euclid(size) + 1) * size
}

/// Leaves late rows out and counts them; routes the others by their windows.
pub(super) fn assign(size: i64, late: Arc<AtomicU64>) -> StagePlan {
    StagePlan {
        emits: Emits::Unordered,
        ..each(move |batch, out| {
            let times = batch.times().expect("rows have times").clone();
            let ends = || times.at().iter().map(|time| end_of(*time, size));
            let is_late = |(row, end)| Some(end > times.horizon(row));
            let keep: arrow_array::BooleanArray = ends().enumerate().map(is_late).collect();
            late.fetch_add(keep.false_count() as u64, Ordering::Relaxed);
            let hashes = ends().map(|end| key_hash(&end.to_be_bytes())).collect();
            out.send(0, batch.clone().with_hash(Some(hashes)).filter(&keep)?);
            Ok(Flow::Ready)
        })
    }
}

/// Sums the numbers of each window; a window leaves when the watermark has reached its end.
pub(super) struct SumByWindow {
    size: i64,
    open: BTreeMap<i64, i64>,
    closed: VecDeque<(i64, i64)>,
    watermark: Instant,
    most_open: Arc<AtomicUsize>,
}

impl SumByWindow {
    pub(super) fn plan(size: i64, most_open: Arc<AtomicUsize>) -> StagePlan {
        StagePlan {
            route: Route::Keyed,
            emits: Emits::SortedAtEnd,
            stateful: true,
            timed: true,
            ..StagePlan::local("windows", move |_| {
                Ok(Self {
                    size,
                    open: BTreeMap::new(),
                    closed: VecDeque::new(),
                    watermark: BEGINNING,
                    most_open: Arc::clone(&most_open),
                })
            })
        }
    }
}

impl Stage for SumByWindow {
    fn on_batch(&mut self, batch: Batch, _: &mut dyn Output) -> Result<Flow> {
        let times = batch.times().expect("rows have times");
        for (x, time) in values(&batch).into_iter().zip(times.at()) {
            let end = end_of(*time, self.size);
            assert!(end > self.watermark, "a row of a closed window came");
            *self.open.entry(end).or_default() += x;
        }
        self.most_open.fetch_max(self.open.len(), Ordering::Relaxed);
        Ok(Flow::Ready)
    }
    fn on_watermark(&mut self, time: Instant, out: &mut dyn Output) -> Result<Flow> {
        assert!(time > self.watermark, "time goes on");
        self.watermark = time;
        let open = self.open.split_off(&(time.saturating_add(1)));
        self.closed = std::mem::replace(&mut self.open, open)
            .into_iter()
            .collect();
        self.more(out)
    }
    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.closed = std::mem::take(&mut self.open).into_iter().collect();
        self.more(out)
    }
    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let some: Vec<(i64, i64)> = (0..3).filter_map(|_| self.closed.pop_front()).collect();
        if !some.is_empty() {
            let ends = some.iter().map(|(end, _)| (end ^ i64::MIN).to_be_bytes());
            let order = BinaryArray::from_iter_values(ends);
            let times: Vec<i64> = some.iter().map(|(end, _)| end - 1).collect();
            let sums = Batch::new(rows(some.iter().map(|(_, sum)| *sum).collect()));
            out.send(
                0,
                sums.with_order(Some(order))
                    .with_times(Some(Times::new(times))),
            );
        }
        Ok(if self.closed.is_empty() {
            Flow::Ready
        } else {
            Flow::More
        })
    }
}

fn sums(rows: impl Iterator<Item = (i64, i64)>, size: i64) -> Vec<(i64, i64)> {
    let mut sums = BTreeMap::new();
    for (x, time) in rows {
        *sums.entry(end_of(time, size)).or_default() += x;
    }
    sums.into_iter().collect()
}

/// Runs windows and windows of windows over sources; returns how many windows were open at most.
fn check(sources: &[Arc<Timed>], in_order: bool) -> usize {
    let most = Arc::new(AtomicUsize::new(0));
    let judged: Vec<_> = sources.iter().flat_map(|source| source.judged()).collect();
    let of_rows = sums(
        judged
            .iter()
            .filter(|r| !r.2)
            .map(|(x, time, _)| (*x, *time)),
        SIZE,
    );
    let of_sums = sums(of_rows.iter().map(|(end, sum)| (*sum, end - 1)), 10 * SIZE);
    for (workers, memory, batch_rows) in variants() {
        let (late, none) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (first, second) = (Collect::default(), Collect::default());
        let mut nodes: Vec<PlanNode> = Vec::new();
        for (at, source) in sources.iter().enumerate() {
            nodes.push(node(
                &format!("source{at}"),
                Work::Source(Arc::clone(source) as _),
                &[],
            ));
        }
        let of: Vec<usize> = (0..sources.len()).collect();
        let windows = made(vec![
            assign(SIZE, Arc::clone(&late)),
            SumByWindow::plan(SIZE, Arc::clone(&most)),
        ]);
        nodes.push(node("windows", windows, &of));
        let longer = made(vec![
            assign(10 * SIZE, Arc::clone(&none)),
            SumByWindow::plan(10 * SIZE, Arc::default()),
        ]);
        nodes.push(node("longer", longer, &[sources.len()]));
        let sink = |sink: &Collect| Work::Sink(Arc::new(sink.clone()));
        nodes.push(node("out", sink(&first), &[sources.len()]));
        nodes.push(node("out2", sink(&second), &[sources.len() + 1]));
        if in_order {
            nodes.push(node("rows", sink(&Collect::default()), &[0]));
        }
        run(nodes, workers, memory, batch_rows).expect("runs");
        let label = format!("{workers} workers, {memory} bytes, {batch_rows} rows");
        let seen = |sink: &Collect| sink.seen.lock().expect("no panic").clone();
        let only = |sums: &[(i64, i64)]| sums.iter().map(|(_, sum)| *sum).collect::<Vec<_>>();
        assert_eq!(seen(&first), only(&of_rows), "{label}");
        assert_eq!(seen(&second), only(&of_sums), "{label}");
        let expected = judged.iter().filter(|row| row.2).count() as u64;
        assert_eq!(late.load(Ordering::Relaxed), expected, "{label}");
        assert_eq!(none.load(Ordering::Relaxed), 0, "{label}");
    }
    most.load(Ordering::Relaxed)
}

/// Ascending but for a wobble, larger than the lateness now and then.
pub(super) fn wobbling(x: i64) -> i64 {
    let wobble = (x * 7919).rem_euclid(41);
    3 * x - wobble - if x % 97 == 13 { 250 } else { 0 } - 1000
}

#[test]
fn windows_close_as_time_goes_on() {
    let open = check(&[Timed::new(&[6000], 50, true, wobbling)], false);
    assert!(open < 60, "{open} windows were open");
}

#[test]
fn the_stream_in_its_own_order_gives_the_same_windows() {
    check(&[Timed::new(&[900, 0, 1, 777], 50, true, wobbling)], true);
}

#[test]
fn files_side_by_side_are_read_aligned() {
    /// Five files that span the same time, a thousand rows each.
    fn side_by_side(x: i64) -> i64 {
        wobbling(x % 1000)
    }
    let open = check(&[Timed::new(&[1000; 5], 20, true, side_by_side)], false);
    assert!(open < 25, "{open} windows were open");
}

#[test]
fn files_whose_names_do_not_sort_in_time_are_read_aligned() {
    /// Ten files that follow one another backwards.
    fn backwards(x: i64) -> i64 {
        wobbling((9 - x / 300) * 300 + x % 300)
    }
    let open = check(&[Timed::new(&[300; 10], 60, false, backwards)], false);
    assert!(open < 60, "{open} windows were open");
    check(&[Timed::new(&[300; 10], 60, false, backwards)], true);
}

#[test]
fn sources_of_one_graph_are_read_aligned() {
    fn sparse(x: i64) -> i64 {
        300 * x - 900
    }
    let dense = || Timed::new(&[3000, 3000], 50, true, wobbling);
    let open = check(&[dense(), Timed::new(&[60], 3, false, sparse)], false);
    assert!(open < 60, "{open} windows were open");
    // One that ends early, and one without rows.
    check(
        &[
            dense(),
            Timed::new(&[5], 3, false, sparse),
            Timed::new(&[0], 3, false, sparse),
        ],
        false,
    );
    check(&[Timed::new(&[], 3, false, sparse)], false);
}

#[test]
fn more_files_than_may_be_open() {
    fn side_by_side(x: i64) -> i64 {
        wobbling(x % 30)
    }
    check(&[Timed::new(&[30; 150], 10, false, side_by_side)], false);
}

#[test]
fn a_reader_with_enough_ends_the_run_while_pieces_wait_for_stamps() {
    for (workers, memory, batch_rows) in variants() {
        let sink = Collect::default();
        let mut left = 10;
        let limit = StagePlan {
            route: Route::Gather,
            ordered: true,
            ends_early: true,
            ..each(move |batch, out| {
                let some = batch.len().min(left);
                left -= some;
                out.send(0, batch.slice(0, some));
                Ok(if left == 0 { Flow::Done } else { Flow::Ready })
            })
        };
        let windows = made(vec![
            assign(SIZE, Arc::default()),
            SumByWindow::plan(SIZE, Arc::default()),
        ]);
        let nodes = vec![
            node(
                "source",
                Work::Source(Timed::new(&[100_000; 20], 50, true, wobbling)),
                &[],
            ),
            node("windows", windows, &[0]),
            node("limit", made(vec![limit]), &[1]),
            node("out", Work::Sink(Arc::new(sink.clone())), &[2]),
        ];
        let report = run(nodes, workers, memory, batch_rows).expect("runs");
        assert_eq!(sink.seen.lock().expect("no panic").len(), 10);
        assert!(report.numbers.components[0].rows_out < 1_000_000);
    }
}

#[test]
fn a_stamp_is_the_newest_time_before_the_piece() {
    let mut newest = Newest::default();
    assert_eq!(newest.horizon(&RULE), BEGINNING);
    newest.see(&[5, 3], &RULE);
    assert_eq!(newest.horizon(&RULE), 5 - RULE.lateness);
}

#[test]
fn several_inputs_with_time_are_put_in_its_order() {
    fn other(x: i64) -> i64 {
        wobbling(x) + 1
    }
    let sources = [
        Timed::new(&[700, 0, 300], 40, true, wobbling),
        Timed::new(&[500], 30, false, other),
    ];
    // Where each row stands in time: where it happened or, if that is too long ago, at its horizon.
    let mut expected: Vec<(i64, usize, usize, i64)> = Vec::new();
    for (input, source) in sources.iter().enumerate() {
        let mut at = 0;
        for (split, rows) in source.numbers.splits.iter().enumerate() {
            let mut newest = Newest::default();
            for x in (0..*rows as i64).map(|row| source.numbers.start(split) + row) {
                let time = (source.time)(x);
                let horizon = newest.horizon(&RULE);
                newest.see(&[time], &RULE);
                expected.push((time.max(horizon), input, at, x));
                at += 1;
            }
        }
    }
    expected.sort();
    let expected: Vec<i64> = expected.into_iter().map(|(.., x)| x).collect();
    for (workers, memory, batch_rows) in variants() {
        let (direct, through) = (Collect::default(), Collect::default());
        let pass = || {
            each(|batch, out| {
                out.send(0, batch.clone());
                Ok(Flow::Ready)
            })
        };
        let timed = |id: &str, work: Work, inputs: &[usize]| PlanNode {
            ports: vec![Port::main(schema()).timed(true)],
            ..node(id, work, inputs)
        };
        let nodes = vec![
            timed("a", Work::Source(Arc::clone(&sources[0]) as _), &[]),
            timed("b", Work::Source(Arc::clone(&sources[1]) as _), &[]),
            timed("a_on", made(vec![pass()]), &[0]),
            timed("both", made(vec![pass()]), &[2, 1]),
            node("out", Work::Sink(Arc::new(direct.clone())), &[0, 1]),
            node("out2", Work::Sink(Arc::new(through.clone())), &[3]),
        ];
        run(nodes, workers, memory, batch_rows).expect("runs");
        let label = format!("{workers} workers, {memory} bytes, {batch_rows} rows");
        assert!(
            *direct.seen.lock().expect("no panic") == expected,
            "{label}"
        );
        assert!(
            *through.seen.lock().expect("no panic") == expected,
            "{label}"
        );
    }
}

/// A source that says one piece, and the rest when it is told to.
struct Silent {
    timed: Arc<Timed>,
    idle: Option<i64>,
    told: crossbeam_channel::Receiver<()>,
}

impl Source for Silent {
    fn ports(&self) -> &[Port] {
        self.timed.ports()
    }
    fn narrow(self: Arc<Self>, _: &Wanted) -> Arc<dyn Source> {
        self
    }
    fn splits(&self) -> Result<Vec<Split>> {
        self.timed.splits()
    }
    fn cutter(&self, split: usize, first: Place) -> Result<Box<dyn Cutter>> {
        let inner = self.timed.cutter(split, first)?;
        Ok(Box::new(SilentCutter(inner, 0, self.told.clone())))
    }
    fn reader(&self) -> Result<Box<dyn Reader>> {
        self.timed.reader()
    }
    fn time(&self) -> Option<TimeRule> {
        Some(TimeRule {
            idle: self.idle,
            ..RULE
        })
    }
}

struct SilentCutter(Box<dyn Cutter>, usize, crossbeam_channel::Receiver<()>);

impl Cutter for SilentCutter {
    fn next(&mut self) -> Result<Option<Piece>> {
        self.1 += 1;
        if self.1 == 2 {
            // Whoever told may be gone: that tells as well.
            let _ = self.2.recv();
        }
        self.0.next()
    }
}

#[test]
fn a_silent_source_is_waited_for_unless_it_may_be_idle() {
    for (idle, leaves) in [(None, false), (Some(20_000_000), true)] {
        let (tell, told) = crossbeam_channel::bounded(1);
        let silent = Silent {
            timed: Timed::new(&[10], 10, false, wobbling),
            idle,
            told,
        };
        let sink = Collect::default();
        let windows = made(vec![
            assign(SIZE, Arc::default()),
            SumByWindow::plan(SIZE, Arc::default()),
        ]);
        let nodes = vec![
            node(
                "speaks",
                Work::Source(Timed::new(&[3000], 50, false, wobbling)),
                &[],
            ),
            node("silent", Work::Source(Arc::new(silent)), &[]),
            node("windows", windows, &[0]),
            node("other", Work::Sink(Arc::new(Collect::default())), &[1, 0]),
            node("out", Work::Sink(Arc::new(sink.clone())), &[2]),
        ];
        let running = std::thread::spawn(move || run(nodes, 2, 16 << 20, 100));
        let deadline = std::time::Instant::now() + Duration::from_secs(if leaves { 20 } else { 1 });
        let seen = || sink.seen.lock().expect("no panic").len();
        while seen() < 20 && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(seen() >= 20, leaves, "{} windows have left", seen());
        tell.send(()).expect("it listens");
        running.join().expect("no panic").expect("runs");
        assert!(seen() > 80);
    }
}
