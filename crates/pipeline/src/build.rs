//! Builds the components in order: each is checked against the columns that it will really get.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use dataflow_core::component::{Build, Component, Kind};
use dataflow_core::config::Node;
use dataflow_core::plan::{OnError, Plan, PlanNode, PortIndex, PortRef, Work, envelope};
use dataflow_core::problem::did_you_mean;
use dataflow_core::transform::{Input, Port};
use dataflow_core::{Check, Located, Problem, Problems, Sampled, StandardInput, Value};

use crate::agree::together;
use crate::connect::Graph;
use crate::each;
use crate::links::Link;
use crate::phases;
use crate::targets;
use crate::texts::Texts;

/// A component that was built. Its inputs count components of the graph, not nodes of a plan.
#[derive(Clone)]
pub(crate) struct Built {
    pub work: Work,
    pub ports: Vec<Port>,
    /// For each of its inputs, the outputs that feed it.
    pub reads: Vec<Vec<PortRef>>,
    pub inputs: Vec<Input>,
}

impl Built {
    pub fn schema(&self, port: PortIndex) -> SchemaRef {
        match port {
            PortIndex::Declared(at) => Arc::clone(&self.ports[at].schema),
            PortIndex::Errors => envelope(),
        }
    }
}

/// What components are built with.
pub(crate) struct Builder<'a> {
    pub graph: &'a Graph,
    pub catalog: &'a [Component],
    pub parameters: &'a BTreeMap<String, Value>,
    pub offline: bool,
    pub stdin: StandardInput,
    pub run_time: i64,
}

impl Builder<'_> {
    /// All components that can be built. Of one whose input failed, only what does not depend on columns is checked.
    pub fn all(&self, texts: &mut Texts, problems: &mut Problems) -> Vec<Option<Built>> {
        let mut built: Vec<Option<Built>> = vec![None; self.graph.items.len()];
        for at in &self.graph.order {
            built[*at] = self.one(*at, &built, texts, problems);
        }
        targets::check(&self.graph.items, &built, problems);
        phases::check(self.graph, &built, problems);
        self.check_limits(problems);
        built
    }

    fn one(
        &self,
        at: usize,
        built: &[Option<Built>],
        texts: &mut Texts,
        problems: &mut Problems,
    ) -> Option<Built> {
        let Some((reads, inputs)) = self.inputs(at, built, problems) else {
            self.look_without_input(at, problems);
            return None;
        };
        let (work, ports) = self.make(at, &inputs, texts, problems)?;
        Some(Built {
            work,
            ports,
            reads,
            inputs,
        })
    }

    /// What a component reads; none if something is wrong with it.
    pub fn inputs(
        &self,
        at: usize,
        built: &[Option<Built>],
        problems: &mut Problems,
    ) -> Option<(Vec<Vec<PortRef>>, Vec<Input>)> {
        let item = &self.graph.items[at];
        if item.kind == Kind::Source {
            return Some((Vec::new(), Vec::new()));
        }
        let inputs = (0..=item.tables.len()).map(|input| self.input(at, input, built, problems));
        // All are looked at, so that all problems are found.
        let inputs: Vec<Option<(Vec<PortRef>, Input)>> = inputs.collect();
        let inputs: Option<Vec<(Vec<PortRef>, Input)>> = inputs.into_iter().collect();
        Some(inputs?.into_iter().unzip())
    }

    /// What one of a component's inputs brings, put together; none if something is wrong with it.
    fn input(
        &self,
        at: usize,
        input: usize,
        built: &[Option<Built>],
        problems: &mut Problems,
    ) -> Option<(Vec<PortRef>, Input)> {
        let item = &self.graph.items[at];
        let (mut reads, mut names, mut spans) = (Vec::new(), Vec::new(), Vec::new());
        let mut whole = true;
        let links = self.graph.links[at].iter();
        for link in links.filter(|link| link.input == input) {
            let Some(from) = &built[link.from] else {
                whole = false;
                continue;
            };
            match self.port(link, from) {
                Some(port) => {
                    reads.push(PortRef {
                        node: link.from,
                        port,
                    });
                    names.push(self.name(link));
                    spans.push(link.span);
                }
                None if link.wildcard => {}
                None => {
                    problems.push(self.no_port(link, from));
                    whole = false;
                }
            }
        }
        if !whole || item.component.is_none() {
            return None;
        }
        if reads.is_empty() {
            let span = item.inputs.first().and_then(|input| input.span);
            problems.push(Problem::error("nothing has that output", span));
            return None;
        }
        let schemas: Vec<SchemaRef> = reads
            .iter()
            .filter_map(|read| Some(built[read.node].as_ref()?.schema(read.port)))
            .collect();
        let schema = match together(&names, &schemas) {
            Ok(schema) => schema,
            Err((which, message)) => {
                let span = spans.get(which).copied().flatten().or(item.id_span);
                let errors = reads.iter().filter(|r| r.port == PortIndex::Errors).count();
                let help = if errors > 0 && errors < reads.len() {
                    "bad rows have columns of their own: give them a sink of their own"
                } else {
                    "inputs of one component must have the same columns, in the same order: make them so with a `select` before"
                };
                problems.push(Problem::error(message, span).help(help));
                return None;
            }
        };
        let timed = reads.iter().all(|read| is_timed(built, *read));
        let provisional = reads.iter().any(|read| is_provisional(built, *read));
        let sampled = self.sampled(&reads, at, built);
        Some((
            reads,
            Input {
                from: names,
                schema,
                timed,
                provisional,
                sampled,
            },
        ))
    }

    /// What is known of the rows of these outputs as samples of a signal; several put together are samples no more.
    fn sampled(&self, reads: &[PortRef], at: usize, built: &[Option<Built>]) -> Sampled {
        let mut each = reads.iter().map(|read| self.sampled_by(*read, built));
        match (each.next(), each.next()) {
            (Some(Sampled::Regular(_)), Some(_)) => Sampled::Lost(self.graph.items[at].id.clone()),
            (first, _) => first.unwrap_or_default(),
        }
    }

    fn sampled_by(&self, read: PortRef, built: &[Option<Built>]) -> Sampled {
        let (Some(from), PortIndex::Declared(port)) = (&built[read.node], read.port) else {
            return Sampled::Unknown;
        };
        match (from.ports[port].sampling, from.inputs.first()) {
            (Some(sampling), _) => Sampled::Regular(sampling),
            (None, Some(input)) => match &input.sampled {
                Sampled::Regular(_) => Sampled::Lost(self.graph.items[read.node].id.clone()),
                earlier => earlier.clone(),
            },
            (None, None) => Sampled::Unknown,
        }
    }

    fn port(&self, link: &Link, from: &Built) -> Option<PortIndex> {
        match link.port.as_deref() {
            Some("errors") => Some(PortIndex::Errors),
            None => (!from.ports.is_empty()).then_some(PortIndex::Declared(0)),
            Some(name) => from
                .ports
                .iter()
                .position(|port| port.name == name)
                .map(PortIndex::Declared),
        }
    }

    fn name(&self, link: &Link) -> String {
        let id = &self.graph.items[link.from].id;
        match &link.port {
            Some(port) => format!("{id}.{port}"),
            None => id.clone(),
        }
    }

    fn no_port(&self, link: &Link, from: &Built) -> Problem {
        let id = &self.graph.items[link.from].id;
        let port = link.port.clone().unwrap_or_default();
        let named: Vec<&str> = from
            .ports
            .iter()
            .map(|p| p.name.as_str())
            .filter(|n| !n.is_empty())
            .collect();
        let known = named.iter().copied().chain(["errors"]);
        let help = did_you_mean(&port, known.clone()).unwrap_or_else(|| {
            let main = (!from.ports.is_empty()).then(|| format!("`{id}`"));
            let named = known.map(|name| format!("`{id}.{name}`"));
            let listed: Vec<String> = main.into_iter().chain(named).collect();
            format!("its outputs are {}", listed.join(", "))
        });
        let text = Located {
            value: format!("{id}.{port}"),
            span: link.span,
        };
        let message = format!("`{id}` has no output `{port}`");
        Problem::inside(message, &text, id.len() + 1..text.len()).help(help)
    }

    /// Builds a component against the columns of its inputs.
    pub fn make(
        &self,
        at: usize,
        inputs: &[Input],
        texts: &mut Texts,
        problems: &mut Problems,
    ) -> Option<(Work, Vec<Port>)> {
        let item = &self.graph.items[at];
        let component = &self.catalog[item.component?];
        let config = match inputs.first() {
            Some(input) if !item.each.is_empty() => {
                each::expand(&item.config, &item.each, &input.schema, texts, problems)?
            }
            _ => item.config.clone(),
        };
        let before = problems.list().len();
        let made = self.make_of(component, at, &config, inputs, problems);
        if made.is_none() {
            self.look_further(component, at, config, inputs, before, problems);
        }
        if made.is_none() && problems.list().len() == before && !self.offline {
            let message = format!(
                "`{}` cannot be built, and its component does not say why",
                item.id
            );
            problems.push(Problem::error(message, item.span));
        }
        made
    }

    /// Builds a component of exactly this configuration.
    pub fn make_of(
        &self,
        component: &Component,
        at: usize,
        config: &Node,
        inputs: &[Input],
        problems: &mut Problems,
    ) -> Option<(Work, Vec<Port>)> {
        let item = &self.graph.items[at];
        let mut check = Check {
            id: &item.id,
            span: item.span,
            parameters: self.parameters,
            catalog: self.catalog,
            offline: self.offline,
            stdin: &self.stdin,
            run_time: self.run_time,
            problems,
        };
        match (&component.build, inputs) {
            (Build::Source(build), _) => build(config, &mut check).map(|source| {
                let ports = source.ports().to_vec();
                (Work::Source(source), ports)
            }),
            (Build::Transform(build), [_, ..]) => {
                build(config, inputs, &mut check).map(|transform| {
                    let ports = transform.ports().to_vec();
                    (Work::Transform(transform), ports)
                })
            }
            (Build::Sink(build), [input, ..]) => {
                build(config, input, &mut check).map(|sink| (Work::Sink(sink), Vec::new()))
            }
            _ => None,
        }
    }

    fn check_limits(&self, problems: &mut Problems) {
        for (at, item) in self.graph.items.iter().enumerate() {
            if let (Some(limit), OnError::Fail) =
                (&item.max_errors, item.on_error(self.read_errors(at)))
            {
                let message = format!(
                    "`max_errors` means nothing here: `{}` stops at its first bad row",
                    item.id
                );
                let help = format!(
                    "add `on_error = \"drop\"`, or let something read `{}.errors`",
                    item.id
                );
                problems.push(Problem::error(message, limit.span).help(help));
            }
        }
    }

    fn read_errors(&self, at: usize) -> bool {
        self.graph
            .links
            .iter()
            .flatten()
            .any(|link| link.from == at && link.is_errors())
    }

    /// The plan of components that are all built.
    pub fn plan(&self, name: &str, built: &[Option<Built>]) -> Option<Plan> {
        let mut number = vec![0; built.len()];
        for (node, at) in self.graph.order.iter().enumerate() {
            number[*at] = node;
        }
        let mut nodes = Vec::new();
        for at in &self.graph.order {
            let (item, built) = (&self.graph.items[*at], built[*at].as_ref()?);
            let numbered = |read: &PortRef| PortRef {
                node: number[read.node],
                port: read.port,
            };
            let inputs = built.reads.iter();
            let inputs = inputs.map(|reads| reads.iter().map(numbered).collect());
            nodes.push(PlanNode {
                id: Arc::from(item.id.as_str()),
                type_name: item.type_name.clone(),
                work: built.work.clone(),
                inputs: inputs.collect(),
                ports: built.ports.clone(),
                on_error: item.on_error(self.read_errors(*at)),
            });
        }
        (nodes.len() == built.len()).then(|| Plan {
            name: name.to_string(),
            nodes,
        })
    }
}

/// Whether the rows of an output are early results, or made of such.
fn is_provisional(built: &[Option<Built>], read: PortRef) -> bool {
    let Some(from) = &built[read.node] else {
        return false;
    };
    let of_port = match read.port {
        PortIndex::Declared(at) => from.ports[at].provisional,
        PortIndex::Errors => false,
    };
    of_port || from.inputs.iter().any(|input| input.provisional)
}

/// Whether the rows of an output have event time.
fn is_timed(built: &[Option<Built>], read: PortRef) -> bool {
    match (&built[read.node], read.port) {
        (Some(from), PortIndex::Declared(at)) => from.ports[at].timed,
        _ => false,
    }
}
