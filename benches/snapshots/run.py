"""What snapshots cost: `dataflow` with a snapshot each second beside itself without any.

    python3 benches/snapshots/run.py --program target/release/dataflow [--folder DIR] [--rows 40_000_000] [--runs 5] [TASK ...]

Needs nothing but Python and the program, which makes the data. Tasks:

  cost      processor and wall time of a group-by, a window and a row-by-row transform, with and without snapshots,
            alternating; and how much state changed a second, by the bytes that were written
  recovery  a gigabyte of state: how long a run takes from its start until it has taken up what was there
  pause     a million keys: the longest time in which no row came out, with and without snapshots
  memory    peak resident set with snapshots, over an input and one that is many times as long

Every run is a process of its own; a state folder is new for each, on the disk that --folder is on.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

MAKE = """
[sources.made]
type = "generate"
rows = {rows}
columns.n = {{ kind = "sequence" }}
columns.at = {{ kind = "time", every = "1ms" }}
columns.key = {{ kind = "uniform", low = 0, high = {last}, whole = true }}
columns.x = {{ kind = "normal", mean = 20.0 }}
columns.y = {{ kind = "uniform", high = 9.0 }}
[sinks.out]
type = "file"
inputs = ["made"]
path = "{path}"
"""

GROUPS = """
[transforms.work]
type = "aggregate"
inputs = ["rows"]
by = ["key"]
compute.sum = "sum(x)"
compute.mean = "mean(y)"
compute.largest = "max(x)"
"""

WINDOWS = """
[transforms.work]
type = "aggregate"
inputs = ["rows"]
by = ["key"]
window = { type = "tumbling", size = "1m" }
compute.sum = "sum(x)"
compute.mean = "mean(y)"
"""

LAST = """
[transforms.work]
type = "lag"
inputs = ["rows"]
by = ["key"]
columns = ["x"]
"""


def pipeline(options, name, data, transform, *, state=None, every="1s", sink=None, timed=True, workers=None, memory="1GiB"):
    """Writes a pipeline file; returns it."""
    kept = f'[state]\ndir = "{state}"\nevery = "{every}"\n' if state else ""
    at = 'time = { column = "at" }\n' if timed else ""
    sink = sink or f'[sinks.out]\ntype = "file"\ninputs = ["work"]\npath = "{options.folder / name}.parquet"\n'
    text = (
        f'name = "{name}"\n{kept}[engine]\nmemory = "{memory}"\nworkers = {workers or options.threads}\n'
        f'[sources.rows]\ntype = "file"\npath = "{data}"\n{at}{transform}{sink}'
    )
    file = options.folder / f"{name}.toml"
    file.write_text(text)
    return file


def data(options, rows, keys):
    path = options.folder / f"rows-{rows}-{keys}.parquet"
    if not path.exists():
        file = options.folder / "make.toml"
        file.write_text(MAKE.format(rows=rows, last=keys - 1, path=path))
        measure(options, file)
    return path


def again(options, path, times):
    """A folder in which the same file is so many times, without taking room for it."""
    folder = path.with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for i in range(times):
        os.link(path, folder / f"{i:03}.parquet")
    return folder


def measure(options, file):
    """Wall seconds, processor seconds and peak resident bytes of a run."""
    started = time.perf_counter()
    child = subprocess.Popen([options.program, "run", str(file), "--quiet"], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        sys.exit(f"failed: {file}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def fresh(options):
    state = options.folder / "state"
    shutil.rmtree(state, ignore_errors=True)
    return state


def written(options, file):
    """How many snapshots a run makes, and how many bytes it writes for them."""
    fresh(options)
    child = subprocess.run(logged(options, file), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    told = [json.loads(line) for line in child.stderr.splitlines() if "a snapshot is durable" in line]
    return len(told), sum(line["fields"]["bytes"] for line in told)


def logged(options, file):
    return [options.program, "run", str(file), "--quiet", "--log-level", "dataflow_engine=debug", "--log-format", "json"]


def task_cost(options):
    print("\ncost: a snapshot each second")
    print(f"  {'':34}{'seconds':>9}{'with':>9}{'CPU s':>9}{'with':>9}{'CPU more':>10}{'MB/s written':>14}{'snapshots':>11}")
    cases = [
        ("groups, 10,000 keys", 10_000, GROUPS, 40),
        ("groups, 100,000 keys", 100_000, GROUPS, 20),
        ("groups, 1,000,000 keys", 1_000_000, GROUPS, 8),
        ("windows of a minute, 1,000 keys", 1_000, WINDOWS, 0),
        ("lag, 10,000 keys", 10_000, LAST, 0),
        ("lag, 100,000 keys", 100_000, LAST, 0),
    ]
    for title, keys, transform, times in cases:
        timed = times == 0
        rows = data(options, options.rows, keys)
        if times:
            # Without event time the same rows may come again and again; a run is to last for some snapshots.
            rows = again(options, rows, times)
        plain = pipeline(options, "plain", rows, transform, timed=timed)
        kept = pipeline(options, "kept", rows, transform, timed=timed, state=options.folder / "state")
        seen = {"plain": [], "kept": []}
        for turn in range(options.runs + 1):
            for name, file in (("plain", plain), ("kept", kept)):
                fresh(options)
                result = measure(options, file)
                if turn > 0:
                    seen[name].append(result)
        before, now = (tuple(map(statistics.median, zip(*seen[name]))) for name in ("plain", "kept"))
        count, size = written(options, kept)
        rate = size / 1e6 / now[0]
        print(f"  {title:34}{before[0]:9.2f}{now[0]:9.2f}{before[1]:9.2f}{now[1]:9.2f}{now[1] / before[1] - 1:10.1%}{rate:14.1f}{count:11}", flush=True)


def task_recovery(options):
    keys = options.keys
    rows = data(options, 2 * keys, keys)
    state = fresh(options)
    wide = GROUPS + "\n".join(f'compute.s{i} = "sum(x * {i}.5)"' for i in range(8)) + "\n"
    file = pipeline(options, "recovery", rows, wide, state=state, timed=False, memory="16GiB", every="1h")
    measure(options, file)
    shown = json.loads(subprocess.check_output([options.program, "state", "show", str(file), "--format", "json"], text=True))
    size = sum(f.stat().st_size for f in state.rglob("*") if f.is_file())
    started = time.perf_counter()
    child = subprocess.Popen(logged(options, file), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    taken = None
    for line in child.stderr:
        if "has taken up" in line:
            taken = time.perf_counter() - started
    child.wait()
    print(f"\nrecovery: {keys:,} keys, {size / 1e9:.2f} GB in the folder, snapshot {shown.get('snapshot')}")
    print(f"  taken up in {taken:.2f} s" if taken else "  the program did not say when it had taken it up")


def longest_silence(options, file):
    """The longest time between two pieces of output, from the first to the last, and the time in all."""
    child = subprocess.Popen([options.program, "run", str(file), "--quiet"], stdout=subprocess.PIPE)
    longest, before, first, size = 0.0, None, None, 0
    while True:
        piece = os.read(child.stdout.fileno(), 1 << 20)
        now = time.perf_counter()
        if not piece:
            break
        size += len(piece)
        if before is not None:
            longest = max(longest, now - before)
        first = first or now
        before = now
    if child.wait():
        sys.exit(f"failed: {file}")
    return longest, now - first, size


def task_pause(options):
    print("\npause: rows of 1,000,000 keys, the longest silence of the output")
    rows = data(options, options.rows // 4, 1_000_000)
    sink = '[sinks.out]\ntype = "console"\ninputs = ["work"]\nformat = "csv"\n'
    for title, state in (("without", None), ("with a snapshot each second", options.folder / "state")):
        file = pipeline(options, "pause", rows, LAST, state=state, sink=sink)
        silences = []
        for _ in range(options.runs):
            fresh(options)
            silences.append(longest_silence(options, file))
        longest = [f"{1000 * silence:.0f}" for silence, _, _ in silences]
        seconds = statistics.median(seconds for _, seconds, _ in silences)
        print(f"  {title:34}{' '.join(longest)} ms, of {seconds:.1f} s", flush=True)


def task_memory(options):
    print("\nmemory: a snapshot each 200 ms, 10,000 keys, peak MiB")
    lengths = (options.rows // 50, options.rows // 5, options.rows)
    print(f"  {'rows':34}{''.join(f'{rows:>14,}' for rows in lengths)}")
    for title, transform, timed in (("groups", GROUPS, False), ("windows", WINDOWS, True), ("lag", LAST, True)):
        for how, state in (("without", None), ("with", options.folder / "state")):
            peaks = []
            for rows in lengths:
                file = pipeline(options, "memory", data(options, rows, 10_000), transform, timed=timed, state=state, every="200ms", memory="256MiB")
                fresh(options)
                peaks.append(measure(options, file)[2] / 1024)
            print(f"  {f'{title}, {how}':34}{''.join(f'{peak:14.0f}' for peak in peaks)}", flush=True)


TASKS = {"cost": task_cost, "recovery": task_recovery, "pause": task_pause, "memory": task_memory}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--folder", type=Path, default=Path("target/snapshots"))
    parser.add_argument("--rows", type=int, default=40_000_000)
    parser.add_argument("--keys", type=int, default=8_000_000, help="of `recovery`")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=", ".join(TASKS))
    options = parser.parse_args()
    options.folder = options.folder.absolute()
    options.folder.mkdir(parents=True, exist_ok=True)
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.processor())
    print(f"{cpu}, {os.cpu_count()} cores, {options.threads} threads, median of {options.runs} runs")
    for task in options.tasks or TASKS:
        TASKS[task](options)


if __name__ == "__main__":
    main()
