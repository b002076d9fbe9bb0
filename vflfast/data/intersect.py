"""Private set intersection by Diffie–Hellman (protocol §2, [0095]–[0098]): the messages of guest and hosts, without any I/O.

With secret scalars a of the guest and b of a host, both fresh per pair and run, H(id)^ab is the same from either side:

    guest → host  Request  A = {H(x)^a}, sorted
    host → guest  Reply    B = {H(y)^b}, sorted; A^b in the order of A
    guest → host  Common   which of B all parties have, and the commitment to the common rows

Sorted by blinded points, which are random to everyone else, a set shows nothing of the order of its rows. The guest
learns which of its ids each host has; a host learns which of its ids all parties have; both learn the sizes of the sets.
Ids that are not common stay blinded by a scalar that never leaves its party. The rows' order is that of
HMAC-SHA256(session, id), which every party computes from its own ids, so equal commitments mean equal ids.
The promise is the run's: parties that follow the protocol and do not collude.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError, InputError, ProtocolError
from ..params import MAX_IDS, MIN_PSI_SESSION_BYTES
from .group import Group, Points, from_array, to_array
from .ids import Ids, Tokens, commitment, protect
from .rows import row_numbers

_ORDER = b"vflfast-psi-order-v1"


@dataclass(frozen=True, eq=False)
class Request:
    """Guest to host: the guest's blinded ids, uint8, shape (n, 32), strictly ascending."""

    points: Points

    @property
    def n_bytes(self) -> int:
        """Size on the wire."""
        return self.points.nbytes


@dataclass(frozen=True, eq=False)
class Reply:
    """Host to guest: the host's blinded ids, strictly ascending, and the guest's, blinded once more, in their order."""

    points: Points
    echo: Points

    @property
    def n_bytes(self) -> int:
        """Size on the wire."""
        return self.points.nbytes + self.echo.nbytes


@dataclass(frozen=True, eq=False)
class Common:
    """Guest to host: places in the host's `points` that all parties share, ascending; the commitment to the rows."""

    places: npt.NDArray[np.uint32]
    commitment: bytes

    @property
    def n_bytes(self) -> int:
        """Size on the wire."""
        return self.places.nbytes + len(self.commitment)


@dataclass(frozen=True, eq=False)
class CommonRows:
    """A party's own rows of the common ids, in the common order, and the tokens of that order.

    Attributes
    ----------
    positions
        int64, shape (n_matched,).
    tokens
        uint8, shape (n_matched, 32): HMAC-SHA256(session, id), ascending.
    """

    positions: npt.NDArray[np.int64]
    tokens: Tokens

    @property
    def commitment(self) -> bytes:
        """Fingerprint of the order."""
        return commitment(self.tokens)

    def __repr__(self) -> str:
        return f"CommonRows(n_matched={len(self.positions)})"


class _Party:
    """What guest and host share: their checked ids as points of this session, and how common rows are ordered."""

    def __init__(self, ids: Ids, session: bytes, max_ids: int) -> None:
        if isinstance(max_ids, bool) or not isinstance(max_ids, int) or max_ids < 1:
            raise InputError("max_ids", "must be an integer from 1")
        if not isinstance(session, bytes) or len(session) < MIN_PSI_SESSION_BYTES:
            raise InputError("session", f"must be at least {MIN_PSI_SESSION_BYTES} bytes that guest and hosts agreed on")
        self._ids = _checked(ids, max_ids)
        self._session, self._max_ids, self._group = session, max_ids, Group()
        self._points = self._group.hash_ids(self._ids.tolist(), session)

    def _blinded(self, scalar: bytes) -> tuple[list[int], list[bytes]]:
        """Return the rows in the order of their blinded points, and these points."""
        blinded = self._group.multiply(scalar, self._points, "own ids", "blind")
        order = sorted(range(len(blinded)), key=blinded.__getitem__)
        return order, [blinded[row] for row in order]

    def _in_order(self, rows: Sequence[int]) -> CommonRows:
        chosen = np.asarray(rows, dtype=np.int64)
        key = hmac.digest(_ORDER, self._session, "sha256")
        tokens = protect(self._ids[chosen], key=key)
        order = np.lexsort(tokens.view(">u8").astype(np.uint64).T[::-1])
        return CommonRows(chosen[order], tokens[order])


class HostIntersection:
    """A host's part: `reply` to the guest's request, then `finish`.

    Parameters
    ----------
    ids
        n normalised ids, each once.
    session
        At least 16 bytes, the same at all parties and new for every run.
    max_ids
        Most ids of either set.

    Raises
    ------
    InputError
        Ids, session or cap are unusable, or PyNaCl is missing.
    """

    def __init__(self, ids: Ids, session: bytes, *, max_ids: int = MAX_IDS) -> None:
        self._own = _Party(ids, session, max_ids)
        self._order: list[int] | None = None
        self._n_asked = 0

    def reply(self, request: Request) -> Reply:
        """Return the own blinded ids, and the guest's blinded by this host's scalar as well.

        Raises
        ------
        ProtocolError
            A second request, too many points, a point twice, or an invalid one.
        """
        step, own = "Request", self._own
        if self._order is not None:
            raise ProtocolError("guest", step, "came a second time")
        asked = _sorted_points(request.points, "guest", step, own._max_ids)
        group, scalar = own._group, own._group.scalar()
        echo = group.multiply(scalar, asked, "guest", step)
        self._order, blinded = own._blinded(scalar)
        self._n_asked = len(asked)
        return Reply(to_array(blinded), to_array(echo))

    def finish(self, common: Common) -> CommonRows:
        """Return this host's rows of the common ids.

        Raises
        ------
        ProtocolError
            Before the reply, places that are none or more than either set, or another commitment than that of the own ids.
        """
        step, order = "Common", self._order
        if order is None:
            raise ProtocolError("guest", step, "came before the request")
        places = _places(common.places, len(order), self._n_asked)
        found = self._own._in_order([order[place] for place in places])
        if not isinstance(common.commitment, bytes) or not hmac.compare_digest(common.commitment, found.commitment):
            raise ProtocolError("guest", step, "its commitment is not that of the same ids")
        return found


class GuestIntersection:
    """The guest's part: for every host `request` and `receive`, then `finish` and `common` for every host.

    Parameters
    ----------
    ids, session, max_ids
        As of `HostIntersection`.
    hosts
        Names of one or more hosts.

    Raises
    ------
    InputError
        As `HostIntersection`, or no host, or one twice.
    """

    def __init__(self, ids: Ids, session: bytes, hosts: Sequence[str], *, max_ids: int = MAX_IDS) -> None:
        if isinstance(hosts, str) or not hosts or len(set(hosts)) != len(hosts):
            raise InputError("hosts", "must name one or more hosts, each once")
        self._own = _Party(ids, session, max_ids)
        self._asked: dict[str, tuple[bytes, list[int], list[bytes]]] = {}
        self._found: dict[str, dict[int, int] | None] = dict.fromkeys(hosts)
        self._sizes: dict[str, int] = {}
        self._result: CommonRows | None = None

    def request(self, host: str) -> Request:
        """Return the own ids blinded by a scalar for this host alone; ProtocolError when asked twice."""
        if host not in self._found or host in self._asked:
            raise ProtocolError("guest", "Request", f"one for every host, {host} is none or was asked")
        scalar = self._own._group.scalar()
        order, blinded = self._own._blinded(scalar)
        self._asked[host] = scalar, order, blinded
        return Request(to_array(blinded))

    def receive(self, host: str, reply: Reply) -> None:
        """Take a host's reply: its ids blinded by the guest's scalar too meet the echo in H(id)^ab.

        Raises
        ------
        ProtocolError
            Out of turn, a wrong count, a point twice, invalid, or the guest's own.
        """
        step, own = "Reply", self._own
        if host not in self._asked or self._found[host] is not None:
            raise ProtocolError(host, step, "came out of turn")
        scalar, order, blinded = self._asked[host]
        points = _sorted_points(reply.points, host, step, own._max_ids)
        echo = from_array(reply.echo, host, step, len(order))
        row_of = dict(zip(echo, order, strict=False))
        if len(echo) != len(order) or len(row_of) != len(order):
            raise ProtocolError(host, step, f"must return {len(order)} distinct points, as many as it got")
        if not set(blinded).isdisjoint((*points, *echo)):
            raise ProtocolError(host, step, "returns a point of the guest's unblinded")
        own._group.check(echo, host, step)
        twice = own._group.multiply(scalar, points, host, step)
        self._sizes[host] = len(points)
        self._found[host] = {row_of[point]: place for place, point in enumerate(twice) if point in row_of}

    def finish(self) -> CommonRows:
        """Return the guest's rows of the ids that all parties have.

        Raises
        ------
        ProtocolError
            Before every host replied.
        DataError
            No id in common.
        """
        if self._result is None:
            found = self._replies()
            rows = [row for row in range(len(self._own._ids)) if all(row in places for places in found.values())]
            if not rows:
                raise DataError("ids", "the parties have no id in common; check the id format and the session")
            self._result = self._own._in_order(rows)
        return self._result

    def common(self, host: str) -> Common:
        """Return what a host is told of the result; InputError for a host that is none."""
        result, found = self.finish(), self._replies()
        if host not in found:
            raise InputError("host", f"must be one of {', '.join(found)}")
        places = np.array(sorted(found[host][row] for row in result.positions.tolist()), dtype=np.uint32)
        return Common(places, result.commitment)

    def report(self) -> dict[str, Any]:
        """Return {"rows": rows per party, guest first, "matched": common rows, "share": matched / rows per party}."""
        matched = len(self.finish().positions)
        rows = [len(self._own._ids), *(self._sizes[host] for host in self._found)]
        return {"rows": rows, "matched": matched, "share": [matched / n for n in rows]}

    def _replies(self) -> dict[str, dict[int, int]]:
        found = {host: places for host, places in self._found.items() if places is not None}
        if len(found) < len(self._found):
            waiting = next(host for host in self._found if host not in found)
            raise ProtocolError(waiting, "Reply", "has not come")
        return found


def session_of(*parts: bytes) -> bytes:
    """Return SHA-256 of the parties' random contributions, in a fixed order, each with its length: a session for all."""
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


def _checked(ids: object, max_ids: int) -> Ids:
    if not isinstance(ids, np.ndarray) or ids.dtype != object or ids.ndim != 1 or ids.size == 0:
        raise InputError("ids", "must be a one-dimensional object array of at least one text, as of normalise")
    if ids.size > max_ids:
        raise InputError("ids", f"{ids.size} ids, at most {max_ids} are allowed (max_ids)")
    protect(ids, method="hmac", key=_ORDER)  # every id is text in valid Unicode, or its row is named
    seen: dict[str, int] = {}
    twice = [row for row, text in enumerate(ids) if seen.setdefault(text, row) != row]
    if twice:
        raise DataError("ids", f"an id that an earlier row has, in {row_numbers(twice)}")
    return ids


def _sorted_points(points: object, party: str, step: str, most: int) -> list[bytes]:
    received = from_array(points, party, step, most)
    if not all(one < other for one, other in pairwise(received)):
        raise ProtocolError(party, step, "its points must be strictly ascending, none twice")
    return received


def _places(places: object, n_own: int, n_asked: int) -> list[int]:
    if not isinstance(places, np.ndarray) or places.dtype != np.uint32 or places.ndim != 1:
        raise ProtocolError("guest", "Common", "its places must be a uint32 array")
    if not 0 < len(places) <= min(n_own, n_asked):
        raise ProtocolError("guest", "Common", f"{len(places)} common ids of sets of {n_asked} and {n_own}")
    if places[-1] >= n_own or not (places[1:] > places[:-1]).all():
        raise ProtocolError("guest", "Common", f"its places must be ascending, below {n_own}")
    made: list[int] = places.tolist()
    return made
