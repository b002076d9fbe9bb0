"""Encrypted arrays and public keys as bytes: a header, the ciphertexts, a checksum. What is read is checked before it is used.

``VFLA``, format version (2 bytes), length of the header (4 bytes), header (JSON, ASCII), ciphertexts (little-endian 64-bit limbs), SHA-256
of all before. The checksum finds damage, not forgery: ciphertexts carry no proof of who made them.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..errors import CiphertextError
from ..params import MAX_COUNT, MAX_SCALE_BITS
from .limbs import Limbs

MAGIC, FORMAT_VERSION = b"VFLA", 1
FIXED = struct.Struct("<4sHI")
DIGEST_BYTES = hashlib.sha256().digest_size
MAX_HEADER_BYTES = 1 << 16
MAX_DIMENSIONS = 32
HEX = re.compile(r"[0-9a-f]{1,1024}")


class Wire(Protocol):
    """What is written of an array."""

    limbs: Limbs
    shape: tuple[int, ...]
    frac_bits: int
    precision: int
    bound: int


class ArrayHead(NamedTuple):
    """What the header says of an array; `width` limbs a ciphertext."""

    key: str
    shape: tuple[int, ...]
    frac_bits: int
    precision: int
    bound: int
    width: int

    @property
    def n_bytes(self) -> int:
        """Bytes of the ciphertexts."""
        return math.prod(self.shape) * self.width * 8

def array_to_bytes(array: Wire, fingerprint: str) -> bytes:
    """Return an array's header, ciphertexts and checksum."""
    return sealed(array_header(array, fingerprint), np.ascontiguousarray(array.limbs, dtype="<u8").tobytes())


def array_header(array: Wire, fingerprint: str) -> dict[str, Any]:
    """Return the header of an array."""
    return {
        "kind": "array", "key": fingerprint, "shape": list(array.shape), "frac_bits": array.frac_bits, "precision": array.precision,
        "bound": f"{array.bound:x}", "limbs": array.limbs.shape[1],
    }  # fmt: skip


def array_from_bytes(data: bytes, fingerprint: str) -> tuple[ArrayHead, Limbs]:
    """Return the header and ciphertexts of an array; CiphertextError for damage, another format or another key."""
    header, body = unsealed(data)
    head = array_head(header, fingerprint)
    if len(body) != head.n_bytes:
        raise CiphertextError("data", f"has {len(body)} bytes of ciphertexts, its shape takes {head.n_bytes}")
    return head, np.frombuffer(body, dtype="<u8").astype(np.uint64).reshape(-1, head.width)


def array_head(header: dict[str, Any], fingerprint: str) -> ArrayHead:
    """Return a header whose every field was checked; CiphertextError."""
    if header.get("kind") != "array":
        raise CiphertextError("data", "holds no array")
    if header.get("key") != fingerprint:
        raise CiphertextError("data", f"belongs to key {str(header.get('key'))[:32]!r}, not {fingerprint}")
    shape, bound = header.get("shape"), header.get("bound")
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS or not all(_whole(side, MAX_COUNT) for side in shape):
        raise CiphertextError("data", "its shape is none")
    if not isinstance(bound, str) or not HEX.fullmatch(bound):
        raise CiphertextError("data", "its bound is no number")
    numbers = [header.get(name) for name in ("frac_bits", "precision", "limbs")]
    if not all(_whole(number, MAX_SCALE_BITS) for number in numbers) or numbers[2] == 0 or math.prod(shape) > MAX_COUNT:
        raise CiphertextError("data", "its scale or size is out of range")
    return ArrayHead(fingerprint, tuple(shape), numbers[0], numbers[1], int(bound, 16), numbers[2])  # type: ignore[arg-type]


def _whole(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def preamble(header: dict[str, Any]) -> bytes:
    """Return what stands before the ciphertexts."""
    text = json.dumps(header, sort_keys=True).encode("ascii")
    return FIXED.pack(MAGIC, FORMAT_VERSION, len(text)) + text


def sealed(header: dict[str, Any], body: bytes = b"") -> bytes:
    """Return header, body and checksum as bytes."""
    start = preamble(header)
    return start + body + hashlib.sha256(start + body).digest()


def unsealed(data: bytes) -> tuple[dict[str, Any], memoryview]:
    """Return header and body of what `sealed` made; CiphertextError for anything else."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise CiphertextError("data", f"must be bytes, not {type(data).__name__}")
    view = memoryview(data).cast("B")
    if len(view) < DIGEST_BYTES or hashlib.sha256(view[:-DIGEST_BYTES]).digest() != view[-DIGEST_BYTES:]:
        raise CiphertextError("data", "is damaged or cut off: its checksum does not agree")
    header, start = read_header(bytes(view[: FIXED.size + MAX_HEADER_BYTES]))
    return header, view[start:-DIGEST_BYTES]


def read_header(data: bytes) -> tuple[dict[str, Any], int]:
    """Return the header at the beginning of some bytes and where it ends; CiphertextError for another format or version."""
    if len(data) < FIXED.size or data[: len(MAGIC)] != MAGIC:
        raise CiphertextError("data", "is in another format: it does not begin as arrays and keys do")
    _, version, length = FIXED.unpack_from(data)
    if version != FORMAT_VERSION:
        raise CiphertextError("data", f"has format version {version}; this is {FORMAT_VERSION}: read it with a newer vflfast")
    text = data[FIXED.size : FIXED.size + length]
    try:
        header = json.loads(text.decode("ascii")) if len(text) == length <= MAX_HEADER_BYTES else None
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise CiphertextError("data", "its header cannot be read")
    return header, FIXED.size + length


def public_key_header(data: bytes, scheme: str, fields: set[str]) -> dict[str, Any]:
    """Return the header of a public key of a scheme, with these fields and no others; CiphertextError."""
    header, body = unsealed(data)
    if header.get("kind") != "public key" or header.get("scheme") != scheme:
        raise CiphertextError("data", f"holds no public key of scheme {scheme}")
    if header.keys() != fields | {"kind", "scheme"} or len(body):
        raise CiphertextError("data", "its header has other fields than a public key")
    return header
