"""Row packing: several rows in one ciphertext, for slow links (crypto-core §6).

With k rows i₀ … i_{k−1} of a group in one plaintext G = Σ_j 2^{sj}·g_{i_j}, and their cells z in mirrored order,

    Σ_groups G·Σ_j 2^{s(k−1−j)}·z_{i_j}  has  Σ_i z_i·g_i  as its digit k − 1 in base 2^s.

The factor is applied by its parts: Σ_j 2^{s(k−1−j)}·(Z_jᵀG), where Z_j holds the j-th row of every group; the bucket phase does as many
insertions as without packing, for 1/k of the ciphertexts made, sent, checked and re-randomised. The price: the 2k − 2 other digits are
sums of cells times the residuals of *other* rows of the group. Whoever gets the product opened learns them too, so the leak ledger counts
2k − 1 equations a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..crypto.arrays import CipherArray
from ..crypto.coded import ClassSums, CodedMatrix
from ..crypto.scheme import Public
from ..errors import InputError
from ..params import MAX_COLUMN_VALUE
from .settings import Settings


@dataclass(frozen=True)
class RowPacking:
    """`rows` rows a ciphertext, `slot_bits` apart; with one row nothing is packed."""

    rows: int = 1
    slot_bits: int = 0

    @property
    def digits(self) -> int:
        """2k − 1: digits of a packed product, each a linear equation in residuals for its owner."""
        return 2 * self.rows - 1

    def groups(self, n_rows: int) -> int:
        """Return how many ciphertexts `n_rows` rows take."""
        return -(-n_rows // self.rows)

    def bound(self, bound: int) -> int:
        """Return the bound of a packed number whose parts are at most `bound`."""
        return sum(bound << self.slot_bits * j for j in range(self.rows))

    def product_bound(self) -> int:
        """Return the bound of a packed product: every digit is below 2^(slot_bits − 1)."""
        return 1 << self.digits * self.slot_bits

    def pack(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | npt.NDArray[np.object_]:
        """Return Σ_j 2^{sj}·values[k·i + j] of every group, shape (groups,); a last group that is not full ends with zeros."""
        if self.rows == 1:
            return values
        packed = np.zeros(self.groups(len(values)), dtype=object)
        for j in range(self.rows):
            part = values[j :: self.rows].astype(object)
            packed[: len(part)] += part << self.slot_bits * j
        return packed

    def split(self, matrix: CodedMatrix) -> list[CodedMatrix]:
        """Return Z_0 … Z_{k−1}: the j-th row of every group."""
        if self.rows == 1:
            return [matrix]
        return [matrix.take_rows(np.arange(j, matrix.n_rows, self.rows)) for j in range(min(self.rows, matrix.n_rows))]

    def equations(self, matrix: CodedMatrix) -> CodedMatrix:
        """Return the columns whose sums with the residuals are all that opened products tell: with k rows packed, every digit's.

        Digit t of a product is Σ z_j'·g_j over rows j, j' of a group with j' = j + k − 1 − t: the same column with its rows shifted inside
        their group, 0 where the shift leaves it. The column of ones shifts likewise.
        """
        if self.rows == 1:
            return matrix
        shifted = [self._shifted(matrix, shift) for shift in range(1 - self.rows, self.rows)]
        width = matrix.column_values.shape[1] + 1
        values = np.zeros((matrix.n_columns, width), dtype=np.int64)
        ordinary = np.arange(width - 1) < matrix.class_counts[matrix.column_features][:, None]
        values[:, :-1] = np.where(ordinary, matrix.column_values, 0)
        ones = np.zeros((self.digits - 1, width), dtype=np.int64)
        ones[:, 1] = 1
        inside = [(codes[0] != matrix.class_counts[0]).astype(np.uint8) for shift, codes in enumerate(shifted) if shift != self.rows - 1]
        features = [matrix.column_features + i * matrix.n_features for i in range(self.digits)]
        last = self.digits * matrix.n_features
        return CodedMatrix(
            np.vstack([*shifted, *(row[None, :] for row in inside)]),
            np.concatenate([np.tile(matrix.class_counts + 1, self.digits), np.full(self.digits - 1, 2)]),
            np.concatenate([*features, np.arange(last, last + self.digits - 1)]),
            np.vstack([np.tile(values, (self.digits, 1)), ones]),
        )

    def _shifted(self, matrix: CodedMatrix, shift: int) -> npt.NDArray[np.uint8]:
        """Codes of the row `shift` further on in the same group; the class count itself, a class of its own, where there is none."""
        rows = np.arange(matrix.n_rows)
        source = rows + shift
        inside = (source >= 0) & (source < matrix.n_rows) & (source // self.rows == rows // self.rows)
        outside = matrix.class_counts.astype(np.uint8)[:, None]
        return np.where(inside, matrix.codes[:, np.where(inside, source, 0)], outside)

    def sums(self, parts: Sequence[CodedMatrix], vector: CipherArray) -> list[ClassSums[CipherArray]]:
        """Return the class sums of every part with the packed vector."""
        return [part.class_sums(vector[: part.n_rows]) for part in parts]

    def combine(self, public: Public, parts: Sequence[CodedMatrix], sums: Sequence[ClassSums[CipherArray]]) -> CipherArray:
        """Return the packed products of all columns, and last that of a column of ones, shape (n_columns + 1,)."""
        products = [CipherArray.concatenate(part.combine(s)) for part, s in zip(parts, sums, strict=True)]
        if self.rows == 1:
            return products[0]
        zeros = products[0].like(public.context.one(len(products[0])), 0)
        missing = [zeros] * (self.rows - len(products))  # fewer rows than a group has
        return public.join_rows([*missing, *reversed(products)], self.slot_bits, self.product_bound())

    def middle(self, values: Sequence[int]) -> list[int]:
        """Return digit k − 1 of every opened product: Σ_i z_i·g_i."""
        if self.rows == 1:
            return list(values)
        half, base = 1 << self.slot_bits - 1, 1 << self.slot_bits
        # adding a half to every digit makes all of them non-negative, with no borrow between them
        offset = sum(half << self.slot_bits * t for t in range(self.digits))
        return [((value + offset) >> self.slot_bits * (self.rows - 1)) % base - half for value in values]


def agreed_packing(settings: Settings, n_rows: int, bound: int) -> RowPacking:
    """Return the packing that the settings ask for: slots that no sum over `n_rows` rows of residuals up to `bound` can leave.

    Every party computes the same from what all know; columns count with the largest value that a coded matrix may have.

    Raises
    ------
    InputError
        The key is too small for it.
    """
    if settings.row_packing == 1:
        return RowPacking()
    packing = RowPacking(settings.row_packing, (bound * n_rows * MAX_COLUMN_VALUE).bit_length() + 1)
    if packing.digits * packing.slot_bits > settings.key_bits // 2:  # the check column takes the rest
        raise InputError(
            "row_packing", f"{packing.rows} rows of {packing.slot_bits} bits do not fit a key of {settings.key_bits} bits with the check"
        )
    return packing
