"""Scores on their way to the arbiter: fixed point, disguise, packing; the same labels out, whatever the disguise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.runs import private_key, settings

from vflfast.crypto import limbs as lm
from vflfast.crypto.slots import SlotPlan
from vflfast.errors import InputError
from vflfast.learn.scoring import Norm, calibrate, classify, combine
from vflfast.protocol import messages as ms
from vflfast.protocol import scores as sc

PROBABILITIES = np.random.default_rng(1).random(60) * 0.8 + 0.1
METHODS = ["minmax", "rank", "zscore", "none"]
CASES = [("hardened", method, 0.0) for method in METHODS[:3]] + [("patent", method, 0.0) for method in METHODS]
CASES += [(profile, "minmax", 0.05) for profile in ("hardened", "patent")]


# --- normalisation as a line -----------------------------------------------------------------------------------------


def plain_norm(scores: np.ndarray, center: float, scale: float, low: float, high: float) -> np.ndarray:
    return (np.clip(scores, low, high) - center) / scale


@pytest.mark.parametrize(("profile", "method", "epsilon"), CASES)
def test_the_line_gives_the_norm(profile: str, method: str, epsilon: float) -> None:
    norm = Norm.fit(PROBABILITIES, method, epsilon)
    later = np.concatenate([PROBABILITIES, [0.0, 0.05, 0.5, 0.95, 1.0]])
    scores, numbers = sc.linear_norm(later, norm, settings(profile=profile, norm=method))
    np.testing.assert_allclose(plain_norm(scores, *numbers), norm.apply(later), rtol=0, atol=1e-14)


def test_scores_too_close_together_are_refused() -> None:
    norm = Norm.fit(np.array([0.5, 0.5 + 1e-13, 0.5 + 2e-13]))
    with pytest.raises(InputError) as caught:
        sc.share(private_key().public, np.array([0.5]), norm, 1.0, settings(profile="patent"), np.arange(1))
    assert caught.value.argument == "scores"


@pytest.mark.parametrize("method", METHODS[:3])
def test_labels_are_the_same_in_both_profiles_and_in_every_session(method: str) -> None:
    sides = (PROBABILITIES, np.repeat(np.random.default_rng(5).random(20), 3))  # with equal scores
    norms = [Norm.fit(side, method) for side in sides]

    def combined(profile: str) -> np.ndarray:
        made = settings(profile=profile, norm=method)
        shares = [sc.share(private_key().public, s, n, 1.0, made, np.arange(60)) for s, n in zip(sides, norms, strict=True)]
        return combine([sc.normalised(opened(share), share) for share in shares], [0.7, 1.3])

    threshold = calibrate(combined("hardened"), by="quota", value=0.2)
    assert combined("hardened").tobytes() == combined("hardened").tobytes()
    np.testing.assert_array_equal(classify(combined("hardened"), threshold), classify(combined("patent"), threshold))


def test_the_arbiter_cannot_tell_the_probabilities() -> None:
    """Two very different distributions of probabilities with the same shape look the same to it; in the patent profile they do not."""
    low, high = PROBABILITIES / 10, PROBABILITIES / 10 + 0.8

    def sent(profile: str) -> list[np.ndarray]:
        shares = [sc.share(private_key().public, p, Norm.fit(p), 1.0, settings(profile=profile), np.arange(60)) for p in (low, high)]
        return [np.array([*opened(s), s.center, s.scale, s.low, s.high]) / sc.UNIT for s in shares]

    np.testing.assert_allclose(*sent("hardened"), atol=1e-9)
    assert np.abs(np.subtract(*sent("patent"))).max() > 0.5


# --- shares --------------------------------------------------------------------------------------------------------------


def opened(share: ms.ScoreShare) -> list[int]:
    private = private_key()
    vector = private.public.parse(share.ciphertexts, frac_bits=0, bound=private.public.n // 2 - 1)
    values, check = SlotPlan.prove(share.n_rows, sc.SCORE_BOUND, sc.SCORE_BOUND * share.n_rows, private.public.key_bits).unpack(
        lm.to_ints(private.decrypt_residues(vector))
    )
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


def test_two_shares_of_the_same_scores_have_no_ciphertext_in_common() -> None:
    order = np.arange(60)
    shares = [sc.share(private_key().public, PROBABILITIES, Norm.fit(PROBABILITIES), 1.0, settings(), order) for _ in range(2)]
    assert not set(lm.to_ints(shares[0].ciphertexts)) & set(lm.to_ints(shares[1].ciphertexts))


@pytest.mark.parametrize("profile", ["patent", "hardened"])
def test_packing_saves_ciphertexts(profile: str) -> None:
    share: Any = sc.share(
        private_key().public, np.tile(PROBABILITIES, 10), Norm.fit(PROBABILITIES), 1.0, settings(profile=profile), np.arange(600)
    )
    assert len(share.ciphertexts) <= 600 // 9
