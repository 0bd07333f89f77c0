//! `decimate`: one of so many samples, behind a filter that takes out what fewer samples could not tell from something slower.

use std::sync::Arc;

use arrow_array::UInt32Array;
use dataflow_core::component::TransformConfig;
use dataflow_core::transform::{Columns, Input, Port};
use dataflow_core::{Check, Configured, Info, Located, Result, Sampling, StagePlan, Transform};
use dataflow_signal::decimate::{Decimate as Decimating, Guard};
use schemars::JsonSchema;
use serde::Deserialize;

use super::running::{Leaving, Rows, Work, plan};
use super::{Kind, Made, Signals, values};
use crate::config::{By, Texts, only_input};

/// One of so many samples.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decimate {
    /// The columns, each of them a signal. The others have what is in the rows that stay.
    columns: Texts,
    /// Keys that tell signals apart whose samples are rows of one stream: a list of columns, or a table of names and expressions.
    /// Default: none; all rows are of one signal.
    #[serde(default)]
    by: By,
    /// Of how many samples one stays.
    factor: Located<u64>,
    /// The filter in front. Default `"iir"`.
    #[serde(default)]
    filter: Filter,
}

/// The filter in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Filter {
    /// A Chebyshev filter of order 8 with ripples of 0.05 dB, cut off at 0.8 of half the new sampling rate; for factors up to 13 or so.
    #[default]
    Iir,
    /// A weighted sum of `20 * factor + 1` samples with a Hamming window, cut off at half the new sampling rate: all frequencies lag by the
    /// same time, `10 * factor` samples.
    Fir,
    /// None: what is faster than half the new sampling rate appears as something slower.
    None,
}

/// The largest factor of a filter with feedback: beyond, its poles are too near to the unit circle.
const MOST_IIR: u64 = 100;

/// The largest factor.
const MOST: u64 = 1 << 20;

impl Configured for Decimate {
    const INFO: Info = Info {
        name: "decimate",
        summary: "Keeps one of so many samples of signals, filtered",
        manual: "Each column is a signal whose samples come in the order of the rows, across all batches and files. It is filtered, and the \
            rows of the samples 0, `factor`, `2 * factor`, ... stay, with the values of the filter; other columns are as they were. \
            The filter is the one of `scipy.signal.decimate(x, factor, ftype=filter, zero_phase=False)`: causal, so what comes out lags \
            behind. By default it is a Chebyshev filter of order 8 (0.05 dB of ripple, cut off at 0.8 of half the new rate); \
            for factors above 13, decimate twice, or use `\"fir\"`. The sampling rate of what comes out is that of the input divided by `factor`.\n\n\
            A sample that is null, NaN or infinite is passed over by the filter, and null if its row stays.\n\n\
            Rows go through one worker, in order. The memory is that of one batch, and of the filter's: 16 numbers per signal, or \
            `20 * factor`. The cost per sample is about 5 ns with `\"iir\"`, and 20 multiplications with `\"fir\"`, of which only the sums are made that stay.",
        example: "columns = [\"voltage\"]\nfactor = 10\n",
        ports: &[],
        also_called: &["downsample_signal", "subsample", "every_nth"],
    };
}

impl TransformConfig for Decimate {
    fn build(self, inputs: &[Input], check: &mut Check<'_>) -> Option<Arc<dyn Transform>> {
        let input = only_input(inputs, check)?;
        let of = (&self.columns, &self.by, Kind::Numbers);
        let signals = Signals::check("`decimate`", of, input, check);
        let (factor, most) = match self.filter {
            Filter::Iir => (self.factor.value, MOST_IIR),
            Filter::Fir | Filter::None => (self.factor.value, MOST),
        };
        if factor == 0 || factor > most {
            let message = format!("one of {factor} samples cannot be kept behind this filter");
            let help = match factor <= MOST && factor > 0 {
                true => format!("decimate twice, by up to {most} each, or use `filter = \"fir\"`"),
                false => format!("write a number from 1 to {most}"),
            };
            check.error_at(&self.factor, message, Some(help));
            return None;
        }
        let signals = signals?;
        let (guard, name) = match self.filter {
            Filter::Iir => (Guard::Iir, "behind a Chebyshev filter of order 8"),
            Filter::Fir => (Guard::Fir, "behind a weighted sum"),
            Filter::None => (Guard::None, "without a filter"),
        };
        let made = Made::check(&signals, None, input, check)?;
        let sampling = input
            .sampled
            .known()
            .map(|known| Sampling::of(known.rate / factor as f64).from(known.start));
        let port = Port::main(Arc::clone(&made.schema)).timed(input.timed);
        Some(Arc::new(Checked {
            explained: vec![
                format!("one of {factor} samples, {name}"),
                signals.explain(),
            ],
            signals,
            made,
            prototype: Decimating::new(factor, guard),
            port: [port.sampled(sampling)],
        }))
    }
}

struct Checked {
    signals: Signals,
    made: Made,
    /// One that remembers nothing.
    prototype: Decimating,
    explained: Vec<String>,
    port: [Port; 1],
}

impl Transform for Checked {
    fn ports(&self) -> &[Port] {
        &self.port
    }

    fn stages(&self) -> Vec<StagePlan> {
        let (made, prototype) = (self.made.clone(), self.prototype.clone());
        vec![plan("one of so many", &self.signals, move |_| Thinning {
            made: made.clone(),
            prototype: prototype.clone(),
        })]
    }

    fn needs(&self, _: usize, wanted: &[Columns]) -> Columns {
        self.signals.needs(wanted, &[])
    }

    fn explain(&self) -> Vec<String> {
        self.explained.clone()
    }
}

struct Thinning {
    made: Made,
    prototype: Decimating,
}

impl Work for Thinning {
    type Of = Decimating;

    fn make(&self, _: usize) -> Decimating {
        self.prototype.clone()
    }

    fn take(&mut self, mut rows: Rows<'_, Decimating>, leaving: &mut Leaving) -> Result<()> {
        let factor = self.prototype.factor() as usize;
        let columns = rows.samples.len();
        // The rows that stay, with the value of a column each.
        let mut stay: Vec<Vec<(u32, f64)>> = vec![Vec::new(); columns];
        rows.each_signal(|signal, (_, column), samples, of| {
            let (first, kept) = signal.push(std::mem::take(samples));
            let row = |at: usize| of.map_or(at as u32, |of| of[at]);
            let each = kept.into_iter().enumerate();
            stay[column].extend(each.map(|(k, x)| (row(first + k * factor), x)));
        });
        stay.iter_mut()
            .for_each(|of| of.sort_by_key(|(row, _)| *row));
        let indices = UInt32Array::from_iter_values(stay[0].iter().map(|(row, _)| *row));
        if indices.is_empty() {
            return Ok(());
        }
        let batch = rows.batch.take(&indices)?;
        let of_column = |of: Vec<(u32, f64)>| values(of.into_iter().map(|(_, x)| x).collect());
        let made = stay.into_iter().map(of_column).collect();
        let made = self.made.rows(batch.rows(), made)?;
        leaving.push_back(batch.with_rows(made));
        Ok(())
    }
}
