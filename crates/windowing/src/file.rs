//! `file`: the rows of each file.

use dataflow_core::component::WindowConfig;
use dataflow_core::window::Window;
use dataflow_core::{Check, Configured, Info};
use schemars::JsonSchema;
use serde::Deserialize;

/// The rows of each file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {}

impl Configured for File {
    const INFO: Info = Info {
        name: "file",
        summary: "The rows of each file",
        manual: "The rows that were read from one file make one window: one result for each measurement, each test, each day's \
            log, and for each key in it. Files come in the order of their paths, one after another. Where rows have time, \
            `window_start` and `window_end` are the least and the greatest of a window.",
        example: "window = { type = \"file\" }",
        ports: &[],
        also_called: &["files", "per_file", "split"],
    };
}

impl WindowConfig for File {
    fn build(self, _: &mut Check<'_>) -> Option<Window> {
        Some(Window::File)
    }
}
