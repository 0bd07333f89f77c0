//! The accumulator calls of a stage: which states they share, and those states for all groups of the stage.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, UInt32Array};
use arrow_schema::{Field, FieldRef, Schema};
use dataflow_core::accumulator::{OrderClass, Reading};
use dataflow_core::batch::rows_of;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::{Accumulator, AccumulatorPlan, Batch, Error, Groups, Output, Places, Result};

/// A state that one or more calls read, over inputs given by their numbers.
#[derive(Debug)]
struct Slot {
    plan: Arc<dyn AccumulatorPlan>,
    arguments: Vec<usize>,
    filter: Option<usize>,
    /// The first call that uses it, for errors.
    text: String,
    /// Its columns among all state columns.
    columns: Range<usize>,
}

/// What a call reads, and from which slot.
#[derive(Debug)]
struct Read {
    slot: usize,
    reading: Reading,
    text: String,
}

/// Calls, those with the same state over the same inputs put together.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    slots: Vec<Slot>,
    reads: Vec<Read>,
    fields: Vec<FieldRef>,
}

impl Calls {
    /// Adds a call over inputs given by their numbers.
    pub(crate) fn add(
        &mut self,
        plan: &Arc<dyn AccumulatorPlan>,
        text: &str,
        arguments: Vec<usize>,
        filter: Option<usize>,
    ) {
        let state = plan.state();
        let same = |slot: &Slot| {
            slot.plan.state() == state && slot.arguments == arguments && slot.filter == filter
        };
        let slot = self.slots.iter().position(same);
        let slot = slot.unwrap_or_else(|| self.add_slot(plan, text, arguments, filter));
        self.reads.push(Read {
            slot,
            reading: plan.reading(),
            text: text.to_string(),
        });
    }

    fn add_slot(
        &mut self,
        plan: &Arc<dyn AccumulatorPlan>,
        text: &str,
        arguments: Vec<usize>,
        filter: Option<usize>,
    ) -> usize {
        let slot = self.slots.len();
        let start = self.fields.len();
        let named = |field: Field| {
            let name = format!("{slot}.{}", field.name());
            // Arrays decide at run time; a state column that says it is never null gains nothing here.
            Arc::new(field.with_name(name).with_nullable(true))
        };
        self.fields
            .extend(plan.state_fields().into_iter().map(named));
        self.slots.push(Slot {
            plan: Arc::clone(plan),
            arguments,
            filter,
            text: text.to_string(),
            columns: start..self.fields.len(),
        });
        slot
    }

    /// The columns in which the states are written down.
    pub(crate) fn fields(&self) -> &[FieldRef] {
        &self.fields
    }

    /// How many states there are.
    pub(crate) fn states(&self) -> usize {
        self.slots.len()
    }

    /// How many calls there are.
    pub(crate) fn len(&self) -> usize {
        self.reads.len()
    }

    /// Whether a state depends on the places of rows.
    pub(crate) fn places(&self) -> bool {
        self.slots
            .iter()
            .any(|slot| slot.plan.order_class() == OrderClass::Place)
    }

    /// How much the states depend on the order of rows.
    pub(crate) fn order_class(&self) -> OrderClass {
        let classes = self.slots.iter().map(|slot| slot.plan.order_class());
        classes.max().unwrap_or(OrderClass::Any)
    }

    /// The calls that need their rows in order.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &str> {
        let slots = self.slots.iter();
        let needy = slots.filter(|slot| slot.plan.order_class() > OrderClass::Place);
        needy.map(|slot| slot.text.as_str())
    }

    /// Which calls' states take a failure of input `input` at this row to heart: `counts(filter)` says whether a
    /// filter lets the row through.
    pub(crate) fn uses(&self, input: usize, mut counts: impl FnMut(usize) -> bool) -> bool {
        self.slots.iter().any(|slot| match slot.filter {
            Some(filter) if filter == input => true,
            Some(filter) => slot.arguments.contains(&input) && counts(filter),
            None => slot.arguments.contains(&input),
        })
    }
}

/// The rows of a filtered call.
struct Chosen {
    filter: usize,
    rows: UInt32Array,
    groups: Vec<u32>,
    places: Places,
}

/// The states of all calls, for all groups of a stage.
pub(crate) struct States {
    calls: Arc<Calls>,
    list: Vec<Box<dyn Accumulator>>,
    zeros: Vec<u32>,
}

/// The name under which the states of an only group are saved.
const ONE: &str = "states";

/// Names the call that an error is from.
fn of(text: &str, error: Error) -> Error {
    let named = Error::new(error.fault(), format!("{text}: {}", error.what()));
    match error.helps() {
        Some(help) => named.help(help),
        None => named,
    }
}

impl States {
    /// No groups yet.
    pub(crate) fn new(calls: &Arc<Calls>) -> Self {
        Self {
            list: calls.slots.iter().map(|slot| slot.plan.make()).collect(),
            calls: Arc::clone(calls),
            zeros: Vec::new(),
        }
    }

    /// Makes room for so many groups.
    pub(crate) fn resize(&mut self, groups: usize) {
        self.list.iter_mut().for_each(|state| state.resize(groups));
    }

    /// Takes rows in. Without `groups`, all belong to group 0.
    pub(crate) fn update(
        &mut self,
        groups: Option<&[u32]>,
        rows: usize,
        inputs: &[ArrayRef],
        places: &Places,
    ) -> Result<()> {
        // Without a column, a state learns from the groups how many rows there are.
        self.zeros.resize(rows, 0);
        let mut chosen: Vec<Chosen> = Vec::new();
        for (slot, state) in self.calls.slots.iter().zip(&mut self.list) {
            let arguments: Vec<ArrayRef> = slot
                .arguments
                .iter()
                .map(|i| Arc::clone(&inputs[*i]))
                .collect();
            let whole = match slot.filter {
                None => true,
                Some(filter) => {
                    if !chosen.iter().any(|c| c.filter == filter) {
                        chosen.push(choose(filter, &inputs[filter], groups, places));
                    }
                    false
                }
            };
            let result = if whole {
                let groups = match groups {
                    Some(each) => Groups::Each(each),
                    None if arguments.is_empty() => Groups::Each(&self.zeros),
                    None => Groups::One,
                };
                state.update(groups, &arguments, places)
            } else {
                let some = chosen.iter().find(|c| Some(c.filter) == slot.filter);
                some.map_or(Ok(()), |some| {
                    update_chosen(state.as_mut(), some, &arguments)
                })
            };
            result.map_err(|error| of(&slot.text, error))?;
        }
        Ok(())
    }

    /// Takes states in: row `i` of the state columns goes into group `groups[i]`.
    pub(crate) fn merge(&mut self, groups: &[u32], columns: &[ArrayRef]) -> Result<()> {
        for (slot, state) in self.calls.slots.iter().zip(&mut self.list) {
            let merged = state.merge(groups, &columns[slot.columns.clone()]);
            merged.map_err(|error| of(&slot.text, error))?;
        }
        Ok(())
    }

    /// The state columns of these groups.
    pub(crate) fn state(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::with_capacity(self.calls.fields.len());
        for (slot, state) in self.calls.slots.iter().zip(&self.list) {
            columns.extend(state.state(groups).map_err(|error| of(&slot.text, error))?);
        }
        Ok(columns)
    }

    /// What each call says of these groups.
    pub(crate) fn values(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let value = |read: &Read| {
            let value = self.list[read.slot].value(&read.reading, groups);
            value.map_err(|error| of(&read.text, error))
        };
        self.calls.reads.iter().map(value).collect()
    }

    /// Tells what is to be said of these groups, and which calls are approximate for some of them.
    pub(crate) fn tell(&self, groups: &[u32], out: &mut dyn Output) {
        for (slot, state) in self.list.iter().enumerate() {
            for (remark, count) in state.remarks(groups) {
                out.note(&format!("{}: {remark}", self.calls.slots[slot].text), count);
            }
            let approximate = state.approximate(groups) as u64;
            if approximate == 0 {
                continue;
            }
            for read in self.calls.reads.iter().filter(|read| read.slot == slot) {
                out.note(&format!("{}: approximate", read.text), approximate);
            }
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.list.iter().map(|state| state.bytes()).sum()
    }

    /// Forgets all groups.
    pub(crate) fn clear(&mut self) {
        self.list.iter_mut().for_each(|state| state.clear());
    }

    /// Writes down the states of the only group.
    pub(crate) fn save_one(&self, into: &mut dyn Save) -> Result<()> {
        let schema = Arc::new(Schema::new(self.calls.fields().to_vec()));
        let rows = rows_of(schema, self.state(&[0])?, 1)?;
        into.rows(ONE, Batch::new(rows));
        Ok(())
    }

    /// Takes into the only group what was written down of it, or of parts of it.
    pub(crate) fn restore_one(&mut self, from: &Restored<'_>) -> Result<()> {
        from.rows(ONE, Share::Dealt, &mut |batch| {
            self.merge(&vec![0; batch.len()], batch.rows().columns())
        })
    }
}

fn choose(filter: usize, values: &ArrayRef, groups: Option<&[u32]>, places: &Places) -> Chosen {
    let met = crate::filter::decided(values.as_boolean());
    let rows: Vec<u32> = met.values().set_indices_u32().collect();
    Chosen {
        filter,
        groups: match groups {
            Some(groups) => rows.iter().map(|row| groups[*row as usize]).collect(),
            None => vec![0; rows.len()],
        },
        places: places.take(rows.iter().map(|row| *row as usize)),
        rows: rows.into(),
    }
}

fn update_chosen(
    state: &mut dyn Accumulator,
    chosen: &Chosen,
    arguments: &[ArrayRef],
) -> Result<()> {
    if chosen.groups.is_empty() {
        return Ok(());
    }
    let arguments = arrow_select::take::take_arrays(arguments, &chosen.rows, None)?;
    state.update(Groups::Each(&chosen.groups), &arguments, &chosen.places)
}
