"""Scores on their way to the arbiter: fixed point, disguise, packing; the same labels out, whatever the disguise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from made_runs import private_key, settings

from vflfast.crypto import limbs as lm
from vflfast.errors import InputError
from vflfast.learn.scoring import Norm, calibrate, classify, combine
from vflfast.protocol import messages as ms
from vflfast.protocol import scores as sc

PROBABILITIES = np.random.default_rng(1).random(60) * 0.8 + 0.1
METHODS = ["minmax", "rank", "zscore", "none"]


# --- normalisation as a line -----------------------------------------------------------------------------------------


def plain_norm(scores: np.ndarray, center: float, scale: float, low: float, high: float) -> np.ndarray:
    return (np.clip(scores, low, high) - center) / scale


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("epsilon", [0.0, 0.05])
def test_the_line_gives_the_norm(method: str, epsilon: float) -> None:
    if epsilon and method != "minmax":
        return
    norm = Norm.fit(PROBABILITIES, method, epsilon)
    later = np.concatenate([PROBABILITIES, [0.0, 0.05, 0.5, 0.95, 1.0]])
    scores, numbers = sc.linear_norm(later, norm)
    np.testing.assert_allclose(plain_norm(scores, *numbers), norm.apply(later), rtol=0, atol=1e-15)


def test_scores_too_close_together_are_refused() -> None:
    norm = Norm.fit(np.array([0.5, 0.5 + 1e-13, 0.5 + 2e-13]))
    with pytest.raises(InputError) as caught:
        sc.share(private_key().public, np.array([0.5]), norm, 1.0, settings(), np.arange(1))
    assert caught.value.argument == "scores"


# --- disguise ----------------------------------------------------------------------------------------------------------


def test_the_patent_sends_probabilities_as_they_are() -> None:
    assert sc.Disguise.make(settings(profile="patent")) == sc.Disguise(sc.UNIT, 0)
    assert sc.Disguise(sc.UNIT, 0).hide([0.25, 0.5, 1.0]).tolist() == [1 << 22, 1 << 23, 1 << 24]


def test_a_disguise_is_fresh_positive_and_within_its_slot() -> None:
    made = [sc.Disguise.make(settings()) for _ in range(500)]
    assert len({d.shift for d in made}) == 500
    assert len({d.factor for d in made}) == 500
    assert all(2.0**39 <= d.factor < 2.0**40 and 0 <= d.shift < 1 << 48 for d in made)
    largest = (1 << 40) + (1 << 48) - 1
    assert largest < sc.SCORE_BOUND
    assert largest < 1 << 53  # exact as a float


def disguised(norm: Norm, values: np.ndarray, disguise: sc.Disguise) -> np.ndarray:
    scores, (center, scale, low, high) = sc.linear_norm(values, norm)
    image = [float(x) for x in disguise.hide([center, low, high])]
    share = ms.ScoreShare(len(values), np.zeros((1, 1), dtype=np.uint64), image[0], round(disguise.factor * scale), image[1], image[2], 1.0)
    return sc.normalised(disguise.hide(scores).tolist(), share)


@pytest.mark.parametrize("method", METHODS)
@examples(max_examples=60, deadline=None)
@given(factor=st.floats(2.0**39, 2.0**40), shift=st.integers(0, (1 << 48) - 1), epsilon=st.sampled_from([0.0, 0.013]))
def test_a_disguise_keeps_the_norm(method: str, factor: float, shift: int, epsilon: float) -> None:
    norm = Norm.fit(PROBABILITIES, method, epsilon if method == "minmax" else 0.0)
    np.testing.assert_allclose(disguised(norm, PROBABILITIES, sc.Disguise(factor, shift)), norm.apply(PROBABILITIES), rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", ["minmax", "rank", "zscore"])
def test_labels_do_not_depend_on_the_disguise(method: str) -> None:
    """A threshold calibrated in one session flags the same rows in every other, the rows next to it included."""
    rng = np.random.default_rng(5)
    sides = (PROBABILITIES, np.repeat(rng.random(20), 3))  # with equal scores
    norms = [Norm.fit(side, method) for side in sides]

    def combined() -> np.ndarray:
        return combine([disguised(n, v, sc.Disguise.make(settings())) for n, v in zip(norms, sides, strict=True)], [0.7, 1.3])

    threshold = calibrate(combined(), by="quota", value=0.2)
    assert len({classify(combined(), threshold).tobytes() for _ in range(40)}) == 1


def test_the_arbiter_cannot_tell_the_probabilities() -> None:
    """The control: one disguise serves two very different distributions of probabilities with the same shape."""
    low, high = PROBABILITIES / 10, PROBABILITIES / 10 + 0.8
    one = disguised(Norm.fit(low), low, sc.Disguise(2.0**39.3, 2**40))
    other = disguised(Norm.fit(high), high, sc.Disguise(2.0**39.8, 2**47))
    np.testing.assert_allclose(one, other, atol=1e-9)


def differences_over_their_divisor(values: list[int]) -> np.ndarray:
    divisor = math.gcd(*(value - values[0] for value in values))
    return np.array([(value - values[0]) / divisor / sc.UNIT for value in values])


def test_the_factor_of_the_disguise_is_secret() -> None:
    """An arbiter that takes the gcd of the differences would have the factor, and with it P_i − P_j of every two customers."""
    truth = PROBABILITIES - PROBABILITIES[0]
    share = sc.share(private_key().public, PROBABILITIES, Norm.fit(PROBABILITIES), 1.0, settings(), np.arange(60))
    assert np.abs(differences_over_their_divisor(opened(share)) - truth).max() > 1e-3
    whole = np.rint(PROBABILITIES * sc.UNIT).astype(np.int64) * 54_321 + 2**40  # the control: whole scores, whole factor
    assert np.abs(differences_over_their_divisor(whole.tolist()) - truth).max() < 1e-6


# --- shares --------------------------------------------------------------------------------------------------------------


def opened(share: ms.ScoreShare) -> list[int]:
    private = private_key()
    vector = private.public.parse(share.ciphertexts, frac_bits=0, bound=private.public.n // 2 - 1)
    values, check = sc.score_plan(share.n_rows, private.public).unpack(lm.to_ints(private.decrypt_residues(vector)))
    assert sum(values) == check
    return values


@pytest.mark.parametrize("profile", ["patent", "hardened"])
@pytest.mark.parametrize("n_rows", [1, 2, 9, 10, 60])
def test_a_share_carries_the_scores_in_the_secret_order(profile: str, n_rows: int) -> None:
    order = np.random.default_rng(n_rows).permutation(n_rows)
    norm = Norm.fit(PROBABILITIES)
    share = sc.share(private_key().public, PROBABILITIES[:n_rows], norm, 0.75, settings(profile=profile), order)
    assert (share.n_rows, share.power) == (n_rows, 0.75)
    np.testing.assert_allclose(sc.normalised(opened(share), share), norm.apply(PROBABILITIES[:n_rows][order]), atol=1e-6)
    if profile == "patent":
        np.testing.assert_array_equal(np.array(opened(share)), np.rint(PROBABILITIES[:n_rows][order] * sc.UNIT))


def test_two_shares_of_the_same_scores_have_nothing_in_common() -> None:
    order = np.arange(60)
    shares = [sc.share(private_key().public, PROBABILITIES, Norm.fit(PROBABILITIES), 1.0, settings(), order) for _ in range(2)]
    assert not set(lm.to_ints(shares[0].ciphertexts)) & set(lm.to_ints(shares[1].ciphertexts))
    assert set(opened(shares[0])).isdisjoint(opened(shares[1]))
    first, second = ({s.center, s.scale, s.low, s.high} for s in shares)
    assert not first & second


@pytest.mark.parametrize("profile", ["patent", "hardened"])
def test_packing_saves_ciphertexts(profile: str) -> None:
    share: Any = sc.share(
        private_key().public, np.tile(PROBABILITIES, 10), Norm.fit(PROBABILITIES), 1.0, settings(profile=profile), np.arange(600)
    )
    assert len(share.ciphertexts) <= 600 // 9
