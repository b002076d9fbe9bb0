"""Controls of the fuzzing: decoders with a fault."""

from __future__ import annotations

from assurance.decoding import Decoder, from_json


def four_bytes(data: bytes) -> None:
    """A fault behind four bytes that must be right one after the other."""
    if data[:1] == b"V" and data[1:2] == b"F" and data[2:3] == b"L" and data[3:4] == b"!":
        raise IndexError("planted")


def field(data: bytes) -> None:
    """A fault where a field of a document has another type than it should."""
    saved = from_json(data)
    if isinstance(saved, dict) and saved.get("version") == 1 and saved.get("format") == "f":
        for rule in saved.get("rules") or []:
            len(rule["edges"])


def loop(data: bytes) -> None:
    """A hang."""
    while data[:2] == b"ab":
        pass


DECODERS = {
    "planted: bytes": Decoder(four_bytes, lambda: [b"VFLA"]),
    "planted: field": Decoder(field, lambda: [b'{"format": "f", "version": 1, "rules": [{"edges": []}]}'], "json"),
    "planted: hang": Decoder(loop, lambda: [b"a"]),
}
