"""Half scores on their way to the arbiter, for F: normalisation, packing; and what the arbiter makes of them ([0148]–[0159])."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..crypto.scheme import Public
from ..errors import InputError, ModelError
from ..learn.logistic import sigmoid
from ..learn.scoring import Norm
from . import messages as ms
from .settings import Settings

UNIT = float(1 << 40)  # scores are integers over this
LARGEST_ZSCORE = 256.0
SCORE_BOUND = 1 << 49  # above 256 · 2^40; exact as a float

Floats = npt.NDArray[np.float64]
Line = tuple[float, float, float, float]
T = TypeVar("T")


def fitted_norm(predictor: Floats, settings: Settings) -> Norm | None:
    """Return the frozen normalisation of a half's training probabilities.

    None where labels come from the joint score and no normalisation spreads this half's.

    Raises
    ------
    InputError
        Labels come from F, and the half's scores cannot be normalised.
    """
    try:
        return Norm.fit(sigmoid(predictor), settings.norm, settings.epsilon)
    except InputError:
        if settings.scoring == "combined":
            raise
        return None


def required(name: str, part: T | None) -> T:
    """Return a part of a model that scoring needs; ModelError where the model has none."""
    if part is None:
        raise ModelError(name, "is missing: the model was trained for another kind of labels (setting scoring)")
    return part


def linear_norm(probabilities: Floats, norm: Norm, settings: Settings) -> tuple[Floats, Line]:
    """Return what is sent of the scores, and (center, scale, low, high) with Norm = (clip(s, low, high) − center)/scale.

    In the hardened profile the party normalises by itself: Norm(P) is then the secret positive affine image, since only the party knows
    the training minimum and maximum (or mean and deviation). A random factor on top would hide nothing: the arbiter computes Norm.
    In the patent profile P goes out as it is, with its statistics.
    """
    agreed = agreed_line(settings.profile, norm.method)
    if agreed is not None:
        return np.clip(norm.apply(probabilities), *agreed[2:]), agreed
    first, second = (float(s) for s in norm.statistics)
    if norm.method == "zscore":
        return probabilities, (first, second, first - LARGEST_ZSCORE * second, first + LARGEST_ZSCORE * second)
    return probabilities, (first, second - first + norm.epsilon, first, second)


def agreed_line(profile: str, method: str) -> Line | None:
    """Return the line of a share whose scores are normalised by their sender; None where the line is the sender's own statistics."""
    if profile == "patent" and method in ("minmax", "zscore"):
        return None
    return (0.0, 1.0, -LARGEST_ZSCORE, LARGEST_ZSCORE) if method == "zscore" else (0.0, 1.0, 0.0, 1.0)


def share(
    public: Public, probabilities: Floats, norm: Norm, power: float, settings: Settings, order: npt.NDArray[np.int64]
) -> ms.ScoreShare:
    """Return one party's scores in the secret order, packed and encrypted for the arbiter.

    Raises
    ------
    InputError
        Training scores so close together that fixed point cannot tell them apart.
    """
    scores, line = linear_norm(probabilities[order], norm, settings)
    fixed = np.rint(scores * UNIT).astype(np.int64).tolist()
    center, scale, low, high = (float(np.rint(x * UNIT)) for x in line)
    if scale < 1:
        raise InputError("scores", "of the training rows are too close together to spread them")
    return ms.ScoreShare(len(fixed), public.pack_to_holder(fixed, SCORE_BOUND).limbs, center, scale, low, high, power)


def normalised(scores: list[int], share_: ms.ScoreShare) -> Floats:
    """Return Norm of opened scores."""
    values = np.array(scores, dtype=np.float64)
    return (np.clip(values, share_.low, share_.high) - share_.center) / share_.scale
