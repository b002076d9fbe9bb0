"""The forward pass of the logistic residual with several hosts: cosines and sines of their halves' sum, from host to host to the guest.

Every party tells the others centre and reach of its half. The first host encrypts cos and sin of its own angles, 2K columns
(learn/sines.py). Every other one multiplies them by its own, so that they
become those of the sum of angles, puts them under fresh randomness and hands them on; the guest is last, and returns [[σ(u) − y]].
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..crypto.scheme import Public
from ..crypto.vector import CipherVector
from ..errors import ProtocolError
from ..learn import sines
from ..learn.sines import Waves, agreed_reach, is_reach
from . import messages as ms
from .forward import Arrival, pieces, residual_bound
from .link import Link
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


async def pass_on(link: Link, public: Public, half: Floats) -> None:
    """Host: send the cosines and sines of the sum up to its own half to the next host, or to the guest.

    Raises
    ------
    BoundError
        The half varies too much.
    ProtocolError
        Ranges or columns of others are not what is due.
    """
    agreed = await _agree(link, half)
    hosts = hosts_of(link)
    place = hosts.index(link.name)
    to = hosts[place + 1] if place + 1 < len(hosts) else "guest"
    if place == 0:
        columns = np.concatenate([sines.whole(part, sines.FIRST_BITS) for part in agreed.of(1, half)])
        for piece in pieces(half.size):
            link.stage("encrypt")
            encrypted = public.encrypt_encoded(columns[:, piece].ravel(), frac_bits=0, bound=columns_bound(0))
            await link.send(to, ms.Predictor(encrypted.limbs))
        return
    cosines, sine = (sines.whole(part, sines.NEXT_BITS) for part in agreed.of(place + 1, half))
    arrival = Arrival(public, hosts[place - 1], ms.Predictor, columns_bound(place - 1))
    for piece in pieces(half.size):
        came = await arrival.receive(link, 2 * agreed.terms * (piece.stop - piece.start))
        link.stage("encrypt")
        turned = CipherVector(public, _turned(came, cosines[:, piece], sine[:, piece]).vector, 0, columns_bound(place))
        await link.send(to, ms.Predictor(public.rerandomize(turned).limbs))


async def return_residual(
    link: Link, public: Public, half: Floats, labels: npt.NDArray[np.int8], settings: Settings, row_weights: Ints | None = None
) -> CipherVector:
    """Guest: return [[σ(u) − y]] times the rows' weights; every host gets it re-randomised.

    Raises
    ------
    BoundError, ProtocolError
        As `pass_on`.
    """
    agreed, hosts = await _agree(link, half), hosts_of(link)
    link.stage("residual")
    offset, multipliers = offset_and_factors(agreed, half, labels)
    arrival, parts = Arrival(public, hosts[-1], ms.Predictor, columns_bound(len(hosts) - 1)), []
    for piece in pieces(half.size):
        columns = await arrival.receive(link, len(multipliers) * (piece.stop - piece.start))
        link.stage("residual")
        part = weighed(columns, multipliers[:, piece]) + offset[piece]
        if row_weights is not None:
            part = part * row_weights[piece]
        bounded = CipherVector(public, part.vector, 0, residual_bound(settings, len(hosts) + 1))
        for host in hosts:
            link.stage("rerandomize")
            await link.send(host, ms.Residual(public.rerandomize(bounded).limbs))
        parts.append(bounded)
    return CipherVector.concatenate(parts)


async def _agree(link: Link, half: Floats) -> Waves:
    """Tell all data parties the range of the own half, and hear theirs."""
    ranges = {link.name: agreed_reach(half)}
    names = ["guest", *hosts_of(link)]
    others = [name for name in names if name != link.name]
    for other in others:
        await link.send(other, ms.HalfRange(*ranges[link.name]))
    for other in others:
        told = await link.receive(other, ms.HalfRange)
        if not is_reach(told.centre, told.scale):
            raise ProtocolError(other, "HalfRange", f"no centre and reach of a half: {told.centre!r}, {told.scale!r}")
        ranges[other] = told.centre, told.scale
    return Waves(tuple(ranges[name] for name in names))


def offset_and_factors(agreed: Waves, half: Floats, labels: npt.NDArray[np.int8]) -> tuple[Ints, Ints]:
    """Return ½ − y with y ∈ {0, 1}, shape (n_rows,), and the guest's factors of cosines and sines, shape (2K, n_rows)."""
    n_hosts = len(agreed.ranges) - 1
    half_unit = 1 << (sines.residual_bits(n_hosts) - 1)
    signs = 1 - 2 * (labels > 0).astype(np.int64 if n_hosts <= MOST_IN_INT64 else object)
    return signs * half_unit, np.concatenate(agreed.factors(half))


def plain_residual(half: Floats, others: list[Floats], labels: npt.NDArray[np.int8]) -> Ints:
    """Return the residual in the clear, what the encrypted one holds bit for bit: int64, of many hosts Python integers."""
    agreed = Waves(tuple(agreed_reach(one) for one in (half, *others)))
    exact = np.int64 if len(others) <= MOST_IN_INT64 else object
    columns = np.concatenate([sines.whole(part, sines.FIRST_BITS) for part in agreed.of(1, others[0])]).astype(exact)
    for place, other in enumerate(others[1:], start=2):
        cosines, sine = (sines.whole(part, sines.NEXT_BITS).astype(exact) for part in agreed.of(place, other))
        cos, sin = columns[: agreed.terms], columns[agreed.terms :]
        columns = np.concatenate([cos * cosines - sin * sine, sin * cosines + cos * sine])
    offset, multipliers = offset_and_factors(agreed, half, labels)
    found: Ints = offset + (multipliers.astype(exact) * columns).sum(axis=0)
    return found


def weighed(columns: CipherVector, factors: Ints) -> CipherVector:
    """Return [[Σ_k c_k·φ_k]] of the rows of a piece, which holds column after column; factors of shape (K, n_rows)."""
    products = columns * factors.ravel()
    n_rows = factors.shape[1]
    total = products[:n_rows]
    for k in range(1, len(factors)):
        total = total + products[k * n_rows : (k + 1) * n_rows]
    return total


def _turned(columns: CipherVector, cosines: Ints, sine: Ints) -> CipherVector:
    """[[cos(α + β)]], then [[sin(α + β)]], from those of α and the plain ones of β."""
    half = cosines.size
    cos, sin = columns[:half], columns[half:]
    c, s = cosines.ravel(), sine.ravel()
    return CipherVector.concatenate([cos * c - sin * s, sin * c + cos * s])
