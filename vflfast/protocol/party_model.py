"""What a training run leaves with a data party."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..learn.checks import Floats
from ..learn.inference import Inference
from .joint import ScoreScale
from .leakage import LeakLedger
from .settings import Settings


@dataclass
class PartyModel:
    """What a data party keeps of a training run: its own half, never another's.

    Attributes
    ----------
    weights, intercept
        u = Z·weights + intercept over its own integer columns; the guest's intercept holds the model's.
    losses
        Cross-entropy of the own half after each round, or mean |Δu| where the party has no labels.
    hashes
        SHA-256 of the weights after each round.
    norm
        Frozen normalisation of its scores.
    woe
        WOE integers that the guest gave for the host's classes, shape (n_features, classes).
    left_out
        Numbers of the columns that were left out because they set rows apart.
    scale
        Of the joint score, where labels come from it.
    tried
        The guest's with ``alpha = "search"``: every λ that was tried, and the mean log loss of the rows held out.
    inference
        Standard errors of its weights and what goes with them, where the settings ask for them.
    """

    name: str
    weights: Floats
    intercept: float
    alpha: float
    n_iter: int
    stopped: bool
    losses: list[float]
    hashes: list[str]
    ledger: LeakLedger
    session: str
    settings: Settings
    norm: dict[str, Any] | None = None
    train_labels: npt.NDArray[np.int8] | None = field(default=None, repr=False)
    train_scores: Floats | None = field(default=None, repr=False)
    woe: npt.NDArray[np.int64] | None = field(default=None, repr=False)
    left_out: tuple[int, ...] = ()
    scale: ScoreScale | None = field(default=None, repr=False)
    tried: list[tuple[float, float]] | None = None
    inference: Inference | None = field(default=None, repr=False)
