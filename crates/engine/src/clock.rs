//! What the desk knows of a source's event time: how far each split is, which split to read next, and the watermark.
//!
//! The newest time of a split is carried from piece to piece: the first piece may be judged at once, and each further one when
//! the piece before it has been read, however far ahead it was decoded. How far the source is, is how far its least split
//! is, those that are still to be read included: of them a bound is known.
//!
//! Of splits that come while the source is read no bound is known, and the time has gone on when they do. So each goes on behind all
//! before it: it begins with the newest time of any, and is judged when those have been read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dataflow_core::TimeRule;
use dataflow_core::time::{BEGINNING, END, Instant, Newest};

/// Where a split stands.
#[derive(Clone, Default)]
struct Progress {
    /// What is not late is not older.
    reached: Instant,
    newest: Newest,
    begun: bool,
    /// Whether all its pieces were cut.
    cut: bool,
    /// Pieces asked for and not yet cut.
    asked: usize,
    /// Pieces that were admitted and not yet read, and who reads them. The first has been stamped.
    waiting: VecDeque<(u64, usize)>,
    last_reader: usize,
}

impl Progress {
    fn cut_and_read(&self) -> bool {
        self.cut && self.waiting.is_empty()
    }

    /// The first piece that waits, judged by what is known of the time before it.
    fn next(&self) -> Option<Stamp> {
        let (tick, reader) = self.waiting.front()?;
        Some(Stamp {
            tick: *tick,
            reader: *reader,
            newest: self.newest,
        })
    }
}

/// A piece that may be judged now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stamp {
    /// Its tick.
    pub tick: u64,
    /// Who reads it.
    pub reader: usize,
    /// The newest time of its split before it.
    pub newest: Newest,
}

/// The clock of a source.
pub struct Clock {
    rule: TimeRule,
    splits: Vec<Progress>,
    /// The splits that have not been read to their end, by how far they are.
    least: BTreeSet<(Instant, usize)>,
    /// The split of each piece that is being read.
    pieces: BTreeMap<u64, usize>,
    /// How many splits may be open at a time, and how many are.
    most_open: usize,
    open: usize,
    /// How many splits were cut to their end.
    cut: usize,
    /// By how much a piece moved its split, lately.
    stride: i64,
    /// How far the furthest split has come.
    furthest: Instant,
    /// The splits that go on behind all before them, in their order, until they have been read to their end.
    behind: VecDeque<usize>,
    /// How many of the others have not been read to their end.
    before: usize,
    /// The newest time of all that have.
    newest: Newest,
    /// Whether more splits come.
    grows: bool,
}

impl Clock {
    /// A clock of so many splits, of which `most_open` may be open at a time where they are read side by side.
    pub fn new(rule: TimeRule, splits: usize, most_open: usize) -> Self {
        let new = Progress {
            reached: BEGINNING,
            ..Progress::default()
        };
        Self {
            rule,
            least: (0..splits).map(|split| (BEGINNING, split)).collect(),
            splits: vec![new; splits],
            pieces: BTreeMap::new(),
            most_open: most_open.max(1),
            open: 0,
            cut: 0,
            stride: 0,
            furthest: BEGINNING,
            behind: VecDeque::new(),
            before: splits,
            newest: Newest::default(),
            grows: false,
        }
    }

    /// More splits come.
    pub fn grow(&mut self) {
        self.grows = true;
    }

    /// No more come.
    pub fn stay(&mut self) {
        self.grows = false;
    }

    /// Learns the newest time of splits that were read and are not there any more.
    pub fn gone(&mut self, newest: Newest) {
        self.newest = self.newest.behind(newest.believed());
    }

    /// A split goes on behind all that were added so, and behind all others. It is one of those that there are, or the next.
    pub fn add_behind(&mut self, split: usize) {
        if split == self.splits.len() {
            self.splits.push(Progress {
                reached: BEGINNING,
                ..Progress::default()
            });
        } else if self.least.remove(&(self.splits[split].reached, split)) {
            self.before -= 1;
        }
        self.behind.push_back(split);
        self.go_on();
    }

    /// Lets the next of those that go on behind others begin, if all before it have been read. Its first piece, if one waits.
    fn go_on(&mut self) -> Option<Stamp> {
        while let Some(split) = self.behind.front().copied().filter(|_| self.before == 0) {
            let progress = &mut self.splits[split];
            if self.least.contains(&(progress.reached, split)) {
                return None;
            }
            progress.newest = progress.newest.behind(self.newest);
            progress.reached = progress.newest.horizon(&self.rule);
            if !progress.cut_and_read() {
                self.least.insert((progress.reached, split));
                return progress.next();
            }
            self.newest = progress.newest;
            self.behind.pop_front();
        }
        None
    }

    /// Whether a split that has pieces goes on behind others that have not been read.
    fn waits(&self, split: usize) -> bool {
        !self.least.contains(&(self.splits[split].reached, split))
    }

    /// Learns what is known of the splits before they are read.
    pub fn bounds(&mut self, bounds: &[Instant]) {
        for (split, bound) in bounds.iter().enumerate() {
            self.reach(split, *bound);
        }
    }

    /// Goes on where an earlier run was in a split.
    pub fn resume(&mut self, split: usize, newest: Newest) {
        self.splits[split].newest = newest;
        let reached = newest.horizon(&self.rule);
        self.furthest = reached.max(self.furthest);
        self.reach(split, reached);
    }

    fn reach(&mut self, split: usize, time: Instant) {
        let progress = &mut self.splits[split];
        if time > progress.reached && self.least.remove(&(progress.reached, split)) {
            progress.reached = time;
            self.least.insert((time, split));
        }
    }

    /// What is not late is not older, in all splits; [`END`] when all have been read and no more come.
    pub fn watermark(&self) -> Instant {
        let all_read = match self.grows {
            true => self.newest.horizon(&self.rule),
            false => END,
        };
        self.least.first().map_or(all_read, |(reached, _)| *reached)
    }

    /// The watermark, for people: when all has been read, as far as the furthest split came.
    pub fn shown(&self) -> Instant {
        self.watermark().min(self.furthest)
    }

    /// Whether pieces are being read.
    pub fn is_reading(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// A piece was admitted. If all pieces before it have been read, the newest time of its split.
    pub fn admitted(&mut self, split: usize, tick: u64, reader: usize) -> Option<Newest> {
        self.pieces.insert(tick, split);
        self.begin(split);
        let waits = self.waits(split);
        let progress = &mut self.splits[split];
        progress.asked = progress.asked.saturating_sub(1);
        progress.last_reader = reader;
        progress.waiting.push_back((tick, reader));
        (progress.waiting.len() == 1 && !waits).then_some(progress.newest)
    }

    /// A piece was read. The next piece of its split, or of the next one that goes on behind it, if one waits for that.
    pub fn read(&mut self, tick: u64, newest: Newest) -> Option<Stamp> {
        let split = self.pieces.remove(&tick)?;
        let progress = &mut self.splits[split];
        progress.waiting.pop_front();
        progress.newest = newest;
        let next = progress.next();
        let (before, now) = (progress.reached, newest.horizon(&self.rule));
        if before != BEGINNING && now > before {
            self.stride = now.saturating_sub(before);
        }
        self.furthest = now.max(self.furthest);
        self.reach(split, now);
        next.or(self.close(split))
    }

    /// All pieces of a split were cut. No piece behind it waits to be judged yet: those are cut later.
    pub fn cut(&mut self, split: usize) {
        self.begin(split);
        let progress = &mut self.splits[split];
        progress.asked = 0;
        if !std::mem::replace(&mut progress.cut, true) {
            self.open -= 1;
            self.cut += 1;
        }
        self.close(split);
    }

    /// Whether all splits were cut to their end, and no more come.
    pub fn is_cut(&self) -> bool {
        self.cut == self.splits.len() && !self.grows
    }

    fn begin(&mut self, split: usize) {
        if !std::mem::replace(&mut self.splits[split].begun, true) {
            self.open += 1;
        }
    }

    /// Looks whether a split has been read to its end. The first piece of the next one that goes on then, if one waits.
    fn close(&mut self, split: usize) -> Option<Stamp> {
        let progress = &self.splits[split];
        if !progress.cut_and_read() || !self.least.remove(&(progress.reached, split)) {
            return None;
        }
        match self.behind.front() {
            Some(first) if *first == split => {
                self.newest = progress.newest;
                self.behind.pop_front();
            }
            _ => {
                // These end in an order that is a matter of chance.
                self.newest = self.newest.behind(progress.newest.believed());
                self.before -= 1;
            }
        }
        self.go_on()
    }

    /// Who read the piece before, of this split.
    pub fn last_reader(&self, split: usize) -> usize {
        self.splits[split].last_reader
    }

    /// How far the source is, as far as can be told while pieces are being read.
    pub fn far(&self) -> Instant {
        let mut least = END;
        for (reached, split) in &self.least {
            if least < *reached {
                break;
            }
            least = least.min(self.far_of(*reached, self.splits[*split].waiting.len()));
        }
        least
    }

    /// How far a split is with so many pieces more.
    fn far_of(&self, reached: Instant, pieces: usize) -> Instant {
        reached.saturating_add(self.stride.saturating_mul(pieces as i64))
    }

    /// The split whose next piece is to be read: the one that is least far, as far as can be told while pieces of it are being
    /// read. It counts as asked for.
    pub fn next_split(&mut self) -> Option<usize> {
        let full = self.open >= self.most_open;
        let mut best: Option<(Instant, usize, usize)> = None;
        for (reached, split) in &self.least {
            if best.is_some_and(|(least, ..)| least < *reached) {
                break;
            }
            let progress = &self.splits[*split];
            if progress.cut || (full && !progress.begun) {
                continue;
            }
            let ahead = progress.waiting.len() + progress.asked;
            let far = self.far_of(*reached, ahead);
            if best.is_none_or(|best| (far, ahead, *split) < best) {
                best = Some((far, ahead, *split));
            }
        }
        let (.., split) = best?;
        self.begin(split);
        self.splits[split].asked += 1;
        Some(split)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(splits: usize, most_open: usize) -> Clock {
        let rule = TimeRule {
            lateness: 5,
            max_future_skew: None,
            idle: None,
        };
        Clock::new(rule, splits, most_open)
    }

    fn after(times: &[i64]) -> Newest {
        let mut newest = Newest::default();
        let rule = TimeRule::default();
        newest.see(times, &rule);
        newest
    }

    #[test]
    fn pieces_are_judged_one_behind_the_other() {
        let mut clock = clock(1, 1);
        assert_eq!(clock.admitted(0, 0, 7), Some(Newest::default()));
        assert_eq!(clock.admitted(0, 1, 8), None);
        let stamp = clock.read(0, after(&[100])).expect("the next one waits");
        assert_eq!((stamp.tick, stamp.reader), (1, 8));
        assert_eq!(clock.watermark(), 95);
        assert_eq!(clock.read(1, after(&[200])), None);
        assert_eq!(clock.admitted(0, 2, 7), Some(after(&[200])));
        clock.cut(0);
        assert_eq!(clock.watermark(), 195);
        clock.read(2, after(&[300]));
        assert_eq!((clock.watermark(), clock.is_reading()), (END, false));
        assert_eq!(clock.shown(), 295);
    }

    #[test]
    fn the_watermark_is_that_of_the_least_split() {
        let mut clock = clock(3, 64);
        assert_eq!(clock.watermark(), BEGINNING);
        clock.bounds(&[10, 20, END]);
        assert_eq!(clock.watermark(), 10);
        clock.admitted(0, 0, 0);
        clock.read(0, after(&[50]));
        assert_eq!(clock.watermark(), 20);
        clock.cut(1);
        assert_eq!(clock.watermark(), 45);
        clock.cut(0);
        clock.cut(2);
        assert_eq!(clock.watermark(), END);
    }

    #[test]
    fn the_least_split_is_read_next_while_files_may_be_opened() {
        let mut clock = clock(3, 2);
        clock.bounds(&[30, 10, 20]);
        assert_eq!(clock.next_split(), Some(1));
        clock.admitted(1, 0, 0);
        clock.read(0, after(&[26]));
        assert_eq!(clock.next_split(), Some(2));
        // Two are open: the third has to wait although it is the least one.
        clock.admitted(2, 1, 0);
        clock.read(1, after(&[100]));
        assert_eq!(clock.next_split(), Some(1));
        clock.admitted(1, 2, 0);
        clock.read(2, after(&[90]));
        clock.cut(1);
        assert_eq!(clock.next_split(), Some(0));
    }

    #[test]
    fn what_comes_later_goes_on_behind_all_before_it() {
        let mut clock = clock(2, 64);
        clock.grow();
        clock.add_behind(2);
        clock.add_behind(3);
        // Their pieces may be decoded, and are judged when all before them were.
        assert_eq!(clock.admitted(0, 0, 0), Some(Newest::default()));
        assert_eq!(clock.admitted(2, 1, 6), None);
        clock.cut(2);
        clock.cut(3);
        clock.add_behind(4);
        assert_eq!(clock.admitted(4, 2, 7), None);
        clock.cut(0);
        assert_eq!(clock.read(0, after(&[100])), None);
        assert_eq!(clock.watermark(), BEGINNING);
        assert_eq!(clock.admitted(1, 3, 0), Some(Newest::default()));
        clock.cut(1);
        let stamp = clock.read(3, after(&[80])).expect("the first that waits");
        assert_eq!((stamp.tick, stamp.reader), (1, 6));
        assert_eq!(stamp.newest, after(&[100]));
        assert_eq!(clock.watermark(), 95);
        // The next one is empty: it is the one behind that which goes on.
        let stamp = clock
            .read(1, after(&[100, 120]))
            .expect("the next that waits");
        assert_eq!((stamp.tick, stamp.newest), (2, after(&[120])));
        clock.cut(4);
        assert_eq!(clock.read(2, after(&[120, 110])), None);
        // There will be more: the time stays where it is.
        assert_eq!((clock.watermark(), clock.is_cut()), (115, false));
        assert_eq!(clock.next_split(), None);
        clock.add_behind(5);
        assert_eq!(clock.next_split(), Some(5));
        assert_eq!(clock.admitted(5, 4, 0), Some(after(&[120])));
    }

    #[test]
    fn what_came_later_goes_on_so_in_another_run() {
        let mut clock = clock(3, 64);
        clock.gone(after(&[50]));
        clock.resume(1, after(&[70]));
        // The second came before the first one.
        clock.add_behind(1);
        clock.add_behind(0);
        assert_eq!(clock.next_split(), Some(2));
        clock.cut(2);
        assert_eq!(clock.next_split(), Some(1));
        assert_eq!(clock.admitted(1, 0, 0), Some(after(&[70])));
        clock.cut(1);
        clock.read(0, after(&[70]));
        assert_eq!(clock.admitted(0, 1, 0), Some(after(&[70])));
    }
}
