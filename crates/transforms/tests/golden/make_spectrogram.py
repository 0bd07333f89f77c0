"""Spectrograms of a whole signal by scipy, as golden values: python3 make_spectrogram.py > spectrogram.json"""

import json

import numpy as np
import scipy
from scipy import signal


def made(samples):
    """A triangle of period 50 and noise of a linear congruential generator, of whole numbers."""
    state, values = 12345, []
    for i in range(samples):
        state = (state * 1103515245 + 12345) % 2**31
        values.append((i % 50) / 25.0 - 1.0 + (state / 2.0**31 - 0.5))
    return np.array(values)


def case(config, samples, **options):
    _, times, powers = signal.spectrogram(made(samples), fs=1000.0, **options)
    return {"config": config, "samples": samples, "times": times.tolist(), "powers": powers.T.tolist()}


CASES = [
    case('segment = 32', 200, nperseg=32, noverlap=16, window="hann"),
    case('segment = 25\noverlap = 3\nwindow = "tukey(0.25)"\nscaling = "spectrum"', 150, nperseg=25, noverlap=3,
         window=("tukey", 0.25), scaling="spectrum"),
    case('segment = 20\npoints = 30\ndetrend = "linear"\nwindow = "blackman"', 100, nperseg=20, noverlap=10, nfft=30,
         detrend="linear", window="blackman"),
]

print(json.dumps({"made with": f"scipy {scipy.__version__}, numpy {np.__version__}", "cases": CASES}))
