//! Sources that grow while they are read: splits are read in the order in which they come, in one run as in several.

use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};
use dataflow_core::time::Instant;

use crate::resume::StateSettings;

use super::time::{RULE, SIZE, SumByWindow, Timed, assign, end_of, wobbling};
use super::*;

/// The splits of another source, of which some are there and others come.
struct Growing {
    inner: Arc<dyn Source>,
    /// Which ones are there, as indices of the other source.
    there: Arc<Mutex<Vec<usize>>>,
    coming: Receiver<Option<usize>>,
    end: Sender<Option<usize>>,
}

impl Growing {
    fn new(inner: Arc<dyn Source>, there: &[usize]) -> (Arc<Self>, Sender<Option<usize>>) {
        let (end, coming) = unbounded();
        let growing = Self {
            inner,
            there: Arc::new(Mutex::new(there.to_vec())),
            coming,
            end: end.clone(),
        };
        (Arc::new(growing), end)
    }

    fn which(&self, split: usize) -> usize {
        self.there.lock().expect("no panic")[split]
    }
}

impl Source for Growing {
    fn ports(&self) -> &[Port] {
        self.inner.ports()
    }
    fn narrow(self: Arc<Self>, _: &Wanted) -> Arc<dyn Source> {
        self
    }
    fn splits(&self) -> Result<Vec<Split>> {
        let all = self.inner.splits()?;
        let there = self.there.lock().expect("no panic");
        Ok(there.iter().map(|at| all[*at].clone()).collect())
    }
    fn grows(&self) -> bool {
        true
    }
    fn arrivals(&self) -> Result<Option<Box<dyn Arrivals>>> {
        Ok(Some(Box::new(Coming {
            all: self.inner.splits()?,
            there: Arc::clone(&self.there),
            coming: self.coming.clone(),
            end: self.end.clone(),
        })))
    }
    fn cutter(&self, split: usize, first: Place) -> Result<Box<dyn Cutter>> {
        let inner = self.inner.cutter(self.which(split), first)?;
        Ok(Box::new(Renamed(inner, split)))
    }
    fn reader(&self) -> Result<Box<dyn Reader>> {
        let inner = self.inner.reader()?;
        Ok(Box::new(Reread(inner, Arc::clone(&self.there))))
    }
    fn time(&self) -> Option<TimeRule> {
        self.inner.time()
    }
    fn lower_bound(&self, split: usize) -> Result<Option<Instant>> {
        self.inner.lower_bound(self.which(split))
    }
}

struct Coming {
    all: Vec<Split>,
    there: Arc<Mutex<Vec<usize>>>,
    coming: Receiver<Option<usize>>,
    end: Sender<Option<usize>>,
}

impl Arrivals for Coming {
    fn next(&mut self) -> Result<Option<Vec<Split>>> {
        let Ok(Some(at)) = self.coming.recv() else {
            return Ok(None);
        };
        self.there.lock().expect("no panic").push(at);
        Ok(Some(vec![self.all[at].clone()]))
    }
    fn ending(&self) -> Box<dyn FnOnce() + Send> {
        let end = self.end.clone();
        Box::new(move || {
            let _ = end.send(None);
        })
    }
}

struct Renamed(Box<dyn Cutter>, usize);

impl Cutter for Renamed {
    fn next(&mut self) -> Result<Option<Piece>> {
        let piece = self.0.next()?;
        Ok(piece.map(|piece| Piece {
            split: self.1,
            ..piece
        }))
    }
}

struct Reread(Box<dyn Reader>, Arc<Mutex<Vec<usize>>>);

impl Reader for Reread {
    fn open(&mut self, piece: Piece) -> Result<()> {
        let split = self.1.lock().expect("no panic")[piece.split];
        self.0.open(Piece { split, ..piece })
    }
    fn next(&mut self, rows: usize) -> Result<Option<Decoded>> {
        self.0.next(rows)
    }
}

/// Lets splits come, one after some time and another at once.
fn come(coming: Sender<Option<usize>>, order: &[Option<usize>]) -> JoinHandle<()> {
    let order = order.to_vec();
    std::thread::spawn(move || {
        for (at, which) in order.into_iter().enumerate() {
            if at % 2 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
            // A run that was stopped may be gone.
            let _ = coming.send(which);
        }
    })
}

fn seen(sink: &Collect) -> Vec<i64> {
    sink.seen.lock().expect("no panic").clone()
}

/// The first so many rows.
fn limit(mut left: usize) -> StagePlan {
    StagePlan {
        route: Route::Gather,
        ordered: true,
        ends_early: true,
        ..each(move |batch, out| {
            let taken = batch.len().min(left);
            left -= taken;
            out.send(0, batch.slice(0, taken));
            Ok(if left == 0 { Flow::Done } else { Flow::Ready })
        })
    }
}

#[test]
fn splits_are_read_in_the_order_in_which_they_come() {
    let sizes = [300, 0, 70, 1, 500, 20];
    for (workers, memory, batch_rows) in variants() {
        let numbers = Numbers::new(0, &sizes, 50);
        let rows_of = |at: usize| numbers.start(at)..numbers.start(at + 1);
        let order = [2, 5, 4, 1, 0, 3];
        let expected: Vec<i64> = order.iter().flat_map(|at| rows_of(*at)).collect();
        // It ends when nobody wants more rows, or when no more come.
        for enough in [true, false] {
            let sink = Collect::default();
            let (source, coming) = Growing::new(Arc::clone(&numbers) as _, &order[..2]);
            let mut arrivals: Vec<_> = order[2..].iter().copied().map(Some).collect();
            arrivals.extend((!enough).then_some(None));
            let coming = come(coming, &arrivals);
            let rows = if enough { expected.len() } else { 10_000 };
            let nodes = vec![
                node("numbers", Work::Source(source), &[]),
                node("limit", made(vec![limit(rows)]), &[0]),
                node("out", Work::Sink(Arc::new(sink.clone())), &[1]),
            ];
            let report = run(nodes, workers, memory, batch_rows).expect("runs");
            coming.join().expect("no panic");
            assert!(seen(&sink) == expected, "{workers} workers");
            let source = &report.numbers.components[0];
            assert_eq!((source.splits, source.rows_total), (6, None));
        }
    }
}

/// The sums of windows, of rows that are not late, and how many are: those that come are late by all before them.
fn judged(rows: &Timed, there: &[usize], come: &[usize]) -> (Vec<i64>, u64) {
    let mut sums = std::collections::BTreeMap::new();
    let (mut late, mut before) = (0, None);
    for (at, split) in there.iter().chain(come).enumerate() {
        let mut newest: Option<i64> = if at < there.len() { None } else { before };
        for (x, time) in rows.of(*split) {
            let end = end_of(time, SIZE);
            match newest.is_some_and(|newest| end <= newest - RULE.lateness) {
                true => late += 1,
                false => *sums.entry(end).or_default() += x,
            }
            newest = newest.max(Some(time));
        }
        before = before.max(newest);
    }
    (sums.into_values().collect(), late)
}

#[test]
fn what_comes_is_late_by_all_before_it() {
    /// Files that overlap by half, in the order of their numbers.
    fn overlapping(x: i64) -> i64 {
        wobbling(x / 500 * 250 + x % 500)
    }
    let sizes = [500, 500, 500, 0, 500, 500];
    let (there, others) = ([0, 1], [2, 5, 3, 4]);
    for in_order in [false, true] {
        for (workers, memory, batch_rows) in variants() {
            let rows = Timed::new(&sizes, 50, true, overlapping);
            let (expected, expected_late) = judged(&rows, &there, &others);
            let (source, coming) = Growing::new(rows, &there);
            let mut arrivals: Vec<_> = others.map(Some).to_vec();
            arrivals.push(None);
            let coming = come(coming, &arrivals);
            let (late, out) = (Arc::new(AtomicU64::new(0)), Collect::default());
            let windows = made(vec![
                assign(SIZE, Arc::clone(&late)),
                SumByWindow::plan(SIZE, Arc::default()),
            ]);
            let mut nodes = vec![
                node("rows", Work::Source(source), &[]),
                node("windows", windows, &[0]),
                node("out", Work::Sink(Arc::new(out.clone())), &[1]),
            ];
            if in_order {
                let sink = Work::Sink(Arc::new(Collect::default()));
                nodes.push(node("all", sink, &[0]));
            }
            run(nodes, workers, memory, batch_rows).expect("runs");
            coming.join().expect("no panic");
            let label = format!("{workers} workers, in order: {in_order}");
            assert_eq!(seen(&out), expected, "{label}");
            assert_eq!(late.load(Ordering::Relaxed), expected_late, "{label}");
            assert!(expected_late > 300, "{expected_late}");
        }
    }
}

#[test]
fn windows_close_before_the_next_split_comes() {
    let rows = Timed::new(&[1000, 10], 50, false, wobbling);
    let (source, coming) = Growing::new(rows, &[0]);
    let out = Collect::default();
    let windows = made(vec![
        assign(SIZE, Arc::default()),
        SumByWindow::plan(SIZE, Arc::default()),
    ]);
    let nodes = vec![
        node("rows", Work::Source(source), &[]),
        node("windows", windows, &[0]),
        node("out", Work::Sink(Arc::new(out.clone())), &[1]),
    ];
    let running = std::thread::spawn(move || run(nodes, 2, 16 << 20, 100));
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while seen(&out).len() < 27 && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(seen(&out).len() >= 27, "{} windows", seen(&out).len());
    come(coming, &[Some(1), None]).join().expect("no panic");
    running.join().expect("no panic").expect("runs");
}

/// One attempt of several: it goes on where the one before was, and is stopped after some time if that is given.
fn attempt(
    source: Arc<Growing>,
    sinks: &[Collect; 2],
    folder: &std::path::Path,
    (workers, batch_rows): (usize, usize),
    stop: Option<(Duration, bool)>,
) -> Result<Report> {
    let sink = |at: usize| Work::Sink(Arc::new(sinks[at].clone()));
    let nodes = vec![
        node("rows", Work::Source(source), &[]),
        node("digests", keyed_digest(), &[0]),
        node("digests_out", sink(0), &[1]),
        node("out", sink(1), &[0]),
    ];
    let name = "test".into();
    let settings = Settings {
        workers,
        batch_rows,
        state: Some(StateSettings {
            folder: folder.join("state"),
            every: Every::Time(units::Duration::from_nanoseconds(1_000_000)),
            ..StateSettings::default()
        }),
        ..Settings::default()
    };
    let run = Run::new(Plan { name, nodes }, settings).expect("is prepared");
    let handle = run.stop_handle();
    if let Some((after, at_once)) = stop {
        std::thread::spawn(move || {
            std::thread::sleep(after);
            match at_once {
                true => handle.stop(),
                false => assert!(handle.pause(), "snapshots are made"),
            }
        });
    }
    run.execute()
}

#[test]
fn a_run_goes_on_in_the_order_in_which_splits_came() {
    let sizes = [400, 1, 300, 0, 700, 50, 200, 90];
    let come_in = [6, 1, 5, 0, 7, 2, 3, 4];
    let mut stopped = 0;
    for seed in 0..10_u64 {
        let folder = tempfile::tempdir().expect("a folder");
        let sinks: [Collect; 2] = Default::default();
        let numbers = Arc::into_inner(Numbers::new(0, &sizes, 20)).expect("one owner");
        let numbers = Arc::new(Numbers {
            slow: true,
            ..numbers
        });
        let mut there = vec![come_in[0]];
        for turn in 0.. {
            assert!(turn < 40, "it never ends");
            // The folder lists what is there by name.
            there.sort_unstable();
            let (source, coming) = Growing::new(Arc::clone(&numbers) as _, &there);
            let known = Arc::clone(&source.there);
            let rest = come_in.iter().filter(|at| !there.contains(at));
            let rest: Vec<_> = rest.copied().map(Some).collect();
            let last = turn > 5;
            let some = if last { rest.len() } else { rest.len().min(2) };
            let mut now = rest[..some].to_vec();
            now.extend(last.then_some(None));
            let coming = come(coming, &now);
            let after = Duration::from_micros((seed * 7919 + turn * 104_729) % 15_000);
            let stop = (!last).then_some((after, seed % 2 == 0));
            let how = (1 + (seed + turn) as usize % 3, [7, 8192][seed as usize % 2]);
            let ended = attempt(source, &sinks, folder.path(), how, stop);
            coming.join().expect("no panic");
            there = known.lock().expect("no panic").clone();
            match ended {
                Ok(_) => break,
                Err(error) => {
                    assert!(!last, "{error}");
                    stopped += 1;
                }
            }
        }
        // Whole splits, each once, in any order: what comes at the moment of a stop is found by name by the next run.
        let found = seen(&sinks[1]);
        let mut left = &found[..];
        let mut missing: Vec<usize> = (0..sizes.len()).filter(|at| sizes[*at] > 0).collect();
        while let Some(first) = left.first() {
            let at = missing.iter().position(|at| numbers.start(*at) == *first);
            let at =
                missing.remove(at.unwrap_or_else(|| panic!("seed {seed}: {first} begins none")));
            let (part, rest) = left.split_at(sizes[at] as usize);
            assert!(
                part.iter()
                    .copied()
                    .eq(numbers.start(at)..numbers.start(at + 1))
            );
            left = rest;
        }
        assert!(missing.is_empty(), "seed {seed}: {missing:?}");
        let mut digests = std::collections::BTreeMap::new();
        for x in &found {
            let before = digests.entry(x.rem_euclid(DIGESTS)).or_default();
            *before = digest(*before, *x);
        }
        assert!(seen(&sinks[0]).into_iter().eq(digests.into_values()));
    }
    assert!(stopped > 20, "{stopped} runs were stopped");
}

#[test]
fn a_run_in_which_nothing_happens_makes_no_snapshots() {
    let folder = tempfile::tempdir().expect("a folder");
    let (source, coming) = Growing::new(Numbers::new(0, &[100, 10], 50) as _, &[0]);
    let (sinks, state) = (<[Collect; 2]>::default(), folder.path().join("state"));
    let (out, path) = (sinks[1].clone(), folder.path().to_path_buf());
    let running = std::thread::spawn(move || attempt(source, &sinks, &path, (2, 100), None));
    let number = || {
        crate::stored(&state)
            .expect("readable")
            .map_or(0, |s| s.number)
    };
    let settled = || {
        let (mut last, mut same) = (0, 0);
        while same < 10 {
            std::thread::sleep(Duration::from_millis(20));
            same = if number() == last { same + 1 } else { 0 };
            last = number();
        }
        last
    };
    let before = settled();
    assert!((2..=6).contains(&before), "{before} snapshots");
    coming.send(Some(1)).expect("it is kept");
    let after = settled();
    assert!(
        (before + 1..=before + 5).contains(&after),
        "{after} snapshots"
    );
    assert_eq!(seen(&out).len(), 110);
    coming.send(None).expect("it is kept");
    running.join().expect("no panic").expect("runs");
}
