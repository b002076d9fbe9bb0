"""Integers as little-endian arrays of 64-bit limbs, the form in which numbers cross into the core and onto the wire."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Limbs = npt.NDArray[np.uint64]


def limb_count(bits: int) -> int:
    """Return how many 64-bit limbs hold `bits` bits."""
    return (bits + 63) // 64


def from_ints(values: Sequence[int] | Iterable[int], size: int) -> Limbs:
    """Return non-negative integers below 2^(64·size) as an array of shape (count, size)."""
    n_bytes = size * 8
    data = b"".join(int(value).to_bytes(n_bytes, "little") for value in values)
    return np.frombuffer(data, dtype="<u8").reshape(-1, size).astype(np.uint64)


def to_ints(limbs: Limbs) -> list[int]:
    """Return the integers of an array of shape (count, size)."""
    n_bytes = limbs.shape[1] * 8
    data = np.ascontiguousarray(limbs, dtype="<u8").tobytes()
    return [int.from_bytes(data[i : i + n_bytes], "little") for i in range(0, len(data), n_bytes)] if n_bytes else []


def random_limbs(count: int, bits: int) -> Limbs:
    """Return `count` uniform integers of `bits` bits from the operating system's generator, shape (count, limbs)."""
    size = limb_count(bits)
    limbs = np.frombuffer(secrets.token_bytes(count * size * 8), dtype="<u8").reshape(count, size).astype(np.uint64)
    if bits % 64:
        limbs[:, -1] &= np.uint64((1 << (bits % 64)) - 1)
    return limbs


def random_below(bound: int, count: int) -> list[int]:
    """Return `count` integers uniform in [0, bound), by rejection from the operating system's generator."""
    return [secrets.randbelow(bound) for _ in range(count)]


def wipe(array: npt.NDArray[np.uint64]) -> None:
    """Overwrite an array that held a secret."""
    array.fill(0)
