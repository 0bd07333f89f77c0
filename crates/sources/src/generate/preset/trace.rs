//! A waveform as an oscilloscope's 12-bit converter sees it.

use super::{Draft, Odd, rounded};
use crate::generate::column::Column;
use crate::generate::random::{turn, wave};

/// Samples per second.
pub(super) const RATE: f64 = 1e6;

impl Draft {
    pub(super) fn trace(self) -> (Vec<Column>, Odd) {
        let odd = self.odd(1);
        let noise = self.stream("voltage");
        let columns = vec![
            Column::numbers("time", |row| row as f64 / RATE),
            Column::numbers("value", move |row| {
                let tone = wave(turn(row, 1000)) + 0.05 * wave(turn(row, 20));
                let up = if odd.kind(row, 2) == Some(0) {
                    -1.0
                } else {
                    1.0
                };
                let glitch = if odd.at(row) {
                    up * 0.3 * odd.how.size
                } else {
                    0.0
                };
                // A 12-bit converter over -5 V to 5 V.
                rounded(tone + 0.01 * noise.normal(row) + glitch, 409.6)
            }),
        ];
        (columns, odd)
    }
}
