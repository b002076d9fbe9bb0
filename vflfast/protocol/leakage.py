"""Leakage guards, and the ledger of what each party could solve for (protocol §6)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import LeakageGuardError
from ..params import ROWS_PER_BATCH_FACTOR


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
