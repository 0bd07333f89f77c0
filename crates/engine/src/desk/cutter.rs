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
        names: source.splits.iter().map(|s| Arc::clone(&s.name)).collect(),
        first_split: source.first_split,
        time: source.time,
        from: source.from.clone(),
        unchanged: unchanged(source),
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

/// The splits that an earlier run read to their end, and that have the same size as then.
fn unchanged(source: &DeskSource) -> BTreeSet<usize> {
    let same = |(split, position): (&usize, &Position)| {
        let size = source.splits.get(*split).and_then(|split| split.bytes);
        (position.whole && size.is_some() && size == position.bytes).then_some(*split)
    };
    source.from.iter().filter_map(same).collect()
}

struct CutterThread {
    node: usize,
    id: Arc<str>,
    source: Arc<dyn Source>,
    /// The splits' names.
    names: Vec<Arc<str>>,
    first_split: u32,
    time: Option<SourceTime>,
    /// How far an earlier run read each split.
    from: BTreeMap<usize, Position>,
    /// The splits that it read to their end, and that have the same size as then.
    unchanged: BTreeSet<usize>,
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
        let splits = self.names.len();
        if splits < 2 {
            return Ok(vec![BEGINNING; splits]);
        }
        let mut bounds = Vec::with_capacity(splits);
        for split in 0..splits {
            if self.abort.is_raised() {
                break;
            }
            bounds.push(self.source.lower_bound(split)?.unwrap_or(BEGINNING));
        }
        Ok(bounds)
    }

    fn begin(&self, split: usize) -> Result<Box<dyn Cutter>> {
        let first = Place::new(self.first_split + split as u32, 0)?;
        tracing::debug!(component = %self.id, file = &*self.names[split], "opened");
        let cutter = self.source.cutter(split, first)?;
        let counters = self.metrics.of(self.node);
        counters.splits_begun.fetch_add(1, Ordering::Relaxed);
        Ok(cutter)
    }

    /// How many rows of a split an earlier run has read.
    fn rows_read(&self, split: usize) -> u64 {
        self.from.get(&split).map_or(0, |position| position.rows)
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

    fn finished(&self, split: usize) {
        tracing::debug!(component = %self.id, file = &*self.names[split], "handed out to its end");
    }

    fn cut_all(&mut self) -> Result<()> {
        for split in 0..self.names.len() {
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
