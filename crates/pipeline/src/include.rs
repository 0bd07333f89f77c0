//! Reads a pipeline file and the files that it includes, and puts their tables together.

use std::path::{Component, Path, PathBuf};

use dataflow_core::config::{Key, Node, Tree};
use dataflow_core::problem::did_you_mean;
use dataflow_core::{Problem, Problems, Span};

use crate::options::ReadText;
use crate::parse;
use crate::texts::Texts;

/// The tables whose entries may come from several files.
const SHARED: [&str; 6] = [
    "params",
    "engine",
    "metrics",
    "sources",
    "transforms",
    "sinks",
];

/// The keys of the top level.
pub(crate) const TOP: [&str; 10] = [
    "name",
    "include",
    "params",
    "engine",
    "metrics",
    "sources",
    "transforms",
    "sinks",
    "tests",
    "state",
];

/// Reads a file's text and what it includes. The included files' entries come first.
pub(crate) struct Including<'a> {
    pub texts: &'a mut Texts,
    pub problems: &'a mut Problems,
    pub read: &'a ReadText,
    /// The files being read, outermost first.
    stack: Vec<PathBuf>,
    done: Vec<PathBuf>,
    entries: Vec<(Key, Node)>,
}

impl<'a> Including<'a> {
    pub fn new(texts: &'a mut Texts, problems: &'a mut Problems, read: &'a ReadText) -> Self {
        Self {
            texts,
            problems,
            read,
            stack: Vec::new(),
            done: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// The top level of all files together, without `include`.
    pub fn file(mut self, path: &Path, text: &str) -> Vec<(Key, Node)> {
        self.one(path, text);
        self.entries
    }

    fn one(&mut self, path: &Path, text: &str) {
        let base = self.texts.add(path.display().to_string(), text);
        let own = parse::document(text, base, self.problems);
        self.stack.push(plain(path));
        for (key, node) in &own {
            if key.name == "include" {
                self.includes(path, node);
            }
        }
        self.stack.pop();
        self.done.push(plain(path));
        for (key, node) in own.into_iter().filter(|(key, _)| key.name != "include") {
            self.merge(key, node);
        }
    }

    fn includes(&mut self, from: &Path, node: &Node) {
        let list = match &node.value {
            Tree::List(list) => list.as_slice(),
            _ => std::slice::from_ref(node),
        };
        for item in list {
            match &item.value {
                Tree::Text(name) => self.include(from, name, item.span),
                _ => self.problems.push(
                    Problem::error("`include` is a list of files", item.span)
                        .help("write `include = [\"common.toml\"]`"),
                ),
            }
        }
    }

    fn include(&mut self, from: &Path, name: &str, span: Option<Span>) {
        let path = plain(&from.parent().unwrap_or(Path::new("")).join(name));
        if self.stack.contains(&path) {
            let chain = self.stack.iter().skip_while(|p| **p != path);
            let chain: Vec<String> = chain.map(|p| format!("`{}`", p.display())).collect();
            let message = format!("`{name}` includes itself: {}", chain.join(" -> "));
            self.problems.push(Problem::error(message, span));
        } else if !self.done.contains(&path) {
            match (self.read)(&path) {
                Ok(text) => self.one(&path, &text),
                Err(error) => self.problems.push(
                    Problem::error(format!("cannot read `{}`: {error}", path.display()), span)
                        .help("paths are relative to the file that includes"),
                ),
            }
        }
    }

    fn merge(&mut self, key: Key, node: Node) {
        let Some((first, existing)) = self.entries.iter_mut().find(|(k, _)| k.name == key.name)
        else {
            self.entries.push((key, node));
            return;
        };
        match (&mut existing.value, node.value) {
            (Tree::List(all), Tree::List(more)) if key.name == "tests" => all.extend(more),
            (Tree::Table(all), Tree::Table(more)) if SHARED.contains(&key.name.as_str()) => {
                for (name, value) in more {
                    match all.iter().find(|(k, _)| k.name == name.name) {
                        Some((first, _)) => {
                            let problem = twice(self.texts, first, &name);
                            self.problems.push(problem);
                        }
                        None => all.push((name, value)),
                    }
                }
            }
            _ => {
                let problem = twice(self.texts, first, &key);
                self.problems.push(problem);
            }
        }
    }
}

fn twice(texts: &Texts, first: &Key, second: &Key) -> Problem {
    let spot = first.span.and_then(|span| texts.spot(span, None));
    let place = spot.map(|s| format!("{}:{}", s.name, s.position().0));
    let message = format!(
        "`{}` is written in {} already",
        second.name,
        place.unwrap_or_else(|| "another file".into())
    );
    Problem::error(message, second.span).help("keep one of them")
}

/// Reports the keys of the top level that do not exist.
pub(crate) fn check_top(entries: &[(Key, Node)], problems: &mut Problems) {
    for (key, _) in entries {
        if !TOP.contains(&key.name.as_str()) {
            let keys: Vec<String> = TOP.iter().map(|k| format!("`{k}`")).collect();
            let help = did_you_mean(&key.name, TOP)
                .unwrap_or_else(|| format!("the keys of a pipeline are {}", keys.join(", ")));
            let message = format!("a pipeline has no key `{}`", key.name);
            problems.push(Problem::error(message, key.span).help(help));
        }
    }
}

/// The path without `.` and, where that is possible by its text alone, without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut made = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(made.components().next_back(), Some(Component::Normal(_))) =>
            {
                made.pop();
            }
            other => made.push(other),
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn read(files: &[(&str, &str)]) -> (Vec<(Key, Node)>, Vec<String>) {
        let map: BTreeMap<PathBuf, String> = files
            .iter()
            .map(|(name, text)| (PathBuf::from(name), (*text).to_string()))
            .collect();
        let reader: ReadText = Arc::new(move |path| {
            map.get(path)
                .cloned()
                .ok_or_else(|| std::io::ErrorKind::NotFound.into())
        });
        let (mut texts, mut problems) = (Texts::default(), Problems::new());
        let including = Including::new(&mut texts, &mut problems, &reader);
        let entries = including.file(Path::new(files[0].0), files[0].1);
        let messages = problems.list().iter().map(|p| p.message.clone());
        (entries, messages.collect())
    }

    #[test]
    fn included_tables_come_first_and_once() {
        let (entries, problems) = read(&[
            (
                "dir/main.toml",
                "include = ['./a.toml', 'b.toml']\nparams.own = 1",
            ),
            ("dir/a.toml", "include = ['../dir/b.toml']\nparams.a = 1"),
            ("dir/b.toml", "params.b = 1"),
        ]);
        assert!(problems.is_empty(), "{problems:?}");
        let params = Node::from(Tree::Table(entries)).get("params").cloned();
        let Some(Tree::Table(params)) = params.map(|p| p.value) else {
            panic!("params");
        };
        let names: Vec<&str> = params.iter().map(|(k, _)| k.name.as_str()).collect();
        assert_eq!(names, ["b", "a", "own"]);
    }

    #[test]
    fn cycles_doubles_and_missing_files_are_problems() {
        let (_, problems) = read(&[
            (
                "m.toml",
                "include = ['a.toml', 'c.toml']\nname = 'm'\nparams.x = 1",
            ),
            ("a.toml", "include = ['m.toml']\nname = 'a'\nparams.x = 2"),
        ]);
        assert_eq!(
            problems,
            [
                "`m.toml` includes itself: `m.toml` -> `a.toml`",
                "cannot read `c.toml`: entity not found",
                "`name` is written in a.toml:2 already",
                "`x` is written in a.toml:3 already",
            ]
        );
    }
}
