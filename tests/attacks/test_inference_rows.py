"""What standard errors tell of one row: next to nothing; the sums that they are made of would tell all of it.

A guest that had the sums of σ′(u) over products of its own columns opened, as it has gradients opened, would read σ′ of a customer who
alone has a pair of classes, and with it the other half of the score up to its sign, although its columns pass the guard of single rows. It
is told standard errors, variance inflation and correlations instead. The reader here has more than a guest: a thousand other runs with the
same columns, in which it knows the row's σ′.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from vflfast.crypto.coded import CodedMatrix
from vflfast.learn.inference import Moments, correlations, inflation, standard_errors, strongest
from vflfast.learn.leverage import leverages

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

N_ROWS, OWN, OTHERS, BITS = 1500, 4, 3, 18
WORLDS, KNOWN = 900, 700
ROW = 0


@pytest.fixture(scope="module")
def own() -> Ints:
    """The guest's columns: every class has many rows, but class 4 of both of the first two columns has one row in common."""
    rng = np.random.default_rng(8)
    codes = rng.integers(0, 5, (N_ROWS, OWN))
    both = (codes[:, 0] == 4) & (codes[:, 1] == 4)
    codes[both, 1] = rng.integers(0, 4, both.sum())
    codes[ROW, :2] = 4
    return codes.astype(np.int64)


def one_hot(codes: Ints) -> Ints:
    return np.hstack([(codes[:, j : j + 1] == np.arange(1, 5)).astype(np.int64) for j in range(codes.shape[1])])


def products(columns: Ints) -> Ints:
    """1 and the products of all pairs of columns, a column each."""
    rows = np.hstack([np.ones((len(columns), 1), dtype=np.int64), columns])
    upper = np.triu_indices(rows.shape[1])
    return rows[:, upper[0]] * rows[:, upper[1]]


@pytest.fixture(scope="module")
def worlds(own: Ints) -> tuple[Floats, Floats, Floats]:
    """σ′ of the row in every world; the sums over products of the guest's columns; and what the guest is told."""
    rng, columns = np.random.default_rng(9), one_hot(own)
    pairs, half = products(columns), columns @ rng.normal(0, 0.4, columns.shape[1])
    weights_there = rng.normal(0, 0.5, OTHERS)  # the same in all worlds: what rows have in common is no secret of one
    features = np.concatenate([np.repeat(np.arange(OWN), 4), OWN + np.arange(OTHERS)])
    secret, sums, told = np.empty(WORLDS), [], []
    for world in range(WORLDS):
        others = rng.integers(0, 5, (N_ROWS, OTHERS))
        u = half + (others - 2) @ weights_there + rng.normal(0, 0.3, N_ROWS)
        chance = 1 / (1 + np.exp(-u))
        weights = np.rint(chance * (1 - chance) * (1 << BITS)).astype(np.int64)
        rows = np.hstack([np.ones((N_ROWS, 1), dtype=np.int64), columns, others])
        moments = Moments((rows.T @ rows).astype(object), ((rows.T * weights) @ rows).astype(object), 2.0**-BITS)
        errors, intercept = standard_errors(moments, 1e-3, columns.shape[1])
        correlated = correlations(moments.plain)
        mine = slice(0, columns.shape[1])
        told.append(np.concatenate([[intercept], errors[mine], inflation(correlated, features)[mine], strongest(correlated, mine)[0]]))
        sums.append(pairs.T @ weights)
        secret[world] = weights[ROW] / (1 << BITS)
    return secret, np.array(sums, dtype=float) / (1 << BITS), np.array(told)


def explained(seen: Floats, secret: Floats) -> float:
    """Share of the variance of the secret that a reader explains who has learnt from the first `KNOWN` worlds, in the others."""
    centre, scale = seen[:KNOWN].mean(axis=0), seen[:KNOWN].std(axis=0)
    varies = scale > 0
    x = (seen[:, varies] - centre[varies]) / scale[varies]
    learnt = x[:KNOWN].T @ x[:KNOWN] + 1e-6 * KNOWN * np.eye(x.shape[1])
    guess = x[KNOWN:] @ np.linalg.solve(learnt, x[:KNOWN].T @ (secret[:KNOWN] - secret[:KNOWN].mean()))
    rest = secret[KNOWN:] - secret[:KNOWN].mean() - guess
    return 1.0 - float((rest**2).mean() / secret[KNOWN:].var())


def test_the_columns_themselves_pass_the_guard(own: Ints) -> None:
    assert leverages(CodedMatrix.from_integers(one_hot(own)), 0.05).rows == []


def test_control_sums_over_pairs_of_classes_are_the_row_itself(own: Ints, worlds: tuple[Floats, Floats, Floats]) -> None:
    secret, sums, _ = worlds
    pairs = products(one_hot(own))
    alone = np.flatnonzero((pairs[ROW] == 1) & (pairs.sum(axis=0) == 1))
    assert alone.size == 1
    np.testing.assert_allclose(sums[:, alone[0]], secret, atol=1e-12)
    assert explained(sums, secret) > 0.99
    assert leverages(CodedMatrix.from_integers(pairs[:, 1:]), 0.2).largest > 0.99


def test_what_the_guest_is_told_says_next_to_nothing(worlds: tuple[Floats, Floats, Floats]) -> None:
    secret, _, told = worlds
    assert explained(told, secret) < 0.05
