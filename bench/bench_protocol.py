"""One whole training of three parties in one process at 2048 bits, checked bit by bit against plaintext."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from typing import Any

import numpy as np
from machine import FULL

from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.protocol import inline
from vflfast.protocol.arbiter import ArbiterInputs
from vflfast.protocol.block import PartyInputs
from vflfast.protocol.row_guard import guard_rows
from vflfast.protocol.settings import Settings

N_ROWS, GUEST_COLUMNS, HOST_COLUMNS, ROUNDS = (66_274, 65, 3_000, 2) if FULL else (3_000, 15, 60, 2)


def parties() -> tuple[PartyInputs, PartyInputs]:
    rng = np.random.default_rng(0)
    x, z = (rng.integers(0, 5, (columns, N_ROWS), dtype=np.uint8) for columns in (GUEST_COLUMNS, HOST_COLUMNS))
    signal = x[:5].sum(axis=0, dtype=np.int64) + z[:5].sum(axis=0, dtype=np.int64) + rng.normal(0, 3, N_ROWS)
    labels = np.where(signal > np.quantile(signal, 0.7), 1, -1).astype(np.int8)
    commitment = hashlib.sha256(b"rows").digest()
    return PartyInputs(CodedMatrix(x), commitment, "bank", labels), PartyInputs(CodedMatrix(z), commitment, "partner")


def test_training(primes: tuple[int, int], measure: Any) -> None:
    guest, host = parties()
    agreed = Settings(max_iter=ROUNDS)
    arbiter = ArbiterInputs("arbiter", PrivateKey(*primes))
    stages: dict[str, float] = defaultdict(float)
    last: list[Any] = ["start", time.perf_counter()]

    def watch(party: str, _: int, stage: str) -> None:
        now = time.perf_counter()
        stages[last[0]] += now - last[1]
        last[:] = [f"{party}: {stage}", now]

    def train() -> inline.TrainingResult:
        stages.clear()
        last[:] = ["start", time.perf_counter()]
        return inline.train(guest, [host], agreed, arbiter, observer=watch)

    result = measure(train, items=ROUNDS, unit="round", rounds=1)
    measure.extra_info.update(
        rows=N_ROWS, guest_columns=GUEST_COLUMNS, host_columns=HOST_COLUMNS, megabytes=round(result.traffic.total_bytes / 1e6, 2)
    )
    measure.extra_info["seconds_by_stage"] = {stage: round(seconds, 3) for stage, seconds in sorted(stages.items(), key=lambda s: -s[1])}
    assert result.guest.n_iter == ROUNDS
    assert inline.train(guest, [host], agreed, arbiter, verify=True).weight_hash == result.weight_hash


def test_row_guard(measure: Any) -> None:
    """How far the host's columns set single rows apart, as measured before the first round; rows checked against the hat matrix."""
    _, host = parties()
    found = measure(lambda: guard_rows("host1", host, Settings(max_leverage=1.0)), items=1, unit="measurement", rounds=1)
    columns = np.vstack([host.matrix.codes.astype(np.float64), np.ones(N_ROWS)])
    some = np.random.default_rng(1).choice(N_ROWS, 200, replace=False)
    leverage = np.einsum("ir,ir->r", columns[:, some], np.linalg.solve(columns @ columns.T, columns[:, some]))
    assert leverage.max() <= found.largest + 1e-6
    assert found.counts == (0, 0, 0)
