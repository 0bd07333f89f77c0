//! Windows: how rows are cut into the groups that a windowed transform summarises.
//!
//! A window is a part that a transform is made of, as an accumulator is: whoever takes `window = { type = ... }` finds the
//! type in the catalog, so that any window goes with any accumulator and any key.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::component::{Build, Kind};
use crate::part::Part;
use crate::time::Instant;
use crate::{Check, Located, Span};

/// A window in a component's configuration, as it was written: `{ type = "tumbling", size = "1m" }`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Written(Part);

impl Written {
    /// Where it was written.
    pub fn span(&self) -> Option<Span> {
        self.0.span()
    }

    /// The window that the catalog makes of it; `None` when problems were reported.
    pub fn build(&self, check: &mut Check<'_>) -> Option<Window> {
        let (component, keys) = self.0.find(Kind::Window, check)?;
        match &component.build {
            Build::Window(build) => build(&keys, check),
            _ => None,
        }
    }
}

/// Which windows there are is known to the catalog only: whoever has one puts its windows in the place of this definition.
impl JsonSchema for Written {
    fn schema_name() -> Cow<'static, str> {
        Kind::Window.word().into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "properties": {
                "type": { "type": "string", "description": "Which window. The other keys are its own." },
            },
            "required": ["type"],
        })
    }
}

/// How rows are cut into windows.
#[derive(Clone, Debug)]
pub enum Window {
    /// By time alone, at instants that are the same for all keys.
    Grid(Arc<dyn Grid>),
    /// The rows of a key that follow one another within a gap.
    Session {
        /// A longer silence, in nanoseconds, ends the window.
        gap: i64,
    },
    /// So many rows of a key.
    Count {
        /// Rows in a window.
        size: u64,
        /// Rows between the starts of two windows.
        every: u64,
    },
    /// Neighbouring rows of a key that are equal in some columns.
    Change {
        /// The columns.
        of: Vec<Located<String>>,
    },
    /// For each row, the rows of its key that lead up to it.
    Rolling(Lookback),
    /// The rows of each file.
    File,
    /// All rows.
    Global,
}

/// How far a rolling window looks back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookback {
    /// So many rows, the row itself included.
    Rows(u64),
    /// So many nanoseconds: rows newer than the row's time less this, up to the row itself.
    Span(i64),
}

/// Windows of time. Each is known by its end; a window holds its start and not its end.
///
/// Ends ascend with starts. What lies outside the representable instants is cut off there: a window that would start before
/// the first one starts with it. Of those that would end at or behind [`END`](crate::time::END) only the first is a window. It
/// ends there, and what lies in the others lies in it, `END` too.
pub trait Grid: Send + Sync + std::fmt::Debug {
    /// The ends of the first and of the last window that hold an instant; none where it falls into a gap.
    fn ends(&self, time: Instant) -> Option<(Instant, Instant)>;

    /// The end of the window behind the one that ends at `end`, which is the first end behind it; `END` has none but itself.
    fn next(&self, end: Instant) -> Instant;

    /// The start of the window that ends at `end`.
    fn start(&self, end: Instant) -> Instant;

    /// Whether an instant may lie in several windows.
    fn overlaps(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::component::{Component, WindowConfig};
    use crate::config::{Key, Node, Tree};
    use crate::{Configured, Info, Problem, Problems, StandardInput};

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Pairs {
        size: Located<u64>,
    }

    impl Configured for Pairs {
        const INFO: Info = Info {
            name: "pairs",
            example: "window = { type = \"pairs\", size = 2 }",
            also_called: &["couples"],
            ..Info::EMPTY
        };
    }

    impl WindowConfig for Pairs {
        fn build(self, check: &mut Check<'_>) -> Option<Window> {
            if self.size.value != 2 {
                check.error_at(&self.size, "a pair is two", None);
                return None;
            }
            Some(Window::Count { size: 2, every: 2 })
        }
    }

    #[derive(Deserialize)]
    struct Whole {
        #[serde(default)]
        window: Option<Written>,
    }

    fn span(start: usize) -> Option<Span> {
        let end = start + 1;
        Some(Span { start, end })
    }

    /// A table whose keys stand at 10, 20, ... and its values at 15, 25, ...
    fn table(entries: &[(&str, Tree)]) -> Tree {
        let entries = entries.iter().zip(1..).map(|((name, value), at)| {
            let (name, value) = ((*name).to_string(), value.clone());
            let key = Key {
                name,
                span: span(at * 10),
            };
            (
                key,
                Node {
                    value,
                    span: span(at * 10 + 5),
                },
            )
        });
        Tree::Table(entries.collect())
    }

    fn text(text: &str) -> Tree {
        Tree::Text(text.into())
    }

    fn built(catalog: &[Component], window: Tree) -> (Option<Window>, Vec<Problem>) {
        let key = Key {
            name: "window".into(),
            span: span(1),
        };
        let window = Node {
            value: window,
            span: span(2),
        };
        let whole = Node::from(Tree::Table(vec![(key, window)]));
        let whole: Whole = whole.read().expect("a tree of any shape");
        let mut problems = Problems::new();
        let mut check = Check {
            id: "it",
            span: None,
            parameters: &BTreeMap::new(),
            catalog,
            offline: true,
            stdin: &StandardInput::default(),
            run_time: 0,
            problems: &mut problems,
        };
        let built = whole.window.and_then(|window| window.build(&mut check));
        (built, problems.list().to_vec())
    }

    #[test]
    fn a_window_is_found_in_the_catalog() {
        let catalog = [Component::window::<Pairs>()];
        let written = table(&[("size", Tree::Integer(2)), ("type", text("pairs"))]);
        let (window, problems) = built(&catalog, written);
        assert!(matches!(window, Some(Window::Count { size: 2, every: 2 })));
        assert_eq!(problems, []);
        let nothing: Whole = Node::from(table(&[])).read().expect("it is optional");
        assert_eq!(nothing.window, None);
    }

    #[test]
    fn problems_point_at_what_is_meant() {
        let size = ("size", Tree::Integer(2));
        let many = Tree::Integer(3);
        let cases = [
            (
                table(&[("type", text("pairs"))]),
                "the key `size` is missing",
                2,
                None,
            ),
            (
                table(std::slice::from_ref(&size)),
                "the key `type` is missing",
                2,
                Some("the windows are `pairs`"),
            ),
            (
                table(&[size.clone(), ("type", text("couples"))]),
                "there is no window `couples`",
                25,
                Some("did you mean `pairs`?"),
            ),
            (
                table(&[size.clone(), ("type", text("pears"))]),
                "there is no window `pears`",
                25,
                Some("did you mean `pairs`?"),
            ),
            (
                table(&[("type", Tree::Integer(1))]),
                "`type` is the name of a window, in quotes",
                15,
                Some("the windows are `pairs`"),
            ),
            (
                text("pairs"),
                "a window is a table that has a `type`",
                2,
                Some("write `window = { type = \"pairs\", size = 2 }`"),
            ),
            (
                table(&[("type", text("pairs")), ("sise", many.clone())]),
                "there is no key `sise` here",
                20,
                Some("did you mean `size`?"),
            ),
            (
                table(&[("type", text("pairs")), ("size", many)]),
                "a pair is two",
                25,
                None,
            ),
        ];
        let catalog = [Component::window::<Pairs>()];
        for (written, message, place, help) in cases {
            let (window, problems) = built(&catalog, written);
            assert!(window.is_none(), "{message}");
            let expected =
                Problem::error(message, span(place)).maybe_help(help.map(str::to_string));
            assert_eq!(problems, [expected]);
        }
        let (_, problems) = built(&[], table(&[("type", text("pairs"))]));
        assert_eq!(
            problems[0].help.as_deref(),
            Some("this program has no windows")
        );
    }
}
