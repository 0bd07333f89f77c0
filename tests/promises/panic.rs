//! A panic in somebody's component: the run ends with an error that names it, however full the queues are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use dataflow::core::component::{Build, Component, Info};
use dataflow::core::transform::{Input, Port, StagePlan};
use dataflow::core::{Batch, Flow, Output, Result, Route, Stage, StageContext, Transform};
use dataflow::{Catalog, Options, Pipeline};

/// Longer than any of these runs takes, unless it hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// When the stage on worker 1 panics.
#[derive(Clone, Copy, Debug)]
enum When {
    Made,
    AfterBatches(usize),
    AtTheEnd,
}

struct Fragile {
    ports: Vec<Port>,
    when: When,
    route: Route,
}

impl Transform for Fragile {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn stages(&self) -> Vec<StagePlan> {
        let when = self.when;
        let make = move |context: StageContext| {
            let breaks = context.worker == 1;
            if breaks && matches!(when, When::Made) {
                panic!("it broke while it was made");
            }
            Ok(FragileStage {
                when: breaks.then_some(when),
                seen: AtomicUsize::new(0),
            })
        };
        let mut plan = StagePlan::local("fragile", make);
        plan.route = self.route;
        vec![plan]
    }
}

struct FragileStage {
    when: Option<When>,
    seen: AtomicUsize,
}

impl Stage for FragileStage {
    fn on_batch(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        if let Some(When::AfterBatches(batches)) = self.when
            && seen >= batches
        {
            // By now the other workers have filled what waits for the slow consumer.
            std::thread::sleep(Duration::from_millis(200));
            panic!("it broke on batch {seen}");
        }
        out.send(0, batch);
        Ok(Flow::Ready)
    }

    fn on_end(&mut self, _: &mut dyn Output) -> Result<Flow> {
        if matches!(self.when, Some(When::AtTheEnd)) {
            panic!("it broke at the end");
        }
        Ok(Flow::Ready)
    }
}

fn fragile(when: When, route: Route) -> Component {
    let build = Build::Transform(Arc::new(move |_, inputs: &[Input], _| {
        Some(Arc::new(Fragile {
            ports: vec![Port::main(Arc::clone(&inputs[0].schema))],
            when,
            route,
        }) as Arc<dyn Transform>)
    }));
    Component {
        tables: &[],
        info: Info {
            name: "fragile",
            summary: "Breaks",
            manual: "Breaks on worker 1.",
            ..Info::EMPTY
        },
        schema: None,
        build,
    }
}

const PIPELINE: &str = r#"
    [engine]
    workers = 3
    batch_rows = 256
    memory = "64MiB"
    [sources.rows]
    type = "generate"
    preset = "sensors"
    rows = 2_000_000
    [transforms.thin_ice]
    type = "fragile"
    inputs = ["rows"]
    [transforms.sorted]
    type = "sort"
    inputs = ["thin_ice"]
    by = "temperature"
    [sinks.out]
    type = "file"
    inputs = ["thin_ice"]
    path = "OUT/rows.csv"
    [sinks.none]
    type = "null"
    inputs = ["sorted"]
"#;

/// Runs on another thread; fails when it does not end in time.
fn error_of(when: When, route: Route) -> String {
    let out = tempfile::tempdir().expect("a folder");
    let text = PIPELINE.replace("OUT", out.path().to_str().expect("a path of text"));
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let pipeline = Pipeline::from_text(text)
            .catalog(Catalog::default().with(fragile(when, route)))
            .load()
            .expect("a pipeline");
        // Whoever listens may have given up.
        let _ = tell.send(pipeline.run().map(|_| ()));
    });
    let outcome = told.recv_timeout(LIMIT);
    let outcome = outcome.unwrap_or_else(|_| panic!("{when:?}, {route:?}: it hangs"));
    let error = outcome.expect_err("a panic is an error of the run");
    let left = crate::program::files(out.path());
    assert!(left.is_empty(), "{left:?}");
    error.to_string()
}

#[test]
fn a_panic_ends_the_run_with_an_error_that_names_the_component() {
    for (when, words) in [
        (When::Made, "it broke while it was made"),
        (When::AfterBatches(0), "it broke on batch 0"),
        (When::AfterBatches(50), "it broke on batch 50"),
        (When::AtTheEnd, "it broke at the end"),
    ] {
        let message = error_of(when, Route::Local);
        assert!(message.contains("thin_ice"), "{message}");
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_panic_with_full_queues_is_no_hang() {
    // For a while nobody takes the rows: everything in front of the pulled output is full when it breaks.
    let text = r#"
        [engine]
        workers = 3
        batch_rows = 64
        memory = "32MiB"
        [sources.rows]
        type = "generate"
        preset = "sensors"
        rows = 5_000_000
        [transforms.thin_ice]
        type = "fragile"
        inputs = ["rows"]
    "#;
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let catalog = Catalog::default().with(fragile(When::AfterBatches(3), Route::Local));
        let pipeline = Pipeline::from_text(text)
            .catalog(catalog)
            .pull("thin_ice")
            .load()
            .expect("a pipeline");
        let mut running = pipeline.start_with(Options::default()).expect("it starts");
        let mut rows = running.batches("thin_ice").expect("pulled");
        let first = rows.next().map(|batch| batch.num_rows());
        std::thread::sleep(Duration::from_secs(1));
        let rest: usize = rows.map(|batch| batch.num_rows()).sum();
        let outcome = running.finish().map(|_| ());
        let _ = tell.send((first, rest, outcome));
    });
    let (_, _, outcome) = told.recv_timeout(LIMIT).expect("it hangs");
    let message = outcome.expect_err("a panic is an error").to_string();
    assert!(message.contains("thin_ice"), "{message}");
}
