"""The curves by round are those of the weights that each round left."""

from __future__ import annotations

import numpy as np
import pytest
from support.runs import parties

from vflfast.errors import InputError
from vflfast.learn import metrics
from vflfast.learn.logistic import cross_entropy, linear_predictor
from vflfast.learn.watch import RoundWatch

MADE = parties(80)
MATRICES = {"guest": MADE.guest.matrix, "host1": MADE.hosts[0].matrix}
ROUNDS = [(np.arange(3.0), 0.1, np.ones(4), -0.2), (np.array([0.5, -1.0, 2.0]), 0.0, np.array([1.0, 0.0, 3.0, -2.0]), 0.3)]


def watched(calls: list[float]) -> RoundWatch:
    watch = RoundWatch(list(MATRICES), lambda one: calls.append(one.joint_auc(MATRICES, MADE.labels)))
    for guest, b, host, c in ROUNDS:
        changing = guest.copy()
        watch.of("guest")(changing, b)
        changing[:] = np.nan  # a party may go on in the same array
        watch.of("host1")(host, c)
    return watch


def test_curves_by_side_and_jointly() -> None:
    calls: list[float] = []
    found = watched(calls).curves(MATRICES, MADE.labels)
    assert list(found) == ["guest", "host1", "joint"]
    for i, (guest, b, host, c) in enumerate(ROUNDS):
        own = {"guest": linear_predictor(MATRICES["guest"], guest, b), "host1": linear_predictor(MATRICES["host1"], host, c)}
        for name, u in {**own, "joint": own["guest"] + own["host1"]}.items():
            expected = (cross_entropy(u, MADE.labels), metrics.roc_auc(MADE.labels, u), metrics.ks(MADE.labels, u))
            assert tuple(found[name][key][i] for key in ("loss", "auc", "ks")) == expected
    assert calls == found["joint"]["auc"]  # told once a round, when the last party has brought it


def test_one_class_has_no_curve() -> None:
    with pytest.raises(InputError):
        watched([]).curves(MATRICES, np.ones(80, dtype=np.int8))
