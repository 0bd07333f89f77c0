//! The owner of keys: holds both sides sorted, and at the end merges them key by key.

use std::cmp::Ordering;
use std::sync::Arc;

use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::sorter::Sorter;
use dataflow_core::{Batch, Error, Flow, Output, Result, Stage, StageContext};

use super::cursor::Cursor;
use super::group::Group;
use super::keying::{has_null, owners};
use super::pairs::{Pairs, Shape};
use super::{Kind, Side};
use crate::matching::Keep;

/// How many batches one call writes at most.
const BATCHES_PER_CALL: usize = 4;

/// The names under which the sides are saved.
const SIDES: [&str; 2] = ["main", "table"];

/// How many rows one call looks at, for each row that it may write.
const LOOKS: usize = 16;

/// Holds both sides until they have ended, then writes what matches.
pub(super) struct Joining {
    context: StageContext,
    kind: Kind,
    keep: Keep,
    sides: [Side; 2],
    shape: Arc<Shape>,
    sorters: [Sorter; 2],
    merging: Option<Merging>,
}

impl Joining {
    pub(super) fn new(
        context: StageContext,
        (kind, keep): (Kind, Keep),
        sides: &[Side; 2],
        shape: Arc<Shape>,
    ) -> Self {
        // When both are merged, each has its runs open.
        let half = StageContext {
            memory: context.memory / 2,
            ..context.clone()
        };
        Self {
            kind,
            keep,
            sides: sides.clone(),
            shape,
            sorters: [Sorter::new(&half), Sorter::new(&half)],
            merging: None,
            context,
        }
    }

    fn cursor(&mut self, side: usize) -> Result<Cursor> {
        Cursor::new(self.sorters[side].finish()?, self.context.batch_rows)
    }
}

impl Stage for Joining {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        self.on_input(0, batch, out)
    }

    fn on_input(&mut self, input: usize, batch: Batch, _: &mut dyn Output) -> Result<Flow> {
        self.sorters[input].push(batch)?;
        let bytes = self.sorters.each_ref().map(Sorter::bytes);
        if bytes[0] + bytes[1] > self.context.memory {
            self.sorters[usize::from(bytes[1] > bytes[0])].spill()?;
        }
        Ok(Flow::Ready)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let Some(merging) = &mut self.merging else {
            return Ok(Flow::Ready);
        };
        let flow = merging.write(out)?;
        if flow == Flow::Ready {
            self.merging = None;
        }
        Ok(flow)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let (main, table) = (self.cursor(0)?, self.cursor(1)?);
        let schemas = [&self.sides[0].schema, &self.sides[1].schema];
        self.merging = Some(Merging {
            kind: self.kind,
            keep: self.keep,
            main,
            table,
            pairs: Pairs::new(Arc::clone(&self.shape), schemas)?,
            state: State::Between,
            context: self.context.clone(),
        });
        self.more(out)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        for (sorter, name) in self.sorters.iter().zip(SIDES) {
            sorter.save(name, into);
        }
        Ok(())
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        let sides = self.sorters.iter_mut().zip(SIDES).zip(&self.sides);
        for ((sorter, name), side) in sides {
            let schema = Arc::clone(&side.schema);
            sorter.restore(name, (from, Share::Keyed(&owners)), schema)?;
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let merging = self.merging.as_ref().map_or(0, Merging::bytes);
        self.sorters.iter().map(Sorter::bytes).sum::<usize>() + merging
    }

    fn keys(&self) -> usize {
        self.sorters.iter().map(Sorter::rows).sum()
    }
}

/// Where the merge stands.
enum State {
    /// Between two keys.
    Between,
    /// The table's rows of a key are being put aside.
    Gathering(Group),
    /// The main side's rows of that key leave with each of them.
    Pairing(Group),
}

/// Both sides on their way out.
struct Merging {
    context: StageContext,
    kind: Kind,
    keep: Keep,
    main: Cursor,
    table: Cursor,
    pairs: Pairs,
    state: State,
}

impl Merging {
    fn write(&mut self, out: &mut dyn Output) -> Result<Flow> {
        let mut looks = LOOKS * self.context.batch_rows.max(64);
        for _ in 0..BATCHES_PER_CALL {
            let mut ended = false;
            while !ended && !self.is_full() && looks > 0 {
                ended = !self.step(&mut looks)?;
            }
            if self.is_full() || ended {
                out.send(0, self.pairs.take()?);
            }
            if ended {
                return Ok(Flow::Ready);
            }
            if out.full() || looks == 0 {
                break;
            }
        }
        Ok(Flow::More)
    }

    /// Whether the pairs are a batch, or the rows that they are of would take too much of the memory.
    fn is_full(&self) -> bool {
        self.pairs.len() >= self.context.batch_rows.max(1)
            || (self.pairs.len() > 0 && self.pairs.bytes() > self.context.memory / 8)
    }

    /// Goes on by some rows. Returns whether there is more.
    fn step(&mut self, looks: &mut usize) -> Result<bool> {
        *looks = looks.saturating_sub(1);
        match std::mem::replace(&mut self.state, State::Between) {
            State::Between => return self.between(),
            State::Gathering(group) => self.gather(group, looks)?,
            State::Pairing(group) => self.pair(group, looks)?,
        }
        Ok(true)
    }

    /// Looks at the next key of both sides.
    fn between(&mut self) -> Result<bool> {
        let (main, table) = (self.main.key(), self.table.key());
        let order = match (main, table) {
            (None, None) => return Ok(false),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            // A null is equal to nothing: the main side's rows come first.
            (Some(main), Some(table)) => main.cmp(table).then(if has_null(main) {
                Ordering::Less
            } else {
                Ordering::Equal
            }),
        };
        let key = main.filter(|_| order != Ordering::Greater).or(table);
        let key = key.ok_or_else(|| Error::internal("a row lost its key"))?;
        match order {
            Ordering::Less => {
                if self.kind.keeps(0) {
                    self.pairs.push(key, self.main.row(), None);
                }
                self.main.advance()?;
            }
            Ordering::Greater if self.kind.keeps(1) && self.keep != Keep::All && !has_null(key) => {
                self.state = State::Gathering(Group::new(key.to_vec(), self.keep));
            }
            Ordering::Greater => {
                if self.kind.keeps(1) {
                    self.pairs.push(key, None, self.table.row());
                }
                self.table.advance()?;
            }
            Ordering::Equal => {
                self.state = State::Gathering(Group::new(key.to_vec(), self.keep));
            }
        }
        Ok(true)
    }

    /// Puts the table's next rows of a key aside; when there are no more, the main side's rows are next.
    fn gather(&mut self, mut group: Group, looks: &mut usize) -> Result<()> {
        if let Some(rows) = self.table.take(&group.key)? {
            *looks = looks.saturating_sub(rows.end - rows.start);
            group.add(rows, &self.context)?;
            self.state = State::Gathering(group);
            return Ok(());
        }
        group.rewind()?;
        if self.main.key() == Some(group.key.as_slice()) {
            self.state = State::Pairing(group);
        } else {
            // A single row that matches nothing.
            let key = group.key.clone();
            self.pairs.push(&key, None, group.row()?);
        }
        Ok(())
    }

    /// Writes the next row of the main side with each row of the table, as far as there is room.
    fn pair(&mut self, mut group: Group, looks: &mut usize) -> Result<()> {
        if self.main.key() != Some(group.key.as_slice()) {
            return Ok(());
        }
        let key = group.key.clone();
        while let Some(row) = group.row()? {
            if self.is_full() || *looks == 0 {
                self.state = State::Pairing(group);
                return Ok(());
            }
            self.pairs.push(&key, self.main.row(), Some(row));
            *looks = looks.saturating_sub(1);
            group.advance();
        }
        self.main.advance()?;
        group.rewind()?;
        self.state = State::Pairing(group);
        Ok(())
    }

    fn bytes(&self) -> usize {
        let group = match &self.state {
            State::Between => 0,
            State::Gathering(group) | State::Pairing(group) => group.bytes(),
        };
        group + self.pairs.bytes()
    }
}
