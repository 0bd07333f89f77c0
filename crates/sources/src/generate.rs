//! The `generate` source: seeded rows from a declared schema or a preset, the same for any cut and any wanted columns.

use std::sync::Arc;

use dataflow_core::component::{Configured, Info, SourceConfig};
use dataflow_core::problem::did_you_mean;
use dataflow_core::units::Rate;
use dataflow_core::{Check, Located, Place, Problem, Source};
use schemars::JsonSchema;
use serde::Deserialize;

mod column;
mod kind;
mod make;
mod preset;
mod random;
mod rows;

pub use kind::{ColumnConfig, Scalar};
pub use preset::Preset;

use crate::named::Named;
use crate::sampling::{SamplingConfig, without_column};
use crate::time::{TimeConfig, timed};
use column::{Column, Strange};
use make::share;
use preset::Oddities;
use random::Stream;
pub(crate) use rows::{GenerateSource, Rows};

/// Settings of the `generate` source.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GenerateConfig {
    /// A ready table; its columns are described with its name. Give this or `columns`.
    pub preset: Option<Preset>,
    /// The columns, in the order in which they are written: `columns.x = { kind = "normal", mean = 5.0 }`.
    pub columns: Named<ColumnConfig>,
    /// How many rows. Default 100000.
    pub rows: Option<Located<u64>>,
    /// Another seed gives other rows; the same seed always the same. Default 0.
    pub seed: u64,
    /// Rows per second at most, as `"10k/s"`. Default: as fast as they are taken.
    pub rate: Option<Rate>,
    /// Rows that are made strange and labelled, so that a detector can be judged.
    pub anomalies: Option<Located<AnomaliesConfig>>,
    /// That the rows are samples of a signal, for spectra and filters: `{ rate = 1e6 }`, so many per second. Default: what the preset is,
    /// else they are not.
    pub sampling: Option<Located<SamplingConfig>>,
    /// When the rows happened, for windows and for all that goes by event time: `{ column = "timestamp", lateness = "5s" }`.
    /// Default: they have no event time.
    pub time: Option<Located<TimeConfig>>,
}

/// Labelled anomalies.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct AnomaliesConfig {
    /// The share of rows that are strange, 0 to 1.
    pub rate: f64,
    /// How far a strange value is moved, in standard deviations of its column. Default 8.
    #[serde(default = "eight")]
    pub size: f64,
    /// How many rows one anomaly lasts (of one device, in presets with several). Default 1.
    #[serde(default = "one")]
    pub length: u64,
    /// Which of the declared columns it moves. Default: all of kind `uniform`, `normal` and `sine`. A preset has its own ways.
    #[serde(default)]
    pub columns: Vec<Located<String>>,
    /// The column that tells whether a row is strange. Default `is_anomaly`, or the preset's own.
    #[serde(default)]
    pub column: Option<String>,
}

fn eight() -> f64 {
    8.0
}

fn one() -> u64 {
    1
}

const DEFAULT_ROWS: u64 = 100_000;

impl Configured for GenerateConfig {
    const INFO: Info = Info {
        name: "generate",
        summary: "Makes seeded, deterministic rows from a declared schema or a preset",
        manual: MANUAL,
        example: EXAMPLE,
        also_called: &["random", "synthetic", "fake", "demo"],
        ..Info::EMPTY
    };
}

const MANUAL: &str = "\
Every value is a function of the seed, the column's name and the row's number, so the rows are the same for any batch size and \
any number of workers, and columns that nobody reads are not made. Random numbers are SplitMix64's, normal ones by Wichura's \
AS 241.

Presets: `sensors` (machines with labelled faults), `fraud` (card payments), `network` (flows with scans and floods), `system` \
(hosts), `usage` (hourly pods of a cluster), `cells` (battery cycling), `trace` (a waveform at 1 MHz). All start on \
2025-01-01.

Text columns are dictionaries (int32 keys). With `rate`, rows are handed out in slices of a tenth of a second; neither \
the rows nor any result change. Memory is that of the texts of `categories`; the cost is 5 to 50 ns a value.";

const EXAMPLE: &str = "\
rows = 1_000_000
seed = 42
columns.time = { kind = \"time\", every = \"1s\" }
columns.device = { kind = \"categories\", count = 20, in_turn = true }
columns.temperature = { kind = \"sine\", mean = 65.0, amplitude = 5.0, period = 86400, noise = 0.5, decimals = 2 }
columns.errors = { kind = \"uniform\", low = 0, high = 9, whole = true }
columns.vibration = { kind = \"normal\", mean = 0.4, deviation = 0.05, null_rate = 0.01 }
anomalies = { rate = 0.01, columns = [\"temperature\", \"vibration\"] }
time = { column = \"time\" }
";

impl SourceConfig for GenerateConfig {
    fn build(mut self, check: &mut Check<'_>) -> Option<Arc<dyn Source>> {
        let time = self.time.take();
        let made = self.source(check);
        timed(made.map(|source| source as Arc<dyn Source>), time, check)
    }
}

impl GenerateConfig {
    /// Checks the settings and makes the source.
    pub(crate) fn source(self, check: &mut Check<'_>) -> Option<Arc<GenerateSource>> {
        let rows = self.rows.as_ref().map_or(DEFAULT_ROWS, |rows| rows.value);
        if rows > Place::MAX_ROWS {
            let most = Place::MAX_ROWS;
            let span = self.rows.and_then(|r| r.span).or(check.span);
            let problem = Problem::error(format!("`rows` is {rows}, the most are {most}"), span);
            check
                .problems
                .push(problem.help("use several sources with different seeds"));
            return None;
        }
        let columns = match (self.preset, self.columns.is_empty()) {
            (Some(preset), true) => self.of_preset(preset, check)?,
            (None, false) => self.declared(rows, check)?,
            (chosen, _) => {
                let message = match chosen {
                    Some(_) => "both `preset` and `columns` are given",
                    None => "there is nothing to generate",
                };
                let problem = Problem::error(message, check.span);
                check.problems.push(problem.help(
                    "write `preset = \"sensors\"`, or columns such as `columns.x = { kind = \"normal\" }`",
                ));
                return None;
            }
        };
        let title = match self.preset {
            Some(preset) => format!("preset {}, seed {}", preset.name(), self.seed),
            None => format!("declared columns, seed {}", self.seed),
        };
        let known = self.preset.and_then(Preset::sampling);
        let sampling = without_column(self.sampling.as_ref(), known, check)?;
        let made = GenerateSource::new(columns, rows, self.rate, title).sampled(sampling);
        Some(Arc::new(made))
    }

    fn of_preset(&self, preset: Preset, check: &mut Check<'_>) -> Option<Vec<Column>> {
        let anomalies = self.anomalies.as_ref();
        if let Some(anomalies) = anomalies {
            check_anomalies(anomalies, check)?;
            if let Some(column) = anomalies.columns.first() {
                let help = "remove `columns`: a preset has its own ways of being strange";
                check.error_at(
                    column,
                    "a preset's anomalies cannot be placed",
                    Some(help.to_string()),
                );
                return None;
            }
        }
        let Some((rate, label)) = preset.label() else {
            if let Some(anomalies) = anomalies {
                let message = format!("the preset `{}` has no anomalies", preset.name());
                let help = "remove `anomalies`, or declare `columns` instead of the preset";
                check.error_at(anomalies, message, Some(help.to_string()));
                return None;
            }
            return Some(preset.columns(self.seed, NOTHING_ODD).0);
        };
        let odd = Oddities {
            rate: anomalies.map_or(rate, |a| a.rate),
            size: anomalies.map_or_else(eight, |a| a.size),
            length: anomalies.map_or_else(one, |a| a.length),
        };
        let (mut columns, odd) = preset.columns(self.seed, odd);
        let label = anomalies.and_then(|a| a.column.as_deref()).unwrap_or(label);
        columns.push(Column::flags(label, move |row| odd.at(row)));
        Some(columns)
    }

    fn declared(&self, rows: u64, check: &mut Check<'_>) -> Option<Vec<Column>> {
        let anomalies = self.anomalies.as_ref();
        let sound = anomalies.is_none_or(|anomalies| {
            let sound = check_anomalies(anomalies, check).is_some();
            self.check_moved(anomalies, check).is_some() && sound
        });
        let strange = anomalies.filter(|_| sound).map(|anomalies| Strange {
            stream: Stream::new(self.seed, "anomalies", "anomaly"),
            rate: anomalies.rate,
            length: anomalies.length,
            size: anomalies.size,
        });
        let moved = |name: &str| {
            anomalies.is_some_and(|a| a.columns.is_empty() || a.columns.iter().any(|c| **c == name))
        };
        let mut columns = Vec::new();
        let mut fine = sound;
        for (name, config) in self.columns.iter() {
            let strange = strange.filter(|_| moved(name));
            match config.column(name, self.seed, rows, strange) {
                Ok(column) => columns.push(column),
                Err((message, help)) => {
                    check.error_at(config, message, help);
                    fine = false;
                }
            }
        }
        if let (Some(strange), Some(anomalies)) = (strange, anomalies) {
            let label = anomalies.column.as_deref().unwrap_or("is_anomaly");
            if self.columns.get(label).is_some() {
                let message = format!("there is a column `{label}` already");
                let help = "give the label another name: `anomalies = { column = \"label\", ... }`";
                check.error_at(anomalies, message, Some(help.to_string()));
                return None;
            }
            columns.push(Column::flags(label, move |row| strange.at(row)));
        }
        fine.then_some(columns)
    }

    /// The columns that anomalies are put into must be there and hold numbers.
    fn check_moved(
        &self,
        anomalies: &Located<AnomaliesConfig>,
        check: &mut Check<'_>,
    ) -> Option<()> {
        let mut fine = true;
        for column in &anomalies.columns {
            match self.columns.get(column) {
                None => {
                    let help = did_you_mean(column, self.columns.names());
                    check.error_at(
                        column,
                        format!("there is no column `{}`", column.value),
                        help,
                    );
                    fine = false;
                }
                Some(config) if !config.is_number() => {
                    let message = format!("column `{}` cannot be moved by anomalies", column.value);
                    let help = "choose columns of kind `uniform`, `normal` or `sine`";
                    check.error_at(column, message, Some(help.to_string()));
                    fine = false;
                }
                Some(_) => {}
            }
        }
        let any = self.columns.iter().any(|(_, c)| c.is_number());
        if anomalies.columns.is_empty() && !any {
            let message = "there is no column that anomalies could be put into";
            let help = "declare one of kind `uniform`, `normal` or `sine`";
            check.error_at(anomalies, message, Some(help.to_string()));
            fine = false;
        }
        fine.then_some(())
    }
}

const NOTHING_ODD: Oddities = Oddities {
    rate: 0.0,
    size: 0.0,
    length: 1,
};

fn check_anomalies(anomalies: &Located<AnomaliesConfig>, check: &mut Check<'_>) -> Option<()> {
    let wrong = match share("rate", anomalies.rate) {
        Err(wrong) => Some(wrong),
        Ok(_) if anomalies.length == 0 => Some((
            "`length` is 0".to_string(),
            Some("write how many rows an anomaly lasts, 1 or more".to_string()),
        )),
        Ok(_) if !anomalies.size.is_finite() => Some((
            format!("`size` is {}", anomalies.size),
            Some("write a number of standard deviations".to_string()),
        )),
        Ok(_) => None,
    };
    let Some((message, help)) = wrong else {
        return Some(());
    };
    check.error_at(anomalies, message, help);
    None
}

#[cfg(test)]
mod tests;
