"""Filters and peaks of whole signals by scipy, as golden values: python3 make_signals.py > signals.json

The signals are made of whole numbers, so that every language makes the same ones. To keep the file small, of long results only
every so many values are told; each of them depends on all samples before it.
"""

import json

import numpy as np
import scipy
from scipy import signal

RATE = 1000.0


def made(samples):
    """A triangle of period 50 and noise of a linear congruential generator."""
    state, values = 12345, []
    for i in range(samples):
        state = (state * 1103515245 + 12345) % 2**31
        values.append((i % 50) / 25.0 - 1.0 + (state / 2.0**31 - 0.5))
    return np.array(values)


def filtered(component, config, samples, values, every=1):
    return {"component": component, "config": config, "samples": samples, "every": every, "values": list(values[::every])}


def iir():
    x = made(400)
    sections = [[0.5, -0.25, 0.125, 1.0, -0.5, 0.25], [0.25, 0.5, 0.25, 1.0, 0.75, 0.375], [1.0, -1.0, 0.0, 1.0, -0.875, 0.0]]
    yield filtered("iir", f"sections = {sections}", 400, signal.sosfilt(sections, x), 7)
    steady = signal.sosfilt(sections, x, zi=signal.sosfilt_zi(sections) * x[0])[0]
    yield filtered("iir", f'sections = {sections}\ninitial = "steady"', 400, steady, 7)
    for kind, order, cutoff in [("lowpass", 8, 50.0), ("lowpass", 3, 123.0), ("highpass", 5, 200.0), ("bandpass", 4, [60.0, 140.0]),
                                ("bandpass", 3, [20.0, 400.0]), ("bandstop", 4, [100.0, 300.0]), ("bandstop", 1, [45.0, 55.0])]:
        sos = signal.butter(order, cutoff, kind, fs=RATE, output="sos")
        design = f'design = {{ kind = "{kind}", order = {order}, cutoff = {cutoff} }}\nrate = 1e3'
        yield filtered("iir", design, 400, signal.sosfilt(sos, x), 13)
    for kind, order, ripple, cutoff in [("lowpass", 8, 0.05, 80.0), ("highpass", 3, 1.0, 250.0), ("bandpass", 2, 0.5, [60.0, 140.0])]:
        sos = signal.cheby1(order, ripple, cutoff, kind, fs=RATE, output="sos")
        design = f'design = {{ type = "chebyshev", kind = "{kind}", order = {order}, ripple = {ripple}, cutoff = {cutoff} }}\nrate = 1e3'
        yield filtered("iir", design, 400, signal.sosfilt(sos, x), 13)


def fir():
    x = made(400)
    taps = [0.5, 0.25, -0.125, 0.0, 2.0]
    yield filtered("fir", f"taps = {taps}", 400, signal.lfilter(taps, 1, x), 13)
    for kind, count, cutoff, window in [("lowpass", 101, 50.0, "hamming"), ("highpass", 51, 200.0, "hann"),
                                        ("bandpass", 64, [60.0, 140.0], "blackman"), ("bandstop", 33, [100.0, 300.0], ("kaiser", 8.6))]:
        taps = signal.firwin(count, cutoff, pass_zero=kind, window=window, fs=RATE)
        name = window if isinstance(window, str) else f"{window[0]}({window[1]:g})"
        design = f'design = {{ kind = "{kind}", taps = {count}, cutoff = {cutoff}, window = "{name}" }}\nrate = 1e3'
        yield filtered("fir", design, 400, signal.lfilter(taps, 1, x), 13)


def decimate():
    x = made(400)
    for factor in [2, 10]:
        yield filtered("decimate", f"factor = {factor}", 400, signal.decimate(x, factor, zero_phase=False), 20 // factor)
        fir = signal.decimate(x, factor, ftype="fir", zero_phase=False)
        yield filtered("decimate", f'factor = {factor}\nfilter = "fir"', 400, fir, 20 // factor)


def detrend():
    x = made(400)
    for kind in ["constant", "linear"]:
        parts = [signal.detrend(x[at:at + 150], type=kind) for at in range(0, 400, 150)]
        yield filtered("detrend", f'samples = 150\nkind = "{kind}"', 400, np.concatenate(parts), 13)


def peaks():
    x, flat = made(1000), np.round(made(1000) * 4)
    for name, samples in [("plain", x), ("flat", flat)]:
        for options in [{"height": 1.0}, {"distance": 40}, {"height": 0.5, "distance": 10}, {"prominence": 1.2, "wlen": 31},
                        {"distance": 15, "prominence": 0.75, "wlen": 40, "height": -0.5}]:
            # Which of two peaks counts that are as high and near is not settled in scipy.
            if name == "flat" and "distance" in options:
                continue
            found, properties = signal.find_peaks(samples, **options)
            config = "\n".join(f"{key} = {value}" for key, value in options.items())
            yield {"component": "find", "config": f'kind = "peaks"\n{config}', "samples": 1000, "signal": name,
                   "found": found.tolist(), "prominences": properties.get("prominences", np.array([])).tolist()}


cases = [case for part in (iir, fir, decimate, detrend, peaks) for case in part()]
lines = ",\n".join(json.dumps(case) for case in cases)
print(f'{{"made with": "scipy {scipy.__version__}, numpy {np.__version__}", "cases": [\n{lines}\n]}}')
