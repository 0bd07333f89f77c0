//! The sinks: where rows go. One file per component, and this list.

mod console;
mod file;
mod null;
mod plot;
mod stdout;

use dataflow_core::component::Component;

pub use console::Console;
pub use file::{File, IfExists};
pub use null::Null;
pub use plot::{Combine, Names, Plot, PlotKind, Scale, Theme};

/// All sinks, by name.
pub fn list() -> Vec<Component> {
    vec![
        Component::sink::<Console>(),
        Component::sink::<File>(),
        Component::sink::<Null>(),
        Component::sink::<Plot>(),
    ]
}
