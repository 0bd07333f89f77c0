//! Tests of reading WAV: every kind of sample, chunks in any order, lengths beyond 4 GiB, and heads that lie.

use super::*;
use crate::samples::testing::{failure, lines, read, tried, written};

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut bytes = name.to_vec();
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let inner = [b"WAVE", &chunks.concat()[..]].concat();
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((inner.len() as u32).to_le_bytes());
    bytes.extend(inner);
    bytes
}

fn format(tag: u16, channels: u16, bits: u16) -> Vec<u8> {
    let align = channels * bits.div_ceil(8);
    let rate = 48_000_u32;
    let mut data = [tag.to_le_bytes(), channels.to_le_bytes()].concat();
    data.extend(rate.to_le_bytes());
    data.extend((rate * u32::from(align)).to_le_bytes());
    data.extend([align.to_le_bytes(), bits.to_le_bytes()].concat());
    chunk(b"fmt ", &data)
}

fn extensible(tag: u16, channels: u16, bits: u16) -> Vec<u8> {
    let mut data = format(0xfffe, channels, bits)[8..].to_vec();
    data.extend([22, 0, bits as u8, 0, 3, 0, 0, 0]);
    data.extend(tag.to_le_bytes());
    data.extend([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]);
    chunk(b"fmt ", &data)
}

fn shown(wav: &Wav, bytes: &[u8]) -> Vec<String> {
    let file = written("x.wav", bytes);
    let all = lines(&read(wav, &file, 100));
    assert_eq!(all, lines(&read(wav, &file, 1)));
    all
}

#[test]
fn samples_of_all_widths() {
    let float = [0.5_f32, -1.25].map(f32::to_le_bytes).concat();
    let double = [0.1_f64, -3.0].map(f64::to_le_bytes).concat();
    for (tag, bits, data, scaled, stored) in [
        (1, 8, vec![0, 192], ["-1.0", "0.5"], ["0", "192"]),
        (
            1,
            16,
            vec![0, 0x80, 0, 0x40],
            ["-1.0", "0.5"],
            ["-32768", "16384"],
        ),
        (
            1,
            24,
            vec![0, 0, 0x80, 1, 0, 0],
            ["-1.0", "1.1920928955078125e-7"],
            ["-8388608", "1"],
        ),
        (
            1,
            32,
            vec![0, 0, 0, 0x80, 0, 0, 0, 0x40],
            ["-1.0", "0.5"],
            ["-2147483648", "1073741824"],
        ),
        (3, 32, float, ["0.5", "-1.25"], ["0.5", "-1.25"]),
        (3, 64, double, ["0.1", "-3.0"], ["0.1", "-3.0"]),
    ] {
        for head in [format(tag, 1, bits), extensible(tag, 1, bits)] {
            let file = riff(&[head, chunk(b"data", &data)]);
            let rows = shown(&Wav::default(), &file);
            assert_eq!(rows, ["value", scaled[0], scaled[1]], "{tag} {bits}");
            let rows = shown(&Wav { scale: false }, &file);
            assert_eq!(rows, ["value", stored[0], stored[1]], "{tag} {bits}");
        }
    }
}

#[test]
fn chunks_come_in_any_order_and_odd_ones_are_filled_up() {
    let data = chunk(b"data", &[1, 2, 3, 4, 5, 6]);
    let other = chunk(b"LIST", b"odd");
    let whole = Wav { scale: false };
    let file = riff(&[
        other.clone(),
        data.clone(),
        other.clone(),
        format(1, 2, 8),
        other.clone(),
    ]);
    assert_eq!(shown(&whole, &file), ["left right", "1 2", "3 4", "5 6"]);
    let file = riff(&[format(1, 3, 8), data, other]);
    assert_eq!(shown(&whole, &file), ["c0 c1 c2", "1 2 3", "4 5 6"]);
    let inspected = whole
        .inspect(&written("x.wav", &file).file)
        .expect("readable");
    assert_eq!(inspected.sampling, Some(Sampling::of(48_000.0)));
    assert_eq!(
        shown(&whole, &riff(&[format(1, 1, 8), chunk(b"data", &[])])),
        ["value"]
    );
}

#[test]
fn long_files_tell_their_length_elsewhere() {
    let mut long = vec![0; 8];
    long.extend(4_u64.to_le_bytes());
    long.extend([0; 12]);
    for name in [b"RF64", b"BW64"] {
        let mut data = chunk(b"data", &[1, 0, 2, 0]);
        data[4..8].fill(0xff);
        let mut file = riff(&[
            chunk(b"ds64", &long),
            format(1, 1, 16),
            data,
            chunk(b"LIST", b"more"),
        ]);
        file[..4].copy_from_slice(name);
        file[4..8].fill(0xff);
        assert_eq!(shown(&Wav { scale: false }, &file), ["value", "1", "2"]);
        file[28..36].fill(0x7f);
        let said = failure(&Wav::default(), &written("x.wav", &file));
        assert!(
            said.contains("the header promises 9187201950435737471 bytes"),
            "{said}"
        );
    }
}

#[test]
fn a_recording_that_broke_off_is_read_as_far_as_it_is() {
    let whole = Wav { scale: false };
    let data = chunk(b"data", &[1, 0, 2, 0, 9, 9]);
    let file = riff(&[format(1, 1, 16), data]);
    for (riff_length, data_length) in [
        ([0xff; 4], [0xff; 4]),
        ([0; 4], [0; 4]),
        ([36, 0, 0, 0], [0; 4]),
    ] {
        let mut file = file[..file.len() - 1].to_vec();
        file[4..8].copy_from_slice(&riff_length);
        file[40..44].copy_from_slice(&data_length);
        assert_eq!(shown(&whole, &file), ["value", "1", "2"]);
    }
    // A length of nothing that is meant so.
    let mut file = file;
    file[40..44].fill(0);
    assert_eq!(shown(&whole, &file), ["value"]);
}

#[test]
fn other_codecs_are_named() {
    let data = chunk(b"data", &[0; 8]);
    for (head, expected) in [
        (format(6, 1, 8), "A-law (codec 6)"),
        (extensible(7, 1, 8), "µ-law (codec 7)"),
        (format(2, 1, 4), "ADPCM (codec 2)"),
        (format(1, 1, 64), "whole numbers of 64 bits"),
        (format(3, 1, 16), "floats of 16 bits"),
        (format(0x1234, 1, 16), "an unknown codec (codec 4660)"),
    ] {
        let said = failure(
            &Wav::default(),
            &written("x.wav", &riff(&[head, data.clone()])),
        );
        assert!(said.contains(expected) && said.contains("ffmpeg"), "{said}");
    }
}

#[test]
fn heads_that_lie_are_told() {
    let good = riff(&[format(1, 2, 16), chunk(b"data", &[0; 8])]);
    let said = |bytes: &[u8]| failure(&Wav::default(), &written("x.wav", bytes));
    let cut = said(&good[..good.len() - 2]);
    assert!(
        cut.contains("promises 8 bytes of samples from byte 44, but the file ends at 50"),
        "{cut}"
    );
    assert!(said(&good[..36]).contains("no chunk `data`"));
    assert!(said(&good[..20]).contains("middle of its head"));
    assert!(said(&good[..12]).contains("no chunk `fmt `"));
    assert!(said(b"RIFF").contains("middle of its head"));
    assert!(said(b"RIFX\0\0\0\0WAVE").contains("no WAV file"));
    let odd = riff(&[format(1, 2, 16), chunk(b"data", &[0; 6])]);
    assert!(
        said(&odd)
            .contains("behind the last whole frame (4 bytes each) the file goes on for 2 bytes")
    );
    let mut align = good.clone();
    align[32] = 3;
    assert!(said(&align).contains("a frame of 3 bytes cannot hold 2 channels of 16 bits"));
    let many: Vec<Vec<u8>> = (0..5000).map(|_| chunk(b"JUNK", &[])).collect();
    assert!(said(&riff(&many)).contains("more than 4096 chunks"));
}

#[test]
fn one_channel_of_many_rows() {
    let data: Vec<u8> = (0..200_000_u32)
        .flat_map(|n| [n as u8, (n >> 8) as u8])
        .collect();
    let file = written("x.wav", &riff(&[format(1, 2, 8), chunk(b"data", &data)]));
    let wanted = dataflow_core::Wanted {
        columns: Some(vec!["right".into()]),
        ..Default::default()
    };
    let rows = tried(&Wav { scale: false }, &file, wanted, 8192).expect("readable");
    let data = rows.column(0).to_data();
    assert_eq!(data.buffers()[0][70_000], (70_000_u32 >> 8) as u8);
    assert_eq!(rows.num_rows(), 200_000);
}
