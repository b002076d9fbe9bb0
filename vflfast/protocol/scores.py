"""Scores on their way to the arbiter: normalisation, disguise, packing; and what the arbiter makes of them ([0148]–[0159])."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..crypto.codec import SlotPlan
from ..crypto.paillier import PublicKey
from ..errors import InputError
from ..learn.scoring import Norm
from . import messages as ms
from .settings import Settings

SCORE_BITS = 24  # scores are integers over 2^24
SCALE_BITS = 16  # of the secret factor of the disguise
SHIFT_BITS = 48  # of the secret shift; scores stay below 2^49 and exact as floats
SCORE_BOUND = 1 << (SHIFT_BITS + 1)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Disguise:
    """Secret positive affine map s → factor·s + shift on integers; min–max normalisation does not see it."""

    factor: int
    shift: int

    @classmethod
    def make(cls, settings: Settings) -> Disguise:
        """Return a fresh one, or the identity in the patent profile."""
        if settings.profile == "patent":
            return cls(1, 0)
        return cls(secrets.randbelow(1 << SCALE_BITS) + (1 << (SCALE_BITS - 1)), secrets.randbelow(1 << SHIFT_BITS))


def fixed_scores(probabilities: Floats, norm: Norm) -> tuple[npt.NDArray[np.int64], tuple[float, float, float, float]]:
    """Return scores as integers and (center, scale, low, high) with Norm = (clip(s, low, high) − center)/scale.

    All of them are whole, so that every disguise gives the same quotient to the last bit, and a score equal to τ stays equal to it.
    """
    unit = float(1 << SCORE_BITS)
    if norm.method == "rank":  # ranks are taken here: the arbiter would need all training scores for them
        return np.rint(norm.apply(probabilities) * unit).astype(np.int64), (0.0, unit, 0.0, unit)
    scores = np.rint(probabilities * unit).astype(np.int64)
    if norm.method == "none":
        return scores, (0.0, unit, 0.0, unit)
    first, second = (float(s) for s in norm.statistics)
    if norm.method == "zscore":
        return scores, (float(np.rint(first * unit)), max(float(np.rint(second * unit)), 1.0), -unit, 2 * unit)
    low, high = float(np.rint(first * unit)), float(np.rint(second * unit))
    if low == high:
        raise InputError("scores", "are equal to 7 decimals on the training rows; min-max cannot spread them")
    return scores, (low, high - low + float(np.rint(norm.epsilon * unit)), low, high)


def share(
    public: PublicKey, probabilities: Floats, norm: Norm, power: float, settings: Settings, order: npt.NDArray[np.int64]
) -> ms.ScoreShare:
    """Return one party's scores in the secret order, disguised, packed and encrypted for the arbiter."""
    disguise = Disguise.make(settings)
    scores, (center, scale, low, high) = fixed_scores(probabilities[order], norm)
    hidden = (scores * disguise.factor + disguise.shift).tolist()
    plan = score_plan(len(hidden), public)
    packed = np.empty(plan.n_plaintexts, dtype=object)
    packed[:] = plan.pack(hidden, sum(hidden))
    ciphertexts = public.encrypt_encoded(packed, frac_bits=0, bound=public.n // 2 - 1, alpha_bits=public.full_alpha_bits)
    image = (disguise.factor * x + disguise.shift for x in (center, low, high))
    center, low, high = image
    return ms.ScoreShare(len(hidden), ciphertexts.limbs, center, disguise.factor * scale, low, high, power)


def score_plan(n_rows: int, public: PublicKey) -> SlotPlan:
    """Return the packing of `n_rows` scores; the check slot carries their sum."""
    return SlotPlan.prove(n_rows, SCORE_BOUND, SCORE_BOUND * n_rows, public.key_bits)


def normalised(scores: list[int], share_: ms.ScoreShare) -> Floats:
    """Return Norm of opened scores."""
    values = np.array(scores, dtype=np.float64)
    return (np.clip(values, share_.low, share_.high) - share_.center) / share_.scale
