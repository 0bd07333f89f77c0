"""Writes time_joins.json: joins over event time as polars (join_asof) and DuckDB (a join by a range) give them; times are seconds.

Run with polars from 1.20 and duckdb from 1.1 on: python make_time_joins.py
"""

import json
import pathlib
import random

import duckdb
import polars as pl


def side(rng, rows, keys, name, distinct, shift):
    """Rows in the order of their time; where it is asked for, no two of them at one time."""
    span = range(4 * rows // 3)
    times = rng.sample(span, rows) if distinct else [rng.choice(span) for _ in range(rows)]
    return pl.DataFrame(
        {
            "time": [3 * t + shift for t in sorted(times)],
            "key": [rng.choice(keys) for _ in range(rows)],
            name: list(range(rows)),
        },
        schema={"time": pl.Int64, "key": pl.String, name: pl.Int64},
    )


def rows_of(frame, columns):
    return [list(row) for row in frame.select(columns).iter_rows()]


def asof(main, table, direction, tolerance, by, exact):
    found = main.join_asof(
        table,
        on="time",
        by="key" if by else None,
        strategy=direction,
        tolerance=tolerance,
        allow_exact_matches=exact,
        coalesce=True,
        suffix="_table",
    )
    found = found.sort(["time", "key", "number"]) if by else found.sort(["time", "number"])
    return {
        "direction": direction,
        "tolerance": tolerance,
        "by": by,
        "exact": exact,
        "rows": rows_of(found, ["number", "other"]),
    }


def interval(main, table, before, after, kind):
    with duckdb.connect() as connection:
        connection.register("main_side", main.to_arrow())
        connection.register("table_side", table.to_arrow())
        query = f"""
            select m.number, t.other from main_side m {kind} join table_side t
            on m.key = t.key and t.time between m.time - {before} and m.time + {after}
            order by m.time, m.key nulls last, m.number, t.other
        """
        found = [list(row) for row in connection.execute(query).fetchall()]
    return {"before": before, "after": after, "kind": kind, "rows": found}


def main():
    rng = random.Random(20250101)
    # polars takes null for a key like others, so there are none. Looking for the nearest it takes the later of two at the same
    # distance, and does not tell which of several at one time: `apart` has neither, as main rows are at multiples of 3.
    mains = side(rng, 120, ["a", "b", "c", "d"], "number", False, 0)
    keys = ["b", "c", "d", "e"]
    tables = {
        "distinct": side(rng, 80, keys, "other", True, 0),
        "equal": side(rng, 90, keys, "other", False, 0),
        "apart": side(rng, 90, keys, "other", True, 1),
    }
    cases = []
    for name, table in tables.items():
        for direction in ["backward", "forward", "nearest"]:
            if (name == "apart") != (direction == "nearest"):
                continue
            for tolerance in [None, 2, 15]:
                for by in [True, False]:
                    exacts = [True] if direction == "nearest" else [True, False]
                    for exact in exacts:
                        case = asof(mains, table, direction, tolerance, by, exact)
                        cases.append({"table": name, **case})
    spans = []
    for name, table in tables.items():
        for before, after in [(5, 5), (0, 0), (12, 0), (0, 30), (9, -3)]:
            for kind in ["inner", "left"]:
                spans.append({"table": name, **interval(mains, table, before, after, kind)})
    sides = {"main": rows_of(mains, ["time", "key", "number"])}
    for name, table in tables.items():
        sides[name] = rows_of(table, ["time", "key", "other"])

    def lines(items):
        return ",\n".join(json.dumps(item, separators=(",", ":")) for item in items)

    path = pathlib.Path(__file__).with_name("time_joins.json")
    path.write_text(
        '{"sides":%s,\n"asof":[\n%s\n],\n"interval":[\n%s\n]}\n'
        % (json.dumps(sides, separators=(",", ":")), lines(cases), lines(spans))
    )


main()
