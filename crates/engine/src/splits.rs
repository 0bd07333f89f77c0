//! The splits of a run's sources: what numbers they have, in which order they are read, how far an earlier run has read them, and
//! whether what is new since then may be read at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataflow_core::time::{BEGINNING, Instant};
use dataflow_core::{Error, Place, Result, Source, Split};
use serde::{Deserialize, Serialize};

use crate::positions::{Facts, Position, SourcePosition};

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
    /// How far an earlier run read those that it began.
    pub from: BTreeMap<usize, Position>,
    /// The numbers of those that are new since then, or have grown.
    pub new: BTreeSet<u32>,
    /// The watermark that was sent last then.
    pub watermark: Instant,
    /// Whether their end was told then.
    pub ended: bool,
}

impl Splits {
    /// In the order in which they are read where that counts.
    pub fn in_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        order.sort_by_key(|split| self.numbers[*split]);
        order
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
    /// For so many splits, from a number on.
    fn of(splits: usize, from: u32) -> Self {
        let splits = splits as u64;
        // Of what is left, others may need some.
        let left = Place::MAX_SPLITS.saturating_sub(u64::from(from));
        let room = (2 * splits).max(ROOM).min(left / 4).max(splits);
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
            behind.max(source.numbers.until)
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
                let room = Room::of(all.len(), self.next);
                self.next = room.until;
                room
            }
        };
        let kept = earlier.map(|earlier| earlier.kept(&all));
        let known = kept.iter().flatten().flatten().copied();
        let known = known.filter(|number| *number < room.until);
        let mut next = known.max().map_or(room.from, |last| last + 1);
        let mut splits = Splits {
            room,
            numbers: Vec::with_capacity(all.len()),
            all,
            from: BTreeMap::new(),
            new: BTreeSet::new(),
            watermark: earlier.map_or(BEGINNING, |earlier| earlier.watermark),
            ended: earlier.is_some_and(|earlier| earlier.ended),
        };
        let comparing = earlier.map(|earlier| Comparing {
            earlier,
            source,
            rules,
        });
        for (at, split) in splits.all.iter().enumerate() {
            let position = earlier.and_then(|earlier| earlier.splits.get(&*split.name));
            let number = kept.as_ref().and_then(|kept| kept[at]);
            splits.numbers.push(number.unwrap_or_else(|| {
                let of = match next < room.until {
                    true => &mut next,
                    false => &mut self.next,
                };
                *of += 1;
                *of - 1
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
        if let Some(comparing) = comparing {
            comparing.check_all(&splits)?;
        }
        Ok(splits)
    }
}

impl SourcePosition {
    /// The numbers that splits keep: those that were begun, and those before them that were not, since rows of one instant are in the
    /// order of their splits.
    fn kept(&self, all: &[Split]) -> Vec<Option<u32>> {
        let known = |split: &Split| self.splits.get(&*split.name);
        let begun = |split: &Split| known(split).is_some_and(|known| known.begun().is_some());
        let last = all.iter().rposition(begun);
        let number =
            |(at, split): (usize, &Split)| known(split)?.number.filter(|_| Some(at) <= last);
        all.iter().enumerate().map(number).collect()
    }
}

/// The names of splits by their numbers.
pub fn names(of_sources: &[Splits]) -> BTreeMap<u32, Arc<str>> {
    let each = of_sources.iter().flat_map(|splits| {
        let names = splits.all.iter().map(|split| Arc::clone(&split.name));
        splits.numbers.iter().copied().zip(names)
    });
    each.collect()
}

/// Splits of a source as they are now, and as they were for an earlier run.
struct Comparing<'a> {
    earlier: &'a SourcePosition,
    source: &'a dyn Source,
    rules: &'a Rules<'a>,
}

impl Comparing<'_> {
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
        let begun = self.earlier.splits.iter();
        let mut begun = begun.filter(|(_, position)| position.begun().is_some());
        if let Some((name, _)) = begun.find(|(name, _)| !now.contains(name.as_str())) {
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
        let last = splits.from.keys().max().copied();
        match (0..splits.all.len()).find(|at| is_new(at) && Some(*at) < last) {
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
