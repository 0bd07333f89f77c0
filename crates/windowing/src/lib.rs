//! The windows: how rows are cut into the groups that a windowed transform summarises. One file per window.

mod change;
mod count;
mod file;
mod global;
mod grids;
#[cfg(test)]
mod laws;
mod rolling;
mod session;
mod sliding;
mod tumbling;

use dataflow_core::component::Component;

/// Every window, by name.
pub fn list() -> Vec<Component> {
    vec![
        Component::window::<change::Change>(),
        Component::window::<count::Count>(),
        Component::window::<file::File>(),
        Component::window::<global::Global>(),
        Component::window::<rolling::Rolling>(),
        Component::window::<session::Session>(),
        Component::window::<sliding::Sliding>(),
        Component::window::<tumbling::Tumbling>(),
    ]
}
