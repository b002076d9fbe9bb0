"""What a received ciphertext must be before anything is computed with it (assurance rule 6)."""

from __future__ import annotations

import numpy as np

from ...errors import CiphertextError
from .. import limbs as lm
from ..limbs import Limbs


def check_range(limbs: Limbs, limit: int) -> None:
    """Refuse ciphertexts that are not 1 < c < limit, and one that is there twice; CiphertextError."""
    if (~limbs[:, 1:].any(axis=1) & (limbs[:, 0] <= 1)).any():
        raise CiphertextError("ciphertexts", "0 and 1 are no ciphertexts")
    top = lm.from_ints([limit], limbs.shape[1])[0]
    below, equal = np.zeros(len(limbs), dtype=bool), np.ones(len(limbs), dtype=bool)
    for i in range(limbs.shape[1] - 1, -1, -1):
        below |= equal & (limbs[:, i] < top[i])
        equal &= limbs[:, i] == top[i]
        if not equal.any():
            break
    if not below.all():
        raise CiphertextError("ciphertexts", f"number {int(np.flatnonzero(~below)[0])} is not below n²")
    if len(np.unique(limbs[:, 0])) < len(limbs):
        rows = np.ascontiguousarray(limbs).view(np.dtype((np.void, limbs.shape[1] * 8))).ravel()
        if len(np.unique(rows)) < len(rows):
            raise CiphertextError("ciphertexts", "one is repeated: fresh randomness never repeats")
