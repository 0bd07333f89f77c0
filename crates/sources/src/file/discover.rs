//! From a path, a folder or a glob to files, sorted by the bytes of their paths.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use dataflow_core::problem::did_you_mean;
use globset::{Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};
use walkdir::{DirEntry, WalkDir};

/// What is wrong with a path and what to do.
pub(super) type Wrong = (String, Option<String>);

fn wrong(message: impl Into<String>, help: impl Into<String>) -> Wrong {
    (message.into(), Some(help.into()))
}

/// Files by path with their sizes; sorted, each once.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    pub(super) files: BTreeMap<String, u64>,
    /// Files of folders that were left out since nothing says what they hold.
    pub(super) unknown: Vec<String>,
    /// Whether there need not be any.
    pub(super) may_be_none: bool,
}

/// What is left out.
pub(super) struct Exclude {
    set: GlobSet,
}

fn glob(pattern: &str) -> Result<Glob, Wrong> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .map_err(|error| {
            wrong(
                format!("`{pattern}` is not a glob: {}", error.kind()),
                "write one such as `data/**/*.csv`",
            )
        })
}

impl Exclude {
    /// A pattern without `/` means names at any depth, of files and folders.
    pub(super) fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, Wrong> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let trimmed = pattern.trim_end_matches('/');
            set.add(glob(trimmed)?);
            if !trimmed.contains('/') {
                set.add(glob(&format!("**/{trimmed}"))?);
            }
        }
        let set = set
            .build()
            .map_err(|error| wrong(error.to_string(), "write simpler globs"))?;
        Ok(Self { set })
    }

    fn excludes(&self, base: &Path, path: &Path) -> bool {
        let relative = path.strip_prefix(base).unwrap_or(path);
        self.set.is_match(relative) || self.set.is_match(path)
    }
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

const WILDCARDS: [char; 4] = ['*', '?', '[', '{'];

impl Found {
    /// Adds what a path means: a file, all files of a folder that `known` accepts, or those that a glob matches.
    pub(super) fn add(
        &mut self,
        path: &str,
        exclude: &Exclude,
        known: &dyn Fn(&str) -> bool,
    ) -> Result<(), Wrong> {
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => self.folder(path, exclude, known),
            Ok(found) if found.is_file() => {
                self.files.insert(path.to_string(), found.len());
                Ok(())
            }
            Ok(_) => Err(wrong(
                format!("`{path}` is neither a file nor a folder"),
                "to read a pipe, write `path = \"-\"` and connect it to standard input",
            )),
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && path.contains(WILDCARDS) =>
            {
                self.matches(path, exclude)
            }
            Err(error) => Err(unreadable(path, &error)),
        }
    }

    fn folder(
        &mut self,
        path: &str,
        exclude: &Exclude,
        known: &dyn Fn(&str) -> bool,
    ) -> Result<(), Wrong> {
        let (files, unknown) = (self.files.len(), self.unknown.len());
        let base = Path::new(path);
        walk(base, exclude, false, |name, bytes| {
            if known(&name) {
                self.files.insert(name, bytes);
            } else {
                self.unknown.push(name);
            }
        })?;
        if self.files.len() > files || self.may_be_none {
            return Ok(());
        }
        match self.unknown.get(unknown) {
            Some(example) => Err(wrong(
                format!("no file in `{path}` has a known extension (one is `{example}`)"),
                "say what they hold: `format = \"csv\"`, \"jsonl\", \"parquet\" or \"arrow\"",
            )),
            None => Err(wrong(
                format!("there are no files in `{path}`"),
                "check the path; names that begin with `.` or `_` and what `exclude` matches are left out",
            )),
        }
    }

    fn matches(&mut self, pattern: &str, exclude: &Exclude) -> Result<(), Wrong> {
        let root = Root::of_glob(pattern)?;
        let before = self.files.len();
        let mut folders = false;
        let mut keep = |name: String, bytes: Option<u64>| {
            let Some(shown) = root.matching(&name) else {
                return;
            };
            match bytes {
                Some(bytes) => {
                    self.files.insert(shown.to_string(), bytes);
                }
                None => folders = true,
            }
        };
        walk_all(&root.start, exclude, root.hidden, &mut keep)?;
        if self.files.len() > before || self.may_be_none {
            return Ok(());
        }
        let help = if folders {
            format!("it matches folders; for the files in them, write `{pattern}/**`")
        } else {
            "`*` stays within a folder, `**/` goes through all below it".to_string()
        };
        Err(wrong(format!("no file matches `{pattern}`"), help))
    }
}

/// A folder in which files are looked for.
pub(super) struct Root {
    /// Where to begin.
    pub(super) start: PathBuf,
    /// The folders of a glob in front of its first wildcard; empty if names are shown without the folder.
    base: String,
    /// What of it is wanted; none for all files that hold something known.
    only: Option<GlobMatcher>,
    /// Whether hidden names are meant, too.
    hidden: bool,
    /// Whether the folders in it are looked at.
    pub(super) deep: bool,
}

impl Root {
    /// What a path means if it is a folder or a glob; none if it is a file.
    pub(super) fn of(path: &str) -> Result<Option<Self>, Wrong> {
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => Ok(Some(Self {
                start: PathBuf::from(path),
                base: path.to_string(),
                only: None,
                hidden: false,
                deep: true,
            })),
            Ok(_) => Ok(None),
            Err(_) if path.contains(WILDCARDS) => Self::of_glob(path).map(Some),
            Err(error) => Err(unreadable(path, &error)),
        }
    }

    fn of_glob(pattern: &str) -> Result<Self, Wrong> {
        let (base, rest) = base_of(pattern);
        let matcher = glob(rest)?.compile_matcher();
        let start = Path::new(if base.is_empty() { "." } else { base });
        if let Err(error) = std::fs::metadata(start) {
            return Err(unreadable(&start.to_string_lossy(), &error));
        }
        Ok(Self {
            start: start.to_path_buf(),
            base: base.to_string(),
            only: Some(matcher),
            hidden: rest.split('/').any(is_hidden),
            deep: rest.contains('/'),
        })
    }

    /// How a path that was found in the folder is shown, if it is matched.
    fn matching<'a>(&self, name: &'a str) -> Option<&'a str> {
        let Some(matcher) = &self.only else {
            return Some(name);
        };
        let relative = match self.base.as_str() {
            "" => name.strip_prefix("./").unwrap_or(name),
            base => name[base.len()..].trim_start_matches('/'),
        };
        let shown = if self.base.is_empty() { relative } else { name };
        matcher.is_match(relative).then_some(shown)
    }

    /// How a file at a path below the folder is shown, if a look through the folder would find it.
    pub(super) fn wants(
        &self,
        below: &Path,
        exclude: &Exclude,
        known: &dyn Fn(&str) -> bool,
    ) -> Option<String> {
        let mut path = self.start.clone();
        for part in below.components() {
            path.push(part);
            let name = part.as_os_str().to_string_lossy();
            if (!self.hidden && is_hidden(&name)) || exclude.excludes(&self.start, &path) {
                return None;
            }
        }
        let shown = self.matching(path.to_str()?)?;
        (self.only.is_some() || known(shown)).then(|| shown.to_string())
    }
}

/// The folders of a glob in front of its first wildcard, and the rest.
fn base_of(pattern: &str) -> (&str, &str) {
    let wildcard = pattern.find(WILDCARDS).unwrap_or(pattern.len());
    match pattern[..wildcard].rfind('/') {
        Some(0) => ("/", &pattern[1..]),
        Some(at) => (&pattern[..at], &pattern[at + 1..]),
        None => ("", pattern),
    }
}

fn walk(
    base: &Path,
    exclude: &Exclude,
    hidden: bool,
    mut each: impl FnMut(String, u64),
) -> Result<(), Wrong> {
    walk_all(base, exclude, hidden, &mut |name, bytes| {
        if let Some(bytes) = bytes {
            each(name, bytes);
        }
    })
}

/// Calls `each` with every file and its size, and every folder.
fn walk_all(
    base: &Path,
    exclude: &Exclude,
    hidden: bool,
    each: &mut dyn FnMut(String, Option<u64>),
) -> Result<(), Wrong> {
    let wanted = |entry: &DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0
            || ((hidden || !is_hidden(&name)) && !exclude.excludes(base, entry.path()))
    };
    let entries = WalkDir::new(base).follow_links(true).into_iter();
    for entry in entries.filter_entry(wanted) {
        let entry = entry.map_err(|error| {
            let at = error.path().unwrap_or(base).to_string_lossy().into_owned();
            match error.io_error() {
                Some(error) => unreadable(&at, error),
                None => wrong(
                    format!("the links in `{at}` go round in a circle"),
                    "leave one out with `exclude`",
                ),
            }
        })?;
        if entry.depth() == 0 {
            continue;
        }
        let Some(name) = entry.path().to_str() else {
            return Err(wrong(
                format!("the name of `{}` is not UTF-8", entry.path().display()),
                "rename the file, or leave it out with `exclude`",
            ));
        };
        let found = entry.metadata().map_err(|error| {
            wrong(
                format!("cannot look at `{name}`: {error}"),
                "check the file",
            )
        })?;
        if found.is_file() {
            each(name.to_string(), Some(found.len()));
        } else if found.is_dir() {
            each(name.to_string(), None);
        }
    }
    Ok(())
}

/// Why a path cannot be read, and the name that was probably meant.
fn unreadable(path: &str, error: &std::io::Error) -> Wrong {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            let message = format!("there is no file or folder `{path}`");
            let help = nearest(Path::new(path)).unwrap_or_else(|| {
                let here = std::env::current_dir().map_or_else(
                    |_| "the current folder".to_string(),
                    |here| format!("`{}`", here.display()),
                );
                format!("check the path; relative ones start from {here}")
            });
            wrong(message, help)
        }
        std::io::ErrorKind::PermissionDenied => {
            wrong(format!("`{path}` may not be read"), "check who may read it")
        }
        _ => wrong(
            format!("cannot look at `{path}`: {error}"),
            "check the path",
        ),
    }
}

/// The name beside the first missing part of a path that is most like it.
fn nearest(path: &Path) -> Option<String> {
    let mut there = PathBuf::new();
    for part in path.components() {
        let next = there.join(part);
        if next.exists() {
            there = next;
            continue;
        }
        let Component::Normal(name) = part else {
            return None;
        };
        let folder = if there.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &there
        };
        let names: Vec<String> = std::fs::read_dir(folder)
            .ok()?
            // A folder may be huge, and a good name is a comfort only.
            .take(10_000)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        return did_you_mean(name.to_str()?, names.iter().map(String::as_str));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (name, text) in [
            ("b.csv", "1"),
            ("a/z.csv", "22"),
            ("a/deep/x.csv", "333"),
            ("a/deep/x.txt", ""),
            ("a/.hidden.csv", ""),
            ("_temporary/y.csv", ""),
            ("year=2025/c.csv", ""),
        ] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        root
    }

    fn found(root: &Path, path: &str, exclude: &[&str]) -> Result<Vec<String>, Wrong> {
        let exclude = Exclude::new(exclude.iter().copied())?;
        let mut found = Found::default();
        let full = root.join(path);
        let known = |name: &str| name.ends_with(".csv");
        let full = full.to_str().expect("UTF-8");
        found.add(full, &exclude, &known)?;
        let shown = root.to_str().expect("UTF-8");
        let name = |path: &String| path.strip_prefix(shown).map(|p| p[1..].to_string());
        Ok(found.files.keys().filter_map(name).collect())
    }

    #[test]
    fn paths_folders_and_globs_become_files() {
        let root = tree();
        let all = ["a/deep/x.csv", "a/z.csv", "b.csv", "year=2025/c.csv"];
        let cases: [(&str, &[&str], &[&str]); 9] = [
            ("b.csv", &[], &["b.csv"]),
            ("", &[], &all),
            ("", &["deep"], &["a/z.csv", "b.csv", "year=2025/c.csv"]),
            ("", &["a/*.csv", "year=*"], &["a/deep/x.csv", "b.csv"]),
            ("*.csv", &[], &["b.csv"]),
            ("**/*.csv", &[], &all),
            ("*/*.csv", &["z.*"], &["year=2025/c.csv"]),
            ("a/**/x.*", &[], &["a/deep/x.csv", "a/deep/x.txt"]),
            ("_temporary/*", &[], &["_temporary/y.csv"]),
        ];
        for (path, exclude, expected) in cases {
            assert_eq!(
                found(root.path(), path, exclude).expect(path),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn a_file_is_wanted_if_a_look_would_find_it() {
        let root = tree();
        let known = |name: &str| name.ends_with(".csv");
        let all = [
            "b.csv",
            "a/z.csv",
            "a/deep/x.csv",
            "a/deep/x.txt",
            "a/.hidden.csv",
            "_temporary/y.csv",
            "year=2025/c.csv",
        ];
        for path in [
            "",
            "*.csv",
            "**/*.csv",
            "a/**/x.*",
            "_temporary/*",
            "*/*.csv",
        ] {
            for exclude in [&[][..], &["deep"], &["a/*.csv", "year=*"]] {
                let exclude = Exclude::new(exclude.iter().copied()).expect("globs");
                let full = root.path().join(path).display().to_string();
                let folder = Root::of(&full).expect("is there").expect("no file");
                let mut listed = Found {
                    may_be_none: true,
                    ..Found::default()
                };
                listed.add(&full, &exclude, &known).expect("readable");
                let below = |name: &&str| {
                    let path = root.path().join(name);
                    let below = path.strip_prefix(&folder.start).ok()?;
                    folder.wants(below, &exclude, &known)
                };
                let mut wanted: Vec<String> = all.iter().filter_map(below).collect();
                wanted.sort();
                let listed: Vec<String> = listed.files.into_keys().collect();
                assert_eq!(wanted, listed, "{path}");
            }
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let root = tree();
        let shown = root.path().display();
        let cases = [
            (
                "a/z.cvs",
                format!("there is no file or folder `{shown}/a/z.cvs`"),
                "did you mean `z.csv`?".to_string(),
            ),
            (
                "year=2052/*.csv",
                format!("there is no file or folder `{shown}/year=2052`"),
                "did you mean `year=2025`?".to_string(),
            ),
            (
                "*.parquet",
                format!("no file matches `{shown}/*.parquet`"),
                "`*` stays within a folder, `**/` goes through all below it".to_string(),
            ),
            (
                "y*",
                format!("no file matches `{shown}/y*`"),
                format!("it matches folders; for the files in them, write `{shown}/y*/**`"),
            ),
        ];
        for (path, message, help) in cases {
            assert_eq!(
                found(root.path(), path, &[]),
                Err((message, Some(help))),
                "{path}"
            );
        }
    }
}
