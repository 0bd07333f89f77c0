//! `[[tests]]`: rows that go in at a component and rows that are expected to come out of others.

use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use dataflow_core::config::{Node, Tree};
use dataflow_core::plan::{Plan, PortIndex, PortRef, envelope};
use dataflow_core::problem::did_you_mean;
use dataflow_core::{Located, Problem, Problems, Span};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::links::split;
use crate::rows;
use crate::written::Item;

/// A test of a pipeline, checked.
#[derive(Clone, Debug)]
pub struct PipelineTest {
    /// What it shows.
    pub name: String,
    /// Where it was written.
    pub span: Option<Span>,
    /// How far numbers may be apart; see [`compare`](crate::compare()).
    pub tolerance: f64,
    /// Rows that go in.
    pub insert: Vec<Insert>,
    /// Rows that are expected.
    pub expect: Vec<Expect>,
}

/// Rows that go in at a component: instead of its input, or instead of what it reads if it is a source.
#[derive(Clone, Debug)]
pub struct Insert {
    /// The component, or `id.key` where it is a key of the component that names a table.
    pub at: String,
    /// The rows, as tables.
    pub rows: Vec<Node>,
    pub(crate) batch: arrow_array::RecordBatch,
    pub(crate) node: usize,
    /// Which input of the component.
    pub(crate) input: usize,
}

/// Rows that are expected of an output.
#[derive(Clone, Debug)]
pub struct Expect {
    /// The output, as written: `id` or `id.port`.
    pub from: String,
    /// The rows, as tables, with all or some of the columns.
    pub rows: Vec<Node>,
    pub(crate) output: PortRef,
}

/// The plain keys of a test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: String,
    #[serde(default)]
    tolerance: Option<Located<f64>>,
    /// Read from the tree, since the rows keep their places.
    #[serde(default, rename = "insert")]
    _insert: Option<IgnoredAny>,
    #[serde(default, rename = "expect")]
    _expect: Option<IgnoredAny>,
}

/// Rows as written, and where they go in or come out.
struct Written<'a> {
    place: Located<String>,
    rows: &'a [Node],
}

/// Reads and checks the tests against a plan over full columns.
pub(crate) fn read(
    node: Option<&Node>,
    plan: &Plan,
    items: &[Item],
    problems: &mut Problems,
) -> Vec<PipelineTest> {
    let Some(node) = node else {
        return Vec::new();
    };
    let Tree::List(list) = &node.value else {
        problems.push(Problem::error("`tests` is a list", node.span).help("write `[[tests]]`"));
        return Vec::new();
    };
    let mut tests = Vec::new();
    for node in list {
        let mut reading = Reading {
            plan,
            items,
            problems,
            whole: true,
        };
        let test = reading.test(node);
        if reading.whole {
            tests.extend(test);
        }
    }
    tests
}

struct Reading<'a> {
    plan: &'a Plan,
    /// The components as written.
    items: &'a [Item],
    problems: &'a mut Problems,
    whole: bool,
}

impl Reading<'_> {
    fn wrong(&mut self, problem: Problem) {
        self.problems.push(problem);
        self.whole = false;
    }

    fn test(&mut self, node: &Node) -> Option<PipelineTest> {
        let head: Head = match node.read() {
            Ok(head) => head,
            Err(problem) => {
                self.wrong(problem);
                return None;
            }
        };
        let tolerance = head.tolerance.unwrap_or_else(|| 1e-9.into());
        if tolerance.is_nan() || tolerance.value < 0.0 {
            let message = format!("a tolerance of {:?} is impossible", tolerance.value);
            self.wrong(Problem::error(message, tolerance.span));
        }
        let inserts = self.written(node, "insert", "at");
        let expects = self.written(node, "expect", "from");
        let insert: Vec<Insert> = inserts.iter().filter_map(|w| self.insert(w)).collect();
        let expect: Vec<Expect> = expects.iter().filter_map(|w| self.expect(w)).collect();
        self.check_twice(&inserts);
        Some(PipelineTest {
            name: head.name,
            span: node.span,
            tolerance: tolerance.value,
            insert,
            expect,
        })
    }

    fn written<'n>(&mut self, test: &'n Node, key: &str, place: &str) -> Vec<Written<'n>> {
        let form = format!("write `{key} = {{ {place} = \"id\", rows = [{{ column = value }}] }}`");
        let Some(node) = test.get(key) else {
            self.wrong(Problem::error(format!("the test has no `{key}`"), test.span).help(form));
            return Vec::new();
        };
        let list = match &node.value {
            Tree::List(list) => list.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut all = Vec::new();
        for node in list {
            match one(node, place) {
                Ok(written) => all.push(written),
                Err(problem) => self.wrong(problem.help(form.clone())),
            }
        }
        all
    }

    fn check_twice(&mut self, inserts: &[Written<'_>]) {
        for (at, written) in inserts.iter().enumerate() {
            if inserts[..at]
                .iter()
                .any(|other| *other.place == *written.place)
            {
                let message = format!("rows go in at `{}` twice", *written.place);
                let problem = Problem::error(message, written.place.span);
                self.wrong(problem.help("write all of its rows in one list"));
            }
        }
    }

    fn node(&mut self, id: &str, place: &Located<String>) -> Option<usize> {
        let found = self.plan.nodes.iter().position(|node| *node.id == *id);
        if found.is_none() {
            let ids = self.plan.nodes.iter().map(|node| &*node.id);
            let help = did_you_mean(id, ids);
            let message = format!("there is no component `{id}`");
            self.wrong(Problem::inside(message, place, 0..id.len()).maybe_help(help));
        }
        found
    }

    fn insert(&mut self, written: &Written<'_>) -> Option<Insert> {
        let place = &written.place;
        let (id, key) = split(place);
        let node = self.node(id, place)?;
        let input = match key {
            Some(key) => self.table(id, key, place)?,
            None => 0,
        };
        let schema = entrance(self.plan, node, input);
        match rows::record_batch(written.rows, &schema) {
            Ok(batch) => Some(Insert {
                at: place.value.clone(),
                rows: written.rows.to_vec(),
                batch,
                node,
                input,
            }),
            Err(problem) => {
                self.wrong(problem);
                None
            }
        }
    }

    /// The input of a component that a key names.
    fn table(&mut self, id: &str, key: &str, place: &Located<String>) -> Option<usize> {
        let item = self.items.iter().find(|item| item.id == id);
        let keys: Vec<&str> = item.map_or(Vec::new(), |item| {
            item.tables.iter().map(|(key, _)| *key).collect()
        });
        let found = keys.iter().position(|known| *known == key);
        if found.is_none() {
            let message = format!("no rows go in at `{}`", place.value);
            let listed: Vec<String> = keys.iter().map(|key| format!("`{id}.{key}`")).collect();
            let help = match listed.is_empty() {
                true => format!("write `{id}`"),
                false => format!("they go in at `{id}` or {}", listed.join(" or ")),
            };
            self.wrong(Problem::error(message, place.span).help(help));
        }
        found.map(|table| table + 1)
    }

    fn expect(&mut self, written: &Written<'_>) -> Option<Expect> {
        let place = &written.place;
        let (id, port) = split(place);
        let node = self.node(id, place)?;
        let ports = &self.plan.nodes[node].ports;
        let port = match port {
            Some("errors") => Some(PortIndex::Errors),
            Some(name) => ports
                .iter()
                .position(|p| p.name == name)
                .map(PortIndex::Declared),
            None => (!ports.is_empty()).then_some(PortIndex::Declared(0)),
        };
        let Some(port) = port else {
            let named = ports.iter().filter(|p| !p.name.is_empty());
            let listed: Vec<String> = named.map(|p| format!("`{id}.{}`", p.name)).collect();
            let help = (!listed.is_empty()).then(|| format!("there are {}", listed.join(", ")));
            let message = format!("nothing comes out of `{}`", place.value);
            self.wrong(Problem::error(message, place.span).maybe_help(help));
            return None;
        };
        let schema = match port {
            PortIndex::Declared(at) => Arc::clone(&ports[at].schema),
            PortIndex::Errors => envelope(),
        };
        for row in written.rows {
            if let Err(problem) = rows::known_columns(row, schema.fields()) {
                self.wrong(problem);
            }
        }
        Some(Expect {
            from: place.value.clone(),
            rows: written.rows.to_vec(),
            output: PortRef { node, port },
        })
    }
}

fn one<'n>(node: &'n Node, place: &str) -> Result<Written<'n>, Problem> {
    let unknown = match &node.value {
        Tree::Table(entries) => entries
            .iter()
            .find(|(k, _)| k.name != place && k.name != "rows"),
        _ => return Err(Problem::error("this is not a table", node.span)),
    };
    if let Some((key, _)) = unknown {
        let message = format!("there is no key `{}` here", key.name);
        return Err(Problem::error(message, key.span));
    }
    let id = node.get(place).map(|n| (&n.value, n.span));
    let Some((Tree::Text(id), span)) = id else {
        let span = id.map_or(node.span, |(_, span)| span);
        let message = format!("`{place}` is the id of a component");
        return Err(Problem::error(message, span));
    };
    let rows = node.get("rows").map(|n| (&n.value, n.span));
    let Some((Tree::List(rows), _)) = rows else {
        let span = rows.map_or(node.span, |(_, span)| span);
        return Err(Problem::error("`rows` is a list of tables", span));
    };
    Ok(Written {
        place: Located {
            value: id.clone(),
            span,
        },
        rows,
    })
}

/// The columns that go in at a node: of one of its inputs, or of what it reads if it is a source.
fn entrance(plan: &Plan, node: usize, input: usize) -> SchemaRef {
    let node = &plan.nodes[node];
    match node.inputs.get(input) {
        Some(reads) => together(plan, reads),
        None => node
            .ports
            .first()
            .map_or_else(|| Arc::new(Schema::empty()), |p| Arc::clone(&p.schema)),
    }
}

/// The columns of inputs that are known to agree; a column may be null where it may be in one of them.
fn together(plan: &Plan, reads: &[PortRef]) -> SchemaRef {
    let schemas = reads.iter().map(|read| match read.port {
        PortIndex::Declared(port) => Arc::clone(&plan.nodes[read.node].ports[port].schema),
        PortIndex::Errors => envelope(),
    });
    let merged = schemas.reduce(|all, next| {
        let fields = all.fields().iter().zip(next.fields()).map(|(a, b)| {
            let nullable = a.is_nullable() || b.is_nullable();
            a.as_ref().clone().with_nullable(nullable)
        });
        let fields: Vec<Field> = fields.collect();
        Arc::new(Schema::new_with_metadata(fields, all.metadata().clone()))
    });
    merged.unwrap_or_else(|| Arc::new(Schema::empty()))
}
