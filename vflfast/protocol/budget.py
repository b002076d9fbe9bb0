"""What runs tell about a party's numbers, counted over runs and attempts at the party whose numbers they are.

A run gives each peer columns·(2k − 1)·batches linear equations in the residuals, k rows in a ciphertext, and their sum, which is the same
in every run; its rounds repeat them with other right-hand sides. Another run with other columns adds as many. The same columns of the same
customers add none, so each data party sends a commitment to them in Hello.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..crypto.coded import CodedMatrix
from ..learn.leverage import Leverage
from ..tables.id_texts import passes
from .settings import Settings

COMMITMENT_BYTES = 32
ROW_DIGEST_BYTES = 32

Customers = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Claim:
    """What a run tells one peer about this party's numbers.

    Attributes
    ----------
    party, organisation
        Its name in the run, and who it is in all runs.
    n_columns
        Of its matrix.
    commitment
        To its columns and customers, 32 bytes; empty: it made none, and every run counts as one with other columns.
    equations
        Linear equations in this party's numbers.
    given
        The numbers themselves are sent, as labels in the patent profile: noted, and nothing is left to refuse.
    rows
        What the peer says that its columns tell of single rows.
    """

    party: str
    organisation: str
    n_columns: int
    commitment: bytes
    equations: int
    given: bool = False
    rows: Leverage | None = None


class Budget(Protocol):
    """Durable account of what peers were told about a party's numbers."""

    def commitment(self, matrix: CodedMatrix, n_batches: int, row_packing: int) -> bytes:
        """Return the commitment to the party's own columns, for its peers' accounts."""

    def spend(self, run: bytes, claims: Sequence[Claim], *, wide: bool = False) -> None:
        """Return when all claims of a run are durable; a run that goes on spends nothing again."""

    def begin_round(self, run: bytes, round_: int) -> None:
        """Return when it is durable that a round's sums may be opened from now on."""

    def count_scoring(self) -> None:
        """Return when it is durable that this run's customers are scored once more."""


class NoBudget:
    """Counts nothing: trials in which one organisation has every party's numbers."""

    def commitment(self, matrix: CodedMatrix, n_batches: int, row_packing: int) -> bytes:
        """Return nothing."""
        return b""

    def spend(self, run: bytes, claims: Sequence[Claim], *, wide: bool = False) -> None:
        """Forget the claims."""

    def begin_round(self, run: bytes, round_: int) -> None:
        """Forget the round."""

    def count_scoring(self) -> None:
        """Forget the session."""


def equations(n_columns: int, n_batches: int, row_packing: int) -> int:
    """Return how many linear equations in the residuals a run gives the owner of `n_columns` columns, besides their sum."""
    return n_columns * (2 * row_packing - 1) * n_batches


def claims_of(
    organisations: Mapping[str, str], columns: Mapping[str, int], commitments: Mapping[str, bytes], n_batches: int, row_packing: int
) -> list[Claim]:
    """Return the claims of the peers that `columns` names and that have some."""
    return [
        Claim(party, organisations[party], n, commitments[party], equations(n, n_batches, row_packing))
        for party, n in columns.items()
        if n
    ]


def label_claims(claims: Sequence[Claim], n_rows: int, settings: Settings) -> list[Claim]:
    """Return what the peers will be told about the guest's labels; in the patent profile the hosts are sent them [0080]."""
    if settings.profile != "patent":
        return list(claims)
    return [dataclasses.replace(claim, equations=n_rows, given=True) for claim in claims]


def class_claim(claims: Sequence[Claim], host: str, n_classes: int) -> list[Claim]:
    """Return what a host's WOE values tell it about the labels: one equation a class, besides those of its columns."""
    own = next(claim for claim in claims if claim.party == host)
    commitment = hashlib.sha256(b"vflfast classes" + own.commitment).digest() if own.commitment else b""
    return [dataclasses.replace(own, party=f"{host} classes", n_columns=n_classes, commitment=commitment, equations=n_classes)]


def commit_to(matrix: CodedMatrix, customers: Customers, key: bytes, n_batches: int, row_packing: int) -> bytes:
    """Return a keyed commitment to columns and customers, the same in any order of the rows where the equations are.

    It is HMAC-SHA256 over the sum of the rows' keyed digests modulo 2^256 and the columns' tables. With batches or several rows in a
    ciphertext the equations depend on the order, and so does the digest of a row.

    Parameters
    ----------
    matrix
        n_rows × n_columns.
    customers
        64-bit keyed digests of the ids, shape (n_rows,).
    key
        A secret of the party: without it nobody tries out columns.
    """
    ordered = n_batches > 1 or row_packing > 1
    total, first = 0, 0
    for part in passes(customers):
        codes = np.ascontiguousarray(matrix.codes[:, first : first + len(part)].T)
        for i, (customer, row) in enumerate(zip(part.tolist(), codes, strict=True), start=first):
            place = i if ordered else 0
            seen = customer.to_bytes(8, "little") + place.to_bytes(8, "little") + row.tobytes()
            total += int.from_bytes(hashlib.blake2b(seen, key=key, digest_size=ROW_DIGEST_BYTES).digest(), "little")
        first += len(part)
    columns = [a.astype("<i8").tobytes() for a in (matrix.class_counts, matrix.column_features, matrix.column_values)]
    layout = np.array([*matrix.shape, n_batches, row_packing, *map(len, columns)], dtype="<i8").tobytes()
    rows = (total % (1 << 8 * ROW_DIGEST_BYTES)).to_bytes(ROW_DIGEST_BYTES, "little")
    return hmac.digest(key, b"".join([layout, rows, *columns]), "sha256")
