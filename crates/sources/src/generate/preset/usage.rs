//! Hourly usage of a cluster's pods as cost reports hold it.

use super::{Draft, SECOND, START, numbered, rounded};
use crate::generate::column::Column;
use crate::generate::random::{Stream, turn};

impl Draft {
    pub(super) fn usage(self) -> Vec<Column> {
        const PODS: u64 = 500;
        const NODES: u64 = 12;
        const NAMESPACES: [&str; 10] = [
            "analytics",
            "api",
            "billing",
            "build",
            "frontend",
            "kube-system",
            "monitoring",
            "search",
            "storage",
            "web",
        ];
        const HOUR: f64 = 3600.0;
        const GIB: f64 = 1_073_741_824.0;
        let pod = |row: u64| row % PODS;
        let hour = |row: u64| row / PODS;
        let homes = self.stream("homes");
        let (cpus, memories) = (self.stream("cpu_usage"), self.stream("memory_usage"));
        let namespace = move |pod: u64| homes.below(pod, 10) as usize;
        let node = move |pod: u64| homes.below(pod + PODS, NODES);
        // What a pod asked for: quarters of a core and of a gibibyte.
        let cores = move |row| 0.25 * (1 + homes.below(pod(row) + 2 * PODS, 16)) as f64;
        let gibs = move |row| 0.25 * (1 + homes.below(pod(row) + 3 * PODS, 32)) as f64;
        let capacity = |node: u64| {
            if node.is_multiple_of(3) {
                (32.0, 128.0)
            } else {
                (16.0, 64.0)
            }
        };
        let used = move |stream: Stream, row: u64| {
            let day = 0.5 + 0.25 * stream.wave(pod(row), turn(hour(row), 24));
            (day * (0.25 * stream.normal(row + PODS)).exp()).min(1.9)
        };
        let labels = (0..PODS).map(move |pod| {
            let tier = ["gold", "silver", "bronze"][(pod % 3) as usize];
            let name = NAMESPACES[namespace(pod)];
            format!("{{\"app\":\"{name}-{}\",\"tier\":\"{tier}\"}}", pod % 7)
        });
        let pods = (0..PODS).map(move |pod| format!("{}-{pod:03}", NAMESPACES[namespace(pod)]));
        vec![
            Column::times("interval_start", move |row| {
                START + hour(row) as i64 * 3600 * SECOND
            }),
            Column::texts("namespace", NAMESPACES, move |row| namespace(pod(row))),
            Column::texts("node", numbered("node-", NODES), move |row| {
                node(pod(row)) as usize
            }),
            Column::texts("pod", pods, move |row| pod(row) as usize),
            Column::numbers("pod_usage_cpu_core_seconds", move |row| {
                rounded(cores(row) * HOUR * used(cpus, row), 10.0)
            }),
            Column::numbers("pod_request_cpu_core_seconds", move |row| cores(row) * HOUR),
            Column::numbers("pod_limit_cpu_core_seconds", move |row| {
                2.0 * cores(row) * HOUR
            }),
            Column::numbers("pod_usage_memory_byte_seconds", move |row| {
                (gibs(row) * GIB * HOUR * used(memories, row)).round()
            }),
            Column::numbers("pod_request_memory_byte_seconds", move |row| {
                gibs(row) * GIB * HOUR
            }),
            Column::numbers("pod_limit_memory_byte_seconds", move |row| {
                2.0 * gibs(row) * GIB * HOUR
            }),
            Column::numbers("node_capacity_cpu_core_seconds", move |row| {
                capacity(node(pod(row))).0 * HOUR
            }),
            Column::numbers("node_capacity_memory_byte_seconds", move |row| {
                capacity(node(pod(row))).1 * GIB * HOUR
            }),
            Column::texts("pod_labels", labels, move |row| pod(row) as usize),
        ]
    }
}
