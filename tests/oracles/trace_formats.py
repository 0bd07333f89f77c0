"""Makes the folder trace_formats: small files as NumPy, SciPy and libsndfile write them, and what these read from them.

    python tests/oracles/trace_formats.py        (pip install numpy scipy soundfile)

expected.json has, for each file, the settings to read it with, its columns, and the samples per second if it says so.
Wave files are what soundfile reads as float64, so whole numbers are brought to the range from -1 to 1.
"""

import json
from pathlib import Path

import numpy as np
import scipy.io.wavfile
import soundfile

HERE = Path(__file__).parent / "trace_formats"
ROWS = 16
random = np.random.default_rng(5)
expected = {}


def listed(column):
    """Numbers as JSON has them; what is none of them by its name."""
    return [repr(float(x)) if not np.isfinite(x) else x.item() for x in column]


def expect(name, columns, rate=None, settings=""):
    columns = {key: listed(np.asarray(column)) for key, column in columns.items()}
    expected[name] = {"settings": settings, "columns": columns, "rate": rate}


def axes(array):
    return {f"c{i}": array[:, i] for i in range(array.shape[1])}


def arrays():
    plain = random.standard_normal(ROWS)
    plain[[3, 7, 11]] = np.nan, np.inf, -0.0
    np.save(HERE / "plain.npy", plain)
    expect("plain.npy", {"value": np.load(HERE / "plain.npy")})
    np.save(HERE / "big_endian.npy", random.integers(-(2**31), 2**31, (ROWS, 3)).astype(">i4"))
    expect("big_endian.npy", axes(np.load(HERE / "big_endian.npy")))
    np.save(HERE / "fortran.npy", np.asfortranarray(random.standard_normal((ROWS, 2)).astype("<f4")))
    expect("fortran.npy", axes(np.load(HERE / "fortran.npy").astype(float)))
    np.save(HERE / "half.npy", random.standard_normal(ROWS).astype("<f2"))
    expect("half.npy", {"value": np.load(HERE / "half.npy")})
    signal = random.standard_normal(ROWS) + 1j * random.standard_normal(ROWS)
    np.save(HERE / "complex.npy", signal)
    expect("complex.npy", {"re": signal.real, "im": signal.imag})
    kinds = np.dtype([("flag", "u1"), ("x", "<f8"), ("count", ">u2")], align=True)
    records = np.zeros(ROWS, kinds)
    records["flag"], records["x"] = np.arange(ROWS), random.standard_normal(ROWS)
    records["count"] = np.arange(ROWS) * 1000
    np.save(HERE / "records.npy", records)
    read = np.load(HERE / "records.npy")
    expect("records.npy", {name: read[name] for name in kinds.names})
    columns = {"time": np.arange(ROWS) / 250, "signal": plain}
    np.savez(HERE / "stored.npz", **columns, taps=np.ones(3), sample_rate=250)
    np.savez_compressed(HERE / "compressed.npz", **columns, label=np.array("bench"), fs=np.array([250.0]))
    for name in ["stored.npz", "compressed.npz"]:
        read = np.load(HERE / name)
        expect(name, {column: read[column] for column in columns}, 250.0)
    expect("stored.npz#taps", {"taps": np.load(HERE / "stored.npz")["taps"]}, 250.0, "format = { npz = { array = 'taps' } }")


def waves():
    two = random.uniform(-1, 1, (ROWS, 2))
    three = random.uniform(-1, 1, (ROWS, 3))
    for name, signal, kind in [
        ("pcm8.wav", two[:, 0], {"subtype": "PCM_U8"}),
        ("pcm24.wav", two, {"subtype": "PCM_24"}),
        ("pcm32.wav", three, {"subtype": "PCM_32"}),
        ("extensible.wav", two, {"subtype": "PCM_16", "format": "WAVEX"}),
        ("long.wav", two, {"subtype": "PCM_24", "format": "RF64"}),
        ("double.wav", two[:, 1], {"subtype": "DOUBLE"}),
    ]:
        soundfile.write(HERE / name, signal, 44100, **kind)
    scipy.io.wavfile.write(HERE / "pcm16.wav", 8000, (two * 32767).astype("<i2"))
    scipy.io.wavfile.write(HERE / "float.wav", 96000, three.astype("<f4"))
    for path in sorted(HERE.glob("*.wav")):
        signal, rate = soundfile.read(path, dtype="float64", always_2d=True)
        names = {1: ["value"], 2: ["left", "right"]}.get(signal.shape[1], ["c0", "c1", "c2"])
        expect(path.name, dict(zip(names, signal.T)), float(rate))
    rate, signal = scipy.io.wavfile.read(HERE / "pcm24.wav")
    # SciPy has the three bytes in the upper ones of four.
    names = {"left": signal[:, 0] >> 8, "right": signal[:, 1] >> 8}
    expect("pcm24.wav#stored", names, float(rate), "format = { wav = { scale = false } }")


def raw():
    samples = random.integers(-(2**15), 2**15, (ROWS, 2)).astype(">i2")
    (HERE / "volts.raw").write_bytes(b"header!" + samples.tobytes())
    read = np.fromfile(HERE / "volts.raw", ">i2", offset=7).reshape(-1, 2)
    settings = "format = { raw = { type = 'i16', order = 'big', channels = ['a', 'b'], skip = 7, scale = 0.001, offset = -1.5 } }"
    expect("volts.raw", {"a": read[:, 0] * 0.001 + -1.5, "b": read[:, 1] * 0.001 + -1.5}, None, settings)
    random.standard_normal(ROWS).astype("<f4").tofile(HERE / "native.f32")
    expect("native.f32", {"value": np.fromfile(HERE / "native.f32", "<f4")})


def main():
    HERE.mkdir(exist_ok=True)
    arrays()
    waves()
    raw()
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(what)}" for name, what in expected.items())
    (HERE / "expected.json").write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
