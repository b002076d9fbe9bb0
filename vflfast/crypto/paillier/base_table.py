"""How wide a table of powers of h_s is: by how many encryptions it serves, within a bound of memory."""

from __future__ import annotations

from dataclasses import dataclass

from ..context import FixedBase

# Windows of a table by the number of encryptions: a wider one costs its entries once and saves products each time.
WINDOWS = ((0, 4), (200, 6), (2000, 8), (12_000, 9), (30_000, 10), (80_000, 11))
MAX_TABLE_BYTES = 9 << 24


@dataclass
class BaseTable:
    """Powers of h_s for exponents of one size, as wide a table as pays.

    Attributes
    ----------
    count, expected
        Encryptions so far, and those that were announced.
    """

    count: int = 0
    expected: int = 0
    window: int = 0
    base: FixedBase | None = None

    def wanted(self, alpha_bits: int, entry_bytes: int) -> int:
        """Return the window that pays, of those whose table fits `MAX_TABLE_BYTES`."""
        fitting = [(least, w) for least, w in WINDOWS if n_entries(alpha_bits, w) * entry_bytes <= MAX_TABLE_BYTES] or WINDOWS[:1]
        return max(w for least, w in fitting if max(self.count, self.expected) >= least)


def n_entries(alpha_bits: int, window: int) -> int:
    """Return the entries of a table for exponents of `alpha_bits` bits."""
    return -(-alpha_bits // window) << window
