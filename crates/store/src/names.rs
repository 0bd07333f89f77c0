//! Which file is called what in a store.

/// The folder of segments.
pub(crate) const PARTS: &str = "parts";
/// The folder of adopted files.
pub(crate) const FILES: &str = "files";
/// The file on which whoever uses a store holds a lock.
pub(crate) const LOCK: &str = "LOCK";
/// What a manifest is called while it is written, behind its name.
const UNFINISHED: &str = ".new";
const MANIFEST: &str = "MANIFEST-";
const SEGMENT: &str = ".part";

/// The manifest of a snapshot.
pub(crate) fn manifest(number: u64) -> String {
    format!("{MANIFEST}{number}")
}

/// The same manifest while it is written.
pub(crate) fn unfinished(number: u64) -> String {
    format!("{MANIFEST}{number}{UNFINISHED}")
}

/// The number in the name of a manifest.
pub(crate) fn manifest_number(name: &str) -> Option<u64> {
    exactly(name.strip_prefix(MANIFEST)?)
}

/// Is this the name of a manifest that was never completed?
pub(crate) fn is_unfinished(name: &str) -> bool {
    let rest = name.strip_suffix(UNFINISHED);
    rest.and_then(manifest_number).is_some()
}

/// A segment.
pub(crate) fn segment(number: u64) -> String {
    format!("{PARTS}/{number}{SEGMENT}")
}

/// The number in the name of a segment, without its folder.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    exactly(name.strip_suffix(SEGMENT)?)
}

/// An adopted file.
pub(crate) fn file(name: &str) -> String {
    format!("{FILES}/{name}")
}

/// Is this one of the names directly in the folder of a store?
pub(crate) fn is_ours(name: &str) -> bool {
    [PARTS, FILES, LOCK].contains(&name) || manifest_number(name).is_some() || is_unfinished(name)
}

/// A number as it is written here and in no other way: what we did not name is not ours to remove.
fn exactly(text: &str) -> Option<u64> {
    let number = text.parse::<u64>().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_made_here_are_read() {
        assert_eq!(manifest_number(&manifest(12)), Some(12));
        assert!(is_unfinished(&unfinished(12)));
        for foreign in [
            "MANIFEST-000004",
            "MANIFEST-+4",
            "MANIFEST-",
            "CURRENT",
            "4.part",
        ] {
            assert!(!is_ours(foreign), "{foreign}");
        }
        assert_eq!(segment_number("4.part"), Some(4));
        assert_eq!(segment_number("04.part"), None);
    }
}
