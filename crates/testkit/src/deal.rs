//! Rows dealt to simulated workers, piece by piece, with the watermarks between them.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use dataflow_core::time::{BEGINNING, END, Instant, Newest};
use dataflow_core::{Batch, Place, Places, TimeRule, Times, Transform};

use crate::Drive;

/// When rows happened, and how late they may be.
#[derive(Clone, Copy, Debug)]
pub struct Timing<'a> {
    /// The time of each row.
    pub times: &'a [i64],
    /// What their source says of them.
    pub rule: TimeRule,
}

/// The rows of one input of a transform.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The rows, which are numbered from place 0.
    pub rows: &'a RecordBatch,
    /// When they happened, if they have times.
    pub timing: Option<Timing<'a>>,
}

impl<'a> Side<'a> {
    /// Rows without times.
    pub fn plain(rows: &'a RecordBatch) -> Self {
        Self { rows, timing: None }
    }
}

/// A batch, the number of the piece of input that it came of, and which input that was.
#[derive(Clone)]
pub(crate) struct Dealt {
    pub piece: usize,
    pub input: usize,
    pub batch: Batch,
}

/// What was dealt.
pub(crate) struct Deal {
    /// For each input and worker its batches.
    pub inputs: Vec<Vec<Vec<Dealt>>>,
    /// Behind which piece a watermark comes, and how far time is.
    pub marks: Vec<(usize, Instant)>,
}

/// Deals the rows of all inputs. Pieces are numbered in turn, those of loaded inputs before all others.
pub(crate) fn deal(drive: &Drive, transform: &dyn Transform, sides: &[Side<'_>]) -> Deal {
    let mut dealing = Dealing {
        drive,
        reached: vec![BEGINNING; sides.len()],
        events: BTreeMap::new(),
    };
    let size = drive.piece_rows.max(1);
    let pieces = |side: &Side<'_>| side.rows.num_rows().div_ceil(size);
    let loads = |input: usize| sides.len() > 1 && transform.loads(input);
    let loaded = (0..sides.len()).filter(|input| loads(*input));
    let behind = loaded.map(|input| pieces(&sides[input])).max().unwrap_or(0) * sides.len();
    let inputs = sides.iter().enumerate().map(|(input, side)| {
        let first = if loads(input) { 0 } else { behind };
        let number = |piece: usize| first + piece * sides.len() + input;
        dealing.side(input, side, number)
    });
    let inputs = inputs.collect();
    let timed = sides.iter().any(|side| side.timing.is_some());
    Deal {
        inputs,
        marks: if timed { dealing.marks() } else { Vec::new() },
    }
}

struct Dealing<'d> {
    drive: &'d Drive,
    reached: Vec<Instant>,
    /// How far each input is, behind which piece.
    events: BTreeMap<usize, Vec<(usize, Instant)>>,
}

impl Dealing<'_> {
    fn side(
        &mut self,
        input: usize,
        side: &Side<'_>,
        number: impl Fn(usize) -> usize,
    ) -> Vec<Vec<Dealt>> {
        let (mut newest, mut told) = (Newest::default(), BEGINNING);
        let mut dealt: Vec<Vec<Dealt>> = vec![Vec::new(); self.drive.workers];
        let size = self.drive.piece_rows.max(1);
        let mut last = None;
        for (at, start) in (0..side.rows.num_rows()).step_by(size).enumerate() {
            let piece = number(at);
            let length = size.min(side.rows.num_rows() - start);
            let places = Places::From(Place(start as u64));
            let mut batch = Batch::new(side.rows.slice(start, length)).with_places(places);
            if let Some(Timing { times, rule }) = side.timing {
                let times = &times[start..start + length];
                let horizons = newest.see(times, &rule);
                let times = Times::new(times.to_vec()).with_horizons(horizons);
                batch = batch.with_times(Some(times));
                let reached = newest.horizon(&rule);
                if (at + 1) % self.drive.mark_every.max(1) == 0 && reached > told {
                    told = reached;
                    self.events.entry(piece).or_default().push((input, reached));
                }
            }
            dealt[at % self.drive.workers].push(Dealt {
                piece,
                input,
                batch,
            });
            last = Some(piece);
        }
        match last {
            Some(piece) => self.events.entry(piece).or_default().push((input, END)),
            None => self.reached[input] = END,
        }
        dealt
    }

    /// A watermark is how far the input is that is least far; behind the last row the end itself follows.
    fn marks(mut self) -> Vec<(usize, Instant)> {
        let (mut marks, mut told) = (Vec::new(), BEGINNING);
        for (piece, events) in self.events {
            for (input, reached) in events {
                self.reached[input] = reached;
            }
            let least = self.reached.iter().copied().min().unwrap_or(END);
            if least > told && least < END {
                told = least;
                marks.push((piece, least));
            }
        }
        marks
    }
}
