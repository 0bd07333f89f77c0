//! `change`: neighbouring rows that are equal in some columns.

use std::collections::BTreeSet;

use dataflow_core::component::WindowConfig;
use dataflow_core::window::Window;
use dataflow_core::{Check, Configured, Info, Located};
use schemars::JsonSchema;
use serde::Deserialize;

/// Neighbouring rows that are equal in some columns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// The columns. A row that differs from the row before it in one of them begins a new window.
    of: Located<Vec<Located<String>>>,
}

impl Configured for Change {
    const INFO: Info = Info {
        name: "change",
        summary: "Neighbouring rows of a key that are equal in some columns",
        manual: "A row that differs from the row of its key before it, in one of the columns `of`, ends the window and \
            begins the next: the runs of a machine's state, the steps of a program. A value that comes back later makes a \
            window of its own. Nulls are equal to each other.\n\n\
            Rows are taken in the order of their time, or of the stream where they have none. One window of each key is open at a \
            time; it leaves when the first row of the next one has come, and at the end. `window_start` and `window_end` \
            are the times of its first and its last row.",
        example: "window = { type = \"change\", of = [\"state\"] }",
        ports: &[],
        also_called: &["state", "run", "runs", "while"],
    };
}

impl WindowConfig for Change {
    fn build(self, check: &mut Check<'_>) -> Option<Window> {
        if self.of.is_empty() {
            let help =
                "name columns: `of = [\"state\"]`; for all rows as one write `type = \"global\"`";
            check.error_at(
                &self.of,
                "there is nothing that may change",
                Some(help.into()),
            );
            return None;
        }
        let (mut seen, mut fine) = (BTreeSet::new(), true);
        for column in self.of.iter() {
            if !seen.insert(column.value.as_str()) {
                check.error_at(
                    column,
                    format!("the column `{}` is named twice", column.value),
                    None,
                );
                fine = false;
            }
        }
        fine.then_some(Window::Change { of: self.of.value })
    }
}

#[cfg(test)]
mod tests {
    use dataflow_core::window::Window;

    use crate::laws::{built, refused};

    #[test]
    fn the_columns_are_named() {
        let Window::Change { of } = built("type = 'change', of = ['state', 'program']") else {
            panic!("another window");
        };
        let names: Vec<&str> = of.iter().map(|column| column.as_str()).collect();
        assert_eq!(names, ["state", "program"]);
    }

    #[test]
    fn no_columns_and_a_column_twice_are_refused() {
        assert_eq!(
            refused("type = 'change', of = []"),
            ["[]: there is nothing that may change"]
        );
        assert_eq!(
            refused("type = 'change', of = ['a', 'b', 'a']"),
            ["'a': the column `a` is named twice"]
        );
    }
}
