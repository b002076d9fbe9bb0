"""The forward pass of the logistic residual with one host: K columns of its half, encrypted, to the guest, and [[σ(u′ + u″) − y]] back.

In pieces of rows, as [[u″]] of the Taylor residual (forward.py): a piece holds column after column of its rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..crypto.scheme import Public
from ..errors import ProtocolError
from ..learn import residual
from ..learn.residual import Range, Tables
from . import messages as ms
from .forward import Arrival, pieces, residual_bound
from .link import Link
from .multiplied import GuestFactors, Judged, Products, RoundWeights, plain_loss, return_products
from .settings import Settings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
PHI_BOUND = 1 << residual.PHI_BITS


async def send_columns(
    link: Link, public: Public, half: Floats, bound: float | None = None, *, judging: bool = False, bits: int = residual.PHI_BITS
) -> bool:
    """Host: send [[φ_k(u″)]], of the tables of both halves' ranges; return whether both halves are within what can be trusted.

    Raises
    ------
    BoundError
        u″ varies too much.
    ProtocolError
        The guest's range is none.
    """
    own = residual.agreed_range(half, bound)
    told = await _exchanged(link, "guest", own, tolerant=bound is not None)
    columns = residual.tables(residual.within(told), residual.within(own), judging=judging).columns(half, bits)
    for piece in pieces(half.size):
        link.stage("encrypt")
        encrypted = public.encrypt_encoded(columns[:, piece].ravel(), frac_bits=0, bound=1 << bits)
        await link.send("guest", ms.Predictor(encrypted.limbs))
    return _trusted(own, told)


async def return_residual(
    link: Link, host: str, public: Public, half: Floats, labels: npt.NDArray[np.int8], settings: Settings, weights: RoundWeights
) -> Products:
    """Guest: return [[σ(u′ + u″) − y]] times the rows' weights, and the summed loss of rows judged; the host gets it re-randomised.

    Raises
    ------
    ProtocolError
        The host's range or columns are not what is due.
    """
    own = residual.guest_range(half, weights.bound)
    told = await _exchanged(link, host, own, tolerant=weights.bound is not None)
    made = residual.tables(residual.within(own), residual.within(told), judging=weights.judged is not None)
    link.stage("residual")
    arrival = Arrival(public, host, ms.Predictor, PHI_BOUND)
    found = await return_products(link, public, arrival, [host], _guest_factors(made, half, labels, settings, weights))
    return replace(found, trusted=_trusted(own, told))


async def return_curvature(link: Link, host: str, public: Public, half: Floats, bound: float, weights: Ints | None, most: int) -> Products:
    """Guest: return [[σ′(u′ + u″)]] times the rows' weights, at most `most` in magnitude; the host gets it re-randomised.

    Raises
    ------
    ProtocolError
        The host's range or columns are not what is due.
    """
    own = residual.guest_range(half, bound)
    told = await _exchanged(link, host, own, tolerant=True)
    made = residual.tables(residual.within(own), residual.within(told))
    arrival = Arrival(public, host, ms.Predictor, 1 << residual.CURVATURE_PHI_BITS)
    factors = GuestFactors(*made.curvature_multipliers(half), most, weights)
    return replace(await return_products(link, public, arrival, [host], factors, ms.Curvature), trusted=_trusted(own, told))


def plain_curvature(half: Floats, other: Floats, bound: float) -> Ints:
    """Return σ′(u′ + u″) in the clear, before the rows' weights: what the encrypted ones hold."""
    own, told = residual.guest_range(half, bound), residual.agreed_range(other, bound)
    made = residual.tables(residual.within(own), residual.within(told))
    constant, factors = made.curvature_multipliers(half)
    found: Ints = constant + (factors * made.columns(other, residual.CURVATURE_PHI_BITS)).sum(axis=0)
    return found


def _guest_factors(made: Tables, half: Floats, labels: npt.NDArray[np.int8], settings: Settings, weights: RoundWeights) -> GuestFactors:
    judged = None if weights.judged is None else Judged(weights.judged, *made.loss_multipliers(half, labels))
    constant, factors = offset_and_factors(made, half, labels)
    return GuestFactors(constant, factors, residual_bound(settings, 2), weights.residual, judged)


def _trusted(*halves: Range) -> bool:
    return all(residual.within(half) == half for half in halves)


async def _exchanged(link: Link, other: str, own: Range, *, tolerant: bool = False) -> Range:
    """Tell the other party the range of the own half, and hear that of its half."""
    await link.send(other, ms.HalfRange(*own))
    told = await link.receive(other, ms.HalfRange)
    if not residual.is_agreed(told.centre, told.scale, tolerant=tolerant):
        raise ProtocolError(other, "HalfRange", f"no centre and scale of a half: {told.centre!r}, {told.scale!r}")
    return told.centre, told.scale


def offset_and_factors(made: Tables, half: Floats, labels: npt.NDArray[np.int8]) -> tuple[Ints, Ints]:
    """Return c_0(u′) − y with y ∈ {0, 1}, shape (n_rows,), and c_k(u′), shape (K, n_rows), in their binary places."""
    constant, factors = made.multipliers(half)
    return constant - ((labels > 0).astype(np.int64) << residual.RESIDUAL_BITS), factors


def plain_products(half: Floats, other: Floats, labels: npt.NDArray[np.int8], weights: RoundWeights) -> Products:
    """Return the residual in the clear, before the rows' weights, and the summed loss of rows judged: what the encrypted ones hold."""
    own, told = residual.guest_range(half, weights.bound), residual.agreed_range(other, weights.bound)
    made = residual.tables(residual.within(own), residual.within(told), judging=weights.judged is not None)
    columns = made.columns(other)
    constant, factors = offset_and_factors(made, half, labels)
    loss = None if weights.judged is None else plain_loss(columns, Judged(weights.judged, *made.loss_multipliers(half, labels)))
    return Products(constant + (factors * columns).sum(axis=0), loss, _trusted(own, told))
