"""Row packing: digits that never meet, the same weights with k rows in a ciphertext, and a ledger that counts what it costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.runs import Parties, parties, settings, train

from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.errors import InputError, LeakageGuardError
from vflfast.protocol.arbiter import ArbiterInputs
from vflfast.protocol.inline import train as train_inline
from vflfast.protocol.packing import RowPacking, agreed_packing

EXTREME = 1 << 20


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
@pytest.mark.parametrize("n_rows", [1, 2, 3, 4, 5, 7, 8, 9, 40])
def test_the_middle_digit_is_the_product(rows: int, n_rows: int, key_of: Callable[[int], PrivateKey], backend: str) -> None:
    """Residuals and cells at their bounds, groups that are not full, against numpy's integers."""
    private = key_of(1024)
    rng = np.random.default_rng(n_rows)
    residual = rng.choice([-(1 << 20), -1, 0, 1, 1 << 20, 12345], n_rows)
    values = np.array([[0, EXTREME, -EXTREME], [0, 1, 2]])
    matrix = CodedMatrix(rng.integers(0, 3, (2, n_rows), dtype=np.uint8), [3, 3], [0, 1], values)
    packing = RowPacking(rows, ((1 << 20) * n_rows * EXTREME).bit_length() + 1 if rows > 1 else 0)
    encrypted = private.public.encrypt(packing.pack(residual), bound=packing.bound(1 << 20))
    assert len(encrypted) == packing.groups(n_rows)
    parts = packing.split(matrix)
    product = packing.combine(private.public, parts, packing.sums(parts, encrypted))
    cells = np.stack([values[j][matrix.codes[j]] for j in range(2)])
    expected = [*(cells @ residual).tolist(), int(residual.sum())]
    assert packing.middle([int(v) for v in private.decrypt(product)]) == expected


def test_the_digits_at_their_bounds_do_not_touch(key_of: Callable[[int], PrivateKey]) -> None:
    """All residuals and cells as large as they may be, of either sign: with one bit less a slot, the middle would be wrong."""
    bound, n_rows, value = 1 << 30, 6, EXTREME
    packing = agreed_packing(settings(row_packing=2, key_bits=1024), n_rows, bound)
    for sign in (1, -1):
        matrix = CodedMatrix(np.ones((1, n_rows), np.uint8), [2], [0], [[0, value]])
        encrypted = key_of(1024).public.encrypt(packing.pack(np.full(n_rows, sign * bound)), bound=packing.bound(bound))
        for candidate, right in ((packing, True), (dataclasses.replace(packing, slot_bits=packing.slot_bits - 2), False)):
            repacked = encrypted if right else key_of(1024).public.encrypt(candidate.pack(np.full(n_rows, sign * bound)))
            parts = candidate.split(matrix)
            values = [int(v) for v in key_of(1024).decrypt(candidate.combine(key_of(1024).public, parts, candidate.sums(parts, repacked)))]
            assert (candidate.middle(values)[0] == sign * bound * value * n_rows) is right


@pytest.mark.parametrize("changes", [{}, {"profile": "patent"}, {"n_batches": 2}, {"solver": "gd"}, {"scoring": "joint"}], ids=str)
def test_packed_runs_have_the_weights_of_plain_ones(changes: dict[str, Any]) -> None:
    made = parties(241, (3, 4, 2))
    plain = train(made, settings(**changes), verify=True)
    packed = train(made, settings(row_packing=2, **changes), verify=True)
    assert packed.weight_hash == plain.weight_hash
    sent = {name: n for name, n in packed.traffic.n_bytes.items() if name.endswith((": Predictor", ": Residual"))}
    assert all(n < 0.6 * plain.traffic.n_bytes[name] for name, n in sent.items())


@pytest.mark.parametrize("rows", [3, 4])
def test_more_rows_need_a_larger_key(rows: int, key_of: Callable[[int], PrivateKey]) -> None:
    made, private = parties(100, (3, 4)), ArbiterInputs("arbiter", key_of(1024))
    plain = train(made, settings(max_iter=1))
    agreed = settings(max_iter=1, row_packing=rows, key_bits=1024)
    result = train_inline(made.guest, made.hosts, agreed, private, verify=True)
    assert result.weight_hash == plain.weight_hash
    with pytest.raises(InputError, match=f"row_packing: {rows} rows of .* do not fit a key of 512 bits"):
        train(made, settings(max_iter=1, row_packing=rows))


def test_the_ledger_counts_every_digit() -> None:
    result = train(parties(100), settings(row_packing=2, max_iter=2, tol=0.0))
    by_name = {entry.what: entry.equations for entry in result.hosts[0].ledger.entries}
    assert by_name["opened gradient sums"] == 2 * 3 * 5


def test_the_guard_counts_every_digit() -> None:
    made: Parties = parties(15, (3, 4))
    train(made, settings(max_iter=1))
    with pytest.raises(LeakageGuardError, match="row_packing 2"):
        train(made, settings(max_iter=1, row_packing=2))


@pytest.mark.parametrize("value", [0, 5, -1, True, 2.0, "2", None])
def test_bad_settings(value: Any) -> None:
    with pytest.raises(InputError, match="row_packing"):
        settings(row_packing=value)
