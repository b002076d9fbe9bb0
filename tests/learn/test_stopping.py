"""The stop rule: change within tol, in so many rounds in a row."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from vflfast.errors import InputError, ModelError
from vflfast.learn.logistic import cross_entropy
from vflfast.learn.stopping import StopRule


def test_patent_defaults() -> None:
    rule = StopRule()
    assert (rule.tol, rule.n_iter_no_change) == (0.005, 15)
    flags = [rule.observe(0.5) for _ in range(17)]
    assert flags == [False] * 15 + [True] * 2  # the first loss has nothing to be compared with


def test_a_change_starts_the_count_again() -> None:
    rule = StopRule(tol=0.1, n_iter_no_change=2)
    assert [rule.observe(loss) for loss in (1.0, 0.95, 0.7, 0.65, 0.6, 0.3, 0.3, 0.3)] == [
        False,
        False,
        False,
        False,
        True,
        False,
        False,
        True,
    ]


def test_the_border_counts_as_still_and_rises_count_as_change() -> None:
    rule = StopRule(tol=0.25, n_iter_no_change=1)
    assert [rule.observe(loss) for loss in (1.0, 0.75, 1.0, 1.2500001, 1.0)] == [False, True, True, False, False]


def test_tol_zero_needs_equal_losses() -> None:
    rule = StopRule(tol=0.0, n_iter_no_change=1)
    assert [rule.observe(loss) for loss in (0.5, 0.5, 0.5 + 1e-17, 0.5 + 1e-15)] == [False, True, True, False]


def test_observe_change_counts_from_the_first_round() -> None:
    rule = StopRule(tol=0.01, n_iter_no_change=2)
    assert [rule.observe_change(change) for change in (0.5, 0.01, 0.0, 0.02, 0.0, 0.0)] == [False, False, True, False, False, True]
    assert rule.flag


def test_small_moves_of_the_predictor_imply_a_still_loss() -> None:
    """The host's rule is the stricter one: |ΔLoss| ≤ mean|Δu| for every labelling."""
    rng = np.random.default_rng(0)
    for scale in (1e-3, 0.1, 10.0):
        u, du, y = rng.normal(size=500) * 3, rng.normal(size=500) * scale, rng.choice([-1, 1], 500)
        assert abs(cross_entropy(u + du, y) - cross_entropy(u, y)) <= np.abs(du).mean()


@pytest.mark.parametrize("cut", range(8))
def test_a_saved_rule_goes_on_as_if_never_saved(cut: int) -> None:
    losses = [1.0, 0.95, 0.9, 0.5, 0.49, 0.48, 0.47, 0.1]
    whole = StopRule(0.06, 3)
    expected = [whole.observe(loss) for loss in losses]
    rule = StopRule(0.06, 3)
    flags = [rule.observe(loss) for loss in losses[:cut]]
    rule = StopRule.from_dict(json.loads(json.dumps(rule.to_dict())))
    assert flags + [rule.observe(loss) for loss in losses[cut:]] == expected
    assert True in expected


@pytest.mark.parametrize("tol", [-1e-9, math.nan, math.inf, None, "0.1", True, 1j])
def test_tol_is_refused(tol: object) -> None:
    with pytest.raises(InputError) as error:
        StopRule(tol=tol)
    assert error.value.argument == "tol"


@pytest.mark.parametrize("rounds", [0, -1, 1.0, True, None, "3", math.nan])
def test_n_iter_no_change_is_refused(rounds: object) -> None:
    with pytest.raises(InputError) as error:
        StopRule(n_iter_no_change=rounds)
    assert error.value.argument == "n_iter_no_change"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None, "0.1", True, [0.1]])
def test_observations_are_refused_and_not_counted(bad: object) -> None:
    rule = StopRule(n_iter_no_change=1)
    rule.observe(0.5)
    before = rule.to_dict()
    for name, call in (("loss", rule.observe), ("mean_abs_change", rule.observe_change)):
        with pytest.raises(InputError) as error:
            call(bad)
        assert error.value.argument == name
    assert rule.to_dict() == before


def test_a_negative_change_is_refused() -> None:
    with pytest.raises(InputError, match="mean_abs_change"):
        StopRule().observe_change(-0.1)


GOOD = {"tol": 0.005, "n_iter_no_change": 15, "still": 3, "loss": 0.4}


@pytest.mark.parametrize(
    ("saved", "name"),
    [
        (None, "stop rule"),
        ([], "stop rule"),
        ({}, "stop rule"),
        ({**GOOD, "more": 1}, "stop rule"),
        ({**GOOD, "tol": -1}, "tol"),
        ({**GOOD, "tol": "0.1"}, "tol"),
        ({**GOOD, "n_iter_no_change": 0}, "n_iter_no_change"),
        ({**GOOD, "still": -1}, "still"),
        ({**GOOD, "still": 1.5}, "still"),
        ({**GOOD, "loss": math.nan}, "loss"),
        ({**GOOD, "loss": "0.4"}, "loss"),
    ],
)
def test_damaged_state_is_refused(saved: object, name: str) -> None:
    with pytest.raises(ModelError) as error:
        StopRule.from_dict(saved)
    assert error.value.argument == name
