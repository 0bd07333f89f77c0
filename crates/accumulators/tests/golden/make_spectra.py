"""Spectra of whole signals by scipy and numpy, as golden values: python3 make_spectra.py > spectra.json

The signals are made of whole numbers, so that every language makes the same ones.
"""

import json

import numpy as np
import scipy
from scipy import signal


def made(samples, offset, complex_=False):
    """A triangle of period 50, noise of a linear congruential generator, and an offset."""
    state, values = 12345, []
    for i in range(samples * (2 if complex_ else 1)):
        state = (state * 1103515245 + 12345) % 2**31
        values.append((i % 50) / 25.0 - 1.0 + (state / 2.0**31 - 0.5) + offset)
    values = np.array(values)
    return values[0::2] + 1j * values[1::2] if complex_ else values


def psd(x, **options):
    frequencies, power = signal.welch(x, fs=1000.0, **options)
    order = np.argsort(frequencies, kind="stable")
    return frequencies[order], power[order]


def periodogram(x, **options):
    frequencies, power = signal.periodogram(x, fs=1000.0, **options)
    order = np.argsort(frequencies, kind="stable")
    return frequencies[order], power[order]


def amplitudes(x, segment, overlap, window):
    """The mean magnitude of every whole segment, in decibels."""
    weights = signal.get_window(window, segment)
    hop = segment - overlap
    parts = [x[at:at + segment] * weights for at in range(0, len(x) - segment + 1, hop)]
    mean = np.mean(np.abs(np.fft.rfft(parts, axis=1)), axis=0) / weights.sum()
    mean[1 : (-1 if segment % 2 == 0 else None)] *= 2
    return np.fft.rfftfreq(segment, 1 / 1000.0), 20 * np.log10(mean)


WINDOWS = ["hann", "hamming", "blackman", "blackmanharris", "flattop", "boxcar",
           ("kaiser", 8.6), ("tukey", 0.25), ("gaussian", 7.0)]


def name(window):
    return window if isinstance(window, str) else f"{window[0]}({window[1]:g})"


def cases():
    def case(call, options, samples, offset, result, complex_=False):
        frequencies, values = result
        return {"call": call, "options": options, "samples": samples, "offset": offset, "complex": complex_,
                "frequencies": frequencies.tolist(), "values": values.tolist()}

    x, far = made(1000, 0.0), made(1000, 1e8)
    for window in WINDOWS:
        yield case("welch", {"nperseg": 32, "window": name(window)}, 1000, 0.0, psd(x, nperseg=32, window=window))
    yield case("welch", {"nperseg": 64}, 1000, 1e8, psd(far, nperseg=64))
    yield case("welch", {"nperseg": 50, "noverlap": 17, "nfft": 60, "detrend": "linear", "scaling": "spectrum"}, 1000, 0.0,
               psd(x, nperseg=50, noverlap=17, nfft=60, detrend="linear", scaling="spectrum"))
    yield case("welch", {"nperseg": 33, "average": "median", "detrend": "none"}, 1000, 0.0,
               psd(x, nperseg=33, average="median", detrend=False))
    yield case("welch", {"nperseg": 32, "onesided": False}, 1000, 0.0, psd(x, nperseg=32, return_onesided=False))
    yield case("welch", {"nperseg": 24}, 500, 0.0, psd(made(500, 0.0, True), nperseg=24, return_onesided=False), True)
    yield case("welch", {"nperseg": 256}, 45, 0.0, psd(made(45, 0.0), nperseg=45))
    yield case("periodogram", {}, 61, 3.0, periodogram(made(61, 3.0)))
    yield case("periodogram", {"nfft": 80, "window": "hann", "scaling": "spectrum"}, 61, 0.0,
               periodogram(made(61, 0.0), nfft=80, window="hann", scaling="spectrum"))
    yield case("periodogram", {"nfft": 40, "detrend": "linear"}, 61, 0.0,
               periodogram(made(61, 0.0), nfft=40, detrend="linear"))
    yield case("spectrum", {"segment": 64}, 1000, 0.0, amplitudes(x, 64, 32, "hann"))
    yield case("spectrum", {"segment": 45, "overlap": 30, "window": "flattop"}, 1000, 0.0, amplitudes(x, 45, 30, "flattop"))


print(json.dumps({"made with": f"scipy {scipy.__version__}, numpy {np.__version__}", "cases": list(cases())}))
