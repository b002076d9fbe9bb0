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

UNIT = float(1 << 24)  # the patent profile sends probabilities as integers over this
FACTOR_BITS = 40  # of the hardened profile's factor
SHIFT_BITS = 48  # of its shift; scores stay below 2^49 and exact as floats
SCORE_BOUND = 1 << (SHIFT_BITS + 1)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Disguise:
    """Secret positive affine map s → round(factor·s) + shift; min–max normalisation does not see it.

    The factor is no whole number and the scores have all their 53 bits: were both whole, the greatest common divisor of the
    differences would be the factor.
    """

    factor: float
    shift: int

    @classmethod
    def make(cls, settings: Settings) -> Disguise:
        """Return a fresh one with 2^39 ≤ factor < 2^40, or bare fixed point in the patent profile."""
        if settings.profile == "patent":
            return cls(UNIT, 0)
        return cls(2.0 ** (FACTOR_BITS - 1) * (1.0 + secrets.randbits(52) / 2.0**52), secrets.randbits(SHIFT_BITS))

    def hide(self, scores: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the scores' images, exact integers."""
        return np.rint(np.asarray(scores, dtype=np.float64) * self.factor).astype(np.int64) + self.shift


def linear_norm(probabilities: Floats, norm: Norm) -> tuple[Floats, tuple[float, float, float, float]]:
    """Return scores s and (center, scale, low, high) with Norm = (clip(s, low, high) − center)/scale."""
    if norm.method == "rank":  # ranks are taken here: the arbiter would need all training scores for them
        return norm.apply(probabilities), (0.0, 1.0, 0.0, 1.0)
    if norm.method == "none":
        return probabilities, (0.0, 1.0, 0.0, 1.0)
    first, second = (float(s) for s in norm.statistics)
    if norm.method == "zscore":
        return probabilities, (first, second, -1.0, 2.0)
    return probabilities, (first, second - first + norm.epsilon, first, second)


def share(
    public: PublicKey, probabilities: Floats, norm: Norm, power: float, settings: Settings, order: npt.NDArray[np.int64]
) -> ms.ScoreShare:
    """Return one party's scores in the secret order, disguised, packed and encrypted for the arbiter.

    Raises
    ------
    InputError
        Training scores so close together that their images are equal.
    """
    disguise = Disguise.make(settings)
    scores, (center, scale, low, high) = linear_norm(probabilities[order], norm)
    hidden = disguise.hide(scores).tolist()
    hidden_scale = float(np.rint(disguise.factor * scale))
    if hidden_scale < 1:
        raise InputError("scores", "of the training rows are too close together to spread them")
    plan = score_plan(len(hidden), public)
    packed = np.empty(plan.n_plaintexts, dtype=object)
    packed[:] = plan.pack(hidden, sum(hidden))
    ciphertexts = public.encrypt_encoded(packed, frac_bits=0, bound=public.n // 2 - 1, alpha_bits=public.full_alpha_bits)
    image = disguise.hide([center, low, high])
    return ms.ScoreShare(len(hidden), ciphertexts.limbs, float(image[0]), hidden_scale, float(image[1]), float(image[2]), power)


def score_plan(n_rows: int, public: PublicKey) -> SlotPlan:
    """Return the packing of `n_rows` scores; the check slot carries their sum."""
    return SlotPlan.prove(n_rows, SCORE_BOUND, SCORE_BOUND * n_rows, public.key_bits)


def normalised(scores: list[int], share_: ms.ScoreShare) -> Floats:
    """Return Norm of opened scores."""
    values = np.array(scores, dtype=np.float64)
    return (np.clip(values, share_.low, share_.high) - share_.center) / share_.scale
