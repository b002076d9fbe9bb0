"""Private set intersection by Diffie–Hellman (protocol §2, [0095]–[0098]): the messages of guest and hosts, without any I/O.

With secret scalars a of the guest and b of a host, both fresh per pair and run, H(id)^ab is the same from either side:

    guest → host  Request  A = {H(x)^a}, sorted
    host → guest  Reply    B = {H(y)^b}, sorted; A^b in the order of A
    guest → host  Common   which of B all parties have, and the commitment to the common rows

Sorted by blinded points, which are random to everyone else, a set shows nothing of the order of its rows. The guest
learns which of its ids each host has; a host learns which of its ids all parties have; both learn the sizes of the sets.
Ids that are not common stay blinded by a scalar that never leaves its party. The rows' order is that of
HMAC-SHA256(order, id), which every party computes from its own ids, so equal commitments mean equal ids.
The promise is the run's: parties that follow the protocol and do not collude.

Points are arrays, in the scratch folder where there is one; sets meet as sorted runs (`sorting`).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..crypto import storage
from ..errors import DataError, InputError, ProtocolError
from ..params import MAX_IDS, MIN_PSI_SESSION_BYTES, POINT_BYTES
from ..tables.id_texts import Ids, IdTexts, id_rows, passes
from ..tables.rows import row_numbers
from ..tables.sorting import Positions, SortedRuns, in_order, is_ascending, repeats, shared_rows, walk
from .group import Group, Points, each_pass, from_array, to_array, to_list
from .ids import Tokens, commitment, protect

_ORDER = b"vflfast-psi-order-v1"
_NONE = -1  # the place of an id that a host lacks


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
        uint8, shape (n_matched, 32): HMAC-SHA256(order, id), ascending.
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

    def __init__(self, ids: Ids | IdTexts, session: bytes, max_ids: int, order: bytes | None) -> None:
        if isinstance(max_ids, bool) or not isinstance(max_ids, int) or max_ids < 1:
            raise InputError("max_ids", "must be an integer from 1")
        if not isinstance(session, bytes) or len(session) < MIN_PSI_SESSION_BYTES:
            raise InputError("session", f"must be at least {MIN_PSI_SESSION_BYTES} bytes that guest and hosts agreed on")
        self.ids = _checked(ids, max_ids)
        self.max_ids, self._order_key, self._group = max_ids, session if order is None else order, Group()
        self._points: Points = storage.empty((len(ids), POINT_BYTES), np.uint8)
        for part, out in zip(passes(self.ids), passes(self._points), strict=True):
            out[:] = to_array(self._group.hash_ids(part.tolist(), session))

    def scalar(self) -> bytes:
        """Return a fresh secret scalar."""
        return self._group.scalar()

    def blinded(self, scalar: bytes) -> tuple[Points, Positions]:
        """Return the own points times the scalar, in ascending order, and the row of each."""
        return in_order(self.multiply(scalar, self._points, "own ids", "blind"))

    def multiply(self, scalar: bytes, points: Points, party: str, step: str) -> Points:
        """Return points times the scalar; ProtocolError as of `Group.multiply`."""
        return each_pass(points, lambda part, first: self._group.multiply(scalar, part, party, step, first))

    def check(self, points: Points, party: str, step: str) -> None:
        """Check points that are not multiplied; ProtocolError as of `Group.check`."""
        first = 0
        for part in passes(points):
            self._group.check(to_list(part), party, step, first)
            first += len(part)

    def in_order(self, rows: Positions) -> CommonRows:
        """Return rows in the common order."""
        key = hmac.digest(_ORDER, self._order_key, "sha256")
        tokens, order = in_order(protect(id_rows(self.ids, rows), key=key))
        return CommonRows(storage.take(rows, order), tokens)


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
    order
        What orders the common rows, the same at all parties; ``None``: the session.

    Raises
    ------
    InputError
        Ids, session or cap are unusable, or PyNaCl is missing.
    """

    def __init__(self, ids: Ids | IdTexts, session: bytes, *, max_ids: int = MAX_IDS, order: bytes | None = None) -> None:
        self._own = _Party(ids, session, max_ids, order)
        self._order: Positions | None = None
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
        asked = _sorted_points(request.points, "guest", step, own.max_ids)
        scalar = own.scalar()
        echo = own.multiply(scalar, asked, "guest", step)
        blinded, self._order = own.blinded(scalar)
        self._n_asked = len(asked)
        return Reply(blinded, echo)

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
        found = self._own.in_order(storage.take(order, places))
        if not isinstance(common.commitment, bytes) or not hmac.compare_digest(common.commitment, found.commitment):
            raise ProtocolError("guest", step, "its commitment is not that of the same ids")
        return found


class GuestIntersection:
    """The guest's part: for every host `request` and `receive`, then `finish` and `common` for every host.

    Parameters
    ----------
    ids, session, max_ids, order
        As of `HostIntersection`.
    hosts
        Names of one or more hosts.

    Raises
    ------
    InputError
        As `HostIntersection`, or no host, or one twice.
    """

    def __init__(
        self, ids: Ids | IdTexts, session: bytes, hosts: Sequence[str], *, max_ids: int = MAX_IDS, order: bytes | None = None
    ) -> None:
        if isinstance(hosts, str) or not hosts or len(set(hosts)) != len(hosts):
            raise InputError("hosts", "must name one or more hosts, each once")
        self._own = _Party(ids, session, max_ids, order)
        self._asked: dict[str, tuple[bytes, Points, Positions]] = {}
        self._found: dict[str, Positions | None] = dict.fromkeys(hosts)  # of every own row its place in the host's points, or _NONE
        self._sizes: dict[str, int] = {}
        self._result: CommonRows | None = None

    def request(self, host: str) -> Request:
        """Return the own ids blinded by a scalar for this host alone; ProtocolError when asked twice."""
        if host not in self._found or host in self._asked:
            raise ProtocolError("guest", "Request", f"one for every host, {host} is none or was asked")
        scalar = self._own.scalar()
        blinded, order = self._own.blinded(scalar)
        self._asked[host] = scalar, blinded, order
        return Request(blinded)

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
        scalar, blinded, order = self._asked[host]
        points = _sorted_points(reply.points, host, step, own.max_ids)
        echo = from_array(reply.echo, host, step, len(order))
        echoed = SortedRuns(echo)
        if len(echo) != len(order) or repeats(echoed):
            raise ProtocolError(host, step, f"must return {len(order)} distinct points, as many as it got")
        sent = SortedRuns(blinded, ascending=True)
        if _meet(sent, SortedRuns(points, ascending=True)) or _meet(sent, echoed):
            raise ProtocolError(host, step, "returns a point of the guest's unblinded")
        own.check(echo, host, step)
        twice = SortedRuns(own.multiply(scalar, points, host, step))
        found = storage.empty(len(order), np.int64)
        found[:] = _NONE
        for blocks in walk(echoed, twice):
            asked, places = shared_rows(blocks)
            found[order[asked]] = places
        self._sizes[host], self._found[host] = len(points), found

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
            common, first = storage.Growing(np.int64), 0
            for parts in zip(*map(passes, self._replies().values()), strict=True):
                common.append(first + np.flatnonzero(np.all([part != _NONE for part in parts], axis=0)))
                first += len(parts[0])
            rows = common.finish()
            if not rows.size:
                raise DataError("ids", "the parties have no id in common; check the id format and the session")
            self._result = self._own.in_order(rows)
        return self._result

    def common(self, host: str) -> Common:
        """Return what a host is told of the result; InputError for a host that is none."""
        result, found = self.finish(), self._replies()
        if host not in found:
            raise InputError("host", f"must be one of {', '.join(found)}")
        return Common(np.sort(storage.take(found[host], result.positions).astype(np.uint32)), result.commitment)

    def report(self) -> dict[str, Any]:
        """Return {"rows": rows per party, guest first, "matched": common rows, "share": matched / rows per party}."""
        matched = len(self.finish().positions)
        rows = [len(self._own.ids), *(self._sizes[host] for host in self._found)]
        return {"rows": rows, "matched": matched, "share": [matched / n for n in rows]}

    def _replies(self) -> dict[str, Positions]:
        found = {host: places for host, places in self._found.items() if places is not None}
        if len(found) < len(self._found):
            waiting = next(host for host in self._found if host not in found)
            raise ProtocolError(waiting, "Reply", "has not come")
        return found


def session_of(*parts: bytes) -> bytes:
    """Return SHA-256 of the parties' random contributions, in a fixed order, each with its length: a session for all."""
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


def _checked(ids: object, max_ids: int) -> Ids | IdTexts:
    if not isinstance(ids, IdTexts) and (not isinstance(ids, np.ndarray) or ids.dtype != object or ids.ndim != 1 or ids.size == 0):
        raise InputError("ids", "must be a one-dimensional object array of at least one text, as of normalise")
    if ids.size > max_ids:
        raise InputError("ids", f"{ids.size} ids, at most {max_ids} are allowed (max_ids)")
    if isinstance(ids, IdTexts):  # distinct text in valid Unicode, by its making
        return ids
    protect(ids, method="hmac", key=_ORDER)  # every id is text in valid Unicode, or its row is named
    seen: dict[str, int] = {}
    twice = [row for row, text in enumerate(ids) if seen.setdefault(text, row) != row]
    if twice:
        raise DataError("ids", f"an id that an earlier row has, in {row_numbers(twice)}")
    return ids


def _sorted_points(points: object, party: str, step: str, most: int) -> Points:
    received = from_array(points, party, step, most)
    if not is_ascending(received):
        raise ProtocolError(party, step, "its points must be strictly ascending, none twice")
    return received


def _meet(one: SortedRuns, other: SortedRuns) -> bool:
    return any(shared_rows(blocks)[0].size for blocks in walk(one, other))


def _places(places: object, n_own: int, n_asked: int) -> npt.NDArray[np.uint32]:
    if not isinstance(places, np.ndarray) or places.dtype != np.uint32 or places.ndim != 1:
        raise ProtocolError("guest", "Common", "its places must be a uint32 array")
    if not 0 < len(places) <= min(n_own, n_asked):
        raise ProtocolError("guest", "Common", f"{len(places)} common ids of sets of {n_asked} and {n_own}")
    if places[-1] >= n_own or not (places[1:] > places[:-1]).all():
        raise ProtocolError("guest", "Common", f"its places must be ascending, below {n_own}")
    return places
