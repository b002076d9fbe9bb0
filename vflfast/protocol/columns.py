"""The forward pass of the logistic residual with one host: K columns of its half, encrypted, to the guest, and [[σ(u′ + u″) − y]] back.

In pieces of rows, as [[u″]] of the Taylor residual (forward.py): a piece holds column after column of its rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..crypto.scheme import Public
from ..crypto.vector import CipherVector
from ..errors import ProtocolError
from ..learn import residual
from ..learn.residual import Range, Tables
from . import messages as ms
from .chain import weighed
from .forward import Arrival, pieces, residual_bound
from .link import Link
from .settings import Settings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
PHI_BOUND = 1 << residual.PHI_BITS


async def send_columns(link: Link, public: Public, half: Floats) -> None:
    """Host: send [[φ_k(u″)]], of the tables of both halves' ranges.

    Raises
    ------
    BoundError
        u″ varies too much.
    ProtocolError
        The guest's range is none.
    """
    own = residual.agreed_range(half)
    columns = residual.tables(await _exchanged(link, "guest", own), own).columns(half)
    for piece in pieces(half.size):
        link.stage("encrypt")
        encrypted = public.encrypt_encoded(columns[:, piece].ravel(), frac_bits=0, bound=PHI_BOUND)
        await link.send("guest", ms.Predictor(encrypted.limbs))


async def return_residual(
    link: Link, host: str, public: Public, half: Floats, labels: npt.NDArray[np.int8], settings: Settings, row_weights: Ints | None = None
) -> CipherVector:
    """Guest: return [[σ(u′ + u″) − y]] times the rows' weights; the host gets it re-randomised.

    Raises
    ------
    ProtocolError
        The host's range or columns are not what is due.
    """
    own = residual.guest_range(half)
    made = residual.tables(own, await _exchanged(link, host, own))
    link.stage("residual")
    constant, factors = offset_and_factors(made, half, labels)
    arrival, parts = Arrival(public, host, ms.Predictor, PHI_BOUND), []
    for piece in pieces(half.size):
        columns = await arrival.receive(link, len(factors) * (piece.stop - piece.start))
        link.stage("residual")
        part = weighed(columns, factors[:, piece]) + constant[piece]
        if row_weights is not None:
            part = part * row_weights[piece]
        bounded = CipherVector(public, part.vector, 0, residual_bound(settings, 2))
        link.stage("rerandomize")
        await link.send(host, ms.Residual(public.rerandomize(bounded).limbs))
        parts.append(bounded)
    return CipherVector.concatenate(parts)


async def _exchanged(link: Link, other: str, own: Range) -> Range:
    """Tell the other party the range of the own half, and hear that of its half."""
    await link.send(other, ms.HalfRange(*own))
    told = await link.receive(other, ms.HalfRange)
    if not residual.is_agreed(told.centre, told.scale):
        raise ProtocolError(other, "HalfRange", f"no centre and scale of a half: {told.centre!r}, {told.scale!r}")
    return told.centre, told.scale


def offset_and_factors(made: Tables, half: Floats, labels: npt.NDArray[np.int8]) -> tuple[Ints, Ints]:
    """Return c_0(u′) − y with y ∈ {0, 1}, shape (n_rows,), and c_k(u′), shape (K, n_rows), in their binary places."""
    constant, factors = made.multipliers(half)
    return constant - ((labels > 0).astype(np.int64) << residual.RESIDUAL_BITS), factors


def plain_residual(half: Floats, other: Floats, labels: npt.NDArray[np.int8]) -> Ints:
    """Return the residual in the clear, of the guest's half and the host's: what the encrypted one holds, bit for bit."""
    made = residual.tables(residual.guest_range(half), residual.agreed_range(other))
    constant, factors = offset_and_factors(made, half, labels)
    found: Ints = constant + (factors * made.columns(other)).sum(axis=0)
    return found
