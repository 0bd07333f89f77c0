//! The numbers of a run as Prometheus reads them: a fold over a snapshot, so nothing global is touched.

use dataflow_engine::metrics::{LATENCY_SECONDS, LatencyNumbers, SnapshotNumbers};
use dataflow_engine::{BadCount, ComponentNumbers, Numbers};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use prometheus::{Encoder, TextEncoder};

use crate::machine;

/// The numbers in Prometheus' text format.
pub fn text(pipeline: &str, numbers: &Numbers) -> String {
    let mut families = component_families(pipeline, numbers);
    families.extend(run_families(pipeline, numbers));
    let snapshots = numbers.snapshots.iter();
    families.extend(snapshots.flat_map(|snapshots| snapshot_families(pipeline, snapshots)));
    families.extend(process_families());
    families.retain(|family| !family.get_metric().is_empty());
    let mut text = Vec::new();
    // Encoding writes to memory; it fails on families without metrics, which were left out above.
    if TextEncoder::new().encode(&families, &mut text).is_err() {
        tracing::warn!("the metrics could not be written as text");
    }
    String::from_utf8(text).unwrap_or_default()
}

type Read = fn(&ComponentNumbers) -> f64;

/// Name, help, whether it is a counter, and how it is read.
const COMPONENT: [(&str, &str, bool, Read); 12] = [
    (
        "dataflow_rows_in_total",
        "Rows that a component took in.",
        true,
        |c| c.rows_in as f64,
    ),
    (
        "dataflow_rows_out_total",
        "Rows that a component wrote, bad ones left out.",
        true,
        |c| c.rows_out as f64,
    ),
    (
        "dataflow_batches_in_total",
        "Batches that a component took in.",
        true,
        |c| c.batches_in as f64,
    ),
    (
        "dataflow_batches_out_total",
        "Batches that a component wrote.",
        true,
        |c| c.batches_out as f64,
    ),
    (
        "dataflow_bytes_in_total",
        "Bytes of batches that a component took in.",
        true,
        |c| c.bytes_in as f64,
    ),
    (
        "dataflow_bytes_out_total",
        "Bytes of batches that a component wrote.",
        true,
        |c| c.bytes_out as f64,
    ),
    (
        "dataflow_busy_seconds_total",
        "Seconds of work, over all workers.",
        true,
        |c| c.busy_seconds,
    ),
    (
        "dataflow_blocked_seconds_total",
        "Seconds of waiting for room, over all workers.",
        true,
        |c| c.blocked_seconds,
    ),
    (
        "dataflow_late_rows_total",
        "Rows that came after everything that they belong to was written.",
        true,
        |c| c.late_rows as f64,
    ),
    ("dataflow_state_bytes", "Bytes of state held.", false, |c| {
        c.state_bytes as f64
    }),
    ("dataflow_state_keys", "Keys of state held.", false, |c| {
        c.keys as f64
    }),
    (
        "dataflow_spilled_bytes_total",
        "Bytes written to spill files.",
        true,
        |c| c.spilled_bytes as f64,
    ),
];

fn component_families(pipeline: &str, numbers: &Numbers) -> Vec<MetricFamily> {
    let mut families: Vec<MetricFamily> = COMPONENT
        .iter()
        .map(|(name, help, counts, read)| {
            let metrics = numbers
                .components
                .iter()
                .map(|c| metric(*counts, read(c), labels(pipeline, c, None)));
            family(name, help, *counts, metrics.collect())
        })
        .collect();
    families.push(by_reason(
        "dataflow_errors_total",
        "Bad rows by reason; the reason `any` stands for none so far.",
        (pipeline, numbers),
        |bad| bad.count,
    ));
    families.push(by_reason(
        "dataflow_discarded_rows_total",
        "Bad rows that were dropped rather than sent to a port, by reason; the reason `any` stands for none so far.",
        (pipeline, numbers),
        |bad| bad.dropped,
    ));
    families.push(by_port(pipeline, numbers));
    let inputs = numbers
        .components
        .iter()
        .filter(|c| c.label.family == "source");
    let read = inputs.map(|c| metric(true, c.input_bytes as f64, labels(pipeline, c, None)));
    families.push(family(
        "dataflow_input_bytes_total",
        "Bytes of input that a source has read.",
        true,
        read.collect(),
    ));
    families.extend(watermarks(pipeline, numbers));
    families.push(latencies(pipeline, numbers));
    families
}

fn by_reason(
    name: &str,
    help: &str,
    (pipeline, numbers): (&str, &Numbers),
    read: fn(&BadCount) -> u64,
) -> MetricFamily {
    let of = |c: &ComponentNumbers, reason: &str, count: u64| {
        metric(
            true,
            count as f64,
            labels(pipeline, c, Some(("reason", reason))),
        )
    };
    let metrics = numbers.components.iter().flat_map(|c| {
        let none = c.errors.is_empty().then(|| of(c, "any", 0));
        let counted = c.errors.iter().map(|bad| of(c, &bad.reason, read(bad)));
        none.into_iter().chain(counted).collect::<Vec<_>>()
    });
    family(name, help, true, metrics.collect())
}

/// Named outputs; the main one is what is left of all rows.
fn by_port(pipeline: &str, numbers: &Numbers) -> MetricFamily {
    let metrics = numbers.components.iter().flat_map(|c| {
        let named = c.rows_by_port.iter().filter(|(port, _)| !port.is_empty());
        named.map(move |(port, rows)| {
            metric(
                true,
                *rows as f64,
                labels(pipeline, c, Some(("port", port))),
            )
        })
    });
    family(
        "dataflow_port_rows_total",
        "Rows that left through a named output, whether something reads it or not.",
        true,
        metrics.collect(),
    )
}

/// How far components are in event time; those that do not go by it, or have not begun, are not there.
fn watermarks(pipeline: &str, numbers: &Numbers) -> [MetricFamily; 2] {
    let now = machine::now();
    let of = |read: &dyn Fn(f64) -> f64| {
        let known = numbers.components.iter().filter_map(|c| {
            let seconds = c.watermark? as f64 / 1e9;
            Some(metric(false, read(seconds), labels(pipeline, c, None)))
        });
        known.collect()
    };
    [
        family(
            "dataflow_watermark_timestamp_seconds",
            "The event time up to which what a component wrote is complete, in seconds since 1970.",
            false,
            of(&|time| time),
        ),
        family(
            "dataflow_watermark_lag_seconds",
            "By how much that is behind the clock of this machine.",
            false,
            of(&|time| now - time),
        ),
    ]
}

fn latencies(pipeline: &str, numbers: &Numbers) -> MetricFamily {
    let metrics = numbers.components.iter().map(|c| {
        let mut metric = Metric::from_label(labels(pipeline, c, None));
        metric.set_histogram(histogram(&c.latency));
        metric
    });
    let help = "Seconds that one call with a batch took: decoding it, or a stage's work on it.";
    let mut family = family(
        "dataflow_batch_latency_seconds",
        help,
        false,
        metrics.collect(),
    );
    family.set_field_type(MetricType::HISTOGRAM);
    family
}

fn histogram(latency: &LatencyNumbers) -> Histogram {
    let mut calls = 0;
    let buckets = LATENCY_SECONDS.iter().zip(&latency.calls);
    let buckets = buckets.map(|(bound, more)| {
        calls += more;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(calls);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(latency.calls.iter().sum());
    histogram.set_sample_sum(latency.seconds);
    histogram
}

fn run_families(pipeline: &str, numbers: &Numbers) -> Vec<MetricFamily> {
    let one = |value: f64| vec![metric(false, value, vec![label("pipeline", pipeline)])];
    let build = vec![
        label("pipeline", pipeline),
        label("version", env!("CARGO_PKG_VERSION")),
    ];
    vec![
        family(
            "dataflow_in_flight_bytes",
            "Bytes admitted and not yet consumed by every sink.",
            false,
            one(numbers.in_flight_bytes as f64),
        ),
        family(
            "dataflow_in_flight_limit_bytes",
            "The sources' share of the memory budget.",
            false,
            one(numbers.in_flight_limit as f64),
        ),
        family(
            "dataflow_memory_limit_bytes",
            "The memory budget for queues and state together.",
            false,
            one(numbers.memory_limit as f64),
        ),
        family(
            "dataflow_uptime_seconds",
            "Seconds since the run started.",
            false,
            one(numbers.seconds),
        ),
        family(
            "dataflow_build_info",
            "The version of the program; always 1.",
            false,
            vec![metric(false, 1.0, build)],
        ),
    ]
}

/// The snapshots of a run that makes some.
fn snapshot_families(pipeline: &str, snapshots: &SnapshotNumbers) -> Vec<MetricFamily> {
    let one = |name: &str, help: &str, counts: bool, value: f64| {
        let labels = vec![label("pipeline", pipeline)];
        family(name, help, counts, vec![metric(counts, value, labels)])
    };
    vec![
        one(
            "dataflow_snapshots_total",
            "Snapshots that are durable.",
            true,
            snapshots.count as f64,
        ),
        one(
            "dataflow_snapshot_bytes_total",
            "Bytes written for snapshots.",
            true,
            snapshots.bytes as f64,
        ),
        one(
            "dataflow_snapshot_duration_seconds",
            "How long the last snapshot took, from when it was due until it was durable.",
            false,
            snapshots.seconds,
        ),
        one(
            "dataflow_snapshot_age_seconds",
            "How long ago the last snapshot was durable; before the first, how long ago the run started.",
            false,
            snapshots.age,
        ),
    ]
}

fn process_families() -> Vec<MetricFamily> {
    let one = |counts: bool, value: f64| vec![metric(counts, value, Vec::new())];
    vec![
        family(
            "process_cpu_seconds_total",
            "Processor time used.",
            true,
            one(true, machine::cpu_seconds()),
        ),
        family(
            "process_resident_memory_bytes",
            "Memory held.",
            false,
            one(false, machine::memory() as f64),
        ),
        family(
            "process_open_fds",
            "Open file descriptors.",
            false,
            one(false, machine::open_files() as f64),
        ),
    ]
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_string());
    pair.set_value(value.to_string());
    pair
}

fn labels(
    pipeline: &str,
    component: &ComponentNumbers,
    more: Option<(&str, &str)>,
) -> Vec<LabelPair> {
    let mut labels = vec![
        label("component", &component.label.id),
        label("pipeline", pipeline),
        label("type", &component.label.type_name),
    ];
    labels.extend(more.map(|(name, value)| label(name, value)));
    labels
}

fn metric(counts: bool, value: f64, labels: Vec<LabelPair>) -> Metric {
    let mut metric = Metric::from_label(labels);
    if counts {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

fn family(name: &str, help: &str, counts: bool, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_string());
    family.set_help(help.to_string());
    family.set_field_type(if counts {
        MetricType::COUNTER
    } else {
        MetricType::GAUGE
    });
    family.set_metric(metrics);
    family
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataflow_engine::{Label, Metrics};

    #[test]
    fn counters_exist_from_the_start() {
        let label = Label {
            id: "cells".into(),
            type_name: "file".into(),
            family: "source",
            ports: vec![String::new(), "metadata".into()],
        };
        let metrics = Metrics::new(vec![label]);
        let before = text("fleet", &metrics.numbers());
        assert!(!before.contains("watermark"), "{before}");
        metrics.of(0).reached.at(1_500_000_000);
        let text = text("fleet", &metrics.numbers());
        let line =
            "dataflow_rows_out_total{component=\"cells\",pipeline=\"fleet\",type=\"file\"} 0";
        assert!(text.lines().any(|l| l == line), "{text}");
        for zero in [
            "dataflow_errors_total{component=\"cells\",pipeline=\"fleet\",type=\"file\",reason=\"any\"} 0",
            "dataflow_discarded_rows_total{component=\"cells\",pipeline=\"fleet\",type=\"file\",reason=\"any\"} 0",
            "dataflow_port_rows_total{component=\"cells\",pipeline=\"fleet\",type=\"file\",port=\"metadata\"} 0",
            "dataflow_late_rows_total{component=\"cells\",pipeline=\"fleet\",type=\"file\"} 0",
            "dataflow_watermark_timestamp_seconds{component=\"cells\",pipeline=\"fleet\",type=\"file\"} 1.5",
            "dataflow_memory_limit_bytes{pipeline=\"fleet\"} 0",
            "dataflow_in_flight_limit_bytes{pipeline=\"fleet\"} 0",
        ] {
            assert!(text.lines().any(|l| l == zero), "{zero}\n{text}");
        }
        assert!(text.contains("# TYPE dataflow_state_bytes gauge"));
        assert!(text.contains("dataflow_build_info{"));
        assert!(text.contains("# TYPE dataflow_batch_latency_seconds histogram"));
        let line = "dataflow_batch_latency_seconds_bucket{component=\"cells\",pipeline=\"fleet\",type=\"file\",le=\"0.001\"} 0";
        assert!(text.lines().any(|l| l == line), "{text}");
    }

    #[test]
    fn snapshots_are_told_where_some_are_made() {
        let metrics = Metrics::new(Vec::new());
        let none = text("fleet", &metrics.numbers());
        assert!(!none.contains("snapshot"), "{none}");
        metrics.watch_snapshots();
        let before = text("fleet", &metrics.numbers());
        for name in ["snapshots_total", "snapshot_bytes_total"] {
            let zero = format!("dataflow_{name}{{pipeline=\"fleet\"}} 0");
            assert!(before.lines().any(|l| l == zero), "{zero}\n{before}");
        }
        metrics.snapshot_begun();
        metrics.snapshot_durable(700);
        metrics.snapshot_begun();
        metrics.snapshot_durable(300);
        let text = text("fleet", &metrics.numbers());
        for line in [
            "dataflow_snapshots_total{pipeline=\"fleet\"} 2",
            "dataflow_snapshot_bytes_total{pipeline=\"fleet\"} 1000",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        let numbers = metrics.numbers().snapshots.expect("some are made");
        assert!(numbers.age >= 0.0 && numbers.age <= metrics.numbers().seconds);
        assert!(text.contains("# TYPE dataflow_snapshot_age_seconds gauge"));
        assert!(text.contains("# TYPE dataflow_snapshot_duration_seconds gauge"));
    }

    #[test]
    fn latencies_are_counted_up_to_each_bound() {
        let label = Label {
            id: "cells".into(),
            type_name: "file".into(),
            family: "source",
            ports: vec![String::new()],
        };
        let metrics = Metrics::new(vec![label]);
        for milliseconds in [0, 2, 2, 5_000] {
            let took = std::time::Duration::from_millis(milliseconds);
            metrics.of(0).latency.count(took);
        }
        let text = text("fleet", &metrics.numbers());
        let labels = "{component=\"cells\",pipeline=\"fleet\",type=\"file\"";
        for end in [
            format!("_bucket{labels},le=\"0.001\"}} 1"),
            format!("_bucket{labels},le=\"0.003\"}} 3"),
            format!("_bucket{labels},le=\"1\"}} 3"),
            format!("_bucket{labels},le=\"+Inf\"}} 4"),
            format!("_sum{labels}}} 5.004"),
            format!("_count{labels}}} 4"),
        ] {
            let line = format!("dataflow_batch_latency_seconds{end}");
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }
}
