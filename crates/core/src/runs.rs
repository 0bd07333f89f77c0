//! Sorted runs and their merge: how results of several workers, or of several spills, become one ordered stream.

use arrow_array::{Array, BinaryArray};

use crate::{Batch, Error, Result};

/// Batches in ascending order of their [`Batch::order`] keys.
pub trait Run: Send {
    /// The next batch (never an empty one), or none at the end.
    ///
    /// # Errors
    /// When it cannot be read.
    fn next(&mut self) -> Result<Option<Batch>>;
}

impl Run for std::vec::IntoIter<Batch> {
    fn next(&mut self) -> Result<Option<Batch>> {
        Ok(Iterator::find(self, |batch| !batch.is_empty()))
    }
}

/// Where the merge stands in one run.
struct Head {
    batch: Batch,
    order: BinaryArray,
    at: usize,
}

/// Whether a merge can go on.
#[derive(Debug)]
pub enum Merged {
    /// Rows, in order, with their order keys unless nobody wants these.
    Rows(Batch),
    /// Run `.0` has nothing yet: feed it, or say that it has ended.
    Starved(usize),
    /// All runs have ended and everything was returned.
    End,
}

/// A k-way merge of runs that are fed from outside. Equal keys come in the order of the runs.
pub struct Merge {
    runs: Vec<Feed>,
    /// The runs of which a key is known, the one with the smallest last. Few of them: looking through them costs less than a
    /// heap, whose keys would have to be copied row by row.
    turns: Vec<usize>,
    /// Whether rows leave without their keys.
    bare: bool,
}

#[derive(Default)]
struct Feed {
    head: Option<Head>,
    ended: bool,
    /// The key that the run has reached, in place of that of a row.
    reached: Option<Vec<u8>>,
}

impl Feed {
    /// The key of the run's next row, or the one that it has reached.
    #[inline]
    fn key(&self) -> &[u8] {
        match &self.head {
            Some(head) if head.at < head.order.len() => head.order.value(head.at),
            _ => self.reached.as_deref().unwrap_or_default(),
        }
    }
}

impl Merge {
    /// A merge of so many runs.
    pub fn new(runs: usize) -> Self {
        Self {
            runs: (0..runs).map(|_| Feed::default()).collect(),
            turns: Vec::new(),
            bare: false,
        }
    }

    /// The same for somebody who does not look at the keys of what was merged: they are not put together.
    #[must_use]
    pub fn without_keys(self) -> Self {
        Self { bare: true, ..self }
    }

    /// What each run was fed and did not give yet.
    pub fn into_rests(self) -> Vec<Option<Batch>> {
        let rest = |head: Head| {
            let length = head.order.len() - head.at;
            (length > 0).then(|| head.batch.slice(head.at, length))
        };
        self.runs.into_iter().map(|feed| rest(feed.head?)).collect()
    }

    /// Whether run `run` needs its next batch.
    pub fn wants(&self, run: usize) -> bool {
        let feed = &self.runs[run];
        feed.head.is_none() && !feed.ended && feed.reached.is_none()
    }

    /// Gives run `run` its next batch; only when it is wanted.
    ///
    /// # Errors
    /// When the batch has no order keys.
    pub fn feed(&mut self, run: usize, batch: Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let Some(order) = batch.order().cloned() else {
            return Err(Error::internal("a sorted run came without order keys"));
        };
        self.forget_reached(run);
        self.runs[run].head = Some(Head {
            batch,
            order,
            at: 0,
        });
        self.takes_turn(run);
        Ok(())
    }

    /// Whether no row is held at the moment.
    pub fn is_drained(&self) -> bool {
        self.runs.iter().all(|feed| feed.head.is_none())
    }

    /// Run `run` has no rows now, and none below `key` will come: rows of others up to there need not wait for it.
    pub fn reach(&mut self, run: usize, key: &[u8]) {
        if self.runs[run].head.is_none() && !self.runs[run].ended {
            self.forget_reached(run);
            self.runs[run].reached = Some(key.to_vec());
            self.takes_turn(run);
        }
    }

    /// Run `run` has no further batch.
    pub fn end(&mut self, run: usize) {
        self.forget_reached(run);
        self.runs[run].ended = true;
    }

    fn forget_reached(&mut self, run: usize) {
        if self.runs[run].reached.take().is_some() {
            self.turns.retain(|other| *other != run);
        }
    }

    /// Puts a run where its key belongs.
    #[inline]
    fn takes_turn(&mut self, run: usize) {
        let key = self.runs[run].key();
        let later = |other: &usize| (self.runs[*other].key(), *other) > (key, run);
        let at = self.turns.partition_point(later);
        self.turns.insert(at, run);
    }

    /// At most `limit` rows in order.
    ///
    /// # Errors
    /// When Arrow cannot put them together.
    pub fn next(&mut self, limit: usize) -> Result<Merged> {
        self.next_before(limit, None)
    }

    /// As [`Merge::next`], but only rows whose keys are less than `bound`; what is not so far is the end.
    ///
    /// # Errors
    /// When Arrow cannot put them together.
    pub fn next_before(&mut self, limit: usize, bound: Option<&[u8]>) -> Result<Merged> {
        let mut picked: Vec<(usize, usize, usize)> = Vec::new();
        let mut rows = 0;
        let mut starved = self.starved();
        while starved.is_none() && rows < limit {
            let Some(run) = self.turns.last().copied() else {
                break;
            };
            let feed = &self.runs[run];
            if feed.reached.is_some() || bound.is_some_and(|bound| feed.key() >= bound) {
                starved = feed.reached.is_some().then_some(run);
                break;
            }
            self.turns.pop();
            let length = self.run_length(run, limit - rows, bound);
            let feed = &mut self.runs[run];
            let Some(head) = feed.head.as_mut() else {
                break;
            };
            picked.push((run, head.at, length));
            head.at += length;
            rows += length;
            if head.at < head.order.len() {
                self.takes_turn(run);
            } else if !feed.ended {
                // The batch stays where it is until its rows were put together below.
                starved = Some(run);
            }
        }
        if rows == 0 {
            return Ok(starved.map_or(Merged::End, Merged::Starved));
        }
        let merged = self.gather(&picked)?;
        for feed in &mut self.runs {
            let used_up = |head: &Head| head.at >= head.order.len();
            if feed.head.as_ref().is_some_and(used_up) {
                feed.head = None;
            }
        }
        Ok(Merged::Rows(merged))
    }

    fn starved(&self) -> Option<usize> {
        (0..self.runs.len()).find(|run| self.wants(*run))
    }

    /// How many rows of `run` come before the next row of any other run.
    #[inline]
    fn run_length(&self, run: usize, limit: usize, bound: Option<&[u8]>) -> usize {
        let Some(head) = &self.runs[run].head else {
            return 0;
        };
        let mut rest = (head.order.len() - head.at).min(limit);
        if let Some(bound) = bound {
            let within = (1..rest).find(|i| head.order.value(head.at + i) >= bound);
            rest = within.unwrap_or(rest);
        }
        let Some(other) = self.turns.last().copied() else {
            return rest;
        };
        let others = (self.runs[other].key(), other);
        let before = |i: &usize| (head.order.value(head.at + i), run) < others;
        1 + (1..rest).take_while(before).count()
    }

    fn gather(&self, picked: &[(usize, usize, usize)]) -> Result<Batch> {
        let head = |run: usize| {
            self.runs[run]
                .head
                .as_ref()
                .ok_or_else(|| Error::internal("a run lost its rows"))
        };
        if let [(run, at, length)] = picked {
            return Ok(self.leaving(&head(*run)?.batch).slice(*at, *length));
        }
        let mut used: Vec<usize> = picked.iter().map(|(run, ..)| *run).collect();
        used.sort_unstable();
        used.dedup();
        let heads = used
            .iter()
            .map(|run| Ok(self.leaving(&head(*run)?.batch)))
            .collect::<Result<Vec<_>>>()?;
        let heads: Vec<&Batch> = heads.iter().collect();
        let mut indices = Vec::new();
        for (run, at, length) in picked {
            let which = used
                .binary_search(run)
                .map_err(|_| Error::internal("a run lost its rows"))?;
            indices.extend((*at..at + length).map(|row| (which, row)));
        }
        Batch::interleave(&heads, &indices)
    }

    fn leaving(&self, batch: &Batch) -> Batch {
        match self.bare {
            true => batch.clone().with_order(None),
            false => batch.clone(),
        }
    }
}

/// A merge that reads its runs itself.
pub struct MergedRuns {
    runs: Vec<Box<dyn Run>>,
    merge: Merge,
    limit: usize,
}

impl MergedRuns {
    /// Merges `runs` into batches of at most `limit` rows.
    pub fn new(runs: Vec<Box<dyn Run>>, limit: usize) -> Self {
        Self {
            merge: Merge::new(runs.len()),
            runs,
            limit,
        }
    }
}

impl Run for MergedRuns {
    fn next(&mut self) -> Result<Option<Batch>> {
        loop {
            match self.merge.next(self.limit)? {
                Merged::Rows(batch) => return Ok(Some(batch)),
                Merged::End => return Ok(None),
                Merged::Starved(run) => match self.runs[run].next()? {
                    Some(batch) => self.merge.feed(run, batch)?,
                    None => self.merge.end(run),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Keys;
    use arrow_array::RecordBatch;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array};
    use arrow_schema::DataType;
    use std::sync::Arc;

    fn run(pieces: &[&[i64]]) -> Box<dyn Run> {
        let keys = Keys::ascending(&[DataType::Int64]).expect("ordered");
        let batches: Vec<Batch> = pieces
            .iter()
            .map(|piece| {
                let column: ArrayRef = Arc::new(Int64Array::from(piece.to_vec()));
                let order = keys.encode(&[Arc::clone(&column)]).expect("encodes");
                let rows = RecordBatch::try_from_iter([("x", column)]).expect("one column");
                Batch::new(rows).with_order(Some(order))
            })
            .collect();
        Box::new(batches.into_iter())
    }

    fn merged(runs: Vec<Box<dyn Run>>, limit: usize) -> Vec<i64> {
        let mut merged = MergedRuns::new(runs, limit);
        let mut all = Vec::new();
        while let Some(batch) = merged.next().expect("merges") {
            assert!(batch.len() <= limit);
            all.extend(
                batch
                    .rows()
                    .column(0)
                    .as_primitive::<Int64Type>()
                    .values()
                    .iter()
                    .copied(),
            );
        }
        all
    }

    #[test]
    fn runs_merge_in_order_whatever_the_limit() {
        for limit in [1, 2, 3, 100] {
            let runs = vec![
                run(&[&[1, 4, 4], &[9]]),
                run(&[&[2], &[4, 5, 6]]),
                run(&[]),
                run(&[&[-3, 100]]),
            ];
            assert_eq!(
                merged(runs, limit),
                [-3, 1, 2, 4, 4, 4, 5, 6, 9, 100],
                "limit {limit}"
            );
        }
        assert!(merged(vec![], 10).is_empty());
    }

    #[test]
    fn a_run_that_said_how_far_it_is_holds_nobody_up_to_there() {
        let keys = Keys::ascending(&[DataType::Int64]).expect("ordered");
        let key = |x: i64| {
            let column: ArrayRef = Arc::new(Int64Array::from(vec![x]));
            keys.encode(&[column]).expect("encodes").value(0).to_vec()
        };
        let batch = |values: &[i64]| run(&[values]).next().expect("reads").expect("a batch");
        let mut merge = Merge::new(2);
        let next = |merge: &mut Merge| match merge.next(10).expect("merges") {
            Merged::Rows(batch) => Ok(batch
                .rows()
                .column(0)
                .as_primitive::<Int64Type>()
                .values()
                .to_vec()),
            Merged::Starved(run) => Err(Some(run)),
            Merged::End => Err(None),
        };
        merge.feed(0, batch(&[1, 4, 8])).expect("feeds");
        assert_eq!(next(&mut merge), Err(Some(1)));
        merge.reach(1, &key(5));
        assert_eq!(next(&mut merge), Ok(vec![1, 4]));
        assert_eq!(next(&mut merge), Err(Some(1)));
        merge.reach(1, &key(6));
        assert_eq!(next(&mut merge), Err(Some(1)));
        merge.feed(1, batch(&[7])).expect("feeds");
        assert_eq!(next(&mut merge), Ok(vec![7]));
        merge.reach(1, &key(7));
        assert_eq!(next(&mut merge), Err(Some(1)));
        merge.end(1);
        assert_eq!(next(&mut merge), Ok(vec![8]));
        assert_eq!(next(&mut merge), Err(Some(0)));
        merge.end(0);
        assert_eq!(next(&mut merge), Err(None));
    }
}
