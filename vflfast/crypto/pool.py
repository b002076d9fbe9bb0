"""The offline half of encryption: randomness computed ahead of need, each used once (crypto-core §3)."""

from __future__ import annotations

import os

import numpy as np

from .context import Vector


class Pool:
    """Fresh encryptions of 0 by the length of their random exponents. A forked child finds it empty: none may serve two processes."""

    def __init__(self) -> None:
        self._vectors: dict[int, list[Vector]] = {}
        self._owner = os.getpid()

    def size(self, alpha_bits: int) -> int:
        """Return how many powers of this exponent length are ready."""
        self._forget_if_forked()
        return sum(map(len, self._vectors.get(alpha_bits, ())))

    def put(self, alpha_bits: int, powers: Vector) -> None:
        """Keep powers for later."""
        self._forget_if_forked()
        self._vectors.setdefault(alpha_bits, []).append(powers)

    def take(self, alpha_bits: int, count: int) -> Vector | None:
        """Return up to `count` powers and forget them; None when there are none."""
        if self.size(alpha_bits) == 0 or count == 0:
            return None
        held, taken = self._vectors[alpha_bits], []
        while held and count:
            powers = held.pop()  # from the end: what is left of a piece goes back without a copy of the others
            taken.append(powers[:count])
            if len(powers) > count:
                held.append(powers[count:])
            count -= len(taken[-1])
        return np.concatenate(taken) if len(taken) > 1 else taken[0]

    def _forget_if_forked(self) -> None:
        if os.getpid() != self._owner:
            self._vectors.clear()
            self._owner = os.getpid()
