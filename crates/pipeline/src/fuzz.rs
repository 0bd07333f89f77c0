//! The entry for fuzzers: any bytes are loaded as a pipeline, and whatever is wrong with them is rendered.

use std::path::Path;
use std::sync::Arc;

use dataflow_core::component::Component;

use crate::options::Load;
use crate::{explain, graph, load_text};

/// Loads the bytes as a pipeline over this catalog, without reading any file, and renders all there is to say of it.
/// It must not panic, whatever the bytes are.
pub fn fuzz(data: &[u8], catalog: &[Component]) {
    let text = String::from_utf8_lossy(data);
    let options = Load {
        offline: true,
        run_time: Some(0),
        read: Arc::new(|_| Err(std::io::ErrorKind::NotFound.into())),
        ..Load::default()
    };
    let loaded = load_text(Path::new("fuzz.toml"), &text, catalog, &options);
    let _ = loaded.report.render(true);
    let _ = loaded.report.problems_json();
    if let Some(checked) = &loaded.pipeline {
        let _ = explain(checked, &loaded.report.texts);
        let _ = graph::mermaid(&checked.plan);
        let _ = graph::dot(&checked.plan);
    }
}
