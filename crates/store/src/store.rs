//! The store itself: a folder, its lock, and what is asked of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_schema::SchemaRef;
use dataflow_core::Result;

use crate::books::Books;
use crate::changes::{Columns, Shape, Shapes};
use crate::disk::{Disk, Folder};
use crate::draft::Draft;
use crate::find;
use crate::folder::{self, Owner};
use crate::keeper::{Answer, Job, Keeper, gone, lock};
use crate::manifest::{Kind, Manifest, Section};
use crate::names;
use crate::round::Tuning;
use crate::rows::RowsReader;
use crate::snapshot::Snapshot;

/// A folder that holds snapshots, and the right to add to them.
///
/// Dropping it waits for the commits that were handed over.
pub struct Store {
    front: Arc<Front>,
    books: Arc<Mutex<Books>>,
    next_file: AtomicU64,
    // Before the lock, so that nobody comes in while the threads are at work.
    keeper: Keeper,
    _lock: Option<File>,
}

/// What drafts need of their store.
pub(crate) struct Front {
    disk: Arc<dyn Disk>,
    /// What the parts are when all that was handed over is committed, or why nothing can be.
    state: Mutex<Result<Shapes<Section>>>,
    pub(crate) jobs: Sender<Job>,
}

impl Front {
    /// The folder of files that may be adopted.
    pub(crate) fn files(&self) -> PathBuf {
        self.disk.path(names::FILES)
    }

    /// The columns of a part that was not touched since the store was opened.
    pub(crate) fn columns(&self, place: &Section) -> Result<SchemaRef> {
        RowsReader::open(&self.disk, place)?.schema()
    }

    /// What the parts are. This waits for nobody: a commit under way does not hold it.
    pub(crate) fn state(&self) -> MutexGuard<'_, Result<Shapes<Section>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the parts are of the snapshot that the next one goes on from.
fn base_shapes(books: &Books) -> Result<Shapes<Section>> {
    let base = books.base()?;
    Ok(base.map(|base| shapes_of(base)).unwrap_or_default())
}

fn shapes_of(manifest: &Manifest) -> Shapes<Section> {
    let parts = manifest.parts.iter();
    let shape = |kind, sections: &[Section]| match (kind, sections.last()) {
        (Kind::Rows, Some(newest)) => Shape::Rows(Columns::Unread(*newest)),
        _ => Shape::Whole,
    };
    parts
        .map(|(key, part)| (key.clone(), shape(part.kind, &part.sections)))
        .collect()
}

impl Store {
    /// Opens a folder for this owner alone, and removes what a crash has left there. A folder that is absent is made.
    ///
    /// A folder with anything else in it is refused. Damage is no error here, but of [`latest`](Self::latest) and
    /// [`begin`](Self::begin): [`reset`](Self::reset) is still possible.
    pub fn open(folder: impl AsRef<Path>, owner: &Owner) -> Result<Self> {
        let folder = folder.as_ref();
        let lock = folder::take(folder, owner)?;
        Self::on(Arc::new(Folder::new(folder)), Tuning::default(), Some(lock))
    }

    /// A store on any disk.
    pub(crate) fn on(disk: Arc<dyn Disk>, tuning: Tuning, lock: Option<File>) -> Result<Self> {
        let books = Books::open(Arc::clone(&disk), tuning)?;
        let next_file = AtomicU64::new(1 + last_file(disk.as_ref())?);
        let shapes = base_shapes(&books);
        let books = Arc::new(Mutex::new(books));
        let keeper = Keeper::start(&books)?;
        let front = Arc::new(Front {
            disk,
            state: Mutex::new(shapes),
            jobs: keeper.jobs().clone(),
        });
        Ok(Self {
            front,
            books,
            next_file,
            keeper,
            _lock: lock,
        })
    }

    /// Looks into a folder without owning it, also while somebody else does.
    pub fn read_only(folder: impl AsRef<Path>) -> Result<Reading> {
        let folder = folder.as_ref();
        folder::check(folder)?;
        Ok(Reading {
            disk: Arc::new(Folder::new(folder)),
        })
    }

    /// The newest snapshot; `None` if there is none yet.
    ///
    /// Every byte of it is read and checked, after a commit that is being written at the moment. If something is damaged, it is the one before, and
    /// [`Snapshot::warnings`] says what is wrong with the newer one; the next draft goes on from the one that was given
    /// here. If there are snapshots and none is usable, the error says which file of the newest is damaged, and how.
    pub fn latest(&self) -> Result<Option<Snapshot>> {
        let mut books = lock(&self.books);
        let number = |books: &Books| books.base().ok().flatten().map(|base| base.number);
        let before = number(&books);
        let latest = books.latest();
        let other = (number(&books) != before).then(|| base_shapes(&books));
        drop(books);
        let mut state = self.front.state();
        match (&latest, other) {
            // Nothing can go on from what is damaged.
            (Err(error), _) => *state = Err(error.clone()),
            (Ok(_), Some(shapes)) => *state = shapes,
            (Ok(_), None) => {}
        }
        latest
    }

    /// Begins the next snapshot. An error if there are snapshots and none is usable.
    pub fn begin(&self) -> Result<Draft> {
        match self.front.state().as_ref() {
            Ok(_) => Ok(Draft::new(Arc::clone(&self.front))),
            Err(error) => Err(error.clone()),
        }
    }

    /// The folder in which files may be written that a draft adopts. What is there and in no snapshot is removed when the
    /// store is opened next.
    pub fn files(&self) -> PathBuf {
        self.front.files()
    }

    /// A path in that folder that nobody had before.
    pub fn new_file(&self) -> PathBuf {
        let number = self.next_file.fetch_add(1, Ordering::Relaxed);
        self.files().join(format!("{number}.run"))
    }

    /// Removes what no snapshot needs. The store does this after every commit and when it is opened; this is for those who
    /// have just let go of a snapshot that they were reading.
    pub fn collect(&self) -> Result<()> {
        self.ask(Job::Collect)
    }

    /// Removes all snapshots with their files, after the commits that were handed over.
    pub fn reset(&self) -> Result<()> {
        // Under the lock, so that no draft is checked against what was there before.
        let mut state = self.front.state();
        self.ask(Job::Reset)?;
        *state = Ok(Shapes::new());
        Ok(())
    }

    fn ask(&self, job: impl FnOnce(Sender<Result<()>>) -> Job) -> Result<()> {
        let (answer, answered) = channel();
        self.keeper.jobs().send(job(answer)).map_err(|_| gone())?;
        Answer(answered).wait()
    }
}

/// The largest number that a file for adoption has.
fn last_file(disk: &dyn Disk) -> Result<u64> {
    let names = crate::books::list(disk, names::FILES)?;
    let number = |name: &String| name.strip_suffix(".run")?.parse::<u64>().ok();
    Ok(names.iter().filter_map(number).max().unwrap_or(0))
}

/// A look into a store that may be somebody else's.
pub struct Reading {
    disk: Arc<dyn Disk>,
}

impl Reading {
    /// The newest snapshot whose files are all there and as long as they should be; `None` if there is none yet.
    ///
    /// Parts are checked as they are read, or by [`Snapshot::verify`]. The owner may replace the snapshot while it is read: then
    /// reading fails because a file is gone, and whoever asks again gets a newer one.
    pub fn latest(&self) -> Result<Option<Snapshot>> {
        let mut tries = 0;
        loop {
            let before = self.names()?;
            let found = find::find(&self.disk)?;
            tries += 1;
            // What looks damaged may have been replaced in between.
            let settled = found.problems.is_empty() || self.names()? == before || tries == 10;
            match (settled, found.current) {
                (false, _) => {}
                (true, Some(manifest)) => {
                    let disk = Arc::clone(&self.disk);
                    return Ok(Some(Snapshot::new(disk, manifest, found.problems)));
                }
                (true, None) => {
                    return found
                        .problems
                        .into_iter()
                        .next()
                        .map_or(Ok(None), |problem| Err(find::unusable(problem)));
                }
            }
        }
    }

    fn names(&self) -> Result<Vec<String>> {
        let mut names = crate::books::list(self.disk.as_ref(), "")?;
        names.sort_unstable();
        Ok(names)
    }
}
