//! The folder of a store: whose it is, and what is left alone.

use std::path::Path;

use super::draw::{commit, delta, latest, open, part, see, seen};
use crate::{Content, Owner, Store};

fn refused(folder: &Path) -> String {
    let error = Store::open(folder, &Owner::this_process("mine")).err();
    let error = error.expect("is refused").to_string();
    assert!(
        error.contains(&folder.display().to_string()) && error.contains("help: "),
        "{error}"
    );
    error
}

#[test]
fn a_store_in_use_is_refused_with_the_name_of_its_user() {
    let folder = tempfile::tempdir().expect("a folder");
    let owner = Owner {
        pipeline: "readings".to_string(),
        process: 4711,
        host: "press-7".to_string(),
        since: "2024-03-01T08:00:00+01:00".to_string(),
    };
    let store = Store::open(folder.path(), &owner).expect("opens");
    let error = refused(folder.path());
    for word in ["`readings`", "4711", "press-7", "2024-03-01T08:00:00+01:00"] {
        assert!(error.contains(word), "{error}");
    }
    drop(store);
    open(folder.path());
    assert!(!Owner::this_process("x").host.is_empty());
}

#[test]
fn a_store_in_use_can_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let reading = Store::read_only(folder.path()).expect("opens");
    assert!(reading.latest().expect("no error").is_none());
    commit(&store, &[("rows", delta(&[("a", Some(1))]))]);
    let snapshot = reading.latest().expect("no error").expect("is there");
    assert_eq!(
        see(&snapshot, &part("rows")).expect("reads"),
        Some(seen(&[("a", 1)]))
    );
    snapshot.verify().expect("is whole");
}

#[test]
fn a_folder_with_other_things_in_it_is_refused_and_left_alone() {
    let foreign: [&[&str]; 5] = [
        &["notes.txt"],
        &["LOCK", "CURRENT", "MANIFEST-000004", "000005.sst"],
        &["parts/wheel.part"],
        &["files/1.run"],
        &["MANIFEST-1"],
    ];
    for names in foreign {
        let folder = tempfile::tempdir().expect("a folder");
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, "precious").expect("written");
        }
        assert!(refused(folder.path()).contains("nothing was changed"));
        assert!(Store::read_only(folder.path()).is_err());
        for name in names {
            let text = std::fs::read_to_string(folder.path().join(name));
            assert_eq!(text.expect("is there"), "precious");
        }
        let there = std::fs::read_dir(folder.path()).expect("lists").count();
        assert_eq!(there, names.len(), "{names:?}");
    }
}

#[test]
fn a_lock_of_another_program_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("LOCK"), "pid 12").expect("written");
    assert!(refused(folder.path()).contains("`LOCK` is from another program"));
    std::fs::write(folder.path().join("LOCK"), [0; 64]).expect("as after a power cut");
    open(folder.path());
}

#[test]
fn what_is_absent_or_not_allowed_is_told_with_its_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "text").expect("written");
    refused_somehow(&file);
    let absent = Store::read_only(folder.path().join("absent"))
        .err()
        .expect("is not there");
    assert!(absent.to_string().contains("absent"), "{absent}");
}

fn refused_somehow(path: &Path) {
    let error = Store::open(path, &Owner::this_process("mine"))
        .err()
        .expect("cannot be");
    assert!(
        error.to_string().contains(&path.display().to_string()),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn without_permission_the_error_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).expect("made");
    let allow = |mode| {
        std::fs::set_permissions(&inner, std::fs::Permissions::from_mode(mode)).expect("allowed")
    };
    allow(0o500);
    // Whoever may do anything is not kept out.
    if std::fs::write(inner.join("probe"), "").is_err() {
        assert!(refused(&inner).contains("check who may read or write there"));
    }
    allow(0o700);
}

#[test]
fn snapshots_survive_that_the_lock_file_is_rewritten() {
    let folder = tempfile::tempdir().expect("a folder");
    for n in 1..4 {
        let store = open(folder.path());
        assert_eq!(
            commit(&store, &[("a", Content::Whole(vec![n]))]),
            u64::from(n)
        );
        assert_eq!(latest(&store).number(), u64::from(n));
    }
}
