"""Writes sums.json: sums, moments, lines and integrals of exact rationals, rounded once; doubles as the hex of their 64 bits.

Run with any Python from 3.9 on: python make_sums.py
If numpy and scipy are there, the tame cases are compared with them too.
"""

import json
import math
import pathlib
import random
import struct
import sys
from fractions import Fraction as F

MOST = sys.float_info.max
TINY = 5e-324


def bits(x):
    return struct.pack(">d", x).hex()


def rounded(q):
    try:
        return q.numerator / q.denominator
    except OverflowError:
        return math.inf if q > 0 else -math.inf


def root(q):
    """The double nearest to the square root: 70 bits of it, and one more that says whether it goes on."""
    a, b = q.numerator, q.denominator
    k = max(0, 70 - (a.bit_length() - b.bit_length()) // 2)
    r = math.isqrt((a << 2 * k) // b)
    goes_on = r * r * b != a << 2 * k
    return rounded(F(2 * r + goes_on, 2 << k))


def signed_root(sign, q):
    size = root(q) if q else 0.0
    return size if sign >= 0 else -size


def summary(xs):
    x = [F(v) for v in xs]
    n, s = len(x), sum(F(v) for v in xs)
    m = s / n
    m2, m3, m4 = (sum((v - m) ** k for v in x) / n for k in (2, 3, 4))
    out = {"sum(x)": rounded(s), "mean(x)": rounded(m)}
    for ddof in (0, 1):
        if n > ddof:
            v = m2 * n / (n - ddof)
            out[f"variance(x, ddof => {ddof})"] = rounded(v)
            out[f"std(x, ddof => {ddof})"] = root(v) if v else 0.0
    if n > 1:
        flat = m2 == 0
        out["skewness(x)"] = math.nan if flat else signed_root(m3, m3 * m3 / m2**3)
        out["kurtosis(x)"] = math.nan if flat else rounded(m4 / (m2 * m2) - 3)
    return out


def pairs(xs, ys):
    x, y = [F(v) for v in xs], [F(v) for v in ys]
    n = len(x)
    mx, my = sum(x) / n, sum(y) / n
    xx = sum((a - mx) ** 2 for a in x)
    yy = sum((b - my) ** 2 for b in y)
    xy = sum((a - mx) * (b - my) for a, b in zip(x, y))
    area = F(sum((y[i] + y[i + 1]) * (x[i + 1] - x[i]) for i in range(n - 1))) / 2
    weight = sum(y)
    out = {
        "integral(y, x)": rounded(area),
        "weighted_mean(x, y)": rounded(sum(a * b for a, b in zip(x, y)) / weight) if weight else math.nan,
    }
    if n > 1:
        out["covariance(x, y, ddof => 0)"] = rounded(xy / n)
        out["covariance(x, y)"] = rounded(xy / (n - 1))
        flat = xx * yy == 0
        out["correlation(x, y)"] = math.nan if flat else signed_root(xy, xy * xy / (xx * yy))
        out["slope(y, x)"] = rounded(xy / xx) if xx else math.nan
        out["intercept(y, x)"] = rounded(my - xy / xx * mx) if xx else math.nan
    return out


def cases():
    r = random.Random(20_240_601)

    def any_double():
        while True:
            x = struct.unpack("<d", r.getrandbits(64).to_bytes(8, "little"))[0]
            if math.isfinite(x):
                return x

    n = 40
    yield "uniform", [r.random() for _ in range(n)], [r.random() for _ in range(n)], True
    yield "normal", [r.gauss(0, 1) for _ in range(n)], [r.gauss(3, 2) for _ in range(n)], True
    yield "voltages", [3 + r.randrange(12_000) / 1e4 for _ in range(n)], [0.1 * i for i in range(n)], True
    yield "far from zero", [1e8 + r.gauss(0, 1) for _ in range(n)], [1e12 + i for i in range(n)], False
    yield "cancelling", [1e16, 1.0, -1e16] * 5, [1.0, 1e-16, 1.0] * 5, False
    yield "far apart", [r.uniform(-1, 1) * 10 ** r.randint(-300, 300) for _ in range(n)], [
        r.uniform(-1, 1) * 10 ** r.randint(-300, 300) for _ in range(n)
    ], False
    yield "any bits", [any_double() for _ in range(n)], [any_double() for _ in range(n)], False
    yield "subnormal", [TINY * r.randrange(-1000, 1000) for _ in range(n)], [TINY * i for i in range(n)], False
    yield "largest", [MOST, MOST, -MOST, MOST], [1.0, MOST, MOST, -MOST], False
    yield "rests, then flows", [r.uniform(0, 1e-9) for _ in range(n)] + [r.uniform(-5, 0) for _ in range(n)], [
        float(i) for i in range(2 * n)
    ], False
    yield "constant", [0.1] * 7, [0.7, 0.2] * 3 + [0.1], False
    yield "two", [1.0, 3.0], [0.25, 1e-3], True
    yield "one", [-2.5], [4.0], False
    yield "ties", [1.0, 2.0**-53, 2.0**-106], [1.0, -(2.0**-54), 1.0], False
    yield "negative zeros", [-0.0, -0.0, 0.0], [-0.0, 1.0, 2.0], False


def compared(name, xs, ys, found):
    try:
        import numpy as np
        from scipy import stats
    except ImportError:
        return
    x, y = np.array(xs), np.array(ys)
    line = stats.linregress(x, y)
    theirs = {
        "sum(x)": math.fsum(xs),
        "mean(x)": x.mean(),
        "variance(x, ddof => 0)": x.var(),
        "variance(x, ddof => 1)": x.var(ddof=1),
        "std(x, ddof => 0)": x.std(),
        "std(x, ddof => 1)": x.std(ddof=1),
        "covariance(x, y)": np.cov(x, y)[0, 1],
        "correlation(x, y)": np.corrcoef(x, y)[0, 1],
        "slope(y, x)": line.slope,
        "intercept(y, x)": line.intercept,
        "integral(y, x)": np.trapezoid(y, x),
        "weighted_mean(x, y)": np.average(x, weights=y),
    }
    if len(xs) > 2:
        theirs["skewness(x)"] = stats.skew(x)
        theirs["kurtosis(x)"] = stats.kurtosis(x)
    for call, value in theirs.items():
        assert math.isclose(found[call], value, rel_tol=1e-9, abs_tol=1e-12), (name, call, found[call], value)


def main():
    out = []
    for name, xs, ys, tame in cases():
        found = {**summary(xs), **pairs(xs, ys)}
        if tame:
            compared(name, xs, ys, found)
        out.append(
            {
                "name": name,
                "x": [bits(v) for v in xs],
                "y": [bits(v) for v in ys],
                "found": {call: bits(v) for call, v in found.items()},
            }
        )
    path = pathlib.Path(__file__).with_name("sums.json")
    path.write_text("[\n" + ",\n".join(json.dumps(case) for case in out) + "\n]\n")


main()
