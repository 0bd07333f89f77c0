//! Rows on their way into a sum: without those that have a null, and without those that are not finite.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrowPrimitiveType, Float64Array, PrimitiveArray};
use arrow_buffer::NullBuffer;

use crate::exact::BLOCK;

/// Hands on the values that are not null with their groups; all at once if none is null.
pub(crate) fn present<T: ArrowPrimitiveType>(
    groups: Option<&[u32]>,
    column: &PrimitiveArray<T>,
    mut each: impl FnMut(Option<&[u32]>, &[T::Native]),
) {
    let values = column.values();
    let Some(nulls) = column.nulls().filter(|nulls| nulls.null_count() > 0) else {
        return each(groups, values);
    };
    let mut chosen = [T::Native::default(); BLOCK];
    in_blocks(nulls, groups, |rows, groups| {
        for (chosen, row) in chosen.iter_mut().zip(rows) {
            *chosen = values[*row];
        }
        each(groups, &chosen[..rows.len()]);
    });
}

/// Two columns of doubles.
pub(crate) fn doubles(columns: &[ArrayRef]) -> [&Float64Array; 2] {
    [0, 1].map(|column| columns[column].as_primitive::<Float64Type>())
}

/// Hands on the rows of two columns where neither is null.
pub(crate) fn both_present(
    groups: Option<&[u32]>,
    [x, y]: [&Float64Array; 2],
    mut each: impl FnMut(Option<&[u32]>, [&[f64]; 2]),
) {
    let nulls = NullBuffer::union(x.nulls(), y.nulls());
    let (x, y) = (x.values(), y.values());
    let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else {
        return each(groups, [x, y]);
    };
    let mut chosen = [[0.0; BLOCK]; 2];
    in_blocks(&nulls, groups, |rows, groups| {
        for (i, row) in rows.iter().enumerate() {
            (chosen[0][i], chosen[1][i]) = (x[*row], y[*row]);
        }
        let [x, y] = &chosen;
        each(groups, [&x[..rows.len()], &y[..rows.len()]]);
    });
}

/// The numbers of the rows that are there, and their groups, a block at a time.
fn in_blocks(
    nulls: &NullBuffer,
    groups: Option<&[u32]>,
    mut each: impl FnMut(&[usize], Option<&[u32]>),
) {
    let (mut rows, mut owners, mut count) = ([0; BLOCK], [0; BLOCK], 0);
    let mut flush = |rows: &[usize], owners: &mut [u32; BLOCK]| {
        let groups = groups.map(|groups| {
            for (owner, row) in owners.iter_mut().zip(rows) {
                *owner = groups[*row];
            }
            &owners[..rows.len()]
        });
        each(rows, groups);
    };
    for row in nulls.valid_indices() {
        rows[count] = row;
        count += 1;
        if count == BLOCK {
            flush(&rows, &mut owners);
            count = 0;
        }
    }
    if count > 0 {
        flush(&rows[..count], &mut owners);
    }
}

/// Hands on the rows of `N` columns whose numbers are all finite, a block at a time; the groups of others go to `strange`.
pub(crate) fn finite<const N: usize>(
    groups: Option<&[u32]>,
    columns: [&[f64]; N],
    mut strange: impl FnMut(usize),
    mut each: impl FnMut(Option<&[u32]>, [&[f64]; N]),
) {
    let rows = columns[0].len();
    for start in (0..rows).step_by(BLOCK) {
        let block = start..rows.min(start + BLOCK);
        let groups = groups.map(|groups| &groups[block.clone()]);
        let columns = columns.map(|column| &column[block.clone()]);
        // Without an early way out, so that it compiles to a few vector instructions.
        let finite = |column: &&[f64]| column.iter().fold(true, |all, x| all & x.is_finite());
        if columns.iter().all(finite) {
            each(groups, columns);
            continue;
        }
        let (mut chosen, mut owners, mut count) = ([[0.0; BLOCK]; N], [0; BLOCK], 0);
        for row in 0..block.len() {
            let owner = groups.map_or(0, |groups| groups[row]);
            if columns.iter().all(|column| column[row].is_finite()) {
                (0..N).for_each(|i| chosen[i][count] = columns[i][row]);
                owners[count] = owner;
                count += 1;
            } else {
                strange(owner as usize);
            }
        }
        let chosen = std::array::from_fn(|i| &chosen[i][..count]);
        each(groups.map(|_| &owners[..count]), chosen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_are_left_out_in_every_block() {
        for length in [0, 1, 255, 256, 257, 1000] {
            let column: Float64Array = (0..length)
                .map(|i| (i % 3 != 1).then_some(f64::from(i)))
                .collect();
            let groups: Vec<u32> = (0..length as u32).map(|i| i * 2).collect();
            let mut seen = Vec::new();
            present(Some(&groups), &column, |groups, values| {
                seen.extend(groups.expect("given").iter().copied().zip(values.to_vec()));
            });
            let expected: Vec<(u32, f64)> = (0..length as u32)
                .filter(|i| i % 3 != 1)
                .map(|i| (2 * i, f64::from(i)))
                .collect();
            assert_eq!(seen, expected);
            let mut both = 0;
            both_present(None, [&column, &column], |_, [x, y]| {
                assert_eq!(x, y);
                both += x.len();
            });
            assert_eq!(both, expected.len());
        }
    }

    #[test]
    fn what_is_not_finite_is_told_apart() {
        let mut x = vec![1.0; 600];
        (x[3], x[300], x[599]) = (f64::NAN, f64::INFINITY, f64::NEG_INFINITY);
        let (mut strange, mut rows) = (Vec::new(), 0);
        let groups: Vec<u32> = (0..600).collect();
        finite(
            Some(&groups),
            [&x, &x],
            |group| strange.push(group),
            |groups, [x, _]| {
                assert_eq!(groups.expect("given").len(), x.len());
                rows += x.len();
            },
        );
        assert_eq!((strange, rows), (vec![3, 300, 599], 597));
    }
}
