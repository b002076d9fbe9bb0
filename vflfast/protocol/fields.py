"""The binary form of a message's fields: a closed list of types, little-endian, sizes checked before anything is allocated."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ProtocolError
from ..params import MAX_COUNT

Limbs = npt.NDArray[np.uint64]
MAX_NAME_BYTES = 16


class Reader:
    """Takes fields off the body of a message of `peer`; never reads past its end. Its methods raise ProtocolError."""

    def __init__(self, body: memoryview, peer: str, step: str) -> None:
        self.body, self.peer, self.step, self.position = body, peer, step, 0

    def take(self, n_bytes: int) -> memoryview:
        """Return the next `n_bytes`; ProtocolError beyond the end."""
        if n_bytes > len(self.body) - self.position:
            raise ProtocolError(self.peer, self.step, "a field is longer than the message")
        part = self.body[self.position : self.position + n_bytes]
        self.position += n_bytes
        return part

    def count(self) -> int:
        """Return an unsigned 64-bit number."""
        return int.from_bytes(self.take(8), "little")

    def blob(self) -> bytes:
        """Return bytes that follow their length."""
        return bytes(self.take(self.count()))

    def text(self) -> str:
        """Return UTF-8 text; ProtocolError for anything else."""
        try:
            return self.blob().decode("utf-8")
        except UnicodeDecodeError:
            raise ProtocolError(self.peer, self.step, "a text is not UTF-8") from None

    def real(self) -> float:
        """Return a float64."""
        return float(struct.unpack("<d", self.take(8))[0])

    def limbs(self) -> Limbs:
        """Return a two-dimensional array of uint64; ProtocolError where it is larger than what is left."""
        rows, width = self.count(), self.count()
        if not 0 < width <= MAX_COUNT or rows * width * 8 > len(self.body) - self.position:
            raise ProtocolError(self.peer, self.step, "an array is larger than the message")
        return np.frombuffer(self.take(rows * width * 8), dtype="<u8").reshape(rows, width).astype(np.uint64)

    def reals(self) -> npt.NDArray[np.float64]:
        """Return a one-dimensional array of float64; ProtocolError where it is larger than what is left."""
        count = self.count()
        if count * 8 > len(self.body) - self.position:
            raise ProtocolError(self.peer, self.step, "an array is larger than the message")
        return np.frombuffer(self.take(count * 8), dtype="<f8").astype(np.float64)

    def finish(self) -> None:
        """Refuse bytes that are left over; ProtocolError."""
        if self.position != len(self.body):
            raise ProtocolError(self.peer, self.step, "bytes left over after the last field")


def _count(value: int) -> bytes:
    return int(value).to_bytes(8, "little")


def _blob(value: bytes) -> bytes:
    return _count(len(value)) + value


def _limbs(value: Limbs) -> bytes:
    return _count(value.shape[0]) + _count(value.shape[1]) + np.ascontiguousarray(value, dtype="<u8").tobytes()


# Annotations are text here (postponed evaluation): a closed list, so that no type is looked up by a name from outside.
ENCODERS: dict[Any, Callable[[Any], bytes]] = {
    "int": _count,
    "float": lambda value: struct.pack("<d", value),
    "str": lambda value: _blob(value.encode("utf-8")),
    "bytes": _blob,
    "Limbs": _limbs,
    "npt.NDArray[np.float64]": lambda value: _count(value.size) + np.ascontiguousarray(value, dtype="<f8").tobytes(),
}
DECODERS: dict[Any, Callable[[Reader], Any]] = {
    "int": Reader.count,
    "float": Reader.real,
    "str": Reader.text,
    "bytes": Reader.blob,
    "Limbs": Reader.limbs,
    "npt.NDArray[np.float64]": Reader.reals,
}


def name_bytes(name: str) -> bytes:
    """Return a party's name as a header has it, in ASCII; ValueError for one that is none."""
    data = name.encode("ascii")
    if not 0 < len(data) <= MAX_NAME_BYTES:
        raise ValueError("party names have 1 to 16 ASCII characters")
    return data


def name_text(field: bytes, peer: str) -> str:
    """Return the name in a header's field; ProtocolError against `peer` for bytes that are none."""
    try:
        return field.rstrip(b"\0").decode("ascii")
    except UnicodeDecodeError:
        raise ProtocolError(peer, "parse", "a party name is not ASCII") from None
