//! Timely operators with any number of inputs and outputs, all of parcels: the one place that knows timely's builders.

use std::rc::Rc;

use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::{DistributorPact, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, Stream};
use timely::progress::frontier::MutableAntichain;
use timely::progress::operate::FrontierInterest;
use timely::scheduling::{Activator, SyncActivator};

use crate::inlet::Rights;
use crate::message::{Address, Parcel, Post};

/// A stream of parcels on the shared clock of ticks.
pub type Parcels<'s> = Stream<'s, u64, Parcel>;

type OnParcel<'a> = &'a mut dyn FnMut(u64, &mut dyn FnMut() -> Rights, Parcel);
type Drain = Box<dyn FnMut(OnParcel<'_>)>;

/// One output of an operator.
pub type Out = OutputBuilder<u64, NoopBuilder<Parcel>>;

/// How to make an operator.
pub struct Shape<'s> {
    /// Its name in logs.
    pub name: String,
    /// Its inputs, and where their parcels go: nowhere means that they stay on their worker.
    pub inputs: Vec<(Parcels<'s>, Option<Address>)>,
    /// How many outputs.
    pub outputs: usize,
    /// Whether what arrives may cause what leaves. The desk says no, or its feedback would be a cycle.
    pub connected: bool,
}

/// What an operator gets when it is made.
pub struct Start {
    /// The right to send at tick 0 and later, one per output.
    pub capabilities: Vec<Capability<u64>>,
    /// Runs the operator again, from its own thread.
    pub again: Activator,
    /// Runs the operator again, from any thread; several may be taken.
    pub wake: Box<dyn Fn() -> SyncActivator>,
    /// This worker.
    pub worker: usize,
    /// All workers.
    pub workers: usize,
}

/// What an operator sees each time it runs.
pub struct Activation<'a> {
    inputs: &'a mut [Drain],
    frontiers: &'a [MutableAntichain<u64>],
    /// The outputs.
    pub outputs: &'a mut [Out],
}

impl Activation<'_> {
    /// Hands every parcel that has arrived at `input` to `take`.
    pub fn drain(&mut self, input: usize, take: OnParcel<'_>) {
        (self.inputs[input])(take);
    }

    /// Whether parcels may still arrive at `input` at tick `tick` or before.
    pub fn may_come(&self, input: usize, tick: u64) -> bool {
        self.frontiers[input].less_equal(&tick)
    }

    /// The oldest tick at which parcels may still arrive at `input`; none if it is finished.
    pub fn oldest(&self, input: usize) -> Option<u64> {
        self.frontiers[input].frontier().first().copied()
    }
}

/// Sends a parcel.
pub fn send(out: &mut Out, right: &Capability<u64>, mut parcel: Parcel) {
    out.activate()
        .session_with_builder(right)
        .give_container(&mut parcel);
}

/// Makes an operator and returns its outputs.
pub fn operator<'s, L>(
    scope: Scope<'s, u64>,
    shape: Shape<'s>,
    make: impl FnOnce(Start) -> L,
) -> Vec<Parcels<'s>>
where
    L: FnMut(&mut Activation<'_>) + 'static,
{
    let mut builder = OperatorBuilder::new(shape.name, scope);
    let outputs = shape.outputs;
    let mut drains: Vec<Drain> = Vec::new();
    for (input, (stream, address)) in shape.inputs.into_iter().enumerate() {
        drains.push(match address {
            None => {
                let mut handle = builder.new_input_connection(stream, Pipeline, []);
                Box::new(move |take| {
                    handle.for_each(|right, parcel| {
                        let mut rights =
                            || Rc::new((0..outputs).map(|output| right.retain(output)).collect());
                        take(*right.time(), &mut rights, std::mem::take(parcel));
                    });
                })
            }
            Some(address) => {
                let pact = DistributorPact(move |_| Post::new(address));
                let mut handle = builder.new_input_connection(stream, pact, []);
                Box::new(move |take| {
                    handle.for_each(|right, parcel| {
                        let mut rights =
                            || Rc::new((0..outputs).map(|output| right.retain(output)).collect());
                        take(*right.time(), &mut rights, std::mem::take(parcel));
                    });
                })
            }
        });
        builder.set_notify_for(input, FrontierInterest::Always);
    }
    let mut outs: Vec<Out> = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..outputs {
        let (out, stream) = if shape.connected {
            builder.new_output()
        } else {
            builder.new_output_connection([])
        };
        outs.push(OutputBuilder::from(out));
        streams.push(stream);
    }
    let address: Rc<[usize]> = builder.operator_info().address;
    let worker = scope.worker();
    let (index, peers) = (scope.index(), scope.peers());
    let again = scope.activator_for(Rc::clone(&address));
    let wakes: Vec<SyncActivator> = (0..8)
        .map(|_| worker.sync_activator_for(address.to_vec()))
        .collect();
    let wakes = std::cell::RefCell::new(wakes);
    builder.build(move |capabilities| {
        let wake = Box::new(move || {
            let mut wakes = wakes.borrow_mut();
            wakes
                .pop()
                .unwrap_or_else(|| unreachable!("an operator needs at most eight ways to be woken"))
        });
        let mut logic = make(Start {
            capabilities,
            again,
            wake,
            worker: index,
            workers: peers,
        });
        move |frontiers| {
            logic(&mut Activation {
                inputs: &mut drains,
                frontiers,
                outputs: &mut outs,
            });
        }
    });
    streams
}
