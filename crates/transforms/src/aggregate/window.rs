//! The windows of an aggregation: the columns that tell them apart among the keys, and rows that come too late for theirs.
//!
//! Inside, a group's first key says when it closes: it is the end of the first window that the group belongs to. Where windows
//! overlap, the second key is the end of the last one: rows with both in common are in the same windows, so they are
//! summarised once, however many windows they are in.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BinaryArray, Int64Array, TimestampNanosecondArray, UInt32Array};
use arrow_schema::{DataType, Field, FieldRef, TimeUnit};
use dataflow_core::stage::BadRow;
use dataflow_core::time::{BEGINNING, END, Instant};
use dataflow_core::window::Grid;
use dataflow_core::{Batch, Error, Output, Result, Times};
use dataflow_expressions::row_json;

use super::work::Rows;
use crate::late::text;

/// The port of early results, where there are any.
pub(super) const PROVISIONAL: usize = 1;

/// The columns that a window's row starts with.
pub(crate) const OF_WINDOW: [&str; 2] = ["window_start", "window_end"];

/// Windows of time.
pub(crate) struct Windowed {
    pub(crate) grid: Arc<dyn Grid>,
    pub(crate) overlaps: bool,
    /// The port of late rows.
    pub(crate) late: usize,
    /// Whether rows go into their windows in order, each by itself: then a row that is in several is there several times.
    pub(crate) in_order: bool,
}

/// The windows of the row looked at last: they are those of all rows in a range of time.
struct Near {
    from: Instant,
    to: Instant,
    ends: Option<(Instant, Instant)>,
}

impl Windowed {
    /// Windows on a grid.
    pub(crate) fn new(grid: Arc<dyn Grid>, late: usize) -> Self {
        Self {
            overlaps: grid.overlaps(),
            in_order: false,
            late,
            grid,
        }
    }

    /// Whether windows are put together of panes.
    pub(crate) fn has_panes(&self) -> bool {
        self.overlaps && !self.in_order
    }

    /// How many keys tell windows apart.
    pub(crate) fn keys(&self) -> usize {
        1 + usize::from(self.has_panes())
    }

    /// The columns that a window's row starts with.
    pub(crate) fn fields() -> [FieldRef; 2] {
        let time = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        OF_WINDOW.map(|name| Arc::new(Field::new(name, time.clone(), true)))
    }

    /// Puts each row into its windows: the keys for them are put before the others. Rows that are in no window any more leave
    /// as late; those that fall into a gap between windows are left out.
    pub(crate) fn assign(
        &self,
        rows: Rows,
        batch: &Batch,
        sealed: Instant,
        out: &mut dyn Output,
    ) -> Result<Rows> {
        let times = rows.times.clone().ok_or_else(without_time)?;
        let (mut firsts, mut lasts) = (Vec::with_capacity(rows.rows), Vec::new());
        let (mut kept, mut late): (Vec<u32>, Vec<Late>) = (Vec::new(), Vec::new());
        let (panes, repeats) = (self.has_panes(), self.overlaps && self.in_order);
        let mut whole = !repeats;
        let mut near = Near {
            from: END,
            to: BEGINNING,
            ends: None,
        };
        for (row, time) in times.at().iter().enumerate() {
            if *time < near.from || *time >= near.to {
                near = self.near(*time);
            }
            let horizon = times.horizon(row);
            let open = match near.ends {
                Some((first, last)) if last > horizon.max(sealed) => {
                    Some((self.still_open(first, horizon.max(sealed)), last))
                }
                Some((_, last)) => {
                    let reason = if last <= horizon { "late" } else { "sealed" };
                    let row = row as u32;
                    late.push(Late { row, reason, last });
                    None
                }
                None => None,
            };
            match open {
                Some((mut end, last)) if repeats => loop {
                    kept.push(row as u32);
                    firsts.push(end);
                    if end >= last {
                        break;
                    }
                    end = self.grid.next(end);
                },
                Some((first, last)) => {
                    if !whole {
                        kept.push(row as u32);
                    }
                    firsts.push(first);
                    if panes {
                        lasts.push(last);
                    }
                }
                None if whole => {
                    whole = false;
                    kept = (0..row as u32).collect();
                }
                None => {}
            }
        }
        self.tell_late(&late, batch, &times, out)?;
        let mut rows = match whole {
            true => rows,
            false => rows.take(&UInt32Array::from(kept))?,
        };
        let mut keys: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(firsts))];
        if panes {
            keys.push(Arc::new(Int64Array::from(lasts)));
        }
        keys.append(&mut rows.keys);
        rows.keys = keys;
        Ok(rows)
    }

    fn near(&self, time: Instant) -> Near {
        let ends = self.grid.ends(time);
        let to = match ends {
            Some((first, last)) => {
                let next = self.grid.start(self.grid.next(last));
                // The last representable instant is within the last window.
                first.min(next).max(time.saturating_add(1))
            }
            None => time.saturating_add(1),
        };
        let from = match ends {
            Some((_, last)) if !self.overlaps => self.grid.start(last),
            _ => time,
        };
        Near { from, to, ends }
    }

    /// The first window from `first` on that ends behind a horizon.
    fn still_open(&self, mut first: Instant, horizon: Instant) -> Instant {
        while first <= horizon {
            first = self.grid.next(first);
        }
        first
    }

    fn tell_late(
        &self,
        late: &[Late],
        batch: &Batch,
        times: &Times,
        out: &mut dyn Output,
    ) -> Result<()> {
        if late.is_empty() {
            return Ok(());
        }
        out.late(self.late, late.len(), &mut || {
            let describe = |late: &Late| self.describe(late, batch, times);
            late.iter().map(describe).collect()
        })
    }

    fn describe(&self, late: &Late, batch: &Batch, times: &Times) -> BadRow {
        let row = late.row as usize;
        let end = text(late.last);
        let message = match late.reason {
            "late" => {
                let until = text(times.horizon(row));
                format!(
                    "its window ended at {end}, and rows were taken in for windows that end behind {until}"
                )
            }
            _ => format!("its window, which ended at {end}, had left already"),
        };
        BadRow {
            place: batch.places().get(row),
            index: Some(row),
            reason: late.reason,
            message,
            data: row_json(batch.rows(), row),
            time: Some(times.at()[row]),
        }
    }

    /// The order keys of rows of the window that ends at `end`, given those of their keys.
    pub(crate) fn order(end: Instant, keys: &BinaryArray) -> BinaryArray {
        let end = (end ^ i64::MIN).to_be_bytes();
        BinaryArray::from_iter_values(
            keys.iter()
                .map(|key| [&end[..], key.unwrap_or_default()].concat()),
        )
    }

    /// The start and the end of windows, given their ends as numbers.
    pub(crate) fn columns(&self, ends: &ArrayRef) -> [ArrayRef; 2] {
        let ends = ends.as_primitive::<Int64Type>().values();
        let mut known: Option<(Instant, Instant)> = None;
        let start = |end: &Instant| match known {
            Some((before, start)) if before == *end => start,
            _ => {
                let start = self.grid.start(*end);
                known = Some((*end, start));
                start
            }
        };
        let starts: Vec<i64> = ends.iter().map(start).collect();
        let column = |instants: TimestampNanosecondArray| -> ArrayRef {
            Arc::new(instants.with_timezone("UTC"))
        };
        [
            column(TimestampNanosecondArray::from(starts)),
            column(TimestampNanosecondArray::new(ends.clone(), None)),
        ]
    }
}

/// A window's row happened at the window's last instant.
pub(crate) fn last_instants(ends: &ArrayRef) -> Times {
    let ends = ends.as_primitive::<Int64Type>().values().iter();
    Times::new(ends.map(|end| end.saturating_sub(1)).collect::<Vec<_>>())
}

fn without_time() -> Error {
    Error::internal("rows came without event time to a window of time")
}

/// A row whose windows have all ended.
struct Late {
    row: u32,
    reason: &'static str,
    last: Instant,
}
