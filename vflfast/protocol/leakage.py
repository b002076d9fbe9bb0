"""Leakage guards, and the ledger of what each party could solve for (protocol §6)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..crypto.coded import CodedMatrix
from ..errors import LeakageGuardError
from ..learn.leverage import leverages
from ..params import ROWS_PER_BATCH_FACTOR

SHOWN = 5  # rows and features that an error names


def guard_batches(n_rows: int, n_columns: int, n_batches: int, row_packing: int = 1) -> None:
    """Refuse batches in which a party's gradient equations come near the number of unknown residuals.

    Each opened gradient gives its owner n_columns + 1 linear equations in the residuals of the batch's rows, times 2k − 1 with k rows in
    a ciphertext: with as many equations as rows it solves for every label.

    Raises
    ------
    LeakageGuardError
        Rows per batch < 10 × (2k − 1) × columns for mini-batches, or rows ≤ (2k − 1) × (columns + 1) for the full batch.
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


def guard_leverage(party: str, matrix: CodedMatrix, limit: float, batch: str = "") -> None:
    """Refuse columns that set single rows apart: their sums would give a row's residual, and with it its label, away.

    Parameters
    ----------
    matrix
        The party's columns on the rows of one batch.
    limit
        Largest leverage (learn/leverage.py); 1: nothing is measured.
    batch
        Which, for the message.

    Raises
    ------
    LeakageGuardError
        Names the rows by number and the features whose class there is smallest.
    """
    if limit >= 1.0:
        return
    found = leverages(matrix, limit)
    if not found.rows:
        return
    sizes = matrix.class_rows[np.arange(matrix.n_features), matrix.codes[:, found.rows[0]].astype(np.int64)]
    rarest = ", ".join(f"{feature} (class of {sizes[feature]})" for feature in np.argsort(sizes, kind="stable")[:SHOWN].tolist())
    rows = ", ".join([*map(str, found.rows[:SHOWN]), *(["…"] if len(found.rows) > SHOWN else [])])
    raise LeakageGuardError(
        f"max_leverage: the columns of {party} set {len(found.rows)} rows{batch} apart, by up to {found.largest:.2f} of their residual; "
        f"the limit is {limit:g}. Rows {rows}; in the first of them the rarest features are {rarest}. Merge small classes "
        f"(min_class_size), or leave columns out"
    )


@dataclass
class LeakEntry:
    """One kind of thing that a party learnt: `equations` linear equations in `unknowns` numbers of another party."""

    party: str
    what: str
    equations: int
    unknowns: int


@dataclass
class LeakLedger:
    """What a party was given in a run, kept by the party itself."""

    party: str
    entries: list[LeakEntry] = field(default_factory=list)

    def add(self, what: str, equations: int, unknowns: int) -> None:
        """Count equations under a name; the same name adds up."""
        for entry in self.entries:
            if entry.what == what:
                entry.equations += equations
                return
        self.entries.append(LeakEntry(self.party, what, equations, unknowns))

    def to_list(self) -> list[dict[str, object]]:
        """Return the entries for a report."""
        return [
            {"party": e.party, "what": e.what, "equations": e.equations, "unknowns": e.unknowns, "share": e.equations / max(e.unknowns, 1)}
            for e in self.entries
        ]
