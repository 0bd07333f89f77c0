//! A checked call as a value: what every plan of this crate's ordered accumulators consists of.

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef};
use dataflow_core::accumulator::{Accepted, OrderClass, Reading};
use dataflow_core::{Accumulator, AccumulatorPlan};

type Make = dyn Fn() -> Box<dyn Accumulator> + Send + Sync;

/// The parts of a plan.
pub(crate) struct Plan {
    /// The name of the state.
    pub(crate) state: String,
    /// What is read from it.
    pub(crate) reading: Reading,
    /// The result's type.
    pub(crate) output: DataType,
    /// The columns of the state.
    pub(crate) fields: Vec<Field>,
    /// How it depends on order.
    pub(crate) order: OrderClass,
    /// Makes an accumulator.
    pub(crate) make: Arc<Make>,
}

impl Plan {
    /// The plan as an accepted call whose columns come in these types.
    pub(crate) fn accept(self, coerce: Vec<DataType>) -> Accepted {
        Accepted {
            plan: Arc::new(self),
            coerce,
        }
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.reading.what, self.state)
    }
}

impl AccumulatorPlan for Plan {
    fn output(&self) -> FieldRef {
        Arc::new(Field::new("value", self.output.clone(), true))
    }

    fn state(&self) -> String {
        self.state.clone()
    }

    fn reading(&self) -> Reading {
        self.reading.clone()
    }

    fn state_fields(&self) -> Vec<Field> {
        self.fields.clone()
    }

    fn order_class(&self) -> OrderClass {
        self.order
    }

    fn make(&self) -> Box<dyn Accumulator> {
        (self.make)()
    }
}
