//! What a person sees while a run works: one line that moves on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;

use dataflow::report::{grouped, size};
use dataflow::{ComponentNumbers, Numbers};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the line moves on a terminal.
const ON_TERMINAL: Duration = Duration::from_millis(200);
/// How often a line is written elsewhere.
const ELSEWHERE: Duration = Duration::from_secs(10);

/// The line on the terminal, if there is one.
static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// Standard error for the log: what is written there does not get into the line that moves.
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let write = || std::io::stderr().write(bytes);
        BAR.get().map_or_else(write, |bar| bar.suspend(write))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Takes the line away, for what is printed after the run.
pub fn clear() {
    if let Some(bar) = BAR.get() {
        bar.finish_and_clear();
    }
}

/// How often it wants to be called, and what is called.
type Hook = (Duration, Box<dyn FnMut(&Numbers) + Send>);

/// A progress hook, and how often it wants to be called. None with `--quiet`.
pub fn hook(quiet: bool) -> Option<Hook> {
    if quiet {
        return None;
    }
    if !std::io::stderr().is_terminal() {
        let mut last = 0.0;
        return Some((
            ELSEWHERE,
            Box::new(move |numbers| {
                // The last call comes when the run is over: the closing report says it better.
                if numbers.seconds - last >= ELSEWHERE.as_secs_f64() * 0.9 {
                    last = numbers.seconds;
                    eprintln!("{}", line(numbers));
                }
            }),
        ));
    }
    let bar = BAR
        .get_or_init(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()))
        .clone();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        bar.set_style(style);
    }
    Some((
        ON_TERMINAL,
        Box::new(move |numbers| {
            bar.set_message(line(numbers));
            bar.tick();
        }),
    ))
}

/// The run in one line.
fn line(numbers: &Numbers) -> String {
    let sources = numbers
        .components
        .iter()
        .filter(|c| c.label.family == "source");
    let mut parts: Vec<String> = sources
        .map(|source| source_part(source, numbers.seconds))
        .collect();
    let spilled: u64 = numbers.components.iter().map(|c| c.spilled_bytes).sum();
    if spilled > 0 {
        parts.push(format!("spilled {}", size(spilled)));
    }
    parts.extend(phase(numbers));
    parts.join("  ·  ")
}

/// What is still to be done when everything was read.
fn phase(numbers: &Numbers) -> Option<String> {
    let unfinished = || numbers.components.iter().filter(|c| !c.finished);
    if unfinished().any(|c| c.label.family == "source") {
        return None;
    }
    let component = unfinished().next()?;
    let (doing, rows) = match component.label.family {
        "sink" => ("writing", component.rows_in),
        _ if component.merging => ("merging", component.rows_out),
        _ => ("finishing", component.rows_out),
    };
    let (id, rows) = (&component.label.id, grouped(rows));
    Some(format!("{doing} {id} ({rows} rows)"))
}

fn source_part(source: &ComponentNumbers, seconds: f64) -> String {
    let mut text = format!("{}: {} rows", source.label.id, grouped(source.rows_out));
    let rate = source.rows_out as f64 / seconds.max(1e-3);
    text.push_str(&format!(", {}/s", grouped(rate as u64)));
    if source.splits > 1 {
        text.push_str(&format!(
            ", file {} of {}",
            source.splits_begun, source.splits
        ));
    }
    let share = match (source.input_total, source.rows_total) {
        (Some(total), _) => Some(source.input_bytes as f64 / total as f64),
        (None, Some(total)) => Some(source.rows_out as f64 / total as f64),
        (None, None) => None,
    };
    if let Some(share) = share
        .map(|share| share.min(1.0))
        .filter(|share| *share > 0.0)
    {
        text.push_str(&format!(", {:.0} %", share * 100.0));
        let left = seconds / share - seconds;
        if !source.finished && seconds > 1.0 {
            text.push_str(&format!(", {} left", time(left)));
        }
    }
    text
}

fn time(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataflow::{Label, Metrics};

    fn numbers() -> Numbers {
        let label = |(id, family): (&str, &'static str)| Label {
            id: id.into(),
            type_name: "any".into(),
            family,
            ports: vec![String::new()],
        };
        let labels = [("in", "source"), ("sorted", "transform"), ("out", "sink")];
        Metrics::new(labels.map(label).to_vec()).numbers()
    }

    #[test]
    fn the_line_says_what_is_being_done() {
        let mut numbers = numbers();
        numbers.components[2].rows_in = 7;
        assert_eq!(phase(&numbers), None, "it still reads");
        numbers.components[0].finished = true;
        assert_eq!(
            phase(&numbers).as_deref(),
            Some("finishing sorted (0 rows)")
        );
        numbers.components[1].merging = true;
        numbers.components[1].rows_out = 1_234;
        assert_eq!(
            phase(&numbers).as_deref(),
            Some("merging sorted (1,234 rows)")
        );
        numbers.components[1].finished = true;
        assert_eq!(phase(&numbers).as_deref(), Some("writing out (7 rows)"));
        assert!(line(&numbers).ends_with("  ·  writing out (7 rows)"));
    }
}
