"""Leakage guards, and the ledger of what each party could solve for (protocol §6)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import LeakageGuardError
from ..params import ROWS_PER_BATCH_FACTOR


def guard_batches(n_rows: int, n_columns: int, n_batches: int) -> None:
    """Refuse batches in which a party's gradient equations come near the number of unknown residuals.

    Each opened gradient gives its owner n_columns + 1 linear equations in the residuals of the batch's rows: with as many columns as
    rows it solves for every label.

    Raises
    ------
    LeakageGuardError
        Rows per batch < 10 × columns for mini-batches, or rows ≤ columns + 1 for the full batch.
    """
    rows = n_rows // n_batches
    if n_batches > 1 and rows < ROWS_PER_BATCH_FACTOR * n_columns:
        raise LeakageGuardError(
            f"n_batches: {rows} rows a batch for {n_columns} columns; at least {ROWS_PER_BATCH_FACTOR} rows a column are needed, "
            f"so at most {max(1, n_rows // (ROWS_PER_BATCH_FACTOR * n_columns))} batches"
        )
    if rows <= n_columns + 1:
        raise LeakageGuardError(f"rows: {rows} rows for {n_columns} columns; a party could solve for every residual")


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
