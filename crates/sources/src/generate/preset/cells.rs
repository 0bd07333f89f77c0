//! Battery cells that are charged and discharged again and again, and age.

use super::{Draft, numbered, rounded};
use crate::generate::column::Column;
use crate::generate::random::{Stream, turn};

impl Draft {
    pub(super) fn cells(self) -> Vec<Column> {
        let cycling = Cycling {
            health: self.stream("health"),
        };
        let (volts, amps, degrees) = (
            self.stream("voltage"),
            self.stream("current"),
            self.stream("temperature"),
        );
        let states = ["charging", "resting", "discharging"];
        vec![
            Column::texts("cell", numbered("cell-", Cycling::CELLS), |row| {
                Cycling::cell(row) as usize
            }),
            Column::whole("cycle_number", |row| Cycling::cycle(row) as i64),
            Column::numbers("test_time", move |row| {
                rounded(cycling.seconds(row), 1000.0)
            }),
            Column::texts("state", states, |row| match Cycling::phase(row) {
                Phase::Charging(_) => 0,
                Phase::Resting(_) => 1,
                Phase::Discharging(_) => 2,
            }),
            Column::numbers("current", move |row| {
                let noise = 0.000_2 * amps.normal(row);
                match Cycling::phase(row) {
                    Phase::Charging(_) => rounded(Cycling::CURRENT + noise, 10_000.0),
                    Phase::Resting(_) => 0.0,
                    Phase::Discharging(_) => rounded(-Cycling::CURRENT + noise, 10_000.0),
                }
            }),
            Column::numbers("voltage", move |row| {
                rounded(cycling.volts(row) + 0.000_5 * volts.normal(row), 10_000.0)
            }),
            Column::numbers("temperature", move |row| {
                let heat = match Cycling::phase(row) {
                    Phase::Charging(share) => 2.5 * share,
                    Phase::Resting(share) => 2.5 * (1.0 - share),
                    Phase::Discharging(share) => 5.0 * share,
                };
                rounded(25.0 + heat + 0.05 * degrees.normal(row), 100.0)
            }),
        ]
    }
}

/// Where a point stands in its cycle, with the share of the phase that is over.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Charging(f64),
    Resting(f64),
    Discharging(f64),
}

/// A cell that is charged, rests, is discharged and rests, and holds a little less each time.
#[derive(Clone, Copy)]
struct Cycling {
    health: Stream,
}

impl Cycling {
    const CELLS: u64 = 1000;
    const CYCLES: u64 = 100;
    const POINTS: u64 = 200;
    /// Amperes; a cell of 1 Ah at C/2.
    const CURRENT: f64 = 0.5;
    /// Seconds of a new cell's cycle.
    const SECONDS: f64 = 16_000.0;

    fn cell(row: u64) -> u64 {
        row / (Self::CYCLES * Self::POINTS) % Self::CELLS
    }

    /// From 1; when all cells had their turn, the first goes on with cycle 101.
    fn cycle(row: u64) -> u64 {
        let round = row / (Self::CELLS * Self::CYCLES * Self::POINTS);
        round * Self::CYCLES + row / Self::POINTS % Self::CYCLES + 1
    }

    fn phase(row: u64) -> Phase {
        let point = row % Self::POINTS;
        let share = |from: u64, points: u64| (point - from) as f64 / points as f64;
        match point {
            0..90 => Phase::Charging(share(0, 90)),
            90..100 => Phase::Resting(share(90, 10)),
            100..190 => Phase::Discharging(share(100, 90)),
            _ => Phase::Resting(share(190, 10)),
        }
    }

    /// What is left of a cell's capacity from one cycle to the next.
    fn kept(self, row: u64) -> f64 {
        1.0 - 0.000_2 - 0.000_6 * self.health.unit(Self::cell(row))
    }

    /// Seconds since the cell's first cycle began: a geometric sum of shrinking cycles.
    fn seconds(self, row: u64) -> f64 {
        let kept = self.kept(row);
        let before = kept.powf((Self::cycle(row) - 1) as f64);
        let whole = Self::SECONDS * (1.0 - before) / (1.0 - kept);
        whole + before * Self::SECONDS * turn(row, Self::POINTS)
    }

    fn volts(self, row: u64) -> f64 {
        let wear = 1.0 + 2.0 * (1.0 - self.kept(row).powf(Self::cycle(row) as f64));
        let open = |charge: f64| {
            3.3 + 0.75 * charge + 0.12 * (6.0 * (charge - 0.5)).tanh()
                - 0.35 * (-18.0 * charge).exp()
        };
        match Self::phase(row) {
            Phase::Charging(share) => open(share) + 0.06 * wear,
            Phase::Discharging(share) => open(1.0 - share) - 0.06 * wear,
            Phase::Resting(share) => {
                let full = row % Self::POINTS < 100;
                let left = 0.06 * wear * (-5.0 * share).exp();
                if full {
                    open(1.0) + left
                } else {
                    open(0.0) - left
                }
            }
        }
    }
}
