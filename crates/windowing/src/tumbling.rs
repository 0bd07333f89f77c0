//! `tumbling`: windows of time that follow one another.

use dataflow_core::component::WindowConfig;
use dataflow_core::units::Duration;
use dataflow_core::window::Window;
use dataflow_core::{Check, Configured, Info, Located};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::grids::{Size, Written};

/// Windows of time that follow one another.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tumbling {
    /// How long a window is: a time (`"250ms"`, `"1h30m"`), days or weeks (`"1d"`, `"2w"`), or months, quarters or years
    /// (`"1mo"`, `"1q"`, `"1y"`, `"1y6mo"`).
    size: Located<Size>,
    /// How much later windows start: with `size = "1d"`, an offset of `"6h"` makes days from six to six. May be negative.
    /// Default: none.
    #[serde(default)]
    offset: Duration,
    /// Whose calendar the days, weeks, months, quarters and years are of: a name such as `"Europe/Berlin"`. Default: UTC,
    /// where every day has 24 hours.
    #[serde(default)]
    #[schemars(extend("examples" = ["Europe/Berlin"]))]
    time_zone: Option<Located<String>>,
}

impl Configured for Tumbling {
    const INFO: Info = Info {
        name: "tumbling",
        summary: "Windows of time that follow one another, the same for all keys",
        manual: "Each instant lies in one window: from its start, which belongs to it, to its end, which does not. Windows \
            start at round times, whenever the rows begin: those of `\"15m\"` at :00, :15, :30 and :45.\n\n\
            - A time (`\"90s\"`, `\"1h30m\"`, also `\"24h\"`) is counted from 1970-01-01T00:00:00Z.\n\
            - Days (`\"1d\"`, `\"3d\"`) are counted from 1970-01-01, and whole weeks (`\"1w\"`, which is `\"7d\"`, or `\"2w\"`) from \
            Monday, 1969-12-29.\n\
            - Months, quarters and years begin on the first of a month and are counted from January 1970.\n\n\
            With a `time_zone`, days are those of its clocks, and some of them have 23 or 25 hours. A day begins at midnight: \
            at the first instant after it where clocks skip it, and at the first of two where they show it twice. An `offset` \
            is time that passes from there: six hours after midnight it is five or seven o'clock on the days when clocks \
            change. Changes of clocks are known to the end of 2099.\n\n\
            Instants lie between the years 1677 and 2262; the first and the last window are cut off there.",
        example: "window = { type = \"tumbling\", size = \"1m\" }",
        ports: &[],
        also_called: &["tumble", "fixed", "interval", "bucket", "time"],
    };
}

impl WindowConfig for Tumbling {
    fn build(self, check: &mut Check<'_>) -> Option<Window> {
        let written = Written {
            size: self.size,
            every: None,
            offset: self.offset,
            time_zone: self.time_zone,
            gaps: false,
        };
        written.build(check)
    }
}

#[cfg(test)]
mod tests {
    use crate::laws::{help, refused, starts};

    #[test]
    fn windows_start_at_round_times() {
        for (keys, time, expected) in [
            (
                "size = '15m'",
                "2025-03-05T10:17:00Z",
                ["2025-03-05T10:15:00Z", "2025-03-05T10:30:00Z"],
            ),
            (
                "size = '1d'",
                "1969-12-31T23:59:59Z",
                ["1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z"],
            ),
            (
                "size = '3d'",
                "1970-01-02T00:00:00Z",
                ["1970-01-01T00:00:00Z", "1970-01-04T00:00:00Z"],
            ),
            (
                "size = '1w'",
                "2025-03-05T10:17:00Z",
                ["2025-03-03T00:00:00Z", "2025-03-10T00:00:00Z"],
            ),
            (
                "size = '7d'",
                "2025-03-05T10:17:00Z",
                ["2025-03-03T00:00:00Z", "2025-03-10T00:00:00Z"],
            ),
            (
                "size = '168h'",
                "2025-03-05T10:17:00Z",
                ["2025-02-27T00:00:00Z", "2025-03-06T00:00:00Z"],
            ),
            (
                "size = '2w'",
                "1970-01-01T00:00:00Z",
                ["1969-12-29T00:00:00Z", "1970-01-12T00:00:00Z"],
            ),
            (
                "size = '1mo'",
                "2024-02-29T23:59:59Z",
                ["2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"],
            ),
            (
                "size = '1q'",
                "2025-03-31T00:00:00Z",
                ["2025-01-01T00:00:00Z", "2025-04-01T00:00:00Z"],
            ),
            (
                "size = '1y'",
                "1969-03-31T00:00:00Z",
                ["1969-01-01T00:00:00Z", "1970-01-01T00:00:00Z"],
            ),
            (
                "size = '5mo'",
                "1970-07-31T00:00:00Z",
                ["1970-06-01T00:00:00Z", "1970-11-01T00:00:00Z"],
            ),
        ] {
            assert_eq!(
                starts(&format!("type = 'tumbling', {keys}"), time),
                expected,
                "{keys}"
            );
        }
    }

    #[test]
    fn offsets_shift_the_starts() {
        for (keys, expected) in [
            (
                "size = '1h', offset = '15m'",
                ["2025-03-05T09:15:00Z", "2025-03-05T10:15:00Z"],
            ),
            (
                "size = '1h', offset = '-10m'",
                ["2025-03-05T09:50:00Z", "2025-03-05T10:50:00Z"],
            ),
            (
                "size = '1d', offset = '6h'",
                ["2025-03-05T06:00:00Z", "2025-03-06T06:00:00Z"],
            ),
            (
                "size = '1w', offset = '-1d'",
                ["2025-03-02T00:00:00Z", "2025-03-09T00:00:00Z"],
            ),
            (
                "size = '1mo', offset = '5d'",
                ["2025-02-06T00:00:00Z", "2025-03-06T00:00:00Z"],
            ),
        ] {
            let keys = format!("type = 'tumbling', {keys}");
            assert_eq!(starts(&keys, "2025-03-05T10:14:00Z"), expected, "{keys}");
        }
    }

    #[test]
    fn days_of_a_time_zone_are_those_of_its_clocks() {
        for (keys, time, expected) in [
            // 23 and 25 hours.
            (
                "size = '1d', time_zone = 'Europe/Berlin'",
                "2025-03-30T12:00:00Z",
                ["2025-03-29T23:00:00Z", "2025-03-30T22:00:00Z"],
            ),
            (
                "size = '1d', time_zone = 'Europe/Berlin'",
                "2025-10-26T12:00:00Z",
                ["2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z"],
            ),
            (
                "size = '1d', offset = '6h', time_zone = 'Europe/Berlin'",
                "2025-10-26T12:00:00Z",
                ["2025-10-26T04:00:00Z", "2025-10-27T05:00:00Z"],
            ),
            // Clocks went from midnight to one o'clock.
            (
                "size = '1d', time_zone = 'America/Sao_Paulo'",
                "2018-11-04T12:00:00Z",
                ["2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"],
            ),
            // Clocks went from a minute past midnight back to eleven.
            (
                "size = '1d', time_zone = 'America/St_Johns'",
                "2010-11-07T03:00:00Z",
                ["2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z"],
            ),
            // There was no 30th of December.
            (
                "size = '1d', time_zone = 'Pacific/Apia'",
                "2011-12-30T09:59:59Z",
                ["2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"],
            ),
            (
                "size = '1w', time_zone = 'America/New_York'",
                "2025-03-05T10:17:00Z",
                ["2025-03-03T05:00:00Z", "2025-03-10T04:00:00Z"],
            ),
            (
                "size = '1mo', time_zone = 'Asia/Kathmandu'",
                "2025-03-05T10:17:00Z",
                ["2025-02-28T18:15:00Z", "2025-03-31T18:15:00Z"],
            ),
        ] {
            assert_eq!(
                starts(&format!("type = 'tumbling', {keys}"), time),
                expected,
                "{keys}"
            );
        }
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        for (keys, problem) in [
            ("size = '0s'", "'0s': windows of `0s` hold nothing"),
            ("size = '-1d'", "'-1d': windows of `-1d` hold nothing"),
            ("size = '-1mo'", "'-1mo': windows of `-1mo` hold nothing"),
            (
                "size = '1h', time_zone = 'Europe/Berlin'",
                "'Europe/Berlin': `time_zone` means nothing for windows of `1h`",
            ),
            (
                "size = '1d', time_zone = 'Berlin'",
                "'Berlin': there is no time zone `Berlin`",
            ),
        ] {
            assert_eq!(refused(&format!("type = 'tumbling', {keys}")), [problem]);
        }
        let problems = refused("type = 'tumbling', size = '1d1mo'");
        assert!(
            problems[0].starts_with("'1d1mo': `1d1mo` is not a size: months, "),
            "{problems:?}"
        );
    }

    #[test]
    fn time_zones_are_suggested() {
        for (written, better) in [
            ("berlin", "Europe/Berlin"),
            ("Europe/berlin", "Europe/Berlin"),
            ("Sao Paulo", "America/Sao_Paulo"),
            ("America/NewYork", "America/New_York"),
        ] {
            assert_eq!(
                help(&format!(
                    "type = 'tumbling', size = '1d', time_zone = '{written}'"
                )),
                [format!("did you mean `{better}`?")]
            );
        }
    }
}
