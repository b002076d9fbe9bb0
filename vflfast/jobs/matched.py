"""The parties' tables in one common order of customers, and which of them are kept out of training."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..crypto import storage
from ..mart.table import rows_of
from ..matching import ids
from ..matching.match import match_parties
from ..protocol.matching import matching_session
from ..tables.id_texts import Ids, IdTexts, passes
from ..tables.table import OpenTable, Table
from .jobfile import ID_KEY_BYTES, Job


@dataclass
class Matched:
    """The parties' rows in one common order."""

    positions: list[npt.NDArray[np.int64]]
    commitment_tokens: npt.NDArray[np.uint8]
    report: dict[str, Any]

    def rows(self, keep: npt.NDArray[np.bool_]) -> tuple[list[npt.NDArray[np.int64]], bytes]:
        """Return each party's positions of the kept rows, and the commitment to their order."""
        return [storage.take(p, keep) for p in self.positions], ids.commitment(storage.take(self.commitment_tokens, keep))


def match_tables(tables: Sequence[Table | OpenTable], job: Job) -> Matched:
    """Match the parties' ids by the job's method; all end with the same order."""
    party_ids = [table.ids for table in tables]
    key = secrets.token_bytes(ID_KEY_BYTES) if job.id_method == "hmac" and job.id_key is None else job.id_key
    session = matching_session(job.settings.to_json())
    return Matched(*match_parties(party_ids, method=job.id_method, key=key, max_ids=job.max_ids, session=session))


def narrowed(tables: Sequence[OpenTable], matched: Matched) -> tuple[list[OpenTable], Matched]:
    """Return the tables with every mart cut to its matched rows, and the match with the positions in them."""
    pairs = list(rows_of(tables, matched.positions))
    return [table for table, _ in pairs], replace(matched, positions=[rows for _, rows in pairs])


def in_test_part(
    customer_ids: Ids | IdTexts, rows: npt.NDArray[np.int64], share: float, start: float = 0.0
) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Choose the test part of some rows by a hash of the id alone, the same on every machine and in every order: from `start` on."""
    chosen = np.zeros(len(rows), dtype=bool)
    for part, out in zip(passes(rows), passes(chosen), strict=True):
        if share:
            digests = [hashlib.sha256(b"vflfast-split-v1:" + text.encode()).digest()[:4] for text in customer_ids[part]]
            out[:] = [start <= int.from_bytes(d, "big") / 2**32 < start + share for d in digests]
    return chosen
