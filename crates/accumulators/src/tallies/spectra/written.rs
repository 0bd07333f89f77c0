//! Runs of samples, and numbers, as the bytes of a state.

use dataflow_signal::segments::{Kept, Run};

use crate::exact::{read_varint, write_varint};

/// Appends numbers, and before them how many.
pub(super) fn write_numbers(numbers: &[f64], out: &mut Vec<u8>) {
    write_varint(numbers.len() as u64, out);
    out.reserve(numbers.len() * 8);
    for number in numbers {
        out.extend_from_slice(&number.to_bits().to_le_bytes());
    }
}

/// Takes off what `write_numbers` wrote; `None` if it is not that.
pub(super) fn read_numbers(bytes: &mut &[u8]) -> Option<Vec<f64>> {
    let count = usize::try_from(read_varint(bytes)?).ok()?;
    let (numbers, rest) = bytes.split_at_checked(count.checked_mul(8)?)?;
    *bytes = rest;
    let number = |eight: &[u8]| {
        let mut word = [0; 8];
        word.copy_from_slice(eight);
        f64::from_bits(u64::from_le_bytes(word))
    };
    Some(numbers.chunks_exact(8).map(number).collect())
}

/// Appends a run.
pub(super) fn write_run(run: &Run, out: &mut Vec<u8>) {
    write_varint(run.start, out);
    write_varint(run.end, out);
    match &run.kept {
        Kept::All(all) => {
            out.push(0);
            write_numbers(all, out);
        }
        Kept::Ends { head, next, tail } => {
            out.push(1);
            write_numbers(head, out);
            write_varint(*next, out);
            write_numbers(tail, out);
        }
    }
}

/// Takes off what `write_run` wrote; `None` if it is not that.
pub(super) fn read_run(bytes: &mut &[u8]) -> Option<Run> {
    let (start, end) = (read_varint(bytes)?, read_varint(bytes)?);
    let (kind, rest) = bytes.split_first()?;
    *bytes = rest;
    let kept = match kind {
        0 => Kept::All(read_numbers(bytes)?),
        1 => Kept::Ends {
            head: read_numbers(bytes)?,
            next: read_varint(bytes)?,
            tail: read_numbers(bytes)?,
        },
        _ => return None,
    };
    Some(Run { start, end, kept })
}
