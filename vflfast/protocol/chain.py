"""The forward pass of the logistic residual with several hosts: cosines and sines of their halves' sum, from host to host to the guest.

Every party tells the others centre and reach of its half. The first host encrypts cos and sin of its own angles, 2K columns
(learn/sines.py). Every other one multiplies them by its own, so that they
become those of the sum of angles, puts them under fresh randomness and hands them on; the guest is last, and returns [[σ(u) − y]].
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ..crypto.arrays import CipherArray
from ..crypto.scheme import Public
from ..errors import ProtocolError
from ..learn import sines
from ..learn.sines import Waves, agreed_reach, is_reach
from . import messages as ms
from .forward import Arrival, pieces, residual_bound
from .link import Link
from .multiplied import GuestFactors, Judged, Products, RoundWeights, plain_loss, return_products
from .settings import Settings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MOST_IN_INT64 = 4  # hosts: 12 + 10·4 binary places and a few bits above


def hosts_of(link: Link) -> list[str]:
    """Return all hosts in their order, this party included if it is one."""
    return sorted({link.name, *link.peers} - {"guest", "arbiter"}, key=lambda name: int(name.removeprefix("host")))


def columns_bound(place: int) -> int:
    """Return the bound of the columns that host number `place`, from 0, sends: |cos| and |sin| are at most 1, products are sums of two."""
    return 1 << sines.FIRST_BITS + (sines.NEXT_BITS + 1) * place


async def pass_on(link: Link, public: Public, half: Floats, bound: float | None = None) -> bool:
    """Host: send the cosines and sines of the sum up to its own half to the next host, or to the guest; return whether all can be trusted.

    Raises
    ------
    BoundError
        The half varies too much.
    ProtocolError
        Ranges or columns of others are not what is due.
    """
    agreed, trusted = await _agree(link, half, bound)
    hosts = hosts_of(link)
    place = hosts.index(link.name)
    to = hosts[place + 1] if place + 1 < len(hosts) else "guest"
    if place == 0:
        columns = np.concatenate([sines.whole(part, sines.FIRST_BITS) for part in agreed.of(1, half)])
        for piece in pieces(half.size):
            link.stage("encrypt")
            encrypted = public.encrypt_encoded(columns[:, piece].ravel(), frac_bits=0, bound=columns_bound(0))
            await link.send(to, ms.Predictor(encrypted.limbs))
        return trusted
    cosines, sine = (sines.whole(part, sines.NEXT_BITS) for part in agreed.of(place + 1, half))
    arrival = Arrival(public, hosts[place - 1], ms.Predictor, columns_bound(place - 1))
    for piece in pieces(half.size):
        came = await arrival.receive(link, 2 * agreed.terms * (piece.stop - piece.start))
        link.stage("encrypt")
        turned = CipherArray(public, _turned(came, cosines[:, piece], sine[:, piece]).vector, 0, columns_bound(place))
        await link.send(to, ms.Predictor(public.rerandomize(turned).limbs))
    return trusted


async def return_residual(
    link: Link, public: Public, half: Floats, labels: npt.NDArray[np.int8], settings: Settings, weights: RoundWeights
) -> Products:
    """Guest: return [[σ(u) − y]] times the rows' weights, and the summed loss of rows judged; every host gets it re-randomised.

    Raises
    ------
    BoundError, ProtocolError
        As `pass_on`.
    """
    (agreed, trusted), hosts = await _agree(link, half, weights.bound), hosts_of(link)
    link.stage("residual")
    arrival = Arrival(public, hosts[-1], ms.Predictor, columns_bound(len(hosts) - 1))
    judged = None if weights.judged is None else judged_rows(agreed, half, labels, weights.judged)
    own = GuestFactors(*offset_and_factors(agreed, half, labels), residual_bound(settings, len(hosts) + 1), weights.residual, judged)
    return replace(await return_products(link, public, arrival, hosts, own), trusted=trusted)


async def _agree(link: Link, half: Floats, bound: float | None) -> tuple[Waves, bool]:
    """Tell all data parties the range of the own half, and hear theirs; return whether all can be trusted, too."""
    ranges = {link.name: agreed_reach(half, bound)}
    names = ["guest", *hosts_of(link)]
    others = [name for name in names if name != link.name]
    for other in others:
        await link.send(other, ms.HalfRange(*ranges[link.name]))
    for other in others:
        told = await link.receive(other, ms.HalfRange)
        if not is_reach(told.centre, told.scale, tolerant=bound is not None):
            raise ProtocolError(other, "HalfRange", f"no centre and reach of a half: {told.centre!r}, {told.scale!r}")
        ranges[other] = told.centre, told.scale
    return Waves(tuple(sines.within(ranges[name]) for name in names)), all(sines.within(one) == one for one in ranges.values())


def offset_and_factors(agreed: Waves, half: Floats, labels: npt.NDArray[np.int8]) -> tuple[Ints, Ints]:
    """Return ½ − y with y ∈ {0, 1}, shape (n_rows,), and the guest's factors of cosines and sines, shape (2K, n_rows)."""
    n_hosts = len(agreed.ranges) - 1
    half_unit = 1 << (sines.residual_bits(n_hosts) - 1)
    signs = 1 - 2 * (labels > 0).astype(np.int64 if n_hosts <= MOST_IN_INT64 else object)
    return signs * half_unit, np.concatenate(agreed.factors(half))


def judged_rows(agreed: Waves, half: Floats, labels: npt.NDArray[np.int8], weights: Ints) -> Judged:
    """Return the guest's factors for the loss of rows."""
    constant, cosines, sine = agreed.loss_factors(half, labels)
    factors = sines.whole(np.concatenate([cosines, sine]), sines.NEXT_BITS)
    each = round(Fraction(constant) * (1 << sines.residual_bits(len(agreed.ranges) - 1)))
    return Judged(weights, np.full(half.size, each, dtype=object), factors)


def plain_products(half: Floats, others: list[Floats], labels: npt.NDArray[np.int8], weights: RoundWeights) -> Products:
    """Return the residual in the clear, int64 or of many hosts Python integers, and the summed loss of rows judged.

    Both are what the encrypted ones hold, bit for bit; the residual before the rows' weights.
    """
    told = [agreed_reach(one, weights.bound) for one in (half, *others)]
    agreed = Waves(tuple(map(sines.within, told)))
    exact = np.int64 if len(others) <= MOST_IN_INT64 else object
    columns = np.concatenate([sines.whole(part, sines.FIRST_BITS) for part in agreed.of(1, others[0])]).astype(exact)
    for place, other in enumerate(others[1:], start=2):
        cosines, sine = (sines.whole(part, sines.NEXT_BITS).astype(exact) for part in agreed.of(place, other))
        cos, sin = columns[: agreed.terms], columns[agreed.terms :]
        columns = np.concatenate([cos * cosines - sin * sine, sin * cosines + cos * sine])
    offset, multipliers = offset_and_factors(agreed, half, labels)
    loss = None if weights.judged is None else plain_loss(columns, judged_rows(agreed, half, labels, weights.judged))
    return Products(offset + (multipliers.astype(exact) * columns).sum(axis=0), loss, list(agreed.ranges) == told)


def _turned(columns: CipherArray, cosines: Ints, sine: Ints) -> CipherArray:
    """[[cos(α + β)]], then [[sin(α + β)]], from those of α and the plain ones of β."""
    half = cosines.size
    cos, sin = columns[:half], columns[half:]
    c, s = cosines.ravel(), sine.ravel()
    return CipherArray.concatenate([cos * c - sin * s, sin * c + cos * s])
