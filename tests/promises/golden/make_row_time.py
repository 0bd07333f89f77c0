"""Makes row_time.json: values of the row before, differences, rates, duplicates and grids of windows.csv by Polars and pandas.

    python tests/promises/golden/make_row_time.py        (pip install pandas polars)

The rows are those of make_windows.py: out of order by less than the lateness that the test gives them, so that nothing is late.
"""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import polars as pl

HERE = Path(__file__).parent
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def nanoseconds(time):
    return round((time - EPOCH) / timedelta(microseconds=1)) * 1000


def listed(frame, columns):
    """Rows as lists, times as nanoseconds since 1970."""
    rows = frame.select(columns).rows()
    return [[nanoseconds(v) if isinstance(v, datetime) else v for v in row] for row in rows]


def before(rows):
    """Shift, diff and the derivative, with and without resets of a counter, per device."""
    x, time = pl.col("x"), pl.col("time")
    change = x.diff().over("device")
    seconds = time.diff().over("device").dt.total_microseconds() / 1e6
    counted = pl.when(change < 0).then(x).otherwise(change)
    found = rows.with_columns(
        x.shift(1).over("device").alias("lag"),
        pl.col("state").shift(3).over("device").alias("lag3"),
        change.alias("delta"),
        (change / seconds * 60).alias("rate"),
        (counted / seconds).alias("counter"),
    )
    return listed(found, ["time", "device", "lag", "lag3", "delta", "rate", "counter"])


def last(rows, within):
    """Rows of a device and state that none of the same follows within a span: the next one of them is further off."""
    following = pl.col("time").shift(-1).over("device", "state") - pl.col("time")
    found = rows.filter(following.is_null() | (following > within))
    return listed(found, ["time", "device", "state", "x"])


def first(rows, within):
    """Rows of a device and state, each the first since one that stayed further than a span ago: pandas, group by group."""
    stayed = []
    for _, group in rows.to_pandas().groupby(["device", "state"]):
        times, at = group["time"].reset_index(drop=True), 0
        while at < len(times):
            stayed.append(group.iloc[at])
            at = int(times.searchsorted(times[at] + pd.Timedelta(within), side="right"))
    found = pl.DataFrame(pd.DataFrame(stayed)).sort("time", "device")
    return listed(found.with_columns(pl.col("time").cast(rows.schema["time"])), ["time", "device", "state", "x"])


def grid(rows, every):
    """Each device on a grid, by pandas: forward filled, and along lines of time."""
    listed = []
    for device, group in rows.to_pandas().groupby("device"):
        x = group.set_index("time")["x"].astype("float64")
        x = x[~x.index.duplicated(keep="last")]
        instants = pd.date_range(x.index[0].ceil(every), x.index[-1].floor(every), freq=every)
        line = x.reindex(x.index.union(instants)).interpolate(method="time")
        held = x.reindex(instants, method="ffill")
        there = x.reindex(instants)
        for instant in instants:
            exact = None if pd.isna(there[instant]) else there[instant]
            listed.append([instant.as_unit("ns").value, device, held[instant], line[instant], exact])
    return sorted(listed, key=lambda row: (row[0], row[1]))


def main():
    rows = pl.read_csv(HERE / "windows.csv", try_parse_dates=True).with_columns(pl.col("time").dt.cast_time_unit("us"))
    rows = rows.sort("time", "device", maintain_order=True)
    golden = {
        "before": before(rows),
        "last": last(rows, timedelta(seconds=90)),
        "first": first(rows, timedelta(seconds=90)),
        "grid": grid(rows, "47s"),
    }
    with open(HERE / "row_time.json", "w") as out:
        out.write("{\n" + ",\n".join(f'"{name}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]" for name, rows in golden.items()) + "\n}\n")
    print({name: len(rows) for name, rows in golden.items()})


main()
