//! Golden tests of broken pipelines: every `*.toml` of a folder is loaded and its messages are compared with `*.expected`.
//!
//! Works with any catalog. Lines at the top of a file that start with `#!` say what else the person said:
//! `#! set name=value`, `#! env NAME=value`, `#! show id:20`, `#! without id`, `#! offline`. With `UPDATE_EXPECTED=1` in the
//! environment the expected files are written anew.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dataflow_core::component::Component;
use dataflow_pipeline::{Load, Loaded, load_text};

/// Loads a pipeline of a folder with the options that it names.
pub fn load_in(folder: &Path, file: &str, catalog: &[Component]) -> Loaded {
    let text = std::fs::read_to_string(folder.join(file)).expect("a readable pipeline");
    let root = folder.to_path_buf();
    let mut options = Load {
        read: Arc::new(move |path| std::fs::read_to_string(root.join(path))),
        run_time: Some(0),
        ..Load::default()
    };
    for line in text.lines().filter_map(|line| line.strip_prefix("#! ")) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "set" => options.set.push(rest.to_string()),
            "env" => {
                let (name, value) = rest.split_once('=').expect("NAME=value");
                options
                    .environment
                    .insert(name.to_string(), value.to_string());
            }
            "show" => {
                let (id, rows) = rest.split_once(':').unwrap_or((rest, ""));
                options.show.push((id.to_string(), rows.parse().ok()));
            }
            "without" => options.without.push(rest.to_string()),
            "offline" => options.offline = true,
            other => panic!("{file}: `#! {other}` is not known"),
        }
    }
    load_text(Path::new(file), &text, catalog, &options)
}

/// Compares the messages of every pipeline in a folder with the expected ones; returns how many there were.
pub fn check(folder: &Path, catalog: &[Component]) -> usize {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    let mut wrong = String::new();
    for path in &files {
        let name = path.file_name().expect("a name").to_string_lossy();
        let loaded = load_in(folder, &name, catalog);
        let shown = loaded.report.render(false);
        let expected_path = path.with_extension("expected");
        if update {
            std::fs::write(&expected_path, &shown).expect("written");
            continue;
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
        if shown != expected || shown.is_empty() {
            let _ = write!(
                wrong,
                "--- {name}: expected\n{expected}--- found\n{shown}\n"
            );
        }
    }
    assert!(
        wrong.is_empty(),
        "{wrong}(UPDATE_EXPECTED=1 writes them anew)"
    );
    files.len()
}
