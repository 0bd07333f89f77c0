//! The splits of a run's sources: what numbers they have, in which order they are read, how far an earlier run has read them, and
//! whether what is new since then may be read at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use dataflow_core::time::{BEGINNING, Instant, Newest};
use dataflow_core::{Error, Place, Result, Source, Split};
use serde::{Deserialize, Serialize};

use crate::positions::{Arriving, Facts, Position, SourcePosition};

/// The splits of a source.
#[derive(Clone, Debug)]
pub struct Splits {
    /// As the source lists them.
    pub all: Vec<Split>,
    /// The number of each among all splits of the run. The places of its rows carry it, also in what earlier runs have saved: so
    /// a split keeps the number that it has, and those that are new have higher ones.
    pub numbers: Vec<u32>,
    /// Among which these are.
    pub room: Room,
    /// The first of them that no split has, until there is none.
    next: u32,
    /// How far an earlier run read those that it began.
    pub from: BTreeMap<usize, Position>,
    /// The numbers of those that are new since then, or have grown.
    pub new: BTreeSet<u32>,
    /// The watermark that was sent last then.
    pub watermark: Instant,
    /// Whether their end was told then.
    pub ended: bool,
    /// Where splits come while the source is read.
    pub arriving: Option<Arriving>,
}

impl Splits {
    /// In the order in which they are read where that counts.
    pub fn in_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        order.sort_by_key(|split| self.numbers[*split]);
        order
    }

    /// Those that came while the source was read, in their order.
    pub fn arrived(&self) -> Vec<usize> {
        let Some(arriving) = self.arriving else {
            return Vec::new();
        };
        let mut order = self.in_order();
        order.retain(|split| self.numbers[*split] >= arriving.from);
        order
    }

    /// A number that no split has, if there is one left for this source.
    pub fn next_number(&mut self) -> Option<u32> {
        let number = Some(self.next).filter(|next| *next < self.room.until)?;
        self.next += 1;
        Some(number)
    }

    /// Another one has come, and has this number.
    pub fn add(&mut self, split: Split, number: u32) {
        self.all.push(split);
        self.numbers.push(number);
    }

    /// Those that an earlier run read to their end, and that have the same size as then.
    pub fn unchanged(&self) -> BTreeSet<usize> {
        let from = self.from.iter();
        let same = from.filter(|(split, position)| {
            let size = self.all[**split].bytes;
            position.whole && size.is_some() && size == position.bytes
        });
        same.map(|(split, _)| *split).collect()
    }
}

/// Numbers that are for the splits of one source, more than it has: those that come later are to stay before those of the next source,
/// as they would be if they had been there from the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    from: u32,
    until: u32,
}

/// So many numbers a source has at least, and twice as many as splits.
const ROOM: u64 = 4096;

impl Room {
    /// For so many splits, from a number on. Where more come while others are read, nobody knows how many.
    fn of(splits: usize, from: u32, grows: bool) -> Self {
        let splits = splits as u64;
        // Of what is left, others may need some.
        let left = Place::MAX_SPLITS.saturating_sub(u64::from(from));
        let wanted = if grows { left } else { 2 * splits };
        let room = wanted.max(ROOM).min(left / 4).max(splits);
        let until = u64::from(from) + room;
        Self {
            from,
            until: until.min(u64::from(u32::MAX)) as u32,
        }
    }
}

/// What counts of a source when it is asked whether a run may go on with it.
pub struct Rules<'a> {
    /// Its id.
    pub id: &'a str,
    /// Whether it shows which of its rows come before which others.
    pub ordered: bool,
    /// Whether splits come while it is read. Then they are in the order in which they came, also in the runs that go on.
    pub grows: bool,
}

/// Gives splits their numbers.
pub struct Numbering<'a> {
    earlier: Option<&'a Facts>,
    next: u32,
}

impl<'a> Numbering<'a> {
    /// Behind those that an earlier run has given.
    pub fn behind(earlier: Option<&'a Facts>) -> Self {
        let sources = earlier.iter().flat_map(|facts| facts.sources.values());
        let last = sources.map(|source| {
            let numbers = source.splits.values().filter_map(|split| split.number);
            let behind = numbers.max().map_or(0, |last| last + 1);
            // The last ones may be gone, and what is saved of their rows is not.
            let gone = source.arriving.map_or(0, |arriving| arriving.beyond);
            behind.max(source.numbers.until).max(gone)
        });
        Self {
            earlier,
            next: last.max().unwrap_or(0),
        }
    }

    /// Behind those of another pipeline, which have nothing to do with the splits of this one.
    pub fn behind_other(other: &'a Facts) -> Self {
        Self {
            earlier: None,
            ..Self::behind(Some(other))
        }
    }

    /// The splits of a source, which comes behind those that were asked for before.
    ///
    /// # Errors
    /// When an earlier run has read others, or what is new would have had to be read before what was read then.
    pub fn splits(
        &mut self,
        source: &dyn Source,
        all: Vec<Split>,
        rules: &Rules<'_>,
    ) -> Result<Splits> {
        let earlier = self.earlier.and_then(|facts| facts.sources.get(rules.id));
        let room = match earlier {
            Some(earlier) => earlier.numbers,
            None => {
                let room = Room::of(all.len(), self.next, rules.grows);
                self.next = room.until;
                room
            }
        };
        let comparing = earlier.map(|earlier| Comparing {
            earlier,
            source,
            rules,
            by_arrival: rules.grows || earlier.arriving.is_some(),
        });
        let kept = comparing.as_ref().map(|comparing| comparing.kept(&all));
        let given = (comparing.iter().zip(&kept)).flat_map(|(c, kept)| c.given(kept));
        let given = given.filter(|number| *number < room.until);
        let first = given.max().map_or(room.from, |last| last + 1);
        let mut splits = Splits {
            room,
            next: first,
            numbers: Vec::with_capacity(all.len()),
            all: Vec::new(),
            from: BTreeMap::new(),
            new: BTreeSet::new(),
            watermark: earlier.map_or(BEGINNING, |earlier| earlier.watermark),
            ended: earlier.is_some_and(|earlier| earlier.ended),
            arriving: None,
        };
        for (at, split) in all.iter().enumerate() {
            let position = earlier.and_then(|earlier| earlier.splits.get(&*split.name));
            let number = kept.as_ref().and_then(|kept| kept[at]);
            let number = number.or_else(|| splits.next_number());
            splits.numbers.push(number.unwrap_or_else(|| {
                self.next += 1;
                self.next - 1
            }));
            let grown = match (&comparing, position) {
                (Some(comparing), Some(position)) if position.begun().is_some() => {
                    splits.from.insert(at, *position);
                    comparing.has_grown(at, split, position)?
                }
                _ => false,
            };
            if grown || (earlier.is_some() && position.is_none()) {
                splits.new.insert(splits.numbers[at]);
            }
        }
        splits.all = all;
        if let Some(comparing) = &comparing {
            comparing.check_all(&splits)?;
        }
        splits.arriving = match &comparing {
            Some(comparing) => comparing.arriving(&splits, first, self.next),
            None => rules.grows.then_some(Arriving {
                from: splits.next,
                next: splits.next,
                beyond: self.next,
                gone: Newest::default(),
            }),
        };
        if let Some(arriving) = splits.arriving {
            // They go on behind all before them, which the clock sees to.
            splits.new.retain(|number| *number < arriving.from);
        }
        Ok(splits)
    }

    /// The numbers that are left when a source has given all of its own.
    pub fn further(self) -> FurtherNumbers {
        FurtherNumbers(AtomicU32::new(self.next))
    }
}

/// Numbers behind those of all sources, for splits that come while they are read.
pub struct FurtherNumbers(AtomicU32);

impl FurtherNumbers {
    /// The next one.
    ///
    /// # Errors
    /// When there are more splits than places can tell apart.
    pub fn next(&self) -> Result<u32> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Place::new(number, 0).map(|_| number)
    }
}

/// The names of all splits of all sources, by the number that places carry.
#[derive(Default)]
pub struct SplitNames(RwLock<BTreeMap<u32, Arc<str>>>);

impl SplitNames {
    /// The names of these.
    pub fn of(sources: &[Splits]) -> Self {
        let each = sources.iter().flat_map(|splits| {
            let names = splits.all.iter().map(|split| Arc::clone(&split.name));
            splits.numbers.iter().copied().zip(names)
        });
        Self(RwLock::new(each.collect()))
    }

    /// Another split has come.
    pub fn add(&self, number: u32, name: &Arc<str>) {
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        names.insert(number, Arc::clone(name));
    }

    /// Where a row stands, for people: `cells.csv:17`, counted from 1.
    pub fn file_and_row(&self, place: Place) -> Option<String> {
        let name = self.name(place)?;
        Some(format!("{name}:{}", place.row() + 1))
    }

    /// The split that a row is in.
    pub fn name(&self, place: Place) -> Option<Arc<str>> {
        let names = self.0.read().unwrap_or_else(PoisonError::into_inner);
        names.get(&place.split()).cloned()
    }
}

/// Splits of a source as they are now, and as they were for an earlier run.
struct Comparing<'a> {
    earlier: &'a SourcePosition,
    source: &'a dyn Source,
    rules: &'a Rules<'a>,
    /// Whether splits are in the order in which they came, rather than in that in which they are listed.
    by_arrival: bool,
}

impl Comparing<'_> {
    fn position(&self, split: &Split) -> Option<&Position> {
        self.earlier.splits.get(&*split.name)
    }

    /// The numbers that splits keep: those that were begun, and those before them that were not, since rows of the same time may be in
    /// the order of their splits.
    fn kept(&self, all: &[Split]) -> Vec<Option<u32>> {
        let begun = |split: &Split| self.position(split)?.begun();
        let last = all.iter().rposition(|split| begun(split).is_some());
        let number = |(at, split): (usize, &Split)| {
            let keeps = self.by_arrival || Some(at) <= last;
            self.position(split)?.number.filter(|_| keeps)
        };
        all.iter().enumerate().map(number).collect()
    }

    /// The numbers that were given, of which these are kept. Where splits that were read may be gone theirs count as well, as what is saved
    /// of their rows is not gone.
    fn given(&self, kept: &[Option<u32>]) -> Vec<u32> {
        if !self.by_arrival {
            return kept.iter().flatten().copied().collect();
        }
        let known = self.earlier.splits.values();
        let before = self.earlier.arriving;
        let before = before.and_then(|before| before.next.checked_sub(1));
        known
            .filter_map(|position| position.number)
            .chain(before)
            .collect()
    }

    /// What is known of splits that came while the source was read. `first` is the number of the first that is new, `beyond` is behind those of
    /// all sources.
    fn arriving(&self, splits: &Splits, first: u32, beyond: u32) -> Option<Arriving> {
        if !self.by_arrival {
            return None;
        }
        let now: BTreeSet<&str> = splits.all.iter().map(|split| &*split.name).collect();
        let gone = self.earlier.splits.iter();
        let gone = gone.filter(|(name, _)| !now.contains(name.as_str()));
        let before = self.earlier.arriving.unwrap_or_default();
        Some(Arriving {
            from: self.earlier.arriving.map_or(first, |before| before.from),
            next: splits.next,
            beyond,
            gone: (gone.map(|(_, position)| position.newest)).fold(before.gone, Newest::behind),
        })
    }

    fn refused<T>(&self, what: String) -> Result<T> {
        let help = "what is new must come behind all that was read; begin anew with `--fresh`";
        Err(Error::data(what).component(self.rules.id).help(help))
    }

    /// Whether there is more of a split than was read of it, or an error if it is another one.
    fn has_grown(&self, at: usize, split: &Split, position: &Position) -> Result<bool> {
        let name = &split.name;
        let (before, now) = (position.bytes.unwrap_or(0), split.bytes.unwrap_or(0));
        if now < before {
            return self.refused(format!(
                "`{name}` had {before} bytes when it was read, and has {now}"
            ));
        }
        if let Some(head) = position.head
            && self.source.head(at, head.bytes)? != Some(head)
        {
            return self.refused(format!(
                "`{name}` is not the file that was read: it begins otherwise"
            ));
        }
        let grown = position.whole && now > before;
        if grown && position.unfinished {
            return self.refused(format!(
                "`{name}` has grown, and when it was read nothing ended its last line, so what is new may belong to that"
            ));
        }
        Ok(grown)
    }

    /// That nothing is missing, and that what is new comes behind what was read where that counts.
    fn check_all(&self, splits: &Splits) -> Result<()> {
        let now: BTreeSet<&str> = splits.all.iter().map(|split| &*split.name).collect();
        let needed = |position: &Position| {
            // What is in the order in which it came is not looked for in what is listed.
            position.begun().is_some() && !(self.by_arrival && position.whole)
        };
        let mut needed = (self.earlier.splits.iter()).filter(|(_, position)| needed(position));
        if let Some((name, _)) = needed.find(|(name, _)| !now.contains(name.as_str())) {
            return self.refused(format!("`{name}` was read, and is not there any more"));
        }
        let is_new = |at: &usize| splits.new.contains(&splits.numbers[*at]);
        let mut new = (0..splits.all.len()).filter(is_new);
        let Some(first) = new.next() else {
            return Ok(());
        };
        let said = |at: usize| match splits.from.get(&at) {
            Some(_) => format!("`{}` has grown", splits.all[at].name),
            None => format!("`{}` is new", splits.all[at].name),
        };
        if self.earlier.ended {
            let first = said(first);
            return self.refused(format!(
                "{first}, and the rows of others, which come behind those of `{}`, were read already",
                self.rules.id
            ));
        }
        if !self.rules.ordered {
            return Ok(());
        }
        // In the order in which they are read.
        let order = match self.by_arrival {
            true => splits.in_order(),
            false => (0..splits.all.len()).collect(),
        };
        let read = order.iter().rposition(|at| splits.from.contains_key(at));
        let last = read.map(|read| order[read]);
        match order[..read.unwrap_or(0)].iter().copied().find(is_new) {
            Some(at) => {
                let (new, read) = (said(at), &splits.all[last.unwrap_or(at)].name);
                self.refused(format!(
                    "{new}, and `{read}`, which is behind it, was read already"
                ))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
