//! `sliding`: windows of time that overlap.

use dataflow_core::component::WindowConfig;
use dataflow_core::units::Duration;
use dataflow_core::window::Window;
use dataflow_core::{Check, Configured, Info, Located};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::grids::{Size, Written};

/// Windows of time that overlap.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sliding {
    /// How long a window is, as in `tumbling`: a time, days, weeks, months, quarters or years.
    size: Located<Size>,
    /// How far the starts of two windows are apart. A size in months, quarters or years takes months, quarters or years.
    every: Located<Size>,
    /// How much later windows start. May be negative. Default: none.
    #[serde(default)]
    offset: Duration,
    /// Whose calendar the days, weeks, months, quarters and years are of: a name such as `"Europe/Berlin"`. Default: UTC,
    /// where every day has 24 hours.
    #[serde(default)]
    #[schemars(extend("examples" = ["Europe/Berlin"]))]
    time_zone: Option<Located<String>>,
    /// Whether `every` may be longer than `size`: rows between two windows are in none of them then. Default `false`.
    #[serde(default)]
    gaps: bool,
}

impl Configured for Sliding {
    const INFO: Info = Info {
        name: "sliding",
        summary: "Windows of time that overlap, the same for all keys",
        manual: "A window of `size` starts every `every`, so that an instant lies in `size` / `every` of them: a day's mean, every \
            hour. Each of them is a result of its own, and costs what a tumbling window costs. For one result a row, see \
            `rolling`.\n\n\
            Starts are counted as those of `tumbling` windows of the size `every` are: a time from 1970-01-01T00:00:00Z, days \
            from 1970-01-01, weeks from a Monday, months from January 1970; `offset` and `time_zone` mean the same.\n\n\
            With `gaps = true`, `every` may be longer than `size`: the first minute of every hour. Rows in the gaps lie in no \
            window.",
        example: "window = { type = \"sliding\", size = \"1h\", every = \"5m\" }",
        ports: &[],
        also_called: &["hopping", "hop", "slide", "overlapping"],
    };
}

impl WindowConfig for Sliding {
    fn build(self, check: &mut Check<'_>) -> Option<Window> {
        let written = Written {
            size: self.size,
            every: Some(self.every),
            offset: self.offset,
            time_zone: self.time_zone,
            gaps: self.gaps,
        };
        written.build(check)
    }
}

#[cfg(test)]
mod tests {
    use dataflow_core::window::Window;

    use crate::laws::{built, help, refused, starts};

    #[test]
    fn an_instant_lies_in_several_windows() {
        for (keys, expected) in [
            (
                "size = '1h', every = '20m'",
                vec![
                    "2025-03-05T09:20:00Z",
                    "2025-03-05T09:40:00Z",
                    "2025-03-05T10:00:00Z",
                    "2025-03-05T10:20:00Z",
                ],
            ),
            (
                "size = '50m', every = '20m'",
                vec![
                    "2025-03-05T09:40:00Z",
                    "2025-03-05T10:00:00Z",
                    "2025-03-05T10:20:00Z",
                ],
            ),
            (
                "size = '1d', every = '12h'",
                vec![
                    "2025-03-04T12:00:00Z",
                    "2025-03-05T00:00:00Z",
                    "2025-03-05T12:00:00Z",
                ],
            ),
            (
                "size = '2w', every = '1w'",
                vec![
                    "2025-02-24T00:00:00Z",
                    "2025-03-03T00:00:00Z",
                    "2025-03-10T00:00:00Z",
                ],
            ),
            (
                "size = '3mo', every = '1mo'",
                vec![
                    "2025-01-01T00:00:00Z",
                    "2025-02-01T00:00:00Z",
                    "2025-03-01T00:00:00Z",
                    "2025-04-01T00:00:00Z",
                ],
            ),
            (
                "size = '2d', every = '1d', time_zone = 'Europe/Berlin'",
                vec![
                    "2025-03-03T23:00:00Z",
                    "2025-03-04T23:00:00Z",
                    "2025-03-05T23:00:00Z",
                ],
            ),
        ] {
            let keys = format!("type = 'sliding', {keys}");
            assert_eq!(starts(&keys, "2025-03-05T10:14:00Z"), expected, "{keys}");
            let Window::Grid(grid) = built(&keys) else {
                panic!("another window");
            };
            assert!(grid.overlaps());
        }
    }

    #[test]
    fn gaps_are_there_where_they_are_meant() {
        let keys = "type = 'sliding', size = '1m', every = '1h'";
        assert_eq!(
            refused(keys),
            [
                "'1h': windows of `1m` that begin every `1h` leave gaps: rows there would lie in no window"
            ]
        );
        assert_eq!(
            help(keys),
            ["write `every = \"1m\"` or less, or `gaps = true` if that is meant"]
        );
        let Window::Grid(grid) = built(&format!("{keys}, gaps = true")) else {
            panic!("another window");
        };
        let minute = 60_000_000_000;
        assert_eq!(grid.ends(minute - 1), Some((minute, minute)));
        assert_eq!(grid.ends(minute), None);
        assert_eq!(grid.next(minute), 61 * minute);
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        for (keys, problem) in [
            (
                "size = '1m', every = '0s'",
                "'0s': windows that begin every `0s` never advance",
            ),
            (
                "size = '1mo', every = '1d'",
                "'1d': windows of `1mo` cannot begin every `1d`",
            ),
            (
                "size = '30d', every = '1mo'",
                "'1mo': windows of `30d` cannot begin every `1mo`",
            ),
            (
                "size = '1d', every = '1h', time_zone = 'Asia/Tokyo'",
                "'1h': windows of days of a time zone cannot begin every `1h`",
            ),
        ] {
            assert_eq!(refused(&format!("type = 'sliding', {keys}")), [problem]);
        }
        assert_eq!(
            refused("type = 'sliding', size = '0s', every = '-1m', time_zone = 'Europe/Bern'"),
            [
                "'0s': windows of `0s` hold nothing",
                "'-1m': windows that begin every `-1m` never advance",
                "'Europe/Bern': `time_zone` means nothing for windows of `0s`",
            ]
        );
    }
}
