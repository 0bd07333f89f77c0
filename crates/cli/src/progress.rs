//! What a person sees while a run works: one line that moves on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use dataflow::report::{grouped, size};
use dataflow::{ComponentNumbers, Snapshot};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the line moves on a terminal.
const ON_TERMINAL: Duration = Duration::from_millis(200);
/// How often a line is written elsewhere.
const ELSEWHERE: Duration = Duration::from_secs(10);

/// How often it wants to be called, and what is called.
type Hook = (Duration, Box<dyn FnMut(&Snapshot) + Send>);

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
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        bar.set_style(style);
    }
    Some((
        ON_TERMINAL,
        Box::new(move |numbers| {
            bar.set_message(line(numbers));
            bar.tick();
            if numbers.components.iter().all(|c| c.finished) {
                bar.finish_and_clear();
            }
        }),
    ))
}

/// The run in one line.
fn line(numbers: &Snapshot) -> String {
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
    let read = numbers
        .components
        .iter()
        .filter(|c| c.label.family == "source")
        .all(|c| c.finished);
    let busy = numbers
        .components
        .iter()
        .filter(|c| c.label.family != "source" && !c.finished);
    if let (true, Some(component)) = (read, busy.into_iter().next()) {
        let phase = if component.label.family == "sink" {
            "writing"
        } else {
            "finishing"
        };
        parts.push(format!(
            "{phase} {} ({} rows out)",
            component.label.id,
            grouped(component.rows_out)
        ));
    }
    parts.join("  ·  ")
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
