//! Files that land while somebody watches.

use std::fs;
use std::io::Write;
use std::time::Duration;

use super::*;

/// A watcher on a thread of its own.
struct Watched {
    root: tempfile::TempDir,
    landed: Receiver<Vec<String>>,
    end: Option<Box<dyn FnOnce() + Send>>,
    thread: Option<std::thread::JoinHandle<Result<()>>>,
}

impl Watched {
    /// Watches `path` in a new folder, where `known` has been taken.
    fn new(path: &str, exclude: &[&str], known: &[&str]) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        for name in known {
            write(&root.path().join(name), "old");
        }
        let full = root.path().join(path).display().to_string();
        let folders = Folders {
            roots: vec![Root::of(&full).expect("is there").expect("no file")],
            exclude: Exclude::new(exclude.iter().copied()).expect("globs"),
            any: false,
        };
        let known: Vec<InputFile> = known
            .iter()
            .map(|name| InputFile {
                path: root.path().join(name).display().to_string().into(),
                bytes: Some(3),
            })
            .collect();
        let watcher = Watcher::new("rows", &Arc::new(folders), known.iter());
        let mut watcher = watcher.expect("watches");
        let (tell, landed) = channel();
        let end = Some(watcher.ending());
        let base = root.path().display().to_string() + "/";
        let thread = std::thread::spawn(move || {
            while let Some(files) = watcher.next()? {
                let name = |file: &InputFile| {
                    let size = fs::metadata(&*file.path).expect("is there").len();
                    assert_eq!(file.bytes, Some(size), "{}", file.path);
                    file.path.strip_prefix(&base).expect("in it").to_string()
                };
                tell.send(files.iter().map(name).collect()).expect("heard");
            }
            Ok(())
        });
        Self {
            root,
            landed,
            end,
            thread: Some(thread),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Waits for so many files.
    fn next(&self, many: usize) -> Vec<String> {
        let mut landed = Vec::new();
        while landed.len() < many {
            let more = self.landed.recv_timeout(Duration::from_secs(10));
            landed.extend(more.unwrap_or_else(|_| panic!("only {landed:?}")));
        }
        landed
    }

    fn nothing_for(&self, time: Duration) {
        let landed = self.landed.recv_timeout(time);
        assert!(landed.is_err(), "{landed:?}");
    }

    /// What the watcher ended with.
    fn end(mut self) -> Result<()> {
        self.end.take().expect("not ended")();
        self.thread.take().expect("runs").join().expect("no panic")
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, text).expect("written");
}

/// Puts a file there as a whole.
fn move_in(watched: &Watched, name: &str) {
    let outside = tempfile::tempdir_in(watched.root.path().parent().expect("a folder"));
    let file = outside.expect("a folder").keep().join("file");
    write(&file, name);
    fs::rename(&file, watched.at(name)).expect("moved");
    fs::remove_dir(file.parent().expect("a folder")).expect("empty");
}

#[test]
fn files_land_in_the_order_in_which_they_become_complete() {
    let watched = Watched::new("", &[], &["a.csv"]);
    move_in(&watched, "d.csv");
    // Begun before others, and complete behind them.
    let mut slow = fs::File::create(watched.at("b.csv")).expect("created");
    slow.write_all(b"1").expect("written");
    write(&watched.at("e.csv"), "e");
    move_in(&watched, "c.csv");
    assert_eq!(watched.next(3), ["d.csv", "e.csv", "c.csv"]);
    watched.nothing_for(Duration::from_millis(1500));
    slow.write_all(b"2").expect("written");
    drop(slow);
    assert_eq!(watched.next(1), ["b.csv"]);
    watched.end().expect("no error");
}

#[test]
fn names_that_are_left_out_are_left_out() {
    let watched = Watched::new("", &["old", "x*"], &[]);
    for name in [
        ".a.csv",
        "_b.csv",
        "c.txt",
        "x.csv",
        "old/d.csv",
        ".git/e.csv",
    ] {
        write(&watched.at(name), "1");
    }
    // A file that is written under a hidden name lands with its own.
    fs::rename(watched.at(".a.csv"), watched.at("a.csv")).expect("moved");
    assert_eq!(watched.next(1), ["a.csv"]);
    watched.nothing_for(Duration::from_millis(1500));
    watched.end().expect("no error");
}

#[test]
fn new_folders_are_watched_too() {
    let watched = Watched::new("", &[], &[]);
    write(&watched.at("day/one/a.csv"), "1");
    assert_eq!(watched.next(1), ["day/one/a.csv"]);
    write(&watched.at("day/one/b.csv"), "1");
    move_in(&watched, "day/c.csv");
    assert_eq!(watched.next(2), ["day/one/b.csv", "day/c.csv"]);
    // A folder that is put there with all that is in it.
    let outside = tempfile::tempdir().expect("a folder");
    write(&outside.path().join("day/z.csv"), "1");
    write(&outside.path().join("day/y/x.csv"), "1");
    fs::rename(outside.path().join("day"), watched.at("next")).expect("moved");
    assert_eq!(watched.next(2), ["next/y/x.csv", "next/z.csv"]);
    write(&watched.at("next/y/w.csv"), "1");
    assert_eq!(watched.next(1), ["next/y/w.csv"]);
    watched.end().expect("no error");
}

#[test]
fn globs_say_how_deep() {
    let watched = Watched::new("*.csv", &[], &[]);
    write(&watched.at("deep/a.csv"), "1");
    write(&watched.at("b.csv"), "1");
    assert_eq!(watched.next(1), ["b.csv"]);
    watched.nothing_for(Duration::from_millis(1500));
    watched.end().expect("no error");
    let watched = Watched::new("*/in/*.csv", &[], &[]);
    write(&watched.at("x/a.csv"), "1");
    write(&watched.at("x/in/b.csv"), "1");
    assert_eq!(watched.next(1), ["x/in/b.csv"]);
    watched.end().expect("no error");
}

#[test]
fn links_are_complete_at_once() {
    let watched = Watched::new("", &[], &[]);
    let outside = tempfile::tempdir_in(watched.root.path().parent().expect("a folder"));
    let file = outside.as_ref().expect("a folder").path().join("file");
    write(&file, "1");
    fs::hard_link(&file, watched.at("hard.csv")).expect("linked");
    assert_eq!(watched.next(1), ["hard.csv"]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&file, watched.at("soft.csv")).expect("linked");
        assert_eq!(watched.next(1), ["soft.csv"]);
        let folder = tempfile::tempdir().expect("a folder");
        write(&folder.path().join("a.csv"), "1");
        std::os::unix::fs::symlink(folder.path(), watched.at("linked")).expect("linked");
        assert_eq!(watched.next(1), ["linked/a.csv"]);
        write(&folder.path().join("b.csv"), "1");
        assert_eq!(watched.next(1), ["linked/b.csv"]);
    }
    watched.end().expect("no error");
}

#[test]
fn a_file_is_taken_once_whatever_becomes_of_it() {
    let watched = Watched::new("", &[], &["a.csv"]);
    write(&watched.at("b.csv"), "1");
    assert_eq!(watched.next(1), ["b.csv"]);
    fs::OpenOptions::new()
        .append(true)
        .open(watched.at("a.csv"))
        .and_then(|mut file| file.write_all(b"more"))
        .expect("written");
    fs::remove_file(watched.at("b.csv")).expect("removed");
    write(&watched.at("b.csv"), "another");
    // One that goes before it is complete was never there.
    let slow = fs::File::create(watched.at("c.csv")).expect("created");
    fs::remove_file(watched.at("c.csv")).expect("removed");
    drop(slow);
    watched.nothing_for(Duration::from_millis(1500));
    write(&watched.at("c.csv"), "1");
    assert_eq!(watched.next(1), ["c.csv"]);
    watched.end().expect("no error");
}

#[test]
fn what_landed_before_anybody_watched_is_found() {
    let root = tempfile::tempdir().expect("a folder");
    let full = root.path().display().to_string();
    let folders = Folders {
        roots: vec![Root::of(&full).expect("is there").expect("no file")],
        exclude: Exclude::new([]).expect("globs"),
        any: true,
    };
    write(&root.path().join("b"), "1");
    write(&root.path().join("a"), "1");
    let known = std::iter::empty::<&InputFile>();
    let mut watcher = Watcher::new("rows", &Arc::new(folders), known).expect("watches");
    let landed = watcher.next().expect("no error").expect("not ended");
    let names = landed.iter().map(|file| file.path.rsplit('/').next());
    assert_eq!(names.collect::<Vec<_>>(), [Some("a"), Some("b")]);
}

#[test]
fn what_was_there_first_lands_first() {
    let watched = Watched::new("", &[], &[]);
    let outside = tempfile::tempdir().expect("a folder");
    write(&outside.path().join("day/b.csv"), "1");
    fs::rename(outside.path().join("day"), watched.at("day")).expect("moved");
    // Files in folders that are moved are looked at twice; what is told meanwhile is behind them.
    std::thread::sleep(Duration::from_millis(200));
    write(&watched.at("a.csv"), "1");
    assert_eq!(watched.next(2), ["day/b.csv", "a.csv"]);
    watched.end().expect("no error");
}

#[test]
fn a_folder_that_goes_ends_it() {
    let watched = Watched::new("", &[], &[]);
    fs::remove_dir_all(watched.root.path()).expect("removed");
    let thread = watched.thread.expect("runs");
    let error = thread.join().expect("no panic").expect_err("it is gone");
    assert!(error.to_string().contains("not there any more"), "{error}");
}
