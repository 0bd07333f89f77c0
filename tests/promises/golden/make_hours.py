"""Makes hours.json: series of the Numenta Anomaly Benchmark brought to hours by Polars.

    python tests/promises/golden/make_hours.py FOLDER        (pip install polars; FOLDER is a copy of the benchmark's data)

For each series, the rows of each hour (how many, their mean, the largest), and the last value before each full hour. Only every
24th row is listed, and how many there are.
"""

import json
import sys
from pathlib import Path

import polars as pl

HERE = Path(__file__).parent


def listed(frame):
    """Every 24th row as a list, the time as seconds since 1970."""
    rows = frame.with_columns(pl.col("hour").dt.epoch("s")).rows()
    return {"rows": len(rows), "some": rows[::24]}


def hours(path):
    series = pl.read_csv(path, try_parse_dates=True).sort("timestamp", maintain_order=True)
    series = series.with_columns(pl.col("value").cast(pl.Float64))
    value = pl.col("value")
    each = series.group_by(pl.col("timestamp").dt.truncate("1h").alias("hour")).agg(value.len().alias("n"), value.mean().alias("mean"), value.max().alias("most"))
    first, last = series["timestamp"][0], series["timestamp"][-1]
    grid = pl.datetime_range(pl.lit(first).dt.offset_by("59m59s").dt.truncate("1h"), pl.lit(last).dt.truncate("1h"), "1h", eager=False)
    grid = pl.select(grid.alias("hour")).with_columns(pl.col("hour").cast(series.schema["timestamp"]))
    held = grid.join_asof(series.rename({"timestamp": "hour"}), on="hour", strategy="backward")
    return {"windows": listed(each.sort("hour")), "held": listed(held)}


def main():
    folder = Path(sys.argv[1])
    files = sorted(path for path in folder.glob("*/*.csv") if path.parent.name != "windowedGaussian")
    golden = {str(path.relative_to(folder)): hours(path) for path in files}
    (HERE / "hours.json").write_text(json.dumps(golden, indent=None).replace('"], ', '"],\n').replace("}}, ", "}},\n") + "\n")
    print({name: (series["windows"]["rows"], series["held"]["rows"]) for name, series in golden.items()})


main()
