//! Cuts the splits of one source into pieces, on a thread of its own: one behind the other, or whichever the desk asks for.

use super::*;

/// Starts the thread that cuts a source.
pub(super) fn spawn(
    source: &DeskSource,
    (out, asked, wants): (Sender<Cut>, Receiver<usize>, &Wants),
    wake: Wake,
    setup: &DeskSetup,
) -> Option<JoinHandle<()>> {
    let pace = source.source.rate();
    let work = CutterThread {
        node: source.node,
        id: Arc::clone(&source.id),
        source: Arc::clone(&source.source),
        unchanged: source.splits.unchanged(),
        splits: source.splits.clone(),
        time: source.time,
        known_again: setup.snapshots.is_some(),
        asked,
        pace: pace.map(|rate| Pace::new(rate, wants)),
        out,
        wake,
        abort: Arc::clone(&setup.abort),
        metrics: Arc::clone(&setup.metrics),
    };
    let name = format!("cut {}", source.id);
    match std::thread::Builder::new()
        .name(name)
        .spawn(move || work.run())
    {
        Ok(thread) => Some(thread),
        Err(error) => {
            setup.abort.raise(dataflow_core::Error::resource(format!(
                "cannot start a reading thread: {error}"
            )));
            None
        }
    }
}

struct CutterThread {
    node: usize,
    id: Arc<str>,
    source: Arc<dyn Source>,
    splits: Splits,
    time: Option<SourceTime>,
    /// The splits that an earlier run read to their end, and that have the same size as then.
    unchanged: BTreeSet<usize>,
    /// Whether another run has to know the splits again.
    known_again: bool,
    /// The splits of which the next piece is asked for.
    asked: Receiver<usize>,
    /// Where rows are not to leave as fast as they are taken.
    pace: Option<Pace>,
    out: Sender<Cut>,
    wake: Wake,
    abort: Arc<Abort>,
    metrics: Arc<Metrics>,
}

impl CutterThread {
    fn run(mut self) {
        let abort = Arc::clone(&self.abort);
        let id = Arc::clone(&self.id);
        abort.guard(&id, || match self.time {
            None => self.cut_all(),
            Some(time) => {
                let bounds = self.bounds()?;
                if !self.tell(Cut::Bounds(bounds)) {
                    return Ok(());
                }
                match time.aligned {
                    true => self.cut_as_asked(),
                    false => self.cut_all(),
                }
            }
        });
    }

    /// What is known of the times of each split before it is read. Where there is one split, nothing else needs to be known.
    fn bounds(&self) -> Result<Vec<Instant>> {
        let splits = self.splits.all.len();
        if splits < 2 {
            return Ok(vec![BEGINNING; splits]);
        }
        let mut bounds = Vec::with_capacity(splits);
        for split in 0..splits {
            if self.abort.is_raised() {
                break;
            }
            bounds.push(match self.unchanged.contains(&split) {
                true => END,
                false => self.source.lower_bound(split)?.unwrap_or(BEGINNING),
            });
        }
        Ok(bounds)
    }

    fn begin(&self, split: usize) -> Result<Box<dyn Cutter>> {
        let first = Place::new(self.splits.numbers[split], 0)?;
        tracing::debug!(component = %self.id, file = self.name(split), "opened");
        if self.known_again {
            let head = self.source.head(split, HEAD)?;
            self.tell(Cut::Begun(split, head));
        }
        let cutter = self.source.cutter(split, first)?;
        let counters = self.metrics.of(self.node);
        counters.splits_begun.fetch_add(1, Ordering::Relaxed);
        Ok(cutter)
    }

    /// How many rows of a split an earlier run has read.
    fn rows_read(&self, split: usize) -> u64 {
        self.splits
            .from
            .get(&split)
            .map_or(0, |position| position.rows)
    }

    /// The next piece with rows that no earlier run has read.
    fn next_of(&self, split: usize, cutter: &mut dyn Cutter) -> Result<Option<Piece>> {
        let from = self.rows_read(split);
        while let Some(piece) = cutter.next()? {
            let end = piece.rows.map(|rows| piece.first.row() + rows);
            if end.is_none_or(|end| end > from) || from == 0 {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    fn name(&self, split: usize) -> &str {
        &self.splits.all[split].name
    }

    fn finished(&self, split: usize) {
        tracing::debug!(component = %self.id, file = self.name(split), "handed out to its end");
    }

    fn cut_all(&mut self) -> Result<()> {
        for split in self.splits.in_order() {
            if self.unchanged.contains(&split) {
                if !self.tell(Cut::SplitEnd(split)) {
                    return Ok(());
                }
                continue;
            }
            let mut cutter = self.begin(split)?;
            while let Some(piece) = self.next_of(split, cutter.as_mut())? {
                if !self.hand_out(piece) {
                    return Ok(());
                }
            }
            self.finished(split);
            if !self.tell(Cut::SplitEnd(split)) {
                return Ok(());
            }
        }
        self.tell(Cut::End);
        Ok(())
    }

    /// Cuts the next piece of whatever split is asked for.
    fn cut_as_asked(&mut self) -> Result<()> {
        let mut cutters: HashMap<usize, Box<dyn Cutter>> = HashMap::new();
        let mut finished = self.unchanged.clone();
        while let Ok(split) = self.asked.recv() {
            if finished.contains(&split) {
                // Asked for before it was known that there is no more.
                if !self.tell(Cut::SplitEnd(split)) {
                    return Ok(());
                }
                continue;
            }
            let cutter = match cutters.entry(split) {
                Entry::Occupied(open) => open.into_mut(),
                Entry::Vacant(new) => new.insert(self.begin(split)?),
            };
            let told = match self.next_of(split, cutter.as_mut())? {
                Some(piece) => self.hand_out(piece),
                None => {
                    cutters.remove(&split);
                    finished.insert(split);
                    self.finished(split);
                    self.tell(Cut::SplitEnd(split))
                }
            };
            if !told {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Tells of a piece when its rows are due.
    fn hand_out(&mut self, piece: Piece) -> bool {
        let from = self.rows_read(piece.split);
        let due = self
            .pace
            .as_mut()
            .is_none_or(|pace| pace.wait(&piece, from));
        due && self.tell(Cut::Piece(piece))
    }

    fn tell(&self, cut: Cut) -> bool {
        let told = !self.abort.is_raised() && self.out.send(cut).is_ok();
        // The worker may be gone; then the send has failed too.
        let _ = lock(&self.wake).activate();
        told
    }
}
