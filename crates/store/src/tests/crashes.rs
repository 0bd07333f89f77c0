//! Any operations, with the power cut or the disk full at any of them, against a model in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use serde_json::json;

use super::draw::{Seen, part, rows, see};
use super::simulated::{Dice, Fault, Simulated};
use crate::books::Books;
use crate::changes::Changes;
use crate::disk::Disk;
use crate::names;
use crate::round::{Round, Tuning};
use crate::{Content, PartKey, Snapshot};

/// What is done to one part in a draft.
#[derive(Clone, Debug)]
enum Put {
    Bytes(usize, u8, usize),
    Batches(usize, Vec<i64>),
    Rows(usize, Vec<(u8, Option<i64>)>),
    /// So many rows that what comes later is merged above them.
    Bulk(usize, u64),
    Drop(usize),
    Adopt(usize, u8, usize),
    DropFile(usize),
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Put>),
    /// What compaction is to do is settled now, and done at the next of these.
    Compact,
    Collect,
    Latest,
    Reopen,
    Reset,
}

fn put() -> impl Strategy<Value = Put> {
    let which = 0..4_usize;
    prop_oneof![
        2 => (which.clone(), any::<u8>(), 0..2000_usize).prop_map(|(p, b, n)| Put::Bytes(p, b, n)),
        1 => (which.clone(), prop::collection::vec(any::<i64>(), 0..5)).prop_map(|(p, n)| Put::Batches(p, n)),
        6 => (which.clone(), prop::collection::vec((0..12_u8, prop::option::of(any::<i64>())), 0..20))
            .prop_map(|(p, rows)| Put::Rows(p, rows)),
        1 => (which.clone(), any::<u64>()).prop_map(|(p, seed)| Put::Bulk(p, seed)),
        1 => which.clone().prop_map(Put::Drop),
        2 => (which, any::<u8>(), 0..2000_usize).prop_map(|(p, b, n)| Put::Adopt(p, b, n)),
        1 => (0..8_usize).prop_map(Put::DropFile),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(put(), 0..5).prop_map(Step::Commit),
        5 => Just(Step::Compact),
        1 => Just(Step::Collect),
        1 => Just(Step::Latest),
        2 => Just(Step::Reopen),
        1 => Just(Step::Reset),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::Cut),
        1 => (1..8_u64).prop_map(Fault::Full),
        1 => (1..8_u64).prop_map(Fault::Broken),
    ]
}

/// What a snapshot should be.
#[derive(Clone, Debug, Default, PartialEq)]
struct Expected {
    parts: BTreeMap<PartKey, Seen>,
    files: BTreeMap<String, (PartKey, Vec<u8>)>,
}

/// What may be found after a crash: what was tried, by the number in its facts. `None` is an empty store.
struct Model {
    tried: BTreeMap<u64, Expected>,
    /// The newest that was confirmed; 0 is none.
    confirmed: u64,
    /// A reset that did not return may have happened or not.
    resetting: bool,
    next: u64,
    front: Expected,
}

/// The store under test.
struct Bench {
    disk: Simulated,
    books: Books,
    carried: Changes,
    round: Option<Round>,
    model: Model,
    dice: Dice,
    next_file: u64,
}

fn key(which: usize) -> PartKey {
    part(["a", "b", "c", "d"][which])
}

fn books(disk: &Simulated) -> dataflow_core::Result<Books> {
    Books::open(Arc::new(disk.clone()), Tuning { small: 0, many: 3 })
}

impl Bench {
    fn new(seed: u64) -> Self {
        let disk = Simulated::default();
        Self {
            books: books(&disk).expect("nothing is wrong yet"),
            disk,
            carried: Changes::default(),
            round: None,
            model: Model {
                tried: BTreeMap::new(),
                confirmed: 0,
                resetting: false,
                next: 1,
                front: Expected::default(),
            },
            dice: Dice(seed),
            next_file: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Commit(puts) => self.commit(puts),
            Step::Compact => self.compact(),
            Step::Collect => drop(self.books.sweep()),
            Step::Latest => drop(self.books.latest()),
            Step::Reopen => self.reopen(),
            Step::Reset => self.reset(),
        }
        if self.disk.is_cut() {
            self.reopen();
        }
    }

    fn commit(&mut self, puts: &[Put]) {
        let mut changes = Changes::default();
        puts.iter().for_each(|put| self.put(put, &mut changes));
        if self.disk.is_cut() {
            return;
        }
        let number = self.model.next;
        self.model.next += 1;
        self.model.tried.insert(number, self.model.front.clone());
        let all = changes
            .over(std::mem::take(&mut self.carried))
            .expect("the model keeps kinds apart");
        match self.books.commit(&all, json!(number)) {
            Ok(_) => self.confirm(number),
            Err(error) => {
                assert!(
                    error.to_string().contains("simulated/"),
                    "it names the folder: {error}"
                );
                self.carried = all;
            }
        }
        self.books.sweep_later();
    }

    fn confirm(&mut self, number: u64) {
        self.model.confirmed = number;
        self.model.resetting = false;
        self.model.tried.retain(|tried, _| *tried >= number);
    }

    fn put(&mut self, put: &Put, changes: &mut Changes) {
        let front = &mut self.model.front;
        match put.clone() {
            Put::Bytes(which, byte, length) => {
                let bytes = vec![byte; length];
                front.parts.insert(key(which), Seen::Bytes(bytes.clone()));
                changes
                    .put(key(which), Content::Whole(bytes))
                    .expect("fits");
            }
            Put::Batches(which, numbers) => {
                let batch: Vec<(&str, Option<i64>)> =
                    numbers.iter().map(|n| ("", Some(*n))).collect();
                let batch = rows(&batch).project(&[2]).expect("a column");
                front.parts.insert(
                    key(which),
                    Seen::Batches(numbers.into_iter().map(Some).collect()),
                );
                changes
                    .put(key(which), Content::WholeBatches(vec![batch]))
                    .expect("fits");
            }
            Put::Rows(which, entries) => {
                let rows = entries
                    .iter()
                    .map(|(key, n)| ("long beginning "[..*key as usize].to_string(), *n));
                put_rows(front, changes, which, &rows.collect::<Vec<_>>());
            }
            Put::Bulk(which, seed) => put_rows(front, changes, which, &bulk(seed)),
            Put::Drop(which) => {
                front.parts.remove(&key(which));
                front.files.retain(|_, (owner, _)| *owner != key(which));
                changes.drop_part(&key(which));
            }
            Put::Adopt(which, byte, length) => {
                let name = format!("{}.run", self.next_file);
                self.next_file += 1;
                let bytes = vec![byte; length];
                let written = self
                    .disk
                    .create(&names::file(&name))
                    .and_then(|mut file| file.append(&bytes));
                if written.is_ok() {
                    self.model
                        .front
                        .files
                        .insert(name.clone(), (key(which), bytes));
                    changes.adopted.insert(name, key(which));
                }
            }
            Put::DropFile(which) => {
                let Some(name) = front.files.keys().nth(which).cloned() else {
                    return;
                };
                front.files.remove(&name);
                changes.drop_file(&name);
            }
        }
    }

    fn compact(&mut self) {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        match self.round.take() {
            Some(round) => {
                let outcome = round.run(&disk, &AtomicBool::new(false));
                assert!(
                    outcome.is_ok() || self.disk.has_failed(),
                    "{:?}",
                    outcome.err()
                );
                drop(round);
                self.books.finish(outcome);
            }
            None => self.round = self.books.round().ok().flatten(),
        }
    }

    fn reset(&mut self) {
        self.model.resetting = true;
        // What failed before is nobody's concern any more.
        self.carried = Changes::default();
        self.model.front = Expected::default();
        if self.books.reset().is_ok() {
            self.model.tried.clear();
            self.model.confirmed = 0;
            self.model.resetting = false;
        } else {
            // Nobody goes on with a store that could not be reset.
            self.reopen();
        }
    }

    /// Ends the process, with or without a cut, and looks at what is there.
    fn reopen(&mut self) {
        loop {
            self.round = None;
            self.carried = Changes::default();
            if self.disk.is_cut() || self.dice.below(2) == 0 {
                self.disk = self.disk.after_cut(&mut self.dice);
            }
            if let Ok(books) = books(&self.disk) {
                self.books = books;
                if self.look() {
                    return;
                }
            }
        }
    }

    /// Compares what is found; `false` if the disk failed meanwhile.
    fn look(&mut self) -> bool {
        let latest = self.books.latest();
        if self.disk.is_cut() {
            return false;
        }
        let latest = latest.expect("a crash damages nothing");
        let Some(snapshot) = latest else {
            assert!(
                self.model.confirmed == 0 || self.model.resetting,
                "what was confirmed is lost"
            );
            self.model.front = Expected::default();
            self.confirm_nothing();
            return true;
        };
        assert!(snapshot.warnings().is_empty(), "{:?}", snapshot.warnings());
        let number = snapshot.facts().as_u64().expect("as it was written");
        assert!(
            number >= self.model.confirmed || self.model.resetting,
            "a newer one was confirmed"
        );
        let expected = self
            .model
            .tried
            .get(&number)
            .cloned()
            .expect("it was tried");
        assert_eq!(found(&snapshot, &self.disk), expected);
        self.model.front = expected;
        if !self.model.resetting {
            self.confirm(number);
        }
        self.nothing_is_left_over();
        true
    }

    fn confirm_nothing(&mut self) {
        self.model.confirmed = 0;
        self.model.resetting = false;
        self.model.tried.clear();
    }

    /// Only what a manifest names is there.
    fn nothing_is_left_over(&self) {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let found = crate::find::find(&disk).expect("can be read");
        let kept: Vec<_> = found.kept().collect();
        let mut named: BTreeSet<String> = kept
            .iter()
            .map(|kept| names::manifest(kept.number))
            .collect();
        for kept in &kept {
            named.extend(kept.segments().into_iter().map(names::segment));
            named.extend(kept.files.keys().map(|name| names::file(name)));
        }
        let there: BTreeSet<String> = self.disk.paths().into_iter().collect();
        // What could not be removed stays until the next time.
        assert!(
            there == named || self.disk.has_failed() && there.is_superset(&named),
            "{there:?} {named:?}"
        );
    }
}

/// Rows that are hard to compress, and all keys that small deltas have.
fn bulk(seed: u64) -> Vec<(String, Option<i64>)> {
    let mut dice = Dice(seed);
    let small = (0..12).map(|length| "long beginning "[..length].to_string());
    let mut rows: Vec<_> = small.map(|key| (key, Some(7))).collect();
    rows.extend((0..100).map(|_| {
        let key = format!("{:x}", dice.below(1 << 40));
        (key, Some(dice.below(1 << 40) as i64))
    }));
    rows
}

fn put_rows(
    front: &mut Expected,
    changes: &mut Changes,
    which: usize,
    entries: &[(String, Option<i64>)],
) {
    if !matches!(front.parts.get(&key(which)), None | Some(Seen::Rows(_))) {
        return;
    }
    let there = front
        .parts
        .entry(key(which))
        .or_insert_with(|| Seen::Rows(BTreeMap::new()));
    let Seen::Rows(there) = there else { return };
    for (key, number) in entries {
        match number {
            Some(number) => drop(there.insert(key.clone().into_bytes(), *number)),
            None => drop(there.remove(key.as_bytes())),
        }
    }
    let drawn: Vec<(&str, Option<i64>)> =
        entries.iter().map(|(key, n)| (key.as_str(), *n)).collect();
    // In two batches, so that the order of batches counts too.
    let (one, two) = drawn.split_at(drawn.len() / 2);
    let content = Content::Delta {
        batches: vec![rows(one), rows(two)],
    };
    changes.put(key(which), content).expect("fits");
}

fn found(snapshot: &Snapshot, disk: &Simulated) -> Expected {
    let parts = snapshot.parts().map(|(key, _)| {
        let seen = see(snapshot, key).expect("can be read").expect("is there");
        (key.clone(), seen)
    });
    let files = snapshot.files().map(|file| {
        let mut bytes = vec![0; file.bytes as usize];
        let opened = disk.open(&names::file(&file.name));
        opened
            .expect("is there")
            .read_at(0, &mut bytes)
            .expect("is as long");
        (file.name, (file.key, bytes))
    });
    Expected {
        parts: parts.collect(),
        files: files.collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_committed_is_found_and_nothing_else(
        steps in prop::collection::vec(step(), 1..30),
        faults in prop::collection::vec((0..150_u64, fault()), 0..5),
        seed: u64,
    ) {
        let mut bench = Bench::new(seed);
        for (at, fault) in faults {
            bench.disk.fault_in(at, fault);
        }
        for step in &steps {
            bench.step(step);
        }
        bench.reopen();
    }
}

/// Snapshots of all kinds, with a round under way while others are committed, and files that come and go.
fn story() -> Vec<Step> {
    let few = |n: i64| vec![(3, Some(n)), (5, None), (n as u8, Some(n))];
    let all = |n: i64| {
        Step::Commit(vec![
            Put::Rows(0, few(n)),
            Put::Bytes(1, n as u8, 900),
            Put::Adopt(2, n as u8, 700),
        ])
    };
    vec![
        Step::Commit(vec![
            Put::Bulk(0, 1),
            Put::Bytes(1, 1, 600),
            Put::Batches(3, vec![1, 2]),
        ]),
        all(1),
        all(2),
        Step::Commit(vec![Put::Rows(0, few(3)), Put::DropFile(0)]),
        Step::Compact,
        all(4),
        Step::Commit(vec![Put::Drop(3), Put::DropFile(0)]),
        Step::Compact,
        Step::Commit(vec![Put::Drop(3), Put::DropFile(0)]),
        all(6),
    ]
}

#[test]
fn every_operation_of_a_story_may_fail() {
    let faults = [
        Fault::Cut,
        Fault::Full(1),
        Fault::Full(4),
        Fault::Broken(1),
        Fault::Broken(2),
        Fault::Broken(3),
    ];
    let mut quiet = Bench::new(0);
    story().iter().for_each(|step| quiet.step(step));
    let operations = quiet.disk.operations();
    assert!(operations > 60, "{operations}");
    for (at, fault) in (0..=operations).flat_map(|at| faults.map(|fault| (at, fault))) {
        // The second fault ends the story at once, or lets it go on for a while.
        for (seed, more) in [0, 1, 3, 30].into_iter().enumerate() {
            let mut bench = Bench::new(at * 8 + seed as u64);
            bench.disk.fault_in(at, fault);
            bench.disk.fault_in(at + fault.length() + more, Fault::Cut);
            story().iter().for_each(|step| bench.step(step));
            bench.reopen();
        }
    }
}
