//! Pictures: the same bytes for any number of workers and any batch size, and the unit and the message where people look for them.

use dataflow::Pipeline;

use crate::sameness::{run, same, settings};

/// A picture of every kind: lines over a trace, its histogram, a bar for each machine, and a heat map.
const PIPELINE: &str = r#"
[params]
out = ""

[sources.trace]
type = "generate"
preset = "trace"
rows = 20_000

[sources.machines]
type = "generate"
preset = "sensors"
rows = 20_000

[transforms.intervals]
type = "aggregate"
inputs = ["trace"]
compute.value = "histogram(value, bins => 50, range => [-4, 4])"

[transforms.fields]
type = "unnest"
inputs = ["intervals"]
column = "value"

[transforms.elements]
type = "unnest"
inputs = ["fields"]
column = "bins"

[transforms.bins]
type = "unnest"
inputs = ["elements"]
column = "bins"

[transforms.means]
type = "aggregate"
inputs = ["machines"]
by = ["device"]
compute.temperature = "mean(temperature)"

[sinks.line]
type = "plot"
inputs = ["trace"]
path = ["${out}/line.png", "${out}/line.svg"]
kind = "line"
x = "time"
y = "value"
x_unit = "s"
y_unit = "V"
marks = "is_anomaly"

[sinks.series]
type = "plot"
inputs = ["machines"]
path = ["${out}/series.png", "${out}/series.svg"]
kind = "line"
x = "timestamp"
y = "temperature"
by = "device"
theme = "dark"

[sinks.histogram]
type = "plot"
inputs = ["bins"]
path = ["${out}/histogram.png", "${out}/histogram.svg"]
kind = "histogram"
y_scale = "log"

[sinks.bars]
type = "plot"
inputs = ["means"]
path = ["${out}/bars.png", "${out}/bars.svg"]
kind = "bars"
x = "device"
y = "temperature"

[sinks.heat]
type = "plot"
inputs = ["machines"]
path = ["${out}/heat.png", "${out}/heat.svg"]
kind = "heatmap"
x = "temperature"
y = "vibration"
value = "current"
combine = "mean"
"#;

#[test]
fn pictures_are_the_same_for_any_workers_and_batches() {
    let mut expected = None;
    for setting in settings("256MiB") {
        let (written, report) = run(PIPELINE, setting);
        assert_eq!(written.len(), 10, "{report:?}");
        let first = expected.get_or_insert_with(|| written.clone());
        same(first, &written, &format!("{setting:?}"));
    }
    let written = expected.expect("some");
    let line = String::from_utf8_lossy(&written["line.svg"]);
    assert!(line.contains(">time (ms)<") && line.contains(">value (V)<"));
    let series = String::from_utf8_lossy(&written["series.svg"]);
    assert!(series.contains(">timestamp (UTC)<") && series.contains("`device` has more values"));
    assert!(written["heat.png"].starts_with(b"\x89PNG"));
}

#[test]
fn a_wrong_column_is_told_before_the_run() {
    let wrong = PIPELINE.replace("y = \"value\"", "y = \"valeu\"");
    let pipeline = Pipeline::from_text(wrong).set("out", "out");
    let error = pipeline.load().err().expect("wrong").to_string();
    assert!(
        error.contains("there is no column `valeu`") && error.contains("did you mean `value`?"),
        "{error}"
    );
}
