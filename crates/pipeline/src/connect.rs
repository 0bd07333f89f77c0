//! The graph of components: what is left out, what is printed, the order, and cycles.

use std::collections::{BTreeMap, BTreeSet};

use dataflow_core::component::{Component, Kind};
use dataflow_core::config::{Key, Node, Tree};
use dataflow_core::problem::did_you_mean;
use dataflow_core::{Problem, Problems, Span};

use crate::links::{Link, Linking, split};
use crate::options::Load;
use crate::schema;
use crate::texts::Texts;
use crate::written::Item;

/// Components and links.
pub(crate) struct Graph {
    pub items: Vec<Item>,
    /// For each component, what it reads, input after input, in the order in which it is listed.
    pub links: Vec<Vec<Link>>,
    /// The components, each behind all that it reads from; those in and behind a cycle are missing.
    pub order: Vec<usize>,
}

impl Graph {
    /// Links the components. An item whose links are wrong is no longer built.
    pub fn new(
        mut items: Vec<Item>,
        catalog: &[Component],
        options: &Load,
        texts: &mut Texts,
        problems: &mut Problems,
    ) -> Self {
        let links = Linking::new(&items, problems).all(&mut items);
        let mut graph = Self {
            items,
            links,
            order: Vec::new(),
        };
        graph.leave_out(options, texts, problems);
        let prints = !graph.items.iter().any(|item| item.kind == Kind::Sink);
        graph.show(options, catalog, texts, problems);
        if prints {
            graph.print_leaves(catalog, problems);
        }
        graph.sort(problems);
        graph.warn_of_unread(problems);
        graph
    }

    /// Takes out components and whatever read from them alone.
    fn leave_out(&mut self, options: &Load, texts: &mut Texts, problems: &mut Problems) {
        let mut out = BTreeSet::new();
        for id in &options.without {
            match self.items.iter().position(|item| item.id == *id) {
                Some(at) => drop(out.insert(at)),
                None => {
                    let span = argument(texts, "--without", id);
                    problems.push(self.no_such(id, Some(span)));
                }
            }
        }
        if out.is_empty() {
            return;
        }
        loop {
            let before = out.len();
            for (at, links) in self.links.iter().enumerate() {
                let inputs: BTreeSet<usize> = links.iter().map(|link| link.input).collect();
                let gone = |input: &usize| {
                    let mut links = links.iter().filter(|link| link.input == *input);
                    links.all(|link| out.contains(&link.from))
                };
                if inputs.iter().any(gone) {
                    out.insert(at);
                }
            }
            if out.len() == before {
                break;
            }
        }
        let kept: Vec<usize> = (0..self.items.len())
            .filter(|at| !out.contains(at))
            .collect();
        let number: BTreeMap<usize, usize> = kept
            .iter()
            .enumerate()
            .map(|(new, old)| (*old, new))
            .collect();
        self.links = kept
            .iter()
            .map(|at| {
                let links = self.links[*at].iter();
                let moved = links.filter_map(|link| {
                    Some(Link {
                        from: *number.get(&link.from)?,
                        ..link.clone()
                    })
                });
                moved.collect()
            })
            .collect();
        self.items = kept.iter().map(|at| self.items[*at].clone()).collect();
    }

    fn no_such(&self, id: &str, span: Option<Span>) -> Problem {
        let ids = self.items.iter().map(|item| item.id.as_str());
        Problem::error(format!("there is no component `{id}`"), span)
            .maybe_help(did_you_mean(id, ids))
    }

    /// Prints the outputs that `--show` names.
    fn show(
        &mut self,
        options: &Load,
        catalog: &[Component],
        texts: &mut Texts,
        problems: &mut Problems,
    ) {
        let consoles = self.items.iter().filter(|item| item.type_name == "console");
        let titled = options.show.len() + consoles.count() > 1;
        for (name, limit) in &options.show {
            let span = argument(texts, "--show", name);
            let (id, port) = split(name);
            match self.items.iter().position(|item| item.id == id) {
                Some(from) if self.items[from].kind == Kind::Sink => {
                    let message = format!("`{id}` is a sink: no rows come out of it");
                    let inputs: Vec<&str> = self.items[from]
                        .inputs
                        .iter()
                        .map(|i| i.value.as_str())
                        .collect();
                    let help = format!(
                        "show what it reads: `--show {}`",
                        inputs.join("` or `--show ")
                    );
                    problems.push(Problem::error(message, Some(span)).help(help));
                }
                Some(from) => {
                    let link = Link {
                        from,
                        port: port.map(str::to_string),
                        span: Some(span),
                        input: 0,
                        wildcard: false,
                    };
                    self.print(link, *limit, titled, catalog, problems);
                }
                None => problems.push(self.no_such(id, Some(span))),
            }
        }
    }

    /// A pipeline without sinks prints what nothing else reads.
    fn print_leaves(&mut self, catalog: &[Component], problems: &mut Problems) {
        let shown = self.outside_links();
        let leaf = |at: &usize| self.items[*at].kind != Kind::Sink && !shown.contains(at);
        let leaves: Vec<usize> = (0..self.items.len()).filter(leaf).collect();
        for from in &leaves {
            let from = *from;
            let link = Link {
                from,
                port: None,
                span: self.items[from].id_span,
                input: 0,
                wildcard: false,
            };
            self.print(link, None, leaves.len() > 1, catalog, problems);
        }
    }

    /// The components of which something besides `errors` is read.
    fn outside_links(&self) -> Vec<usize> {
        let links = self.links.iter().flatten();
        links
            .filter(|link| !link.is_errors())
            .map(|link| link.from)
            .collect()
    }

    fn print(
        &mut self,
        link: Link,
        limit: Option<u64>,
        titled: bool,
        catalog: &[Component],
        problems: &mut Problems,
    ) {
        let console = catalog
            .iter()
            .position(|c| c.kind() == Kind::Sink && c.info.name == "console");
        if console.is_none() {
            problems.push(
                Problem::error("nothing writes the results of this pipeline", link.span)
                    .help("add a sink: `[sinks.some_name]`"),
            );
            return;
        }
        let from = &self.items[link.from];
        let mut id = format!("print_{}", from.id);
        let mut title = from.id.clone();
        if let Some(port) = &link.port {
            id = format!("{id}_{port}");
            title = format!("{title}.{port}");
        }
        while self.items.iter().any(|item| item.id == id) {
            id.push('_');
        }
        let known = console
            .map(|at| schema::keys(&catalog[at]))
            .unwrap_or_default();
        let entry = |names: &[&str], value: Tree| {
            let name = names
                .iter()
                .find(|name| known.iter().any(|key| key == *name))?;
            let (name, span) = ((*name).to_string(), link.span);
            Some((Key { name, span }, Node { value, span }))
        };
        let rows = limit.map(|rows| Tree::Integer(i64::try_from(rows).unwrap_or(i64::MAX)));
        let rows = rows.and_then(|rows| entry(&["head", "rows"], rows));
        let title = titled
            .then(|| entry(&["title"], Tree::Text(title)))
            .flatten();
        let item = Item {
            kind: Kind::Sink,
            id,
            id_span: link.span,
            span: link.span,
            type_name: "console".into(),
            component: console,
            inputs: Vec::new(),
            tables: Vec::new(),
            on_error: None,
            max_errors: None,
            each: Vec::new(),
            config: Node {
                value: Tree::Table(rows.into_iter().chain(title).collect()),
                span: link.span,
            },
        };
        self.items.push(item);
        self.links.push(vec![link]);
    }

    /// Puts the components in order; reports cycles.
    fn sort(&mut self, problems: &mut Problems) {
        let mut done = vec![false; self.items.len()];
        loop {
            let next = (0..self.items.len())
                .find(|at| !done[*at] && self.links[*at].iter().all(|link| done[link.from]));
            let Some(at) = next else { break };
            done[at] = true;
            self.order.push(at);
        }
        let mut seen = done.clone();
        for start in 0..self.items.len() {
            let mut path = Vec::new();
            let mut at = start;
            while !seen[at] {
                seen[at] = true;
                path.push(at);
                match self.links[at].iter().find(|link| !done[link.from]) {
                    Some(link) => at = link.from,
                    None => break,
                }
            }
            if let Some(from) = path.iter().position(|p| *p == at) {
                problems.push(self.cycle(&path[from..]));
            }
        }
        for (at, done) in done.iter().enumerate() {
            if !done {
                self.items[at].component = None;
            }
        }
    }

    /// `path` goes against the rows: each component reads from the next, and the last from the first.
    fn cycle(&self, path: &[usize]) -> Problem {
        let mut names: Vec<String> = path
            .iter()
            .rev()
            .map(|at| format!("`{}`", self.items[*at].id))
            .collect();
        names.push(names[0].clone());
        let (reader, from) = (path[path.len() - 1], path[0]);
        let link = self.links[reader].iter().find(|link| link.from == from);
        let message = format!("the pipeline goes in a circle: {}", names.join(" -> "));
        Problem::error(message, link.and_then(|link| link.span))
            .help("take one of these inputs out")
    }

    /// Rows that go nowhere are probably not meant so.
    fn warn_of_unread(&self, problems: &mut Problems) {
        if problems.any_error() {
            // A name that was not found would have been read.
            return;
        }
        let read = self.outside_links();
        for (at, item) in self.items.iter().enumerate() {
            if item.kind != Kind::Sink && !read.contains(&at) {
                let message = format!("nothing reads `{}`", item.id);
                let help = format!(
                    "add it to the `inputs` of something, or take it out (`--without {}`)",
                    item.id
                );
                problems.push(Problem::warning(message, item.id_span).help(help));
            }
        }
    }
}

fn argument(texts: &mut Texts, option: &str, value: &str) -> Span {
    let start = texts.add(option, value);
    Span {
        start,
        end: start + value.len(),
    }
}
