//! For tests: rows, a context whose output can be looked at, and folders that go away.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use dataflow_core::{Batch, SinkContext};

/// What was printed.
#[derive(Clone, Default)]
pub(crate) struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text")
    }
}

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) fn context() -> (SinkContext, Printed) {
    let printed = Printed::default();
    let context = SinkContext {
        id: "out".into(),
        stdout: Arc::new(Mutex::new(printed.clone())),
        width: None,
        shares_stdout: false,
        snapshots: true,
    };
    (context, printed)
}

/// Rows with a number, text (some null), a dictionary and a float.
pub(crate) fn rows(count: usize) -> RecordBatch {
    let places = ["oslo", "rome", "a/b", "", "..", "%2F"];
    let place = (0..count).map(|i| (i % 7 != 6).then(|| places[i % 6]));
    let code: DictionaryArray<Int32Type> =
        (0..count).map(|i| Some(["x", "y"][i / 3 % 2])).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "id",
            Arc::new(Int64Array::from_iter_values(0..count as i64)),
        ),
        ("place", Arc::new(place.collect::<StringArray>())),
        ("code", Arc::new(code)),
        (
            "x",
            Arc::new(Float64Array::from_iter_values(
                (0..count).map(|i| i as f64 / 4.0),
            )),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .expect("columns")
}

pub(crate) fn batch(count: usize) -> Batch {
    Batch::new(rows(count))
}

/// A folder that goes away.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    /// All files and folders in it, hidden ones too.
    pub fn list(&self) -> Vec<String> {
        fn walk(folder: &Path, base: &Path, into: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                into.push(path.strip_prefix(base).expect("inside").to_path_buf());
                if path.is_dir() {
                    walk(&path, base, into);
                }
            }
        }
        let mut found = Vec::new();
        walk(self.0.path(), self.0.path(), &mut found);
        let mut names: Vec<String> = found
            .iter()
            .map(|p| p.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}
