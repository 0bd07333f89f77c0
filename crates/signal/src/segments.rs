//! Segments of a signal that comes in any pieces: each is seen once, whole, whoever has which of its samples.
//!
//! Segment `k` has the samples from `k * hop` on, counted from the signal's first. A [`Run`] is some neighbouring samples: the
//! segments inside have been seen, and what is kept is only what segments across its two ends will need, less than one segment's
//! samples on each side. A run that lies right behind another is appended by reading on from the one into the other. [`Runs`] are those
//! of a signal of which pieces come in no order.

use std::collections::BTreeMap;

/// Where segments lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Samples of a segment, at least 1.
    pub segment: u64,
    /// Samples from the beginning of one to the beginning of the next, from 1 to `segment`.
    pub hop: u64,
    /// Numbers per sample: 1, or 2 where they are complex.
    pub width: usize,
}

impl Grid {
    /// The number of the first segment that begins at `sample` or behind it.
    fn first_from(&self, sample: u64) -> u64 {
        sample.div_ceil(self.hop)
    }

    /// Up to where the segments that begin before `sample` need samples from there on.
    fn head_end(&self, sample: u64) -> u64 {
        match self.first_from(sample) {
            0 => 0,
            next => ((next - 1) * self.hop).saturating_add(self.segment),
        }
    }

    fn numbers(&self, samples: u64) -> usize {
        samples as usize * self.width
    }
}

/// Takes the number of a segment and its samples.
pub type See<'a> = dyn FnMut(u64, &[f64]) + 'a;

/// Whether no sample is NaN or infinite: all exponents are below the largest. Without an early way out, so that it compiles to a few
/// vector instructions.
pub fn are_finite(samples: &[f64]) -> bool {
    const EXPONENT: u64 = 0x7ff << 52;
    let strange = |x: &f64| u64::from(x.to_bits() & EXPONENT == EXPONENT);
    samples.iter().map(strange).fold(0, |any, one| any | one) == 0
}

/// What is kept of a run's samples.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// All of them: segments that begin before the run may need each.
    All(Vec<f64>),
    /// What is needed at its ends.
    Ends {
        /// The samples that segments need which begin before the run; none at the signal's beginning.
        head: Vec<f64>,
        /// The first segment that is not whole yet.
        next: u64,
        /// The samples from its beginning on.
        tail: Vec<f64>,
    },
}

/// Neighbouring samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The number of the first.
    pub start: u64,
    /// The number behind the last.
    pub end: u64,
    /// What is kept of them.
    pub kept: Kept,
}

impl Run {
    /// No samples yet, from number `start` on.
    pub fn new(start: u64) -> Self {
        let kept = match start {
            0 => Kept::Ends {
                head: Vec::new(),
                next: 0,
                tail: Vec::new(),
            },
            _ => Kept::All(Vec::new()),
        };
        Self {
            start,
            end: start,
            kept,
        }
    }

    /// Takes the samples behind the last, and shows the segments that are whole now.
    pub fn push(&mut self, grid: &Grid, samples: &[f64], see: &mut See<'_>) {
        self.end += (samples.len() / grid.width) as u64;
        match &mut self.kept {
            Kept::All(all) => {
                all.extend_from_slice(samples);
                self.leave_head(grid);
            }
            Kept::Ends { tail, .. } => tail.extend_from_slice(samples),
        }
        self.advance(grid, see);
    }

    /// Keeps only what is needed, once no segment that began before can need more.
    fn leave_head(&mut self, grid: &Grid) {
        let head_end = grid.head_end(self.start);
        let Kept::All(all) = &mut self.kept else {
            return;
        };
        if self.end < head_end {
            return;
        }
        let next = grid.first_from(self.start);
        // The next segment begins before the last of those ends, since they overlap or touch.
        let tail = all.split_off(grid.numbers(next * grid.hop - self.start).min(all.len()));
        let mut head = std::mem::take(all);
        let more = grid.numbers(head_end - self.start) - head.len();
        head.extend_from_slice(&tail[..more]);
        self.kept = Kept::Ends { head, next, tail };
    }

    /// Shows the segments that are whole.
    fn advance(&mut self, grid: &Grid, see: &mut See<'_>) {
        let Kept::Ends { next, tail, .. } = &mut self.kept else {
            return;
        };
        if ((tail.len() / grid.width) as u64) < grid.segment {
            return;
        }
        let (length, hop) = (grid.numbers(grid.segment), grid.numbers(grid.hop));
        let mut at = 0;
        while tail.len() - at >= length {
            see(*next, &tail[at..at + length]);
            at += hop;
            *next += 1;
        }
        tail.drain(..at);
    }

    /// Takes in the run that lies right behind, and shows the segments across.
    pub fn append(&mut self, grid: &Grid, behind: Run, see: &mut See<'_>) {
        debug_assert_eq!(self.end, behind.start);
        match behind.kept {
            Kept::All(all) => self.push(grid, &all, see),
            Kept::Ends { head, next, tail } => {
                self.push(grid, &head, see);
                self.end = behind.end;
                match &mut self.kept {
                    // All segments that begin before the run behind were shown now.
                    Kept::Ends {
                        next: mine,
                        tail: rest,
                        ..
                    } => (*mine, *rest) = (next, tail),
                    Kept::All(all) => {
                        let head = std::mem::take(all);
                        self.kept = Kept::Ends { head, next, tail };
                    }
                }
            }
        }
    }

    /// The samples that no whole segment has, of a run from the signal's beginning: all of a signal that is shorter than one.
    pub fn rest(&self) -> &[f64] {
        match &self.kept {
            Kept::All(all) => all,
            Kept::Ends { tail, .. } => tail,
        }
    }

    /// The bytes that it holds.
    pub fn bytes(&self) -> usize {
        8 * match &self.kept {
            Kept::All(all) => all.capacity(),
            Kept::Ends { head, tail, .. } => head.capacity() + tail.capacity(),
        }
    }
}

/// The runs of a signal, none right behind another, by the number of their first sample.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    list: BTreeMap<u64, Run>,
    bytes: usize,
}

impl Runs {
    /// Takes samples of which the first has the number `start`, and shows the segments that are whole now.
    pub fn push(&mut self, grid: &Grid, start: u64, samples: &[f64], see: &mut See<'_>) {
        if samples.is_empty() {
            return;
        }
        let before = self.list.range_mut(..=start).next_back();
        match before.filter(|(_, run)| run.end == start) {
            Some((_, run)) => {
                let held = run.bytes();
                run.push(grid, samples, see);
                self.bytes = self.bytes + run.bytes() - held;
                let at = run.start;
                self.join(grid, at, see);
            }
            None => {
                let mut run = Run::new(start);
                run.push(grid, samples, see);
                self.add(grid, run, see);
            }
        }
    }

    /// Takes a run in, and shows the segments that are whole now.
    pub fn add(&mut self, grid: &Grid, run: Run, see: &mut See<'_>) {
        let start = run.start;
        self.bytes += run.bytes();
        self.list.insert(start, run);
        let before = self.list.range(..start).next_back();
        let before = before.filter(|(_, before)| before.end == start);
        let at = before.map_or(start, |(at, _)| *at);
        self.join(grid, at, see);
    }

    /// Appends to the run at `at` those that lie right behind it.
    fn join(&mut self, grid: &Grid, at: u64, see: &mut See<'_>) {
        let Some(mut run) = self.list.remove(&at) else {
            return;
        };
        self.bytes -= run.bytes();
        while let Some(behind) = self.list.remove(&run.end) {
            self.bytes -= behind.bytes();
            run.append(grid, behind, see);
        }
        self.bytes += run.bytes();
        self.list.insert(at, run);
    }

    /// The runs, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Run> {
        self.list.values()
    }

    /// The only run, if it has all samples up to its end.
    pub fn whole(&self) -> Option<&Run> {
        let first = self.list.get(&0)?;
        (self.list.len() == 1).then_some(first)
    }

    /// The bytes that they hold.
    pub fn bytes(&self) -> usize {
        self.bytes + self.list.len() * (size_of::<Run>() + 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(samples: u64, width: usize) -> Vec<f64> {
        (0..samples * width as u64).map(|i| i as f64).collect()
    }

    /// The segments that a whole signal has.
    fn expected(grid: &Grid, samples: u64) -> Vec<(u64, Vec<f64>)> {
        let all = signal(samples, grid.width);
        (0..)
            .map(|k| (k, k * grid.hop))
            .take_while(|(_, from)| from + grid.segment <= samples)
            .map(|(k, from)| {
                let part = grid.numbers(from)..grid.numbers(from + grid.segment);
                (k, all[part].to_vec())
            })
            .collect()
    }

    fn grids() -> Vec<Grid> {
        let grid = |segment, hop, width| Grid {
            segment,
            hop,
            width,
        };
        vec![
            grid(8, 4, 1),
            grid(8, 8, 1),
            grid(5, 3, 1),
            grid(7, 1, 2),
            grid(1, 1, 1),
            grid(200, 100, 1),
        ]
    }

    /// A number that looks like chance.
    fn mixed(i: u64) -> u64 {
        let x = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32
    }

    #[test]
    fn every_segment_is_seen_once_however_the_signal_is_cut() {
        const SAMPLES: u64 = 103;
        for grid in grids() {
            let all = signal(SAMPLES, grid.width);
            for seed in 0..200 {
                let mut pieces = Vec::new();
                let mut from = 0;
                while from < SAMPLES {
                    let most = [1, 3, 11, 40][(seed % 4) as usize];
                    let to = SAMPLES.min(from + 1 + mixed(seed * 1000 + from) % most);
                    pieces.push((from, to));
                    from = to;
                }
                pieces.sort_by_key(|(from, _)| mixed(seed * 77 + from));
                // Some go to another worker, whose runs are taken in at the end.
                let (mut here, mut there) = (Runs::default(), Runs::default());
                let mut seen = Vec::new();
                let mut see = |k: u64, samples: &[f64]| seen.push((k, samples.to_vec()));
                for (i, (from, to)) in pieces.into_iter().enumerate() {
                    let samples = &all[grid.numbers(from)..grid.numbers(to)];
                    let runs = match mixed(seed + i as u64) % 2 {
                        0 => &mut here,
                        _ => &mut there,
                    };
                    runs.push(&grid, from, samples, &mut see);
                }
                for run in there.iter() {
                    here.add(&grid, run.clone(), &mut see);
                }
                seen.sort_by_key(|(k, _)| *k);
                assert_eq!(seen, expected(&grid, SAMPLES), "{grid:?} {seed}");
                let whole = here.whole().expect("one run");
                assert_eq!((whole.start, whole.end), (0, SAMPLES));
                let last = expected(&grid, SAMPLES).len() as u64 * grid.hop;
                assert_eq!(whole.rest(), &all[grid.numbers(last)..]);
            }
        }
    }

    #[test]
    fn what_is_kept_is_less_than_two_segments() {
        let grid = Grid {
            segment: 100,
            hop: 50,
            width: 1,
        };
        let mut run = Run::new(7);
        for piece in signal(100_000, 1).chunks(33) {
            run.push(&grid, piece, &mut |_, _| {});
            let Kept::Ends { head, tail, .. } = &run.kept else {
                continue;
            };
            assert!(head.len() < 100 && tail.len() < 100);
        }
        assert!(matches!(run.kept, Kept::Ends { .. }));
        assert!(run.bytes() < 8 * 1000, "{}", run.bytes());
    }
}
