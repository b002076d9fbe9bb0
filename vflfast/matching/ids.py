"""Protected ids: keyed tokens, and the common order of the parties' rows."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..crypto import storage
from ..errors import DataError, InputError
from ..params import MIN_ID_KEY_BYTES, TOKEN_BYTES
from ..tables.id_forms import IdSequence, check_unicode, text_array
from ..tables.id_texts import IdTexts, passes
from ..tables.sorting import Repeats, SortedRuns, shared_rows, walk

Tokens = npt.NDArray[np.uint8]

METHODS = ("hmac", "hash", "sm3")
_PLAIN = {"hash": "sha256", "sm3": "sm3"}  # the patent's hashes without a key, by hashlib's names
EXPOSURE = (
    "a plain hash exposes the ids: all eleven-digit numbers are enumerated in minutes, so whoever sees the tokens reads every id"
    " of the party that sent them, in common or not; use ecdh, or hmac with a shared key"
)

KEYED_EXPOSURE = (
    "hmac exposes a host's customers to the guest, which holds the key and is sent a token of each: it can try out every id, eleven"
    " digits in minutes, and learn who they are, in common or not; use ecdh, where nobody can"
)
FEW_TO_LEARN = 100  # customers, below which a match is warned of
FEW_SHARE, FEW_ROWS, UNEQUAL = 0.01, 10, 100  # below, below, above: an intersection that asks about a few people

logger = logging.getLogger(__name__)


def protect(ids: IdSequence | IdTexts, *, method: str = "hmac", key: bytes | None = None) -> Tokens:
    """Return the token HMAC-SHA256(key, id), SHA-256(id) or SM3(id) of every normalised id ([0092], [0095]).

    Parameters
    ----------
    ids
        n normalised ids (see `normalise`).
    method
        "hmac": useless to whoever lacks the key. "hash", "sm3": the patent's plain SHA-256, and SM3 (GB/T 32905-2016);
        they are logged as a warning, because all eleven-digit numbers are enumerated in minutes.
    key
        The secret shared by guest and host, at least 16 bytes; only for "hmac".

    Returns
    -------
    ndarray
        uint8, shape (n, 32).

    Raises
    ------
    InputError
        Unknown method, a key that is missing, too short, not bytes, or given to a plain hash; SM3 where OpenSSL lacks it.
    DataError
        An id that is missing or not text.
    """
    if method not in METHODS:
        raise InputError("method", f"must be one of {', '.join(METHODS)}")
    array = ids if isinstance(ids, IdTexts) else text_array(ids, "ids")
    if not isinstance(array, IdTexts):
        check_unicode(array)
    digest = _digest(method, key)
    tokens: Tokens = storage.empty((len(array), TOKEN_BYTES), np.uint8)
    for part, out in zip(passes(array), passes(tokens), strict=True):
        out[:] = np.frombuffer(b"".join([digest(text.encode()) for text in part]), dtype=np.uint8).reshape(-1, TOKEN_BYTES)
    return tokens


def _digest(method: str, key: bytes | None) -> Callable[[bytes], bytes]:
    """Return what makes an id's token; a plain hash is logged as a warning."""
    if method == "hmac":
        secret = _check_key(key)
        return lambda text: hmac.digest(secret, text, "sha256")
    if key is not None:
        raise InputError("key", "is not used by the plain hash; leave it out or choose hmac")
    _check_hash(method)
    logger.warning("%s", EXPOSURE)
    return lambda text: hashlib.new(_PLAIN[method], text).digest()


def _check_hash(method: str) -> None:
    try:
        hashlib.new(_PLAIN[method])
    except ValueError:
        raise InputError("method", f"{method} is missing from this Python's OpenSSL") from None


def exposure(method: str) -> str | None:
    """Return what a method exposes to whoever sees the tokens; None: nothing."""
    return EXPOSURE if method in _PLAIN else KEYED_EXPOSURE if method == "hmac" else None


def warnings_of(method: str, rows: Sequence[int], matched: int) -> dict[str, str]:
    """Return the warnings of a match report.

    "exposes", of its method; "unusual", of sets that ask about a few people; "few", of a match from which hardly anything can be learnt.

    Parameters
    ----------
    rows, matched
        Customers of each party, and of all.
    """
    found = {}
    if matched < FEW_TO_LEARN:
        found["few"] = (
            f"only {matched} customers in common, of tables of {' and '.join(map(str, rows))}: hardly anything can be learnt from so few "
            "(ten a column at least). Where more are expected, ids are written another way: leading zeros, a country code, .0 of a "
            "spreadsheet"
        )
    exposes = exposure(method)
    if exposes is not None:
        found["exposes"] = exposes
    if matched < max(FEW_ROWS, FEW_SHARE * min(rows)):
        found["unusual"] = (
            f"{matched} customers in common of {min(rows)} in the smallest table: of these few people everybody now knows that the others"
            " have them; is the ids' form the same at all parties?"
        )
    elif max(rows) > UNEQUAL * min(rows):
        found["unusual"] = (
            f"tables of {min(rows)} and {max(rows)} customers: the party of the small one learns of each of its people whether the others"
            " have them; is that what was agreed?"
        )
    return found


def _check_key(key: object) -> bytes:
    if not isinstance(key, bytes):
        raise InputError("key", "must be bytes, the secret that guest and host share")
    if len(key) < MIN_ID_KEY_BYTES:
        raise InputError("key", f"has {len(key)} bytes, needs at least {MIN_ID_KEY_BYTES}")
    return key


@dataclass(frozen=True, eq=False)
class Match:
    """Rows that all parties share, in one common order.

    Attributes
    ----------
    positions
        For each party int64, shape (n_matched,): the party's own row of each common row. The order is that of the
        sorted tokens, so it tells nothing of any party's own order.
    report
        {"rows": rows per party, "matched": common rows, "share": matched / rows per party}.
    """

    positions: list[npt.NDArray[np.int64]]
    report: dict[str, Any]

    @property
    def n_matched(self) -> int:
        """Number of common rows."""
        return int(self.positions[0].size)

    def __repr__(self) -> str:
        return f"Match(n_parties={len(self.positions)}, n_matched={self.n_matched})"


def match(*tokens: Tokens) -> Match:
    """Intersect the parties' token sets: {t : t in every set}, sorted ([0096]–[0098]).

    Parameters
    ----------
    tokens
        One uint8 array of shape (n_k, 32) for each of two or more parties.

    Raises
    ------
    InputError
        Fewer than two parties, or an array of the wrong type or shape.
    DataError
        A token twice in one party's rows, or no token in common.
    """
    if len(tokens) < 2:
        raise InputError("tokens", f"needs the tokens of at least two parties, got {len(tokens)}")
    checked = [_check_tokens(f"tokens[{party}]", array) for party, array in enumerate(tokens)]
    positions = [storage.Growing(np.int64) for _ in checked]
    watches = [Repeats() for _ in checked]
    for blocks in walk(*map(SortedRuns, checked)):
        for watch, block in zip(watches, blocks, strict=True):
            watch.add(block)
        for found, rows in zip(positions, shared_rows(blocks), strict=True):
            found.append(rows)
    for party, watch in enumerate(watches):
        if watch.rows:
            raise DataError(f"tokens[{party}]", f"the same id in {watch.rows}")
    common = [found.finish() for found in positions]
    if not common[0].size:
        raise DataError("tokens", "the parties have no id in common; check the id format and the key")
    return Match(common, _report(checked, common[0].size))


def _report(tokens: list[Tokens], n_matched: int) -> dict[str, Any]:
    rows = [int(array.shape[0]) for array in tokens]
    return {"rows": rows, "matched": n_matched, "share": [n_matched / n for n in rows]}


def commitment(tokens: Tokens) -> bytes:
    """Return SHA-256(n as 8 bytes, big-endian ‖ tokens), the fingerprint of a row order.

    Parties compare it before round 1; a difference is an error, never a truncation (protocol §2).

    Parameters
    ----------
    tokens
        uint8, shape (n, 32), in the common order.

    Raises
    ------
    InputError
        Wrong type or shape.
    """
    array = _check_tokens("tokens", tokens)
    digest = hashlib.sha256(array.shape[0].to_bytes(8, "big"))
    digest.update(array.data)
    return digest.digest()


def _check_tokens(name: str, tokens: object) -> Tokens:
    if not isinstance(tokens, np.ndarray) or tokens.dtype != np.uint8:
        raise InputError(name, "must be a uint8 array")
    if tokens.ndim != 2 or tokens.shape[1] != TOKEN_BYTES or tokens.shape[0] == 0:
        raise InputError(name, f"must have shape (n > 0, {TOKEN_BYTES}), not {tokens.shape}")
    return np.ascontiguousarray(tokens)
