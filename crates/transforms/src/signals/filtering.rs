//! What `iir`, `fir` and `moving_average` have in common: a value for each sample, in its row.

use std::sync::Arc;

use arrow_array::ArrayRef;
use dataflow_core::transform::{Columns, Input, Port};
use dataflow_core::{Result, StagePlan, Transform};
use dataflow_signal::Filter;

use super::running::{Leaving, Rows, Work, plan};
use super::{Made, Signals, values};

/// Makes a filter.
type Make = Arc<dyn Fn() -> Box<dyn Filter> + Send + Sync>;

/// A transform that puts a filter's values in the rows.
pub(super) struct Filtered {
    name: &'static str,
    signals: Signals,
    made: Made,
    make: Make,
    explained: Vec<String>,
    port: [Port; 1],
}

impl Filtered {
    pub(super) fn new(
        name: &'static str,
        (signals, made): (Signals, Made),
        input: &Input,
        explained: String,
        make: impl Fn() -> Box<dyn Filter> + Send + Sync + 'static,
    ) -> Self {
        let port = Port::main(Arc::clone(&made.schema));
        let port = port.timed(input.timed).sampled(input.sampled.known());
        Self {
            name,
            explained: vec![explained, signals.explain()],
            signals,
            made,
            make: Arc::new(make),
            port: [port],
        }
    }
}

impl Transform for Filtered {
    fn ports(&self) -> &[Port] {
        &self.port
    }

    fn stages(&self) -> Vec<StagePlan> {
        let (made, make) = (self.made.clone(), Arc::clone(&self.make));
        vec![plan(self.name, &self.signals, move |_| Filtering {
            made: made.clone(),
            make: Arc::clone(&make),
        })]
    }

    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        self.signals.needs(wanted, self.made.new_names())
    }

    fn explain(&self) -> Vec<String> {
        self.explained.clone()
    }
}

struct Filtering {
    made: Made,
    make: Make,
}

impl Work for Filtering {
    type Of = Box<dyn Filter>;

    fn make(&self, _: usize) -> Self::Of {
        (self.make)()
    }

    fn take(&mut self, mut rows: Rows<'_, Self::Of>, leaving: &mut Leaving) -> Result<()> {
        let mut scattered: Vec<(usize, Vec<f64>, Vec<u32>)> = Vec::new();
        rows.each_signal(|filter, (_, column), samples, of| {
            filter.push(samples);
            if let Some(of) = of {
                scattered.push((column, std::mem::take(samples), of.to_vec()));
            }
        });
        for (column, made, of) in scattered {
            for (row, made) in of.into_iter().zip(made) {
                rows.samples[column][row as usize] = made;
            }
        }
        let made: Vec<ArrayRef> = rows.samples.into_iter().map(values).collect();
        let made = self.made.rows(rows.batch.rows(), made)?;
        leaving.push_back(rows.batch.with_rows(made));
        Ok(())
    }
}
