//! Shapes of configuration that several transforms share: named lines in the order in which they were written.

use std::borrow::Cow;
use std::fmt;

use dataflow_core::problem::did_you_mean;
use dataflow_core::transform::Input;
use dataflow_core::{Check, Located};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Names and texts, in the order in which they were written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(pub(crate) Vec<(Located<String>, Located<String>)>);

impl Lines {
    /// The lines.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Located<String>, Located<String>)> {
        self.0.iter()
    }
}

struct LinesVisitor;

impl<'de> Visitor<'de> for LinesVisitor {
    type Value = Lines;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lines, A::Error> {
        let mut lines = Vec::new();
        while let Some(line) = map.next_entry()? {
            lines.push(line);
        }
        Ok(Lines(lines))
    }
}

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LinesVisitor)
    }
}

impl JsonSchema for Lines {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Lines".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": { "type": "string" } })
    }
}

/// One text, or several.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts(pub(crate) Vec<Located<String>>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match By::deserialize(deserializer)? {
            By::Columns(texts) => Ok(Self(texts)),
            By::Named(_) => Err(serde::de::Error::custom(
                "expected a text or a list of texts, found a table",
            )),
        }
    }
}

impl JsonSchema for Texts {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Texts".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" } },
        ] })
    }
}

/// Keys: a list of columns, or a table of names and expressions.
#[derive(Clone, Debug)]
pub(crate) enum By {
    /// Columns by name.
    Columns(Vec<Located<String>>),
    /// Expressions with names.
    Named(Lines),
}

impl Default for By {
    fn default() -> Self {
        Self::Columns(Vec::new())
    }
}

struct ByVisitor;

impl<'de> Visitor<'de> for ByVisitor {
    type Value = By;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of columns, or a table of names and expressions")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<By, E> {
        Ok(By::Columns(vec![Located::nowhere(text.to_string())]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<By, A::Error> {
        let mut columns = Vec::new();
        while let Some(column) = list.next_element()? {
            columns.push(column);
        }
        Ok(By::Columns(columns))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<By, A::Error> {
        LinesVisitor.visit_map(map).map(By::Named)
    }
}

impl<'de> Deserialize<'de> for By {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Read with its place first: a single text then keeps the place that a list's items have of themselves.
        let found = Located::<Written>::deserialize(deserializer)?;
        Ok(match found.value.0 {
            By::Columns(columns) => By::Columns(
                columns
                    .into_iter()
                    .map(|column| Located {
                        span: column.span.or(found.span),
                        value: column.value,
                    })
                    .collect(),
            ),
            named => named,
        })
    }
}

struct Written(By);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ByVisitor).map(Self)
    }
}

impl JsonSchema for By {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "By".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" } },
            { "type": "object", "additionalProperties": { "type": "string" } },
        ] })
    }
}

/// The one input that a transform reads from; reports its absence.
pub(crate) fn only_input<'a>(inputs: &'a [Input], check: &mut Check<'_>) -> Option<&'a Input> {
    if inputs.is_empty() {
        check.error("there is nothing to read from: say `inputs = [\"...\"]`");
    }
    inputs.first()
}

/// The index of a column; reports that it does not exist.
pub(crate) fn column_index(
    name: &Located<String>,
    schema: &arrow_schema::Schema,
    check: &mut Check<'_>,
) -> Option<usize> {
    let found = schema.fields().iter().position(|f| f.name() == &name.value);
    if found.is_none() {
        let names = || schema.fields().iter().map(|f| f.name().as_str());
        let help = did_you_mean(name, names()).unwrap_or_else(|| {
            let list: Vec<String> = names().take(20).map(|n| format!("`{n}`")).collect();
            let more = if schema.fields().len() > 20 {
                ", ..."
            } else {
                ""
            };
            format!("the columns are {}{more}", list.join(", "))
        });
        check.error_at(
            name,
            format!("there is no column `{}`", name.value),
            Some(help),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataflow_core::config::{Key, Node, Tree};

    fn text(text: &str) -> Node {
        Node {
            value: Tree::Text(text.into()),
            span: Some(dataflow_core::Span { start: 7, end: 9 }),
        }
    }

    #[test]
    fn keys_are_a_text_a_list_or_a_table() {
        let one: By = text("a").read().expect("reads");
        assert!(matches!(one, By::Columns(c) if c[0].value == "a" && c[0].span.is_some()));
        let list = Node::from(Tree::List(vec![text("a"), text("b")]));
        let list: By = list.read().expect("reads");
        assert!(matches!(list, By::Columns(c) if c[1].value == "b" && c[1].span.is_some()));
        let key = |name: &str| Key {
            name: name.into(),
            span: None,
        };
        let table = Tree::Table(vec![(key("z"), text("1")), (key("a"), text("2"))]);
        let table: By = Node::from(table).read().expect("reads");
        assert!(matches!(table, By::Named(lines) if lines.0[0].0.value == "z"));
        let wrong = Node::from(Tree::Integer(3)).read::<By>().expect_err("no");
        assert!(
            wrong.message.contains("a list of columns"),
            "{}",
            wrong.message
        );
    }
}
