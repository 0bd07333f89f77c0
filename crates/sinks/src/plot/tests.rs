//! Tests of whole pictures: the same bytes however rows come, what is seen in them, and wrong settings.

use std::collections::BTreeMap;

use arrow_array::builder::{Float64Builder, ListBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow_schema::Schema;
use dataflow_core::config::{Key, Node, Tree};
use dataflow_core::saved::Saved;
use dataflow_core::{Batch, Problems, StandardInput, Writer};
use dataflow_testkit::Held;
use serde_json::{Value, json};

use super::*;
use crate::file::testing::{Folder, context};

fn node(value: &Value) -> Node {
    Node::from(match value {
        Value::Bool(b) => Tree::Boolean(*b),
        Value::Number(n) => match n.as_i64() {
            Some(whole) => Tree::Integer(whole),
            None => Tree::Float(n.as_f64().expect("a number")),
        },
        Value::String(text) => Tree::Text(text.clone()),
        Value::Array(list) => Tree::List(list.iter().map(node).collect()),
        Value::Object(table) => {
            let key = |name: &String| Key {
                name: name.clone(),
                span: None,
            };
            let entries = table.iter().map(|(name, value)| (key(name), node(value)));
            Tree::Table(entries.collect())
        }
        Value::Null => panic!("no null in a pipeline"),
    })
}

/// The sink, or what is wrong.
fn built(settings: &Value, schema: &Arc<Schema>) -> Result<Arc<dyn Sink>, Vec<String>> {
    let plot: Plot = match node(settings).read() {
        Ok(plot) => plot,
        Err(problem) => return Err(vec![problem.message]),
    };
    let input = Input {
        sampled: dataflow_core::Sampled::default(),
        provisional: false,
        from: vec!["rows".into()],
        schema: Arc::clone(schema),
        timed: false,
    };
    let mut problems = Problems::new();
    let mut check = Check {
        id: "picture",
        span: None,
        parameters: &BTreeMap::new(),
        catalog: &[],
        offline: false,
        stdin: &StandardInput::default(),
        run_time: 0,
        problems: &mut problems,
    };
    let sink = plot.build(&input, &mut check);
    let told = problems.list().iter().map(|problem| {
        let help = problem.help.as_deref().unwrap_or_default();
        format!("{}: {help}", problem.message)
    });
    let told: Vec<String> = told.collect();
    match sink {
        Some(sink) if told.is_empty() => Ok(sink),
        _ => Err(told),
    }
}

/// Settings with both paths in a folder.
fn settings(folder: &Folder, mut rest: Value) -> Value {
    let paths = ["x.png", "x.svg"].map(|name| folder.path(name));
    rest["path"] = json!(paths);
    rest
}

fn complete(mut writer: Box<dyn Writer>) {
    writer.prepare().expect("prepares");
    writer.commit().expect("commits");
}

/// Both files of a picture of these rows, cut into pieces.
fn drawn(rest: &Value, rows: &RecordBatch, piece: usize) -> [Vec<u8>; 2] {
    let folder = Folder::new();
    let sink = built(&settings(&folder, rest.clone()), &rows.schema()).expect("valid");
    let mut writer = sink.open(&context().0).expect("opens");
    for start in (0..rows.num_rows()).step_by(piece) {
        let length = piece.min(rows.num_rows() - start);
        let batch = Batch::new(rows.slice(start, length));
        writer.write(&batch).expect("writes");
    }
    complete(writer);
    ["x.png", "x.svg"].map(|name| std::fs::read(folder.path(name)).expect("there"))
}

fn svg(rest: &Value, rows: &RecordBatch) -> String {
    let [_, svg] = drawn(rest, rows, 1_000);
    String::from_utf8(svg).expect("text")
}

/// The pixels of a PNG file: its width, and red, green, blue of each.
fn pixels(png: &[u8]) -> (usize, Vec<[u8; 3]>) {
    let decoder = png::Decoder::new(std::io::Cursor::new(png));
    let mut reader = decoder.read_info().expect("a PNG file");
    let mut bytes = vec![0; reader.output_buffer_size().expect("small")];
    let info = reader.next_frame(&mut bytes).expect("pixels");
    (info.width as usize, bytes.as_chunks::<3>().0.to_vec())
}

fn columns(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns")
}

fn floats(values: impl Iterator<Item = f64>) -> ArrayRef {
    Arc::new(values.collect::<Float64Array>())
}

/// Numbers that look random, from 0 to 1.
fn noise(i: usize) -> f64 {
    let mixed = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11) as f64 / (1u64 << 53) as f64
}

/// Rows with everything that is drawn, and some that cannot be.
fn rows(count: usize) -> RecordBatch {
    let strange = |i: usize| match i % 997 {
        13 => f64::NAN,
        14 => f64::INFINITY,
        15 => -1.0,
        _ => 5.0 + (i as f64 / 300.0).sin() + noise(i),
    };
    let mut lists = ListBuilder::new(Float64Builder::new());
    for i in 0..count {
        for bin in 0..50 {
            let tone = if bin == 20 { 40.0 } else { 0.0 };
            lists.values().append_value(tone + noise(50 * i + bin));
        }
        lists.append(i % 400 != 7);
    }
    let time = (0..count).map(|i| Some(1_735_689_600_000 + 250 * i as i64 + (i % 3) as i64));
    let name = (0..count).map(|i| (i % 1_111 != 5).then(|| ["a", "b", "c<&>"][i / 10 % 3]));
    columns(vec![
        ("x", floats((0..count).map(|i| i as f64 * 0.37 - 100.0))),
        ("y", floats((0..count).map(strange))),
        ("z", floats((0..count).map(|i| noise(i + 7)))),
        (
            "time",
            Arc::new(time.collect::<TimestampMillisecondArray>()),
        ),
        ("name", Arc::new(name.collect::<StringArray>())),
        (
            "mark",
            Arc::new(
                (0..count)
                    .map(|i| Some(i % 500 == 3))
                    .collect::<BooleanArray>(),
            ),
        ),
        ("list", Arc::new(lists.finish())),
        ("from", floats((0..count).map(|i| i as f64))),
        ("to", floats((0..count).map(|i| i as f64 + 1.0))),
        (
            "count",
            Arc::new(
                (0..count)
                    .map(|i| (i * i % 91) as i64)
                    .collect::<Int64Array>(),
            ),
        ),
    ])
}

/// A picture of every kind.
fn kinds() -> Vec<Value> {
    let mut kinds = vec![
        json!({"kind": "line", "x": "time", "y": "y", "by": "name", "marks": "mark", "title": "Lines"}),
        json!({"kind": "line", "y": ["y", "z"], "y_scale": "log", "theme": "dark"}),
        json!({"kind": "line", "x": "z", "y": "y", "x_scale": "decibels"}),
        json!({"kind": "histogram", "x_unit": "V", "y_scale": "log"}),
        json!({"kind": "bars", "x": "name", "y": ["y", "count"]}),
        json!({"kind": "heatmap", "x": "time", "y": "list"}),
        json!({"kind": "heatmap", "y": "list", "combine": "mean", "y_range": [0, 500e3], "y_scale": "log",
               "y_unit": "Hz", "value_unit": "dB"}),
        json!({"kind": "heatmap", "x": "x", "y": "y", "value": "z", "combine": "mean", "theme": "dark"}),
    ];
    for kind in &mut kinds {
        kind["width"] = json!(400);
        kind["height"] = json!(250);
    }
    kinds
}

#[test]
fn the_bytes_do_not_depend_on_pieces() {
    let rows = rows(9_000);
    for kind in kinds() {
        let expected = drawn(&kind, &rows, 9_000);
        for piece in [1, 7, 1_000, 8_192] {
            assert!(drawn(&kind, &rows, piece) == expected, "{kind} {piece}");
        }
    }
}

fn save(writer: &mut dyn Writer) -> Held {
    let mut saved = Saved::default();
    writer.save(&mut saved).expect("saves");
    Held(saved)
}

#[test]
fn a_run_that_goes_on_draws_the_same() {
    let rows = rows(5_000);
    for kind in kinds() {
        let expected = drawn(&kind, &rows, 5_000);
        for cuts in [vec![0, 1], vec![2_345], vec![100, 3_000, 4_999, 5_000]] {
            let folder = Folder::new();
            let sink = built(&settings(&folder, kind.clone()), &rows.schema()).expect("valid");
            let mut writer = sink.open(&context().0).expect("opens");
            let mut at = 0;
            for cut in cuts {
                let batch = Batch::new(rows.slice(at, cut - at));
                writer.write(&batch).expect("writes");
                at = cut;
                let held = save(writer.as_mut());
                writer.write(&Batch::new(rows.slice(0, 50))).expect("lost");
                drop(writer);
                assert!(folder.list().is_empty(), "{:?}", folder.list());
                let resumed = sink.resume(&context().0, &held.restored());
                writer = resumed.expect("goes on");
            }
            let rest = Batch::new(rows.slice(at, 5_000 - at));
            writer.write(&rest).expect("writes");
            complete(writer);
            let found = ["x.png", "x.svg"].map(|n| std::fs::read(folder.path(n)).expect("there"));
            assert!(found == expected, "{kind} {at}");
            assert_eq!(folder.list(), ["x.png", "x.svg"]);
        }
    }
}

#[test]
fn a_spike_of_one_sample_in_a_million_is_seen() {
    let count = 1_000_000;
    let y = |i: usize| if i == 654_321 { 9.0 } else { noise(i) };
    let rows = columns(vec![("y", floats((0..count).map(y)))]);
    let [png, _] = drawn(&json!({"kind": "line", "y": "y"}), &rows, 8_192);
    let (width, pixels) = pixels(&png);
    let blue = Theme::Light.line(0);
    let near = |pixel: &[u8; 3]| {
        let far = (0..3).map(|i| pixel[i].abs_diff(blue.0[i]));
        far.max() < Some(60)
    };
    // The upper half has nothing but the spike.
    let upper = (60 * width..300 * width).filter(|at| at % width > 80 && near(&pixels[*at]));
    let across: Vec<usize> = upper.map(|at| at % width).collect();
    assert!(across.len() >= 200, "{}", across.len());
    let (first, last) = (across.iter().min(), across.iter().max());
    let place = 0.654 * (width as f64 - 90.0) + 60.0;
    for column in [first, last].map(|column| *column.expect("some") as f64) {
        assert!((column - place).abs() < 15.0, "{column} {place}");
    }
}

#[test]
fn memory_does_not_grow_with_the_rows() {
    let sizes = |rest: &Value, piece: &RecordBatch, counts: &[usize]| -> Vec<usize> {
        let folder = Folder::new();
        let sink = built(&settings(&folder, rest.clone()), &piece.schema()).expect("valid");
        let mut writer = sink.open(&context().0).expect("opens");
        let mut at = 0;
        let size = |count: &usize| {
            while at < *count {
                let batch = Batch::new(piece.clone());
                writer.write(&batch).expect("writes");
                at += piece.num_rows();
            }
            let held = save(writer.as_mut()).0.rows;
            held.values().flatten().map(Batch::len).sum()
        };
        counts.iter().map(size).collect()
    };
    let long = columns(vec![("y", floats((0..10_000).map(noise)))]);
    for found in sizes(
        &json!({"kind": "line", "y": "y"}),
        &long,
        &[10_000, 1_000_000, 10_000_000],
    ) {
        assert!((2_048..=4_096).contains(&found), "{found}");
    }
    let rows = rows(500);
    let lists = json!({"kind": "heatmap", "y": "list", "width": 400});
    let found = sizes(&lists, &rows, &[500, 50_000]);
    assert!(found.iter().all(|size| *size <= 400 * 51), "{found:?}");
    let intervals = json!({"kind": "histogram"});
    let found = sizes(&intervals, &rows, &[500, 1_000_000]);
    assert!(found[1] <= 4_096, "{found:?}");
    let cells = json!({"kind": "heatmap", "x": "x", "y": "z", "value": "y"});
    let found = sizes(&cells, &rows, &[500, 20_000]);
    assert!(found[1] <= found[0], "{found:?}");
}

#[test]
fn without_rows_or_values_the_picture_says_so() {
    let none = rows(0);
    let strange = columns(vec![
        ("y", floats([f64::NAN; 5].into_iter())),
        (
            "z",
            floats(
                [f64::INFINITY, f64::NEG_INFINITY, 1e301]
                    .into_iter()
                    .cycle()
                    .take(5),
            ),
        ),
        ("x", floats((0..5).map(f64::from))),
    ]);
    for kind in kinds() {
        assert!(svg(&kind, &none).contains(">no rows</text>"), "{kind}");
    }
    for y in ["y", "z"] {
        for kind in [
            json!({"kind": "line", "y": y}),
            json!({"kind": "bars", "x": "x", "y": y}),
            json!({"kind": "heatmap", "x": "x", "y": "x", "value": y}),
            json!({"kind": "histogram", "x": ["x", "x"], "y": y}),
        ] {
            let svg = svg(&kind, &strange);
            assert!(svg.contains(">no values to draw</text>"), "{kind}");
            let told = svg.contains("infinite values") || svg.contains("5 intervals without");
            assert_eq!(told, y == "z" || kind["kind"] == "histogram", "{kind}");
        }
    }
}

#[test]
fn one_point_is_seen() {
    let one = columns(vec![
        ("x", floats([1e8].into_iter())),
        ("y", floats([3.5].into_iter())),
    ]);
    let found = svg(&json!({"kind": "line", "x": "x", "y": "y"}), &one);
    assert!(found.contains("<circle"), "{found}");
    for kind in [
        json!({"kind": "heatmap", "x": "x", "y": "y", "value": "y"}),
        json!({"kind": "bars", "x": "x", "y": "y"}),
        json!({"kind": "histogram", "x": ["y", "x"], "y": "y"}),
        json!({"kind": "line", "x": "x", "y": "y", "x_scale": "log", "y_scale": "decibels"}),
    ] {
        drawn(&kind, &one, 1);
    }
}

#[test]
fn missing_values_are_gaps() {
    let y = (0..100).map(|i| if i == 50 { f64::NAN } else { f64::from(i) });
    let rows = columns(vec![("y", floats(y))]);
    let found = svg(&json!({"kind": "line", "y": "y"}), &rows);
    let colour = Theme::Light.line(0).text();
    let strokes = found.matches(&format!("stroke=\"{colour}\"")).count();
    assert_eq!(strokes, 2, "{found}");
}

#[test]
fn axes_have_units_and_several_lines_a_legend() {
    let rows = rows(2_000);
    let found = svg(
        &json!({"kind": "line", "x": "from", "y": "y", "by": "name", "x_unit": "Hz", "x_label": "Frequency",
                "y_unit": "V", "title": "A & B"}),
        &rows,
    );
    for text in [
        ">Frequency (kHz)<",
        ">y (V)<",
        ">c&lt;&amp;&gt;<",
        ">null<",
        ">A &amp; B<",
    ] {
        assert!(found.contains(text), "{text}: {found}");
    }
    let found = svg(&json!({"kind": "line", "x": "time", "y": "y"}), &rows);
    assert!(
        found.contains(">2025-01-01<") && found.contains(">time<"),
        "{found}"
    );
    let many = svg(&json!({"kind": "line", "y": "y", "by": "count"}), &rows);
    assert!(many.contains("`count` has more values: lines of the first 12"));
    let bars = svg(&json!({"kind": "bars", "x": "name", "y": "y"}), &rows);
    assert!(bars.contains("the first 60 of 2,000 rows"));
}

#[test]
fn lists_know_their_frequencies() {
    let plain = rows(100);
    let noted = |schema: Schema| plain.clone().with_schema(Arc::new(schema)).expect("same");
    let note = [(
        "dataflow.frequencies".to_string(),
        "{\"first\":0,\"step\":1000,\"count\":50}".to_string(),
    )];
    let whole = plain
        .schema()
        .as_ref()
        .clone()
        .with_metadata(note.clone().into());
    let fields = plain.schema();
    let fields = fields
        .fields()
        .iter()
        .map(|field| match field.name().as_str() {
            "list" => field.as_ref().clone().with_metadata(note.clone().into()),
            _ => field.as_ref().clone(),
        });
    let beside = Schema::new(fields.collect::<Vec<_>>());
    let heat = json!({"kind": "heatmap", "x": "time", "y": "list", "value_unit": "dB"});
    for rows in [noted(whole), noted(beside)] {
        let found = svg(&heat, &rows);
        assert!(found.contains(">frequency (kHz)<") && found.contains(">list (dB)<"));
        assert!(found.contains(">40<"), "{found}");
    }
    assert!(svg(&heat, &plain).contains(">number in the list<"));
}

#[test]
fn a_tone_is_one_bright_line() {
    let rows = rows(3_000);
    let heat = json!({"kind": "heatmap", "y": "list", "y_range": [0, 49]});
    let [png, _] = drawn(&heat, &rows, 1_000);
    let (width, pixels) = pixels(&png);
    let bright = |pixel: &[u8; 3]| pixel[0] > 200 && pixel[1] > 200 && pixel[2] < 120;
    // Left of the bar of colours.
    let lines: Vec<usize> = (0..700)
        .filter(|y| (200..900).all(|x| bright(&pixels[y * width + x])))
        .collect();
    assert!((8..16).contains(&lines.len()), "{lines:?}");
    let middle = lines[lines.len() / 2] as f64 / 700.0;
    assert!((0.5..0.6).contains(&middle), "{lines:?}");
}

#[test]
fn wrong_settings_are_told() {
    let schema = rows(1).schema();
    for (settings, expected) in [
        (
            json!({"path": "x.png", "kind": "line", "y": "cuont"}),
            "there is no column `cuont`: did you mean `count`?",
        ),
        (
            json!({"path": "x.png", "kind": "line", "y": "name"}),
            "`name` is text; numbers are wanted here: columns of numbers: `x`, `y`, `z`, `mark`, `from`, `to`, `count`",
        ),
        (
            json!({"path": "x.png", "kind": "line", "y": "y", "x": "list"}),
            "`list` is list of float64; numbers or times are wanted here",
        ),
        (
            json!({"path": "x.png", "kind": "line", "y": "y", "marks": "z"}),
            "`z` is float64; `true` or `false` are wanted here: columns of `true` or `false`: `mark`",
        ),
        (
            json!({"path": "x.png", "kind": "heatmap", "y": "y"}),
            "`y` is float64; lists of numbers are wanted here: columns of lists of numbers: `list`",
        ),
        (json!({"path": "x.png", "kind": "line"}), "`y` is missing"),
        (
            json!({"path": "x.png", "kind": "heatmap"}),
            "`y` is missing",
        ),
        (
            json!({"path": "x.png", "kind": "bars", "y": "y"}),
            "`x` is missing",
        ),
        (
            json!({"path": "x.png", "kind": "heatmap", "value": "y", "y": "z"}),
            "`x` is missing: with `value`, x and y are columns",
        ),
        (
            json!({"path": "x.png", "kind": "histogram", "x": "x"}),
            "a histogram has two columns along x",
        ),
        (
            json!({"path": "x.png", "kind": "bars", "x": "name", "y": "y", "by": "name"}),
            "`by` is for `line`",
        ),
        (
            json!({"path": "x.jpg", "kind": "line", "y": "y"}),
            "what to make is not clear from the name `x.jpg`: write a name that ends in .png or .svg",
        ),
        (
            json!({"path": ["x.png", "x.png"], "kind": "line", "y": "y"}),
            "this path is there twice",
        ),
        (
            json!({"path": "x.png", "kind": "line", "y": "y", "width": 100_000}),
            "a picture of 100000 pixels: write 200 to 4000",
        ),
        (
            json!({"path": "x.png", "kind": "line", "y": "y", "y_range": [5, 1]}),
            "a range is two numbers, the lower one first",
        ),
        (
            json!({"path": "x.png", "kind": "line", "y": "y", "y_range": [0, 1], "y_scale": "log"}),
            "a range is two numbers above 0, the lower one first",
        ),
        (
            json!({"path": "x.png", "kind": "line", "y": "y", "if_exists": "append"}),
            "nothing can be added to a picture",
        ),
        (
            json!({"path": "x.png", "kind": "pie", "y": "y"}),
            "`pie` is not known here",
        ),
    ] {
        let told = built(&settings, &schema).err().expect("wrong");
        assert!(told.iter().any(|t| t.starts_with(expected)), "{told:?}");
    }
}

#[test]
fn files_appear_when_all_is_complete() {
    let folder = Folder::new();
    let rows = rows(10);
    let mut rest = settings(
        &folder,
        json!({"kind": "line", "y": "y", "if_exists": "fail"}),
    );
    let sink = built(&rest, &rows.schema()).expect("valid");
    let mut writer = sink.open(&context().0).expect("opens");
    writer.write(&Batch::new(rows.clone())).expect("writes");
    let receipt = writer.prepare().expect("prepares");
    assert_eq!((receipt.rows, receipt.files.len()), (10, 2));
    assert!(receipt.files.iter().all(|file| file.bytes > 500));
    assert!(folder.list().iter().all(|name| name.contains(".partial")));
    writer.commit().expect("commits");
    assert_eq!(folder.list(), ["x.png", "x.svg"]);
    let error = sink.open(&context().0).err().expect("there already");
    assert!(error.to_string().contains("exists already"), "{error}");
    rest["if_exists"] = json!("replace");
    let sink = built(&rest, &rows.schema()).expect("valid");
    drop(sink.open(&context().0).expect("opens"));
    assert_eq!(folder.list(), ["x.png", "x.svg"]);
}
