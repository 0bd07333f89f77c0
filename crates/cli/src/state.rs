//! `dataflow state`: what the snapshots of a pipeline hold, and removing them.

use std::fmt::Write;
use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;

use dataflow::core::units::Bytes;
use dataflow::report::grouped;
use dataflow::state::{StoredState, reset, stored};
use serde_json::json;

use crate::arguments::{File, ResetState, ShowState, State, TextOrJson};
use crate::exit::Failure;
use crate::files::load_unread;
use crate::pages::print;

/// `dataflow state`
pub fn state(options: &State, quiet: bool) -> Result<(), Failure> {
    match options {
        State::Show(options) => show(options, quiet),
        State::Reset(options) => remove(options, quiet),
    }
}

/// The pipeline's name and its folder of snapshots.
fn folder(file: &File, quiet: bool) -> Result<(String, PathBuf), Failure> {
    let pipeline = load_unread(&file.pipeline, &file.loading, quiet)?;
    let checked = pipeline.checked();
    match &checked.settings.state {
        Some(state) => Ok((checked.plan.name.clone(), state.dir.clone())),
        None => Err(Failure::Usage(format!(
            "{} keeps no snapshots: it has no `[state]`",
            file.pipeline.display()
        ))),
    }
}

fn show(options: &ShowState, quiet: bool) -> Result<(), Failure> {
    let (_, folder) = folder(&options.file, quiet)?;
    let found = stored(&folder)?;
    let text = match (&found, options.format) {
        (None, TextOrJson::Json) => "null\n".to_string(),
        (None, TextOrJson::Text) => format!("no snapshot in {}\n", folder.display()),
        (Some(state), TextOrJson::Json) => format!("{:#}\n", in_json(state)),
        (Some(state), TextOrJson::Text) => in_text(state),
    };
    print(&text)
}

fn in_text(state: &StoredState) -> String {
    let mut text = format!("snapshot {}\n", state.number);
    for source in &state.sources {
        let files = if source.files == 1 { "file" } else { "files" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  {}: {} rows read, {} of {} {files} to the end",
            source.id,
            grouped(source.rows),
            grouped(source.files_read as u64),
            grouped(source.files as u64)
        );
    }
    for part in &state.parts {
        let _ = writeln!(
            text,
            "  {} on worker {}: {} rows, {}",
            part.operator,
            part.worker,
            grouped(part.rows),
            Bytes(part.bytes).for_people()
        );
    }
    text
}

fn in_json(state: &StoredState) -> serde_json::Value {
    let sources = state.sources.iter().map(|source| {
        json!({ "id": source.id, "rows": source.rows, "files_read": source.files_read, "files": source.files })
    });
    let parts = state.parts.iter().map(|part| {
        json!({
            "component": part.component,
            "operator": part.operator,
            "worker": part.worker,
            "rows": part.rows,
            "bytes": part.bytes,
        })
    });
    json!({
        "snapshot": state.number,
        "sources": sources.collect::<Vec<_>>(),
        "parts": parts.collect::<Vec<_>>(),
    })
}

fn remove(options: &ResetState, quiet: bool) -> Result<(), Failure> {
    let (name, folder) = folder(&options.file, quiet)?;
    if !options.yes && !agreed(&folder)? {
        return Err(Failure::Usage("nothing was removed".to_string()));
    }
    reset(&folder, &name)?;
    if !quiet {
        eprintln!("removed the snapshots in {}", folder.display());
    }
    Ok(())
}

/// Asks whether to remove what is there.
fn agreed(folder: &std::path::Path) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        let message = "nobody is there to be asked: say `--yes` to remove the snapshots";
        return Err(Failure::Usage(message.to_string()));
    }
    eprint!("remove all snapshots in {}? [y/N] ", folder.display());
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
