//! That tables which are loaded first can be: no source may have to be read both before and after another, or itself.

use std::collections::{BTreeMap, BTreeSet};

use dataflow_core::Problem;
use dataflow_core::Problems;
use dataflow_core::plan::Work;

use crate::build::Built;
use crate::connect::Graph;
use crate::links::Link;

/// Reports tables that cannot be loaded before the rows that are to meet them.
pub(crate) fn check(graph: &Graph, built: &[Option<Built>], problems: &mut Problems) {
    let mut checking = Checking {
        graph,
        sources: sources(graph),
        before: BTreeMap::new(),
    };
    for at in &graph.order {
        let Some(Work::Transform(transform)) = built[*at].as_ref().map(|b| &b.work) else {
            continue;
        };
        let (loaded, rest): (Vec<&Link>, Vec<&Link>) = graph.links[*at]
            .iter()
            .partition(|link| transform.loads(link.input));
        let rest = rest.iter().flat_map(|link| &checking.sources[link.from]);
        let rest: BTreeSet<usize> = rest.copied().collect();
        for link in loaded {
            problems_of(&mut checking, *at, link, &rest, problems);
        }
    }
}

/// The sources behind each component.
fn sources(graph: &Graph) -> Vec<BTreeSet<usize>> {
    let mut sources = vec![BTreeSet::new(); graph.items.len()];
    for at in &graph.order {
        let links = graph.links[*at].iter();
        let mut behind: BTreeSet<usize> = links
            .flat_map(|link| sources[link.from].iter().copied())
            .collect();
        if graph.links[*at].is_empty() {
            behind.insert(*at);
        }
        sources[*at] = behind;
    }
    sources
}

struct Checking<'a> {
    graph: &'a Graph,
    sources: Vec<BTreeSet<usize>>,
    /// For each source those that are read before it, and the component that wants this.
    before: BTreeMap<usize, BTreeMap<usize, usize>>,
}

impl Checking<'_> {
    fn id(&self, at: usize) -> &str {
        &self.graph.items[at].id
    }

    /// Who wants that something is read before `source`, and that before something, and so on to `other`; the last of them.
    fn wants(&self, other: usize, source: usize) -> Option<usize> {
        let mut seen = BTreeSet::from([source]);
        let mut open = vec![source];
        while let Some(at) = open.pop() {
            for (before, by) in self.before.get(&at).into_iter().flatten() {
                if *before == other {
                    return Some(*by);
                }
                if seen.insert(*before) {
                    open.push(*before);
                }
            }
        }
        None
    }
}

fn problems_of(
    checking: &mut Checking<'_>,
    at: usize,
    link: &Link,
    rest: &BTreeSet<usize>,
    problems: &mut Problems,
) {
    let loaded = checking.sources[link.from].clone();
    if let Some(shared) = loaded.intersection(rest).next() {
        let message = format!(
            "`{}` is loaded before the first row of `inputs` comes, but both come from `{}`",
            checking.id(link.from),
            checking.id(*shared)
        );
        problems.push(Problem::error(message, link.span).help(
            "let it come from a second source that reads the same; or use `join`, which loads nothing first",
        ));
        return;
    }
    for (before, after) in loaded
        .iter()
        .flat_map(|b| rest.iter().map(move |a| (*b, *a)))
    {
        if let Some(by) = checking.wants(after, before) {
            let (before, after) = (checking.id(before), checking.id(after));
            let message = format!(
                "`{before}` would have to be read before `{after}` for this table, and after it for that of `{}`",
                checking.id(by)
            );
            problems.push(Problem::error(message, link.span).help(
                "let this table come from a second source that reads the same; or use `join`, which loads nothing first",
            ));
            return;
        }
    }
    for after in rest {
        let before = checking.before.entry(*after).or_default();
        before.extend(loaded.iter().map(|source| (*source, at)));
    }
}
