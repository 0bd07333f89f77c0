//! What a finished run says: for people as text, for programs as JSON.

use std::fmt::Write;

use dataflow_core::Receipt;
use dataflow_core::units::Bytes;
use dataflow_engine::{ComponentNumbers, Report};
use serde_json::{Value, json};

use crate::machine;

/// A sink that wrote more files than these has one line for all of them.
const NAMED_ON_TERMINAL: usize = 5;
/// As many files of a sink are named in JSON, the first by their names.
const NAMED_IN_JSON: usize = 1000;

/// The closing report as text for a terminal.
pub fn text(report: &Report) -> String {
    let numbers = &report.numbers;
    let mut text = String::new();
    let width = numbers
        .components
        .iter()
        .map(|c| c.label.id.chars().count())
        .max()
        .unwrap_or(0);
    for component in &numbers.components {
        let c = component;
        let shown = |rows: u64, word: &str, by: &str| match c.label.family == by {
            true => " ".repeat(16 + word.len()),
            false => format!("{:>15} {word}", grouped(rows)),
        };
        let counts = format!(
            "{}  {}{}",
            shown(c.rows_in, "in", "source"),
            shown(main_rows(c), "out", "sink"),
            remarks(c)
        );
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:width$}  {}", c.label.id, counts.trim_end());
        for bad in &c.errors {
            let _ = writeln!(
                text,
                "  {:width$}    {} bad row{} ({}), such as{}: {}",
                "",
                grouped(bad.count),
                if bad.count == 1 { "" } else { "s" },
                bad.reason,
                bad.at.as_ref().map_or(String::new(), |at| format!(" {at}")),
                bad.first
            );
        }
        if c.late_dropped > 0 {
            let _ = writeln!(
                text,
                "  {:width$}    {} late row{} left out; a sink that reads `{}.late` keeps them, and a larger `lateness` of the source lets more in",
                "",
                grouped(c.late_dropped),
                if c.late_dropped == 1 { "" } else { "s" },
                c.label.id
            );
        }
        for (note, count) in &c.notes {
            let _ = writeln!(text, "  {:width$}    {note}: {}", "", grouped(*count));
        }
    }
    for (_, receipt) in &report.receipts {
        text.push_str(&written(receipt));
    }
    let read: u64 = numbers
        .components
        .iter()
        .filter(|c| c.label.family == "source")
        .map(|c| c.rows_out)
        .sum();
    let rate = read as f64 / numbers.seconds.max(1e-9);
    let plural = if report.workers == 1 { "" } else { "s" };
    let _ = writeln!(
        text,
        "  {} rows read in {:.2} s ({} rows/s, {} worker{plural}), peak memory {}",
        grouped(read),
        numbers.seconds,
        grouped(rate as u64),
        report.workers,
        size(machine::peak_memory()),
    );
    text
}

/// The rows of the main output, or of all where there is none.
fn main_rows(component: &ComponentNumbers) -> u64 {
    let main = component
        .rows_by_port
        .iter()
        .find(|(name, _)| name.is_empty());
    match main {
        Some((_, rows)) if component.label.family != "source" => *rows,
        _ => component.rows_out,
    }
}

fn remarks(component: &ComponentNumbers) -> String {
    let mut text = String::new();
    for (name, rows) in &component.rows_by_port {
        if !name.is_empty() && *rows > 0 {
            text.push_str(&format!("  {} {name}", grouped(*rows)));
        }
    }
    if component.spilled_bytes > 0 {
        text.push_str(&format!("  spilled {}", size(component.spilled_bytes)));
    }
    text
}

/// A sink's files: a line each, or one for all of them where they are many.
fn written(receipt: &Receipt) -> String {
    let line = |what: &str, rows: u64, bytes: u64| {
        format!("  wrote {what} ({} rows, {})\n", grouped(rows), size(bytes))
    };
    let files = &receipt.files;
    if files.len() > NAMED_ON_TERMINAL {
        let count = grouped(files.len() as u64);
        let what = format!("{count} files below {}", common_folder(receipt));
        return line(&what, receipt.rows, receipt.bytes);
    }
    let lines = files.iter().map(|f| line(&f.path, f.rows, f.bytes));
    lines.collect()
}

/// The innermost folder that all files are in or below. They are sorted, so the first and the last differ most.
fn common_folder(receipt: &Receipt) -> &str {
    let (Some(first), Some(last)) = (receipt.files.first(), receipt.files.last()) else {
        return "";
    };
    let pairs = first.path.bytes().zip(last.path.bytes());
    let same = pairs.take_while(|(a, b)| a == b).count();
    let folder = first.path.as_bytes()[..same]
        .iter()
        .rposition(|b| *b == b'/');
    folder.map_or("./", |end| &first.path[..=end])
}

/// The closing report as JSON.
pub fn json(report: &Report) -> Value {
    let numbers = &report.numbers;
    let components = numbers.components.iter().map(|c| {
        json!({
            "id": &*c.label.id,
            "type": c.label.type_name,
            "family": c.label.family,
            "rows_in": c.rows_in,
            "rows_out": c.rows_out,
            "rows_by_output": c.rows_by_port.iter().filter(|(name, rows)| !name.is_empty() && *rows > 0)
                .map(|(name, rows)| (name.clone(), json!(rows))).collect::<serde_json::Map<_, _>>(),
            "bytes_in": c.bytes_in,
            "bytes_out": c.bytes_out,
            "busy_seconds": c.busy_seconds,
            "blocked_seconds": c.blocked_seconds,
            "spilled_bytes": c.spilled_bytes,
            "late_rows": c.late_rows,
            "late_rows_left_out": c.late_dropped,
            "watermark_nanoseconds": c.watermark,
            "errors": c.errors.iter().map(|e| json!({ "reason": e.reason, "count": e.count, "at": e.at, "first": e.first })).collect::<Vec<_>>(),
            "notes": c.notes.iter().map(|(note, count)| json!({ "note": note, "count": count })).collect::<Vec<_>>(),
        })
    });
    let outputs = report.receipts.iter().map(|(id, receipt)| {
        let files = receipt.files.iter().take(NAMED_IN_JSON);
        let files = files.map(|f| json!({ "path": f.path, "rows": f.rows, "bytes": f.bytes }));
        json!({
            "id": id,
            "rows": receipt.rows,
            "bytes": receipt.bytes,
            "file_count": receipt.files.len(),
            "files": files.collect::<Vec<_>>(),
        })
    });
    json!({
        "seconds": numbers.seconds,
        "workers": report.workers,
        "peak_memory_bytes": machine::peak_memory(),
        "components": components.collect::<Vec<_>>(),
        "outputs": outputs.collect::<Vec<_>>(),
    })
}

/// A number with separators between thousands: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes for people: `1.2 MiB`.
pub fn size(bytes: u64) -> String {
    Bytes(bytes).for_people()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataflow_core::FileReceipt;

    fn receipt(names: &[&str]) -> Receipt {
        let file = |(i, name): (usize, &&str)| FileReceipt {
            path: (*name).to_string(),
            rows: i as u64 + 1,
            bytes: 10 * (i as u64 + 1),
        };
        let files: Vec<FileReceipt> = names.iter().enumerate().map(file).collect();
        Receipt {
            rows: files.iter().map(|f| f.rows).sum(),
            bytes: files.iter().map(|f| f.bytes).sum(),
            files,
        }
    }

    #[test]
    fn each_file_has_its_own_numbers_and_many_have_one_line() {
        let two = written(&receipt(&["out/a.csv", "out/b.csv"]));
        assert_eq!(
            two,
            "  wrote out/a.csv (1 rows, 10 B)\n  wrote out/b.csv (2 rows, 20 B)\n"
        );
        let many = ["o/ab/1", "o/ab/2", "o/ab/3", "o/ac/4", "o/ad/5", "o/ae/6"];
        let text = written(&receipt(&many));
        assert_eq!(text, "  wrote 6 files below o/ (21 rows, 210 B)\n");
        assert_eq!(common_folder(&receipt(&["a.csv", "b.csv"])), "./");
        assert_eq!(common_folder(&receipt(&["/a.csv", "/b.csv"])), "/");
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(3 << 19), "1.5 MiB");
    }
}
