//! `global`: all rows.

use dataflow_core::component::WindowConfig;
use dataflow_core::window::Window;
use dataflow_core::{Check, Configured, Info};
use schemars::JsonSchema;
use serde::Deserialize;

/// All rows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Global {}

impl Configured for Global {
    const INFO: Info = Info {
        name: "global",
        summary: "All rows of a key, from the first to the last",
        manual: "One window that ends with the stream. It is what a transform does without a window, said aloud.",
        example: "window = { type = \"global\" }",
        ports: &[],
        also_called: &["all", "none", "unbounded"],
    };
}

impl WindowConfig for Global {
    fn build(self, _: &mut Check<'_>) -> Option<Window> {
        Some(Window::Global)
    }
}
