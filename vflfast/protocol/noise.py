"""Noise that the arbiter adds to opened sums (`opening_noise`): it hides single rows from the owner of the columns, round by round.

A sum over n rows gets noise of deviation c·√n, in units of 4g, drawn anew for each round and party, and the same when a round is repeated:
a run that goes on after a crash averages nothing. It is the sum of twelve uniform numbers, so never beyond six deviations, which is what
the slots of an opening and its check leave room for.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from fractions import Fraction

from .forward import gradient_bits
from .settings import Settings

SECRET_BYTES = 32
PARTS = 12  # uniform numbers in one: their sum less 6 has variance 1
PART_BITS = 32


def batch_rows(settings: Settings, n_rows: int) -> int:
    """Return the rows of the largest batch."""
    return -(-n_rows // settings.n_batches)


@dataclass(frozen=True)
class Noise:
    """Whole numbers of a deviation, in units of the opened fixed point; 0: none."""

    deviation: int

    @classmethod
    def agreed(cls, settings: Settings, n_rows: int, n_parties: int) -> Noise:
        """Return the noise of the agreed c: c·√(rows of a batch)·2^gradient_bits·weight_unit, rounded down, of `n_parties` data parties."""
        unit = settings.weight_unit << gradient_bits(settings, n_parties)
        return cls(math.isqrt(int(Fraction(settings.opening_noise) ** 2 * batch_rows(settings, n_rows) * unit**2)))

    @property
    def bound(self) -> int:
        """The largest magnitude."""
        return PARTS // 2 * self.deviation

    def draw(self, secret: bytes, run: bytes, round_: int, party: str, count: int) -> list[int]:
        """Return `count` numbers, the same for the same secret, run, round and party; none without noise."""
        if not self.deviation:
            return []
        named = b"".join(len(part).to_bytes(8, "little") + part for part in (secret, run, party.encode())) + round_.to_bytes(8, "little")
        size = PART_BITS // 8
        stream = hashlib.shake_256(b"vflfast opening noise" + named).digest(count * PARTS * size)
        parts = [int.from_bytes(stream[k : k + size], "little") for k in range(0, len(stream), size)]
        middle = PARTS // 2 << PART_BITS
        return [self.deviation * (sum(parts[k : k + PARTS]) - middle) >> PART_BITS for k in range(0, len(parts), PARTS)]
