//! Ready tables that look like the data people have: each column is a function of the row number alone.

use dataflow_core::Sampling;
use schemars::JsonSchema;
use serde::Deserialize;

use super::column::Column;
use super::random::Stream;

mod cells;
mod fraud;
mod network;
mod sensors;
mod system;
mod trace;
mod usage;

/// A ready table.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// 20 machines, one reading a second each: timestamp, device, temperature, vibration, voltage, current, is_anomaly.
    Sensors,
    /// Card payments, four a second: timestamp, transaction, account, merchant, category, country, card_present, amount, is_fraud.
    Fraud,
    /// Flows through a firewall, a thousand a second: timestamp, source_address, destination_address, port, protocol, bytes,
    /// packets, duration, is_attack.
    Network,
    /// 10 hosts, one reading in ten seconds each: timestamp, host, cpu, memory, load, disk_read, disk_write, network, is_anomaly.
    System,
    /// Hourly usage of 500 pods of a cluster: interval_start, namespace, node, pod, usage, requests, limits and capacities as
    /// core seconds and byte seconds, pod_labels (JSON).
    Usage,
    /// Battery cells that are cycled, one after another, 100 cycles of 200 points: cell, cycle_number, test_time, state, current
    /// (positive while charging), voltage, temperature.
    Cells,
    /// An oscilloscope trace at 1 MHz, a 1 kHz tone with a weak 50 kHz one, noise and rare glitches: time, value (in volts), is_anomaly.
    Trace,
}

/// How strange rows are made: how many, how strong, how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Oddities {
    pub(crate) rate: f64,
    pub(crate) size: f64,
    pub(crate) length: u64,
}

/// The first instant of every preset: 2025-01-01T00:00:00Z.
const START: i64 = 1_735_689_600_000_000_000;
const SECOND: i64 = 1_000_000_000;

impl Preset {
    /// All of them.
    pub const ALL: [Preset; 7] = [
        Preset::Sensors,
        Preset::Fraud,
        Preset::Network,
        Preset::System,
        Preset::Usage,
        Preset::Cells,
        Preset::Trace,
    ];

    /// Its name in a pipeline file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sensors => "sensors",
            Self::Fraud => "fraud",
            Self::Network => "network",
            Self::System => "system",
            Self::Usage => "usage",
            Self::Cells => "cells",
            Self::Trace => "trace",
        }
    }

    /// The share of strange rows unless somebody says otherwise, and the column that tells them.
    pub(crate) fn label(self) -> Option<(f64, &'static str)> {
        match self {
            Self::Sensors | Self::System => Some((0.01, "is_anomaly")),
            Self::Fraud => Some((0.005, "is_fraud")),
            Self::Network => Some((0.02, "is_attack")),
            Self::Trace => Some((0.000_1, "is_anomaly")),
            Self::Usage | Self::Cells => None,
        }
    }

    /// How its rows sample a signal, if they do.
    pub(crate) fn sampling(self) -> Option<Sampling> {
        match self {
            Self::Trace => Some(Sampling::of(trace::RATE)),
            _ => None,
        }
    }

    /// Its columns without the label, and which rows are strange.
    pub(crate) fn columns(self, seed: u64, odd: Oddities) -> (Vec<Column>, Odd) {
        let draft = Draft { seed, odd };
        match self {
            Self::Sensors => draft.sensors(),
            Self::Fraud => draft.fraud(),
            Self::Network => draft.network(),
            Self::System => draft.system(),
            Self::Usage => (draft.usage(), draft.odd(1)),
            Self::Cells => (draft.cells(), draft.odd(1)),
            Self::Trace => draft.trace(),
        }
    }
}

/// Which rows are strange. Rows go round several things (`around` machines), and an anomaly stays with one of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Odd {
    stream: Stream,
    around: u64,
    how: Oddities,
}

impl Odd {
    fn number(self, row: u64) -> u64 {
        let step = row / self.around / self.how.length;
        step * self.around + row % self.around
    }

    /// Whether the row is strange.
    pub(crate) fn at(self, row: u64) -> bool {
        self.stream.hit(self.number(row), self.how.rate)
    }

    /// Which of `kinds` ways the row is strange in, if it is.
    fn kind(self, row: u64, kinds: u64) -> Option<u64> {
        // The low bits are not among those that decided whether it is strange.
        let way = || (self.stream.bits(self.number(row)) & 0x7ff) % kinds;
        self.at(row).then(way)
    }

    /// The strength, if the row is strange in this way, else 0.
    fn size(self, row: u64, way: u64, kinds: u64) -> f64 {
        if self.kind(row, kinds) == Some(way) {
            self.how.size
        } else {
            0.0
        }
    }
}

fn rounded(x: f64, unit: f64) -> f64 {
    (x * unit).round() / unit
}

fn numbered(prefix: &str, count: u64) -> Vec<String> {
    (1..=count).map(|i| format!("{prefix}{i:02}")).collect()
}

#[derive(Clone, Copy)]
struct Draft {
    seed: u64,
    odd: Oddities,
}

impl Draft {
    fn stream(self, column: &str) -> Stream {
        Stream::new(self.seed, column, "value")
    }

    fn odd(self, around: u64) -> Odd {
        Odd {
            stream: Stream::new(self.seed, "anomalies", "anomaly"),
            around,
            how: self.odd,
        }
    }
}
