//! A file that is not there until it is complete: written under a hidden name beside it, renamed at the end.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use dataflow_core::{Error, Moment, Result};
use dataflow_formats::{Ending, Remake};
use serde::{Deserialize, Serialize};
use tempfile::TempPath;
use xxhash_rust::xxh3::xxh3_64;

use super::IfExists;

/// A file to be. Dropped before [`Target::commit`] it leaves nothing behind, unless it was saved: then the hidden file stays for the run
/// that goes on with it.
pub(crate) struct Target {
    /// As people know it.
    path: String,
    /// Where the file is to be, links followed.
    place: PathBuf,
    if_exists: IfExists,
    /// Whether an earlier run, which this one goes on with, may have given the file its name already.
    perhaps_done: bool,
    state: State,
    /// Folders that were made for it, outermost first.
    folders: Vec<PathBuf>,
    /// So many bytes at the beginning change at the end.
    head: u64,
    /// What the file was made of, if that may have stayed.
    made_of: Option<PathBuf>,
}

enum State {
    /// Being written; the lock on the file tells others that somebody does.
    Open(File, TempPath),
    /// Complete under its hidden name.
    Complete(TempPath),
    /// A device or a pipe: written as it goes.
    Direct(File),
    Gone,
}

/// Where a file is that is not complete, for the run that goes on with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// The hidden file, in the folder of the file.
    hidden: String,
    /// What counts of it.
    pub bytes: u64,
    /// Checksums of the first and of the last of these bytes.
    ends: [u64; 2],
    /// So many bytes in front of them change at the end.
    #[serde(default)]
    head: u64,
    /// Whether the file that exists is known to be of this run, or may be.
    #[serde(default)]
    ours: bool,
    #[serde(default)]
    perhaps_done: bool,
}

impl Target {
    pub fn create(path: &str, if_exists: IfExists) -> Result<Self> {
        Self::create_again(path, if_exists, false)
    }

    /// The same in a run that goes on; the one before may have given the file its name already.
    pub fn create_again(path: &str, if_exists: IfExists, perhaps_done: bool) -> Result<Self> {
        let place = followed(Path::new(path));
        let found = fs::metadata(&place).ok();
        let mut target = Self {
            path: path.to_string(),
            place,
            if_exists,
            perhaps_done,
            state: State::Gone,
            folders: Vec::new(),
            head: 0,
            made_of: None,
        };
        if let Some(found) = &found {
            if found.is_dir() {
                return Err(Error::resource("cannot write a file: this is a folder")
                    .file(path)
                    .help("write the name of a file in it"));
            }
            if !found.is_file() {
                let file = OpenOptions::new().write(true).open(&target.place);
                target.state = State::Direct(file.map_err(|e| Error::io("open", path, &e))?);
                return Ok(target);
            }
            if if_exists == IfExists::Fail && !perhaps_done {
                return Err(exists(path));
            }
        }
        target.make_folders()?;
        target.sweep();
        target.begin()?;
        Ok(target)
    }

    /// Removes what stopped runs left of a file that may not be written this time.
    pub fn forget(path: &str) {
        let target = Self {
            path: path.to_string(),
            place: followed(Path::new(path)),
            if_exists: IfExists::Replace,
            perhaps_done: false,
            state: State::Gone,
            folders: Vec::new(),
            head: 0,
            made_of: None,
        };
        target.sweep();
    }

    /// Goes on with a file that an earlier run has saved. What came behind that is cut off.
    pub fn resume(path: &str, if_exists: IfExists, saved: &Saved) -> Result<Self> {
        let mut target = Self {
            path: path.to_string(),
            place: followed(Path::new(path)),
            if_exists: match saved.ours {
                true => IfExists::Replace,
                false => if_exists,
            },
            perhaps_done: saved.perhaps_done,
            state: State::Gone,
            folders: Vec::new(),
            head: 0,
            made_of: None,
        };
        let hidden = target.folder().join(&saved.hidden);
        match OpenOptions::new().read(true).write(true).open(&hidden) {
            Ok(file) => target.go_on(file, &hidden, saved)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => target.begin_as_before(saved)?,
            Err(e) => return Err(Error::io("open", hidden.display(), &e)),
        }
        target.sweep();
        Ok(target)
    }

    fn go_on(&mut self, mut file: File, hidden: &Path, saved: &Saved) -> Result<()> {
        if self.if_exists == IfExists::Fail && !self.perhaps_done && self.place.exists() {
            return Err(exists(&self.path));
        }
        // Where locks are not supported, the file is merely not protected from others.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(Error::resource("another run is writing this file")
                .file(hidden.display().to_string()));
        }
        let failed = |e: io::Error| Error::io("go on with", hidden.display(), &e);
        if !is_of(&mut file, saved).map_err(failed)? {
            return Err(lost("this is not what the earlier run wrote", hidden));
        }
        file.set_len(saved.bytes).map_err(failed)?;
        file.seek(SeekFrom::Start(saved.bytes)).map_err(failed)?;
        let mut path = TempPath::try_from_path(hidden).map_err(failed)?;
        path.disable_cleanup(true);
        self.state = State::Open(file, path);
        Ok(())
    }

    /// Begins with the bytes of the complete file: the run that was saved has given it its name since.
    fn begin_as_before(&mut self, saved: &Saved) -> Result<()> {
        let failed = |e: io::Error| Error::io("go on with", self.place.display(), &e);
        let mut complete = match File::open(&self.place) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let hidden = self.folder().join(&saved.hidden);
                return Err(lost("what the earlier run wrote is gone", &hidden));
            }
            Err(e) => return Err(failed(e)),
        };
        if !is_of(&mut complete, saved).map_err(failed)? {
            let message = "this is not what the earlier run wrote";
            return Err(lost(message, &self.place));
        }
        complete.seek(SeekFrom::Start(0)).map_err(failed)?;
        self.begin()?;
        let mut out = self.output()?;
        let copied = io::copy(&mut complete.take(saved.bytes), &mut out);
        copied.map_err(|e| Error::io("write", &self.path, &e))?;
        match saved.bytes {
            0 => self.perhaps_done = true,
            // The file that exists is this one.
            _ => self.if_exists = IfExists::Replace,
        }
        Ok(())
    }

    /// How many bytes have been written; none where that cannot be told, since it is no file.
    pub fn length(&self) -> Result<Option<u64>> {
        let State::Open(file, _) = &self.state else {
            return Ok(None);
        };
        let found = file.metadata();
        let found = found.map_err(|e| Error::io("write", &self.path, &e))?;
        Ok(Some(found.len()))
    }

    /// Makes the first `bytes` bytes durable and lets the hidden file stay. None where it is no file.
    pub fn save(&mut self, bytes: u64) -> Result<Option<Saved>> {
        let folder = self.folder();
        let State::Open(file, path) = &mut self.state else {
            return Ok(None);
        };
        let failed = |e: io::Error| Error::io("write", &self.path, &e);
        file.flush().map_err(failed)?;
        file.sync_data().map_err(failed)?;
        path.disable_cleanup(true);
        sync_folder(&folder);
        Moment::FileSaved.pass();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let hidden = name.into_owned();
        let at = file.stream_position().map_err(failed)?;
        let ends = ends(file, self.head, bytes).map_err(failed)?;
        // Whoever writes shares the position.
        file.seek(SeekFrom::Start(at)).map_err(failed)?;
        Ok(Some(Saved {
            hidden,
            bytes,
            ends,
            head: self.head,
            ours: self.if_exists == IfExists::Replace,
            perhaps_done: self.perhaps_done,
        }))
    }

    fn folder(&self) -> PathBuf {
        match self.place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        }
    }

    fn make_folders(&mut self) -> Result<()> {
        let folder = self.folder();
        let missing: Vec<&Path> = folder
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
            .collect();
        for folder in missing.into_iter().rev() {
            match fs::create_dir(folder) {
                Ok(()) => self.folders.push(folder.to_path_buf()),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io("make a folder", folder.display(), &e)),
            }
        }
        Ok(())
    }

    /// The hidden name without what makes it unique.
    fn prefix(&self) -> String {
        let name = self.place.file_name().unwrap_or_default();
        let mut name = name.to_string_lossy().into_owned();
        // File names have at most 255 bytes; the hidden one is longer than the final one.
        let mut end = name.len().min(200);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
        format!(".{name}.")
    }

    /// Removes what runs that were killed left for this file. Nobody holds a lock on that.
    fn sweep(&self) {
        let prefix = self.prefix();
        let Ok(entries) = fs::read_dir(self.folder()) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let random = name
                .strip_prefix(&*prefix)
                .and_then(|n| n.strip_suffix(PARTIAL));
            let ours = random.is_some_and(|random| {
                random.len() == RANDOM && random.bytes().all(|b| b.is_ascii_alphanumeric())
            });
            if ours && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn begin(&mut self) -> Result<()> {
        let mut builder = tempfile::Builder::new();
        let prefix = self.prefix();
        builder.prefix(&prefix).suffix(PARTIAL).rand_bytes(RANDOM);
        #[cfg(unix)]
        {
            // What the umask leaves of it: temporary files are private otherwise, and would stay so.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let made = builder.tempfile_in(self.folder());
        let (file, path) = made
            .map_err(|e| Error::io("write", &self.path, &e))?
            .into_parts();
        // Where locks are not supported, the file is merely not protected from being swept.
        let _ = file.try_lock();
        self.state = State::Open(file, path);
        Ok(())
    }

    /// The file that exists, if rows are to be added to it.
    pub fn continues(&self) -> Option<&Path> {
        let open = matches!(self.state, State::Open(..));
        let there = self.if_exists == IfExists::Append && open && self.place.exists();
        there.then_some(&self.place)
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where to write to.
    pub fn output(&self) -> Result<File> {
        match &self.state {
            State::Open(file, _) | State::Direct(file) => file
                .try_clone()
                .map_err(|e| Error::io("write", &self.path, &e)),
            _ => Err(Error::internal("a file was written after it was complete")),
        }
    }

    /// So many bytes at the beginning change at the end: by the others it is told what the file is.
    pub fn expect_head(&mut self, bytes: u64) {
        self.head = bytes;
    }

    /// Does what is to be done in the file when all was written.
    pub fn end(&mut self, ending: Ending) -> Result<()> {
        match ending {
            Ending::Nothing => Ok(()),
            Ending::Head(head) => self.write_head(&head),
            Ending::Anew(make) => self.remake(make),
        }
    }

    fn write_head(&mut self, head: &[u8]) -> Result<()> {
        let State::Open(file, _) = &mut self.state else {
            return Err(self.no_file());
        };
        let written = file
            .seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(head));
        written.map_err(|e| Error::io("write", &self.path, &e))
    }

    /// Makes the file of what was written. That stays, if it was saved, for the run that goes on with it.
    fn remake(&mut self, make: Remake) -> Result<()> {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Open(written, hidden) => {
                self.begin()?;
                self.made_of = Some(hidden.to_path_buf());
                make(&written, &self.output()?)
            }
            other => {
                self.state = other;
                Err(self.no_file())
            }
        }
    }

    /// Gives the file its final name, and lets nobody go on with what it was made of: a snapshot has it complete.
    pub fn publish(mut self) -> Result<()> {
        let made_of = self.made_of.take();
        self.commit()?;
        // It is not there where no snapshot has kept it.
        made_of.map_or(Ok(()), |path| fs::remove_file(path).or(Ok(())))
    }

    /// That it is written to as it goes, and a format cannot be.
    pub fn no_file(&self) -> Error {
        Error::resource("this format cannot be written to a device or a pipe")
            .file(&*self.path)
            .help("write a file, or another format")
    }

    /// Makes what was written durable, closes it, and says how large it is.
    pub fn sync(&mut self) -> Result<u64> {
        let failed = |e: io::Error| Error::io("write", &self.path, &e);
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Open(mut file, path) => {
                file.flush().map_err(failed)?;
                file.sync_all().map_err(failed)?;
                let bytes = file.metadata().map_err(failed)?.len();
                self.state = State::Complete(path);
                Ok(bytes)
            }
            other => {
                self.state = other;
                Ok(0)
            }
        }
    }

    /// Whether the file came to be there although it must not.
    pub fn check_absent(&self) -> Result<()> {
        let there = self.if_exists == IfExists::Fail && self.place.exists();
        match &self.state {
            State::Complete(hidden) if there && self.is_done(hidden)? => Ok(()),
            _ if there => Err(exists(&self.path)),
            _ => Ok(()),
        }
    }

    /// Whether an earlier run has given the file its name: there is one with just these bytes.
    fn is_done(&self, hidden: &Path) -> Result<bool> {
        if !self.perhaps_done {
            return Ok(false);
        }
        let same = same_bytes(hidden, &self.place);
        same.map_err(|e| Error::io("compare a file with", &self.path, &e))
    }

    /// Gives the file its final name.
    pub fn commit(mut self) -> Result<()> {
        let mut hidden = match std::mem::replace(&mut self.state, State::Gone) {
            State::Complete(hidden) => hidden,
            State::Direct(_) => return Ok(()),
            _ => {
                return Err(Error::internal(
                    "a file was committed before it was complete",
                ));
            }
        };
        if let Ok(found) = fs::metadata(&self.place) {
            let _ = fs::set_permissions(&hidden, found.permissions());
        }
        Moment::FileComplete.pass();
        if self.if_exists == IfExists::Fail && self.place.exists() && self.is_done(&hidden)? {
            hidden.disable_cleanup(false);
            return Ok(());
        }
        let renamed = match self.if_exists {
            IfExists::Fail => hidden.persist_noclobber(&self.place),
            IfExists::Replace | IfExists::Append => hidden.persist(&self.place),
        };
        match renamed {
            Ok(()) => {
                Moment::FileRenamed.pass();
                self.folders.clear();
                sync_folder(&self.folder());
                Ok(())
            }
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(exists(&self.path))
            }
            Err(error) => Err(Error::io("give its name to", &self.path, &error.error)),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.state = State::Gone;
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder); // only if it is empty
        }
    }
}

/// So many bytes at each end tell whether a file is the one that was saved.
const END: u64 = 64 << 10;

fn ends(file: &mut File, head: u64, bytes: u64) -> io::Result<[u64; 2]> {
    let head = head.min(bytes);
    let length = (bytes - head).min(END);
    let mut sum = |start: u64| -> io::Result<u64> {
        let mut read = vec![0; length as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut read)?;
        Ok(xxh3_64(&read))
    };
    Ok([sum(head)?, sum(bytes - length)?])
}

fn same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    let files = [File::open(one)?, File::open(other)?];
    if files[0].metadata()?.len() != files[1].metadata()?.len() {
        return Ok(false);
    }
    let [mut one, mut other] = files.map(|file| BufReader::with_capacity(END as usize, file));
    loop {
        let (a, b) = (one.fill_buf()?, other.fill_buf()?);
        let length = a.len().min(b.len());
        if length == 0 || a[..length] != b[..length] {
            return Ok(a.is_empty() && b.is_empty());
        }
        one.consume(length);
        other.consume(length);
    }
}

/// Whether a file begins with what was saved.
fn is_of(file: &mut File, saved: &Saved) -> io::Result<bool> {
    let long_enough = file.metadata()?.len() >= saved.bytes;
    Ok(long_enough && ends(file, saved.head, saved.bytes)? == saved.ends)
}

fn lost(message: &str, file: &Path) -> Error {
    Error::resource(format!("cannot go on: {message}"))
        .file(file.display().to_string())
        .help("start anew with `--fresh`")
}

const PARTIAL: &str = ".partial";
const RANDOM: usize = 8;

/// That there is no such file yet.
pub(super) fn check_new(path: &str) -> Result<()> {
    let found = fs::metadata(followed(Path::new(path)));
    match found.is_ok_and(|found| found.is_file()) {
        true => Err(exists(path)),
        false => Ok(()),
    }
}

fn exists(path: &str) -> Error {
    Error::resource("the file exists already")
        .file(path)
        .help("remove it, choose another name, or set `if_exists = \"replace\"`")
}

/// The file that a link points to: the link stays one.
fn followed(path: &Path) -> PathBuf {
    let mut path = path.to_path_buf();
    for _ in 0..40 {
        match fs::read_link(&path) {
            Ok(to) => path = path.parent().unwrap_or(Path::new("")).join(to),
            Err(_) => break,
        }
    }
    path
}

/// Makes a new name durable, where the system can.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}
