"""Makes windows.csv and windows.json: windows over the same rows by Polars and DuckDB, which hold everything in memory.

    python tests/promises/golden/make_windows.py        (pip install duckdb polars)

The rows are out of order by less than the lateness that the test gives them, so that nothing is late and both must agree.
"""

import json
import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

import duckdb
import polars as pl

HERE = Path(__file__).parent
START = datetime(2025, 3, 29, 20, tzinfo=timezone.utc)  # the clocks of Europe change in the night that follows


def make_rows():
    random.seed(11)
    rows, time = [], START
    for number in range(420):
        time += timedelta(milliseconds=random.choice([500, 1000, 7000, 30_000, 240_000]) + number)
        rows.append((time, random.choice(["a", "b", "c"]), random.randint(-50, 1000), random.randint(0, 2)))
    arrive = sorted(rows, key=lambda row: row[0] + timedelta(seconds=random.uniform(0, 9)))
    with open(HERE / "windows.csv", "w") as out:
        out.write("time,device,x,state\n")
        for time, device, x, state in arrive:
            out.write(f"{time.isoformat(timespec='milliseconds').replace('+00:00', 'Z')},{device},{x},{state}\n")


def nanoseconds(time):
    return round((time - datetime(1970, 1, 1, tzinfo=timezone.utc)) / timedelta(microseconds=1)) * 1000


def listed(frame, columns):
    """Rows as lists, times as nanoseconds since 1970."""
    rows = frame.select(columns).rows()
    return [[nanoseconds(v) if isinstance(v, datetime) else v for v in row] for row in rows]


def main():
    make_rows()
    rows = pl.read_csv(HERE / "windows.csv", try_parse_dates=True).with_columns(pl.col("time").dt.cast_time_unit("us")).sort("time")
    rows = rows.with_columns(pl.col("time").dt.replace_time_zone("UTC") if rows["time"].dtype.time_zone is None else pl.col("time"))
    x = pl.col("x")
    numbers = [pl.len().alias("n"), x.sum().alias("s"), x.max().alias("m"), x.mean().alias("mean")]
    golden = {}

    def dynamic(name, every, period, offset="0s", zone=None):
        frame = rows if zone is None else rows.with_columns(pl.col("time").dt.convert_time_zone(zone))
        # Polars numbers windows from before the first row: start_by="window" is the grid from 1970.
        found = frame.group_by_dynamic("time", every=every, period=period, offset=offset, group_by="device", closed="left", label="left").agg(numbers)
        end = pl.col("time").dt.offset_by(period).alias("end")
        found = found.with_columns(end).with_columns(pl.col("time", "end").dt.convert_time_zone("UTC")).sort("end", "device")
        golden[name] = listed(found, ["time", "end", "device", "n", "s", "m", "mean"])

    dynamic("tumbling", "10m", "10m")
    dynamic("day", "1d", "1d", zone="Europe/Berlin")
    dynamic("hour", "1h", "1h")

    gap = pl.duration(seconds=60)
    session = (pl.col("time").diff().over("device") > gap).fill_null(False).cum_sum().over("device").alias("session")
    span = [pl.col("time").min().alias("start"), pl.col("time").max().alias("end")]
    found = rows.with_columns(session).group_by("device", "session").agg(span + numbers).sort("end", "device")
    golden["session"] = listed(found, ["start", "end", "device", "n", "s", "m", "mean"])

    count = (pl.int_range(pl.len()).over("device") // 25).alias("window")
    found = rows.with_columns(count).group_by("device", "window").agg(span + numbers)
    found = found.with_columns((pl.col("n") < 25).alias("short")).sort("short", "end", "device")
    golden["count"] = listed(found, ["start", "end", "device", "n", "s", "m", "mean"])

    change = (pl.col("state").diff().over("device") != 0).fill_null(False).cum_sum().over("device").alias("run")
    found = rows.with_columns(change).group_by("device", "run").agg(span + numbers).sort("device", "run")
    golden["change"] = listed(found, ["start", "end", "device", "n", "s", "m", "mean"])

    db = duckdb.connect()
    db.execute("set timezone = 'UTC'")
    db.execute(f"create table rows as select * from read_csv('{HERE / 'windows.csv'}')")
    for name, frame in {
        "rolling_rows": "rows between 11 preceding and current row",
        "rolling_time": "range between interval 899999 milliseconds preceding and current row",
    }.items():
        found = db.execute(f"""
            select epoch_ns(min(time) over w) as start, epoch_ns(time) as "end", device,
                count(*) over w as n, (sum(x) over w)::bigint as s, max(x) over w as m, avg(x) over w as mean
            from rows window w as (partition by device order by time {frame}) order by time, device
        """).fetchall()
        golden[name] = [list(row) for row in found]

    # Polars leaves out the windows that began before the first row.
    found = db.execute("""
        select epoch_ns(start) as start, epoch_ns(start + interval 30 minutes) as "end", device,
            count(*) as n, sum(x)::bigint as s, max(x) as m, avg(x) as mean
        from (select *, time_bucket(interval 5 minutes, time) - k * interval 5 minutes as start from rows, range(6) as t(k))
        group by start, device order by start, device
    """).fetchall()
    golden["sliding"] = [list(row) for row in found]

    with open(HERE / "windows.json", "w") as out:
        out.write("{\n" + ",\n".join(f'"{name}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]" for name, rows in golden.items()) + "\n}\n")
    print({name: len(rows) for name, rows in golden.items()})


main()
