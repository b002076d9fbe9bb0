"""D2: an arbiter that looks for relations between the columns of an aggregate in the randomness of its ciphertexts.

A ciphertext is (1 + n)^m·r^n. Who factors n decrypts m and takes r out. An aggregate Π c_i^(z_ij) has r_j = Π r_i^(z_ij): a column of
zeros has r = 1, equal columns have equal r, a doubled one the square, the levels of a category multiply to the column of ones. Masks
change m alone; only fresh randomness with full entropy changes r.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from assurance.figures import Figure
from support.runs import P, Q, parties, private_key, settings, train

from vflfast.crypto import limbs as lm
from vflfast.crypto.arrays import CipherArray, WireArray
from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.paillier.opening import MaskedOpening
from vflfast.crypto.paillier.public import PublicKey

N = P * Q
ROOT = pow(N, -1, (P - 1) * (Q - 1))
N_ROWS = 50


def randomness(limbs: np.ndarray) -> list[int]:
    """r of every ciphertext, with the factorisation: (r^n)^(1/n mod φ(n)) modulo n."""
    return [pow(c % N, ROOT, N) for c in lm.to_ints(limbs)]


def relations(r: list[int]) -> set[tuple[str, int, int]]:
    """Zero, equal, doubled and one-hot columns, as far as the randomness shows them."""
    found = {("zero", j, j) for j, rj in enumerate(r) if rj == 1}
    for i, ri in enumerate(r):
        for j, rj in enumerate(r):
            if i < j and ri == rj:
                found.add(("equal", i, j))
            if i != j and rj == ri * ri % N and ri != 1:
                found.add(("double", i, j))
    product = 1
    for start in range(len(r)):
        product = r[start]
        for stop in range(start + 1, len(r) - 1):
            product = product * r[stop] % N
            if product == r[-1] != 1 and 1 not in r[start : stop + 1]:
                found.add(("levels", start, stop))
    return found


def columns() -> CodedMatrix:
    """0: a feature, 1: zeros, 2: the feature again, 3: its double, 4–6: the three levels of a category, 7: another feature."""
    rng = np.random.default_rng(2)
    features = np.stack([rng.integers(0, 5, N_ROWS), np.zeros(N_ROWS, dtype=int), rng.integers(0, 3, N_ROWS), rng.integers(0, 5, N_ROWS)])
    values = np.zeros((8, 5), dtype=np.int64)
    values[0] = values[2] = values[7] = np.arange(5)
    values[3] = 2 * np.arange(5)
    values[4:7, :3] = np.eye(3, dtype=np.int64)
    return CodedMatrix(features.astype(np.uint8), [5, 1, 3, 5], [0, 1, 0, 0, 2, 2, 2, 3], values)


PLANTED = {("zero", 1, 1), ("equal", 0, 2), ("double", 0, 3), ("double", 2, 3), ("levels", 4, 6)}


def residual() -> CipherArray:
    return private_key().public.encrypt(np.random.default_rng(3).integers(-(2**28), 2**28, N_ROWS), bound=2**28)


def aggregate() -> CipherArray:
    """[[Zᵀ4g]] and [[Σ4g]], not packed."""
    return CipherArray.concatenate([*columns().product(residual())])


def test_the_control_shows_every_relation(figure: Figure) -> None:
    bare = aggregate()
    found = relations(randomness(bare.public.context.store(bare.vector)))
    figure("D2", "relations found by the control", len(found))
    assert relations(randomness(bare.public.context.store(bare.vector))) == PLANTED


def test_the_control_shows_them_behind_masks_too() -> None:
    """Masks are plaintexts: without fresh randomness they hide nothing of r."""
    bare = aggregate()
    masks = lm.from_ints(lm.random_below(N, len(bare)), bare.public.context.limbs)
    masked = bare.public.context.store(bare.public.context.add_plain(bare.vector, masks))
    assert relations(randomness(masked)) == PLANTED


@pytest.mark.parametrize("attempt", range(5))
def test_fresh_randomness_hides_every_relation(attempt: int, figure: Figure) -> None:
    bare = aggregate()
    fresh = bare.public.rerandomize(bare, alpha_bits=bare.public.full_alpha_bits)
    found = relations(randomness(fresh.limbs))
    figure("D2", "relations found", len(found))
    assert found == set()


# --- the same on packed, masked requests as the protocol sends them ------------------------------------------------------


def pieces() -> tuple[CipherArray, int]:
    """Values of which whole packed plaintexts repeat: some, the same again, their doubles, zeros; and slots in a plaintext."""
    public = private_key().public
    bound = 2**40
    slots = 510 // (bound.bit_length() + 1)
    feature = aggregate()
    some = CipherArray.stack([feature[i % 8] for i in range(slots)])
    zeros = CipherArray(public, public.context.one(slots), 0, 0)
    whole = CipherArray.concatenate([some, some, some + some, zeros])
    return CipherArray(public, whole.vector, 0, bound), slots


def without_randomness(self: PublicKey, vector: CipherArray, *, alpha_bits: int | None = None, plus: Any = None) -> WireArray:
    start = vector.vector if plus is None else self.context.add_plain(vector.vector, plus)
    return WireArray(self, self.context.store(start), vector.frac_bits, vector.bound, start)


def test_the_control_shows_relations_of_packed_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    values, slots = pieces()
    monkeypatch.setattr(PublicKey, "rerandomize", without_randomness)
    opening = MaskedOpening(values.public, values)
    assert opening.plan.slots == slots
    found = relations(randomness(opening.request.limbs[:4]))
    assert {("equal", 0, 1), ("double", 0, 2), ("double", 1, 2), ("zero", 3, 3)} <= found


@pytest.mark.parametrize("attempt", range(5))
def test_packed_requests_show_none(attempt: int) -> None:
    assert relations(randomness(MaskedOpening(pieces()[0].public, pieces()[0]).request.limbs)) == set()


def test_two_requests_of_the_same_numbers_share_nothing() -> None:
    values = pieces()[0]
    r = [r for _ in range(20) for r in randomness(MaskedOpening(values.public, values).request.limbs)]
    assert len(set(r)) == len(r)


# --- how much randomness, towards whom -----------------------------------------------------------------------------------


def test_everything_towards_the_arbiter_has_full_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Assurance rule 2: |n| + 64 bits towards the key holder, |n|/2 between data parties; every message draws its own."""
    drawn: list[tuple[str, int]] = []
    stage = ["", ""]
    real = PublicKey.alpha

    def note(self: PublicKey, count: int, alpha_bits: int | None = None) -> Any:
        alphas = real(self, count, alpha_bits)
        bits = 512 // 2 if alpha_bits is None else alpha_bits
        assert max(v.bit_length() for v in lm.to_ints(alphas)) <= bits
        if count >= 60:
            assert max(v.bit_length() for v in lm.to_ints(alphas)) > bits - 4
        drawn.append((f"{stage[0].rstrip('1')}: {stage[1]}", bits))
        return alphas

    def observe(party: str, _: int, name: str) -> None:
        stage[:] = [party, name]

    monkeypatch.setattr(PublicKey, "alpha", note)
    train(parties(60), settings(), observer=observe)
    full, half = 512 + 64, 256
    assert set(drawn) == {
        ("host: encrypt", half), ("guest: rerandomize", half), ("guest: pack and mask", full), ("host: pack and mask", full),
        ("guest: vote", full), ("host: vote", full), ("guest: calibrate", full), ("host: calibrate", full),
        ("arbiter: decrypt", half),
    }  # fmt: skip
    assert drawn.count(("guest: rerandomize", half)) == drawn.count(("host: encrypt", half)) == 2


def test_exponents_are_fresh_and_not_a_sequence() -> None:
    drawn = lm.to_ints(private_key().public.alpha(2000, 576))
    assert len(set(drawn)) == 2000
    assert len({b - a for a, b in pairwise(drawn)}) == 1999
