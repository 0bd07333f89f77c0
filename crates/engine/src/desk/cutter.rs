//! Cuts the splits of one source into pieces, on a thread of its own: one behind the other, or whichever the desk asks for.

use crossbeam_channel::select;

use super::*;

/// Starts the thread that cuts a source.
pub(super) fn spawn(
    source: &DeskSource,
    (out, asked, arrived, wants): (Sender<Cut>, Receiver<usize>, Option<Arrived>, &Wants),
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
        arrived,
        further: Arc::clone(&setup.further),
        names: Arc::clone(&setup.names),
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

/// What the thread is to do next.
enum Next {
    /// To cut a piece of this split.
    Asked(usize),
    /// To take in these.
    Arrived(Vec<Split>),
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
    /// The splits that come.
    arrived: Option<Arrived>,
    /// Their numbers.
    further: Arc<FurtherNumbers>,
    names: Arc<SplitNames>,
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

    /// Takes in splits that have come: from now on they are among the others. Which ones they are, or none if nobody listens.
    fn take_in(&mut self, arrived: Vec<Split>) -> Result<Option<Vec<usize>>> {
        let first = self.splits.all.len();
        let mut told = Vec::with_capacity(arrived.len());
        for split in arrived {
            let number = match self.splits.next_number() {
                Some(number) => number,
                None => self.further.next()?,
            };
            tracing::info!(component = %self.id, file = %split.name, "has come");
            self.names.add(number, &split.name);
            self.splits.add(split.clone(), number);
            told.push((split, number));
        }
        let counters = self.metrics.of(self.node);
        let more = told.len() as u64;
        counters.splits.fetch_add(more, Ordering::Relaxed);
        let new = (first..self.splits.all.len()).collect();
        Ok(self.tell(Cut::Arrived(told)).then_some(new))
    }

    /// One split behind the other, and then those that come.
    fn cut_all(&mut self) -> Result<()> {
        let mut order = self.splits.in_order();
        loop {
            for split in order {
                if !self.cut_one(split)? {
                    return Ok(());
                }
            }
            let arrived = self.arrived.as_ref().map(Receiver::recv);
            let Some(Ok(arrived)) = arrived else {
                self.tell(Cut::End);
                return Ok(());
            };
            match self.take_in(arrived)? {
                Some(new) => order = new,
                None => return Ok(()),
            }
        }
    }

    /// Cuts a whole split. Whether somebody listens.
    fn cut_one(&mut self, split: usize) -> Result<bool> {
        if self.unchanged.contains(&split) {
            return Ok(self.tell(Cut::SplitEnd(split)));
        }
        let mut cutter = self.begin(split)?;
        while let Some(piece) = self.next_of(split, cutter.as_mut())? {
            if !self.hand_out(piece) {
                return Ok(false);
            }
        }
        self.finished(split);
        Ok(self.tell(Cut::SplitEnd(split)))
    }

    /// Cuts the next piece of whatever split is asked for, and takes in those that come.
    fn cut_as_asked(&mut self) -> Result<()> {
        let mut cutters: HashMap<usize, Box<dyn Cutter>> = HashMap::new();
        let mut finished = self.unchanged.clone();
        loop {
            let split = match self.asked_or_arrived() {
                Some(Next::Asked(split)) => split,
                Some(Next::Arrived(arrived)) => match self.take_in(arrived)? {
                    Some(_) => continue,
                    None => return Ok(()),
                },
                None => return Ok(()),
            };
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
    }

    /// Waits until a split is asked for, or some have come; none when nobody asks any more.
    fn asked_or_arrived(&mut self) -> Option<Next> {
        if let Some(arrived) = &self.arrived {
            select! {
                recv(self.asked) -> asked => return asked.ok().map(Next::Asked),
                recv(arrived) -> splits => match splits {
                    Ok(splits) => return Some(Next::Arrived(splits)),
                    Err(_) => {
                        self.arrived = None;
                        self.tell(Cut::NoMore);
                    }
                },
            }
        }
        self.asked.recv().ok().map(Next::Asked)
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
