//! `periodogram`: the power spectral density of a signal as one segment.

use dataflow_core::component::{Component, Info};

use crate::tallies::spectra::periodogram;

const USAGE: &str = "periodogram(x, rate => 1e6)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "periodogram",
        summary: "The power spectral density of a signal as one segment",
        manual: "\
The squared magnitude of the transform of all samples of a group at once, with the numbers of `scipy.signal.periodogram`: without their mean \
(`detrend => 'constant'`, `'linear'` or `'none'`), times a `window` (default `'boxcar'`), with `nfft` points (default: as many as there are samples; \
fewer take the first so many, more are padded with zeros). `scaling` is `'density'` (power per hertz, the default) or `'spectrum'` (power); \
`onesided => false` gives the negative frequencies as well, and two columns are a complex signal.

The result is a list of structures `frequency` and `power`, frequencies rising; `unnest` twice makes a row of each. It is NaN where a sample is null, NaN or infinite. The \
rate is the source's (`sampling`), or `rate =>`.

All samples of a group are in memory (8 bytes each, and about 40 while the result is made), so this is for windows and short signals; `welch` \
takes a signal of any length.",
        example: USAGE,
        also_called: &["power_spectrum"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| periodogram(call, USAGE))
}
