"""L-BFGS by inner products: the directions of the textbook's recursion, over one block or several, and its safeguards."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from vflfast.errors import ModelError
from vflfast.learn.lbfgs import LARGEST_MOVE, PAIRS, Lbfgs, Products, products

SIZE = 9


def quadratic(seed: int = 0, condition: float = 30.0) -> tuple[np.ndarray, np.ndarray]:
    """H and b of ½xᵀHx − bᵀx."""
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(SIZE, SIZE)))
    return q @ np.diag(np.geomspace(1 / condition, 1, SIZE)) @ q.T, rng.normal(size=SIZE)


def blocks(cuts: list[int], move: float = 0.0) -> list[tuple[slice, Lbfgs]]:
    """Parties that hold consecutive coordinates; P is the identity."""
    edges = [0, *cuts, SIZE]
    return [(slice(a, b), Lbfgs(lambda x: x.copy(), lambda x: move)) for a, b in pairwise(edges)]


def together(parties: list[tuple[slice, Lbfgs]], x: np.ndarray, g: np.ndarray) -> np.ndarray:
    """One step of all parties, with sums of their numbers."""
    steps, result = [lbfgs.step(x[part], g[part]) for part, lbfgs in parties], x.copy()
    asked: list[list[float] | None] = [next(step) for step in steps]
    while any(numbers is not None for numbers in asked):
        sums = [math.fsum(values) for values in zip(*[n for n in asked if n is not None], strict=True)]
        for i, ((part, _), step) in enumerate(zip(parties, steps, strict=True)):
            try:
                asked[i] = step.send(sums)
            except StopIteration as end:
                asked[i], result[part] = None, end.value
    return result


def two_loops(pairs: list[tuple[np.ndarray, np.ndarray]], g: np.ndarray) -> np.ndarray:
    """−H·g by algorithm 7.4 of Nocedal & Wright."""
    q, alpha = g.copy(), []
    for s, y in reversed(pairs):
        alpha.append(s @ q / (s @ y))
        q -= alpha[-1] * y
    s, y = pairs[-1]
    r = q * (s @ y) / (y @ y)
    for (s, y), a in zip(pairs, reversed(alpha), strict=True):
        r += s * (a - y @ r / (s @ y))
    return -r


@pytest.mark.parametrize("n", range(1, PAIRS + 1))
def test_directions_are_those_of_the_textbook(n: int) -> None:
    h, _ = quadratic()
    rng = np.random.default_rng(n)
    pairs = [(s, h @ s) for s in rng.normal(size=(n, SIZE))]
    g = rng.normal(size=SIZE)
    sums = Products(n, products([(s, y, y) for s, y in pairs], g, g))
    of_s, of_py, of_pg = sums.direction()
    found = of_pg * g + sum(a * s + b * y for (s, y), a, b in zip(pairs, of_s, of_py, strict=True))
    np.testing.assert_allclose(found, two_loops(pairs, g), rtol=1e-9)
    assert sums.slope_of(of_s, of_py, of_pg) == pytest.approx(g @ found)
    assert np.abs(found + g).max() > 0.1  # not the plain gradient


@pytest.mark.parametrize("cuts", [[], [4], [1, 2, 8]])
def test_it_finds_the_minimum_however_the_coordinates_are_shared_out(cuts: list[int]) -> None:
    h, b = quadratic()
    parties, x = blocks(cuts), np.zeros(SIZE)
    for _ in range(60):
        x = together(parties, x, h @ x - b)
    np.testing.assert_allclose(x, np.linalg.solve(h, b), atol=1e-6)
    slow = np.zeros(SIZE)
    for _ in range(60):  # the control: the first step's rule for ever
        slow = slow - 0.75 * (h @ slow - b)
    assert np.abs(slow - np.linalg.solve(h, b)).max() > 1e-2


def test_every_party_has_the_same_decisions_in_its_state() -> None:
    h, b = quadratic()
    parties, x = blocks([3, 6]), np.zeros(SIZE)
    for _ in range(5):
        x = together(parties, x, h @ x - b)
        assert len({len(lbfgs.pairs) for _, lbfgs in parties}) == len({lbfgs.slope for _, lbfgs in parties}) == 1


def test_a_step_is_no_longer_than_the_largest_move() -> None:
    parties, x, g = blocks([4], move=5.0), np.zeros(SIZE), np.ones(SIZE)
    moved = together(parties, x, g)
    np.testing.assert_allclose(moved, -0.75 * g * LARGEST_MOVE / 10.0)  # both parties say 5


def test_a_step_that_went_too_far_is_taken_back_to_the_secant_point() -> None:
    parties, x, g = blocks([4]), np.zeros(SIZE), np.ones(SIZE)
    far = together(parties, x, g)
    back = together(parties, far, -2.0 * g)  # the slope has turned: −1 at the start, 2 at the end of it
    np.testing.assert_allclose(back, far / 3)
    assert all(not lbfgs.pairs for _, lbfgs in parties)
    again = together(parties, back, 0.1 * g)
    assert all(len(lbfgs.pairs) == 1 for _, lbfgs in parties)
    assert np.isfinite(again).all()


@pytest.mark.parametrize("end", [1e9, 0.51, 3.0])
def test_it_is_taken_back_by_a_half_at_least_and_nine_tenths_at_most(end: float) -> None:
    parties, x, g = blocks([]), np.zeros(SIZE), np.ones(SIZE)
    far = together(parties, x, g)
    share = (together(parties, far, -end * g) / far).mean()
    assert share == pytest.approx(min(max(1 / (1 + end), 0.1), 0.5))


def test_a_pair_without_curvature_does_not_enter() -> None:
    parties, x, g = blocks([4]), np.zeros(SIZE), np.ones(SIZE)
    x = together(parties, x, g)
    x = together(parties, x, 1.5 * g)  # steeper downhill than before: sᵀy < 0
    assert all(not lbfgs.pairs for _, lbfgs in parties)
    assert np.isfinite(x).all()


def test_a_direction_that_does_not_descend_forgets_all_pairs() -> None:
    (_, one), = blocks([])
    s = np.eye(SIZE)[0]
    one.pairs = [(s, s, -s)]  # P·y of the wrong sign: γ < 0
    x, g = np.zeros(SIZE), np.ones(SIZE)
    np.testing.assert_allclose(together([(slice(0, SIZE), one)], x, g), -0.5 * g)
    assert one.pairs == []


def test_state_goes_through_json_bit_by_bit() -> None:
    h, b = quadratic()
    parties, x = blocks([4]), np.zeros(SIZE)
    for _ in range(4):
        x = together(parties, x, h @ x - b)
    copies = [(part, Lbfgs(lambda v: v.copy(), lambda v: 0.0)) for part, _ in parties]
    for (part, copy), (_, lbfgs) in zip(copies, parties, strict=True):
        copy.restore(json.loads(json.dumps(lbfgs.state())), len(range(SIZE)[part]))
    np.testing.assert_array_equal(together(copies, x, h @ x - b), together(parties, x, h @ x - b))


@pytest.mark.parametrize("state", [None, {}, {"pairs": [], "before": None}, {"pairs": [[[1.0], [1.0]]], "before": None, "slope": 0.0},
                                   {"pairs": [[[1.0]] * 3] * 4, "before": None, "slope": 0.0}])  # fmt: skip
def test_another_state_is_refused(state: Any) -> None:
    with pytest.raises(ModelError):
        Lbfgs(lambda v: v, lambda v: 0.0).restore(state, 1)
