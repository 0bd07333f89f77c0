//! `rolling`: for each row, the rows that lead up to it.

use std::borrow::Cow;
use std::fmt;

use dataflow_core::component::WindowConfig;
use dataflow_core::units::Duration;
use dataflow_core::window::{Lookback, Window};
use dataflow_core::{Check, Configured, Info, Located};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// For each row, the rows that lead up to it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rolling {
    /// How far it looks back: a time such as `"5m"` (rows newer than the row's time less this), or a number of rows such as
    /// `20`. The row itself counts.
    size: Located<Size>,
}

/// A time or a number of rows.
#[derive(Clone, Copy, Debug)]
enum Size {
    Rows(i64),
    Time(Duration),
}

impl Configured for Rolling {
    const INFO: Info = Info {
        name: "rolling",
        summary: "For each row, the rows of its key that lead up to it",
        manual: "Every row makes a result, over the rows of its key up to itself. With a time, `\"5m\"`, these are the rows whose \
            time is less than five minutes before its own; with a number, so many rows, the row itself included. The first \
            rows of a key have fewer before them.\n\n\
            Results come in the order of time, then key; `window_start` and `window_end` are the times of the first row that is \
            looked back at and of the row itself, whose own values are `last(x)`. The cost of a row grows with the logarithm \
            of the rows in the window. The rows that are looked back at are kept, so memory grows with the number of keys and of \
            rows in `size`.",
        example: "window = { type = \"rolling\", size = \"5m\" }",
        ports: &[],
        also_called: &["moving", "trailing", "lookback", "over"],
    };
}

impl WindowConfig for Rolling {
    fn build(self, check: &mut Check<'_>) -> Option<Window> {
        let lookback = match self.size.value {
            Size::Rows(rows) if rows > 0 => Lookback::Rows(rows.unsigned_abs()),
            Size::Time(time) if time.nanoseconds() > 0 => Lookback::Span(time.nanoseconds()),
            _ => {
                let help = "write a time such as `\"5m\"`, or a number of rows such as `20`, of which the row itself is one";
                check.error_at(
                    &self.size,
                    "a window that looks back at nothing holds nothing",
                    Some(help.into()),
                );
                return None;
            }
        };
        Some(Window::Rolling(lookback))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Size;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as \"5m\", or a number of rows")
            }
            fn visit_i64<E: de::Error>(self, rows: i64) -> Result<Size, E> {
                Ok(Size::Rows(rows))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map(Size::Time).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "RollingSize".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            Duration::json_schema(generator),
            { "type": "integer", "minimum": 1 },
        ] })
    }
}

#[cfg(test)]
mod tests {
    use dataflow_core::window::{Lookback, Window};

    use crate::laws::{built, refused};

    #[test]
    fn it_looks_back_over_time_or_rows() {
        for (size, lookback) in [
            ("'2s'", Lookback::Span(2_000_000_000)),
            ("'1d'", Lookback::Span(86_400_000_000_000)),
            ("1", Lookback::Rows(1)),
            ("500", Lookback::Rows(500)),
        ] {
            let Window::Rolling(found) = built(&format!("type = 'rolling', size = {size}")) else {
                panic!("another window");
            };
            assert_eq!(found, lookback);
        }
    }

    #[test]
    fn it_looks_back_at_something() {
        for size in ["0", "-3", "'0s'", "'-1m'"] {
            assert_eq!(
                refused(&format!("type = 'rolling', size = {size}")),
                [format!(
                    "{size}: a window that looks back at nothing holds nothing"
                )]
            );
        }
        assert_eq!(
            refused("type = 'rolling', size = 1.5"),
            ["1.5: expected a time such as \"5m\", or a number of rows, found the number 1.5"]
        );
    }
}
