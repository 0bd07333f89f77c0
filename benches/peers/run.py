"""Runs `dataflow` beside DuckDB and Polars: the same file, the same threads, warm cache, one process a run.

    python benches/peers/run.py --program target/release/dataflow [--folder DIR] [--rows 20_000_000] [--runs 5] [TASK ...]

Needs: pip install duckdb polars pyarrow numpy. The data are made once, seeded, in --folder. Every run is a process of its
own; the time is its wall time, the memory its peak resident set as the kernel counts it, beside the time that its
threads were on a processor. Runs of the programs alternate, so
that a busy machine is busy for all of them. The script fails if the answers differ: counts and extremes must be equal,
sums and means within 1e-9 of each other (ours are exact, theirs depend on the order of rows).
"""

import argparse
import filecmp
import json
import math
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import windows

METRICS = [f"m{i}" for i in range(8)]
KEYS = ["day", "namespace", "node"]


def make_usage(path, rows):
    """50 columns: three keys (about 165,000 groups), eight metrics, six labels, and 33 that nobody asks for."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.exists():
        return
    rng = np.random.default_rng(7)
    namespaces = pa.array([f"namespace-{i:03}" for i in range(53)])
    nodes = pa.array([f"node-{i:03}.cluster.example" for i in range(101)])
    writer = None
    partial = path.with_suffix(".partial")
    for start in range(0, rows, 1_000_000):
        n = min(1_000_000, rows - start)
        columns = {
            "day": pa.array((rng.integers(0, 31, n) + 20_089).astype("int32"), pa.int32()).cast(pa.date32()),
            "namespace": pa.DictionaryArray.from_arrays(rng.integers(0, 53, n).astype("int32"), namespaces).cast(pa.string()),
            "node": pa.DictionaryArray.from_arrays(rng.integers(0, 101, n).astype("int32"), nodes).cast(pa.string()),
        }
        for i, name in enumerate(METRICS):
            columns[name] = pa.array(np.round(rng.gamma(2.0, 50.0 * (i + 1), n), 6))
        for i in range(6):
            columns[f"label{i}"] = pa.DictionaryArray.from_arrays(rng.integers(0, 20, n).astype("int32"), pa.array([f"value-{j}" for j in range(20)])).cast(pa.string())
        for i in range(33):
            columns[f"other{i:02}"] = pa.array(rng.integers(0, 1000, n))
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(partial, table.schema, compression="snappy")
        writer.write_table(table, row_group_size=1_000_000)
    writer.close()
    partial.rename(path)


def make_describe(folder, rows):
    """Eight columns: six numbers that an instrument would write, two texts; as Parquet, CSV and JSON lines."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    parquet = folder / f"describe-{rows}.parquet"
    text_rows = min(rows, 2_000_000)
    csv, jsonl = folder / f"describe-{text_rows}.csv", folder / f"describe-{text_rows}.jsonl"
    if not parquet.exists():
        rng = np.random.default_rng(11)
        table = pa.table({
            "cycle": pa.array(np.arange(rows) // 500),
            "voltage": pa.array(np.round(3.2 + rng.random(rows), 4)),
            "current": pa.array(np.round(rng.normal(0, 2, rows), 3)),
            "temperature": pa.array(np.round(25 + rng.normal(0, 3, rows), 2)),
            "capacity": pa.array(np.round(rng.random(rows) * 3, 4)),
            "step": pa.array(rng.integers(0, 20, rows)),
            "cell": pa.DictionaryArray.from_arrays(rng.integers(0, 96, rows).astype("int32"), pa.array([f"cell-{i:02}" for i in range(96)])).cast(pa.string()),
            "state": pa.DictionaryArray.from_arrays(rng.integers(0, 3, rows).astype("int32"), pa.array(["charging", "discharging", "resting"])).cast(pa.string()),
        })
        pq.write_table(table, parquet, row_group_size=1_000_000)
        text = table.slice(0, text_rows)
        pc.write_csv(text, csv)
        with open(jsonl, "w") as out:
            for batch in text.to_batches(max_chunksize=100_000):
                columns = [column.to_pylist() for column in batch.columns]
                for row in zip(*columns):
                    out.write(json.dumps(dict(zip(batch.schema.names, row))) + "\n")
    return parquet, csv, jsonl


# What runs in a process of its own: name, command, and how its answer is read.

def dataflow_group(program, data, out, threads, memory="256MiB"):
    calls = "\n".join(f'compute.{m}_{f} = "{f}({m})"' for m in METRICS for f in ("sum", "max", "mean"))
    text = f"""
[sources.usage]
type = "file"
path = "{data}"
[transforms.groups]
type = "aggregate"
inputs = ["usage"]
by = ["day", "namespace", "node"]
{calls}
[sinks.out]
type = "file"
inputs = ["groups"]
path = "{out}"
"""
    pipeline = out.with_suffix(".toml")
    pipeline.write_text(text)
    return [program, "run", str(pipeline), "--quiet", "--workers", str(threads), "--memory", memory]


def dataflow_decode(program, data, out, threads):
    keep = ", ".join(f'"{c}"' for c in KEYS + METRICS)
    text = f"""
[sources.usage]
type = "file"
path = "{data}"
[transforms.kept]
type = "select"
inputs = ["usage"]
keep = [{keep}]
[sinks.out]
type = "null"
inputs = ["kept"]
"""
    pipeline = out.with_suffix(".toml")
    pipeline.write_text(text)
    return [program, "run", str(pipeline), "--quiet", "--workers", str(threads)]


DUCK_GROUP = """
import duckdb, sys
data, out, threads = sys.argv[1:4]
db = duckdb.connect(config={{"threads": int(threads)}})
db.execute(f"copy (select day, namespace, node, {calls} from '{{data}}' group by day, namespace, node order by day, namespace, node) to '{{out}}' (format parquet)")
"""

POLARS_GROUP = """
import polars as pl, sys
data, out, threads = sys.argv[1:4]
aggregates = [e for m in {metrics} for e in (pl.col(m).sum().alias(m + "_sum"), pl.col(m).max().alias(m + "_max"), pl.col(m).mean().alias(m + "_mean"))]
pl.scan_parquet(data).group_by("day", "namespace", "node").agg(aggregates).sort("day", "namespace", "node").sink_parquet(out, engine="streaming")
"""

DUCK_DESCRIBE = """
import duckdb, json, sys
data, out, threads = sys.argv[1:4]
db = duckdb.connect(config={{"threads": int(threads)}})
read = {read}
numbers = {numbers}
one = lambda c: f'count("{{c}}") as "{{c}}|count", min("{{c}}") as "{{c}}|min", max("{{c}}") as "{{c}}|max", avg("{{c}}") as "{{c}}|mean", stddev_samp("{{c}}") as "{{c}}|std", quantile_cont("{{c}}", [0.25, 0.5, 0.75]) as "{{c}}|q"'
text = lambda c: f'count("{{c}}") as "{{c}}|count", min("{{c}}") as "{{c}}|min", max("{{c}}") as "{{c}}|max"'
calls = ", ".join([one(c) for c in numbers] + [text(c) for c in ("cell", "state")])
result = db.execute(f"select {{calls}} from {{read}}")
names = [column[0] for column in result.description]
json.dump(dict(zip(names, result.fetchone())), open(out, "w"), default=float)
"""

POLARS_DESCRIBE = """
import polars as pl, json, sys
data, out, threads = sys.argv[1:4]
scan = {scan}
numbers = {numbers}
calls = []
for c in numbers:
    x = pl.col(c)
    calls += [x.count().alias(c + "|count"), x.min().alias(c + "|min"), x.max().alias(c + "|max"), x.mean().alias(c + "|mean"), x.std().alias(c + "|std")]
    calls += [x.quantile(q, "linear").alias(f"{{c}}|q{{q}}") for q in (0.25, 0.5, 0.75)]
for c in ("cell", "state"):
    x = pl.col(c)
    calls += [x.count().alias(c + "|count"), x.min().alias(c + "|min"), x.max().alias(c + "|max")]
row = scan.select(calls).collect(engine="streaming").row(0, named=True)
json.dump(row, open(out, "w"))
"""

NUMBERS = ["cycle", "voltage", "current", "temperature", "capacity", "step"]


def apart(function, *arguments):
    """Calls a function in a process of its own: a program that is started counts the memory of whoever started it as its
    own peak, so what makes and checks data must not swell this process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def measure(command, stdout=None, environment=None):
    """Wall seconds, processor seconds and peak resident bytes of one process."""
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=stdout or subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        sys.exit(f"failed: {command}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def rounds(contestants, runs):
    """Alternates the contestants; returns for each the medians of what was measured."""
    seen = {name: [] for name in contestants}
    for turn in range(runs + 1):
        for name, run in contestants.items():
            result = run()
            if turn > 0:  # the first round warms the cache
                seen[name].append(result)
    return {name: tuple(map(statistics.median, zip(*r))) for name, r in seen.items()}


def show(title, rows, results):
    ours = results["dataflow"]
    print(f"\n{title}")
    print(f"  {'':22}{'seconds':>9}{'CPU s':>8}{'M rows/s':>10}{'peak MiB':>10}{'time / ours':>13}{'memory / ours':>15}")
    for name, (seconds, cpu, peak) in results.items():
        print(f"  {name:22}{seconds:9.3f}{cpu:8.2f}{rows / seconds / 1e6:10.2f}{peak / 2**20:10.1f}{seconds / ours[0]:13.2f}{peak / ours[2]:15.2f}")


def close(a, b, tolerance=1e-9):
    if a is None or b is None:
        return a is b
    return a == b or abs(a - b) <= tolerance * max(abs(a), abs(b)) or (math.isnan(a) and math.isnan(b))


def check_groups(files):
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    tables = {name: pq.read_table(path) for name, path in files.items()}
    ours = tables.pop("dataflow")
    for name, theirs in tables.items():
        assert ours.num_rows == theirs.num_rows, (name, ours.num_rows, theirs.num_rows)
        for key in KEYS:
            assert ours[key].cast("string").combine_chunks() == theirs[key].cast("string").combine_chunks(), (name, key)
        for metric in METRICS:
            assert ours[f"{metric}_max"].combine_chunks().equals(theirs[f"{metric}_max"].combine_chunks()), (name, metric)
            for f in ("sum", "mean"):
                a, b = ours[f"{metric}_{f}"].combine_chunks(), theirs[f"{metric}_{f}"].combine_chunks()
                off = pc.max(pc.abs(pc.divide(pc.subtract(a, b), a))).as_py()
                assert off <= 1e-9, (name, metric, f, off)


def check_describe(ours_path, theirs, who):
    ours = {row["column"]: row for row in map(json.loads, open(ours_path))}
    for column in NUMBERS:
        row = ours[column]
        get = lambda k: theirs[f"{column}|{k}"]
        quartiles = get("q") if f"{column}|q" in theirs else [get(f"q{q}") for q in (0.25, 0.5, 0.75)]
        pairs = [(row[k], get(k)) for k in ("count", "min", "max", "mean", "std")]
        pairs += list(zip((row["q25"], row["median"], row["q75"]), quartiles))
        for a, b in pairs:
            assert close(float(a), float(b)), (who, column, a, b)


def python(code, *arguments, threads):
    environment = {**os.environ, "POLARS_MAX_THREADS": str(threads)}
    return lambda: measure([sys.executable, "-c", code, *map(str, arguments), str(threads)], environment=environment)


def task_group(options):
    data = options.folder / f"usage-{options.rows}.parquet"
    apart(make_usage, data, options.rows)
    outs = {name: options.folder / f"group-{name}.parquet" for name in ("dataflow", "duckdb", "polars")}
    calls = ", ".join(f"{f}({m}) as {m}_{g}" for m in METRICS for f, g in (("sum", "sum"), ("max", "max"), ("avg", "mean")))
    duck, polars = DUCK_GROUP.format(calls=calls), POLARS_GROUP.format(metrics=METRICS)
    threads = options.threads
    contestants = {
        "dataflow": lambda: measure(dataflow_group(options.program, data, outs["dataflow"], threads)),
        "duckdb": python(duck, data, outs["duckdb"], threads=threads),
        "polars": python(polars, data, outs["polars"], threads=threads),
        "dataflow, 1 worker": lambda: measure(dataflow_group(options.program, data, options.folder / "group-one.parquet", 1)),
        "dataflow, decoding": lambda: measure(dataflow_decode(options.program, data, options.folder / "decode.x", threads)),
    }
    results = rounds(contestants, options.runs)
    apart(check_groups, outs)
    assert filecmp.cmp(outs["dataflow"], options.folder / "group-one.parquet", shallow=False), "workers change the bytes"
    show(f"group by day, namespace, node: 8 metrics x sum, max, mean; {options.rows:,} rows, 50 columns", options.rows, results)


def task_describe(options, which):
    rows = min(options.rows, 5_000_000)
    parquet, csv, jsonl = apart(make_describe, options.folder, rows)
    data = {"parquet": parquet, "csv": csv, "jsonl": jsonl}[which]
    count = rows if which == "parquet" else min(rows, 2_000_000)
    read = {"parquet": "f\"'{data}'\"", "csv": "f\"read_csv('{data}')\"", "jsonl": "f\"read_json('{data}', format='newline_delimited')\""}[which]
    scan = {"parquet": "pl.scan_parquet(data)", "csv": "pl.scan_csv(data)", "jsonl": "pl.scan_ndjson(data)"}[which]
    ours, duck, polars = (options.folder / f"describe-{which}-{name}.json" for name in ("dataflow", "duckdb", "polars"))
    threads = options.threads

    def run_ours(workers, to):
        with open(to, "w") as out:
            return measure([options.program, "describe", str(data), "--format", "jsonl", "--quiet", "--workers", str(workers)], stdout=out)

    contestants = {
        "dataflow": lambda: run_ours(threads, ours),
        "duckdb": python(DUCK_DESCRIBE.format(read=read, numbers=NUMBERS), data, duck, threads=threads),
        "polars": python(POLARS_DESCRIBE.format(scan=scan, numbers=NUMBERS), data, polars, threads=threads),
        "dataflow, 1 worker": lambda: run_ours(1, options.folder / "describe-one.json"),
    }
    results = rounds(contestants, options.runs)
    check_describe(ours, json.load(open(duck)), "duckdb")
    check_describe(ours, json.load(open(polars)), "polars")
    assert filecmp.cmp(ours, options.folder / "describe-one.json", shallow=False), "workers change the bytes"
    show(f"describe, {which}: {count:,} rows, 8 columns", count, results)


TASKS = {
    "group": task_group,
    "describe": lambda options: task_describe(options, "parquet"),
    "describe-csv": lambda options: task_describe(options, "csv"),
    "describe-jsonl": lambda options: task_describe(options, "jsonl"),
    "windows": lambda options: windows.task(options, sys.modules[__name__]),
    "asof": lambda options: windows.task_asof(options, sys.modules[__name__]),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--folder", type=Path, default=Path("target/peers"))
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=", ".join(TASKS))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.processor())
    print(f"{cpu}, {os.cpu_count()} cores, {options.threads} threads, median of {options.runs} runs")
    for task in options.tasks or TASKS:
        TASKS[task](options)


if __name__ == "__main__":
    main()
