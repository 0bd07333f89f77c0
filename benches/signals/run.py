"""Traces: `dataflow` beside numpy and scipy on the same file, in one run, warm cache.

    python3 benches/signals/run.py --program target/release/dataflow [--folder DIR] [--samples 100_000_000] [--runs 3] [TASK ...]

Needs Python with numpy, scipy and pyarrow, gcc (for the reader), and room for the trace. Tasks:

  welch        power spectral density (4096, Hann, half overlap), two workers, beside scipy/numpy by chunk with the overlap carried
  statistics   min, max, mean, std, rms and histogram, beside one thread that reads the file with read(2) in blocks of 1 MiB
  spectrogram  to Parquet, beside numpy by chunk and pyarrow
  iir          a Butterworth low pass of order 8, beside scipy.signal.sosfilt by chunk
  memory       statistics, Welch and a spectrogram of a trace of --bytes (10 GB) whose last percent has a tone: the peak, and whether it is seen
  first        how soon the first rows of that trace are there with `limit`

Times are medians of --runs alternating runs. The peers run in processes of their own, too.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import textwrap
import time
from pathlib import Path

TONE = 123_456.0
RATE = 1e6

HEAD = """
[engine]
workers = {workers}
{engine}
[sources.trace]
type = "file"
path = "{path}"
sampling = {{ rate = 1e6 }}
"""

STATISTICS = """
[transforms.statistics]
type = "aggregate"
inputs = ["trace"]
compute.minimum = "min(value)"
compute.maximum = "max(value)"
compute.mean = "mean(value)"
compute.std = "std(value, ddof => 0)"
compute.rms = "rms(value)"
compute.histogram = "histogram(value, bins => 100, range => [-5.0, 5.0])"
[sinks.statistics_file]
type = "file"
inputs = ["statistics"]
path = "statistics.jsonl"
"""

WELCH = """
[transforms.density]
type = "aggregate"
inputs = ["trace"]
compute.psd = "welch(value, 4096)"
[sinks.density_file]
type = "file"
inputs = ["density"]
path = "psd.jsonl"
"""

SPECTROGRAM = """
[transforms.spectrogram]
type = "spectrogram"
inputs = ["trace"]
column = "value"
segment = 4096
decibels = true
[sinks.rows]
type = "file"
inputs = ["spectrogram"]
path = "spectrogram.parquet"
format = {{ parquet = {{ compression = "snappy" }} }}
"""

PICTURE = """
[transforms.spectrogram]
type = "spectrogram"
inputs = ["trace"]
column = "value"
segment = 4096
decibels = true
[sinks.picture]
type = "plot"
inputs = ["spectrogram"]
path = "spectrogram.png"
kind = "heatmap"
x = "time"
y = "power"
x_unit = "s"
y_unit = "Hz"
"""

FILTER = """
[transforms.low]
type = "iir"
inputs = ["trace"]
columns = ["value"]
design = {{ type = "butterworth", kind = "lowpass", order = 8, cutoff = 1e5 }}
[sinks.none]
type = "null"
inputs = ["low"]
"""

FIRST = """
[transforms.few]
type = "limit"
inputs = ["trace"]
rows = 10
[sinks.few_file]
type = "file"
inputs = ["few"]
path = "few.csv"
"""

PEERS = {
    "welch": """
        import numpy as np
        from scipy import signal
        w = signal.get_window("hann", 4096); scale = 1 / (1e6 * (w * w).sum())
        trace = np.memmap(PATH, dtype="<f8", mode="r")
        total, count, chunk, rest = np.zeros(2049), 0, 4096 * 32, np.empty(0)
        for at in range(0, len(trace), chunk):
            part = np.concatenate([rest, trace[at:at + chunk]])
            segments = np.lib.stride_tricks.sliding_window_view(part, 4096)[::2048]
            x = (segments - segments.mean(axis=1, keepdims=True)) * w
            f = np.fft.rfft(x, axis=1)
            total += (f.real ** 2 + f.imag ** 2).sum(axis=0)
            count += len(segments)
            rest = part[len(segments) * 2048:]
        psd = total / count * scale
        psd[1:-1] *= 2
        np.save("psd.npy", psd)
        """,
    "statistics": None,
    "spectrogram": """
        import numpy as np, pyarrow as pa, pyarrow.parquet as pq
        from scipy import signal
        w = signal.get_window("hann", 4096); scale = 2 / (1e6 * (w * w).sum())
        trace = np.memmap(PATH, dtype="<f8", mode="r")
        chunk, rest, first = 4096 * 32, np.empty(0), 0
        schema = pa.schema([("time", pa.float64()), ("power", pa.list_(pa.float64()))])
        with pq.ParquetWriter("spectrogram.parquet", schema, compression="snappy") as out:
            for at in range(0, len(trace), chunk):
                part = np.concatenate([rest, trace[at:at + chunk]])
                segments = np.lib.stride_tricks.sliding_window_view(part, 4096)[::2048]
                x = (segments - segments.mean(axis=1, keepdims=True)) * w
                f = np.fft.rfft(x, axis=1)
                p = (f.real ** 2 + f.imag ** 2) * scale
                p[:, 0] /= 2; p[:, -1] /= 2
                p = np.maximum(10 * np.log10(p), -200)
                n = len(segments)
                t = (np.arange(first, first + n) * 2048 + 2048) / 1e6
                lists = pa.ListArray.from_arrays(np.arange(0, n * 2049 + 1, 2049, dtype=np.int32), p.ravel())
                out.write_table(pa.table([pa.array(t), lists], schema=schema))
                first += n
                rest = part[n * 2048:]
        """,
    "iir": """
        import numpy as np
        from scipy import signal
        sos = signal.butter(8, 1e5, fs=1e6, output="sos")
        trace = np.memmap(PATH, dtype="<f8", mode="r")
        state = np.zeros((sos.shape[0], 2))
        for at in range(0, len(trace), 1 << 20):
            y, state = signal.sosfilt(sos, trace[at:at + (1 << 20)], zi=state)
        print(y[-1])
        """,
}

READER = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int count, char **words) {
    int file = open(words[1], O_RDONLY);
    char *block = malloc(1 << 20);
    long bytes = 0, got;
    while ((got = read(file, block, 1 << 20)) > 0) bytes += got;
    printf("%ld\n", bytes);
    return 0;
}
"""


def make(path, samples, seed):
    """A tone of 1 kHz, noise, and in the last percent a tone at TONE."""
    import numpy as np

    expected = samples * 8
    if path.exists() and path.stat().st_size == expected:
        return
    noise = np.random.default_rng(seed)
    with open(path, "wb") as out:
        for at in range(0, samples, 1 << 20):
            i = np.arange(at, min(samples, at + (1 << 20)), dtype=np.float64)
            x = np.sin(2 * np.pi * 1e3 * i / RATE) + 0.1 * noise.standard_normal(len(i))
            x += np.where(i >= samples * 0.99, 0.5 * np.sin(2 * np.pi * TONE * i / RATE), 0.0)
            out.write(x.astype("<f8").tobytes())


def timed(command, folder):
    """Seconds, peak resident MiB, and what it printed."""
    began = time.monotonic()
    done = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = done.stdout.read(), done.stderr.read()
    _, status, usage = os.wait4(done.pid, 0)
    if status != 0:
        sys.exit(f"{command}: {err.decode()[-2000:]}")
    return time.monotonic() - began, usage.ru_maxrss / 1024, out


class Bench:
    def __init__(self, options):
        self.options = options
        self.folder = Path(options.folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.program = str(Path(options.program).resolve())

    def ours(self, name, body, path, workers=2, engine=""):
        pipeline = self.folder / f"{name}.toml"
        text = HEAD.format(workers=workers, path=path, engine=engine) + body.replace("{{", "{").replace("}}", "}")
        pipeline.write_text(text)
        return timed([self.program, "--quiet", "run", str(pipeline)], self.folder)

    def peer(self, name, path):
        if name == "statistics":
            source = self.folder / "reader.c"
            source.write_text(READER)
            subprocess.run(["gcc", "-O2", "-o", str(self.folder / "reader"), str(source)], check=True)
            return [str(self.folder / "reader"), str(path)]
        script = self.folder / f"{name}.py"
        script.write_text(f"PATH = {str(path)!r}\n" + textwrap.dedent(PEERS[name]))
        return [sys.executable, str(script)]

    def compare(self, name, body, path):
        command = self.peer(name, path)
        timed(command, self.folder)
        runs = {"two workers": [], "one worker": [], "peer": []}
        for _ in range(self.options.runs):
            runs["peer"].append(timed(command, self.folder)[:2])
            runs["two workers"].append(self.ours(name, body, path)[:2])
            runs["one worker"].append(self.ours(name, body, path, workers=1)[:2])
        peer = statistics.median(seconds for seconds, _ in runs["peer"])
        for who, each in runs.items():
            seconds = statistics.median(s for s, _ in each)
            peak = max(p for _, p in each)
            speed = self.options.samples / seconds / 1e6
            print(f"{name:12} {who:12} {seconds:7.2f} s {speed:7.1f} M samples/s {peak:7.0f} MiB   {peer / seconds:5.2f} x the peer")

    def memory(self, path):
        seconds, peak, _ = self.ours("memory", STATISTICS + WELCH + PICTURE, path, engine='memory = "32MiB"')
        bins = json.loads((self.folder / "psd.jsonl").read_text())["psd"]
        near = min(range(len(bins)), key=lambda i: abs(bins[i]["frequency"] - TONE))
        around = statistics.median(b["power"] for b in bins[near - 100 : near - 10])
        print(f"memory       {path.stat().st_size / 1e9:.1f} GB in {seconds:.1f} s, peak {peak:.0f} MiB; "
              f"the tone of the last percent is {bins[near]['power'] / around:.0f} times what is around it")

    def first(self, path):
        seconds = statistics.median(self.ours("first", FIRST, path)[0] for _ in range(self.options.runs))
        print(f"first        ten rows of {path.stat().st_size / 1e9:.1f} GB in {seconds:.3f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--folder", default="/tmp/signals")
    parser.add_argument("--samples", type=lambda text: int(text.replace("_", "")), default=100_000_000)
    parser.add_argument("--bytes", type=lambda text: int(text.replace("_", "")), default=10_000_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("tasks", nargs="*")
    options = parser.parse_args()
    bench = Bench(options)
    tasks = options.tasks or ["welch", "statistics", "spectrogram", "iir", "memory", "first"]
    print(f"{platform.platform()}, {os.cpu_count()} cores, {options.samples} samples")
    trace = bench.folder / "trace.f64"
    long = bench.folder / "long.f64"
    bodies = {"welch": WELCH, "statistics": STATISTICS, "spectrogram": SPECTROGRAM, "iir": FILTER}
    for task in tasks:
        if task in bodies:
            make(trace, options.samples, 1)
            bench.compare(task, bodies[task], trace)
        elif task in ("memory", "first"):
            make(long, options.bytes // 8, 2)
            getattr(bench, task)(long)
        else:
            sys.exit(f"there is no task {task}")


if __name__ == "__main__":
    main()
