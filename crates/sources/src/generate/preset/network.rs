//! Flows through a firewall, with scans and floods among them.

use super::{Draft, Odd, START, rounded};
use crate::generate::column::{Column, weighted};

impl Draft {
    pub(super) fn network(self) -> (Vec<Column>, Odd) {
        const PORTS: [i64; 7] = [443, 80, 53, 22, 5432, 25, 123];
        const PORT_BOUNDS: [f64; 7] = [0.52, 0.7, 0.86, 0.91, 0.95, 0.98, 1.0];
        let odd = self.odd(1);
        let (sources, destinations) = (
            self.stream("source_address"),
            self.stream("destination_address"),
        );
        let (ports, sizes) = (self.stream("port"), self.stream("bytes"));
        let (durations, jitter) = (self.stream("duration"), self.stream("timestamp"));
        let address = |net: &'static str, count: u64| {
            (0..count).map(move |i| format!("{net}.{}.{}", i / 250, i % 250 + 1))
        };
        // Two ways to attack: a scan of ports (0) and a flood (1).
        let port = move |row| match odd.kind(row, 2) {
            Some(0) => 1 + ports.below(row, 65_535) as i64,
            Some(_) => 80,
            None => PORTS[weighted(&PORT_BOUNDS, ports.unit(row))],
        };
        let bytes = move |row| {
            let usual = 1500.0 * (1.4 * sizes.normal(row)).exp();
            match odd.kind(row, 2) {
                Some(0) => 40 + sizes.below(row, 24) as i64,
                Some(_) => (usual * (1.0 + odd.how.size * odd.how.size)) as i64 + 40,
                None => usual as i64 + 40,
            }
        };
        let columns = vec![
            Column::times("timestamp", move |row| {
                START + row as i64 * 1_000_000 + jitter.below(row, 1_000_000) as i64
            }),
            Column::texts("source_address", address("10.0", 500), move |row| {
                match odd.kind(row, 2) {
                    // Scans come from few hosts.
                    Some(0) => sources.below(row, 3) as usize,
                    _ => sources.below(row, 500) as usize,
                }
            }),
            Column::texts("destination_address", address("172.16", 60), move |row| {
                destinations.below(row, 60) as usize
            }),
            Column::whole("port", port),
            Column::texts("protocol", ["tcp", "udp"], move |row| {
                usize::from(matches!(port(row), 53 | 123))
            }),
            Column::whole("bytes", bytes),
            Column::whole("packets", move |row| bytes(row) / 900 + 1),
            Column::numbers("duration", move |row| {
                let usual = 0.08 * (1.1 * durations.normal(row)).exp();
                rounded(usual, 1_000_000.0)
            }),
        ];
        (columns, odd)
    }
}
