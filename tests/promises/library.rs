//! The engine inside another program: rows pulled and pushed, runs stopped, watched and limited, several at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use dataflow::core::error::Fault;
use dataflow::{Catalog, Options, Pipeline};

fn sequence(rows: u64) -> String {
    format!(
        "[sources.numbers]\ntype = \"generate\"\nrows = {rows}\ncolumns.x = {{ kind = \"sequence\" }}\n"
    )
}

/// As many as a source may have: hours of work.
const ENDLESS: u64 = 1 << 38;

fn total(batches: impl Iterator<Item = RecordBatch>) -> i64 {
    let column = |batch: RecordBatch| batch.column(0).as_primitive::<Int64Type>().clone();
    batches
        .map(|batch| column(batch).values().iter().sum::<i64>())
        .sum()
}

#[test]
fn rows_are_pulled_in_order_and_the_run_waits_for_whoever_pulls() {
    let pipeline = Pipeline::from_text(sequence(300_000))
        .set("engine.workers", 3)
        .set("engine.memory", "4MiB")
        .pull("numbers")
        .load()
        .expect("a pipeline");
    let mut run = pipeline.start().expect("it starts");
    let metrics = run.metrics();
    let mut next = None;
    let mut rows = 0;
    let mut batches = run.batches("numbers").expect("pulled");
    assert!(run.batches("numbers").is_err(), "each is taken once");
    let first = batches.next().expect("rows");
    std::thread::sleep(Duration::from_millis(500));
    let read = metrics.numbers().components[0].rows_out;
    assert!(read < 300_000, "all was read although nobody took it");
    for batch in std::iter::once(first).chain(batches) {
        for value in batch.column(0).as_primitive::<Int64Type>().values() {
            assert!(next.is_none_or(|next| next == *value));
            next = Some(value + 1);
            rows += 1;
        }
    }
    assert_eq!(rows, 300_000);
    let report = run.finish().expect("it ends");
    assert_eq!(report.numbers.components[0].rows_out, 300_000);
}

#[test]
fn rows_are_pulled_one_by_one() {
    use dataflow::core::Value;
    let text = sequence(3000)
        + "[transforms.more]\ntype = \"select\"\ninputs = [\"numbers\"]\ncompute.half = \"x / 2.0\"\ncompute.even = \"x % 2 = 0\"\ncompute.word = \"case when x > 1 then 'many' end\"\n";
    let pipeline = Pipeline::from_text(text).pull("more").load();
    let pipeline = pipeline.unwrap_or_else(|error| panic!("{error}"));
    let mut run = pipeline.start().expect("it starts");
    let rows: Vec<dataflow::Row> = run.batches("more").expect("pulled").rows().collect();
    run.finish().expect("it ends");
    assert_eq!(rows.len(), 3000);
    for (number, row) in rows.iter().enumerate() {
        let Some(Value::Integer(x)) = row.get("x") else {
            panic!("{row:?}");
        };
        assert!(number as i64 <= x && x <= number as i64 + 1);
        assert_eq!(row.get("half"), Some(Value::Float(x as f64 / 2.0)));
        assert_eq!(row.get("even"), Some(Value::Boolean(x % 2 == 0)));
        let word = if x > 1 {
            Value::Text("many".into())
        } else {
            Value::Null
        };
        assert_eq!(row.get("word"), Some(word));
        assert_eq!(row.get("other"), None);
    }
}

#[test]
fn rows_that_are_pushed_come_out() {
    let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, true)]));
    let (pusher, component) = dataflow::push("pushed", Arc::clone(&schema));
    let text = "[sources.in]\ntype = \"pushed\"\n[transforms.sum]\ntype = \"aggregate\"\ninputs = [\"in\"]\ncompute.sum = \"sum(x)\"\n";
    let pipeline = Pipeline::from_text(text)
        .catalog(Catalog::default().with(component))
        .set("engine.workers", 2)
        .pull("sum")
        .load()
        .unwrap_or_else(|error| panic!("{error}"));
    let mut run = pipeline.start().expect("it starts");
    let rows = run.batches("sum").expect("pulled");
    let pushing = std::thread::spawn(move || {
        for start in 0..100 {
            let column = Int64Array::from_iter_values(start * 10..start * 10 + 10);
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(column)]);
            pusher
                .push(batch.expect("a batch"))
                .expect("the run takes it");
        }
        let other = Schema::new(vec![Field::new("y", DataType::Int64, true)]);
        assert!(
            pusher
                .push(RecordBatch::new_empty(Arc::new(other)))
                .is_err()
        );
    });
    assert_eq!(total(rows), (0..1000).sum::<i64>());
    pushing.join().expect("all was pushed");
    run.finish().expect("it ends");
}

#[test]
fn a_run_can_be_stopped_from_anywhere() {
    let pipeline = Pipeline::from_text(sequence(ENDLESS))
        .load()
        .expect("a pipeline");
    let run = pipeline
        .start_with(Options {
            workers: Some(2),
            stdout: Some(Arc::new(std::sync::Mutex::new(std::io::sink()))),
            ..Options::default()
        })
        .expect("it starts");
    let stop = run.stop_handle();
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        stop.because("that is enough");
    });
    let started = Instant::now();
    let error = run.finish().expect_err("it was stopped");
    assert_eq!(error.fault(), Fault::Stopped);
    assert!(error.to_string().contains("that is enough"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20));
    stopper.join().expect("it stops");
}

#[test]
fn a_run_that_is_dropped_is_stopped() {
    let pipeline = Pipeline::from_text(sequence(ENDLESS))
        .pull("numbers")
        .load()
        .expect("a pipeline");
    let mut run = pipeline.start().expect("it starts");
    let mut rows = run.batches("numbers").expect("pulled");
    assert!(rows.next().is_some());
    let started = Instant::now();
    drop(rows);
    drop(run);
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_deadline_ends_a_run_with_an_error() {
    let pipeline = Pipeline::from_text(
        sequence(ENDLESS) + "[sinks.none]\ntype = \"null\"\ninputs = [\"numbers\"]\n",
    )
    .load()
    .expect("a pipeline");
    let started = Instant::now();
    let run = pipeline.start_with(Options {
        deadline: Some(Duration::from_millis(400)),
        ..Options::default()
    });
    let error = run
        .and_then(dataflow::Running::finish)
        .expect_err("the time is up");
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(error.to_string().contains("400"), "{error}");
}

#[test]
fn a_run_that_is_stopped_does_not_wait_for_whoever_does_not_pull() {
    let pipeline = Pipeline::from_text(sequence(ENDLESS))
        .set("engine.workers", 2)
        .pull("numbers")
        .load()
        .expect("a pipeline");
    // Nobody takes the rows, so the worker that hands them over waits until it is stopped.
    let mut run = pipeline
        .start_with(Options {
            deadline: Some(Duration::from_millis(400)),
            ..Options::default()
        })
        .expect("it starts");
    let held = run.batches("numbers").expect("pulled");
    let started = Instant::now();
    let error = run.finish().expect_err("the time is up");
    assert!(started.elapsed() < Duration::from_secs(20));
    assert!(error.to_string().contains("400"), "{error}");
    assert!(held.count() < 10, "what was sent before");
}

#[test]
fn progress_is_told_now_and_then_and_at_the_end() {
    let (calls, last) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
    let (count, rows) = (Arc::clone(&calls), Arc::clone(&last));
    let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, true)]));
    let (pusher, component) = dataflow::push("pushed", Arc::clone(&schema));
    let text =
        "[sources.in]\ntype = \"pushed\"\n[sinks.none]\ntype = \"null\"\ninputs = [\"in\"]\n";
    let pipeline = Pipeline::from_text(text)
        .catalog(Catalog::default().with(component))
        .load()
        .unwrap_or_else(|error| panic!("{error}"));
    let run = pipeline.start_with(Options {
        progress: Some((
            Duration::from_millis(5),
            Box::new(move |numbers| {
                count.fetch_add(1, Ordering::Relaxed);
                rows.store(numbers.components[0].rows_out, Ordering::Relaxed);
            }),
        )),
        ..Options::default()
    });
    let run = run.expect("it starts");
    let column = Int64Array::from_iter_values(0..1000);
    let batch = RecordBatch::try_new(schema, vec![Arc::new(column)]).expect("a batch");
    pusher.push(batch).expect("the run takes it");
    // The input stays open until the rows were told of, however slow the machine is.
    let started = Instant::now();
    while last.load(Ordering::Relaxed) < 1000 {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "nothing was told"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let before = calls.load(Ordering::Relaxed);
    drop(pusher);
    run.finish().expect("it ends");
    assert!(
        calls.load(Ordering::Relaxed) > before,
        "the end was not told"
    );
    assert_eq!(last.load(Ordering::Relaxed), 1000);
}

#[test]
fn engines_in_one_process_do_not_know_of_each_other() {
    let start = |rows: u64, workers: i64| {
        let pipeline = Pipeline::from_text(sequence(rows))
            .set("engine.workers", workers)
            .pull("numbers")
            .load()
            .expect("a pipeline");
        pipeline.start().expect("it starts")
    };
    let (mut one, mut two, three) = (start(100_000, 1), start(200_000, 3), start(ENDLESS, 2));
    let (a, b) = (
        one.batches("numbers").expect("pulled"),
        two.batches("numbers").expect("pulled"),
    );
    // One that is stopped takes no other with it.
    three.stop_handle().stop();
    assert!(three.finish().is_err());
    let other = std::thread::spawn(move || total(b));
    let (a, b) = (total(a), other.join().expect("it ends"));
    let spread = |rows: i64| rows * (rows - 1) / 2;
    // Sequences start where the manual says; both ways of counting are told apart by their difference.
    assert!(
        a == spread(100_000) || a == spread(100_000) + 100_000,
        "{a}"
    );
    assert!(
        b == spread(200_000) || b == spread(200_000) + 200_000,
        "{b}"
    );
    assert_eq!(
        one.finish().expect("it ends").numbers.components[0].rows_out,
        100_000
    );
    assert_eq!(
        two.finish().expect("it ends").numbers.components[0].rows_out,
        200_000
    );
}

#[test]
fn a_parameter_is_set_with_its_type() {
    let text = "params = { most = 10 }\n".to_string()
        + &sequence(1000)
        + "[transforms.few]\ntype = \"filter\"\ninputs = [\"numbers\"]\nwhere = \"x < $most\"\n";
    let pipeline = Pipeline::from_text(text)
        .set("most", 5)
        .pull("few")
        .load()
        .unwrap_or_else(|error| panic!("{error}"));
    let mut run = pipeline.start().expect("it starts");
    let rows: usize = run
        .batches("few")
        .expect("pulled")
        .map(|batch| batch.num_rows())
        .sum();
    assert!(rows == 5 || rows == 4, "{rows}");
    run.finish().expect("it ends");
}
