//! The kinds of columns that a pipeline file can declare.

use dataflow_core::units::Duration;
use schemars::JsonSchema;
use serde::Deserialize;

/// What a column of the `generate` source holds.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(
    rename = "tagged by kind",
    rename_all = "snake_case",
    deny_unknown_fields
)]
#[schemars(rename = "ColumnConfig", tag = "kind")]
pub enum ColumnConfig {
    /// Whole numbers in equal steps: `start`, `start + step`, ...
    Sequence {
        /// The first number. Default 0.
        #[serde(default)]
        start: i64,
        /// The distance from one row to the next. Default 1.
        #[serde(default = "one")]
        step: i64,
        /// The share of rows that are null, 0 to 1. Default 0.
        #[serde(default)]
        null_rate: f64,
    },
    /// Times in equal steps, nanoseconds UTC.
    Time {
        /// The first time: a date or an RFC 3339 time. Default `"2025-01-01T00:00:00Z"`.
        #[serde(default = "new_year")]
        start: String,
        /// The time from one row to the next. Default `"1s"`.
        #[serde(default = "second")]
        every: Duration,
        /// Each time is later than its step by a random time below this; more than `every` gives times out of order. Default `"0s"`.
        #[serde(default)]
        jitter: Duration,
        /// The share of rows that are null, 0 to 1. Default 0.
        #[serde(default)]
        null_rate: f64,
    },
    /// Numbers that are equally likely everywhere between two bounds.
    Uniform {
        /// The lowest number. Default 0.
        #[serde(default)]
        low: f64,
        /// The upper bound: exclusive for numbers, inclusive for whole numbers. Default 1.
        #[serde(default = "one_number")]
        high: f64,
        /// Whole numbers (int64) instead. Default false.
        #[serde(default)]
        whole: bool,
        /// Round to so many decimals, as instruments do. Default: do not round.
        #[serde(default)]
        decimals: Option<u8>,
        /// The share of rows that are null, 0 to 1. Default 0.
        #[serde(default)]
        null_rate: f64,
        /// The share of rows that are NaN, 0 to 1. Default 0.
        #[serde(default)]
        nan_rate: f64,
    },
    /// Normally distributed numbers.
    Normal {
        /// The mean. Default 0.
        #[serde(default)]
        mean: f64,
        /// The standard deviation. Default 1.
        #[serde(default = "one_number")]
        deviation: f64,
        /// Round to so many decimals, as instruments do. Default: do not round.
        #[serde(default)]
        decimals: Option<u8>,
        /// The share of rows that are null, 0 to 1. Default 0.
        #[serde(default)]
        null_rate: f64,
        /// The share of rows that are NaN, 0 to 1. Default 0.
        #[serde(default)]
        nan_rate: f64,
    },
    /// A sine wave plus normal noise.
    Sine {
        /// The value around which it swings. Default 0.
        #[serde(default)]
        mean: f64,
        /// How far it swings to each side. Default 1.
        #[serde(default = "one_number")]
        amplitude: f64,
        /// The rows of one full wave. Default 1000.
        #[serde(default = "thousand")]
        period: f64,
        /// Where it starts, as a share of a full wave. Default 0.
        #[serde(default)]
        phase: f64,
        /// The standard deviation of the noise. Default 0.
        #[serde(default)]
        noise: f64,
        /// Round to so many decimals, as instruments do. Default: do not round.
        #[serde(default)]
        decimals: Option<u8>,
        /// The share of rows that are null, 0 to 1. Default 0.
        #[serde(default)]
        null_rate: f64,
        /// The share of rows that are NaN, 0 to 1. Default 0.
        #[serde(default)]
        nan_rate: f64,
    },
    /// Texts from a list, or numbered ones (`prefix` and `count`).
    Categories {
        /// The texts.
        #[serde(default)]
        values: Vec<String>,
        /// How likely each of `values` is, relative to the others. Default: all the same.
        #[serde(default)]
        weights: Vec<f64>,
        /// Instead of `values`: so many texts, `prefix` followed by a number from 0.
        #[serde(default)]
        count: Option<u32>,
        /// What stands before the number. Default: the column's name and `-`.
        #[serde(default)]
        prefix: Option<String>,
        /// One after another instead of at random. Default false.
        #[serde(default)]
        in_turn: bool,
        /// The share of rows that are null, 0 to 1. Default 0.
        #[serde(default)]
        null_rate: f64,
    },
    /// True or false.
    Boolean {
        /// The share of rows that are true, 0 to 1. Default 0.5.
        #[serde(default = "half")]
        share: f64,
        /// The share of rows that are null, 0 to 1. Default 0.
        #[serde(default)]
        null_rate: f64,
    },
    /// The same value in every row.
    Constant {
        /// The value: a number, text, or true or false.
        value: Scalar,
        /// The share of rows that are null, 0 to 1. Default 0.
        #[serde(default)]
        null_rate: f64,
    },
}

/// A value of a `constant` column.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
}

fn one() -> i64 {
    1
}

fn one_number() -> f64 {
    1.0
}

fn thousand() -> f64 {
    1000.0
}

fn half() -> f64 {
    0.5
}

fn second() -> Duration {
    Duration::from_nanoseconds(1_000_000_000)
}

fn new_year() -> String {
    "2025-01-01T00:00:00Z".to_string()
}
