//! Runs the tests that a pipeline file holds.

use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use dataflow_core::sink::Receipt;
use dataflow_core::{Batch, Result, Sink, SinkContext, Writer};
use dataflow_engine::{Run, Settings};
use dataflow_pipeline::{PipelineTest, compare};

use crate::pipeline::Pipeline;

/// What became of one test.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The test's name.
    pub name: String,
    /// What went wrong: differences, or the error of the run.
    pub failure: Option<String>,
}

impl Pipeline {
    /// Runs the pipeline's tests, one after another.
    pub fn test(&self) -> Vec<Outcome> {
        let tests = self.checked().tests.iter();
        tests
            .map(|test| Outcome {
                name: test.name.clone(),
                failure: self.run_test(test).err(),
            })
            .collect()
    }

    fn run_test(&self, test: &PipelineTest) -> std::result::Result<(), String> {
        let collected: Vec<Collect> = test.expect.iter().map(|_| Collect::default()).collect();
        let plan = self
            .checked()
            .plan_for_test(test, |index| Arc::new(collected[index].clone()));
        let run = Run::new(
            plan,
            Settings {
                workers: 2,
                ..Settings::default()
            },
        );
        run.and_then(Run::execute)
            .map_err(|error| error.to_string())?;
        let mut failures = Vec::new();
        for (expect, collected) in test.expect.iter().zip(&collected) {
            let rows = collected
                .rows
                .lock()
                .map(|rows| rows.clone())
                .unwrap_or_default();
            if let Err(differences) = compare(&expect.rows, &rows, test.tolerance) {
                failures.push(format!("from `{}`:\n{differences}", expect.from));
            }
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(failures.join("\n"))
        }
    }
}

#[derive(Clone, Default)]
struct Collect {
    rows: Arc<Mutex<Vec<RecordBatch>>>,
}

impl Sink for Collect {
    fn open(&self, _: &SinkContext) -> Result<Box<dyn Writer>> {
        Ok(Box::new(self.clone()))
    }
}

impl Writer for Collect {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        if let Ok(mut rows) = self.rows.lock() {
            rows.push(batch.rows().clone());
        }
        Ok(())
    }

    fn prepare(&mut self) -> Result<Receipt> {
        Ok(Receipt::default())
    }

    fn commit(&mut self) -> Result<()> {
        Ok(())
    }
}
