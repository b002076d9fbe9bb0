"""Synthetic tables for the demo, the tutorial and the tests, and the demo that runs over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exports import lazily

if TYPE_CHECKING:
    from .bank import write_bank as write_bank

_PUBLIC = {
    "write_bank": ".bank",
}

__all__ = [*_PUBLIC]

__getattr__, __dir__ = lazily(__name__, _PUBLIC)
