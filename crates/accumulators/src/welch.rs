//! `welch`: the power spectral density of a signal, averaged over segments that overlap.

use dataflow_core::component::{Component, Info};

use crate::tallies::spectra::welch;

const USAGE: &str = "welch(x, 4096, rate => 1e6)";

/// The catalog's entry.
pub(crate) fn component() -> Component {
    let info = Info {
        name: "welch",
        summary: "The power spectral density of a signal, averaged over overlapping segments",
        manual: "\
Welch's method, with the numbers that `scipy.signal.welch` gives for the whole signal, however it is cut into pieces: segments of `nperseg` \
samples (also without the name, as in `welch(x, 4096)`; default 256) that overlap by `noverlap` (default half), each without its mean \
(`detrend => 'constant'`, `'linear'` or `'none'`), times a `window` (default `'hann'`; also `'hamming'`, `'blackman'`, `'blackmanharris'`, \
`'flattop'`, `'boxcar'`, `'kaiser(8.6)'`, `'tukey(0.25)'`, `'gaussian(512)'`), transformed with `nfft` points (default `nperseg`; more are \
padded with zeros). `scaling` is `'density'` (power per hertz, the default) or `'spectrum'` (power); `average` is `'mean'` or `'median'`, which is \
corrected for its bias (`approximate => true` tells powers apart by their first bits, so that a median is off by 0.4 % at most and takes little memory). `onesided => false` gives the negative frequencies as well. With two columns, `welch(i, q)`, the signal is complex and \
has two sides.

The result is a list of structures `frequency` and `power`, frequencies rising; `unnest` twice makes a row of each. Samples behind the last whole segment do \
not count, as in scipy; a signal that is shorter than one is one segment by itself, and the report says so. Segments with a sample that is \
null, NaN or infinite are left out and counted in the report; if all of them are, the powers are NaN.

How many samples there are per second is told by the source (`sampling`), or by `rate =>`. Without keys, windows and filters every worker takes the rows that it \
has; else a group's rows are taken in order by one worker.

The sums over segments are exact, so the result is the same to the bit for any workers and pieces. The cost is that of the transforms, about \
2 to 4 ns a sample of a segment. Memory per group: two segments and 37 bytes a frequency, for each stretch of rows that waits for the one before it; the \
median keeps the powers of all segments.",
        example: USAGE,
        also_called: &["psd", "power_spectral_density", "pwelch", "power_density"],
        ..Info::EMPTY
    };
    Component::accumulator(info, |call| welch(call, USAGE))
}
