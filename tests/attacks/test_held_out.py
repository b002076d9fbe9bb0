"""Row privacy in a search for the penalty: sums over all rows, less those over the rows that are not held out, are of the rows held out.

600 customers with coin-flip labels, 60 classes of ten at the host, of which about two a class are held out. A host that knew which ones
could read the labels of those that are alone in their class there. Which ones they are is the guest's secret; without it the host knows
that some customer of ten has that label, which says next to nothing about any of them.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.runs import Parties, settings, train

from vflfast.crypto.coded import CodedMatrix
from vflfast.learn.penalty import ROUNDS_EACH, held_out
from vflfast.learn.quasi_newton import QuasiNewton
from vflfast.protocol.block import PartyInputs

N, CLASSES = 600, 60
Floats = npt.NDArray[np.float64]
SETTINGS: dict[str, Any] = {
    "residual": "logistic", "solver": "lbfgs", "stop": "move", "max_iter": 1, "alpha": "search", "max_leverage": 0.2, "allow_wide": True,
}  # fmt: skip


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Floats]:
    """What the host is told in each round: the sum of 4g over each class."""
    seen: list[Floats] = []
    steps = QuasiNewton.steps

    def spy(self: QuasiNewton, theta: Floats, intercept: float, gradient: list[int], residual: int, bits: int) -> Any:
        if len(gradient) == CLASSES:
            seen.append(np.array(gradient, dtype=np.float64) / 2**bits)
        return steps(self, theta, intercept, gradient, residual, bits)

    monkeypatch.setattr(QuasiNewton, "steps", spy)
    return seen


def bank() -> tuple[Parties, npt.NDArray[np.int64]]:
    """A guest with one feature that says nothing, and one host whose columns mark the classes."""
    rng = np.random.default_rng(5)
    classes = np.repeat(np.arange(CLASSES), N // CLASSES)
    labels = np.where(rng.random(N) < 0.5, 1, -1).astype(np.int8)
    codes = (np.arange(CLASSES)[:, None] == classes).astype(np.uint8)
    marks = CodedMatrix(codes, [2] * CLASSES, np.arange(CLASSES), np.tile([0, 1], (CLASSES, 1)))
    commitment = hashlib.sha256(b"rows").digest()
    own = CodedMatrix(rng.integers(0, 2, (1, N), dtype=np.uint8), [2])
    out = held_out([f"c{i}" for i in range(N)], labels)
    return Parties(PartyInputs(own, commitment, "bank", labels, held_out=out), [PartyInputs(marks, commitment, "telco")]), classes


def labels_read(told: list[Floats], result: Any) -> npt.NDArray[np.int8]:
    """For each class the label of the row held out, were there one: by the sums over all rows less those at the same weights without it.

    Training goes on from the weights of the best λ, at which the round that judged it opened the sums over the other rows.
    """
    losses = [loss for _, loss in result.guest.tried]
    judged = told[ROUNDS_EACH * (1 + losses.index(min(losses)))]
    return np.where(told[-1] - judged < 0, 1, -1).astype(np.int8)


def alone(out: npt.NDArray[np.bool_], classes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Classes of which exactly one row is held out."""
    return np.flatnonzero(np.bincount(classes[out], minlength=CLASSES) == 1)


def test_a_host_that_knew_the_rows_held_out_would_read_those_that_are_alone(told: list[Floats]) -> None:
    """The control: what the secret is for."""
    made, classes = bank()
    result = train(made, settings(**SETTINGS))
    out = made.guest.held_out
    assert out is not None
    rows = [int(np.flatnonzero(out & (classes == one))[0]) for one in alone(out, classes)]
    assert len(rows) >= 8
    assert (labels_read(told, result)[classes[rows]] == made.labels[rows]).mean() >= 0.9


def test_a_host_that_does_not_know_them_reads_nobody(told: list[Floats]) -> None:
    """It can only give all customers of a class the label that it reads there."""
    made, classes = bank()
    result = train(made, settings(**SETTINGS))
    out = made.guest.held_out
    assert out is not None
    rows = np.flatnonzero(np.isin(classes, alone(out, classes)))
    assert (labels_read(told, result)[classes[rows]] == made.labels[rows]).mean() < 0.68


def test_ids_alone_do_not_tell_which_rows_they_are() -> None:
    """The host has all ids, and tries labels of its own: it holds other rows out."""
    made, _ = bank()
    out = made.guest.held_out
    assert out is not None
    rng = np.random.default_rng(6)
    ids = [f"c{i}" for i in range(N)]
    shares = []
    for _ in range(20):
        tried = made.labels.copy()
        wrong = rng.integers(N)  # all labels right but one
        tried[wrong] = -tried[wrong]
        shares.append(out[held_out(ids, tried)].mean())
    assert max(shares) < 0.4
    assert held_out(ids, dataclasses.replace(made.guest).labels).tolist() == out.tolist()  # type: ignore[arg-type]
