//! Tests of reading NPY: every type of number, both orders, one axis and two, records, and headers that lie.

use super::*;
use crate::samples::testing::{failure, lines, read, written};

/// An array as NumPy writes it.
pub(crate) fn array(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    let text = format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}");
    with_header(1, &text, data)
}

fn with_header(version: u8, text: &str, data: &[u8]) -> Vec<u8> {
    let before = if version == 1 { 10 } else { 12 };
    let padded = (before + text.len() + 1).next_multiple_of(64);
    let length = padded - before;
    let mut bytes = MAGIC.to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend((length as u16).to_le_bytes()),
        _ => bytes.extend((length as u32).to_le_bytes()),
    }
    bytes.extend(text.bytes());
    bytes.resize(padded - 1, b' ');
    bytes.push(b'\n');
    bytes.extend(data);
    bytes
}

fn shown(bytes: &[u8]) -> Vec<String> {
    let file = written("x.npy", bytes);
    let all = lines(&read(&Npy {}, &file, 100));
    assert_eq!(all, lines(&read(&Npy {}, &file, 1)));
    all
}

fn said(bytes: &[u8]) -> String {
    failure(&Npy {}, &written("x.npy", bytes))
}

#[test]
fn all_types_of_numbers_in_both_orders() {
    for (descr, data, expected) in [
        ("'|b1'", vec![1, 0], ["true", "false"]),
        ("'|i1'", vec![255, 1], ["-1", "1"]),
        ("'|u1'", vec![255, 1], ["255", "1"]),
        ("'<i2'", vec![254, 255, 1, 0], ["-2", "1"]),
        ("'>u2'", vec![1, 0, 0, 1], ["256", "1"]),
        ("'>i4'", vec![255, 255, 255, 254, 0, 0, 1, 0], ["-2", "256"]),
        (
            "'<u8'",
            [u64::MAX, 1].map(u64::to_le_bytes).concat(),
            ["18446744073709551615", "1"],
        ),
        ("'<f2'", vec![0, 0x3e, 0, 0xc0], ["1.5", "-2.0"]),
        (
            "'>f4'",
            [1.5_f32, -0.25].map(f32::to_be_bytes).concat(),
            ["1.5", "-0.25"],
        ),
        (
            "'<f8'",
            [0.1_f64, f64::NAN].map(f64::to_le_bytes).concat(),
            ["0.1", "NaN"],
        ),
    ] {
        let rows = shown(&array(descr, false, "(2,)", &data));
        assert_eq!(rows, ["value", expected[0], expected[1]], "{descr}");
    }
}

#[test]
fn two_axes_are_columns_whichever_runs_fastest() {
    let data: Vec<u8> = (1..=6).collect();
    let rows = shown(&array("'|u1'", false, "(2, 3)", &data));
    assert_eq!(rows, ["c0 c1 c2", "1 2 3", "4 5 6"]);
    let rows = shown(&array("'|u1'", true, "(2, 3)", &data));
    assert_eq!(rows, ["c0 c1 c2", "1 3 5", "2 4 6"]);
    assert_eq!(shown(&array("'|u1'", false, "()", &[7])), ["value", "7"]);
    assert_eq!(shown(&array("'<f8'", false, "(0,)", &[])), ["value"]);
}

#[test]
fn complex_numbers_and_records_are_columns() {
    let data = [1.5_f32, -2.0, 0.0, 3.0].map(f32::to_le_bytes).concat();
    let rows = shown(&array("'<c8'", false, "(2,)", &data));
    assert_eq!(rows, ["re im", "1.5 -2.0", "0.0 3.0"]);
    let rows = shown(&array("'<c8'", false, "(1, 2)", &data));
    assert_eq!(rows, ["c0_re c0_im c1_re c1_im", "1.5 -2.0 0.0 3.0"]);
    let descr = "[('flag', '|u1'), ('', '|V3'), ('x', '>i4')]";
    let data = [1, 0, 0, 0, 0, 0, 0, 9, 2, 0, 0, 0, 255, 255, 255, 255];
    let rows = shown(&array(descr, false, "(2,)", &data));
    assert_eq!(rows, ["flag x", "1 9", "2 -1"]);
}

#[test]
fn later_versions_are_read() {
    let text = "{'descr': [('µ', '<i2')], 'fortran_order': False, 'shape': (1,)}";
    assert_eq!(shown(&with_header(3, text, &[5, 0])), ["µ", "5"]);
    assert!(said(&with_header(4, text, &[5, 0])).contains("version 4"));
}

#[test]
fn names_may_be_in_the_letters_of_old_versions() {
    let text = "{'descr': [('#', '<i2')], 'fortran_order': False, 'shape': (1,)}";
    let mut bytes = with_header(1, text, &[5, 0]);
    for letter in bytes.iter_mut().filter(|letter| **letter == b'#') {
        *letter = 0xb5;
    }
    assert_eq!(shown(&bytes), ["µ", "5"]);
    // More letters than bytes in front of what is wrong.
    let broken = text.replace(']', "");
    let mut bytes = with_header(1, &broken, &[]);
    let from = bytes.iter().position(|b| *b == b' ').expect("blanks");
    bytes[from..]
        .iter_mut()
        .filter(|b| **b == b' ')
        .for_each(|b| *b = 0xb5);
    assert!(said(&bytes).contains("the header of the array is damaged"));
}

#[test]
fn only_wanted_columns_are_made() {
    let data: Vec<u8> = (1..=6).collect();
    let file = written("x.npy", &array("'|u1'", false, "(2, 3)", &data));
    let wanted = dataflow_core::Wanted {
        columns: Some(vec!["c2".into()]),
        rows: Some(1),
        ..Default::default()
    };
    let rows = crate::samples::testing::tried(&Npy {}, &file, wanted, 10).expect("readable");
    assert_eq!(lines(&rows), ["c2", "3"]);
    let none = dataflow_core::Wanted {
        columns: Some(vec![]),
        ..Default::default()
    };
    let rows = crate::samples::testing::tried(&Npy {}, &file, none, 10).expect("readable");
    assert_eq!((rows.num_columns(), rows.num_rows()), (0, 2));
}

#[test]
fn headers_that_lie_are_told_before_anything_is_allocated() {
    let lies = said(&array("'<f8'", false, "(9000000000000000,)", &[0; 16]));
    assert!(
        lies.contains("the header promises 72000000000000000 bytes from byte 128"),
        "{lies}"
    );
    let lies = said(&array("'<f8'", false, "(18446744073709551615,)", &[]));
    assert!(lies.contains("larger than any file"), "{lies}");
    let lies = said(&array("'<f8'", true, "(18446744073709551615, 3)", &[]));
    assert!(lies.contains("larger than any file"), "{lies}");
    let wide = said(&array("'<f8'", false, "(2, 100000)", &[0; 16]));
    assert!(
        wide.contains("100000 columns") && wide.contains("save `array.T`"),
        "{wide}"
    );
    assert!(said(&array("'<f8'", false, "(2, 0)", &[])).contains("0 columns"));
    assert!(said(&array("'<f8'", false, "(1, 1, 1)", &[0; 8])).contains("3 axes"));
    let mut long = array("'<f8'", false, "(1,)", &[0; 8]);
    (long[6], long[10], long[11]) = (2, 255, 255);
    assert!(said(&long).contains("the header of the array would have"));
}

#[test]
fn what_is_no_number_is_told() {
    let objects = said(&array("'|O'", false, "(1,)", b"\x80\x04cposix\nsystem\n"));
    assert!(objects.contains("never unpickled"), "{objects}");
    for descr in [
        "'<U5'",
        "'|S3'",
        "'<M8[ns]'",
        "'<f16'",
        "'<i3'",
        "'f8'",
        "''",
        "5",
        "[]",
        "[('', '|V4')]",
    ] {
        let text = said(&array(descr, false, "(1,)", &[0; 40]));
        assert!(text.contains("does not hold numbers"), "{descr}: {text}");
    }
    let several = said(&array("[('x', '<f8', (3,))]", false, "(1,)", &[0; 24]));
    assert!(
        several.contains("the field `x` of the array holds several values"),
        "{several}"
    );
    for broken in [
        with_header(1, "{'descr': '<f8'", &[]),
        with_header(1, "{'descr': '<f8', 'fortran_order': False}", &[]),
        with_header(
            1,
            "{'descr': '<f8', 'fortran_order': 0, 'shape': (1,)}",
            &[],
        ),
        with_header(
            1,
            "{'descr': '<f8', 'fortran_order': False, 'shape': ('x',)}",
            &[],
        ),
        with_header(1, "[]", &[]),
    ] {
        let text = said(&broken);
        assert!(
            text.contains("the header of the array is damaged"),
            "{text}"
        );
    }
    assert!(said(b"\x93NUMP").contains("middle of the header"));
    assert!(said(b"not an array").contains("no NPY array"));
}
