//! That sinks do not get in each other's way: each file, and rows that are printed as they come, belong to one of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dataflow_core::plan::Work;
use dataflow_core::sink::{Target, place_of};
use dataflow_core::{Problem, Problems, Span};

use crate::build::Built;
use crate::written::Item;

/// Reports sinks that write to the same place. A pattern of names is compared as it stands; what it makes of the rows is
/// compared when they are in.
pub(crate) fn check(items: &[Item], built: &[Option<Built>], problems: &mut Problems) {
    let mut taken = Taken::default();
    for (item, built) in items.iter().zip(built) {
        let Some(Work::Sink(sink)) = built.as_ref().map(|b| &b.work) else {
            continue;
        };
        for target in sink.targets() {
            if let Some(problem) = taken.take(item, target) {
                problems.push(problem);
            }
        }
    }
}

/// What is written already, and the ids of the sinks that do.
#[derive(Default)]
struct Taken<'a> {
    files: BTreeMap<PathBuf, &'a str>,
    printing: Option<(&'a str, bool)>,
}

impl<'a> Taken<'a> {
    fn take(&mut self, item: &'a Item, target: Target) -> Option<Problem> {
        match target {
            Target::File(path) => self.file(item, &path),
            Target::Printed => self.print(item, false),
            Target::Streamed => self.print(item, true),
        }
    }

    fn file(&mut self, item: &'a Item, path: &str) -> Option<Problem> {
        let place = place_of(path);
        if let Some(first) = self.files.get(&place) {
            let message = format!("`{first}` writes to `{path}` already");
            return Some(
                Problem::error(message, span(item))
                    .help("give each sink a path of its own, or let one sink read both inputs"),
            );
        }
        self.files.insert(place, &item.id);
        None
    }

    fn print(&mut self, item: &'a Item, streamed: bool) -> Option<Problem> {
        match self.printing {
            Some((first, other)) if streamed || other => {
                let message = format!("`{first}` writes to standard output already");
                let help = "rows that are printed as they come must be alone there: write one of the two to a file, or print both as tables";
                Some(Problem::error(message, span(item)).help(help))
            }
            _ => {
                self.printing = Some((&item.id, streamed));
                None
            }
        }
    }
}

fn span(item: &Item) -> Option<Span> {
    item.config.get("path").map_or(item.span, |path| path.span)
}
