//! A component as written: its type, its inputs, what becomes of its bad rows, and the rest, which is its own.

use dataflow_core::component::{Component, Kind};
use dataflow_core::config::{Key, Node, Tree};
use dataflow_core::plan::{MaxErrors, OnError};
use dataflow_core::problem::did_you_mean;
use dataflow_core::{Located, Problem, Problems, Span};

use crate::each::{self, Each};

/// Keys of a component's table that are not its own business.
pub(crate) const COMMON: [&str; 5] = ["type", "inputs", "on_error", "max_errors", "each"];

/// The tables of components and their family.
pub(crate) const FAMILIES: [(&str, Kind); 3] = [
    ("sources", Kind::Source),
    ("transforms", Kind::Transform),
    ("sinks", Kind::Sink),
];

/// A component as written.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub kind: Kind,
    pub id: String,
    pub id_span: Option<Span>,
    /// The table, or its header.
    pub span: Option<Span>,
    pub type_name: String,
    /// Its index in the catalog; none if it cannot be built (and something was said about it).
    pub component: Option<usize>,
    pub inputs: Vec<Located<String>>,
    /// What its keys that name tables say, with the keys: each is a further input.
    pub tables: Vec<(&'static str, Located<String>)>,
    pub on_error: Option<Located<bool>>,
    pub max_errors: Option<Located<MaxErrors>>,
    pub each: Vec<Each>,
    /// The table without the common keys.
    pub config: Node,
}

impl Item {
    /// What becomes of its bad rows, given whether something reads them.
    pub fn on_error(&self, read: bool) -> OnError {
        let limit = self
            .max_errors
            .as_ref()
            .map_or(MaxErrors::Unlimited, |m| m.value);
        let drop = self.on_error.as_ref().is_some_and(|on| on.value);
        match (read, drop) {
            (true, _) => OnError::Port(limit),
            (false, true) => OnError::Drop(limit),
            (false, false) => OnError::Fail,
        }
    }

    /// Whether it was said that the first bad row stops the run.
    pub fn fails(&self) -> bool {
        self.on_error.as_ref().is_some_and(|on| !on.value)
    }
}

/// Reads the tables of components.
pub(crate) struct Tables<'a> {
    pub catalog: &'a [Component],
    pub problems: &'a mut Problems,
}

impl Tables<'_> {
    /// The entries of a family's table as they stand: id and table.
    pub fn entries(&mut self, family: &str, node: &Node) -> Vec<(Key, Node)> {
        match &node.value {
            Tree::Table(entries) => entries.clone(),
            _ => {
                let message = format!("`{family}` is a table of components");
                let help = format!("write `[{family}.some_name]`");
                self.problems
                    .push(Problem::error(message, node.span).help(help));
                Vec::new()
            }
        }
    }

    /// One component. `expanded` is false if variables in it could not be expanded: then it is not built.
    pub fn item(&mut self, kind: Kind, key: &Key, table: &Node, expanded: bool) -> Item {
        self.check_id(key);
        let mut item = Item {
            kind,
            id: key.name.clone(),
            id_span: key.span,
            span: table.span,
            type_name: String::new(),
            component: None,
            inputs: Vec::new(),
            tables: Vec::new(),
            on_error: None,
            max_errors: None,
            each: Vec::new(),
            config: table.without(&COMMON),
        };
        if !matches!(table.value, Tree::Table(_)) {
            let message = format!("`{}` is not a {}", key.name, kind.word());
            let help = format!("write `[{}s.{}]` and its keys below", kind.word(), key.name);
            self.problems
                .push(Problem::error(message, table.span).help(help));
            return item;
        }
        let before = self.errors();
        self.read_type(&mut item, key, table);
        self.read_inputs(&mut item, table);
        self.read_tables(&mut item, table);
        self.read_errors(&mut item, table);
        item.each = self.read_each(table, item.component);
        if self.errors() > before || !expanded {
            item.component = None;
        }
        item
    }

    fn errors(&self) -> usize {
        self.problems.list().len()
    }

    fn check_id(&mut self, key: &Key) {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if key.name.is_empty() || !key.name.chars().all(fits) {
            let mut better: String = key.name.to_lowercase();
            better = better
                .chars()
                .map(|c| if fits(c) { c } else { '_' })
                .collect();
            let help = match better.as_str() {
                _ if !key.name.is_ascii() => {
                    "ids are lower-case letters a to z, digits and `_`".into()
                }
                "" => "ids are lower-case letters, digits and `_`".to_string(),
                better => format!("ids are lower-case letters, digits and `_`: `{better}`"),
            };
            let message = format!("`{}` cannot be an id", key.name);
            self.problems
                .push(Problem::error(message, key.span).help(help));
        }
    }

    fn read_type(&mut self, item: &mut Item, key: &Key, table: &Node) {
        let Some(node) = table.get("type") else {
            let message = format!("the {} `{}` has no `type`", item.kind.word(), item.id);
            let names = self.names(item.kind).join(", ");
            self.problems.push(
                Problem::error(message, key.span)
                    .help(format!("write `type = \"...\"`: one of {names}")),
            );
            return;
        };
        let Tree::Text(name) = &node.value else {
            self.problems.push(Problem::error(
                "`type` is the name of a component, in quotes",
                node.span,
            ));
            return;
        };
        item.type_name.clone_from(name);
        let found = |kind: Kind| {
            self.catalog
                .iter()
                .position(|c| c.kind() == kind && c.info.name == name)
        };
        item.component = found(item.kind);
        if item.component.is_none() {
            let other = FAMILIES.iter().find(|(_, kind)| found(*kind).is_some());
            let problem = match other {
                Some((family, other)) => {
                    let message =
                        format!("`{name}` is a {}, not a {}", other.word(), item.kind.word());
                    Problem::error(message, node.span)
                        .help(format!("write `[{family}.{}]`", item.id))
                }
                None => Problem::error(
                    format!("there is no {} `{name}`", item.kind.word()),
                    node.span,
                )
                .help(self.nearest(item.kind, name)),
            };
            self.problems.push(problem);
        }
    }

    fn names(&self, kind: Kind) -> Vec<String> {
        let family = self.catalog.iter().filter(|c| c.kind() == kind);
        family.map(|c| format!("`{}`", c.info.name)).collect()
    }

    fn nearest(&self, kind: Kind, name: &str) -> String {
        let lower = name.to_lowercase();
        let known = || {
            self.catalog
                .iter()
                .filter(|c| FAMILIES.iter().any(|(_, k)| *k == c.kind()))
        };
        let family = || known().filter(|c| c.kind() == kind);
        if let Some(component) = family().find(|c| c.info.also_called.contains(&lower.as_str())) {
            return format!("did you mean `{}`?", component.info.name);
        }
        if let Some(component) = known().find(|c| c.info.also_called.contains(&lower.as_str())) {
            return format!(
                "did you mean the {} `{}`?",
                component.kind().word(),
                component.info.name
            );
        }
        did_you_mean(name, family().map(|c| c.info.name))
            .unwrap_or_else(|| format!("the {}s are {}", kind.word(), self.names(kind).join(", ")))
    }

    fn read_inputs(&mut self, item: &mut Item, table: &Node) {
        let node = table.get("inputs");
        if item.kind == Kind::Source {
            if let Some((key, _)) = entry(table, "inputs") {
                let message = format!(
                    "the source `{}` has `inputs`, but sources read nothing from the pipeline",
                    item.id
                );
                self.problems.push(
                    Problem::error(message, key.span).help("a transform or a sink has inputs"),
                );
            }
            return;
        }
        let list = match node.map(|n| &n.value) {
            Some(Tree::List(list)) => list.as_slice(),
            Some(Tree::Text(_)) => node.map(std::slice::from_ref).unwrap_or_default(),
            Some(_) => {
                let problem =
                    Problem::error("`inputs` is a list of ids", node.and_then(|n| n.span));
                self.problems
                    .push(problem.help("write `inputs = [\"some_id\"]`"));
                return;
            }
            None => &[],
        };
        if list.is_empty() {
            let message = format!("the {} `{}` has no inputs", item.kind.word(), item.id);
            let span = node.map_or(item.id_span, |n| n.span);
            self.problems
                .push(Problem::error(message, span).help("write `inputs = [\"some_id\"]`"));
        }
        for entry in list {
            match &entry.value {
                Tree::Text(name) => item.inputs.push(Located {
                    value: name.trim().to_string(),
                    span: entry.span,
                }),
                _ => self.problems.push(
                    Problem::error("an input is an id, in quotes", entry.span)
                        .help("write `\"id\"`, `\"id.port\"` or `\"*.errors\"`"),
                ),
            }
        }
    }

    /// What is no text is said when the component reads its configuration.
    fn read_tables(&mut self, item: &mut Item, table: &Node) {
        let Some(component) = item.component.map(|at| &self.catalog[at]) else {
            return;
        };
        for key in component.tables {
            let Some((Tree::Text(name), span)) = table.get(key).map(|n| (&n.value, n.span)) else {
                continue;
            };
            let value = name.trim().to_string();
            item.tables.push((key, Located { value, span }));
        }
    }

    fn read_errors(&mut self, item: &mut Item, table: &Node) {
        for name in ["on_error", "max_errors"] {
            if let (Kind::Sink, Some((key, _))) = (item.kind, entry(table, name)) {
                let message = format!(
                    "`{name}` does not belong to a sink: rows fail in sources and transforms"
                );
                self.problems.push(Problem::error(message, key.span));
                return;
            }
        }
        if let Some(node) = table.get("on_error") {
            match &node.value {
                Tree::Text(word) if word == "fail" || word == "drop" => {
                    item.on_error = Some(Located {
                        value: word == "drop",
                        span: node.span,
                    });
                }
                _ => self.problems.push(
                    Problem::error("`on_error` is `\"fail\"` or `\"drop\"`", node.span).help(
                        format!("to keep bad rows, read them from `{}.errors`", item.id),
                    ),
                ),
            }
        }
        if let Some(node) = table.get("max_errors") {
            match max_errors(node) {
                Some(value) => {
                    item.max_errors = Some(Located {
                        value,
                        span: node.span,
                    });
                }
                None => self.problems.push(
                    Problem::error(
                        "`max_errors` is a number of rows or a share of them",
                        node.span,
                    )
                    .help("write `max_errors = 100` or `max_errors = \"1%\"`"),
                ),
            }
        }
    }

    fn read_each(&mut self, table: &Node, component: Option<usize>) -> Vec<Each> {
        let Some((key, node)) = entry(table, "each") else {
            return Vec::new();
        };
        if component.is_some_and(|c| !each::has_compute(&self.catalog[c])) {
            self.problems.push(Problem::error(
                "`each` writes lines of `compute`, which this component does not have",
                key.span,
            ));
            return Vec::new();
        }
        let list = match &node.value {
            Tree::List(list) => list.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut read = Vec::new();
        for node in list {
            match node.read::<Each>() {
                Ok(each) => read.push(each),
                Err(problem) => self.problems.push(problem.help(
                    "write `each = [{ columns = \"pod_{m}_seconds\", name = \"pod_{m}_hours\", value = \"sum({column}) / 3600\" }]`",
                )),
            }
        }
        read
    }
}

fn entry<'a>(table: &'a Node, name: &str) -> Option<&'a (Key, Node)> {
    match &table.value {
        Tree::Table(entries) => entries.iter().find(|(k, _)| k.name == name),
        _ => None,
    }
}

fn max_errors(node: &Node) -> Option<MaxErrors> {
    match &node.value {
        Tree::Integer(n) => u64::try_from(*n).ok().map(MaxErrors::Rows),
        Tree::Text(text) => {
            let percent: f64 = text.trim().strip_suffix('%')?.trim().parse().ok()?;
            (0.0..=100.0)
                .contains(&percent)
                .then_some(MaxErrors::Share(percent / 100.0))
        }
        _ => None,
    }
}

/// Reports ids that several components have.
pub(crate) fn check_unique(items: &mut [Item], problems: &mut Problems) {
    for at in 1..items.len() {
        let (before, rest) = items.split_at_mut(at);
        let item = &mut rest[0];
        if let Some(first) = before.iter().find(|other| other.id == item.id) {
            let message = format!(
                "the id `{}` is used twice: a {} has it already",
                item.id,
                first.kind.word()
            );
            problems
                .push(Problem::error(message, item.id_span).help("give one of them another name"));
            item.component = None;
        }
    }
}
