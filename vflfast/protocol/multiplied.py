"""The guest's side of the logistic residual: its own factors times encrypted columns, for one host and for several.

A piece of a message holds column after column of its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..crypto.arrays import CipherArray
from ..crypto.scheme import Public
from . import messages as ms
from .forward import Arrival, pieces
from .link import Link

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RoundWeights:
    """Of the guest's rows in a round: `residual` in the sums, None: all 1; `judged` in the loss of rows held out, None: no judgement.

    `bound`: in a run that searches for λ, that of the predictors, and halves that vary too much or go beyond it are no error.
    """

    residual: Ints | None = None
    judged: Ints | None = None
    bound: float | None = None


@dataclass(frozen=True)
class Products:
    """[[g]], in the twin g itself; the summed loss of rows judged; and whether all halves are within what can be trusted."""

    residual: Any
    loss: Any = None
    trusted: bool = True


@dataclass(frozen=True)
class Judged:
    """Rows whose log loss is summed: their weights, 0 of all others, and d_0 and d_1 … d_K of every row."""

    weights: Ints
    constant: Ints
    factors: Ints


@dataclass(frozen=True)
class GuestFactors:
    """What the guest multiplies and adds: g = weights·(constant + Σ_k factors_k·column_k), at most `bound` in magnitude."""

    constant: npt.NDArray[np.generic]
    factors: Ints
    bound: int
    weights: Ints | None = None
    judged: Judged | None = None


async def return_products(
    link: Link, public: Public, arrival: Arrival, hosts: Sequence[str], own: GuestFactors,
    answer: type[ms.Residual | ms.Curvature] = ms.Residual,
) -> Products:
    """Return [[g]] and, where rows are judged, the ciphertext of their summed loss; every host gets [[g]] re-randomised as `answer`.

    Raises
    ------
    ProtocolError
        Columns that are not what is due.
    """
    parts, losses = [], []
    for piece in pieces(own.factors.shape[1]):
        columns = await arrival.receive(link, len(own.factors) * (piece.stop - piece.start))
        link.stage("residual")
        part = weighed(columns, own.factors[:, piece]) + own.constant[piece]
        if own.weights is not None:
            part = part * own.weights[piece]
        bounded = CipherArray(public, part.vector, 0, own.bound)
        if own.judged is not None:
            losses += _loss(columns, own.judged, piece)
        for host in hosts:
            link.stage("rerandomize")
            await link.send(host, answer(public.rerandomize(bounded).limbs))
        parts.append(bounded)
    loss = CipherArray.concatenate(losses).sum(keepdims=True) if losses else None
    return Products(CipherArray.concatenate(parts), loss)


def weighed(columns: CipherArray, factors: Ints) -> CipherArray:
    """Return [[Σ_k c_k·φ_k]] of the rows of a piece, which holds column after column; factors of shape (K, n_rows)."""
    products = columns * factors.ravel()
    n_rows = factors.shape[1]
    total = products[:n_rows]
    for k in range(1, len(factors)):
        total = total + products[k * n_rows : (k + 1) * n_rows]
    return total


def _loss(columns: CipherArray, judged: Judged, piece: slice) -> list[CipherArray]:
    """The summed loss of a piece's judged rows, one ciphertext; none without such rows."""
    weights = judged.weights[piece]
    rows = np.flatnonzero(weights)
    if not rows.size:
        return []
    factors = judged.factors[:, piece][:, rows] * weights[rows]
    places = np.arange(len(factors))[:, None] * weights.size + rows
    return [(columns[places.ravel()] * factors.ravel()).sum(keepdims=True) + _whole_sum(judged.constant[piece][rows], weights[rows])]


def _whole_sum(constant: npt.NDArray[np.generic], weights: Ints) -> npt.NDArray[np.object_]:
    return np.array([sum(a * b for a, b in zip(constant.tolist(), weights.tolist(), strict=True))], dtype=object)


def plain_loss(columns: npt.NDArray[np.generic], judged: Judged) -> int:
    """Return the summed loss of the judged rows in the clear, of columns of shape (K, n_rows): what the ciphertext holds."""
    rows = np.flatnonzero(judged.weights)
    products = judged.factors[:, rows].astype(object) * columns[:, rows].astype(object)
    whole = products.sum(axis=0) + judged.constant[rows].astype(object)
    return int((whole * judged.weights[rows].astype(object)).sum())
