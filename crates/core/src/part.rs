//! A part that a component is made of, such as a window, as it was written: the catalog says what its `type` stands for.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::component::{Component, Kind};
use crate::config::{Key, Node, Tree};
use crate::problem::did_you_mean;
use crate::{Check, Located, Problem, Span};

/// A part's table, with the places of its keys and values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part(Node);

impl Part {
    /// Where it was written.
    pub(crate) fn span(&self) -> Option<Span> {
        self.0.span
    }

    /// The component of the catalog that its `type` names, and the keys that are that component's own.
    pub(crate) fn find<'c>(
        &self,
        kind: Kind,
        check: &mut Check<'c>,
    ) -> Option<(&'c Component, Node)> {
        let found = Family::of(kind, check.catalog).find(&self.0);
        found
            .map_err(|mut problem| {
                problem.span = problem.span.or(check.span);
                check.problems.push(problem);
            })
            .ok()
            .map(|component| (component, self.0.without(&["type"])))
    }
}

/// The components of one family.
struct Family<'c> {
    kind: Kind,
    members: Vec<&'c Component>,
}

impl<'c> Family<'c> {
    fn of(kind: Kind, catalog: &'c [Component]) -> Self {
        let members = catalog.iter().filter(|c| c.kind() == kind).collect();
        Self { kind, members }
    }

    fn named(&self, name: &str) -> Option<&'c Component> {
        let mut members = self.members.iter().copied();
        members.find(|component| component.info.name == name)
    }

    fn find(&self, part: &Node) -> Result<&'c Component, Problem> {
        if !matches!(part.value, Tree::Table(_)) {
            return Err(self.no_table(part));
        }
        let Some(tag) = part.get("type") else {
            let problem = Problem::error("the key `type` is missing", part.span);
            return Err(problem.help(self.listed()));
        };
        let Tree::Text(name) = &tag.value else {
            let message = format!("`type` is the name of a {}, in quotes", self.kind.word());
            return Err(Problem::error(message, tag.span).help(self.listed()));
        };
        self.named(name).ok_or_else(|| {
            let message = format!("there is no {} `{name}`", self.kind.word());
            Problem::error(message, tag.span).help(self.nearest(name))
        })
    }

    fn no_table(&self, part: &Node) -> Problem {
        let named = match &part.value {
            Tree::Text(name) => self.named(name),
            _ => None,
        };
        let example = named.or(self.members.first().copied());
        let message = format!("a {} is a table that has a `type`", self.kind.word());
        let help = example.map(|component| format!("write `{}`", component.info.example.trim()));
        Problem::error(message, part.span).maybe_help(help)
    }

    fn nearest(&self, name: &str) -> String {
        let lower = name.to_lowercase();
        let mut members = self.members.iter();
        let other = members.find(|c| c.info.also_called.contains(&lower.as_str()));
        match other {
            Some(component) => format!("did you mean `{}`?", component.info.name),
            None => did_you_mean(name, self.members.iter().map(|c| c.info.name))
                .unwrap_or_else(|| self.listed()),
        }
    }

    fn listed(&self) -> String {
        let word = self.kind.word();
        let names = self.members.iter().map(|c| format!("`{}`", c.info.name));
        match names.collect::<Vec<_>>().as_slice() {
            [] => format!("this program has no {word}s"),
            names => format!("the {word}s are {}", names.join(", ")),
        }
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Node::deserialize(deserializer).map(Self)
    }
}

/// Where a value was written; what was not has an empty place.
fn written(span: Option<Span>) -> Option<Span> {
    span.filter(|span| span.end > span.start)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tree = Located::<Tree>::deserialize(deserializer)?;
        Ok(Self {
            span: written(tree.span),
            value: tree.value,
        })
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyTree)
    }
}

struct AnyTree;

impl<'de> Visitor<'de> for AnyTree {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Boolean(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Integer(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Tree::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some((name, node)) = table.next_entry::<Located<String>, Node>()? {
            let key = Key {
                span: written(name.span),
                name: name.value,
            };
            entries.push((key, node));
        }
        Ok(Tree::Table(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: usize) -> Option<Span> {
        let end = start + 1;
        Some(Span { start, end })
    }

    fn at(start: usize, value: Tree) -> Node {
        let span = span(start);
        Node { value, span }
    }

    fn key(start: usize, name: &str) -> Key {
        Key {
            name: name.into(),
            span: span(start),
        }
    }

    #[test]
    fn a_tree_is_read_as_it_was_written() {
        let list = vec![at(8, Tree::Boolean(true)), Tree::Float(0.5).into()];
        let inner = Tree::Table(vec![
            (key(5, "a"), at(6, Tree::Text("x".into()))),
            (key(7, "b"), at(9, Tree::List(list))),
        ]);
        let node = at(
            1,
            Tree::Table(vec![
                (key(2, "n"), at(3, Tree::Integer(-4))),
                (key(4, "t"), at(10, inner)),
            ]),
        );
        assert_eq!(node.read::<Node>(), Ok(node.clone()));
        assert_eq!(node.read::<Part>(), Ok(Part(node)));
    }
}
