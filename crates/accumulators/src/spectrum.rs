//! `spectrum`: the amplitudes of a signal's frequencies in decibels, averaged over segments.

use dataflow_core::component::{Component, Info};

use crate::tallies::spectra::spectrum;

const USAGE: &str = "spectrum(x, 4096, rate => 1e6)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "spectrum",
        summary: "The amplitudes of a signal's frequencies in decibels, averaged over segments",
        manual: "\
The mean magnitude of the transforms of segments of `segment` samples (also without the name; default 4096) that overlap by `overlap` (default half), \
times a `window` (default `'hann'`), with `nfft` points, after `detrend` (default `'none'`). It is divided by the window's gain and doubled for the \
negative frequencies: a sine of amplitude 1 in the middle of a bin reads 0 dB, in one segment and in a thousand. Windows and options are those of \
`welch`; `'flattop'` reads the amplitude of a sine between two bins best.

The result is a list of structures `frequency` and `decibels`, frequencies rising; `unnest` twice makes a row of each. Nothing at all is minus infinity. \
Samples behind the last whole segment do not count; a signal that is shorter than one is one segment by itself. Segments with a sample that is null, \
NaN or infinite are left out and counted in the report. The rate is the source's (`sampling`), or `rate =>`; cost and memory are those of `welch`.",
        example: USAGE,
        also_called: &["fft", "amplitude_spectrum", "magnitude_spectrum"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| spectrum(call, USAGE))
}
