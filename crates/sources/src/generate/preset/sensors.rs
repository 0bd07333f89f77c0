//! 20 machines that work in a rhythm, get warm by day, and run hot, shake or draw too much current now and then.

use super::{Draft, Odd, SECOND, START, numbered, rounded};
use crate::generate::column::Column;
use crate::generate::random::turn;

impl Draft {
    pub(super) fn sensors(self) -> (Vec<Column>, Odd) {
        const MACHINES: u64 = 20;
        let odd = self.odd(MACHINES);
        let machine = |row: u64| row % MACHINES;
        let step = |row: u64| row / MACHINES;
        let (work, warmth) = (self.stream("work"), self.stream("warmth"));
        let (temperature, vibration) = (self.stream("temperature"), self.stream("vibration"));
        let (voltage, current) = (self.stream("voltage"), self.stream("current"));
        // What the machine does now, -1 to 1: a ten-minute rhythm of its own.
        let load = move |row| work.wave(machine(row), turn(step(row), 600));
        let day = move |row| warmth.wave(machine(row) + MACHINES, turn(step(row), 86_400));
        let columns = vec![
            Column::times("timestamp", move |row| START + step(row) as i64 * SECOND),
            Column::texts("device", numbered("device-", MACHINES), move |row| {
                machine(row) as usize
            }),
            Column::numbers("temperature", move |row| {
                let base = 58.0 + 16.0 * warmth.unit(machine(row));
                let noise = 0.4 * temperature.normal(row);
                let heat = 1.5 * odd.size(row, 0, 3);
                rounded(
                    base + 3.0 * day(row) + 4.0 * load(row) + noise + heat,
                    100.0,
                )
            })
            .with_nulls(self.seed, 0.001),
            Column::numbers("vibration", move |row| {
                let calm = 0.35 + 0.1 * load(row) + 0.03 * vibration.normal(row);
                let shaking = 1.0 + 0.25 * odd.size(row, 1, 3);
                rounded(calm.abs() * shaking, 10_000.0)
            }),
            Column::numbers("voltage", move |row| {
                let sag = 2.0 * odd.size(row, 2, 3);
                rounded(
                    230.0 - 1.5 * load(row) + 0.4 * voltage.normal(row) - sag,
                    100.0,
                )
            }),
            Column::numbers("current", move |row| {
                let surge = 0.3 * odd.size(row, 2, 3);
                rounded(
                    5.0 + 1.2 * load(row) + 0.08 * current.normal(row) + surge,
                    1000.0,
                )
            }),
        ];
        (columns, odd)
    }
}
