//! `dataflow state`: what the snapshots of a pipeline hold, and removing them.

use std::fmt::Write;
use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

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
    let mut text = format!("snapshot {}, taken {}\n", state.number, ago(state.taken));
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
    for component in &state.components {
        let keys = match component.keys {
            0 => None,
            1 => Some("1 key, ".to_string()),
            keys => Some(format!("{} keys, ", grouped(keys))),
        };
        // Of keyed rows it is only known that there are not more.
        let rows = (keys.is_none() && component.rows > 0)
            .then(|| format!("{} rows, ", grouped(component.rows)));
        let _ = writeln!(
            text,
            "  {}: {}{} held",
            component.id,
            keys.or(rows).unwrap_or_default(),
            Bytes(component.bytes).for_people()
        );
    }
    text
}

/// How long ago that was, in nanoseconds since 1970.
fn ago(then: i64) -> String {
    let then = UNIX_EPOCH + Duration::from_nanos(then.max(0) as u64);
    let Ok(since) = then.elapsed() else {
        return "just now".to_string();
    };
    let seconds = since.as_secs();
    match seconds {
        0..=1 => "just now".to_string(),
        2..=119 => format!("{seconds} s ago"),
        120..=7_199 => format!("{} min ago", seconds / 60),
        7_200..=172_799 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
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
    let components = state.components.iter().map(|component| {
        json!({ "id": component.id, "keys": component.keys, "rows": component.rows, "bytes": component.bytes })
    });
    json!({
        "snapshot": state.number,
        "taken": state.taken,
        "sources": sources.collect::<Vec<_>>(),
        "components": components.collect::<Vec<_>>(),
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
