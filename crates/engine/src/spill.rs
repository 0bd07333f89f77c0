//! Room on disk: sorted runs and queues as Arrow IPC files in a folder of the run's own, gone when nobody needs them.
//!
//! A file is one LZ4 frame. Arrow could compress each buffer by itself, but the pieces of runs are small, and setting the
//! compressor up for a few hundred bytes takes longer than compressing them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch};
use arrow_buffer::ScalarBuffer;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use dataflow_core::runs::Run;
use dataflow_core::stage::{Spill, SpillWriter, Spilled};
use dataflow_core::time::BEGINNING;
use dataflow_core::{Batch, Error, Places, Result, Times};
use dataflow_store::Store;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use crate::abort::lock;
use crate::metrics::{Counters, Metrics};

const PREFIX: &str = "dataflow-spill-";
/// The file in a spill folder on which its run holds a lock.
const LOCK: &str = "lock";
const PLACES: &str = "\u{1}places";
const ORDER: &str = "\u{1}order";
const TIMES: &str = "\u{1}times";
const HORIZONS: &str = "\u{1}horizons";

/// A folder, and the lock that tells others that somebody uses it. The folder goes before the lock.
struct Held {
    folder: tempfile::TempDir,
    _lock: Option<File>,
}

/// The spill folder of a run. It is made when first needed, and removed with this value.
pub struct SpillFolder {
    parent: PathBuf,
    limit: Option<u64>,
    /// Where there is a store of snapshots, its folder for such files.
    store: Option<Arc<Store>>,
    folder: std::sync::Mutex<Option<Held>>,
    used: AtomicU64,
    next: AtomicU64,
    metrics: Arc<Metrics>,
}

impl SpillFolder {
    /// Spills below `parent`, at most `limit` bytes at a time.
    pub fn new(
        parent: PathBuf,
        limit: Option<u64>,
        store: Option<Arc<Store>>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            parent,
            limit,
            store,
            folder: std::sync::Mutex::new(None),
            used: AtomicU64::new(0),
            next: AtomicU64::new(0),
            metrics,
        })
    }

    /// A path for a new file.
    fn path(&self) -> Result<PathBuf> {
        if let Some(store) = &self.store {
            return Ok(store.new_file());
        }
        let mut folder = lock(&self.folder);
        if folder.is_none() {
            std::fs::create_dir_all(&self.parent)
                .map_err(|e| Error::io("make the spill folder", self.parent.display(), &e))?;
            remove_leftovers(&self.parent);
            let made = make_folder(&self.parent);
            *folder = Some(
                made.map_err(|e| Error::io("make the spill folder", self.parent.display(), &e))?,
            );
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let made = folder
            .as_ref()
            .ok_or_else(|| Error::internal("the spill folder is gone"))?;
        Ok(made.folder.path().join(format!("{number}.arrow")))
    }
}

/// A run that an earlier run of the program left in a snapshot: the file stays.
pub fn kept(
    folder: &Arc<SpillFolder>,
    id: &str,
    path: PathBuf,
    rows: u64,
) -> Result<Arc<dyn Spilled>> {
    let length = std::fs::metadata(&path).map(|found| found.len());
    let bytes = length.map_err(|e| Error::io("read a run of a snapshot", path.display(), &e))?;
    Ok(finished(folder, id, (path, bytes, true), rows))
}

/// A run in a file of so many bytes, which stays or goes with the last reader.
fn finished(
    folder: &Arc<SpillFolder>,
    id: &str,
    (path, bytes, kept): (PathBuf, u64, bool),
    rows: u64,
) -> Arc<dyn Spilled> {
    folder.used.fetch_add(bytes, Ordering::Relaxed);
    Arc::new(Finished {
        id: id.to_string(),
        file: Arc::new(OnDisk {
            path,
            folder: Arc::clone(folder),
            bytes,
            kept: AtomicBool::new(kept),
        }),
        rows,
    })
}

/// A run that somebody else has written, copied.
pub fn copied(
    folder: &Arc<SpillFolder>,
    id: &str,
    from: &Path,
    rows: u64,
) -> Result<Arc<dyn Spilled>> {
    let path = folder.path()?;
    let bytes = std::fs::copy(from, &path);
    let bytes = bytes.map_err(|e| Error::io("copy a run of a snapshot", from.display(), &e))?;
    Ok(finished(folder, id, (path, bytes, false), rows))
}

/// Makes a folder and takes its lock. Somebody who sweeps at this very moment may come first; then there is another try.
fn make_folder(parent: &Path) -> std::io::Result<Held> {
    let mut tries = 0;
    loop {
        let folder = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .tempdir_in(parent)?;
        match take(folder.path()) {
            Ok(lock) => {
                return Ok(Held {
                    folder,
                    _lock: Some(lock),
                });
            }
            // Where there are no locks nobody can sweep either.
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
                return Ok(Held {
                    folder,
                    _lock: None,
                });
            }
            Err(TryLockError::Error(error)) if tries == 10 => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

/// Takes the lock of a folder, if nobody has it. The system gives it back when the process ends, however it ends.
fn take(folder: &Path) -> Result<File, TryLockError> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let file = options
        .open(folder.join(LOCK))
        .map_err(TryLockError::Error)?;
    file.try_lock()?;
    // It may have been swept between the two.
    std::fs::metadata(folder.join(LOCK)).map_err(TryLockError::Error)?;
    Ok(file)
}

/// Removes the folders that runs left behind: those whose lock nobody holds.
fn remove_leftovers(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        if let Ok(_lock) = take(&entry.path()) {
            let removed = std::fs::remove_dir_all(entry.path());
            tracing::debug!(folder = %entry.path().display(), ok = removed.is_ok(), "removed a leftover spill folder");
        }
    }
}

/// The spill folder as stages see it.
pub struct SpillSpace(pub Arc<SpillFolder>);

impl Spill for SpillSpace {
    fn begin(&self, id: &str, schema: SchemaRef) -> Result<Box<dyn SpillWriter>> {
        let path = self.0.path().map_err(|error| error.component(id))?;
        let counters = self.0.metrics.named(id);
        if counters.is_some_and(Counters::spill_begun) {
            tracing::info!(component = %id, folder = %self.0.parent.display(), "begins to spill");
        }
        Ok(Box::new(Writing {
            id: id.to_string(),
            rows_schema: schema,
            file: Some(OnDisk {
                path,
                folder: Arc::clone(&self.0),
                bytes: 0,
                kept: AtomicBool::new(false),
            }),
            writer: None,
            rows: 0,
        }))
    }
}

/// A file that is removed, and its bytes given back, when this is dropped.
struct OnDisk {
    path: PathBuf,
    folder: Arc<SpillFolder>,
    bytes: u64,
    /// Whether it is part of a snapshot, and so not this run's to remove.
    kept: AtomicBool,
}

impl OnDisk {
    fn grow(&mut self, id: &str, to: u64) -> Result<()> {
        let more = to.saturating_sub(self.bytes);
        self.bytes = to;
        let used = self.folder.used.fetch_add(more, Ordering::Relaxed) + more;
        if let Some(counters) = self.folder.metrics.named(id) {
            counters.spilled.fetch_add(more, Ordering::Relaxed);
        }
        match self.folder.limit {
            Some(limit) if used > limit => Err(Error::resource(format!(
                "spilled {used} bytes, more than the limit of {limit} bytes"
            ))
            .component(id)
            .file(self.folder.parent.display().to_string())
            .help("raise `engine.spill.limit`, or give the run more `engine.memory`")),
            _ => Ok(()),
        }
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        self.folder.used.fetch_sub(self.bytes, Ordering::Relaxed);
        if !self.kept.load(Ordering::Relaxed) {
            // A file that cannot be removed goes with its folder at the end of the run.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Counts what passes through to the file.
struct Counted {
    out: File,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

struct Writing {
    id: String,
    rows_schema: SchemaRef,
    file: Option<OnDisk>,
    writer: Option<StreamWriter<FrameEncoder<Counted>>>,
    rows: u64,
}

impl Writing {
    fn start(&mut self, schema: &Schema) -> Result<()> {
        let file = self
            .file
            .as_ref()
            .ok_or_else(|| Error::internal("a spill was finished twice"))?;
        let out =
            File::create(&file.path).map_err(|e| Error::io("spill", file.path.display(), &e))?;
        let out = Counted { out, bytes: 0 };
        let frame = FrameInfo::new()
            .block_size(BlockSize::Max64KB)
            .block_mode(BlockMode::Independent);
        let out = FrameEncoder::with_frame_info(frame, out);
        let writer = StreamWriter::try_new(out, schema);
        self.writer = Some(writer.map_err(|e| self.failed(&e))?);
        Ok(())
    }

    fn failed(&self, error: &arrow_schema::ArrowError) -> Error {
        let made = match error {
            arrow_schema::ArrowError::IoError(_, io) => {
                let path = self
                    .file
                    .as_ref()
                    .map_or_else(String::new, |f| f.path.display().to_string());
                Error::io("spill", path, io)
            }
            other => Error::internal(format!("cannot spill: {other}")),
        };
        made.component(&self.id)
    }
}

impl SpillWriter for Writing {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        let rows = with_facts(batch)?;
        if self.writer.is_none() {
            self.start(rows.schema().as_ref())?;
        }
        if let Some(writer) = self.writer.as_mut() {
            let written = writer.write(&rows);
            let bytes = writer.get_ref().get_ref().bytes;
            written.map_err(|e| self.failed(&e))?;
            self.rows += batch.len() as u64;
            let id = self.id.clone();
            if let Some(file) = self.file.as_mut() {
                file.grow(&id, bytes)?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Box<dyn Spilled>> {
        if self.writer.is_none() {
            let schema = Arc::clone(&self.rows_schema);
            self.start(&schema)?;
        }
        let mut bytes = 0;
        if let Some(writer) = self.writer.take() {
            let ended = writer.into_inner().and_then(|out| {
                let ended = out.finish().map_err(std::io::Error::from);
                ended.map_err(Into::into)
            });
            bytes = ended.map_err(|e| self.failed(&e))?.bytes;
        }
        let id = self.id.clone();
        let mut file = self
            .file
            .take()
            .ok_or_else(|| Error::internal("a spill was finished twice"))?;
        file.grow(&id, bytes)?;
        tracing::debug!(component = %self.id, rows = self.rows, bytes = file.bytes, "spilled a run");
        Ok(Box::new(Finished {
            id: self.id.clone(),
            file: Arc::new(file),
            rows: self.rows,
        }))
    }
}

struct Finished {
    id: String,
    file: Arc<OnDisk>,
    rows: u64,
}

impl Spilled for Finished {
    fn bytes(&self) -> u64 {
        self.file.bytes
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn keep(&self) -> Option<PathBuf> {
        self.file.kept.store(true, Ordering::Relaxed);
        Some(self.file.path.clone())
    }

    fn read(&self) -> Result<Box<dyn Run>> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::resource(format!("cannot read back what was spilled: {error}"))
                .component(&self.id)
                .file(self.file.path.display().to_string())
        };
        if let Some(counters) = self.file.folder.metrics.named(&self.id) {
            counters.merges();
        }
        let file = File::open(&self.file.path).map_err(|e| failed(&e))?;
        let reader =
            StreamReader::try_new(FrameDecoder::new(file), None).map_err(|e| failed(&e))?;
        Ok(Box::new(ReadBack {
            reader,
            _file: Arc::clone(&self.file),
            id: self.id.clone(),
        }))
    }
}

struct ReadBack {
    reader: StreamReader<FrameDecoder<File>>,
    _file: Arc<OnDisk>,
    id: String,
}

impl Run for ReadBack {
    fn next(&mut self) -> Result<Option<Batch>> {
        match self.reader.next() {
            None => Ok(None),
            Some(Ok(rows)) => without_facts(&rows).map(Some),
            Some(Err(error)) => Err(Error::resource(format!(
                "cannot read back what was spilled: {error}"
            ))
            .component(&self.id)),
        }
    }
}

/// Places, times and order keys as columns.
pub fn with_facts(batch: &Batch) -> Result<RecordBatch> {
    let rows = batch.rows();
    let mut fields: Vec<_> = rows.schema().fields().iter().cloned().collect();
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    if let Some(places) = batch.places().numbers(batch.len()) {
        fields.push(Arc::new(Field::new(PLACES, DataType::UInt64, false)));
        columns.push(Arc::new(places));
    }
    if let Some(order) = batch.order() {
        fields.push(Arc::new(Field::new(ORDER, DataType::Binary, false)));
        columns.push(Arc::new(order.clone()));
    }
    if let Some(times) = batch.times() {
        let mut column = |name: &str, values: &ScalarBuffer<i64>| {
            fields.push(Arc::new(Field::new(name, DataType::Int64, false)));
            columns.push(Arc::new(Int64Array::new(values.clone(), None)));
        };
        column(TIMES, times.at());
        // A file has one schema: what may be late later has its column from the start.
        match times.horizons() {
            Some(horizons) => column(HORIZONS, horizons),
            None => column(HORIZONS, &vec![BEGINNING; batch.len()].into()),
        }
    }
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.len()));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(Schema::new(fields)),
        columns,
        &options,
    )?)
}

pub fn without_facts(rows: &RecordBatch) -> Result<Batch> {
    let schema = rows.schema();
    let mine = |name: &str| [PLACES, ORDER, TIMES, HORIZONS].contains(&name);
    let kept: Vec<usize> = (0..rows.num_columns())
        .filter(|i| !mine(schema.field(*i).name()))
        .collect();
    let mut batch = Batch::new(rows.project(&kept)?);
    if let Some(places) = rows.column_by_name(PLACES) {
        batch = batch.with_places(Places::Each(
            places.as_primitive::<UInt64Type>().values().clone(),
        ));
    }
    if let Some(order) = rows.column_by_name(ORDER) {
        batch = batch.with_order(Some(BinaryArray::from(order.to_data())));
    }
    let numbers = |name: &str| {
        let column = rows.column_by_name(name)?;
        Some(column.as_primitive::<Int64Type>().values().clone())
    };
    let late = |horizons: &ScalarBuffer<i64>| horizons.iter().any(|h| *h != BEGINNING);
    let times =
        numbers(TIMES).map(|at| Times::new(at).with_horizons(numbers(HORIZONS).filter(late)));
    Ok(batch.with_times(times))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Int64Array;
    use arrow_array::types::Int64Type;
    use dataflow_core::Place;

    fn batch(values: &[i64]) -> Batch {
        let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        let order = BinaryArray::from_iter_values(values.iter().map(|v| v.to_be_bytes()));
        Batch::new(RecordBatch::try_from_iter([("x", column)]).expect("one column"))
            .with_places(Places::From(Place(7)))
            .with_order(Some(order))
    }

    #[test]
    fn what_is_spilled_comes_back_and_leaves_nothing_behind() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = SpillFolder::new(
            parent.path().to_path_buf(),
            None,
            None,
            Metrics::new(vec![]),
        );
        let space = SpillSpace(Arc::clone(&folder));
        let first = batch(&[1, 2, 3]);
        let mut writer = space.begin("sorter", first.schema()).expect("begins");
        writer.write(&first).expect("writes");
        writer.write(&batch(&[4])).expect("writes");
        let spilled = writer.finish().expect("finishes");
        assert_eq!(spilled.rows(), 4);
        let mut run = spilled.read().expect("opens");
        drop(spilled);
        let back = run.next().expect("reads").expect("rows");
        assert_eq!(
            back.rows().column(0).as_primitive::<Int64Type>().values(),
            &[1, 2, 3]
        );
        assert_eq!(back.places().get(2), Some(Place(9)));
        assert_eq!(
            back.order().map(|o| o.value(0).to_vec()),
            Some(1_i64.to_be_bytes().to_vec())
        );
        assert!(run.next().expect("reads").is_some());
        assert!(run.next().expect("reads").is_none());
        drop(run);
        assert_eq!(folder.used.load(Ordering::Relaxed), 0);
        drop((space, folder));
        assert_eq!(std::fs::read_dir(parent.path()).expect("lists").count(), 0);
    }

    #[test]
    fn folders_of_runs_that_are_gone_are_removed_and_others_are_not() {
        let parent = tempfile::tempdir().expect("a folder");
        let make = || {
            SpillFolder::new(
                parent.path().to_path_buf(),
                None,
                None,
                Metrics::new(vec![]),
            )
        };
        // In a container the process before this one had the same number, and process 1 is always there.
        let own = format!("{PREFIX}{}-gone", std::process::id());
        let leftovers = [own, format!("{PREFIX}1-gone")].map(|name| parent.path().join(name));
        for leftover in &leftovers {
            std::fs::create_dir(leftover).expect("made");
            std::fs::write(leftover.join("0.arrow"), "rows").expect("written");
        }
        std::fs::write(leftovers[0].join(LOCK), "").expect("written");
        let other = parent.path().join("dataflow-else");
        std::fs::create_dir(&other).expect("made");

        let first = make();
        let first_path = first.path().expect("made");
        assert!(leftovers.iter().all(|leftover| !leftover.exists()));
        assert!(other.exists(), "only what is ours goes");
        std::fs::write(&first_path, "rows").expect("written");
        let second = make();
        let second_path = second.path().expect("made");
        assert!(first_path.exists(), "its run is at work");
        assert_ne!(first_path.parent(), second_path.parent());
        drop((first, second));
        assert_eq!(std::fs::read_dir(parent.path()).expect("lists").count(), 1);
    }

    #[test]
    fn the_limit_is_an_error_that_says_what_to_do() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = SpillFolder::new(
            parent.path().to_path_buf(),
            Some(10),
            None,
            Metrics::new(vec![]),
        );
        let mut writer = SpillSpace(folder)
            .begin("sorter", batch(&[1]).schema())
            .expect("begins");
        writer.write(&batch(&[1, 2, 3])).expect("still in memory");
        let error = writer.finish().err().expect("past the limit");
        assert!(error.to_string().contains("engine.spill.limit"), "{error}");
    }
}
