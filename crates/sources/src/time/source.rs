//! A source whose rows have event time, around any other.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use dataflow_core::source::Head;
use dataflow_core::time::{BELIEVED, Instant, TimeRule};
use dataflow_core::transform::Port;
use dataflow_core::units::{Duration, Rate};
use dataflow_core::{
    Arrivals, Batch, Cutter, Decoded, Error, Piece, Place, Reader, Result, Source, Split, Times,
    Wanted,
};
use dataflow_expressions::reject_once;

use super::bound;
use super::clock::Clock;

/// A source with a clock.
pub(super) struct Timed {
    /// Reads the wanted columns and those of the time.
    inner: Arc<dyn Source>,
    /// Reads the columns of the time alone.
    times: Arc<dyn Source>,
    clock: Arc<Clock>,
    rule: TimeRule,
    /// Which of the inner columns are wanted, if not all are.
    kept: Option<Arc<[usize]>>,
    ports: Vec<Port>,
    /// Whether somebody would have liked to skip rows.
    skips_nothing: bool,
}

impl Timed {
    pub(super) fn new(inner: Arc<dyn Source>, clock: Arc<Clock>, rule: TimeRule) -> Self {
        Self::over(inner, clock, rule, &Wanted::default())
    }

    fn over(inner: Arc<dyn Source>, clock: Arc<Clock>, rule: TimeRule, wanted: &Wanted) -> Self {
        // No predicate: a row that is skipped could be the newest, and those behind it are late by it.
        let reading = |columns: Option<Vec<String>>| {
            let wanted = Wanted {
                columns,
                predicate: Vec::new(),
                rows: wanted.rows,
            };
            match wanted == Wanted::default() {
                true => Arc::clone(&inner),
                false => Arc::clone(&inner).narrow(&wanted),
            }
        };
        let of_time: Vec<String> = clock.columns().into_iter().collect();
        let columns = wanted.columns.as_ref().map(|columns| {
            let all: BTreeSet<&String> = columns.iter().chain(&of_time).collect();
            all.into_iter().cloned().collect()
        });
        let (times, inner) = (reading(Some(of_time)), reading(columns));
        let mut ports = inner.ports().to_vec();
        let mut kept = None;
        if let (Some(main), Some(columns)) = (ports.first_mut(), &wanted.columns) {
            kept = project(main, columns);
        }
        if let Some(main) = ports.first_mut() {
            *main = main.clone().timed(true);
        }
        Self {
            inner,
            times,
            clock,
            rule,
            kept,
            ports,
            skips_nothing: !wanted.predicate.is_empty(),
        }
    }
}

/// Leaves only these columns on a port; which ones they are, if that are not all.
fn project(port: &mut Port, columns: &[String]) -> Option<Arc<[usize]>> {
    let fields = port.schema.fields();
    let wanted = |at: &usize| columns.contains(fields[*at].name());
    let kept: Arc<[usize]> = (0..fields.len()).filter(wanted).collect();
    if kept.len() == fields.len() {
        return None;
    }
    let left: Vec<_> = kept.iter().map(|at| Arc::clone(&fields[*at])).collect();
    let metadata = port.schema.metadata().clone();
    port.schema = SchemaRef::new(Schema::new_with_metadata(left, metadata));
    Some(kept)
}

impl Source for Timed {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn narrow(self: Arc<Self>, wanted: &Wanted) -> Arc<dyn Source> {
        let clock = Arc::clone(&self.clock);
        Arc::new(Self::over(
            Arc::clone(&self.inner),
            clock,
            self.rule,
            wanted,
        ))
    }

    fn splits(&self) -> Result<Vec<Split>> {
        self.inner.splits()
    }

    fn grows(&self) -> bool {
        self.inner.grows()
    }

    fn arrivals(&self) -> Result<Option<Box<dyn Arrivals>>> {
        self.inner.arrivals()
    }

    fn cutter(&self, split: usize, first: Place) -> Result<Box<dyn Cutter>> {
        self.inner.cutter(split, first)
    }

    fn reader(&self) -> Result<Box<dyn Reader>> {
        Ok(Box::new(TimedReader {
            inner: self.inner.reader()?,
            clock: Arc::clone(&self.clock),
            kept: self.kept.clone(),
        }))
    }

    fn live(&self) -> bool {
        self.inner.live()
    }

    fn rate(&self) -> Option<Rate> {
        self.inner.rate()
    }

    fn time(&self) -> Option<TimeRule> {
        Some(self.rule)
    }

    fn lower_bound(&self, split: usize) -> Result<Option<Instant>> {
        if self.inner.live() {
            return Ok(None);
        }
        if let Some((column, each)) = self.clock.counted()
            && let Some(least) = self.inner.minimum(split, column)?
        {
            return Ok(Some(least.saturating_mul(each)));
        }
        bound::of_head(&*self.times, &self.clock, &self.rule, split).map(Some)
    }

    fn minimum(&self, split: usize, column: &str) -> Result<Option<i64>> {
        self.inner.minimum(split, column)
    }

    fn head(&self, split: usize, most: u64) -> Result<Option<Head>> {
        self.inner.head(split, most)
    }

    fn remarks(&self) -> Vec<(String, u64)> {
        self.inner.remarks()
    }

    fn stand_in(&self, rows: Arc<dyn Source>) -> Arc<dyn Source> {
        let rows = self.inner.stand_in(rows);
        Arc::new(Self::new(rows, Arc::clone(&self.clock), self.rule))
    }

    fn explain(&self) -> Vec<String> {
        let mut lines = self.inner.explain();
        let late = Duration::from_nanoseconds(self.rule.lateness);
        let mut line = format!(
            "event time from {}, {late} of lateness",
            self.clock.subject()
        );
        if let Some(skew) = self.rule.max_future_skew {
            let skew = Duration::from_nanoseconds(skew);
            line.push_str(&format!(
                "; a time more than {skew} ahead counts when {BELIEVED} rows agree"
            ));
        }
        lines.push(line);
        if self.skips_nothing {
            lines.push(
                "leaves out no rows, since what is late is judged by all of them".to_string(),
            );
        }
        lines
    }
}

struct TimedReader {
    inner: Box<dyn Reader>,
    clock: Arc<Clock>,
    kept: Option<Arc<[usize]>>,
}

impl Reader for TimedReader {
    fn open(&mut self, piece: Piece) -> Result<()> {
        self.inner.open(piece)
    }

    fn next(&mut self, rows: usize) -> Result<Option<Decoded>> {
        let Some(mut decoded) = self.inner.next(rows)? else {
            return Ok(None);
        };
        for (_, batch) in decoded.batches.iter_mut().filter(|(port, _)| *port == 0) {
            let (times, failed) = self.clock.read(batch.rows())?;
            let timed = std::mem::replace(batch, Batch::new(batch.rows().slice(0, 0)));
            let timed = timed.with_times(Some(Times::new(times)));
            let (timed, bad, _) = reject_once(&timed, failed)?;
            // Readers say where a row stands by its place.
            decoded.bad.extend(bad.into_iter().map(|mut row| {
                row.index = None;
                row
            }));
            *batch = match &self.kept {
                None => timed,
                Some(kept) => {
                    let rows = timed.rows().project(kept);
                    timed.with_rows(rows.map_err(Error::from)?)
                }
            };
        }
        Ok(Some(decoded))
    }
}
