"""Writes order.json: quantiles and histograms as numpy gives them, numbers as the hexadecimal of their 64 bits.

Run with any numpy from 1.22 on: python make_order.py
"""

import json
import pathlib
import struct

import numpy as np

SHARES = [0.0, 0.01, 0.1, 0.25, 1 / 3, 0.49999, 0.5, 0.7, 0.75, 0.9, 0.99, 0.999, 1.0]


def bits(values, kind="float64"):
    code = "<q" if kind == "int64" else "<d"
    return [struct.pack(code, v)[::-1].hex() for v in values.tolist()]


def quantiles(name, values):
    values = np.asarray(values)
    found = np.quantile(values, SHARES)
    # One zero: the accumulators make -0.0 the same value as 0.0.
    found = found + 0.0
    kind = str(values.dtype)
    return {
        "name": name,
        "type": kind,
        "values": bits(values, kind),
        "shares": bits(np.array(SHARES)),
        "expected": bits(found),
    }


def histogram(name, values, bins, span):
    inside, edges = np.histogram(values, bins=bins, range=span)
    return {
        "name": name,
        "values": bits(values),
        "bins": bins,
        "range": bits(np.array(span)),
        "edges": bits(edges),
        "counts": inside.tolist(),
        "below": int((values < span[0]).sum()),
        "above": int((values > span[1]).sum()),
    }


def main():
    rng = np.random.default_rng(20250101)
    cases = []
    for n in [1, 2, 3, 4, 5, 10, 11, 64, 65, 101, 150]:
        cases.append(quantiles(f"normal {n}", rng.normal(20.0, 5.0, n)))
        cases.append(quantiles(f"two decimals {n}", np.round(rng.normal(0.0, 1.0, n), 2)))
    cases.append(quantiles("lognormal", rng.lognormal(0.0, 8.0, 120)))
    cases.append(quantiles("tiny", rng.normal(0.0, 1.0, 50) * 1e-310))
    cases.append(quantiles("huge", rng.normal(0.0, 1.0, 50) * 1e300))
    cases.append(quantiles("thirds", np.arange(31) / 3.0))
    cases.append(quantiles("constant", np.full(40, 0.1)))
    cases.append(quantiles("whole", rng.integers(-1000, 1000, 90)))
    cases.append(quantiles("large whole", rng.integers(-(2**52), 2**52, 90)))
    histograms = [
        histogram("normal", rng.normal(0.0, 1.0, 200), 20, (-2.0, 2.0)),
        histogram("on the edges", np.round(rng.uniform(-0.1, 1.1, 200), 1), 10, (0.0, 1.0)),
        histogram("thirds", np.arange(-5, 40) / 3.0, 31, (0.0, 31 / 3.0)),
        histogram("off", rng.uniform(1e6, 1e6 + 1, 150), 7, (1e6 + 0.1, 1e6 + 0.9)),
    ]
    text = ",\n".join(json.dumps(case) for case in cases)
    more = ",\n".join(json.dumps(case) for case in histograms)
    path = pathlib.Path(__file__).with_name("order.json")
    path.write_text('{"quantiles": [\n%s\n],\n"histograms": [\n%s\n]}\n' % (text, more))


main()
