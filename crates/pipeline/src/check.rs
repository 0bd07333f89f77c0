//! The whole way: text, parameters, components, links, columns, plan; every problem on it is collected.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use dataflow_core::component::{Component, Kind};
use dataflow_core::config::{Key, Node, Tree};
use dataflow_core::plan::Plan;
use dataflow_core::{Problem, Problems, Sink, Span, StandardInput, Value};

use crate::about;
use crate::build::Builder;
use crate::cases::{self, PipelineTest};
use crate::connect::Graph;
use crate::endless;
use crate::include::{Including, check_top};
use crate::interpolate::Interpolation;
use crate::options::Load;
use crate::params::{self, Parameter};
use crate::prune;
use crate::render::Report;
use crate::sets::Sets;
use crate::settings::{self, Settings};
use crate::test_plan;
use crate::texts::Texts;
use crate::written::{FAMILIES, Item, Tables, check_unique};

/// What became of a pipeline file.
#[derive(Clone)]
pub struct Loaded {
    /// The pipeline, ready to run; none if there was an error, or if what was needed could not be read offline.
    pub pipeline: Option<Checked>,
    /// Its parameters, also if something else is wrong.
    pub parameters: Vec<Parameter>,
    /// What is wrong with it.
    pub report: Report,
}

impl Loaded {
    /// The pipeline and its warnings, or its problems.
    ///
    /// # Errors
    /// The problems.
    pub fn into_result(self) -> Result<(Checked, Report), Box<Report>> {
        match self.pipeline {
            Some(checked) => Ok((checked, self.report)),
            None => Err(Box::new(self.report)),
        }
    }
}

/// A pipeline that may run.
#[derive(Clone)]
pub struct Checked {
    /// What runs: sources read only what is in use.
    pub plan: Plan,
    /// The same over all columns, for tests, which look at any output.
    pub full: Plan,
    /// How it runs.
    pub settings: Settings,
    /// When the run was first started, nanoseconds since 1970.
    pub run_time: i64,
    /// Its tests.
    pub tests: Vec<PipelineTest>,
    /// A digest of each component by its id: a run goes on only from snapshots of the same.
    pub about: BTreeMap<String, String>,
    /// The type of each transform, and a digest of its own settings: a run may begin with the state of such a one.
    pub transforms: BTreeMap<String, (String, String)>,
}

impl Checked {
    /// The plan of a test: its rows instead of inputs and sources, and behind each expected output a sink that `collect`
    /// makes for its index in [`PipelineTest::expect`].
    pub fn plan_for_test(
        &self,
        test: &PipelineTest,
        collect: impl Fn(usize) -> Arc<dyn Sink>,
    ) -> Plan {
        test_plan::plan(&self.full, test, &collect)
    }
}

/// Loads the pipeline file at `path`.
pub fn load(path: &Path, catalog: &[Component], options: &Load) -> Loaded {
    match (options.read)(path) {
        Ok(text) => load_text(path, &text, catalog, options),
        Err(error) => {
            let mut problems = Problems::new();
            let message = format!("cannot read the pipeline: {error}");
            problems.push(Problem::error(message, None).help("check the path"));
            Loaded {
                pipeline: None,
                parameters: Vec::new(),
                report: Report::new(path.display().to_string(), Texts::default(), problems),
            }
        }
    }
}

/// Loads a pipeline from its text; `path` is its name in messages, and includes are relative to it.
pub fn load_text(path: &Path, text: &str, catalog: &[Component], options: &Load) -> Loaded {
    let (mut texts, mut problems) = (Texts::default(), Problems::new());
    let including = Including::new(&mut texts, &mut problems, &options.read);
    let entries = including.file(path, text);
    Loading::new(path, texts, problems, catalog, options).finish(entries)
}

/// Loads a pipeline that a program wrote as a tree: the same keys as in a file, without `include`.
pub fn load_tree(name: &str, tree: &Node, catalog: &[Component], options: &Load) -> Loaded {
    let mut problems = Problems::new();
    let entries = match &tree.value {
        Tree::Table(entries) => entries.clone(),
        _ => {
            problems.push(Problem::error("a pipeline is a table", tree.span));
            Vec::new()
        }
    };
    Loading::new(
        Path::new(name),
        Texts::default(),
        problems,
        catalog,
        options,
    )
    .finish(entries)
}

struct Loading<'a> {
    path: &'a Path,
    texts: Texts,
    problems: Problems,
    catalog: &'a [Component],
    options: &'a Load,
    parameters: Vec<Parameter>,
    values: BTreeMap<String, Value>,
    broken: Vec<String>,
}

impl<'a> Loading<'a> {
    fn new(
        path: &'a Path,
        texts: Texts,
        problems: Problems,
        catalog: &'a [Component],
        options: &'a Load,
    ) -> Self {
        Self {
            path,
            texts,
            problems,
            catalog,
            options,
            parameters: Vec::new(),
            values: BTreeMap::new(),
            broken: Vec::new(),
        }
    }

    fn finish(mut self, entries: Vec<(Key, Node)>) -> Loaded {
        // What follows a syntax error was perhaps not read as it was meant.
        let pipeline = if self.problems.any_error() {
            None
        } else {
            self.pipeline(entries)
        };
        let pipeline = pipeline.filter(|_| !self.problems.any_error());
        let name = self.path.display().to_string();
        Loaded {
            pipeline,
            parameters: self.parameters,
            report: Report::new(name, self.texts, self.problems),
        }
    }

    fn pipeline(&mut self, mut entries: Vec<(Key, Node)>) -> Option<Checked> {
        let set = Sets::read(self.options, &mut self.texts, &mut self.problems);
        set.apply(&mut entries, &mut self.problems);
        check_top(&entries, &mut self.problems);
        let root = Node::from(Tree::Table(entries));
        let (texts, problems) = (&mut self.texts, &mut self.problems);
        self.parameters =
            params::parameters(root.get("params"), &set, self.options, texts, problems);
        for parameter in &self.parameters {
            match &parameter.value {
                Some(value) => drop(self.values.insert(parameter.name.clone(), value.clone())),
                None => self.broken.push(parameter.name.clone()),
            }
        }
        let name = self.name(&root);
        let settings = self.settings(&root);
        let items = self.items(&root);
        let tests = root.get("tests").and_then(|tests| self.expand(tests));
        self.build(&name, settings, items, tests.as_ref())
    }

    /// The value with its variables; none if some of them could not be expanded.
    fn expand(&mut self, node: &Node) -> Option<Node> {
        let (node, whole) = self.expand_as_far(node);
        whole.then_some(node)
    }

    fn expand_as_far(&mut self, node: &Node) -> (Node, bool) {
        let mut interpolation = Interpolation {
            texts: &mut self.texts,
            problems: &mut self.problems,
            options: self.options,
            parameters: &self.values,
            later: &[],
            broken: &self.broken,
            failed: false,
        };
        let node = interpolation.node(node);
        (node, !interpolation.failed)
    }

    fn name(&mut self, root: &Node) -> String {
        let written = root.get("name").and_then(|node| self.expand(node));
        match written.map(|node| (node.value, node.span)) {
            Some((Tree::Text(name), _)) if !name.is_empty() => return name,
            Some((_, span)) => {
                let message = "`name` is the pipeline's name, in quotes";
                self.problems.push(Problem::error(message, span));
            }
            None => {}
        }
        let stem = self.path.file_stem();
        stem.map(|stem| stem.to_string_lossy().into_owned())
            .filter(|stem| !stem.is_empty() && stem != "-")
            .unwrap_or_else(|| "pipeline".into())
    }

    fn settings(&mut self, root: &Node) -> Settings {
        let engine = root.get("engine").and_then(|node| self.expand(node));
        let metrics = root.get("metrics").and_then(|node| self.expand(node));
        let state = root.get("state").and_then(|node| self.expand(node));
        let tables = [engine.as_ref(), metrics.as_ref(), state.as_ref()];
        settings::read(tables, &mut self.problems)
    }

    fn tables(&mut self) -> Tables<'_> {
        Tables {
            catalog: self.catalog,
            problems: &mut self.problems,
        }
    }

    fn items(&mut self, root: &Node) -> Vec<Item> {
        let mut items = Vec::new();
        for (family, kind) in FAMILIES {
            let Some(node) = root.get(family) else {
                continue;
            };
            for (key, table) in self.tables().entries(family, node) {
                let (table, whole) = self.expand_as_far(&table);
                items.push(self.tables().item(kind, &key, &table, whole));
            }
        }
        check_unique(&mut items, &mut self.problems);
        let sources = items.iter().any(|item| item.kind == Kind::Source);
        if !sources && !self.problems.any_error() {
            let start = Span { start: 0, end: 0 };
            let problem = Problem::error("the pipeline has no source", Some(start));
            self.problems
                .push(problem.help("add one: `[sources.some_name]`"));
        }
        items
    }

    fn build(
        &mut self,
        name: &str,
        settings: Settings,
        items: Vec<Item>,
        tests: Option<&Node>,
    ) -> Option<Checked> {
        let run_time = self.options.run_time.or(settings.run_time);
        let run_time = run_time.unwrap_or_else(now);
        let (texts, problems) = (&mut self.texts, &mut self.problems);
        let graph = Graph::new(items, self.catalog, self.options, texts, problems);
        // Of a parameter without a value something was said already: in expressions it is null.
        let mut constants = self.values.clone();
        constants.extend(self.broken.iter().map(|name| (name.clone(), Value::Null)));
        let builder = Builder {
            graph: &graph,
            catalog: self.catalog,
            parameters: &constants,
            offline: self.options.offline,
            stdin: if self.options.look_at_stdin && !self.options.offline {
                StandardInput::default()
            } else {
                StandardInput::unseen()
            },
            run_time,
        };
        let full = builder.all(texts, problems);
        let Some(full_plan) = builder.plan(name, &full) else {
            let pairs = full.iter().zip(&graph.items);
            let missing = pairs.filter(|(built, _)| built.is_none());
            say_unchecked(
                missing.map(|(_, item)| item.id.as_str()),
                self.options.offline,
                problems,
            );
            return None;
        };
        // The first so many rows are those of what there is, and so they end.
        if self.options.rows.is_none() {
            endless::check(&graph, &full_plan, problems);
        }
        let tests = cases::read(tests, &full_plan, &graph.items, problems);
        if problems.any_error() {
            return None;
        }
        let narrow = prune::narrowed(&builder, &full, self.options.rows, texts);
        Some(Checked {
            plan: builder.plan(name, &narrow)?,
            full: full_plan,
            settings,
            run_time,
            tests,
            about: about::about(&graph.items, &self.values),
            transforms: about::of_transforms(&graph.items, &self.values),
        })
    }
}

/// Without an error, what was not built could not be read, offline or from standard input: that is said.
fn say_unchecked<'a>(ids: impl Iterator<Item = &'a str>, offline: bool, problems: &mut Problems) {
    if problems.any_error() {
        return;
    }
    let ids: Vec<String> = ids.map(|id| format!("`{id}`")).collect();
    let (why, help) = if offline {
        (
            "files are not read offline",
            "leave out `--offline` to check everything",
        )
    } else {
        (
            "standard input is read by a run alone",
            "declare `format` and the columns with their types, then everything is checked",
        )
    };
    let message = format!("not checked, since {why}: {}", ids.join(", "));
    problems.push(Problem::warning(message, None).help(help));
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}
