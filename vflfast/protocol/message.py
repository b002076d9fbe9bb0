"""What every message is: a body of fields with a number for its kind, and an envelope that says where it belongs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Message:
    """A message body. Field types: int (u64), float, str, bytes, Limbs (2-dimensional), Floats and Flags (1-dimensional)."""

    kind: ClassVar[int] = 0
    phase: ClassVar[str] = ""


@dataclass(frozen=True)
class Envelope:
    """Where a message belongs."""

    session: bytes
    round: int
    attempt: int
    sender: str
    recipient: str
