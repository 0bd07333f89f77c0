//! Asks the sources for less: only the columns in use, and no rows that every reader would throw away.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::{DataType, SchemaRef};
use dataflow_core::config::{Node, Tree};
use dataflow_core::plan::{PortIndex, PortRef, Work};
use dataflow_core::source::Comparison;
use dataflow_core::transform::{Columns, Input};
use dataflow_core::{Problems, Source, Wanted};

use crate::build::{Builder, Built};
use crate::texts::Texts;

/// How much of its input a component is given.
#[derive(Clone, Copy, PartialEq)]
enum Given {
    /// What it needs for the outputs in use.
    Needed,
    /// That, and every column that it names, such as one that it drops or one behind a result that nobody uses.
    Named,
    /// Everything.
    All,
}

/// The same components over narrowed sources.
///
/// A component that cannot be built over fewer columns, or inputs that no longer agree, are given more, and it is tried
/// again; in the end everything is as wide as before, which is known to work.
pub(crate) fn narrowed(
    builder: &Builder<'_>,
    full: &[Option<Built>],
    rows: Option<u64>,
    texts: &mut Texts,
) -> Vec<Option<Built>> {
    let mut given = vec![Given::Needed; full.len()];
    loop {
        let mut pass = Pass {
            builder,
            full,
            wanted: full.iter().map(|b| nothing(b.as_ref())).collect(),
        };
        pass.want(&given);
        match pass.rebuild(rows, texts) {
            Ok(built) => return built,
            Err(at) => {
                given[at] = match given[at] {
                    Given::Needed => Given::Named,
                    Given::Named => Given::All,
                    // Nothing is left to widen here: then nothing is narrowed anywhere.
                    Given::All if given.iter().all(|g| *g == Given::All) => return full.to_vec(),
                    Given::All => {
                        given.fill(Given::All);
                        Given::All
                    }
                };
            }
        }
    }
}

fn nothing(built: Option<&Built>) -> Vec<Columns> {
    let ports = built.map_or(0, |b| b.ports.len());
    vec![Columns::Some(BTreeSet::new()); ports]
}

struct Pass<'a, 'b> {
    builder: &'a Builder<'b>,
    full: &'a [Option<Built>],
    /// For each component and output the columns in use.
    wanted: Vec<Vec<Columns>>,
}

impl Pass<'_, '_> {
    /// Goes against the rows until nothing changes: inputs of one component must keep the same columns, so what one
    /// reader wants of one of them all of them must bring.
    fn want(&mut self, given: &[Given]) {
        loop {
            let before = self.wanted.clone();
            for at in self.builder.graph.order.iter().rev() {
                let Some(built) = &self.full[*at] else {
                    continue;
                };
                for (input, reads) in built.reads.iter().enumerate() {
                    let columns = self.needs(*at, built, input, given[*at]);
                    self.want_of(reads, columns);
                }
            }
            if before == self.wanted {
                return;
            }
        }
    }

    /// Asks the outputs that feed an input for columns.
    fn want_of(&mut self, reads: &[PortRef], mut columns: Columns) {
        for read in reads {
            if let (PortIndex::Declared(port), true) = (read.port, reads.len() > 1) {
                columns = columns.and(&self.wanted[read.node][port]);
            }
        }
        for read in reads {
            if let PortIndex::Declared(port) = read.port {
                let wanted = &mut self.wanted[read.node][port];
                *wanted = std::mem::replace(wanted, Columns::All).and(&columns);
            }
        }
    }

    fn needs(&self, at: usize, built: &Built, input: usize, given: Given) -> Columns {
        match (&built.work, given) {
            (Work::Transform(transform), Given::Needed) => transform.needs(input, &self.wanted[at]),
            (Work::Transform(transform), Given::Named) => transform
                .needs(input, &self.wanted[at])
                .and(&self.named(at, &built.inputs[input])),
            _ => Columns::All,
        }
    }

    /// The columns of an input whose names occur anywhere in a component's configuration.
    fn named(&self, at: usize, input: &Input) -> Columns {
        let mut words = String::new();
        collect(&self.builder.graph.items[at].config, &mut words);
        let fields = input.schema.fields().iter();
        let names = fields
            .map(|field| field.name())
            .filter(|name| words.contains(name.as_str()));
        Columns::named(names.cloned().collect::<Vec<String>>())
    }

    /// The components over narrowed sources, or the one that needs more than it was given.
    fn rebuild(&self, rows: Option<u64>, texts: &mut Texts) -> Result<Vec<Option<Built>>, usize> {
        let mut built: Vec<Option<Built>> = vec![None; self.full.len()];
        for at in &self.builder.graph.order {
            let Some(full) = &self.full[*at] else {
                continue;
            };
            built[*at] = Some(match &full.work {
                Work::Source(source) => self.source(*at, full, source, rows),
                _ => self.over(*at, full, &built, texts).ok_or(*at)?,
            });
        }
        Ok(built)
    }

    fn source(
        &self,
        at: usize,
        full: &Built,
        source: &Arc<dyn Source>,
        rows: Option<u64>,
    ) -> Built {
        let columns = full
            .ports
            .first()
            .and_then(|main| self.columns(at, &main.schema));
        let wanted = Wanted {
            columns,
            // The first rows of a source are the same rows whatever is done with them.
            predicate: if rows.is_none() {
                self.predicate(at)
            } else {
                Vec::new()
            },
            rows,
        };
        if wanted == Wanted::default() {
            return full.clone();
        }
        let narrow = Arc::clone(source).narrow(&wanted);
        Built {
            ports: narrow.ports().to_vec(),
            work: Work::Source(narrow),
            ..full.clone()
        }
    }

    /// The columns of a source's main output that are in use, or none where all are.
    fn columns(&self, at: usize, schema: &SchemaRef) -> Option<Vec<String>> {
        let Columns::Some(wanted) = &self.wanted[at][0] else {
            return None;
        };
        let names = || schema.fields().iter().map(|f| f.name().clone());
        let used: Vec<String> = names().filter(|name| wanted.contains(name)).collect();
        if used.len() == schema.fields().len() {
            return None;
        }
        if used.is_empty() {
            // Rows without columns could not be counted: the cheapest column stands for them.
            let cheapest = schema.fields().iter().min_by_key(|f| cost(f.data_type()))?;
            return Some(vec![cheapest.name().clone()]);
        }
        Some(used)
    }

    /// What every reader of a source's main output requires of a row.
    fn predicate(&self, at: usize) -> Vec<Comparison> {
        let main = PortRef {
            node: at,
            port: PortIndex::Declared(0),
        };
        let mut all: Option<Vec<Comparison>> = None;
        for (reader, built) in self.full.iter().enumerate() {
            let reads = |built: &&Built| built.reads.iter().flatten().any(|read| *read == main);
            let Some(built) = built.as_ref().filter(reads) else {
                continue;
            };
            let Work::Transform(transform) = &built.work else {
                return Vec::new();
            };
            // What is required of rows holds for those of the main input.
            let further = built.reads.iter().skip(1).flatten();
            if built.reads[0].len() > 1 || further.into_iter().any(|read| *read == main) {
                return Vec::new();
            }
            let requires = transform.requires(&self.connected(reader));
            all = Some(match all {
                Some(known) => known.into_iter().filter(|c| requires.contains(c)).collect(),
                None => requires,
            });
        }
        all.unwrap_or_default()
    }

    fn connected(&self, at: usize) -> Vec<usize> {
        let built = self.full.iter().flatten();
        let reads = built.flat_map(|built| built.reads.iter().flatten());
        let ports = reads
            .filter(|read| read.node == at)
            .filter_map(|read| match read.port {
                PortIndex::Declared(port) => Some(port),
                PortIndex::Errors => None,
            });
        ports.collect::<BTreeSet<usize>>().into_iter().collect()
    }

    fn over(
        &self,
        at: usize,
        full: &Built,
        built: &[Option<Built>],
        texts: &mut Texts,
    ) -> Option<Built> {
        let mut unseen = Problems::new();
        let (reads, inputs) = self.builder.inputs(at, built, &mut unseen)?;
        if inputs == full.inputs {
            return Some(full.clone());
        }
        let (work, ports) = self.builder.make(at, &inputs, texts, &mut unseen)?;
        let same = ports.len() == full.ports.len()
            && ports.iter().zip(&full.ports).all(|(a, b)| a.name == b.name);
        (same && !unseen.any_error()).then_some(Built {
            work,
            ports,
            reads,
            inputs,
        })
    }
}

/// All texts and keys of a configuration.
fn collect(node: &Node, words: &mut String) {
    match &node.value {
        Tree::Text(text) => {
            words.push_str(text);
            words.push('\n');
        }
        Tree::List(items) => items.iter().for_each(|item| collect(item, words)),
        Tree::Table(entries) => {
            for (key, value) in entries {
                words.push_str(&key.name);
                words.push('\n');
                collect(value, words);
            }
        }
        _ => {}
    }
}

/// How dear a column is to read, roughly.
fn cost(data_type: &DataType) -> usize {
    match data_type {
        DataType::Boolean => 0,
        other => other.primitive_width().unwrap_or(usize::MAX / 2),
    }
}
