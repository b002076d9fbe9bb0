"""A digest over the fields of a JSON file, so that no damage and no edit of it goes unseen. It is no protection against forgery."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def sealed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with "digest", the SHA-256 of their canonical JSON."""
    return {**fields, "digest": _digest(fields)}


def seal_holds(saved: Mapping[str, Any]) -> bool:
    """Return whether "digest" is that of the other fields."""
    return bool(saved.get("digest") == _digest({name: value for name, value in saved.items() if name != "digest"}))


def _digest(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
