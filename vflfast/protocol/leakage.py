"""Leakage guards, and the ledger of what each party could solve for (protocol §6)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ..errors import LeakageGuardError
from ..learn.elementary import log
from ..learn.leverage import Leverage
from ..params import RARE_LABELS_RATIO, ROWS_PER_BATCH_FACTOR
from .settings import Settings


def guard_batches(n_rows: int, n_columns: int, n_batches: int, row_packing: int = 1, *, allow_wide: bool = True) -> None:
    """Refuse batches in which a party's gradient equations come near the number of unknown residuals.

    Each opened gradient gives its owner n_columns + 1 linear equations in the residuals of the batch's rows, times 2k − 1 with k rows in
    a ciphertext: with as many equations as rows it solves for every label. Readers that know labels to be ±1, or rare, need far fewer:
    coin-flip labels of 300 rows were read right for 64 % from 0.1 columns a row, and all from 0.55 (docs/security.md).

    Raises
    ------
    LeakageGuardError
        Rows per batch < 10 × (2k − 1) × columns, which for the full batch `allow_wide` lets through; or rows ≤ (2k − 1) × (columns + 1).
    """
    rows, times = n_rows // n_batches, 2 * row_packing - 1
    least = ROWS_PER_BATCH_FACTOR * times
    packed = f" and row_packing {row_packing}" if row_packing > 1 else ""
    if n_batches > 1 and rows < least * n_columns:
        raise LeakageGuardError(
            f"n_batches: {rows} rows a batch for {n_columns} columns{packed}; at least {least} rows a column are needed, "
            f"so at most {max(1, n_rows // (least * n_columns))} batches"
        )
    if rows <= times * (n_columns + 1):
        raise LeakageGuardError(f"rows: {rows} rows for {n_columns} columns{packed}; a party could solve for every residual")
    if rows < least * n_columns and not allow_wide:
        raise LeakageGuardError(
            f"allow_wide: {n_columns} columns for {rows} rows{packed}; above a tenth, a party that knows labels to be ±1 reads many of "
            f"them from its sums. Leave columns out, or set allow_wide = true at all parties if the labels may be read"
        )


def guard_rare_labels(n_rows: int, n_positive: int, n_columns: int, settings: Settings) -> None:
    """Refuse labels so rare that a reader who knows it finds them: k sums have about k·log₂n bits, n labels n·H(p).

    Parameters
    ----------
    n_positive
        Rows labelled +1.
    n_columns
        Of the widest host.

    Raises
    ------
    LeakageGuardError
        The sums have more than 4 times the bits, and not all parties allow it.
    """
    rows, share = n_rows // settings.n_batches, n_positive / n_rows
    logs = log(np.array([max(rows, 2), share or 1.0, 1 - share or 1.0]))
    entropy = -float(share * logs[1] + (1 - share) * logs[2])
    ratio = math.inf if entropy == 0 else n_columns * (2 * settings.row_packing - 1) * float(logs[0]) / (rows * entropy)
    if ratio > RARE_LABELS_RATIO and not settings.allow_wide:
        raise LeakageGuardError(
            f"allow_wide: the rarer label is {min(share, 1 - share):.2%} of {rows} rows, and a host has {n_columns} columns: its sums have "
            f"{ratio:.1f} times the bits that the labels have, the limit is {RARE_LABELS_RATIO:g}; a reader that knows how rare they are "
            f"finds many. Fewer columns, more rows, or allow_wide = true at all parties if the labels may be read"
        )


@dataclass
class LeakEntry:
    """One kind of thing that a party learnt: `equations` linear equations in `unknowns` numbers of another party.

    Attributes
    ----------
    largest, above_fifth, above_half, above_nine_tenths
        The largest leverage of a row in them (learn/leverage.py), and how many rows are above 0.2, 0.5 and 0.9; None: not measured.
    """

    party: str
    what: str
    equations: int
    unknowns: int
    largest: float | None = None
    above_fifth: int | None = None
    above_half: int | None = None
    above_nine_tenths: int | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the entry for a report."""
        return {**vars(self), "share": self.equations / max(self.unknowns, 1)}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> LeakEntry:
        """Return what `to_dict` gave."""
        return cls(*(saved[own.name] for own in fields(cls)))


@dataclass
class LeakLedger:
    """What a party was given in a run, kept by the party itself."""

    party: str
    entries: list[LeakEntry] = field(default_factory=list)

    def add(self, what: str, equations: int, unknowns: int, rows: Leverage | None = None) -> None:
        """Count equations under a name; the same name adds up. `rows`: what they tell of single rows."""
        for entry in self.entries:
            if entry.what == what:
                entry.equations += equations
                return
        largest, counts = (None, (None, None, None)) if rows is None else (rows.largest, rows.counts)
        self.entries.append(LeakEntry(self.party, what, equations, unknowns, largest, *counts))

    def to_list(self) -> list[dict[str, object]]:
        """Return the entries for a report."""
        return [entry.to_dict() for entry in self.entries]
