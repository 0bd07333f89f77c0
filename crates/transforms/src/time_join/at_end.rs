//! A join that looks forward without a limit: nothing is sure before both sides have ended, and then time is mirrored.
//!
//! Looking forward is looking backward where time runs the other way, and there one row of the table for each key is enough to
//! know. So both sides wait in the mirrored order, on disk if they are many; what they make is put back into the order of time.
//! For the nearest row it then goes through a second join, which looks backward, and the closer of the two is chosen.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, RecordBatch};
use arrow_schema::{Field, FieldRef, Schema, SchemaRef};
use dataflow_core::batch::rows_of;
use dataflow_core::saved::{Restored, Save};
use dataflow_core::sorter::{Sorted, Sorter};
use dataflow_core::time::Instant;
use dataflow_core::{
    Batch, Error, Flow, Output, Place, Places, Result, Stage, StageContext, Times,
};

use super::rule::{Nearest, Rule};
use super::streaming::{Names, Streaming};
use super::{Side, Work, time_type};
use crate::columns::conform;

/// The names under which both joins are saved.
const FORWARD: Names = Names {
    main: "forward.main",
    table: "forward.table",
    held: "forward.held",
    known: "forward.known",
};
const BACKWARD: Names = Names {
    main: "backward.main",
    table: "backward.table",
    held: "backward.held",
    known: "backward.known",
};

/// So many batches are worked on before others get their turn.
const IN_A_ROW: usize = 16;

/// The rows of the keys that one worker owns.
pub(super) struct AtEnd {
    context: StageContext,
    work: Arc<Work>,
    /// Looks forward: time is mirrored in it.
    forward: Streaming,
    /// Whether the last column of what it gives is a time.
    tells_time: bool,
    /// Looks backward from what the first gave; where only rows ahead count, that is sorted instead.
    backward: Option<Streaming>,
    sorter: Sorter,
    sorted: Option<Sorted>,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Taking,
    Forward,
    Last,
}

impl AtEnd {
    pub(super) fn new(context: StageContext, work: &Arc<Work>, nearest: Nearest) -> Result<Self> {
        let part = StageContext {
            memory: context.memory / 2,
            ..context.clone()
        };
        let back = Rule::Nearest(Nearest {
            backward: true,
            forward: false,
            ..nearest
        });
        let (first, second) = match nearest.backward {
            false => (
                Work {
                    rule: back,
                    ..Work::clone(work)
                },
                None,
            ),
            true => {
                let (first, second) = both(work, back);
                let second = Streaming::new(part.clone(), &Arc::new(second), i64::MAX)?;
                (first, Some(second))
            }
        };
        Ok(Self {
            tells_time: first.tells_time,
            forward: Streaming::new(part.clone(), &Arc::new(first), i64::MAX)?,
            backward: second,
            sorter: Sorter::new(&part),
            sorted: None,
            phase: Phase::Taking,
            work: Arc::clone(work),
            context,
        })
    }

    /// Works on what looked forward, a batch; tells whether there was one.
    fn forward(&mut self) -> Result<bool> {
        let Some(batch) = self.forward.next()? else {
            match &mut self.backward {
                Some(backward) => backward.end()?,
                None => self.sorted = Some(self.sorter.finish()?),
            }
            self.phase = Phase::Last;
            return Ok(false);
        };
        let batch = restored(batch, self.tells_time)?;
        match &mut self.backward {
            Some(backward) => backward.take(0, batch.with_order(None))?,
            None => {
                self.sorter.push(batch)?;
                if self.sorter.bytes() > self.context.memory / 2 {
                    self.sorter.spill()?;
                }
            }
        }
        Ok(true)
    }

    /// The next rows in the order in which they leave.
    fn last(&mut self) -> Result<Option<Batch>> {
        let Some(backward) = &mut self.backward else {
            let sorted = self.sorted.as_mut();
            let next = sorted.map(|sorted| sorted.next(self.context.batch_rows));
            let next = next.transpose()?.flatten();
            return Ok(next.map(|batch| batch.with_places(Places::Unknown)));
        };
        match backward.next()? {
            Some(batch) => closer(&self.work, batch).map(Some),
            None => Ok(None),
        }
    }
}

/// A join that looks forward and tells the time of what it found, and one behind it that does so looking backward.
fn both(work: &Work, rule: Rule) -> (Work, Work) {
    let main = work.sides[0].schema.fields().iter().cloned();
    let more = |name: &str| -> Vec<FieldRef> {
        let fields = work.added_schema.fields().iter().enumerate();
        let columns = fields.map(|(at, field)| {
            let field = field.as_ref().clone().with_nullable(true);
            field.with_name(format!("{name}.{at}"))
        });
        let time = Field::new(format!("{name}.time"), time_type(), true);
        columns.chain([time]).map(Arc::new).collect()
    };
    let forward: Vec<FieldRef> = main.chain(more("forward")).collect();
    let all: Vec<FieldRef> = forward.iter().cloned().chain(more("backward")).collect();
    let schema = |fields: Vec<FieldRef>| -> SchemaRef { Arc::new(Schema::new(fields)) };
    let forward = schema(forward);
    let first = Work {
        rule,
        left: true,
        tells_time: true,
        output: Arc::clone(&forward),
        ..work.clone()
    };
    let [main, table] = work.sides.clone();
    let main = Side {
        schema: forward,
        ..main
    };
    let second = Work {
        sides: [main, table],
        output: schema(all),
        ..first.clone()
    };
    (first, second)
}

/// Of the rows that were found looking forward and looking backward, the closer.
fn closer(work: &Work, batch: Batch) -> Result<Batch> {
    let columns = batch.rows().columns();
    let (main, found) = columns.split_at(work.sides[0].schema.fields().len());
    let (forward, backward) = found.split_at(found.len() / 2);
    let times = batch.times().ok_or_else(without)?.at();
    let ahead = &forward[forward.len() - 1];
    let behind = &backward[backward.len() - 1];
    let (ahead, behind) = (
        ahead.as_primitive::<TimestampNanosecondType>(),
        behind.as_primitive::<TimestampNanosecondType>(),
    );
    let is_ahead = |(row, time): (usize, &Instant)| {
        let to = |other: Instant| other.abs_diff(*time);
        match (ahead.is_valid(row), behind.is_valid(row)) {
            (true, true) => to(ahead.value(row)) < to(behind.value(row)),
            (ahead, _) => ahead,
        }
    };
    let which = times.iter().enumerate().map(is_ahead).map(Some);
    let which: BooleanArray = which.collect();
    let matched = |row: usize| ahead.is_valid(row) || behind.is_valid(row);
    let matched: BooleanArray = (0..batch.len()).map(|row| Some(matched(row))).collect();
    let mut chosen: Vec<ArrayRef> = main.to_vec();
    for (at, (forward, backward)) in forward.iter().zip(backward).enumerate() {
        if at + 1 < found.len() / 2 || work.tells_time {
            chosen.push(arrow_select::zip::zip(&which, forward, backward)?);
        }
    }
    match work.left {
        true => {
            let rows = rows_of(Arc::clone(&work.output), chosen, batch.len())?;
            Ok(batch.with_rows(rows))
        }
        false => {
            // Filtered before the columns are said to have no nulls.
            let kept = chosen.iter();
            let kept = kept.map(|column| arrow_select::filter::filter(column, &matched));
            let columns = kept.collect::<Result<Vec<_>, _>>()?;
            let kept = batch.filter(&matched)?;
            let rows = rows_of(Arc::clone(&work.output), columns, kept.len())?;
            Ok(kept.with_rows(rows))
        }
    }
}

fn without() -> Error {
    Error::internal("rows to be joined came without event time, places or their order")
}

/// Rows in a time that runs the other way, those of one instant too.
fn mirrored(batch: Batch) -> Result<Batch> {
    let times = batch.times().ok_or_else(without)?.at();
    let times: Vec<Instant> = times.iter().map(|time| !time).collect();
    let place = |row: usize| batch.places().get(row).map(|place| !place.0);
    let places: Option<Vec<u64>> = (0..batch.len()).map(place).collect();
    let places = Places::Each(places.ok_or_else(without)?.into());
    Ok(batch
        .with_times(Some(Times::new(times)))
        .with_places(places))
}

/// Rows in their own time again. Their places are told by what they were put in order by.
fn restored(batch: Batch, tells_time: bool) -> Result<Batch> {
    let order = batch.order().ok_or_else(without)?;
    let mut bytes = order.values().to_vec();
    let mut places = Vec::with_capacity(batch.len());
    for ends in order.value_offsets().windows(2) {
        let (start, end) = (ends[0] as usize, ends[1] as usize);
        let (time, rest) = bytes[start..end].split_at_mut(8);
        let at = rest.len() - 8;
        let place = &mut rest[at..];
        time.iter_mut()
            .chain(place.iter_mut())
            .for_each(|b| *b = !*b);
        let mut number = [0; 8];
        number.copy_from_slice(place);
        places.push(Place(u64::from_be_bytes(number)).0);
    }
    let order = BinaryArray::new(order.offsets().clone(), bytes.into(), None);
    let times = batch.times().ok_or_else(without)?.at();
    let times: Vec<Instant> = times.iter().map(|time| !time).collect();
    let mut rows = batch.rows().clone();
    if tells_time {
        let mut columns = rows.columns().to_vec();
        if let Some(time) = columns.pop() {
            let time = time.as_primitive::<TimestampNanosecondType>();
            let time = time.unary::<_, TimestampNanosecondType>(|time| !time);
            columns.push(Arc::new(time.with_timezone("UTC")));
        }
        rows = RecordBatch::try_new(rows.schema(), columns)?;
    }
    Ok(batch
        .with_rows(rows)
        .with_times(Some(Times::new(times)))
        .with_places(Places::Each(places.into()))
        .with_order(Some(order)))
}

impl Stage for AtEnd {
    fn on_batch(&mut self, _: Batch, _: &mut dyn Output) -> Result<Flow> {
        Err(Error::internal(
            "a join did not hear which input rows are of",
        ))
    }

    fn on_input(&mut self, input: usize, batch: Batch, _: &mut dyn Output) -> Result<Flow> {
        let batch = conform(batch, &self.work.sides[input].schema)?;
        if let (Some(backward), 1) = (&mut self.backward, input) {
            backward.take(1, batch.clone())?;
        }
        self.forward.take(input, mirrored(batch)?)?;
        Ok(Flow::Ready)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        if self.phase == Phase::Forward {
            for _ in 0..IN_A_ROW {
                if !self.forward()? {
                    break;
                }
            }
            return Ok(Flow::More);
        }
        while self.phase == Phase::Last {
            let Some(batch) = self.last()? else {
                self.sorted = None;
                break;
            };
            out.send(0, batch);
            if out.full() {
                return Ok(Flow::More);
            }
        }
        Ok(Flow::Ready)
    }

    fn progress(&self, _: Instant) -> Instant {
        dataflow_core::time::BEGINNING
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.forward.end()?;
        self.phase = Phase::Forward;
        self.more(out)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        self.forward.save_as(&FORWARD, into)?;
        match &self.backward {
            Some(backward) => backward.save_as(&BACKWARD, into),
            None => Ok(()),
        }
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        self.forward.restore_as(&FORWARD, from)?;
        match &mut self.backward {
            Some(backward) => backward.restore_as(&BACKWARD, from),
            None => Ok(()),
        }
    }

    fn bytes(&self) -> usize {
        let backward = self.backward.as_ref().map_or(0, Stage::bytes);
        self.forward.bytes() + backward + self.sorter.bytes()
    }

    fn keys(&self) -> usize {
        self.forward.keys()
    }
}
