//! Hosts with processors, memory and disks, where processes run away, leak or storm the disk now and then.

use super::{Draft, Odd, SECOND, START, numbered, rounded};
use crate::generate::column::Column;
use crate::generate::random::{Stream, turn};

impl Draft {
    pub(super) fn system(self) -> (Vec<Column>, Odd) {
        const HOSTS: u64 = 10;
        let odd = self.odd(HOSTS);
        let host = |row: u64| row % HOSTS;
        let step = |row: u64| row / HOSTS;
        let habits = self.stream("habits");
        let (cpus, memories) = (self.stream("cpu"), self.stream("memory"));
        let (loads, networks) = (self.stream("load"), self.stream("network"));
        let (reads, writes) = (self.stream("disk_read"), self.stream("disk_write"));
        let busy = move |row: u64| {
            let day = 0.18 * habits.wave(host(row), turn(step(row), 8640));
            0.15 + 0.35 * habits.unit(host(row) + HOSTS) + day.abs()
        };
        let cpu = move |row| {
            let runaway = 8.0 * odd.size(row, 0, 3);
            (100.0 * busy(row) + 4.0 * cpus.normal(row) + runaway).clamp(0.0, 100.0)
        };
        let traffic = move |stream: Stream, row: u64, scale: f64| {
            (scale * busy(row) * (0.5 * stream.normal(row)).exp()) as i64
        };
        let columns = vec![
            Column::times("timestamp", move |row| {
                START + step(row) as i64 * 10 * SECOND
            }),
            Column::texts("host", numbered("host-", HOSTS), move |row| {
                host(row) as usize
            }),
            Column::numbers("cpu", move |row| rounded(cpu(row), 10.0)),
            Column::numbers("memory", move |row| {
                let leak = 4.0 * odd.size(row, 1, 3);
                let base = 35.0 + 30.0 * habits.unit(host(row) + 2 * HOSTS);
                rounded(
                    (base + 0.8 * memories.normal(row) + leak).clamp(0.0, 100.0),
                    10.0,
                )
            }),
            Column::numbers("load", move |row| {
                let load = 0.08 * cpu(row) * (1.0 + 0.1 * loads.normal(row));
                rounded(load.max(0.0), 100.0)
            }),
            Column::whole("disk_read", move |row| {
                let storm = 1.0 + 2.0 * odd.size(row, 2, 3);
                (traffic(reads, row, 4e6) as f64 * storm) as i64
            }),
            Column::whole("disk_write", move |row| traffic(writes, row, 9e6)),
            Column::whole("network", move |row| traffic(networks, row, 3e7)),
        ];
        (columns, odd)
    }
}
