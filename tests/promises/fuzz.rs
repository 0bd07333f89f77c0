//! Bytes that nobody meant: every parser takes anything without a panic, for as long as `FUZZ_SECONDS` says.
//!
//! Inputs are mutations of good ones (bytes changed, cut, doubled, pieces of other inputs put in), from a fixed seed and then
//! on and on, so that a longer run tries more. A failure prints the input.

use std::time::{Duration, Instant};

use dataflow::core::{Place, Wanted};
use dataflow::{Catalog, describe};
use dataflow_formats::npy::Npy;
use dataflow_formats::npz::Npz;
use dataflow_formats::raw::{Raw, RawType};
use dataflow_formats::wav::Wav;
use dataflow_formats::{InputFile, ReadFormat, Request};

/// A small generator of pseudo-random numbers (Steele, Lea and Flood's SplitMix64).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below.max(1) as u64) as usize
    }
}

fn mutate(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[dice.throw(seeds.len())].clone();
    for _ in 0..=dice.throw(6) {
        let at = dice.throw(bytes.len() + 1);
        let end = (at + dice.throw(20)).min(bytes.len());
        match dice.throw(6) {
            0 if at < bytes.len() => bytes[at] = dice.throw(256) as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << dice.throw(8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let other = &seeds[dice.throw(seeds.len())];
                let from = dice.throw(other.len() + 1);
                let to = (from + dice.throw(40)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let tokens = [
                    "\"", "'", "\n", "\r\n", ",", "${", "}", "[[", "\\u", "\u{feff}", "1e999",
                    "-0", "null", "\0", "é",
                ];
                let token = tokens[dice.throw(tokens.len())];
                bytes.splice(at..at, token.bytes());
            }
        }
    }
    bytes
}

/// Feeds mutations to `target` for the asked time, and at least a thousand of them.
fn fuzz(name: &str, seeds: &[Vec<u8>], target: impl Fn(&[u8])) {
    let seconds = std::env::var("FUZZ_SECONDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(2.0);
    let (started, time) = (Instant::now(), Duration::from_secs_f64(seconds));
    let mut dice = Dice(1);
    let mut tried = 0;
    while tried < 1000 || started.elapsed() < time {
        let input = mutate(&mut dice, seeds);
        let run = std::panic::AssertUnwindSafe(|| target(&input));
        if std::panic::catch_unwind(run).is_err() {
            panic!(
                "{name} failed on input {tried}: {:?}",
                String::from_utf8_lossy(&input)
            );
        }
        tried += 1;
    }
    println!("{name}: {tried} inputs");
}

fn texts(seeds: &[&str]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
}

#[test]
fn pipeline_files() {
    let catalog = Catalog::default();
    let mut seeds: Vec<Vec<u8>> = describe::SCAFFOLDS
        .iter()
        .map(|(_, _, text)| text.as_bytes().to_vec())
        .collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines");
    for entry in std::fs::read_dir(folder).expect("pipelines/").flatten() {
        seeds.push(std::fs::read(entry.path()).expect("readable"));
    }
    fuzz("pipeline files", &seeds, |input| {
        describe::fuzz(input, catalog.components())
    });
}

#[test]
fn expressions() {
    let catalog = Catalog::default();
    let seeds = texts(&[
        "x > 1 and y is not null",
        "case when text like 'a%' then cast(text as bigint) else 1 / x end",
        "sum(x) filter (where y in (1, 2, 3)) / count(*)",
        "json_get(text, 'a', 0) || substring(text from 2 for 3)",
        "extract(epoch from time) - interval '1 hour' between $a and 5",
        "quantiles(x, [0.1, 0.5]) , max(\"odd name\")",
    ]);
    fuzz("expressions", &seeds, |input| {
        let text = String::from_utf8_lossy(input)
            .replace('\'', "''")
            .replace('\n', " ");
        let pipeline = format!(
            "[sources.s]\ntype='generate'\nrows=1\ncolumns={{x={{kind='sequence'}},text={{kind='constant',value='t'}}}}\n\
             [transforms.f]\ntype='filter'\ninputs=['s']\nwhere='''{text}'''\n\
             [transforms.a]\ntype='aggregate'\ninputs=['s']\ncompute.v='''{text}'''\n"
        );
        describe::fuzz(pipeline.as_bytes(), catalog.components());
    });
}

#[test]
fn csv() {
    let seeds = texts(&[
        "\0a,b,c\n1,2.5,x\n\"q\"\"q\",,\"two\nlines\"\n",
        "\u{10}a;b\n1,5;2025-01-01T00:00:00Z\n",
        "\u{8}# note\na\n1\n\n2\n",
    ]);
    fuzz("csv", &seeds, dataflow_formats::csv::fuzz);
}

#[test]
fn json_lines() {
    let seeds = texts(&[
        "{\"a\":1,\"b\":{\"c\":[1,2.5e3,null]},\"d\":\"x\\u00e9\\n\"}\n{\"a\":null}\n",
        "{\"t\":\"2025-01-01T00:00:00Z\"}\n\n{\"t\":true}\n",
    ]);
    fuzz("json lines", &seeds, dataflow_formats::jsonl::fuzz);
}

/// Reads a file with these bytes to its end, or to what is wrong with it.
fn read(format: &dyn ReadFormat, bytes: &[u8], path: &std::path::Path) -> dataflow::Result<u64> {
    std::fs::write(path, bytes).expect("writes");
    let file = InputFile {
        path: path.to_str().expect("a path of text").into(),
        bytes: Some(bytes.len() as u64),
    };
    let reading = format.reading(&Request {
        columns: format.inspect(&file)?.schema,
        wanted: Wanted::default(),
    })?;
    let mut cutter = reading.cutter(&file, 0, Place::default())?;
    let (mut reader, mut rows) = (reading.reader(), 0);
    while let Some(piece) = cutter.next()? {
        // No head makes anybody take more than a piece may be.
        assert!(piece.bytes < 40 << 20, "{}", piece.bytes);
        reader.open(&file, piece)?;
        while let Some(decoded) = reader.next(8192)? {
            rows += decoded
                .batches
                .iter()
                .map(|(_, b)| b.len() as u64)
                .sum::<u64>();
        }
        // What is compressed may be long.
        if rows > 1 << 20 {
            break;
        }
    }
    Ok(rows)
}

/// Mutations of the files that other programs wrote.
fn fuzz_files(name: &str, extension: &str, format: &dyn ReadFormat) {
    let folder = std::fs::read_dir(crate::traces::oracles()).expect("a folder");
    let paths = folder.map(|entry| entry.expect("an entry").path());
    let of_kind = paths.filter(|path| path.extension().is_some_and(|e| e == extension));
    let mut seeds: Vec<Vec<u8>> = of_kind
        .map(|path| std::fs::read(path).expect("readable"))
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{name}");
    let scratch = tempfile::tempdir().expect("a folder");
    let path = scratch.path().join("x");
    fuzz(name, &seeds, |input| drop(read(format, input, &path)));
}

#[test]
fn arrays() {
    fuzz_files("npy", "npy", &Npy {});
}

#[test]
fn archives_of_arrays() {
    fuzz_files("npz", "npz", &Npz::default());
}

#[test]
fn waves() {
    fuzz_files("wav", "wav", &Wav::default());
}

#[test]
fn raw_samples() {
    fuzz_files("raw", "f32", &Raw::of(RawType::F32));
}
