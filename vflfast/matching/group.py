"""edwards25519: ids hashed to points, points multiplied and checked, on all cores; by the native core, or by PyNaCl with the same bytes.

PyNaCl: kept by the Python Cryptographic Authority on libsodium, universal wheels, releases the GIL; its wheels have no ristretto255.
openmined.psi takes about as long per id, but its wheels need a C library of 2022 or later, and it tells one side only.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..crypto import backend, storage
from ..crypto.limbs import Limbs
from ..errors import InputError, ProtocolError
from ..params import POINT_BYTES
from ..tables.id_texts import passes

Points = npt.NDArray[np.uint8]
S = TypeVar("S")
T = TypeVar("T")

DOMAIN = b"vflfast-psi-v1:"
MIN_VERSION = (1, 6, 2)  # the first release whose libsodium refuses every point outside the prime-order group
CHUNK = 2048  # points that a thread takes at a time


class Group:
    """The prime-order group of edwards25519; points are 32 bytes, in canonical form.

    Raises
    ------
    InputError
        PyNaCl is missing or too old.
    """

    def __init__(self) -> None:
        try:
            import nacl
            from nacl import bindings, exceptions
        except ImportError:
            raise InputError("ecdh", "needs the package pynacl: pip install 'pynacl>=1.6.2'") from None
        if tuple(int(part) for part in nacl.__version__.split(".")[:3]) < MIN_VERSION:
            raise InputError("ecdh", f"needs pynacl 1.6.2 or later, not {nacl.__version__}, which accepts points that it should not")
        if not (bindings.has_crypto_core_ed25519 and bindings.has_crypto_scalarmult_ed25519):
            raise InputError("ecdh", "this pynacl was built without edwards25519")
        self._to_point = bindings.crypto_core_ed25519_from_uniform
        self._multiply = bindings.crypto_scalarmult_ed25519_noclamp
        self._is_valid = bindings.crypto_core_ed25519_is_valid_point
        self._reduce = bindings.crypto_core_ed25519_scalar_reduce
        self._refusal = exceptions.RuntimeError

        self._native = backend.current().edwards()

    def scalar(self) -> bytes:
        """Return a uniform secret scalar in 1..ℓ−1."""
        while True:
            made = self._reduce(secrets.token_bytes(64))
            if any(made):
                return made

    def hash_ids(self, texts: Sequence[str], session: bytes) -> list[bytes]:
        """Return Elligator2(SHA-512(domain ‖ session ‖ id)) with the cofactor cleared, a point of every id.

        One Elligator map covers part of the group only; that is enough here: its preimages can be sampled, so H(id)^a is
        as hard to tell from random as a Diffie–Hellman tuple (weak encodings, Brier et al. 2010).
        """
        prefix = DOMAIN + len(session).to_bytes(4, "big") + session
        if self._native is not None:
            digests = (hashlib.sha512(prefix + text.encode()).digest()[:POINT_BYTES] for text in texts)
            return _rows(self._native.hash_to_points(_limbs(digests)))

        def points(_: int, chunk: Sequence[str]) -> list[bytes]:
            return [self._to_point(hashlib.sha512(prefix + text.encode()).digest()[:POINT_BYTES]) for text in chunk]

        return _on_all_cores(points, texts)

    def multiply(self, scalar: bytes, points: Sequence[bytes], party: str, step: str, first: int = 0) -> list[bytes]:
        """Return scalar · P of every point P; errors count the points from `first`.

        Raises
        ------
        ProtocolError
            A point that is not canonical, not on the curve, of small order or outside the prime-order group.
        """
        if self._native is not None:
            made, valid = self._native.multiples(_limbs(points), _limbs([scalar]))
            _refuse(valid, party, step, first)
            return _rows(made)

        def products(start: int, chunk: Sequence[bytes]) -> list[bytes]:
            made: list[bytes] = []
            try:
                for point in chunk:
                    made.append(self._multiply(scalar, point))  # noqa: PERF401  (its length tells which point was refused)
            except self._refusal:
                raise _invalid(party, step, first + start + len(made)) from None
            return made

        return _on_all_cores(products, points)

    def check(self, points: Sequence[bytes], party: str, step: str, first: int = 0) -> None:
        """Check points that are not multiplied; ProtocolError as of `multiply`."""
        if self._native is not None:
            return _refuse(self._native.valid(_limbs(points)), party, step, first)

        def valid(start: int, chunk: Sequence[bytes]) -> list[None]:
            for place, point in enumerate(chunk, first + start):
                if not self._is_valid(point):
                    raise _invalid(party, step, place)
            return []

        _on_all_cores(valid, points)
        return None


def _limbs(points: Iterable[bytes]) -> Limbs:
    return np.frombuffer(b"".join(points), dtype="<u8").reshape(-1, POINT_BYTES // 8).astype(np.uint64)


def _rows(limbs: Limbs) -> list[bytes]:
    return to_list(limbs.astype("<u8").view(np.uint8))


def _refuse(valid: npt.NDArray[np.bool_], party: str, step: str, first: int) -> None:
    """Raise ProtocolError for the first point that is none."""
    if not valid.all():
        raise _invalid(party, step, first + int(np.flatnonzero(~valid)[0]))


def _invalid(party: str, step: str, place: int) -> ProtocolError:
    return ProtocolError(party, step, f"number {place + 1} is no point of the prime-order group")


def _on_all_cores(work: Callable[[int, Sequence[S]], list[T]], items: Sequence[S]) -> list[T]:
    starts = range(0, len(items), CHUNK)
    if len(starts) < 2:
        return work(0, items)
    with ThreadPoolExecutor(backend.threads()) as pool:
        done: Iterator[list[T]] = pool.map(lambda start: work(start, items[start : start + CHUNK]), starts)
        return list(chain.from_iterable(done))


def to_array(points: Sequence[bytes]) -> Points:
    """Return points as uint8, shape (n, 32)."""
    return np.frombuffer(b"".join(points), dtype=np.uint8).reshape(-1, POINT_BYTES)


def to_list(points: Points) -> list[bytes]:
    """Return the rows of an array of points."""
    data = points.tobytes()
    return [data[start : start + POINT_BYTES] for start in range(0, len(data), POINT_BYTES)]


def from_array(points: object, party: str, step: str, most: int) -> Points:
    """Return a received uint8 array of shape (n, 32), in C order.

    Raises
    ------
    ProtocolError
        Another type or shape, no point, or more than `most`.
    """
    if not isinstance(points, np.ndarray) or points.dtype != np.uint8 or points.ndim != 2 or points.shape[1] != POINT_BYTES:
        raise ProtocolError(party, step, f"must be a uint8 array of shape (n, {POINT_BYTES})")
    if not 0 < len(points) <= most:
        raise ProtocolError(party, step, f"holds {len(points)} points, from 1 to {most} are allowed")
    return np.ascontiguousarray(points)


def each_pass(points: Points, work: Callable[[list[bytes], int], list[bytes]]) -> Points:
    """Return what `work` makes of some points at a time and the number of the first of them: no more are Python objects at once."""
    made: Points = storage.empty(points.shape, np.uint8)
    first = 0
    for part, out in zip(passes(points), passes(made), strict=True):
        out[:] = to_array(work(to_list(part), first))
        first += len(part)
    return made
