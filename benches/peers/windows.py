"""Windows of time: one-minute statistics of 1,000 devices beside DuckDB and Polars, and our other windows beside those; and
joins over time, `asof`, of readings with calibrations.

Called by run.py. What the peers do is the fastest way that they have: truncate the time and group. Their own windows over
time are slower by far (Polars' `group_by_dynamic` falls back to memory).
"""

import filecmp

DEVICES = 1000

DUCK = """
import duckdb, sys
data, out, threads = sys.argv[1:4]
db = duckdb.connect(config={"threads": int(threads)})
db.execute(f"copy (select date_trunc('minute', time) as minute, device, avg(x) as mean, stddev_samp(x) as std, max(x) as most from '{data}' group by all order by all) to '{out}' (format parquet)")
"""

POLARS = """
import polars as pl, sys
data, out, threads = sys.argv[1:4]
x = pl.col("x")
minute = pl.col("time").dt.truncate("1m").alias("minute")
pl.scan_parquet(data).group_by(minute, "device").agg(x.mean().alias("mean"), x.std().alias("std"), x.max().alias("most")).sort("minute", "device").sink_parquet(out, engine="streaming")
"""


DUCK_ASOF = """
import duckdb, sys
data, table, out, threads = sys.argv[1:5]
db = duckdb.connect(config={"threads": int(threads)})
db.execute(f"copy (select r.time, r.device, r.x, case when r.time - c.time <= interval 1 minute then c.y end as of_y from '{data}' r asof left join '{table}' c on r.device = c.device and r.time >= c.time order by r.time, r.device) to '{out}' (format parquet)")
"""

POLARS_ASOF = """
import polars as pl, sys
data, table, out, threads = sys.argv[1:5]
one, other = (pl.scan_parquet(path).set_sorted("time") for path in (data, table))
one.join_asof(other.rename({"y": "of_y"}), on="time", by="device", tolerance="1m", check_sortedness=False).sink_parquet(out, engine="streaming")
"""

# Of every minute a device pauses for ten seconds, each at another time: sessions of 50 rows.
SESSION_ROWS, PERIOD = 50, 60


def make_readings(folder, rows):
    """A row a millisecond, of 1,000 devices in turn: in the order of time, up to five seconds out of it, and with pauses; and
    calibrations, a tenth as many."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ("readings", "disorder", "paused", "calibrations")
    inorder, disorder, paused, calibrations = paths = [folder / f"{name}-{rows}.parquet" for name in names]
    devices = pa.array([f"device-{i:04}" for i in range(DEVICES)])
    start, step = np.datetime64("2025-01-01T00:00:00", "us"), np.timedelta64(1000, "us")

    def readings(numbers, value, seed):
        values = np.random.default_rng(seed).normal(50, 5, len(numbers))
        device = pa.DictionaryArray.from_arrays((numbers % DEVICES).astype("int32"), devices).cast(pa.string())
        return {"time": pa.array(start + numbers * step), "device": device, value: pa.array(np.round(values, 3))}

    if not paused.exists():
        numbers = np.arange(rows * PERIOD // SESSION_ROWS)
        seconds = numbers // DEVICES + 7 * (numbers % DEVICES)
        numbers = numbers[seconds % PERIOD < SESSION_ROWS][:rows]
        pq.write_table(pa.table(readings(numbers, "x", 6)), paused, row_group_size=1_000_000)
    if not calibrations.exists():
        # 3 has no factor in common with the number of devices, so each has its turn.
        numbers = np.arange(rows // 10)
        columns = readings(3 * numbers, "y", 8)
        columns["time"] = pa.array(start + 10 * numbers * step)
        pq.write_table(pa.table(columns), calibrations, row_group_size=1_000_000)
    if not disorder.exists():
        rng = np.random.default_rng(5)
        time = np.datetime64("2025-01-01T00:00:00", "us") + np.arange(rows) * np.timedelta64(1000, "us")
        table = pa.table({
            "time": pa.array(time),
            "device": pa.DictionaryArray.from_arrays((np.arange(rows) % DEVICES).astype("int32"), devices).cast(pa.string()),
            "x": pa.array(np.round(rng.normal(50, 5, rows), 3)),
        })
        pq.write_table(table, inorder, row_group_size=1_000_000)
        arrives = np.argsort(np.arange(rows) + rng.integers(0, 5000, rows), kind="stable")
        pq.write_table(table.take(pa.array(arrives)), disorder, row_group_size=1_000_000)
    return paths


def pipeline(options, data, out, window, calls):
    text = f"""
[sources.readings]
type = "file"
path = "{data}"
time = {{ column = "time", lateness = "5s" }}
[transforms.windows]
type = "aggregate"
inputs = ["readings"]
by = ["device"]
window = {{ {window} }}
{calls}
[sinks.out]
type = "file"
inputs = ["windows"]
path = "{out}"
"""
    path = out.with_suffix(".toml")
    path.write_text(text)
    return path


STATISTICS = 'compute.mean = "mean(x)"\ncompute.std = "std(x)"\ncompute.most = "max(x)"'
MINUTES = 'type = "tumbling", size = "1m"'


def check_minutes(ours, theirs):
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    a = pq.read_table(ours)
    for path in theirs:
        b = pq.read_table(path)
        assert a.num_rows == b.num_rows, (path, a.num_rows, b.num_rows)
        assert a["device"].cast("string").combine_chunks() == b["device"].cast("string").combine_chunks(), path
        assert a["window_start"].cast("timestamp[us]").combine_chunks() == b["minute"].cast("timestamp[us]").combine_chunks(), path
        assert a["most"].combine_chunks() == b["most"].combine_chunks(), path
        for name in ("mean", "std"):
            off = pc.max(pc.abs(pc.divide(pc.subtract(a[name], b[name]), a[name]))).as_py()
            assert off <= 1e-9, (path, name, off)


def task(options, tools):
    rows = min(options.rows, 5_000_000)
    inorder, disorder, paused, _ = tools.apart(make_readings, options.folder, rows)

    def ours(name, data, window, calls, workers):
        out = options.folder / f"windows-{name}-{workers}.parquet"
        text = pipeline(options, data, out, window, calls)
        command = [options.program, "run", str(text), "--quiet", "--workers", str(workers)]
        return out, lambda: tools.measure(command)

    threads = options.threads
    minutes, run = ours("minutes", inorder, MINUTES, STATISTICS, threads)
    duck, polars = options.folder / "windows-duckdb.parquet", options.folder / "windows-polars.parquet"
    contestants = {
        "dataflow": run,
        "duckdb": tools.python(DUCK, inorder, duck, threads=threads),
        "polars": tools.python(POLARS, inorder, polars, threads=threads),
    }
    others = {
        "1 worker": (inorder, MINUTES, STATISTICS),
        "5 s of disorder": (disorder, MINUTES, STATISTICS),
        "10 min every 10 s": (inorder, 'type = "sliding", size = "10m", every = "10s"', STATISTICS),
    }
    for name, (data, window, calls) in others.items():
        _, contestants[name] = ours(name.replace(" ", "-"), data, window, calls, 1 if name == "1 worker" else threads)
    results = tools.rounds(contestants, options.runs)
    tools.apart(check_minutes, minutes, [duck, polars])
    assert filecmp.cmp(minutes, options.folder / "windows-1-worker-1.parquet", shallow=False), "workers change the bytes"
    tools.show(f"one minute of {DEVICES:,} devices: mean, std, max; {rows:,} rows", rows, results)

    in_order = 'compute.last = "last(x)"\n' + STATISTICS
    sequences = {
        "session of one row": (inorder, 'type = "session", gap = "500ms"'),
        f"session of {SESSION_ROWS} rows": (paused, 'type = "session", gap = "5s"'),
        "count": (inorder, 'type = "count", size = 60'),
        "rolling": (inorder, 'type = "rolling", size = 60'),
        "minutes with last": (inorder, MINUTES),
    }
    for name, (data, window) in sequences.items():
        plain = name.replace(" ", "-")
        two, run_two = ours(plain, data, window, in_order, threads)
        one, run_one = ours(plain, data, window, in_order, 1)
        results = tools.rounds({"dataflow": run_two, "1 worker": run_one}, options.runs)
        assert filecmp.cmp(one, two, shallow=False), "workers change the bytes"
        tools.show(f"{name}: rows in the order of their time; {rows:,} rows", rows, results)


def asof_pipeline(data, table, out):
    source = 'type = "file"\npath = "{}"\ntime = {{ column = "time", lateness = "5s" }}\n'
    text = f"""
[sources.readings]
{source.format(data)}
[sources.calibrations]
{source.format(table)}
[transforms.calibrated]
type = "asof"
inputs = ["readings"]
table = "calibrations"
on = ["device"]
tolerance = "1m"
prefix = "of_"
[transforms.kept]
type = "select"
inputs = ["calibrated"]
keep = ["time", "device", "x", "of_y"]

[sinks.out]
type = "file"
inputs = ["kept"]
path = "{out}"
"""
    path = out.with_suffix(".toml")
    path.write_text(text)
    return path


def check_asof(ours, theirs):
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    a = pq.read_table(ours)
    assert pc.sum(pc.is_valid(a["of_y"])).as_py() > 0.9 * a.num_rows
    for path in theirs:
        b = pq.read_table(path)
        assert a.num_rows == b.num_rows, (path, a.num_rows, b.num_rows)
        assert a["time"].cast("timestamp[us]").combine_chunks() == b["time"].cast("timestamp[us]").combine_chunks(), path
        assert a["device"].cast("string").combine_chunks() == b["device"].cast("string").combine_chunks(), path
        for name in ("x", "of_y"):
            assert a[name].combine_chunks().equals(b[name].combine_chunks()), (path, name)


def task_asof(options, tools):
    rows = min(options.rows, 5_000_000)
    data, _, _, table = tools.apart(make_readings, options.folder, rows)
    outs = {name: options.folder / f"asof-{name}.parquet" for name in ("2", "1", "duckdb", "polars")}

    def ours(name, workers):
        text = asof_pipeline(data, table, outs[name])
        command = [options.program, "run", str(text), "--quiet", "--workers", str(workers)]
        return lambda: tools.measure(command)

    threads = options.threads
    contestants = {
        "dataflow": ours("2", threads),
        "duckdb": tools.python(DUCK_ASOF, data, table, outs["duckdb"], threads=threads),
        "polars": tools.python(POLARS_ASOF, data, table, outs["polars"], threads=threads),
        "1 worker": ours("1", 1),
    }
    results = tools.rounds(contestants, options.runs)
    tools.apart(check_asof, outs["2"], [outs["duckdb"], outs["polars"]])
    assert filecmp.cmp(outs["2"], outs["1"], shallow=False), "workers change the bytes"
    tools.show(f"asof: {rows:,} readings and {rows // 10:,} calibrations of {DEVICES:,} devices, at most a minute old", rows, results)
