//! A table of the first and the last rows, as wide as the terminal.

use std::collections::VecDeque;
use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, SchemaRef};
use arrow_select::take::take_record_batch;
use dataflow_core::saved::{Restored, Save, Share};
use dataflow_core::sink::Receipt;
use dataflow_core::{Batch, Error, Result, SinkContext, Writer};
use dataflow_formats::logical;
use dataflow_formats::write::{Cells, Style, failed};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Console;
use crate::stdout::Stdout;

/// A cell keeps so many characters at most, however wide the terminal is.
const MOST_CHARACTERS: usize = 500;
/// A text column that has to give way keeps at least so many, or a quarter of the terminal.
const LEAST_WIDTH: usize = 8;
/// A table that is too wide is broken into at most so many blocks.
const MOST_BLOCKS: usize = 3;
/// Digits of a number that count, on a terminal and elsewhere.
const DIGITS: (usize, usize) = (6, 7);
const GAP: &str = "  ";

/// The names of what is saved: the first rows as they will be printed, the last ones, and how many came.
const HEAD: &str = "head";
const TAIL: &str = "tail";
const ROWS: &str = "rows";

/// Collects the first and the last rows.
pub(super) struct Table {
    stdout: Stdout,
    width: Option<usize>,
    schema: SchemaRef,
    types: bool,
    /// A line above the table.
    title: Option<String>,
    /// Rows to keep of the start, and of the end.
    first: usize,
    last: usize,
    head: Vec<Vec<String>>,
    /// Rows of the end, copied so that they hold on to nothing else.
    tail: VecDeque<RecordBatch>,
    rows: u64,
}

impl Table {
    pub fn new(context: &SinkContext, schema: SchemaRef, config: &Console) -> Self {
        let rows = config.rows as usize;
        let (first, last) = match config.head {
            Some(head) => (head as usize, 0),
            None => (rows.div_ceil(2), rows / 2),
        };
        Self {
            stdout: Stdout::of(context),
            width: context.width,
            schema,
            types: config.types,
            title: config.title.clone(),
            first,
            last,
            head: Vec::new(),
            tail: VecDeque::new(),
            rows: 0,
        }
    }

    /// With a line above it that says what it shows, unless it has one.
    pub fn titled(mut self, title: Option<String>) -> Self {
        self.title = self.title.or(title);
        self
    }

    /// With the rows that an earlier run has collected.
    pub fn resumed(mut self, from: &Restored<'_>) -> Result<Self> {
        let unreadable = |e| Error::data(format!("what was saved of a table is none: {e}"));
        let (head, rows) = (from.values(HEAD)?.pop(), from.values(ROWS)?.pop());
        let (Some(head), Some(rows)) = (head, rows) else {
            return Ok(self);
        };
        self.head = serde_json::from_value(head).map_err(unreadable)?;
        self.rows = serde_json::from_value(rows).map_err(unreadable)?;
        from.rows(TAIL, Share::Dealt, &mut |batch| {
            self.keep_last(batch.rows())
        })?;
        Ok(self)
    }

    fn keep_last(&mut self, rows: &RecordBatch) -> Result<()> {
        let count = rows.num_rows().min(self.last);
        if count == 0 {
            return Ok(());
        }
        let start = (rows.num_rows() - count) as u32;
        let indices = UInt32Array::from_iter_values(start..start + count as u32);
        self.tail.push_back(take_record_batch(rows, &indices)?);
        let mut held: usize = self.tail.iter().map(RecordBatch::num_rows).sum();
        while let Some(oldest) = self.tail.front() {
            let extra = held - self.last.min(held);
            if extra == 0 {
                break;
            }
            let length = oldest.num_rows();
            let oldest = oldest.slice(extra.min(length), length - extra.min(length));
            held -= extra.min(length);
            self.tail.pop_front();
            if oldest.num_rows() > 0 {
                self.tail.push_front(oldest);
            }
        }
        Ok(())
    }

    fn lines(&self) -> Result<Vec<String>> {
        let mut tail = Vec::new();
        for rows in &self.tail {
            tail.extend(texts(rows, 0..rows.num_rows(), self.digits())?);
        }
        let shown = (self.head.len() + tail.len()) as u64;
        let fields = self.schema.fields().iter();
        let mut titles = vec![
            fields
                .clone()
                .map(|f| shortened(f.name()))
                .collect::<Vec<_>>(),
        ];
        if self.types {
            titles.push(fields.map(|f| type_word(f.data_type())).collect());
        }
        let rows = || titles.iter().chain(&self.head).chain(&tail);
        let columns = Columns::fit(&self.schema, rows(), self.width);
        let title = self.title.iter().map(|title| shortened(title));
        let mut lines: Vec<String> = title.collect();
        for (number, block) in columns.blocks.iter().enumerate() {
            if number > 0 {
                lines.push(String::new());
            }
            lines.extend(titles.iter().map(|row| columns.line(block, row)));
            lines.push(columns.rule(block));
            lines.extend(self.head.iter().map(|row| columns.line(block, row)));
            if self.rows > shown {
                lines.push(format!("… {} rows left out …", grouped(self.rows - shown)));
            }
            lines.extend(tail.iter().map(|row| columns.line(block, row)));
        }
        if shown == 0 {
            lines.push("(no rows)".into());
        }
        lines.extend(columns.left_out(&self.schema));
        // What follows has a title, too.
        lines.extend(self.title.iter().map(|_| String::new()));
        Ok(lines)
    }

    fn digits(&self) -> usize {
        self.width.map_or(DIGITS.1, |_| DIGITS.0)
    }
}

impl Writer for Table {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        let rows = batch.rows();
        let wanted = (self.first - self.head.len()).min(rows.num_rows());
        self.head.extend(texts(rows, 0..wanted, self.digits())?);
        self.keep_last(&rows.slice(wanted, rows.num_rows() - wanted))?;
        self.rows += rows.num_rows() as u64;
        Ok(())
    }

    fn save(&mut self, into: &mut dyn Save) -> Result<()> {
        into.value(HEAD, serde_json::json!(self.head));
        into.value(ROWS, self.rows.into());
        let tail = self.tail.iter().cloned();
        tail.for_each(|rows| into.rows(TAIL, Batch::new(rows)));
        Ok(())
    }

    fn prepare(&mut self) -> Result<Receipt> {
        Ok(Receipt {
            rows: self.rows,
            ..Receipt::default()
        })
    }

    fn commit(&mut self) -> Result<()> {
        let mut text = self.lines()?.join("\n");
        text.push('\n');
        let printed = self.stdout.write_all(text.as_bytes());
        printed
            .and_then(|()| self.stdout.flush())
            .map_err(|e| failed(&e))
    }
}

/// Rows as text, cell by cell.
fn texts(
    rows: &RecordBatch,
    range: std::ops::Range<usize>,
    digits: usize,
) -> Result<Vec<Vec<String>>> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let cells = rows
        .columns()
        .iter()
        .map(|column| Cells::new(column.as_ref()))
        .collect::<Result<Vec<_>>>()?;
    let row = |row: usize| {
        let columns = rows.columns().iter().zip(&cells);
        columns
            .map(|(column, cells)| text(column.as_ref(), cells, row, digits))
            .collect()
    };
    Ok(range.map(row).collect())
}

fn text(column: &dyn Array, cells: &Cells<'_>, row: usize, digits: usize) -> String {
    if cells.is_null(row) {
        return "-".into();
    }
    match column.data_type() {
        DataType::Float64 => float(column.as_primitive::<Float64Type>().value(row), digits),
        DataType::Float32 => {
            let x = column.as_primitive::<Float32Type>().value(row);
            float(f64::from(x), digits)
        }
        _ => {
            let mut out = Vec::new();
            cells.write(row, Style::Plain, &mut out);
            shortened(&String::from_utf8_lossy(&out))
        }
    }
}

/// Without what would move the cursor, and not longer than a cell may be.
fn shortened(text: &str) -> String {
    let mut out = String::new();
    for (count, character) in text.chars().enumerate() {
        if count >= MOST_CHARACTERS {
            out.push('…');
            break;
        }
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// A number with at most so many digits that count, and its whole part in full where that is not too long.
fn float(x: f64, most: usize) -> String {
    let size = x.abs();
    if !x.is_finite() || size == 0.0 {
        return format!("{x:?}");
    }
    if !(1e-5..1e15).contains(&size) {
        let short = format!("{x:.*e}", most - 1);
        let (digits, exponent) = short.split_once('e').unwrap_or((&short, "0"));
        return format!("{}e{exponent}", trimmed(digits));
    }
    if x == x.trunc() {
        return format!("{x:.1}");
    }
    let whole_digits = size.log10().floor() as i32 + 1;
    let decimals = (most as i32 - whole_digits).clamp(0, 12) as usize;
    trimmed(&format!("{x:.decimals$}")).to_string()
}

/// Without zeros at the end of a fraction, but for one.
fn trimmed(digits: &str) -> &str {
    if !digits.contains('.') {
        return digits;
    }
    let short = digits.trim_end_matches('0');
    match short.strip_suffix('.') {
        Some(whole) => &digits[..whole.len() + 2],
        None => short,
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn type_word(data_type: &DataType) -> String {
    match logical(data_type) {
        DataType::Utf8 => "text".into(),
        DataType::Boolean => "boolean".into(),
        DataType::Float32 | DataType::Float64 => "float".into(),
        DataType::Date32 | DataType::Date64 => "date".into(),
        DataType::Timestamp(..) => "timestamp".into(),
        DataType::List(_) | DataType::FixedSizeList(..) => "list".into(),
        DataType::Struct(_) => "struct".into(),
        DataType::Map(..) => "map".into(),
        DataType::Binary | DataType::FixedSizeBinary(_) => "binary".into(),
        DataType::Null => "null".into(),
        other if other.is_integer() => "integer".into(),
        other => other.to_string().to_lowercase(),
    }
}

/// How wide columns are, and which of them stand side by side.
struct Columns {
    /// Width, and whether to align to the right.
    widths: Vec<(usize, bool)>,
    /// The columns that stand side by side; in each block but the first, the first column is repeated.
    blocks: Vec<Vec<usize>>,
}

impl Columns {
    fn fit<'a>(
        schema: &SchemaRef,
        rows: impl Iterator<Item = &'a Vec<String>>,
        width: Option<usize>,
    ) -> Self {
        let mut widths = vec![0; schema.fields().len()];
        for row in rows {
            for (width, text) in widths.iter_mut().zip(row) {
                *width = (*width).max(text.width());
            }
        }
        let right: Vec<bool> = schema
            .fields()
            .iter()
            .map(|field| logical(field.data_type()).is_numeric())
            .collect();
        let blocks = match width {
            Some(width) => blocks(&mut widths, &right, width),
            None => vec![(0..widths.len()).collect()],
        };
        Self {
            widths: widths.into_iter().zip(right).collect(),
            blocks,
        }
    }

    fn line(&self, block: &[usize], row: &[String]) -> String {
        let mut line = String::new();
        for (i, column) in block.iter().enumerate() {
            let (width, right) = self.widths[*column];
            if i > 0 {
                line.push_str(GAP);
            }
            let text = cut(&row[*column], width);
            let padding = " ".repeat(width.saturating_sub(text.width()));
            if right {
                line.push_str(&padding);
                line.push_str(&text);
            } else {
                line.push_str(&text);
                line.push_str(&padding);
            }
        }
        line.truncate(line.trim_end().len());
        line
    }

    fn rule(&self, block: &[usize]) -> String {
        let columns: Vec<String> = block
            .iter()
            .map(|column| "─".repeat(self.widths[*column].0))
            .collect();
        columns.join(GAP)
    }

    /// A line that names the columns that did not fit.
    fn left_out(&self, schema: &SchemaRef) -> Option<String> {
        let shown = self.blocks.last().and_then(|block| block.last());
        let left = schema
            .fields()
            .iter()
            .skip(shown.map_or(0, |last| last + 1));
        let names: Vec<String> = left.map(|f| shortened(f.name())).collect();
        let count = names.len();
        let columns = if count == 1 { "column" } else { "columns" };
        (count > 0).then(|| format!("… and {count} more {columns}: {}", names.join(", ")))
    }
}

/// Columns side by side where that fits, with narrower texts if need be; in blocks where it does not.
fn blocks(widths: &mut [usize], numbers: &[bool], total: usize) -> Vec<Vec<usize>> {
    let natural = widths.to_vec();
    let least = LEAST_WIDTH.max(total / 4);
    if narrow(widths, numbers, least, total) {
        return vec![(0..widths.len()).collect()];
    }
    // In blocks there is room for longer texts; the first column stands in each of them.
    for (i, width) in widths.iter_mut().enumerate() {
        let most = if i == 0 { least } else { total / 2 };
        *width = if numbers[i] {
            natural[i]
        } else {
            natural[i].min(most.max(LEAST_WIDTH))
        };
    }
    let mut blocks: Vec<Vec<usize>> = Vec::new();
    let mut used = usize::MAX;
    for (column, width) in widths.iter().enumerate() {
        used = used.saturating_add(GAP.len() + width);
        if used > total {
            if blocks.len() == MOST_BLOCKS {
                break;
            }
            let repeated = (column > 0).then_some(0);
            blocks.push(repeated.into_iter().chain([column]).collect());
            used = repeated.map_or(0, |first| widths[first] + GAP.len()) + width;
        } else if let Some(block) = blocks.last_mut() {
            block.push(column);
        }
    }
    blocks
}

/// Takes width from the widest text columns until all fit (then true), or none can give more.
fn narrow(widths: &mut [usize], numbers: &[bool], least: usize, total: usize) -> bool {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(total);
    while over > 0 {
        let texts = (0..widths.len()).filter(|&i| !numbers[i] && widths[i] > least);
        let Some(widest) = texts.max_by_key(|&i| (widths[i], std::cmp::Reverse(i))) else {
            return false;
        };
        widths[widest] -= 1;
        over -= 1;
    }
    true
}

fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_string();
    }
    let mut out = String::new();
    let mut used = 0;
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        out.push(character);
        used += wide;
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray};

    use super::*;
    use crate::file::testing::{Printed, context};

    fn printed(
        rows: &RecordBatch,
        cut: usize,
        show: usize,
        types: bool,
        width: Option<usize>,
    ) -> String {
        let (mut context, out) = context();
        context.width = width;
        let config = Console {
            rows: show as u32,
            types,
            ..Console::default()
        };
        print_with(&config, context, rows, cut, &out)
    }

    fn print_with(
        config: &Console,
        context: SinkContext,
        rows: &RecordBatch,
        cut: usize,
        out: &Printed,
    ) -> String {
        let mut table = Table::new(&context, rows.schema(), config);
        for at in (0..rows.num_rows()).step_by(cut) {
            let length = cut.min(rows.num_rows() - at);
            table
                .write(&Batch::new(rows.slice(at, length)))
                .expect("writes");
        }
        table.prepare().expect("prepares");
        assert!(
            out.text().is_empty(),
            "nothing is printed before the commit"
        );
        table.commit().expect("commits");
        out.text()
    }

    fn sample(count: usize) -> RecordBatch {
        let names = ["anna", "Müller", "日本", "a\tb", "x"];
        let name = (0..count).map(|i| (i % 4 != 3).then(|| names[i % 5]));
        let x = (0..count).map(|i| (i % 5 != 2).then_some(i as f64 * 1.25));
        let columns: Vec<(&str, ArrayRef)> = vec![
            (
                "id",
                Arc::new(Int64Array::from_iter_values(0..count as i64)),
            ),
            ("name", Arc::new(name.collect::<StringArray>())),
            ("x", Arc::new(x.collect::<Float64Array>())),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
            .expect("columns")
    }

    #[test]
    fn a_table_is_aligned() {
        let expected = "\
     id  name      x
integer  text  float
───────  ────  ─────
      0  anna    0.0
      1  Mül…   1.25
      2  日本      -
      3  -      3.75
";
        let mut text = printed(&sample(4), 2, 40, true, None);
        text = text
            .replace("Müller", "Mül…")
            .replace("───────  ──────  ─────", "───────  ────  ─────");
        let squeezed = |s: &str| s.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed(&text), squeezed(expected));
        let widths: Vec<usize> = text.lines().skip(2).map(UnicodeWidthStr::width).collect();
        assert!(widths.windows(2).skip(3).all(|w| w[0] == w[1]), "{text}");
    }

    #[test]
    fn long_output_shows_head_and_tail_whatever_the_batches() {
        let expected = printed(&sample(1_000), 1_000, 4, false, None);
        let lines: Vec<&str> = expected.lines().collect();
        assert_eq!(lines.len(), 7, "{expected}");
        assert_eq!(lines[4], "… 996 rows left out …");
        assert!(lines[6].trim_start().starts_with("999"), "{expected}");
        for cut in [1, 3, 7, 999] {
            assert_eq!(
                printed(&sample(1_000), cut, 4, false, None),
                expected,
                "{cut}"
            );
        }
        let all = printed(&sample(4), 1, 4, false, None);
        assert_eq!(all.lines().count(), 6);
        assert!(printed(&sample(0), 1, 4, false, None).ends_with("(no rows)\n"));
        assert_eq!(printed(&sample(5), 2, 1, false, None).lines().count(), 4);
    }

    #[test]
    fn a_narrow_terminal_cuts_text_and_leaves_out_columns() {
        let long: ArrayRef = Arc::new(StringArray::from(vec!["a sentence that goes on and on"]));
        let number: ArrayRef = Arc::new(Float64Array::from(vec![1234.5]));
        let columns = [
            ("text", long),
            ("number", Arc::clone(&number)),
            ("other", number),
        ];
        let rows = RecordBatch::try_from_iter(columns).expect("columns");
        let text = printed(&rows, 1, 4, false, Some(30));
        assert!(text.lines().all(|line| line.width() <= 30), "{text}");
        assert!(text.contains("a sentence th…"), "{text}");
        let text = printed(&rows, 1, 4, false, Some(16));
        assert!(
            text.contains("a sente…  1234.5\n\ntext       other\n"),
            "{text}"
        );
    }

    #[test]
    fn a_table_that_is_too_wide_is_broken_into_blocks() {
        let name: ArrayRef = Arc::new(StringArray::from(vec!["terminal_voltage", "b"]));
        let number: ArrayRef = Arc::new(Float64Array::from(vec![1234.567891, -0.5]));
        let columns = |count: usize| {
            let numbers = (1..count).map(|i| (format!("number_{i:02}"), Arc::clone(&number)));
            let all = [("column".to_string(), Arc::clone(&name))]
                .into_iter()
                .chain(numbers);
            RecordBatch::try_from_iter(all).expect("columns")
        };
        let text = printed(&columns(13), 1, 4, false, Some(80));
        assert!(text.lines().all(|line| line.width() <= 80), "{text}");
        assert_eq!(text.matches("terminal_voltage").count(), 3, "{text}");
        assert_eq!(text.matches("1234.57").count(), 12, "{text}");
        assert!(
            (1..13).all(|i| text.contains(&format!("number_{i:02}"))),
            "{text}"
        );
        let wide = printed(&columns(13), 1, 4, false, Some(160));
        assert_eq!(wide.lines().count(), 4, "{wide}");
        let many = printed(&columns(40), 1, 4, false, Some(80));
        assert_eq!(
            many.matches("terminal_voltage").count(),
            MOST_BLOCKS,
            "{many}"
        );
        assert!(
            many.lines()
                .last()
                .is_some_and(|l| l.starts_with("… and 24 more columns")),
            "{many}"
        );
    }

    #[test]
    fn the_first_rows_alone_under_a_title() {
        let (context, out) = context();
        let config = Console {
            head: Some(3),
            title: Some("plausible".into()),
            ..Console::default()
        };
        let text = print_with(&config, context, &sample(10), 2, &out);
        let starts: Vec<&str> = text
            .lines()
            .map(|l| l.split_whitespace().next().unwrap_or(""))
            .collect();
        assert_eq!(
            starts,
            ["plausible", "id", "──", "0", "1", "2", "…", ""],
            "{text}"
        );
    }

    #[test]
    fn numbers_are_readable() {
        for (x, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (20.0, "20.0"),
            (0.1 + 0.2, "0.3"),
            (1.0 / 3.0, "0.3333333"),
            (2.0 / 3.0 * 1e-3, "0.0006666667"),
            (1234567.891, "1234568"),
            (12_345.678_912, "12345.68"),
            (3_600_000_000.5, "3600000000"),
            (1e15, "1.0e15"),
            (1.5e300, "1.5e300"),
            (1.234_567_89e-7, "1.234568e-7"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(float(x, 7), text);
        }
        assert_eq!(float(12_345.678_912, 6), "12345.7");
        assert_eq!(float(1.5e300 / 7.0, 6), "2.14286e299");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(123), "123");
    }

    #[test]
    fn what_would_move_the_cursor_is_escaped() {
        assert_eq!(shortened("a\n\u{1b}[2Jb"), "a\\n\\u{1b}[2Jb");
        assert_eq!(
            shortened(&"x".repeat(600)).chars().count(),
            MOST_CHARACTERS + 1
        );
    }
}
