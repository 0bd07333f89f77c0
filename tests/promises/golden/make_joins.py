"""Makes left.csv, right.csv and joins.json: what DuckDB joins of two small tables.

    python tests/promises/golden/make_joins.py        (pip install duckdb)

Keys are missing on either side, null, and several times there. Rows are listed in the order of all their columns.
"""

import csv
import json
import random
from pathlib import Path

import duckdb

HERE = Path(__file__).parent


def tables():
    r = random.Random(11)
    key = lambda days: (r.choice([*days, ""]), r.choice(["a", "b", "c", ""]))
    left = [("number", "day", "node", "used")] + [(n, *key("1234"), r.randrange(100)) for n in range(90)]
    right = [("place", "date", "node", "price")] + [(n, *key("2345"), r.choice([1.5, 2.25, ""])) for n in range(40)]
    for name, rows in (("left", left), ("right", right)):
        with open(HERE / f"{name}.csv", "w", newline="") as out:
            csv.writer(out, lineterminator="\n").writerows(rows)


def joined(db, kind, keep):
    """All rows of the right table, or of each of its keys the first or the last; nulls are no key that rows have in common."""
    order = {"all": None, "first": "place", "last": "place desc"}[keep]
    right = "r" if order is None else f"(select * from r qualify row_number() over (partition by day, node order by {order}) = 1 or day is null or node is null)"
    # A key of the full join is the one that is there.
    rows = db.execute(f"""
        select l.number, coalesce(l.day, r.day) as day, coalesce(l.node, r.node) as node, l.used, r.place, r.price
        from l {kind} join {right} r on l.day = r.day and l.node = r.node
        order by all nulls last""")
    return rows.fetchall()


def main():
    tables()
    db = duckdb.connect()
    csv_of = lambda name, types: f"read_csv('{HERE / name}', header = true, columns = {types})"
    db.execute(f"create table l as select * from {csv_of('left.csv', {'number': 'bigint', 'day': 'bigint', 'node': 'varchar', 'used': 'bigint'})}")
    right = csv_of("right.csv", {"place": "bigint", "date": "bigint", "node": "varchar", "price": "double"})
    db.execute(f"create table r as select place, date as day, node, price from {right}")
    golden = {f"{kind}_{keep}": joined(db, kind, keep) for kind in ("inner", "left", "full") for keep in ("all", "first", "last")}
    with open(HERE / "joins.json", "w") as out:
        out.write("{\n" + ",\n".join(f'"{name}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]" for name, rows in golden.items()) + "\n}\n")
    print({name: len(rows) for name, rows in golden.items()})


main()
