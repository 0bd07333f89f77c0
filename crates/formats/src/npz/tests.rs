//! Tests of reading NPZ: which arrays are columns, the rate, compressed members, and archives that lie.

use std::io::Write;

use flate2::{Compression, Crc};

use super::*;
use crate::npy::tests::array;
use crate::samples::testing::{Written, failure, lines, read, tried, written};

/// An archive of members; those of which that is said are compressed.
pub(crate) fn archive(members: &[(&str, Vec<u8>, bool)]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, data, deflated) in members {
        let packed = match deflated {
            true => {
                let mut encoder =
                    flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(data).expect("compresses");
                encoder.finish().expect("compresses")
            }
            false => data.clone(),
        };
        let mut crc = Crc::new();
        crc.update(data);
        let mut common = vec![20, 0, 0, 0, if *deflated { 8 } else { 0 }, 0, 0, 0, 0x21, 0];
        common.extend(crc.sum().to_le_bytes());
        common.extend((packed.len() as u32).to_le_bytes());
        common.extend((data.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend((bytes.len() as u32).to_le_bytes());
        directory.extend(name.bytes());
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&common);
        bytes.extend(name.bytes());
        bytes.extend(packed);
    }
    let start = bytes.len() as u32;
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    let count = (members.len() as u16).to_le_bytes();
    bytes.extend([count, count].concat());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

fn floats(values: &[f64]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    array("'<f8'", false, &format!("({},)", values.len()), &data)
}

fn scalar(value: i64) -> Vec<u8> {
    array("'<i8'", false, "()", &value.to_le_bytes())
}

fn file(members: &[(&str, Vec<u8>, bool)]) -> Written {
    written("x.npz", &archive(members))
}

fn shown(npz: &Npz, file: &Written) -> Vec<String> {
    let all = lines(&read(npz, file, 100));
    assert_eq!(all, lines(&read(npz, file, 1)));
    all
}

fn of(names: &[&str]) -> Npz {
    Npz {
        array: Some(Arrays::Many(names.iter().map(|n| n.to_string()).collect())),
    }
}

#[test]
fn arrays_of_the_greatest_length_are_columns() {
    for deflated in [false, true] {
        let file = file(&[
            ("time.npy", floats(&[0.0, 0.5, 1.0]), deflated),
            (
                "notes.npy",
                array("'<U1'", false, "(9,)", &[0; 36]),
                deflated,
            ),
            ("signal.npy", floats(&[1.0, f64::NAN, -1.0]), false),
            ("window.npy", floats(&[7.0]), deflated),
            ("fs.npy", scalar(2), deflated),
            ("readme.txt", b"text".to_vec(), deflated),
        ]);
        let all = Npz::default();
        assert_eq!(
            shown(&all, &file),
            ["time signal", "0.0 1.0", "0.5 NaN", "1.0 -1.0"]
        );
        let inspected = all.inspect(&file.file).expect("readable");
        assert_eq!(inspected.sampling, Some(Sampling::of(2.0)));
        let one = Npz {
            array: Some(Arrays::One("window".into())),
        };
        assert_eq!(shown(&one, &file), ["window", "7.0"]);
        assert_eq!(
            shown(&of(&["signal", "time"]), &file)[..2],
            ["signal time", "1.0 0.0"]
        );
    }
}

#[test]
fn a_rate_is_no_sample_even_where_there_are_none() {
    let file = file(&[
        ("data.npy", floats(&[]), false),
        ("sample_rate.npy", floats(&[1e6]), false),
    ]);
    assert_eq!(shown(&Npz::default(), &file), ["data"]);
    let inspected = Npz::default().inspect(&file.file).expect("readable");
    assert_eq!(inspected.sampling, Some(Sampling::of(1e6)));
}

#[test]
fn an_array_of_two_axes_is_read_where_there_is_no_other() {
    let two = array("'|u1'", false, "(2, 2)", &[1, 2, 3, 4]);
    let turned = array("'|u1'", true, "(2, 2)", &[1, 2, 3, 4]);
    let file = file(&[("x.npy", two, true), ("rate.npy", scalar(-3), false)]);
    assert_eq!(shown(&Npz::default(), &file), ["x_0 x_1", "1 2", "3 4"]);
    assert_eq!(
        Npz::default()
            .inspect(&file.file)
            .expect("readable")
            .sampling,
        None
    );
    let compressed = self::file(&[("x.npy", turned.clone(), true)]);
    assert!(failure(&Npz::default(), &compressed).contains("compressed column by column"));
    let stored = self::file(&[("x.npy", turned, false)]);
    assert_eq!(shown(&Npz::default(), &stored), ["x_0 x_1", "1 3", "2 4"]);
}

#[test]
fn long_compressed_arrays_are_streamed() {
    let values: Vec<f64> = (0..200_000).map(f64::from).collect();
    let file = file(&[
        ("a.npy", floats(&values), true),
        ("b.npy", floats(&values), false),
        ("c.npy", floats(&values), true),
    ]);
    for columns in [vec!["a", "b", "c"], vec!["c"], vec!["b"]] {
        let wanted = dataflow_core::Wanted {
            columns: Some(columns.iter().map(|c| c.to_string()).collect()),
            ..Default::default()
        };
        let rows = tried(&Npz::default(), &file, wanted, 8192).expect("readable");
        for column in rows.columns() {
            assert_eq!(column.as_primitive::<Float64Type>().values(), &values);
        }
    }
}

#[test]
fn what_cannot_be_read_is_told() {
    let good = file(&[
        ("a.npy", floats(&[1.0, 2.0]), false),
        ("b.npy", floats(&[1.0]), false),
    ]);
    let said = failure(&of(&["c"]), &good);
    assert!(said.contains("no array `c`"), "{said}");
    let said = failure(&of(&["a", "b"]), &good);
    assert!(
        said.contains("`a` (2) and `b` (1) differ in length"),
        "{said}"
    );
    assert!(failure(&of(&[]), &good).contains("names no array"));
    assert!(failure(&Npz::default(), &file(&[])).contains("no array in it"));
    let objects = array("'|O'", false, "(1,)", &[0; 8]);
    let objects = file(&[("a.npy", objects, false)]);
    assert!(failure(&Npz::default(), &objects).contains("never unpickled"));
    let two = || array("'|u1'", false, "(1, 1)", &[1]);
    let unclear = file(&[("a.npy", two(), false), ("b.npy", two(), false)]);
    assert!(failure(&Npz::default(), &unclear).contains("there are: a, b"));
}

#[test]
fn archives_that_lie_are_told() {
    let lie = array("'<f8'", false, "(1000000000000,)", &[0; 16]);
    for deflated in [false, true] {
        let file = file(&[("a.npy", lie.clone(), deflated)]);
        let said = failure(&Npz::default(), &file);
        assert!(
            said.contains("the header promises 8000000000000 bytes"),
            "{said}"
        );
    }
    let good = archive(&[("a.npy", floats(&[1.0, 2.0, 3.0]), true)]);
    let said = failure(&Npz::default(), &written("x.npz", &good[..good.len() - 30]));
    assert!(said.contains("cannot be read as an archive"), "{said}");
    // The checksum stands in the directory, too.
    let mut damaged = good.clone();
    let directory = damaged
        .windows(4)
        .rposition(|w| w == b"PK\x01\x02")
        .expect("a directory");
    damaged[directory + 16] ^= 1;
    let said = failure(&Npz::default(), &written("x.npz", &damaged));
    assert!(said.contains("its checksum is another"), "{said}");
    let mut long = archive(&[("a.npy", floats(&[1.0]), false)]);
    let directory = long
        .windows(4)
        .rposition(|w| w == b"PK\x01\x02")
        .expect("a directory");
    long[directory + 20..directory + 24].copy_from_slice(&[0xf0; 4]);
    let said = failure(&Npz::default(), &written("x.npz", &long));
    assert!(said.contains("more than the file has"), "{said}");
}
