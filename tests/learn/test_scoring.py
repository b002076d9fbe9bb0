"""Norm, F and τ: definitions, frozen statistics, and refusals."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vflfast.errors import BoundError, InputError, ModelError
from vflfast.learn.metrics import ks, roc_auc
from vflfast.learn.scoring import Norm, calibrate, classify, combine, powers_from_auc

METHODS = ["minmax", "rank", "zscore", "none"]
TRAIN = np.array([0.2, 0.4, 0.4, 0.6])


# --- Norm --------------------------------------------------------------------------------------------------------


def test_minmax_is_clipped_to_the_training_range() -> None:
    assert Norm.fit(TRAIN).apply([0.2, 0.3, 0.6, 0.0, 0.9]) == pytest.approx([0.0, 0.25, 1.0, 0.0, 1.0])
    assert Norm.fit(TRAIN, epsilon=0.4).apply([0.4, 0.6]) == pytest.approx([0.25, 0.5])


def test_rank_is_the_share_of_training_scores_below() -> None:
    assert Norm.fit(TRAIN, "rank").apply([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]).tolist() == [0.0, 0.125, 0.25, 0.5, 0.75, 0.875, 1.0]


def test_zscore_has_mean_0_and_deviation_1() -> None:
    scores = np.random.default_rng(0).normal(3.0, 0.2, 500)
    out = Norm.fit(scores, "zscore").apply(scores)
    assert out.mean() == pytest.approx(0.0, abs=1e-12)
    assert out.std() == pytest.approx(1.0, rel=1e-12)
    assert Norm.fit([1.0, 3.0], "zscore").apply([2.0, 5.0]).tolist() == [0.0, 3.0]


def test_none_hands_probabilities_through() -> None:
    scores = np.array([0.0, 0.25, 1.0])
    out = Norm.fit(TRAIN, "none").apply(scores)
    assert out.tolist() == scores.tolist()
    assert not np.shares_memory(out, scores)


@pytest.mark.parametrize("method", METHODS)
def test_one_customer_scores_as_in_the_crowd(method: str) -> None:
    """Statistics are frozen: the answer for a row does not depend on the rows beside it."""
    norm = Norm.fit(TRAIN, method)
    rows = np.array([0.31, 0.4, 0.05, 0.99])
    assert [norm.apply([row])[0] for row in rows] == norm.apply(rows).tolist()


@pytest.mark.parametrize("method", METHODS)
def test_saved_norm_gives_the_same_bits(method: str) -> None:
    scores = np.random.default_rng(1).random(50)
    norm = Norm.fit(scores, method, 0.01 if method == "minmax" else 0.0)
    again = Norm.from_dict(json.loads(json.dumps(norm.to_dict())))
    assert again.apply(scores).tobytes() == norm.apply(scores).tobytes()
    assert again.to_dict() == norm.to_dict()


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=30, unique=True), st.integers(1, 64), st.integers(-1000, 1000))
@settings(max_examples=200, deadline=None)
def test_positive_affine_images_give_the_same_norm(values: list[int], slope: int, offset: int) -> None:
    """The hardened profile sends secret affine images of P; whole numbers keep the maps exact."""
    plain, image = np.array(values, dtype=float), np.array(values, dtype=float) * slope + offset
    for method in ("minmax", "rank", "zscore"):
        np.testing.assert_allclose(Norm.fit(image, method).apply(image), Norm.fit(plain, method).apply(plain), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_norms_never_reverse_the_order(method: str) -> None:
    scores = np.sort(np.random.default_rng(2).random(40))
    assert (np.diff(Norm.fit(TRAIN, method).apply(scores)) >= 0).all()


def test_repr_shows_no_scores() -> None:
    assert "0.2" not in repr(Norm.fit(TRAIN, "rank"))


@pytest.mark.parametrize("method", ["minmax", "zscore"])
@pytest.mark.parametrize("scores", [[0.3], [0.3, 0.3, 0.3], [0.0, -0.0]])
def test_constant_scores_are_refused(method: str, scores: list[float]) -> None:
    for epsilon in [0.0] + [0.1] * (method == "minmax"):
        with pytest.raises(InputError) as error:
            Norm.fit(scores, method, epsilon)
        assert error.value.argument == "scores"


@pytest.mark.parametrize("method", ["minmax", "zscore"])
def test_a_spread_beyond_float64_is_refused(method: str) -> None:
    with pytest.raises(BoundError, match="scores"):
        Norm.fit([-1e308, 1e308], method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scores", [None, [], [0.1, math.nan], [math.inf, 0.0], "ab", [[0.1, 0.2]], [True, False], [None, 0.1]])
def test_scores_are_refused(method: str, scores: object) -> None:
    for call in (lambda: Norm.fit(scores, method), lambda: Norm.fit(TRAIN, method).apply(scores)):
        with pytest.raises(InputError) as error:
            call()
        assert error.value.argument == "scores"


@pytest.mark.parametrize("scores", [[-0.01, 0.5], [0.5, 1.01]])
def test_none_refuses_what_is_no_probability(scores: list[float]) -> None:
    for call in (lambda: Norm.fit(scores, "none"), lambda: Norm.fit(TRAIN, "none").apply(scores)):
        with pytest.raises(InputError) as error:
            call()
        assert error.value.argument == "scores"


@pytest.mark.parametrize("method", [None, "max", "MinMax", 1, ["minmax"]])
def test_method_is_refused(method: object) -> None:
    with pytest.raises(InputError) as error:
        Norm.fit(TRAIN, method)
    assert error.value.argument == "method"


@pytest.mark.parametrize(
    ("method", "epsilon"),
    [("minmax", bad) for bad in (-0.1, math.nan, math.inf, None, "0", True)] + [("rank", 0.1), ("zscore", 0.1), ("none", 0.1)],
)
def test_epsilon_is_refused(method: str, epsilon: object) -> None:
    with pytest.raises(InputError) as error:
        Norm.fit(TRAIN, method, epsilon)
    assert error.value.argument == "epsilon"


SAVED = {"method": "minmax", "epsilon": 0.0, "statistics": [0.1, 0.9]}


@pytest.mark.parametrize(
    ("saved", "name"),
    [
        (None, "norm"),
        ({}, "norm"),
        ({**SAVED, "more": 1}, "norm"),
        ({**SAVED, "method": "max"}, "method"),
        ({**SAVED, "epsilon": -1.0}, "epsilon"),
        ({**SAVED, "statistics": [0.9, 0.1]}, "statistics"),
        ({**SAVED, "statistics": [0.5, 0.5]}, "statistics"),
        ({**SAVED, "statistics": [0.1, 0.5, 0.9]}, "statistics"),
        ({**SAVED, "statistics": [0.1, math.nan]}, "statistics"),
        ({**SAVED, "statistics": None}, "statistics"),
        ({**SAVED, "statistics": []}, "statistics"),
        ({**SAVED, "method": "zscore", "statistics": [0.5, 0.0]}, "statistics"),
        ({**SAVED, "method": "zscore", "statistics": [0.5, -1.0]}, "statistics"),
        ({**SAVED, "method": "rank", "statistics": [0.5, 0.4]}, "statistics"),
        ({**SAVED, "method": "rank", "statistics": []}, "statistics"),
        ({**SAVED, "method": "none", "statistics": [0.5]}, "statistics"),
    ],
)
def test_damaged_norms_are_refused(saved: object, name: str) -> None:
    with pytest.raises(ModelError) as error:
        Norm.from_dict(saved)
    assert error.value.argument == name


# --- F -----------------------------------------------------------------------------------------------------------


def test_combine_is_the_printed_formula() -> None:
    p, q = np.array([0.2, 1.0]), np.array([0.6, 0.0])
    assert combine([p, q], [1.5, 0.5]) == pytest.approx((1.5 * p + 0.5 * q) / 2)
    assert combine([p, q], [1.5, 0.5], 0.1) == pytest.approx((1.5 * p + 0.5 * q + 0.1) / 2)
    assert combine([p, q, p], [1, 1, 1]) == pytest.approx((2 * p + q) / 3)
    assert combine([p], [5.0]) == pytest.approx(p)


def test_powers_are_scaled_to_the_number_of_parties() -> None:
    p, q = np.array([0.2, 1.0]), np.array([0.6, 0.0])
    for factor in (1.0, 7.0, 1e-300, 1e300):
        assert combine([p, q], [3 * factor, factor]) == pytest.approx((1.5 * p + 0.5 * q) / 2)


def test_powers_follow_the_separating_power() -> None:
    assert powers_from_auc([0.7, 0.6]) == pytest.approx([4 / 3, 2 / 3])
    assert powers_from_auc([0.9, 0.9, 0.9]) == pytest.approx([1, 1, 1])
    assert powers_from_auc([0.5, 0.3]) == pytest.approx([1, 1])
    useless = powers_from_auc([0.8, 0.4])
    assert useless == pytest.approx([2 * 0.3 / 0.301, 2 * 0.001 / 0.301])
    assert sum(useless) == pytest.approx(2.0)


def test_weighing_by_power_beats_the_weaker_side() -> None:
    rng = np.random.default_rng(5)
    y = rng.choice([-1, 1], 4000)
    scores = [rng.normal(size=4000) + 0.2 * y, rng.normal(size=4000) + 0.9 * y]
    aucs = [roc_auc(y, s) for s in scores]
    f = combine([Norm.fit(s).apply(s) for s in scores], powers_from_auc(aucs))
    assert roc_auc(y, f) > max(aucs)


@pytest.mark.parametrize("norms", [None, [], np.ones((2, 2)), [[0.1, 0.2], [0.1]], [[0.1], [math.nan]], [[0.1], None], "ab"])
def test_combine_refuses_norms(norms: object) -> None:
    with pytest.raises(InputError) as error:
        combine(norms, [1.0, 1.0])
    assert error.value.argument == "norms"


@pytest.mark.parametrize(
    "powers", [None, [1.0], [1, 1, 1], [1.0, 0.0], [1.0, -1.0], [math.nan, 1], [math.inf, 1], ["1", "1"], [True, True]]
)
def test_combine_refuses_powers(powers: object) -> None:
    with pytest.raises(InputError) as error:
        combine([[0.1], [0.2]], powers)
    assert error.value.argument == "powers"


@pytest.mark.parametrize("epsilon", [-0.1, math.nan, math.inf, None, True])
def test_combine_refuses_epsilon(epsilon: object) -> None:
    with pytest.raises(InputError) as error:
        combine([[0.1], [0.2]], [1, 1], epsilon)
    assert error.value.argument == "epsilon"


@pytest.mark.parametrize("auc", [None, [], 0.7, [0.7, 1.1], [-0.1, 0.7], [math.nan], ["0.7"], [None]])
def test_powers_from_auc_refuses(auc: object) -> None:
    with pytest.raises(InputError) as error:
        powers_from_auc(auc)
    assert error.value.argument == "auc"


# --- τ -----------------------------------------------------------------------------------------------------------

F = np.array([0.9, 0.8, 0.7, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
Y = np.array([1, 1, -1, 1, -1, 1, -1, -1, -1, -1])


def flagged(f: np.ndarray, tau: float) -> int:
    return int((classify(f, tau) > 0).sum())


@pytest.mark.parametrize(("share", "rows"), [(0.05, 0), (0.1, 1), (0.29, 2), (0.3, 2), (0.4, 4), (0.59, 5), (1.0, 10)])
def test_quota_flags_at_most_the_share_and_keeps_ties_together(share: float, rows: int) -> None:
    assert flagged(F, calibrate(F, by="quota", value=share)) == rows


def test_quota_shares_written_in_decimals_are_met_exactly() -> None:
    f = np.arange(100.0)
    for percent in range(1, 101):
        assert flagged(f, calibrate(f, by="quota", value=percent / 100)) == percent


def test_precision_flags_the_most_rows_that_reach_it() -> None:
    assert flagged(F, calibrate(F, Y, by="precision", value=1.0)) == 2
    assert flagged(F, calibrate(F, Y, by="precision", value=0.75)) == 4
    assert flagged(F, calibrate(F, Y, by="precision", value=0.66)) == 6  # 4 of 6, though 3 of 5 is less
    assert flagged(F, calibrate(F, Y, by="precision", value=0.4)) == 10


def test_ks_threshold_reaches_the_ks() -> None:
    tau = calibrate(F, Y, by="ks")
    picked = classify(F, tau)
    assert (picked[Y > 0] > 0).mean() - (picked[Y < 0] > 0).mean() == pytest.approx(ks(Y, F))
    assert calibrate([3, 2, 1, 0], [1, -1, 1, -1], by="ks") == 2.5  # of the equal gaps at 3 and at 1 the one with fewer rows


@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from([-1, 1])), min_size=2, max_size=30), st.integers(1, 20))
@settings(max_examples=200, deadline=None)
def test_calibration_is_the_best_cut_there_is(rows: list[tuple[int, int]], twentieth: int) -> None:
    f, y = np.array(rows).T
    value = twentieth / 20
    cuts = [f > t for t in [*np.unique(f), -1]]
    quota = max(int(c.sum()) for c in cuts if c.mean() <= value)
    assert flagged(f, calibrate(f, by="quota", value=value)) == quota
    if len(set(y.tolist())) == 2:
        reach = [int(c.sum()) for c in cuts if c.any() and (y[c] > 0).mean() >= value]
        if reach:
            assert flagged(f, calibrate(f, y, by="precision", value=value)) == max(reach)
        else:
            with pytest.raises(InputError, match="value"):
                calibrate(f, y, by="precision", value=value)


def test_classify_is_strict() -> None:
    labels = classify([0.2, 0.3, 0.30000000000000004], 0.3)
    assert labels.tolist() == [-1, -1, 1]
    assert labels.dtype == np.int8


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [({"by": bad, "value": 0.5}, "by") for bad in (None, "auc", 1, ["ks"])]
    + [({"by": "quota", "value": bad}, "value") for bad in (None, 0.0, -0.1, 1.1, math.nan, "0.1", True)]
    + [({"by": "precision", "value": bad, "y": Y}, "value") for bad in (None, 0.0, 1.1, math.nan)]
    + [({"by": "ks", "value": 0.5, "y": Y}, "value"), ({"by": "ks"}, "y"), ({"by": "precision", "value": 0.5}, "y")]
    + [({"by": "ks", "y": bad}, "y") for bad in ([1] * 10, [0, 1] * 5, [1, -1], "ab")],
)
def test_calibrate_refuses(arguments: dict[str, object], argument: str) -> None:
    with pytest.raises(InputError) as error:
        calibrate(F, **arguments)
    assert error.value.argument == argument


@pytest.mark.parametrize("f", [None, [], [math.nan], [[0.1]], "a", [True]])
def test_f_is_refused(f: object) -> None:
    for call in (lambda: calibrate(f, by="quota", value=0.1), lambda: classify(f, 0.1)):
        with pytest.raises(InputError) as error:
            call()
        assert error.value.argument == "f"


@pytest.mark.parametrize("tau", [None, math.nan, math.inf, "0.1", True])
def test_tau_is_refused(tau: object) -> None:
    with pytest.raises(InputError) as error:
        classify(F, tau)
    assert error.value.argument == "tau"
