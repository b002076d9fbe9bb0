"""What fuzzing needs of a decoder: how it is called, valid examples, what may come of it, and where its files lie."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vflfast.errors import VflError
from vflfast.protocol.settings import Settings

P, Q = 307498317574408466877191569305619971731, 244950280483191469473609672418254616459  # a key of 256 bits
SESSION = bytes(range(32))
PEER = "host1"
SETTINGS = Settings(key_bits=256, test_key=True, simulation=True)
FOLDER = tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
PLACE = Path(FOLDER.name)  # what decoders read; gone with the process
LARGEST_ERROR = 4  # characters of an error for a byte of input, and 4000 besides


@dataclass(frozen=True)
class Decoder:
    """`form` is what a mutator may take the input for: bytes, json or toml; `examples` are valid inputs."""

    decode: Callable[[bytes], object]
    examples: Callable[[], list[bytes]]
    form: str = "bytes"


def attempt(decoder: Decoder, data: bytes) -> bool:
    """Whether the decoder accepts the input; any error but a printable `VflError` of bounded length passes through."""
    try:
        decoder.decode(data)
    except VflError as error:
        if len(str(error).encode()) > LARGEST_ERROR * len(data) + 4000:
            raise AssertionError("an error longer than its input") from error
        return False
    return True


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def from_json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def put(data: bytes, name: str = "file") -> Path:
    path = PLACE / name
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def each(values: Iterable[Any], decode: Callable[[Any], object]) -> None:
    """Every one is tried; the last one's refusal counts."""
    refusal: VflError | None = None
    for value in values:
        refusal = None
        try:
            decode(value)
        except VflError as error:
            refusal = error
    if refusal:
        raise refusal
