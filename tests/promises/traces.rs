//! Traces: files of samples hold what other programs read in them, and the same bytes come out however they are read.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use dataflow_formats::npz::Npz;
use dataflow_formats::wav::Wav;
use dataflow_formats::{InputFile, ReadFormat};
use serde_json::Value;

use crate::sameness::{Setting, run, same};
use crate::time::json_lines;

const WORKERS: [usize; 3] = [1, 2, 3];
const BATCH_ROWS: [usize; 4] = [1, 7, 1000, 8192];

fn settings() -> impl Iterator<Item = Setting> {
    let all = WORKERS.into_iter().flat_map(|w| BATCH_ROWS.map(|b| (w, b)));
    all.map(|(workers, batch_rows)| Setting {
        workers,
        batch_rows,
        memory: "64MiB",
    })
}

/// The files that NumPy, SciPy and libsndfile wrote: see `oracles/trace_formats.py`.
pub(crate) fn oracles() -> PathBuf {
    crate::program::root().join("tests/oracles/trace_formats")
}

fn copied(path: &Path, settings: &str, outputs: &[&str]) -> String {
    let mut text = format!(
        "params = {{ out = \"\" }}\n[sources.trace]\ntype = \"file\"\npath = \"{}\"\n{settings}\n",
        path.display()
    );
    for (number, output) in outputs.iter().enumerate() {
        let _ = write!(
            text,
            "[sinks.copy{number}]\ntype = \"file\"\ninputs = [\"trace\"]\npath = \"${{out}}/{output}\"\n"
        );
    }
    text
}

/// A number as JSON lines and Python write it.
fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some(text) => text.parse().expect("a number's name"),
        None => value.as_f64().expect("a number"),
    }
}

/// The same number; one of few bits has as few digits as tell it from others.
fn is(found: f64, expected: f64) -> bool {
    let single = f64::from(expected as f32) == expected && found as f32 == expected as f32;
    found.to_bits() == expected.to_bits()
        || found == expected
        || single
        || found.is_nan() && expected.is_nan()
}

#[test]
fn files_hold_what_others_read_in_them() {
    let text = std::fs::read_to_string(oracles().join("expected.json")).expect("readable");
    let expected: Value = serde_json::from_str(&text).expect("JSON");
    for (name, expected) in expected.as_object().expect("files") {
        let file = name.split('#').next().expect("a name");
        let settings = expected["settings"].as_str().expect("settings");
        let text = copied(&oracles().join(file), settings, &["copy.jsonl"]);
        for setting in self::settings().step_by(5) {
            let (written, _) = run(&text, setting);
            let rows = json_lines(&written["copy.jsonl"]);
            let columns = expected["columns"].as_object().expect("columns");
            for (column, values) in columns {
                let values = values.as_array().expect("numbers");
                assert_eq!(rows.len(), values.len(), "{name}");
                for (row, value) in rows.iter().zip(values) {
                    let (found, value) = (number(&row[column]), number(value));
                    assert!(is(found, value), "{name} {column}: {found:?} {value:?}");
                }
            }
            let found: Vec<&String> = rows[0].as_object().expect("a row").keys().collect();
            assert_eq!(found, columns.keys().collect::<Vec<_>>(), "{name}");
        }
    }
}

#[test]
fn files_say_how_many_samples_there_are_in_a_second() {
    let text = std::fs::read_to_string(oracles().join("expected.json")).expect("readable");
    let expected: Value = serde_json::from_str(&text).expect("JSON");
    let mut told = 0;
    for (name, expected) in expected.as_object().expect("files") {
        let format: Box<dyn ReadFormat> = match name.rsplit_once('.').expect("an extension").1 {
            "npz" => Box::new(Npz::default()),
            "wav" => Box::new(Wav::default()),
            _ => continue,
        };
        let path = oracles().join(name);
        let file = InputFile {
            path: path.to_str().expect("a path of text").into(),
            bytes: None,
        };
        let sampling = format.inspect(&file).expect("readable").sampling;
        assert_eq!(
            sampling.map(|s| s.rate),
            expected["rate"].as_f64(),
            "{name}"
        );
        told += 1;
    }
    assert!(told > 8, "{told}");
}

#[test]
fn what_is_written_for_numpy_is_what_numpy_writes() {
    let plain = oracles().join("plain.npy");
    let text = copied(&plain, "", &["copy.npy"]);
    for setting in settings() {
        let (written, _) = run(&text, setting);
        let numpy = std::fs::read(&plain).expect("readable");
        assert!(written["copy.npy"] == numpy, "{setting:?}");
    }
}

/// Two channels of a signal, long enough for several pieces.
fn samples() -> Vec<u8> {
    let sample = |n: u32| (n.wrapping_mul(2_654_435_761) >> 16) as i16;
    (0..140_000_u32)
        .flat_map(|n| sample(n).to_le_bytes())
        .collect()
}

fn wave(samples: &[u8]) -> Vec<u8> {
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + samples.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0\x80\xbb\0\0\0\xee\x02\0\x04\0\x10\0data");
    bytes.extend((samples.len() as u32).to_le_bytes());
    bytes.extend(samples);
    bytes
}

#[test]
fn neither_workers_nor_batches_change_a_copy() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("x.raw"), samples()).expect("writes");
    std::fs::write(at("x.wav"), wave(&samples())).expect("writes");
    let raw = "format = { raw = { type = \"i16\", channels = [\"left\", \"right\"] } }";
    let one = Setting {
        workers: 1,
        batch_rows: 8192,
        memory: "64MiB",
    };
    let (made, _) = run(&copied(&at("x.raw"), raw, &["x.npy", "x.npz"]), one);
    for (name, bytes) in &made {
        std::fs::write(at(name), bytes).expect("writes");
    }
    for (name, more) in [("x.raw", raw), ("x.wav", ""), ("x.npy", ""), ("x.npz", "")] {
        let text = copied(&at(name), more, &["copy.npy", "copy.npz"]);
        let mut expected = None;
        for setting in settings() {
            let (written, report) = run(&text, setting);
            let source = &report.numbers.components[0];
            assert_eq!(
                (source.rows_out, source.rows_total),
                (70_000, Some(70_000)),
                "{name}"
            );
            let first = expected.get_or_insert_with(|| written.clone());
            same(first, &written, &format!("{name} {setting:?}"));
        }
        let expected = expected.expect("runs");
        if name != "x.wav" {
            assert!(expected["copy.npy"] == made["x.npy"], "{name}");
        }
        if name == "x.npz" {
            assert!(expected["copy.npz"] == made["x.npz"]);
        }
    }
}

#[test]
fn gaps_in_time_are_reported_and_no_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace.csv");
    let mut text = String::from("time,voltage,current\n");
    for row in 0..200_000_u32 {
        let missing = row / 60_000;
        let _ = writeln!(
            text,
            "{},{},0.5",
            f64::from(row + missing * 40) / 1e6,
            row % 7
        );
    }
    std::fs::write(&path, text).expect("writes");
    let pipeline = format!(
        "{}[transforms.most]\ntype = \"aggregate\"\ninputs = [\"trace\"]\ncompute.most = \"max(voltage)\"\n\
         [sinks.most_file]\ntype = \"file\"\ninputs = [\"most\"]\npath = \"${{out}}/most.csv\"\n",
        copied(&path, "sampling = { column = \"time\" }", &[])
    );
    for setting in settings().filter(|setting| setting.batch_rows > 1) {
        let (written, report) = run(&pipeline, setting);
        assert_eq!(written["most.csv"], b"most\n6\n");
        let expected = "steps of `time` are not 1/1000000 s, the first in front of row 60001";
        assert_eq!(
            report.numbers.components[0].notes,
            [(expected.to_string(), 3)],
            "{setting:?}"
        );
    }
}
