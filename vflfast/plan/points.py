"""The work of a run on ElGamal: nothing is packed or masked, every number has a point, and small logarithms are found at the end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

from ..crypto.calibration_curve import PointRates
from ..crypto.elgamal.opening import TABLE_BITS, HolderDigits
from .work import Encryptor, Work, whole

HELD_BYTES = 320  # two points of four coordinates of five words
TABLE_ENTRY_BYTES = 16
KEY_POWERS = 8  # what making, proving and checking a key takes, in arbiter's steps


@dataclass
class PointEncryptor(Encryptor):
    """Encryptions that all cost the same: the generator's table is there, the key's is made in a millisecond."""

    def expect(self, count: int) -> None:
        """Nothing depends on it."""

    def cost(self, count: int, bits: int) -> float:
        """Microseconds of `count` encryptions, their encoding included."""
        return whole(count, self.rates) * self.rates.encrypt_bit * self.rates.key_bits


@dataclass
class PointWork(Work):
    """`Work` with points."""

    most_table_bits: int = 0

    def encryptor(self) -> Encryptor:
        """Return one party's encryptions."""
        return PointEncryptor(self.rates)

    @property
    def held_bytes(self) -> float:
        """Bytes of a ciphertext in memory."""
        return HELD_BYTES

    @property
    def _points(self) -> PointRates:
        return cast(PointRates, self.rates)  # `predict.work_of`

    def open_session(self) -> None:
        """The arbiter's key, with its proof of knowledge."""
        for party, stage in (("arbiter", "key"), *((party.name, "key check") for party in self.shape.parties)):
            self.add(party, stage, KEY_POWERS * self.rates.decrypt)

    def check(self, party: str, count: int) -> None:
        """Decode received points, which validates them."""
        self.add(party, "check ciphertexts", count * self.rates.load)

    def packing(self, n_values: int, bound: int) -> float:
        """Nothing is packed."""
        return 0.0

    def open(self, party: str, count: int, bound: int) -> None:
        """The arbiter's step and proof; the owner's check, and its logarithms."""
        self.add("arbiter", "decrypt", whole(count, self.rates) * self.rates.decrypt)
        self.carry(party, "arbiter", count)  # a point there and a point back
        self.add(party, "unmask", count * self._points.verify + self._logarithms(count, bound))

    def read(self, count: int, bound: int) -> None:
        """Numbers that the arbiter reads itself: digits that its table has."""
        self.add("arbiter", "decrypt", whole(count, self.rates) * self.rates.decrypt + self._table(HolderDigits.of(bound).base, count))

    def read_sums(self, count: int, bound: int) -> None:
        """Numbers as they are, of many rows."""
        self.add("arbiter", "decrypt", whole(count, self.rates) * self.rates.decrypt + self._logarithms(count, bound))

    def _logarithms(self, count: int, bound: int) -> float:
        """Microseconds of finding sums of many rows: typically their root smaller than the bound."""
        made, bits = self._table(bound, count), self._table_bits(bound, count)
        steps = bound / math.sqrt(max(1, self.shape.n_rows)) / (1 << bits)
        return made + count * steps * self._points.giant_step

    def _table(self, bound: int, count: int) -> float:
        """Microseconds of making a table of logarithms, the first time that so large a one is needed."""
        bits = self._table_bits(bound, count)
        if bits <= self.most_table_bits:
            return 0.0
        self.most_table_bits = bits
        return (1 << bits) * self.rates.multiply / 4  # additions of single affine points

    @staticmethod
    def _table_bits(bound: int, count: int) -> int:
        wanted = (bound.bit_length() + count.bit_length()) // 2
        return next((bits for bits in TABLE_BITS if bits >= wanted), TABLE_BITS[-1])

    def table_bytes(self) -> float:
        """Bytes of the tables of logarithms."""
        return TABLE_ENTRY_BYTES * (1 << self.most_table_bits)
