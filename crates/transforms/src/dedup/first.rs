//! The first row of each key within a span stays. Held is when it happened.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BooleanArray, Int64Array};
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::time::Instant;
use dataflow_core::{Batch, Output, Places, Result};

use super::{DUPLICATES, look_again_at};
use crate::in_turn::{KeyNumbers, Rows};
use crate::per_key::{PerKey, Work};

/// The name under which is saved when rows happened that stayed.
const STAYED: &str = "stayed";

/// Keeps first rows.
pub(super) struct First {
    of: Arc<PerKey>,
    within: i64,
    /// When the row of each key happened that stayed.
    stayed: Vec<Option<Instant>>,
    look_at: usize,
}

impl First {
    /// Without rows.
    pub(super) fn new(of: &Arc<PerKey>, within: i64) -> Self {
        Self {
            of: Arc::clone(of),
            within,
            stayed: Vec::new(),
            look_at: look_again_at(0),
        }
    }

    /// Whether a row that happens `now` is no duplicate of one that stayed.
    fn is_past(&self, stayed: Option<Instant>, now: Instant) -> bool {
        stayed.is_none_or(|stayed| now > stayed.saturating_add(self.within))
    }

    /// Forgets keys of which no row can be a duplicate any more, when there may be many.
    fn forget(&mut self, now: Instant, keys: &mut KeyNumbers) -> Result<()> {
        if self.stayed.len() < self.look_at {
            return Ok(());
        }
        let near = |key: &u32| !self.is_past(self.stayed[*key as usize], now);
        let kept: Vec<u32> = (0..self.stayed.len() as u32).filter(near).collect();
        self.look_at = look_again_at(kept.len());
        if 2 * kept.len() <= self.stayed.len() {
            keys.renumber(&kept)?;
            self.stayed = kept.iter().map(|key| self.stayed[*key as usize]).collect();
        } else {
            self.look_at = look_again_at(self.stayed.len());
        }
        Ok(())
    }
}

impl Work for First {
    fn take(
        &mut self,
        rows: Rows,
        keys: &mut KeyNumbers,
        out: &mut dyn Output,
    ) -> Result<Option<Batch>> {
        self.stayed.resize(keys.len(), None);
        let times = rows.times()?.clone();
        let stays = rows.keys.iter().zip(&times).map(|(key, time)| {
            let stays = self.is_past(self.stayed[*key as usize], *time);
            if stays {
                self.stayed[*key as usize] = Some(*time);
            }
            stays
        });
        let stays = BooleanArray::from(stays.collect::<Vec<bool>>());
        let order = keys.order(&times, &rows.keys, &rows.places()?);
        let batch = self.of.as_they_came(rows.batch)?.with_order(Some(order));
        let batch = batch.with_places(Places::Unknown);
        let duplicates = stays.false_count();
        if duplicates > 0 && out.wants(DUPLICATES) {
            let dropped = BooleanArray::new(!stays.values(), None);
            out.send(DUPLICATES, batch.filter(&dropped)?);
        } else {
            out.unread(DUPLICATES, duplicates);
        }
        let batch = batch.filter(&stays)?;
        if let Some(now) = times.last() {
            self.forget(*now, keys)?;
        }
        Ok(Some(batch))
    }

    fn save(&mut self, keys: &mut KeyNumbers, into: &mut dyn Save) -> Result<()> {
        let stayed = |key: u32| self.stayed.get(key as usize).copied().flatten();
        let is_held = |key: u32| stayed(key).is_some();
        let columns = |some: &[u32]| -> Result<Vec<ArrayRef>> {
            let stayed: Int64Array = some.iter().map(|key| stayed(*key)).collect();
            Ok(vec![Arc::new(stayed)])
        };
        keys.save_changes(STAYED, is_held, columns, into)
    }

    fn restore(
        &mut self,
        keys: &mut KeyNumbers,
        from: &Restored<'_>,
        share: Share<'_>,
    ) -> Result<()> {
        from.rows(STAYED, share, &mut |batch| {
            let (numbers, columns) = keys.restored(&batch)?;
            self.stayed.resize(keys.len(), None);
            let stayed = columns[0].as_primitive::<Int64Type>();
            for (key, stayed) in numbers.iter().zip(stayed) {
                self.stayed[*key as usize] = stayed;
            }
            Ok(())
        })
    }

    fn bytes(&self) -> (usize, usize) {
        (16 * self.stayed.capacity(), 0)
    }
}
