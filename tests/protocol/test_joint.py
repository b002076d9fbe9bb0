"""The joint score: its secret scale, its parts and their sums; labels and τ from it, in one process, resumed, and by every threshold."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.runs import Parties, defaults, parties, score, settings, train, training_programs
from support.simulator import MemoryJournal

from vflfast.errors import BoundError, InputError, ModelError
from vflfast.learn.logistic import linear_predictor, sigmoid
from vflfast.learn.scoring import calibrate
from vflfast.protocol import inline
from vflfast.protocol.joint import EXACT_BITS, OCTAVES, PART_BITS, ScoreScale, total

SEEDS = st.binary(min_size=32, max_size=32)


@pytest.fixture(scope="module")
def hundred() -> Parties:
    return parties(100, (4, 5, 3), seed=2)


# --- scale -----------------------------------------------------------------------------------------------------------


@given(SEEDS, st.sampled_from([1e-9, 0.5, 16.0, 1024.0]), st.integers(2, 9))
def test_every_scale_has_room_and_is_a_secret(seed: bytes, bound: float, n_parties: int) -> None:
    made = ScoreScale.of_seed(seed, bound, n_parties)
    assert made == ScoreScale.of_seed(seed, bound, n_parties)
    assert made != ScoreScale.of_seed(seed[::-1] + b"x" if seed == seed[::-1] else seed[::-1], bound, n_parties)
    assert made.factor * bound * n_parties <= 2.0**PART_BITS
    assert made.factor * bound * n_parties * 2.0 ** (OCTAVES + 2) > 2.0**PART_BITS
    assert abs(made.shift) <= 2.0**PART_BITS
    assert float(made.shift).is_integer()
    assert ScoreScale.from_dict(made.to_dict()) == made


def test_scales_and_shifts_are_spread() -> None:
    made = [ScoreScale.of_seed(bytes([i, j] * 16), 16.0, 2) for i in range(40) for j in range(40)]
    octaves = [math.frexp(one.factor)[1] for one in made]
    assert {octaves.count(k) > 50 for k in range(min(octaves), max(octaves) + 1)} == {True}
    assert max(octaves) - min(octaves) == OCTAVES - 1
    shifts = np.array([one.shift for one in made]) / 2.0**PART_BITS
    assert abs(shifts.mean()) < 0.1
    assert abs(shifts.std() - 1 / math.sqrt(3)) < 0.05


@given(SEEDS, st.floats(1e-6, 1 - 1e-6))
def test_a_probability_there_and_back(seed: bytes, chance: float) -> None:
    made = ScoreScale.of_seed(seed, 16.0, 2)
    assert made.probability(made.score(chance)) == pytest.approx(chance, rel=1e-3, abs=1e-4)


@given(SEEDS, st.lists(st.lists(st.floats(-16, 16), min_size=1, max_size=8).map(np.array), min_size=2, max_size=4))
def test_the_sum_of_parts_is_the_scaled_sum(seed: bytes, halves: list[np.ndarray]) -> None:
    n_rows = min(len(half) for half in halves)
    made = ScoreScale.of_seed(seed, 16.0, len(halves))
    sums = total([made.parts(half[:n_rows]).tolist() for half in halves])
    exact = made.factor * np.sum([half[:n_rows] for half in halves], axis=0)
    assert np.abs(sums - exact).max() <= len(halves) / 2 + 2.0 ** (PART_BITS - 52)


def test_u_that_no_score_holds_is_refused() -> None:
    made = ScoreScale.of_seed(bytes(32), 16.0, 2)
    made.parts(np.array([2.0**PART_BITS / made.factor]))
    for bad in (2.0 ** (PART_BITS + 1) / made.factor, math.inf, math.nan):
        with pytest.raises(BoundError, match="linear predictor"):
            made.parts(np.array([0.0, bad]))


@pytest.mark.parametrize("saved", [
    None, [], {}, {"factor": 1.0}, {"factor": 1.0, "shift": 0.0, "more": 1}, {"factor": 0.0, "shift": 0.0}, {"factor": -1.0, "shift": 0.0},
    {"factor": math.nan, "shift": 0.0}, {"factor": math.inf, "shift": 0.0}, {"factor": 1, "shift": 0.0}, {"factor": "1", "shift": 0.0},
    {"factor": 1.0, "shift": 2.0 ** (EXACT_BITS + 1)}, {"factor": 1.0, "shift": None}, {"factor": True, "shift": 0.0},
], ids=str)  # fmt: skip
def test_a_saved_scale_that_is_none_is_refused(saved: Any) -> None:
    with pytest.raises(ModelError):
        ScoreScale.from_dict(saved)


def test_sums_beyond_all_scores_are_refused() -> None:
    assert total([[2**52], [2**52]]) == [2.0**EXACT_BITS]
    assert total([[2**63 - 1], [-(2**63)], [1]]) == [0.0]
    for parts in ([[2**53], [2]], [[-(2**53)], [-2]], [[2**63 - 1], [0]]):
        with pytest.raises(ValueError, match="belong together"):
            total(parts)


# --- runs ------------------------------------------------------------------------------------------------------------


def predictor(made: Parties, trained: inline.TrainingResult) -> np.ndarray:
    models = zip((made.guest, *made.hosts), (trained.guest, *trained.hosts), strict=True)
    return np.sum([linear_predictor(i.matrix, m.weights, m.intercept) for i, m in models], axis=0)


@pytest.mark.parametrize("n_hosts", [1, 2])
@pytest.mark.parametrize(
    "changes",
    [{}, {"threshold_value": 0.1}, {"threshold": "ks"}, {"threshold": "precision", "threshold_value": 0.8}, {"threshold": 0.6}],
    ids=str,
)
def test_labels_are_those_of_the_sum(n_hosts: int, changes: dict[str, Any], hundred: Parties) -> None:
    made = Parties(hundred.guest, hundred.hosts[:n_hosts])
    agreed = defaults(**changes)
    trained = train(made, agreed)
    u = predictor(made, trained)
    if agreed.threshold == 0.6:
        cut = math.log(0.6 / 0.4)
    else:
        share = agreed.threshold_value or float((made.labels > 0).mean())
        value = None if agreed.threshold == "ks" else share
        cut = calibrate(np.round(u, 9), made.labels, by=str(agreed.threshold), value=value)
    expected = np.where(u > cut, 1, -1)
    np.testing.assert_array_equal(trained.guest.train_labels, expected)
    assert trained.threshold == pytest.approx(1 / (1 + math.exp(-cut)), abs=1e-6)
    scored = score(made, trained, agreed)
    np.testing.assert_array_equal(scored.labels, expected)
    opened = agreed.threshold != "quota"
    assert (scored.threshold is not None) is opened
    assert scored.threshold == (pytest.approx(trained.threshold) if opened else None)
    assert scored.joint_probability is None
    assert {entry.what for entry in trained.guest.ledger.entries} >= {"training labels by the joint score"}
    assert ("joint training scores" in {e.what for e in trained.guest.ledger.entries}) is (agreed.threshold in ("ks", "precision"))


def test_it_ranks_as_the_probability_does(hundred: Parties) -> None:
    trained = train(hundred, defaults())
    scored = score(hundred, trained, defaults(output="probability"))
    np.testing.assert_allclose(scored.joint_probability, sigmoid(predictor(hundred, trained)), atol=1e-9)


def test_a_half_that_says_nothing_ends_no_run() -> None:
    """A host with one constant column: F cannot normalise its scores, the joint score adds 0."""
    made = parties(60, (3, 1), classes=2, seed=3)
    flat = type(made.hosts[0].matrix)(np.zeros((1, 60), dtype=np.uint8), np.array([2]))
    still = Parties(made.guest, [dataclasses.replace(made.hosts[0], matrix=flat)])
    with pytest.raises(InputError, match="all equal"):
        train(still, settings())
    trained = train(still, settings(scoring="joint"))
    assert trained.hosts[0].norm is None
    assert set(trained.guest.train_labels.tolist()) == {-1, 1}  # type: ignore[union-attr]


def test_a_model_of_the_other_kind_is_refused(hundred: Parties) -> None:
    for kind, other in (("joint", "combined"), ("combined", "joint")):
        trained = train(hundred, settings(scoring=kind))
        with pytest.raises((InputError, ModelError), match="was trained for"):
            score(hundred, trained, settings(scoring=other))


def test_a_run_that_goes_on_keeps_its_scale(hundred: Parties) -> None:
    """τ of an attempt that one party finished fits the models of the next attempt."""
    journals = {name: MemoryJournal() for name in inline.party_names(2)}
    results = [inline.drive(training_programs(hundred, defaults(), journals)) for _ in range(2)]
    first, second = ((r["guest"].scale, r["host1"].scale, r["host2"].scale, r["arbiter"].threshold) for r in results)
    assert first == second
    assert first[0] == first[1] == first[2]
    anew = inline.drive(training_programs(hundred, defaults()))
    assert anew["guest"].scale != first[0]
