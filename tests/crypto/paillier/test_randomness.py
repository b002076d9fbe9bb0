"""Randomness never repeats; its tables and exponents are what they say."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from support.encrypted import KeyOf

from vflfast.crypto import limbs as lm
from vflfast.crypto.paillier.base_table import MAX_TABLE_BYTES, BaseTable, n_entries
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.crypto.paillier.public import PublicKey
from vflfast.errors import InputError

# --- randomness ---------------------------------------------------------------------------------------------------------



def test_no_ciphertext_ever_repeats(key: PrivateKey) -> None:
    public, zeros = key.public, np.zeros(50, dtype=np.int64)
    c = public.encrypt(zeros)
    wires = (c, public.encrypt(zeros), public.encrypt(zeros * 0.0), public.rerandomize(c), public.rerandomize(c))
    assert len({c for wire in wires for c in lm.to_ints(wire.limbs)}) == 250


@pytest.mark.parametrize("bits", [None, 128, 200, 255, 256, 320])
def test_exponents_have_the_asked_length(key: PrivateKey, bits: int | None) -> None:
    drawn = lm.to_ints(key.public.alpha(300, bits))
    assert max(drawn).bit_length() == (bits or 128)  # all 300 top bits 0: 2^-300
    assert sum(v.bit_length() == (bits or 128) for v in drawn) in range(80, 221)  # half of them, 8 sigma
    assert len(set(drawn)) == 300


@pytest.mark.parametrize("alpha_bits", [None, "full"])
def test_the_exponents_used_are_those_drawn_and_are_wiped(key: PrivateKey, alpha_bits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    public, drawn = key.public, []
    bits = public.full_alpha_bits if alpha_bits else None

    def spy(count: int, bits: int) -> lm.Limbs:
        limbs = real(count, bits)
        drawn.append((limbs, lm.to_ints(limbs), bits))
        return limbs

    real = lm.random_limbs
    monkeypatch.setattr(lm, "random_limbs", spy)
    c = public.encrypt([4, -4, 9], alpha_bits=bits)
    (limbs, alphas, asked), square = drawn[0], public.n**2
    assert asked == (public.key_bits + 64 if alpha_bits else public.key_bits // 2)
    base = public._base_value
    assert base is not None
    assert lm.to_ints(c.limbs) == [(1 + m * public.n) * pow(base, a, square) % square for m, a in zip((4, -4, 9), alphas, strict=True)]
    assert not limbs.any()


@pytest.mark.parametrize("alpha_bits", [448, 512, 1024, 1500, 2112])
def test_exponents_of_agreed_length_work(key_of: KeyOf, alpha_bits: int) -> None:
    private = key_of(2048)
    assert private.decrypt(private.public.encrypt([-7], alpha_bits=alpha_bits)).tolist() == [-7]


def test_each_party_derives_a_base_of_its_own(key: PrivateKey) -> None:
    parties = [PublicKey(key.public.n, test_sizes=True) for _ in range(5)]
    for party in parties:
        party.encrypt([1])
    bases = {party._base_value for party in parties}
    assert len(bases) == 5
    assert None not in bases


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_repeat_its_parent(key: PrivateKey) -> None:
    key.public.encrypt([0])  # the base exists before the fork

    def draw() -> bytes:
        wires = (key.public.encrypt(np.zeros(8, dtype=np.int64)), key.public.rerandomize(key.public.encrypt([0])))
        return b"".join(wire.limbs.tobytes() for wire in wires)

    outputs = []
    for _ in range(3):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(writer, draw())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            outputs.append(pipe.read())
        os.waitpid(child, 0)
    outputs.append(draw())
    width = 16 * key.public.context.limbs
    drawn = [out[i : i + width] for out in outputs for i in range(0, len(out), width)]
    assert len(drawn) == len(set(drawn)) == 4 * 9


def test_the_table_grows_with_use_and_changes_nothing(key_of: KeyOf) -> None:
    private = key_of(256)
    public = PublicKey(private.public.n, test_sizes=True)
    windows = set()
    for _ in range(6):
        assert private.decrypt(public.encrypt(np.arange(500))).tolist() == list(range(500))
        windows.add(public._tables[128].window)
    assert len(windows) > 1


def test_a_table_for_what_is_expected_does_not_grow_again(key_of: KeyOf) -> None:
    private = key_of(256)
    public = PublicKey(private.public.n, test_sizes=True)
    public.expect(3000)
    windows = set()
    for _ in range(6):
        assert private.decrypt(public.encrypt(np.arange(500))).tolist() == list(range(500))
        windows.add(public._tables[128].window)
    assert len(windows) == 1


@pytest.mark.parametrize("key_bits", [2048, 3072, 4096])
def test_a_table_is_as_wide_as_pays_and_fits(key_bits: int) -> None:
    widest = []
    for count in (0, 200, 2000, 12_000, 30_000, 80_000, 10**9):
        window = BaseTable(expected=count).wanted(key_bits // 2, key_bits // 2)
        assert BaseTable(count=count).wanted(key_bits // 2, key_bits // 2) == window
        widest.append(window)
        assert n_entries(key_bits // 2, window) * key_bits // 2 <= MAX_TABLE_BYTES
    assert widest == sorted(widest)
    assert widest[:3] == [4, 6, 8]
    assert widest[-1] == {2048: 10, 3072: 9, 4096: 8}[key_bits]


def test_exponents_of_two_sizes_have_tables_of_their_own(key_of: KeyOf) -> None:
    private = key_of(256)
    public = PublicKey(private.public.n, test_sizes=True)
    public.expect(3000)
    for bits in (128, public.full_alpha_bits):
        assert private.decrypt(public.encrypt([1, -2], alpha_bits=bits)).tolist() == [1, -2]
    assert {bits: table.window for bits, table in public._tables.items()} == {128: 8, 320: 4}


@pytest.mark.parametrize("count", [-1, True, 2.0, "3"])
def test_a_count_that_is_none_is_refused(count: Any, key_of: KeyOf) -> None:
    for method in (key_of(256).public.expect, key_of(256).public.precompute):
        with pytest.raises(InputError, match=r"^count: must be a whole number"):
            method(count)
