//! Turns the names in `inputs`, and in keys that name tables, into links: unknown names, sinks that are read, and things listed twice become problems.

use std::collections::{BTreeMap, BTreeSet};

use dataflow_core::component::Kind;
use dataflow_core::problem::did_you_mean;
use dataflow_core::{Located, Problem, Problems, Span};

use crate::written::Item;

/// The most outputs that one component may read: a row's place has six bits for the one it came through.
const MOST_INPUTS: usize = 64;

/// An output that a component reads.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// The component that writes.
    pub from: usize,
    /// The port's name; none is the main one.
    pub port: Option<String>,
    pub span: Option<Span>,
    /// Which input of the component it is part of: 0 is that of `inputs`, each key that names a table is one more.
    pub input: usize,
    /// Whether it is there because of a `*`: then a missing port is no problem.
    pub wildcard: bool,
}

impl Link {
    pub fn is_errors(&self) -> bool {
        self.port.as_deref() == Some("errors")
    }

    /// Whether both bring the same rows to the same input.
    fn is_of(&self, other: &Link) -> bool {
        (self.from, &self.port, self.input) == (other.from, &other.port, other.input)
    }
}

/// `id.port` as id and port.
pub(crate) fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once('.') {
        Some((id, port)) => (id, Some(port)),
        None => (name, None),
    }
}

/// Turns the names in `inputs` into links.
pub(crate) struct Linking<'a> {
    ids: BTreeMap<String, usize>,
    problems: &'a mut Problems,
}

impl<'a> Linking<'a> {
    pub fn new(items: &[Item], problems: &'a mut Problems) -> Self {
        let mut ids = BTreeMap::new();
        for (at, item) in items.iter().enumerate() {
            ids.entry(item.id.clone()).or_insert(at);
        }
        Self { ids, problems }
    }

    /// What each component reads. One whose inputs are wrong is no longer built.
    pub fn all(&mut self, items: &mut [Item]) -> Vec<Vec<Link>> {
        let direct: Vec<Vec<usize>> = items.iter().map(|item| self.direct(item)).collect();
        let mut links = Vec::new();
        for at in 0..items.len() {
            let (found, whole) = self.links(items, at, &direct);
            if !whole {
                items[at].component = None;
            }
            links.push(found);
        }
        links
    }

    /// What an item reads by name.
    fn direct(&self, item: &Item) -> Vec<usize> {
        let tables = item.tables.iter().map(|(_, table)| table);
        let named = item.inputs.iter().chain(tables);
        let named = named.map(|input| split(input).0);
        named.filter_map(|id| self.ids.get(id).copied()).collect()
    }

    fn links(&mut self, items: &[Item], at: usize, direct: &[Vec<usize>]) -> (Vec<Link>, bool) {
        let item = &items[at];
        let mut links: Vec<Link> = Vec::new();
        let mut whole = true;
        for input in &item.inputs {
            let (id, port) = split(input);
            if id == "*" {
                whole &= self.wildcard(items, at, input, port, direct, &mut links);
                continue;
            }
            let Some(from) = self.ids.get(id).copied() else {
                self.unknown(items, at, input, id);
                whole = false;
                continue;
            };
            let link = Link {
                from,
                port: port.map(str::to_string),
                span: input.span,
                input: 0,
                wildcard: false,
            };
            whole &= self.one(items, at, (input, link), &mut links);
        }
        if links.len() > MOST_INPUTS {
            let message = format!(
                "`{}` reads {} outputs; {MOST_INPUTS} are possible",
                item.id,
                links.len()
            );
            let span = item.inputs.first().and_then(|input| input.span);
            self.problems
                .push(Problem::error(message, span).help("put some together before"));
            whole = false;
        }
        for (table, (key, name)) in item.tables.iter().enumerate() {
            whole &= self.table(items, at, (table + 1, key), name, &mut links);
        }
        (links, whole)
    }

    /// The link of a key that names a table.
    fn table(
        &mut self,
        items: &[Item],
        at: usize,
        (input, key): (usize, &str),
        name: &Located<String>,
        links: &mut Vec<Link>,
    ) -> bool {
        let (id, port) = split(name);
        if id == "*" {
            let message = format!("`{key}` names one output, not several");
            let problem = Problem::error(message, name.span);
            self.problems
                .push(problem.help("put them together before, with a `union`"));
            return false;
        }
        let Some(from) = self.ids.get(id).copied() else {
            self.unknown(items, at, name, id);
            return false;
        };
        let link = Link {
            from,
            port: port.map(str::to_string),
            span: name.span,
            input,
            wildcard: false,
        };
        self.one(items, at, (name, link), links)
    }

    fn one(
        &mut self,
        items: &[Item],
        at: usize,
        (input, link): (&Located<String>, Link),
        links: &mut Vec<Link>,
    ) -> bool {
        let (from, port) = (link.from, link.port.as_deref());
        let source = &items[from];
        let wrong = if source.kind == Kind::Sink {
            Some((
                format!("`{}` is a sink: nothing comes out of it", source.id),
                None,
            ))
        } else if from == at {
            Some((
                format!("`{}` reads from itself", source.id),
                Some("name another component".to_string()),
            ))
        } else if port == Some("") {
            Some((
                format!("`{}` names no port", input.value),
                Some(format!("write `{}` or `{}.errors`", source.id, source.id)),
            ))
        } else if port == Some("errors") && source.fails() {
            let help = format!("take `on_error` out of `{}`", source.id);
            Some((
                format!(
                    "`{}` stops at its first bad row, so it has no errors to read",
                    source.id
                ),
                Some(help),
            ))
        } else if links.iter().any(|l| l.is_of(&link) && !l.wildcard) {
            Some((
                format!("`{}` is listed twice", input.value),
                Some("its rows would come twice".to_string()),
            ))
        } else {
            None
        };
        if let Some((message, help)) = wrong {
            self.problems
                .push(Problem::error(message, input.span).maybe_help(help));
            return false;
        }
        links.retain(|l| !l.is_of(&link));
        links.push(link);
        true
    }

    /// `*.errors`: that port of every component that does not itself depend on the reader.
    fn wildcard(
        &mut self,
        items: &[Item],
        at: usize,
        input: &Located<String>,
        port: Option<&str>,
        direct: &[Vec<usize>],
        links: &mut Vec<Link>,
    ) -> bool {
        let Some(port) = port.filter(|port| !port.is_empty()) else {
            let problem = Problem::error("`*` needs a port", input.span);
            self.problems.push(problem.help("write `*.errors`"));
            return false;
        };
        for (from, item) in items.iter().enumerate() {
            let listed = links
                .iter()
                .any(|l| l.from == from && l.port.as_deref() == Some(port));
            let silent = port == "errors" && item.fails();
            if item.kind == Kind::Sink || listed || silent || depends(from, at, direct) {
                continue;
            }
            links.push(Link {
                from,
                port: Some(port.to_string()),
                span: input.span,
                input: 0,
                wildcard: true,
            });
        }
        true
    }

    fn unknown(&mut self, items: &[Item], at: usize, input: &Located<String>, id: &str) {
        let known = items
            .iter()
            .filter(|item| item.kind != Kind::Sink && item.id != items[at].id);
        let ids: Vec<&str> = known.map(|item| item.id.as_str()).collect();
        let help = did_you_mean(id, ids.iter().copied()).or_else(|| {
            let listed: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
            (!listed.is_empty()).then(|| format!("it can read from {}", listed.join(", ")))
        });
        let message = format!("there is no component `{id}`");
        self.problems
            .push(Problem::inside(message, input, 0..id.len()).maybe_help(help));
    }
}

/// Whether `at` reads, directly or through others, from `from`; or is it.
fn depends(at: usize, from: usize, direct: &[Vec<usize>]) -> bool {
    let mut seen = BTreeSet::from([at]);
    let mut open = vec![at];
    while let Some(next) = open.pop() {
        if next == from {
            return true;
        }
        open.extend(direct[next].iter().copied().filter(|up| seen.insert(*up)));
    }
    false
}
