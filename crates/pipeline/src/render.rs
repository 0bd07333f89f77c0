//! Problems as people read them: file, line and column, the source line with a caret, and what to do; or as JSON.

use std::fmt::Write as _;

use dataflow_core::problem::Severity;
use dataflow_core::{Problem, Problems};
use serde_json::json;
use unicode_width::UnicodeWidthChar;

use crate::texts::{Spot, Texts};

/// The most columns of a source line that are shown; of a longer line it is the part around the caret.
const WIDTH: usize = 120;

/// What is wrong with a pipeline, together with the texts it was read from.
#[derive(Clone, Debug)]
pub struct Report {
    /// The name of the pipeline file.
    pub name: String,
    /// The texts.
    pub texts: Texts,
    /// What is wrong.
    pub problems: Problems,
}

impl Report {
    /// A report about the pipeline of this name.
    pub fn new(name: impl Into<String>, texts: Texts, problems: Problems) -> Self {
        Self {
            name: name.into(),
            texts,
            problems,
        }
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.problems.list().is_empty()
    }

    /// All problems in the order of the file, each with its source line, and a summary; empty if there are none.
    pub fn render(&self, colours: bool) -> String {
        let paint = Paint(colours);
        let mut text = String::new();
        for (problem, spot) in self.in_order() {
            self.one(&mut text, problem, spot.as_ref(), paint);
            text.push('\n');
        }
        if !text.is_empty() {
            text.push_str(&self.summary());
            text.push('\n');
        }
        text
    }

    /// How many there are: `3 errors, 1 warning`.
    pub fn summary(&self) -> String {
        let count = |severity| {
            self.problems
                .list()
                .iter()
                .filter(|p| p.severity == severity)
                .count()
        };
        let words = |n: usize, word: &str| match n {
            0 => None,
            1 => Some(format!("1 {word}")),
            n => Some(format!("{n} {word}s")),
        };
        let errors = words(count(Severity::Error), "error");
        let warnings = words(count(Severity::Warning), "warning");
        match (errors, warnings) {
            (Some(errors), Some(warnings)) => format!("{errors}, {warnings}"),
            (one, other) => one.or(other).unwrap_or_else(|| "no problems".into()),
        }
    }

    /// The problems as JSON, for editors and scripts: lines and columns count from 1, columns in characters.
    pub fn problems_json(&self) -> serde_json::Value {
        let one = |(problem, spot): (&Problem, Option<Spot<'_>>)| {
            let mut value = json!({
                "severity": severity(problem),
                "message": self.texts.redact(&problem.message),
                "help": problem.help.as_ref().map(|help| self.texts.redact(help)),
                "file": spot.as_ref().map_or(self.name.as_str(), |spot| spot.name),
            });
            if let Some(spot) = spot {
                let ((line, column), (end_line, end_column)) =
                    (spot.position(), spot.end_position());
                value["line"] = json!(line);
                value["column"] = json!(column);
                value["end_line"] = json!(end_line);
                value["end_column"] = json!(end_column);
            }
            value
        };
        self.in_order().into_iter().map(one).collect()
    }

    /// In the order of the texts as they were written: what was made of a value stands where the value stands.
    fn in_order(&self) -> Vec<(&Problem, Option<Spot<'_>>)> {
        let mut list: Vec<(&Problem, Option<Spot<'_>>)> = Vec::new();
        for problem in self.problems.list() {
            let spot = problem
                .span
                .and_then(|span| self.texts.spot(span, problem.within.as_ref()));
            let known = list
                .iter()
                .any(|(p, s)| *s == spot && p.message == problem.message && p.help == problem.help);
            if !known {
                list.push((problem, spot));
            }
        }
        let place = |spot: &Option<Spot<'_>>| {
            spot.as_ref()
                .map_or((usize::MAX, 0), |spot| (spot.number, spot.range.start))
        };
        list.sort_by_key(|(_, spot)| place(spot));
        list
    }

    fn one(&self, text: &mut String, problem: &Problem, spot: Option<&Spot<'_>>, paint: Paint) {
        let message = printable(&self.texts.redact(&problem.message));
        let word = match problem.severity {
            Severity::Error => paint.red("error"),
            Severity::Warning => paint.yellow("warning"),
        };
        let place = match spot {
            Some(spot) => {
                let (line, column) = spot.position();
                format!("{}:{line}:{column}", printable(spot.name))
            }
            None => printable(&self.name),
        };
        let _ = writeln!(text, "{place}: {word}: {}", paint.bold(&message));
        if let Some(spot) = spot {
            self.source_line(text, spot, paint);
        }
        if let Some(help) = &problem.help {
            let help = printable(&self.texts.redact(help));
            let _ = writeln!(text, "  {}: {help}", paint.green("help"));
        }
    }

    fn source_line(&self, text: &mut String, spot: &Spot<'_>, paint: Paint) {
        let start = spot.text[..spot.range.start]
            .rfind('\n')
            .map_or(0, |i| i + 1);
        let end = spot.text[start..]
            .find('\n')
            .map_or(spot.text.len(), |i| start + i);
        let line = self.texts.cover(&spot.text[start..end]);
        let line = line.strip_suffix('\r').unwrap_or(&line);
        // Covering keeps the number of characters, though not of bytes.
        let characters = |to: usize| spot.text[start..to.min(end)].chars().count();
        let (from, to) = (
            characters(spot.range.start),
            characters(spot.range.end.max(spot.range.start)),
        );
        let drawn = Drawn::new(line, from, to);
        let number = spot.position().0.to_string();
        let bar = paint.blue(&format!("{number} |"));
        let margin = paint.blue(&format!("{} |", " ".repeat(number.len())));
        let _ = writeln!(text, "{bar} {}", drawn.line);
        let carets = paint.red(&"^".repeat(drawn.carets));
        let _ = writeln!(text, "{margin} {}{carets}", " ".repeat(drawn.before));
    }
}

fn severity(problem: &Problem) -> &'static str {
    match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// A source line as it is shown, and where the carets go.
struct Drawn {
    line: String,
    before: usize,
    carets: usize,
}

impl Drawn {
    /// Marks the characters `from..to` of the line.
    fn new(line: &str, from: usize, to: usize) -> Self {
        let cells: Vec<(String, usize)> = line.chars().map(cell).collect();
        let width = |range: std::ops::Range<usize>| -> usize {
            cells[range].iter().map(|(_, width)| width).sum()
        };
        let (from, to) = (from.min(cells.len()), to.min(cells.len()));
        let (mut first, mut last) = (0, cells.len());
        if width(0..cells.len()) > WIDTH {
            while width(first..from) > WIDTH / 3 {
                first += 1;
            }
            while width(first..last) > WIDTH {
                last -= 1;
            }
        }
        let cut = usize::from(first > 0);
        let mut shown: String = if cut > 0 { "…".into() } else { String::new() };
        shown.extend(cells[first..last].iter().map(|(text, _)| text.as_str()));
        if last < cells.len() {
            shown.push('…');
        }
        Self {
            line: shown.trim_end().to_string(),
            before: cut + width(first..from.max(first)),
            carets: width(from.min(last)..to.clamp(from.min(last), last)).max(1),
        }
    }
}

/// A character as it is shown, and the columns that it takes. Nothing in a file may move a terminal's cursor.
fn cell(character: char) -> (String, usize) {
    match character {
        '\t' => ("    ".into(), 4),
        '\u{feff}' => (String::new(), 0),
        c => match c.width() {
            Some(width) => (c.to_string(), width),
            None => ("\u{fffd}".into(), 1),
        },
    }
}

fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// Colours, or none.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_string()
        }
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn red(self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn yellow(self, text: &str) -> String {
        self.with("1;33", text)
    }

    fn green(self, text: &str) -> String {
        self.with("1;32", text)
    }

    fn blue(self, text: &str) -> String {
        self.with("34", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataflow_core::Span;

    fn report(text: &str, part: &str, message: &str) -> Report {
        let mut texts = Texts::default();
        let base = texts.add("p.toml", text);
        let start = base + text.find(part).expect("a part of the text");
        let mut problems = Problems::new();
        let span = Some(Span {
            start,
            end: start + part.len(),
        });
        problems.push(Problem::error(message, span).help("change it"));
        Report::new("p.toml", texts, problems)
    }

    #[test]
    fn carets_stand_under_what_is_meant() {
        for (text, part, shown) in [
            (
                "a = 1\nb = 22\n",
                "22",
                "p.toml:2:5: error: wrong\n2 | b = 22\n  |     ^^\n  help: change it\n\n1 error\n",
            ),
            (
                "\tx = '日本' # y",
                "y",
                "p.toml:1:13: error: wrong\n1 |     x = '日本' # y\n  |                  ^\n  help: change it\n\n1 error\n",
            ),
            (
                "x = '''a\nb'''",
                "'''a\nb'''",
                "p.toml:1:5: error: wrong\n1 | x = '''a\n  |     ^^^^\n  help: change it\n\n1 error\n",
            ),
            (
                "x = \"\u{1b}[2J\"\r\n",
                "x",
                "p.toml:1:1: error: wrong\n1 | x = \"\u{fffd}[2J\"\n  | ^\n  help: change it\n\n1 error\n",
            ),
        ] {
            assert_eq!(report(text, part, "wrong").render(false), shown);
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        let text = format!("x = \"{}\" # HERE {}", "a".repeat(300), "b".repeat(300));
        let shown = report(&text, "HERE", "wrong").render(false);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[1].chars().count() <= WIDTH + 6, "{shown}");
        let caret = lines[2].find('^').expect("a caret");
        let above: String = lines[1].chars().skip(caret).take(4).collect();
        assert_eq!(above, "HERE", "{shown}");
    }

    #[test]
    fn secrets_are_covered_everywhere() {
        let mut report = report("x = 'hunter2' # y", "y", "`hunter2` is wrong");
        report.texts.keep_secret("hunter2");
        let shown = report.render(false);
        assert!(
            !shown.contains("hunter2") && shown.contains("x = '*******' # y"),
            "{shown}"
        );
        assert!(!report.problems_json().to_string().contains("hunter2"));
    }

    #[test]
    fn problems_are_json_too() {
        let json = report("a = 1\nb = 22\n", "22", "wrong").problems_json();
        let expected = json!([{
            "severity": "error", "message": "wrong", "help": "change it", "file": "p.toml",
            "line": 2, "column": 5, "end_line": 2, "end_column": 7,
        }]);
        assert_eq!(json, expected);
    }

    #[test]
    fn colours_are_a_choice() {
        let report = report("a = 1", "1", "wrong");
        assert!(report.render(true).contains("\u{1b}[1;31merror\u{1b}[0m"));
        assert_eq!(
            Report::new("p", Texts::default(), Problems::new()).summary(),
            "no problems"
        );
    }
}
