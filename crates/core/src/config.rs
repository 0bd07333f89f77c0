//! A component's configuration as a tree of located values, and reading it into a struct.
//!
//! The pipeline crate makes the tree from TOML with variables already expanded; components only see their struct.
//! `Located<T>` fields receive their place. An unknown key is reported at the key.

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

use crate::problem::did_you_mean;
use crate::{Problem, Span};

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Tree,
    /// Where it was written.
    pub span: Option<Span>,
}

/// A value of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// Text; dates and times are text too.
    Text(String),
    /// Several values.
    List(Vec<Node>),
    /// Named values, in the order in which they were written.
    Table(Vec<(Key, Node)>),
}

/// A key of a table and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The name.
    pub name: String,
    /// Where it was written.
    pub span: Option<Span>,
}

impl Node {
    /// The value under a key of a table.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Tree::Table(entries) => entries.iter().find(|(k, _)| k.name == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The same table without some keys.
    #[must_use]
    pub fn without(&self, keys: &[&str]) -> Node {
        let value = match &self.value {
            Tree::Table(entries) => Tree::Table(
                entries
                    .iter()
                    .filter(|(k, _)| !keys.contains(&k.name.as_str()))
                    .cloned()
                    .collect(),
            ),
            other => other.clone(),
        };
        Node {
            value,
            span: self.span,
        }
    }

    /// Reads the tree into a struct.
    ///
    /// # Errors
    /// A problem that points at the value or the key that does not fit.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        T::deserialize(Reader { node: self }).map_err(|wrong| wrong.problem(self.span))
    }
}

impl From<Tree> for Node {
    fn from(value: Tree) -> Self {
        Self { value, span: None }
    }
}

/// A value did not fit; remembers the innermost place.
#[derive(Debug)]
struct Wrong {
    message: String,
    help: Option<String>,
    span: Option<Span>,
    /// The key that is not known, until the table that holds it says where it stands.
    unknown: Option<String>,
}

impl Wrong {
    fn new(message: String) -> Self {
        Self {
            message,
            help: None,
            span: None,
            unknown: None,
        }
    }

    fn at(mut self, span: Option<Span>) -> Self {
        self.span = self.span.or(span);
        self
    }

    fn problem(self, otherwise: Option<Span>) -> Problem {
        Problem::error(self.message, self.span.or(otherwise)).maybe_help(self.help)
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Wrong {}

/// What was expected, without the names that only programmers know.
fn wanted(expected: &dyn de::Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => {
            "a whole number".into()
        }
        "f32" | "f64" => "a number".into(),
        "a string" => "text".into(),
        "a boolean" => "`true` or `false`".into(),
        "a sequence" => "a list".into(),
        "a map" => "a table".into(),
        _ => match text.strip_prefix("struct ") {
            Some(_) => "a table".into(),
            None => text,
        },
    }
}

fn listed(names: &[&str]) -> String {
    names
        .iter()
        .map(|n| format!("`{n}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

impl de::Error for Wrong {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let help =
            did_you_mean(field, expected.iter().copied()).unwrap_or_else(|| match expected {
                [] => "there are no keys here".to_string(),
                keys => format!("the keys are {}", listed(keys)),
            });
        Self {
            message: format!("there is no key `{field}` here"),
            help: Some(help),
            span: None,
            unknown: Some(field.to_string()),
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let help = did_you_mean(variant, expected.iter().copied())
            .unwrap_or_else(|| format!("write one of {}", listed(expected)));
        Self {
            message: format!("`{variant}` is not known here"),
            help: Some(help),
            span: None,
            unknown: None,
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the key `{field}` is missing"))
    }

    fn invalid_type(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = found(&unexpected);
        Self::new(format!("expected {}, found {found}", wanted(expected)))
    }

    fn invalid_value(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let wanted = match expected.to_string().as_str() {
            "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of at least 0".to_string(),
            _ => wanted(expected),
        };
        let found = found(&unexpected);
        Self::new(format!("expected {wanted}, found {found}"))
    }
}

fn found(unexpected: &de::Unexpected<'_>) -> String {
    match unexpected {
        de::Unexpected::Bool(b) => format!("`{b}`"),
        de::Unexpected::Signed(n) => format!("the number {n}"),
        de::Unexpected::Unsigned(n) => format!("the number {n}"),
        de::Unexpected::Float(x) => format!("the number {x}"),
        de::Unexpected::Str(s) => format!("the text \"{s}\""),
        de::Unexpected::Map => "a table".to_string(),
        de::Unexpected::Seq => "a list".to_string(),
        other => other.to_string(),
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    node: &'a Node,
}

impl IntoDeserializer<'_, Wrong> for Reader<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'a> Reader<'a> {
    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node.value {
            Tree::Boolean(b) => visitor.visit_bool(*b),
            Tree::Integer(n) => visitor.visit_i64(*n),
            Tree::Float(x) => visitor.visit_f64(*x),
            Tree::Text(text) => visitor.visit_str(text),
            Tree::List(list) => visitor.visit_seq(Items { rest: list.iter() }),
            Tree::Table(table) => visitor.visit_map(Entries {
                rest: table.iter(),
                table,
                value: None,
            }),
        }
    }
}

impl<'de> de::Deserializer<'de> for Reader<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.visit(visitor)
            .map_err(|wrong| wrong.at(self.node.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        if serde_spanned::de::is_spanned(name) {
            let span = self.node.span.unwrap_or_default();
            let inner = serde_spanned::de::SpannedDeserializer::new(self, span.start..span.end);
            return visitor
                .visit_map(inner)
                .map_err(|wrong: Wrong| wrong.at(self.node.span));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        if let (Some(key), Tree::Table(entries)) = (name.strip_prefix(TAGGED), &self.node.value) {
            let tagged = Tagged::of(entries, key).map_err(|wrong| wrong.at(self.node.span))?;
            let made = visitor.visit_enum(&tagged);
            return made.map_err(|wrong: Wrong| wrong.at(self.node.span));
        }
        let made = match &self.node.value {
            Tree::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Tree::Table(entries) => {
                visitor.visit_enum(de::value::MapAccessDeserializer::new(Entries {
                    rest: entries.iter(),
                    table: entries,
                    value: None,
                }))
            }
            _ => return self.deserialize_any(visitor),
        };
        made.map_err(|wrong: Wrong| wrong.at(self.node.span))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

/// The start of the name of an enum, for serde, whose variant is told by a key of its table; the key follows. It does what
/// serde's `tag` does, and values keep their places: `#[serde(rename = "tagged by kind")]`.
const TAGGED: &str = "tagged by ";

/// A table of which one key says which variant of an enum the others are for.
struct Tagged<'a> {
    tag: &'a Node,
    others: Vec<(Key, Node)>,
}

impl<'a> Tagged<'a> {
    fn of(entries: &'a [(Key, Node)], name: &str) -> Result<Self, Wrong> {
        let is_tag = |key: &Key| key.name == name;
        let tag = entries.iter().find(|(key, _)| is_tag(key));
        let (_, tag) = tag.ok_or_else(|| Wrong::new(format!("the key `{name}` is missing")))?;
        let others = entries.iter().filter(|(key, _)| !is_tag(key));
        Ok(Self {
            tag,
            others: others.cloned().collect(),
        })
    }
}

impl<'de> de::EnumAccess<'de> for &Tagged<'_> {
    type Error = Wrong;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Wrong> {
        let variant = seed.deserialize(Reader { node: self.tag })?;
        Ok((variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for &Tagged<'_> {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        self.struct_variant(&[], de::IgnoredAny).map(drop)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Wrong> {
        let entries = Entries {
            rest: self.others.iter(),
            table: &self.others,
            value: None,
        };
        seed.deserialize(de::value::MapAccessDeserializer::new(entries))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.struct_variant(&[], visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_map(Entries {
            rest: self.others.iter(),
            table: &self.others,
            value: None,
        })
    }
}

struct Items<'a> {
    rest: std::slice::Iter<'a, Node>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Wrong> {
        self.rest
            .next()
            .map(|node| seed.deserialize(Reader { node }))
            .transpose()
    }
}

struct Entries<'a> {
    rest: std::slice::Iter<'a, (Key, Node)>,
    table: &'a [(Key, Node)],
    value: Option<&'a Node>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        let Some((key, node)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some(node);
        // A key is read as a value of its own, so that `Located` keys learn their place too.
        let name = Node {
            value: Tree::Text(key.name.clone()),
            span: key.span,
        };
        seed.deserialize(Reader { node: &name })
            .map(Some)
            .map_err(|wrong| match &wrong.unknown {
                Some(unknown) => {
                    let span = self
                        .table
                        .iter()
                        .find(|(k, _)| k.name == *unknown)
                        .and_then(|(k, _)| k.span);
                    wrong.at(span)
                }
                None => wrong.at(key.span),
            })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        match self.value.take() {
            Some(node) => seed
                .deserialize(Reader { node })
                .map_err(|wrong| wrong.at(node.span)),
            None => Err(Wrong::new("a value without a key".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Located;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        name: Located<String>,
        #[serde(default)]
        rows: Option<u32>,
        #[serde(default)]
        mode: Mode,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        #[default]
        Strict,
        Union,
    }

    fn span(start: usize) -> Option<Span> {
        Some(Span {
            start,
            end: start + 1,
        })
    }

    fn table(entries: &[(&str, Tree)]) -> Node {
        let entries = entries.iter().enumerate().map(|(i, (name, value))| {
            let key = Key {
                name: (*name).to_string(),
                span: span(i * 10),
            };
            (
                key,
                Node {
                    value: value.clone(),
                    span: span(i * 10 + 5),
                },
            )
        });
        Node {
            value: Tree::Table(entries.collect()),
            span: span(99),
        }
    }

    #[test]
    fn located_fields_know_their_place() {
        let node = table(&[
            ("mode", Tree::Text("union".into())),
            ("name", Tree::Text("x".into())),
        ]);
        let example: Example = node.read().expect("fits");
        assert_eq!(
            (example.name.value.as_str(), example.name.span),
            ("x", span(15))
        );
        assert_eq!((example.mode, example.rows), (Mode::Union, None));
    }

    #[test]
    fn located_keys_know_their_place() {
        #[derive(Debug, Deserialize)]
        struct Keyed {
            rename: Entered,
        }
        #[derive(Debug)]
        struct Entered(Vec<(Located<String>, Located<String>)>);
        impl<'de> Deserialize<'de> for Entered {
            fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Lines;
                impl<'de> Visitor<'de> for Lines {
                    type Value = Entered;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a table")
                    }
                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entered, A::Error> {
                        let mut lines = Vec::new();
                        while let Some(line) = map.next_entry()? {
                            lines.push(line);
                        }
                        Ok(Entered(lines))
                    }
                }
                deserializer.deserialize_map(Lines)
            }
        }
        let inner = table(&[("a", Tree::Text("x".into())), ("b", Tree::Text("y".into()))]);
        let keyed: Keyed = table(&[("rename", inner.value)]).read().expect("fits");
        let lines = keyed.rename.0;
        assert_eq!((lines[1].0.as_str(), lines[1].0.span), ("b", span(10)));
        assert_eq!((lines[1].1.as_str(), lines[1].1.span), ("y", span(15)));
    }

    #[test]
    fn problems_point_at_the_key_or_the_value() {
        let unknown = table(&[("name", Tree::Text("x".into())), ("row", Tree::Integer(1))]);
        let problem = unknown.read::<Example>().expect_err("unknown key");
        assert_eq!(
            (problem.span, problem.help.as_deref()),
            (span(10), Some("did you mean `rows`?"))
        );
        let wrong = table(&[("name", Tree::Integer(3))]);
        let problem = wrong.read::<Example>().expect_err("wrong type");
        assert_eq!(problem.span, span(5));
        assert_eq!(problem.message, "expected text, found the number 3");
        let missing = table(&[]);
        let problem = missing.read::<Example>().expect_err("missing");
        assert_eq!(
            (problem.span, problem.message.as_str()),
            (span(99), "the key `name` is missing")
        );
        let negative = table(&[
            ("name", Tree::Text("x".into())),
            ("rows", Tree::Integer(-1)),
        ]);
        let problem = negative.read::<Example>().expect_err("negative");
        assert_eq!(
            problem.message,
            "expected a whole number of at least 0, found the number -1"
        );
        let variant = table(&[
            ("name", Tree::Text("x".into())),
            ("mode", Tree::Text("strikt".into())),
        ]);
        let problem = variant.read::<Example>().expect_err("unknown variant");
        assert_eq!(
            (problem.span, problem.help.as_deref()),
            (span(15), Some("did you mean `strict`?"))
        );
    }
}
