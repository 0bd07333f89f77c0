//! The guide is true: its files are written, its commands are run in order, and what it shows is what is said.

use std::path::Path;
use std::time::Duration;

use crate::program::{self, finish};

const LIMIT: Duration = Duration::from_secs(120);

/// A fenced block: what stands behind the fence, and its lines.
struct Block {
    about: Vec<String>,
    text: String,
}

impl Block {
    fn says(&self, word: &str) -> bool {
        self.about.iter().any(|known| known == word)
    }

    fn file(&self) -> Option<&str> {
        self.about
            .iter()
            .find_map(|word| word.strip_prefix("file="))
    }
}

/// The fenced blocks of a page.
fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(about), None) => {
                let about = about.split_whitespace().map(str::to_string).collect();
                let text = String::new();
                open = Some(Block { about, text });
            }
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

fn page(name: &str) -> String {
    let path = program::root().join("docs").join(name);
    std::fs::read_to_string(path).expect("the page is there")
}

/// The command line as the guide has it: `dataflow` is the program that was built, everything else is the shell's.
fn run(line: &str, folder: &Path, fails: bool) -> String {
    let mut command = std::process::Command::new("sh");
    let program = program::path();
    let programs = program.parent().expect("it lies in a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .args(["-c", line])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", programs.display()));
    let outcome = finish(command, LIMIT);
    let shown = format!("{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.code == Some(0), !fails, "{line}\n{shown}");
    shown
}

#[test]
fn the_guide_is_true() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut shown, mut ran) = (String::new(), 0);
    for block in blocks(&page("guide.md")) {
        if let Some(name) = block.file() {
            std::fs::write(folder.path().join(name), &block.text).expect("written");
        } else if block.says("run") {
            shown.clear();
            for line in block.text.lines().filter(|line| !line.is_empty()) {
                shown.push_str(&run(line, folder.path(), block.says("fails")));
                ran += 1;
            }
        } else if block.says("output") {
            assert!(
                shown.contains(&block.text),
                "{}\nis not in\n{shown}",
                block.text
            );
        } else {
            panic!(
                "a block is neither a file nor run: {:?}\n{}",
                block.about, block.text
            );
        }
    }
    assert!(ran > 10, "only {ran} commands");
}

#[test]
fn the_code_of_the_component_page_is_that_of_the_example() {
    let sources = program::root().join("examples/embedding/src");
    let mut compared = 0;
    for block in blocks(&page("adding-a-component.md")) {
        let Some(name) = block.file() else { continue };
        let whole = std::fs::read_to_string(sources.join(name)).expect("the file is there");
        for part in block.text.split("\n// ...\n") {
            assert!(whole.contains(part.trim_end()), "{name} has no\n{part}");
            compared += 1;
        }
    }
    assert!(compared > 4, "only {compared} parts");
}
