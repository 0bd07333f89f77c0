//! The oldest time that a split can have and that is not late, from its first rows.

use dataflow_core::time::{BEGINNING, END, Instant, Newest, TimeRule};
use dataflow_core::{Place, Result, Source};

use super::clock::Clock;

/// Rows that are looked at first; then twice as many, as long as no time is believed.
const FIRST_ROWS: usize = 16;
/// The most rows that are looked at together.
const MOST_ROWS: usize = 8192;

/// Reads a split until the first time is believed, mostly one row. From then on rows that are older than the horizon are
/// late; before that none is, so the oldest of them counts too. A row without a time is passed over: it counts for nothing.
pub(super) fn of_head(
    source: &dyn Source,
    clock: &Clock,
    rule: &TimeRule,
    split: usize,
) -> Result<Instant> {
    let mut cutter = source.cutter(split, Place::new(split as u32, 0)?)?;
    let mut reader = source.reader()?;
    let (mut newest, mut oldest, mut rows) = (Newest::default(), END, FIRST_ROWS);
    while let Some(piece) = cutter.next()? {
        reader.open(piece)?;
        while let Some(decoded) = reader.next(rows)? {
            rows = MOST_ROWS.min(2 * rows);
            for (_, batch) in decoded.batches.iter().filter(|(port, _)| *port == 0) {
                let (times, failed) = clock.read(batch.rows())?;
                let mut failed = failed
                    .iter()
                    .map(|failure| failure.row as usize)
                    .collect::<Vec<_>>();
                failed.sort_unstable();
                for (row, time) in times.iter().enumerate() {
                    if failed.binary_search(&row).is_ok() {
                        continue;
                    }
                    oldest = oldest.min(*time);
                    newest.see(&[*time], rule);
                    let horizon = newest.horizon(rule);
                    if horizon != BEGINNING {
                        return Ok(oldest.min(horizon));
                    }
                }
            }
        }
    }
    Ok(oldest)
}
