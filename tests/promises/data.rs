//! Rows that are made to hurt: cancelling sums, wide spreads, NaN, infinities, nulls, one hot key, texts that are no numbers.

use std::fmt::Write;
use std::path::Path;

/// A small generator of numbers, so that the data is the same everywhere (constants by Knuth, MMIX).
pub struct Numbers(u64);

impl Numbers {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// One row; texts as they are written in CSV and JSON, `None` a null.
#[derive(Clone)]
pub struct Row {
    id: usize,
    key: Option<String>,
    /// Cancelling, spread over 1e300, with zeros of both signs.
    x: Option<String>,
    /// As `x`, and NaN and infinities.
    wild: Option<String>,
    /// Measurements, never null.
    y: String,
    n: Option<i64>,
    word: Option<String>,
    /// Numbers as text, some of which are not.
    text: String,
    flag: Option<bool>,
    second: usize,
    list: Option<Vec<i64>>,
}

/// The columns' declared types, for sources of text files.
pub const TYPES: &str = r#"
columns.id = { type = "int64" }
columns.key = { type = "text" }
columns.x = { type = "float64" }
columns.wild = { type = "float64" }
columns.y = { type = "float64" }
columns.n = { type = "int64" }
columns.word = { type = "text" }
columns.text = { type = "text" }
columns.flag = { type = "boolean" }
columns.t = { type = "timestamp" }
"#;

const HEADER: &str = "id,key,x,wild,y,n,word,text,flag,t\n";

/// Makes rows.
pub fn rows(count: usize) -> Vec<Row> {
    let mut random = Numbers::new(7);
    (0..count).map(|id| row(id, &mut random)).collect()
}

fn row(id: usize, random: &mut Numbers) -> Row {
    let sometimes = |random: &mut Numbers, one_in: u64| random.below(one_in) == 0;
    let key = match random.below(10) {
        0 => None,
        1..=5 => Some("heiß 🔥".to_string()),
        6 => Some(format!("ключ-{}", random.below(4))),
        _ => Some(format!("k{:04}", random.below(700))),
    };
    // Three rows in turn cancel but for 1, whichever groups and batches they fall into.
    let x = match (id % 3, random.below(12)) {
        (_, 0) => "-0.0".to_string(),
        (_, 1) => format!("{}e300", random.below(9)),
        (_, 2) => format!("-{}e-300", random.below(9)),
        (0, _) => "1e16".to_string(),
        (1, _) => "1".to_string(),
        _ => "-1e16".to_string(),
    };
    let wild = match random.below(40) {
        0 => "NaN".to_string(),
        1 => "inf".to_string(),
        2 => "-inf".to_string(),
        _ => x.clone(),
    };
    let list = (0..random.below(5))
        .map(|_| random.below(100) as i64)
        .collect();
    Row {
        id,
        key,
        x: (!sometimes(random, 9)).then_some(x),
        wild: (!sometimes(random, 9)).then_some(wild),
        y: format!("{}.{}", random.below(50), random.below(10)),
        n: (!sometimes(random, 9)).then(|| random.below(1000) as i64 - 500),
        word: (!sometimes(random, 9)).then(|| format!("wörd {}", random.below(30))),
        text: if sometimes(random, 25) {
            "12x".to_string()
        } else {
            random.below(100).to_string()
        },
        flag: (!sometimes(random, 9)).then(|| sometimes(random, 2)),
        second: id,
        list: (!sometimes(random, 7)).then_some(list),
    }
}

impl Row {
    fn time(&self) -> String {
        let (hour, minute, second) = (
            self.second / 3600 % 24,
            self.second / 60 % 60,
            self.second % 60,
        );
        format!("2025-01-01T{hour:02}:{minute:02}:{second:02}Z")
    }

    fn csv(&self, out: &mut String) {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let n = self.n.map(|n| n.to_string()).unwrap_or_default();
        let flag = self.flag.map(|flag| flag.to_string()).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{},{},{},{},{},{n},{},{},{flag},{}",
            self.id,
            text(&self.key),
            text(&self.x),
            text(&self.wild),
            self.y,
            text(&self.word),
            self.text,
            self.time()
        );
    }

    fn json(&self, out: &mut String) {
        let text = |value: &Option<String>| {
            value
                .as_ref()
                .map_or("null".to_string(), |text| format!("\"{text}\""))
        };
        let number = |value: &Option<String>| match value.as_deref() {
            None => "null".to_string(),
            Some("NaN") => "\"NaN\"".to_string(),
            Some("inf") => "\"Infinity\"".to_string(),
            Some("-inf") => "\"-Infinity\"".to_string(),
            Some(number) => number.to_string(),
        };
        let n = self.n.map_or("null".to_string(), |n| n.to_string());
        let flag = self
            .flag
            .map_or("null".to_string(), |flag| flag.to_string());
        let list = self
            .list
            .as_ref()
            .map_or("null".to_string(), |list| format!("{list:?}"));
        let _ = writeln!(
            out,
            r#"{{"id":{},"key":{},"x":{},"wild":{},"y":{},"n":{n},"word":{},"text":"{}","flag":{flag},"t":"{}","list":{list}}}"#,
            self.id,
            text(&self.key),
            number(&self.x),
            number(&self.wild),
            self.y,
            text(&self.word),
            self.text,
            self.time()
        );
    }
}

/// Writes rows as one CSV file.
pub fn write_csv(path: &Path, rows: &[Row]) {
    let mut text = HEADER.to_string();
    rows.iter().for_each(|row| row.csv(&mut text));
    std::fs::write(path, text).expect("written");
}

/// Writes rows as one file of JSON lines.
pub fn write_jsonl(path: &Path, rows: &[Row]) {
    let mut text = String::new();
    rows.iter().for_each(|row| row.json(&mut text));
    std::fs::write(path, text).expect("written");
}

/// Cuts rows into so many files of uneven length, some without any row, with `write`.
pub fn write_cut(
    folder: &Path,
    extension: &str,
    rows: &[Row],
    files: usize,
    write: fn(&Path, &[Row]),
) {
    std::fs::create_dir_all(folder).expect("a folder");
    let mut random = Numbers::new(3);
    // Each file of JSON lines shows what its lists hold in its first row.
    let telling = |from: usize| {
        let mut later =
            (from..rows.len()).filter(|row| rows[*row].list.iter().flatten().count() > 0);
        later.next().unwrap_or(rows.len())
    };
    let mut cuts: Vec<usize> = (1..files)
        .map(|_| telling(random.below(rows.len() as u64 + 1) as usize))
        .collect();
    // Equal cuts make files without rows; the first and the last are made so on purpose.
    cuts.push(0);
    cuts[0] = rows.len();
    cuts.push(rows.len());
    cuts.sort_unstable();
    let mut from = 0;
    for (index, to) in cuts.into_iter().enumerate() {
        write(
            &folder.join(format!("{index:03}.{extension}")),
            &rows[from..to],
        );
        from = to;
    }
}
