//! `count`: so many rows.

use dataflow_core::component::WindowConfig;
use dataflow_core::window::Window;
use dataflow_core::{Check, Configured, Info, Located};
use schemars::JsonSchema;
use serde::Deserialize;

/// So many rows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Count {
    /// How many rows of a key make a window.
    size: Located<u64>,
    /// How many rows lie between the starts of two windows. With fewer than `size`, windows overlap. Default: `size`.
    #[serde(default)]
    every: Option<Located<u64>>,
}

impl Configured for Count {
    const INFO: Info = Info {
        name: "count",
        summary: "So many rows of a key",
        manual: "Each key's rows are counted from its first one, in the order of their time, or of the stream where they have none: \
            the first window holds its first `size` rows. With `every`, a window begins at each `every`-th row, so that a row \
            lies in several windows. Where the rows end, the last windows hold those that came: the column `window_complete` \
            tells them from the others.\n\n\
            `window_start` and `window_end` are the times of the first and the last row. Windows leave when they are full; those \
            that stayed short leave at the end. Rows without time are put in the order of their windows' last rows, at the end.",
        example: "window = { type = \"count\", size = 100 }",
        ports: &[],
        also_called: &["rows", "batch"],
    };
}

impl WindowConfig for Count {
    fn build(self, check: &mut Check<'_>) -> Option<Window> {
        let size = self.size.value;
        if size == 0 {
            let help = "write how many rows make a window: `size = 100`";
            check.error_at(
                &self.size,
                "a window of no rows holds nothing",
                Some(help.into()),
            );
        }
        let every = self.every.unwrap_or_else(|| self.size.clone());
        if every.value == 0 && size > 0 {
            let help = "write how many rows lie between the starts of two windows, or leave it out";
            check.error_at(
                &every,
                "windows that begin every 0 rows never advance",
                Some(help.into()),
            );
        }
        if every.value > size && size > 0 {
            let message = format!(
                "every {} rows, {} of them would lie in no window",
                every.value,
                every.value - size
            );
            let help = format!("`every` is at most `size`, which is {size}");
            check.error_at(&every, message, Some(help));
        }
        (1..=size).contains(&every.value).then_some(Window::Count {
            size,
            every: every.value,
        })
    }
}

#[cfg(test)]
mod tests {
    use dataflow_core::window::Window;

    use crate::laws::{built, refused};

    #[test]
    fn windows_follow_one_another_unless_they_overlap() {
        let whole = built("type = 'count', size = 5");
        assert!(matches!(whole, Window::Count { size: 5, every: 5 }));
        let overlapping = built("type = 'count', size = 5, every = 2");
        assert!(matches!(overlapping, Window::Count { size: 5, every: 2 }));
    }

    #[test]
    fn windows_without_rows_and_rows_without_windows_are_refused() {
        for (keys, problem) in [
            ("size = 0", "0: a window of no rows holds nothing"),
            (
                "size = 0, every = 2",
                "0: a window of no rows holds nothing",
            ),
            (
                "size = 3, every = 0",
                "0: windows that begin every 0 rows never advance",
            ),
            (
                "size = 3, every = 5",
                "5: every 5 rows, 2 of them would lie in no window",
            ),
            (
                "size = -1",
                "-1: expected a whole number of at least 0, found the number -1",
            ),
        ] {
            assert_eq!(refused(&format!("type = 'count', {keys}")), [problem]);
        }
    }
}
