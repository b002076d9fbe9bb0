"""All parties' ids matched in one process, by the method of the job, with what each party would send to the other."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..crypto import storage
from ..errors import InputError
from ..params import MAX_IDS, TOKEN_BYTES
from ..tables.id_texts import Ids, IdTexts
from . import ids
from .intersect import GuestIntersection, HostIntersection

ID_METHODS = ("ecdh", *ids.METHODS)

Positions = list[npt.NDArray[np.int64]]


def check_method(method: object) -> str:
    """Return the name of a method; InputError lists them."""
    if not isinstance(method, str) or method not in ID_METHODS:
        raise InputError("ids.method", f"must be one of {', '.join(ID_METHODS)}")
    return method


def match_parties(
    party_ids: Sequence[Ids | IdTexts], *, method: str = "ecdh", key: bytes | None = None, max_ids: int = MAX_IDS,
    session: bytes | None = None,
) -> tuple[Positions, ids.Tokens, dict[str, Any]]:
    """Return the parties' rows of their common ids in one order, its tokens, and the match report.

    Parameters
    ----------
    party_ids
        Normalised ids of the guest and of one or more hosts, each once.
    method
        "ecdh" (`intersect`), or a method of `ids.protect`.
    key
        The shared key of "hmac".
    max_ids
        Most ids of one party.
    session
        At least 16 bytes that the order of "ecdh" is made of; default: fresh ones. A run that is resumed needs the same again.

    Returns
    -------
    positions
        For each party int64, shape (n_matched,).
    tokens
        uint8, shape (n_matched, 32), in the common order.
    report
        "parties", "rows", "matched", "share" (of each party's rows), "method", "bytes" by direction, "seconds"; "exposes",
        "unusual" and "few" where there is something to warn of.

    Raises
    ------
    InputError, DataError
        Unusable ids, method, key or cap, or no id in common.
    """
    start = time.perf_counter()
    names = ["guest", *(f"host{k}" for k in range(1, len(party_ids)))]
    for name, own in zip(names, party_ids, strict=True):
        if len(own) > max_ids:
            raise InputError(f"{name} ids", f"{len(own)} ids, at most {max_ids} are allowed (max_ids)")
    if check_method(method) == "ecdh":
        positions, tokens, report = _by_ecdh(party_ids, names, max_ids, session or secrets.token_bytes(32))
    else:
        positions, tokens, report = _by_tokens(party_ids, names, method, key)
    report |= {"parties": names, "method": method, "seconds": time.perf_counter() - start}
    return positions, tokens, report | ids.warnings_of(method, report["rows"], report["matched"])


def _by_ecdh(
    party_ids: Sequence[Ids | IdTexts], names: list[str], max_ids: int, session: bytes
) -> tuple[Positions, ids.Tokens, dict[str, Any]]:
    guest = GuestIntersection(party_ids[0], session, names[1:], max_ids=max_ids)
    hosts = {name: HostIntersection(own, session, max_ids=max_ids) for name, own in zip(names[1:], party_ids[1:], strict=True)}
    sent: dict[str, int] = {}
    for name, host in hosts.items():
        request = guest.request(name)
        reply = host.reply(request)
        guest.receive(name, reply)
        sent |= {f"guest to {name}": request.n_bytes, f"{name} to guest": reply.n_bytes}
    found = guest.finish()
    positions = [found.positions]
    for name, host in hosts.items():
        common = guest.common(name)
        positions.append(host.finish(common).positions)
        sent[f"guest to {name}"] += common.n_bytes
    return positions, found.tokens, {**guest.report(), "bytes": sent}


def _by_tokens(
    party_ids: Sequence[Ids | IdTexts], names: list[str], method: str, key: bytes | None
) -> tuple[Positions, ids.Tokens, dict[str, Any]]:
    tokens = [ids.protect(own, method=method, key=key) for own in party_ids]
    found = ids.match(*tokens)
    sent: dict[str, int] = {}
    for name, own in zip(names[1:], tokens[1:], strict=True):
        sent |= {f"guest to {name}": found.n_matched * TOKEN_BYTES, f"{name} to guest": own.nbytes}
    return found.positions, storage.take(tokens[0], found.positions[0]), {**found.report, "bytes": sent}
