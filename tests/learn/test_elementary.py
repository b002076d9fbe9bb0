"""exp, log and softplus against correctly rounded numbers, at their edges, and without the versions that numpy chooses by the processor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import gmpy2
import numpy as np
import numpy.typing as npt
import pytest

from vflfast.learn import elementary
from vflfast.learn.logistic import sigmoid

Floats = npt.NDArray[np.float64]
RNG = np.random.default_rng(9)
WIDE = np.concatenate([RNG.uniform(-40, 40, 4000), RNG.uniform(-700, 709, 2000), RNG.uniform(-1, 1, 4000), RNG.normal(0, 1e-5, 1000)])
POSITIVE = np.concatenate([RNG.uniform(1e-3, 3, 5000), np.exp(RNG.uniform(-700, 700, 2000)), 1 + RNG.normal(0, 1e-6, 1000)])
LIMIT = 2.0  # units in the last place


def softplus(x: Any) -> Any:
    return gmpy2.log1p(gmpy2.exp(x))


def worst(ours: Floats, exact: Callable[[Any], Any], arguments: Floats) -> float:
    """Largest error in units in the last place, against 200 bits."""
    with gmpy2.context(gmpy2.get_context(), precision=200):
        errors = []
        for x, y in zip(arguments.tolist(), ours.tolist(), strict=True):
            right = exact(gmpy2.mpfr(x))
            errors.append(abs(float((gmpy2.mpfr(y) - right) / gmpy2.mpfr(float(np.spacing(abs(float(right))))))))
        return max(errors)


CASES: list[tuple[str, Callable[[Any], Any], Floats]] = [
    ("exp", gmpy2.exp, WIDE), ("log", gmpy2.log, POSITIVE), ("softplus", softplus, WIDE),
]  # fmt: skip


@pytest.mark.parametrize(("name", "exact", "arguments"), CASES, ids=[case[0] for case in CASES])
def test_errors_are_below_two_units(name: str, exact: Callable[[Any], Any], arguments: Floats) -> None:
    assert worst(getattr(elementary, name)(arguments), exact, arguments) < LIMIT


def test_the_measure_sees_an_error() -> None:
    assert worst(np.exp(WIDE) * (1 + 1e-15), gmpy2.exp, WIDE) > LIMIT


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("exp", 0.0, 1.0), ("exp", -0.0, 1.0), ("exp", 800.0, np.inf), ("exp", np.inf, np.inf), ("exp", -np.inf, 0.0), ("exp", -800.0, 0.0),
        ("exp", -745.0, 5e-324), ("log", 1.0, 0.0), ("log", 2.0, elementary.LN2),
        ("log", 0.5, -elementary.LN2), ("log", 5e-324, -744.4400719213812),
        ("softplus", 800.0, 800.0), ("softplus", -800.0, 0.0),
    ],
)  # fmt: skip
def test_edges(name: str, argument: float, value: float) -> None:
    assert float(getattr(elementary, name)(argument)) == value


def test_no_number_stays_none() -> None:
    assert np.isnan(elementary.exp(np.nan))
    assert np.isnan(elementary.softplus(np.nan))


def test_they_rise() -> None:
    grid = np.linspace(-30, 30, 20_001)
    for values in (elementary.exp(grid), elementary.softplus(grid), elementary.log(elementary.exp(grid)), sigmoid(grid)):
        assert (np.diff(values) >= 0).all()


def test_shapes_are_kept() -> None:
    assert elementary.exp(np.zeros((2, 3))).shape == (2, 3)
    assert elementary.log(1.0).shape == ()


USED = {"add", "subtract", "multiply", "divide", "true_divide", "rint", "absolute", "maximum", "minimum", "clip", "ldexp", "frexp", "isnan",
        "less", "greater", "negative"}  # fmt: skip


class Recorder(np.ndarray):
    """An array that notes every operation on it."""

    seen: set[str] = set()  # noqa: RUF012

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        self.seen.add(ufunc.__name__)
        plain: Iterable[Any] = (np.asarray(i).view(np.ndarray) if isinstance(i, np.ndarray) else i for i in inputs)
        options = {name: value for name, value in options.items() if name != "out"}
        result = getattr(ufunc, method)(*plain, **options)
        return tuple(r.view(Recorder) for r in result) if isinstance(result, tuple) else np.asarray(result).view(Recorder)


def test_only_operations_that_are_rounded_one_way_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elementary.np, "asarray", lambda x, dtype=None: x)
    values = np.array([0.5, 2.0, 30.0]).view(Recorder)
    for function in (elementary.exp, elementary.log, elementary.softplus):
        function(values)
    assert values.seen <= USED
    assert "multiply" in values.seen
