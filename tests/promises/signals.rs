//! Signals: spectra and statistics of a trace are the same for any workers and pieces, wherever it lies, and take no more memory for a
//! longer one.

use std::fmt::Write as _;
use std::path::Path;

use dataflow::Pipeline;

use crate::memory::{constant, peak};
use crate::program;
use crate::sameness::{Setting, Written, read, run, same};

/// A triangle, noise of a linear congruential generator, and a spike.
fn signal(samples: usize) -> Vec<f64> {
    let mut state = 12345_u64;
    let sample = |i: usize| {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        let spike = if i == samples / 3 { 5.0 } else { 0.0 };
        (i % 50) as f64 / 25.0 - 1.0 + (state as f64 / (1_u64 << 31) as f64 - 0.5) + spike
    };
    (0..samples).map(sample).collect()
}

/// The signal in a file of numbers and nothing else, and as text.
fn written(folder: &Path, samples: &[f64]) -> [String; 2] {
    let raw = folder.join("trace.f64");
    let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(&raw, bytes).expect("written");
    let text = folder.join("trace.csv");
    let mut lines = String::from("value\n");
    for x in samples {
        writeln!(lines, "{x:?}").expect("text");
    }
    std::fs::write(&text, lines).expect("written");
    [raw, text].map(|path| path.to_str().expect("text").to_string())
}

fn source(path: &str) -> String {
    format!("[sources.trace]\ntype = \"file\"\npath = \"{path}\"\nsampling = {{ rate = 1e4 }}\n")
}

/// Everything that is made of a trace, into files.
pub(crate) const SIGNALS: &str = r#"
[transforms.whole]
type = "aggregate"
inputs = ["trace"]
compute.mean = "mean(value)"
compute.std = "std(value, ddof => 0)"
compute.rms = "rms(value)"
compute.crest = "crest_factor(value)"
compute.crossings = "zero_crossings(value)"
compute.histogram = "histogram(value)"
compute.welch = "welch(value, 256)"
compute.median = "welch(value, 128, average => 'median', noverlap => 100)"
compute.spectrum = "spectrum(value, 1000, window => 'flattop')"
compute.every_third = "welch(value, 64) filter (where value > 0.0)"
[transforms.windows]
type = "aggregate"
inputs = ["trace"]
window = { type = "count", size = 3000 }
compute.welch = "welch(value, 256)"
compute.periodogram = "periodogram(value)"
compute.crossings = "zero_crossings(value)"
[transforms.spectrogram]
type = "spectrogram"
inputs = ["trace"]
column = "value"
segment = 256
overlap = 200
decibels = true
[transforms.low]
type = "iir"
inputs = ["trace"]
columns = ["value"]
design = { type = "butterworth", kind = "lowpass", order = 8, cutoff = 500.0 }
[transforms.smooth]
type = "fir"
inputs = ["low"]
columns = ["value"]
design = { kind = "lowpass", cutoff = 800.0, taps = 31 }
[transforms.mean]
type = "moving_average"
inputs = ["smooth"]
columns = ["value"]
samples = 25
[transforms.fewer]
type = "decimate"
inputs = ["mean"]
columns = ["value"]
factor = 4
[transforms.straight]
type = "detrend"
inputs = ["fewer"]
columns = ["value"]
samples = 700
kind = "linear"
[transforms.found]
type = "find"
inputs = ["trace"]
kind = "peaks"
columns = ["value"]
distance = 20
prominence = 0.5
wlen = 101
[sinks.filtered]
type = "file"
inputs = ["straight"]
path = "${out}/filtered.csv"
[sinks.events]
type = "file"
inputs = ["found"]
path = "${out}/events.csv"
[sinks.whole_file]
type = "file"
inputs = ["whole"]
path = "${out}/whole.jsonl"
[sinks.windows_file]
type = "file"
inputs = ["windows"]
path = "${out}/windows.jsonl"
[sinks.rows]
type = "file"
inputs = ["spectrogram"]
path = "${out}/spectrogram.parquet"
[sinks.arrays]
type = "file"
inputs = ["spectrogram"]
path = "${out}/spectrogram.npz"
[sinks.picture]
type = "plot"
inputs = ["spectrogram"]
path = ["${out}/spectrogram.png", "${out}/spectrogram.svg"]
kind = "heatmap"
x = "time"
y = "power"
[sinks.line]
type = "plot"
inputs = ["trace"]
path = ["${out}/trace.png", "${out}/trace.svg"]
kind = "line"
y = "value"
"#;

#[test]
fn spectra_are_the_same_for_any_workers_and_pieces() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first: Option<Written> = None;
    for path in written(folder.path(), &signal(30_000)) {
        let text = format!("[params]\nout = \"out\"\n{}{SIGNALS}", source(&path));
        for workers in [1, 2, 3] {
            for batch_rows in [1, 7, 1000, 8192] {
                let setting = Setting {
                    workers,
                    batch_rows,
                    memory: "256MiB",
                };
                let (written, _) = run(&text, setting);
                assert_eq!(written.len(), 10);
                let picture = String::from_utf8_lossy(&written["trace.svg"]);
                assert!(picture.contains("time (s)"), "{picture}");
                let first = first.get_or_insert_with(|| written.clone());
                same(first, &written, &format!("{path} {setting:?}"));
            }
        }
    }
}

#[test]
fn longer_traces_take_the_same_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |rows: u64| {
        let source = format!(
            "[engine]\nworkers = 2\nmemory = \"32MiB\"\n[sources.trace]\ntype = \"generate\"\npreset = \"trace\"\nrows = {rows}\n"
        );
        let body = r#"
[transforms.whole]
type = "aggregate"
inputs = ["trace"]
compute.std = "std(value)"
compute.crossings = "zero_crossings(value)"
compute.histogram = "histogram(value)"
compute.welch = "welch(value, 4096)"
[transforms.spectrogram]
type = "spectrogram"
inputs = ["trace"]
column = "value"
segment = 4096
[sinks.none]
type = "null"
inputs = ["whole"]
[sinks.picture]
type = "plot"
inputs = ["spectrogram"]
path = "spectrogram.png"
kind = "heatmap"
x = "time"
y = "power"
[sinks.arrays]
type = "file"
inputs = ["spectrogram"]
path = "spectrogram.npz"
"#;
        peak(folder.path(), &format!("{source}{body}"), &[])
    };
    constant("spectra of a trace", of(4_000_000), of(16_000_000));
}

#[test]
fn ready_pipelines_take_a_signal_of_any_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scope.csv");
    let mut text = String::from("time,voltage\n");
    for (i, x) in signal(6000).into_iter().enumerate() {
        writeln!(text, "{},{x:?}", i as f64 / 1e4).expect("text");
    }
    std::fs::write(&path, text).expect("written");
    for (name, files) in [("waveform", 12), ("spectrogram", 4), ("events", 1)] {
        let pipeline = program::root().join(format!("pipelines/{name}.toml"));
        let text = std::fs::read_to_string(pipeline).expect("a ready pipeline");
        let out = tempfile::tempdir().expect("a folder");
        let loaded = Pipeline::from_text(text)
            .set("data", path.to_str().expect("text"))
            .set("signal", "voltage")
            .set("rate", "1e4")
            .set("out", out.path().to_str().expect("text"))
            .load();
        let pipeline = loaded.unwrap_or_else(|error| panic!("{name}: {error}"));
        pipeline
            .run()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read(out.path()).len(), files, "{name}");
    }
}
