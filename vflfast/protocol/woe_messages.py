"""Messages of the hosts' weights of evidence."""

from __future__ import annotations

from dataclasses import dataclass

from . import messages as ms
from .messages import Limbs


@dataclass(frozen=True)
class EncryptedLabels(ms.Message):
    """Guest to host: [[y]], y ∈ {0, 1}, one ciphertext a row."""

    kind = 30
    phase = "woe"
    ciphertexts: Limbs


@dataclass(frozen=True)
class ClassSums(ms.Message):
    """Host to guest: rows per class (features × classes), packed [[positives]] of those that have rows, seed of the check's weights."""

    kind = 31
    phase = "woe"
    rows: Limbs
    seed: bytes
    ciphertexts: Limbs


@dataclass(frozen=True)
class SumsQuota(ms.Message):
    """Host to arbiter: how many ciphertexts of its class sums the guest may have opened."""

    kind = 32
    phase = "woe"
    n_ciphertexts: int


@dataclass(frozen=True)
class MaskedSums(ms.Message):
    """Guest to arbiter: one host's packed class sums under the guest's masks."""

    kind = 33
    phase = "woe"
    ciphertexts: Limbs


@dataclass(frozen=True)
class OpenedSums(ms.Message):
    """Arbiter to guest: the opened, still masked class sums."""

    kind = 34
    phase = "woe"
    plaintexts: Limbs


@dataclass(frozen=True)
class ClassEvidence(ms.Message):
    """Guest to host: the WOE integer of every class (features × classes) as a 64-bit two's complement, 0 where a class has no rows."""

    kind = 35
    phase = "woe"
    values: Limbs


ms.KINDS.update({cls.kind: cls for cls in (EncryptedLabels, ClassSums, SumsQuota, MaskedSums, OpenedSums, ClassEvidence)})
