//! Aggregations of which a call needs its rows in order: rows travel as they are, and the owner of a key takes them in as they
//! come.
//!
//! The first stage evaluates keys and inputs and keeps the rows' order; nothing is reduced there, since the rows of other
//! workers belong in between. Where states are spilled, a group's runs of rows follow one another on disk, and merging them
//! in the order in which they were written is merging neighbours.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dataflow_core::accumulator::OrderClass;
use dataflow_core::saved::{Restored, Save};
use dataflow_core::time::BEGINNING;
use dataflow_core::transform::{Emits, Route};
use dataflow_core::units::Bytes;
use dataflow_core::{
    Batch, Error, Flow, Output, Place, Places, Result, Stage, StageContext, StagePlan,
};

use super::passing::Passing;
use super::total::{Total, too_large};
use super::work::Work;
use crate::calls::{Calls, States};
use crate::one_group::OneGroup;
use crate::saved::largest;

/// The two stages of an aggregation that takes rows in order.
pub(super) fn stages(work: &Arc<Work>) -> Vec<StagePlan> {
    let of = Arc::clone(work);
    let first = StagePlan::local("keys and inputs", move |context| Given::new(&context, &of));
    let of = Arc::clone(work);
    let mut last = match work.keys.is_empty() {
        true => StagePlan {
            route: Route::Gather,
            ..StagePlan::local("total in order", move |context| Ok(One::new(context, &of)))
        },
        false => StagePlan {
            route: Route::Keyed,
            amplifies: true,
            ..StagePlan::local("groups in order", move |context| Each::new(context, &of))
        },
    };
    last.ordered = true;
    last.emits = Emits::SortedAtEnd;
    last.stateful = true;
    vec![first, last]
}

/// Whether groups may be spilled: what continues a spilled one is merged with it later.
pub(super) fn may_spill(calls: &Calls, context: &StageContext) -> Result<()> {
    if calls.order_class() < OrderClass::Sequence {
        return Ok(());
    }
    let calls: Vec<&str> = calls.in_order().collect();
    let message = format!(
        "the groups of {} take more than the {} of this stage, and what takes one row after another cannot be spilled",
        calls.join(", "),
        Bytes(context.memory as u64)
    );
    Err(Error::resource(message)
        .component(context.id.to_string())
        .help("raise `memory` in [engine], or use fewer keys"))
}

/// Evaluates keys and inputs.
struct Given {
    work: Arc<Work>,
    passing: Passing,
}

impl Given {
    fn new(context: &StageContext, work: &Arc<Work>) -> Result<Self> {
        let alone = context.workers == 1 || work.keys.is_empty();
        Ok(Self {
            passing: Passing::new(work, alone)?,
            work: Arc::clone(work),
        })
    }
}

impl Stage for Given {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let mut rows = self.work.read(&batch, BEGINNING, out)?;
        let order = rows.order.take();
        let given = self.passing.batch(rows)?.with_order(order);
        out.send(0, given.with_charge(batch.charge().cloned()));
        Ok(Flow::Ready)
    }

    fn bytes(&self) -> usize {
        self.passing.bytes()
    }
}

/// Numbers rows as they come. Their places in the source would not do: several inputs may be read one after another.
#[derive(Default)]
struct Numbered(u64);

impl Numbered {
    fn batch(&mut self, batch: Batch) -> Result<Batch> {
        let first = Place::new(0, self.0)?;
        self.0 += batch.len() as u64;
        Ok(batch.with_places(Places::From(first)))
    }

    fn save(&self, into: &mut dyn Save) {
        into.value(NUMBERED, self.0.into());
    }

    /// Numbers only say which of a group's rows came first: behind the largest, all are new.
    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        self.0 = largest(from, NUMBERED)?.unwrap_or(0).unsigned_abs();
        Ok(())
    }
}

/// The name under which the number of rows is saved.
const NUMBERED: &str = "numbered";

/// The groups of the keys that one worker owns.
struct Each {
    total: Total,
    numbered: Numbered,
}

impl Each {
    fn new(context: StageContext, work: &Arc<Work>) -> Result<Self> {
        // The first stage holds nothing and has no share, so there is none to lend.
        let held = work.held.by(context.worker);
        held.store(usize::MAX, Ordering::Relaxed);
        Ok(Self {
            total: Total::new(context, work)?,
            numbered: Numbered::default(),
        })
    }
}

impl Stage for Each {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        self.total.on_batch(self.numbered.batch(batch)?, out)
    }

    fn more(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.total.more(out)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.total.on_end(out)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        self.numbered.save(into);
        self.total.save(into)
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        self.numbered.restore(from)?;
        self.total.restore(from)
    }

    fn bytes(&self) -> usize {
        self.total.bytes()
    }

    fn keys(&self) -> usize {
        self.total.keys()
    }
}

/// The one group of all rows.
struct One {
    context: StageContext,
    work: Arc<Work>,
    states: States,
    numbered: Numbered,
}

impl One {
    fn new(context: StageContext, work: &Arc<Work>) -> Self {
        let mut states = States::new(&work.calls);
        states.resize(1);
        Self {
            context,
            work: Arc::clone(work),
            states,
            numbered: Numbered::default(),
        }
    }
}

impl Stage for One {
    fn on_batch(&mut self, batch: Batch, _: &mut dyn Output) -> Result<Flow> {
        let batch = self.numbered.batch(batch)?;
        let inputs = batch.rows().columns();
        self.states
            .update(None, batch.len(), inputs, batch.places())?;
        too_large(self.states.bytes(), &self.context)?;
        Ok(Flow::Ready)
    }

    fn on_end(&mut self, out: &mut dyn Output) -> Result<Flow> {
        self.states.tell(&[0], out);
        let values = self.states.values(&[0])?;
        let batch = OneGroup::finish(self.work.as_ref(), values, out)?;
        out.send(0, batch);
        Ok(Flow::Ready)
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        self.numbered.save(into);
        self.states.save_one(into)
    }

    fn restore(&mut self, from: &Restored<'_>) -> Result<()> {
        self.numbered.restore(from)?;
        self.states.restore_one(from)
    }

    fn bytes(&self) -> usize {
        self.states.bytes()
    }
}
