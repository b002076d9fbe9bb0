"""Matching before training: guest and hosts find their common rows by exchanging protected ids (protocol §2, [0095]–[0098]).

By tokens: each host sends its own, sorted so that its row order stays with it; the guest intersects all and returns the common ones.
By private set intersection: the messages of `matching.intersect`. The arbiter takes no part.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..crypto import storage
from ..errors import DataError, ProtocolError
from ..matching import ids
from ..matching.intersect import Common, CommonRows, GuestIntersection, HostIntersection, Reply, Request, session_of
from ..params import MAX_IDS, NONCE_BYTES, POINT_BYTES, TOKEN_BYTES
from ..tables.id_texts import Ids, IdTexts
from ..tables.sorting import in_order
from . import messages as ms
from .link import Link, Observer
from .steps import START, Table

Tokens = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class HostTokens(ms.Message):
    """Host to guest: how its ids are protected, and the tokens, sorted."""

    kind = 40
    phase = "match"
    method: str
    tokens: bytes


@dataclass(frozen=True)
class CommonTokens(ms.Message):
    """Guest to host: the tokens that all parties have, sorted."""

    kind = 41
    phase = "match"
    tokens: bytes


@dataclass(frozen=True)
class MatchingNonce(ms.Message):
    """Host to guest: 16 random bytes for the session of the intersection."""

    kind = 42
    phase = "match"
    nonce: bytes


@dataclass(frozen=True)
class BlindedIds(ms.Message):
    """Guest to host: `Request` of the intersection, and the nonces of all parties, the guest's first, then the hosts' in their order."""

    kind = 43
    phase = "match"
    points: bytes
    nonces: bytes


@dataclass(frozen=True)
class BlindedReply(ms.Message):
    """Host to guest: `Reply` of the intersection."""

    kind = 44
    phase = "match"
    points: bytes
    echo: bytes


@dataclass(frozen=True)
class CommonPlaces(ms.Message):
    """Guest to host: `Common` of the intersection."""

    kind = 45
    phase = "match"
    places: bytes
    commitment: bytes


TABLE: Table = {
    ("host", "guest"): {START: (HostTokens, MatchingNonce), MatchingNonce: (BlindedReply,)},
    ("guest", "host"): {START: (CommonTokens, BlindedIds), BlindedIds: (CommonPlaces,)},
}


def matching_link(name: str, peers: tuple[str, ...], observer: Observer | None = None, attempt: int = 0) -> Link:
    """Return a Link for the messages of the matching and no others."""
    return Link(name, peers, observer, attempt, table=TABLE)


@dataclass(frozen=True)
class MatchedRows:
    """A party's own rows in the common order, the commitment to that order, and what may be told of it."""

    positions: npt.NDArray[np.int64]
    commitment: bytes
    report: dict[str, Any]


async def match_at_guest(link: Link, tokens: Tokens, method: str) -> MatchedRows:
    """Collect the hosts' tokens, tell each the common ones; return the guest's rows of them."""
    hosts = [peer for peer in link.peers if peer != "arbiter"]
    theirs = [await _receive_tokens(link, host, method) for host in hosts]
    link.stage("match ids")
    found = ids.match(tokens, *theirs)
    common = storage.take(tokens, found.positions[0])
    for host in hosts:
        await link.send(host, CommonTokens(common.tobytes()))
    report = {**found.report, "parties": ["guest", *hosts], "method": method}
    return MatchedRows(found.positions[0], ids.commitment(common), report)


async def match_at_host(link: Link, tokens: Tokens, method: str) -> MatchedRows:
    """Send the own tokens; return the host's rows of those that come back.

    Raises
    ------
    ProtocolError
        The guest returns a token twice, or one that this host did not send.
    """
    link.stage("match ids")
    await link.send("guest", HostTokens(method, in_order(tokens)[0].tobytes()))
    common = _as_tokens((await link.receive("guest", CommonTokens)).tokens, "guest", "CommonTokens")
    try:
        found = ids.match(tokens, common)
    except DataError as error:
        raise ProtocolError("guest", "CommonTokens", error.problem) from error
    if found.n_matched != len(common):
        raise ProtocolError("guest", "CommonTokens", f"holds {len(common) - found.n_matched} tokens that {link.name} did not send")
    report = {"rows": [len(tokens)], "matched": len(common), "parties": [link.name], "method": method}
    return MatchedRows(found.positions[0], ids.commitment(storage.take(tokens, found.positions[0])), report)


async def intersect_at_guest(link: Link, own: Ids | IdTexts, settings: str, max_ids: int = MAX_IDS) -> MatchedRows:
    """Take the guest's part in a private set intersection with every host; return the guest's rows of the common ids.

    The session is a hash of random bytes of all parties, and the scalars are fresh. The order is that of the agreed settings: a run
    that is resumed ends with the same.
    """
    link.stage("match ids")
    hosts = [peer for peer in link.peers if peer != "arbiter"]
    nonces = secrets.token_bytes(NONCE_BYTES) + b"".join([await _receive_nonce(link, host) for host in hosts])
    link.stage("match ids")
    guest = GuestIntersection(own, session_of(nonces), hosts, max_ids=max_ids, order=matching_session(settings))
    for host in hosts:
        await link.send(host, BlindedIds(guest.request(host).points.tobytes(), nonces))
    for host in hosts:
        message = await link.receive(host, BlindedReply)
        link.stage("match ids")
        points, echo = (_as_points(data, host, "BlindedReply") for data in (message.points, message.echo))
        guest.receive(host, Reply(points, echo))
    found = guest.finish()
    for host in hosts:
        common = guest.common(host)
        await link.send(host, CommonPlaces(common.places.astype("<u4").tobytes(), common.commitment))
    return _matched(found, {**guest.report(), "parties": ["guest", *hosts]})


async def intersect_at_host(link: Link, own: Ids | IdTexts, settings: str, max_ids: int = MAX_IDS) -> MatchedRows:
    """Take a host's part in a private set intersection; return the host's rows of the common ids.

    Raises
    ------
    ProtocolError
        The guest's points, places or commitment are not as `HostIntersection` wants them, or its nonces do not hold this host's.
    """
    nonce = secrets.token_bytes(NONCE_BYTES)
    await link.send("guest", MatchingNonce(nonce))
    asked = await link.receive("guest", BlindedIds)
    _check_nonces(link, asked.nonces, nonce)
    link.stage("match ids")
    host = HostIntersection(own, session_of(asked.nonces), max_ids=max_ids, order=matching_session(settings))
    reply = host.reply(Request(_as_points(asked.points, "guest", "BlindedIds")))
    await link.send("guest", BlindedReply(reply.points.tobytes(), reply.echo.tobytes()))
    told = await link.receive("guest", CommonPlaces)
    if len(told.places) % 4:
        raise ProtocolError("guest", "CommonPlaces", "needs places of 4 bytes")
    found = host.finish(Common(np.frombuffer(told.places, dtype="<u4").astype(np.uint32), told.commitment))
    report = {"rows": [len(own), len(asked.points) // POINT_BYTES], "matched": len(found.positions), "parties": [link.name, "guest"]}
    return _matched(found, report)


def matching_session(settings: str) -> bytes:
    """Return what the order of the common rows is made of: the hash of the agreed settings, the same when a run is resumed."""
    return session_of(b"matching", settings.encode())


def _matched(found: CommonRows, report: dict[str, Any]) -> MatchedRows:
    return MatchedRows(found.positions, found.commitment, {**report, "method": "ecdh"})


async def _receive_nonce(link: Link, host: str) -> bytes:
    nonce = (await link.receive(host, MatchingNonce)).nonce
    if len(nonce) != NONCE_BYTES:
        raise ProtocolError(host, "MatchingNonce", f"must have {NONCE_BYTES} bytes")
    return nonce


def _check_nonces(link: Link, nonces: bytes, own: bytes) -> None:
    """The host's own must be among those after the guest's: an intersection that was played before does not come again."""
    theirs = [nonces[i : i + NONCE_BYTES] for i in range(NONCE_BYTES, len(nonces), NONCE_BYTES)]
    if len(nonces) % NONCE_BYTES or own not in theirs:
        raise ProtocolError("guest", "BlindedIds", f"needs nonces of {NONCE_BYTES} bytes, that of {link.name} among them")


def _as_points(data: bytes, party: str, step: str) -> Tokens:
    if len(data) % POINT_BYTES:
        raise ProtocolError(party, step, f"needs points of {POINT_BYTES} bytes")
    return np.frombuffer(data, dtype=np.uint8).reshape(-1, POINT_BYTES)


async def _receive_tokens(link: Link, host: str, method: str) -> Tokens:
    message = await link.receive(host, HostTokens)
    if message.method != method:
        raise ProtocolError(host, "HostTokens", f"protects its ids by another method; {method} is agreed here")
    return _as_tokens(message.tokens, host, "HostTokens")


def _as_tokens(data: bytes, party: str, step: str) -> Tokens:
    if not data or len(data) % TOKEN_BYTES:
        raise ProtocolError(party, step, f"needs one or more tokens of {TOKEN_BYTES} bytes")
    tokens: Tokens = storage.empty((len(data) // TOKEN_BYTES, TOKEN_BYTES), np.uint8)
    tokens[:] = np.frombuffer(data, dtype=np.uint8).reshape(-1, TOKEN_BYTES)
    return tokens
