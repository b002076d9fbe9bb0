"""exp and log with the same bits on every machine: additions, multiplications, divisions and scaling by powers of two alone.

The C library and numpy choose their versions by the processor, and these differ in the last bit. Here each value is a fixed sequence of
operations that IEEE 754 rounds one way. Errors are below 2 units in the last place (tests/learn/test_elementary.py).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .checks import Floats

LN2 = 0.6931471805599453
LN2_HIGH = 0.693147180369123816490  # 33 bits: its product with an exponent is exact
LN2_LOW = 1.90821492927058770002e-10  # ln 2 − LN2_HIGH
PER_LN2 = 1.4426950408889634
LEAST_EXP = -745.2  # e to less is 0 in double precision
MOST_EXP = 709.782712893384  # and to more is infinite
EXP_TERMS = [1.0 / math.factorial(k) for k in range(2, 15)]  # r^14/14! < 2^-54·r for |r| ≤ ln 2/2
ATANH_TERMS = [1.0 / (2 * k + 1) for k in range(1, 18)]  # s^35/35 < 2^-54·s for |s| ≤ 1/3


def exp(x: npt.ArrayLike) -> Floats:
    """Return e^x, elementwise: x = k·ln 2 + r with |r| ≤ ln 2/2, and 2^k·(1 + r + r²/2 + …)."""
    values = np.asarray(x, dtype=np.float64)
    held = np.clip(values, LEAST_EXP, MOST_EXP)  # NaN stays
    k = np.rint(held * PER_LN2)
    high, low = held - k * LN2_HIGH, k * LN2_LOW
    r = high - low
    series = _horner(r, EXP_TERMS) * (r * r)
    # what rounding took off r goes on with the small terms: 1 + r is exact to the last place then
    whole = 1.0 + (r + (series + ((high - r) - low)))
    result = np.ldexp(whole, np.where(np.isnan(k), 0.0, k).astype(np.int64))
    return np.where(values > MOST_EXP, np.inf, np.where(values < LEAST_EXP, 0.0, result))


def log(x: npt.ArrayLike) -> Floats:
    """Return ln x of numbers above 0, elementwise: x = 2^k·m with √½ ≤ m < √2, and k·ln 2 + 2·atanh((m − 1)/(m + 1))."""
    m, k = np.frexp(np.asarray(x, dtype=np.float64))
    low = m < math.sqrt(0.5)
    m, k = np.where(low, 2.0 * m, m), (k - low).astype(np.float64)
    f = m - 1.0  # exact
    s = f / (2.0 + f)
    # 2·atanh(s) = f − s·(f − 2·s²·(1/3 + …)): f is exact, and what is taken off it is small
    z = s * s
    rest = s * (f - 2.0 * z * _horner(z, ATANH_TERMS))
    return k * LN2_HIGH + (f - (rest - k * LN2_LOW))


def softplus(x: npt.ArrayLike) -> Floats:
    """Return ln(1 + e^x) without overflow, elementwise: max(x, 0) + 2·atanh(e/(2 + e)) with e = e^(−|x|)."""
    values = np.asarray(x, dtype=np.float64)
    e = exp(-np.abs(values))
    s = e / (2.0 + e)
    z = s * s
    return np.maximum(values, 0.0) + (e - s * (e - 2.0 * z * _horner(z, ATANH_TERMS)))  # as in `log`


def _horner(x: Floats, terms: list[float]) -> Floats:
    """Return Σ_k terms[k]·x^k, from the last term on."""
    result = np.full_like(x, terms[-1])
    for term in reversed(terms[:-1]):
        result = result * x + term
    return result
