//! `session`: rows that follow one another within a gap.

use dataflow_core::component::WindowConfig;
use dataflow_core::units::Duration;
use dataflow_core::window::Window;
use dataflow_core::{Check, Configured, Info, Located};
use schemars::JsonSchema;
use serde::Deserialize;

/// Rows that follow one another within a gap.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Session {
    /// How long a key may be silent within a window, such as `"30m"`. A row that comes later than that begins a new one.
    gap: Located<Duration>,
}

impl Configured for Session {
    const INFO: Info = Info {
        name: "session",
        summary: "The rows of a key that follow one another within a gap",
        manual: "A window begins with the first row of a key after a silence longer than `gap`, and ends when the key is silent \
            for longer than `gap` again: the visit of a user, the run of an engine. Keys are silent each by itself.\n\n\
            `window_start` and `window_end` are the times of the first and the last row.\n\n\
            A row that comes late may join two windows into one, so a window is complete only when no row that is not too late \
            could still reach it. One window of each key is open at a time where rows come in the order of their time.",
        example: "window = { type = \"session\", gap = \"30m\" }",
        ports: &[],
        also_called: &["gap", "sessions", "silence"],
    };
}

impl WindowConfig for Session {
    fn build(self, check: &mut Check<'_>) -> Option<Window> {
        let gap = self.gap.nanoseconds();
        if gap <= 0 {
            let message = format!("a gap of `{}` would part all rows", self.gap.value);
            let help = "write the longest silence within a window, such as `gap = \"30m\"`";
            check.error_at(&self.gap, message, Some(help.into()));
            return None;
        }
        Some(Window::Session { gap })
    }
}

#[cfg(test)]
mod tests {
    use dataflow_core::window::Window;

    use crate::laws::{built, refused};

    #[test]
    fn a_gap_is_some_time() {
        let minute = built("type = 'session', gap = '1m'");
        assert!(matches!(
            minute,
            Window::Session {
                gap: 60_000_000_000
            }
        ));
        for gap in ["0s", "-5m"] {
            assert_eq!(
                refused(&format!("type = 'session', gap = '{gap}'")),
                [format!("'{gap}': a gap of `{gap}` would part all rows")]
            );
        }
    }
}
