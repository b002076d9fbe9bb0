"""Lifted ElGamal on one core: encryption, validation, the arbiter's step, openings, and Zᵀ·[[g]] beside Paillier's in one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from machine import FULL

from vflfast.crypto import backend as be
from vflfast.crypto.arrays import CipherArray
from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.elgamal.private import PrivateKey, generate_keypair
from vflfast.crypto.paillier.private import PrivateKey as PaillierKey

COUNTS = {"ifma": 16_384, "portable": 2048, "gmpy2": 32}
SIZES = {"ifma": (66_274, 120), "portable": (20_000, 60), "gmpy2": (600, 10)}
TASK = (66_274, 3_000)
SUMS = {"ifma": 3_180, "portable": 800, "gmpy2": 4}
DISTINCT = 512  # ciphertexts that are encrypted; the others repeat them


def size(backend: str) -> tuple[int, int]:
    return TASK if FULL and backend != "gmpy2" else SIZES[backend]


@pytest.fixture
def key(backend: str) -> PrivateKey:
    return generate_keypair()


def test_encrypt(backend: str, key: PrivateKey, measure: Any) -> None:
    values = np.arange(COUNTS[backend]) - 100
    c = measure(lambda: key.public.encrypt(values), items=len(values), unit="encryption")
    assert key.decrypt(c[::97]).tolist() == values[::97].tolist()


def test_rerandomize(backend: str, key: PrivateKey, measure: Any) -> None:
    values = np.arange(COUNTS[backend])
    c = key.public.encrypt(values)
    fresh = measure(lambda: key.public.rerandomize(c), items=len(values), unit="ciphertext")
    assert not (fresh.limbs == c.limbs).all(axis=1).any()
    assert key.decrypt(fresh[::97]).tolist() == values[::97].tolist()


def test_parse(backend: str, key: PrivateKey, measure: Any) -> None:
    values = np.arange(COUNTS[backend])
    limbs = key.public.encrypt(values).limbs
    parsed = measure(lambda: key.public.parse(limbs, frac_bits=0, bound=1 << 20), items=len(values), unit="ciphertext")
    assert key.decrypt(parsed[::97]).tolist() == values[::97].tolist()


def test_the_arbiters_step(backend: str, key: PrivateKey, measure: Any) -> None:
    """Points that are validated already, multiplied and proved."""
    values = np.arange(COUNTS[backend])
    opening = key.public.opening(key.public.encrypt(values))
    answer = measure(lambda: key.answer(opening.request), items=len(values), unit="point")
    assert opening.open(answer) == values.tolist()


@pytest.mark.parametrize("bits", [20, 30, 34])
def test_openings_of_sums(bits: int, backend: str, key: PrivateKey, measure: Any) -> None:
    """What the owner does with an answer: the proof, and logarithms of numbers of so many bits."""
    values = np.random.default_rng(0).integers(-(1 << bits), 1 << bits, SUMS[backend] if bits > 20 or backend != "gmpy2" else 4)
    if backend == "gmpy2" and bits > 20:
        pytest.skip("Python integers take long")
    encrypted = key.public.encrypt(values, bound=1 << 40)
    key.decrypt(encrypted[:1])  # the table of logarithms is there
    answers = iter([(opening, key.answer(opening.request)) for opening in (key.public.opening(encrypted) for _ in range(4))])

    def opened() -> list[int]:
        opening, answer = next(answers)
        return opening.open(answer)

    assert measure(opened, items=len(values), unit="number") == values.tolist()


def product(key: Any, matrix: CodedMatrix, small: Any) -> tuple[list[int], float]:
    """Zᵀ[[g]] and Σg, and the seconds they took; the numbers repeat `small`."""
    repeat = np.arange(matrix.n_rows) % DISTINCT
    encrypted = key.public.encrypt(small, bound=1 << 22)
    vector = CipherArray(key.public, np.ascontiguousarray(encrypted.vector[repeat]), 0, encrypted.bound)
    start = time.perf_counter()
    joined = CipherArray.concatenate(matrix.product(vector))
    return key.decrypt(joined).tolist(), time.perf_counter() - start


def test_five_classes_beside_paillier(backend: str, key: PrivateKey, key_of: Callable[[], PaillierKey], measure: Any) -> None:
    """The figure is ElGamal's; `of_paillier` is its share of the time of the same product by 2048-bit Paillier, taken in turns."""
    n_rows, n_features = size(backend)
    rng = np.random.default_rng(0)
    matrix = CodedMatrix(rng.integers(0, 5, (n_features, n_rows), dtype=np.uint8), np.full(n_features, 5))
    small = rng.integers(-(1 << 20), 1 << 20, DISTINCT)
    assert matrix.plan.blocks  # made once per training
    repeated = CipherArray(key.public, np.ascontiguousarray(key.public.encrypt(small).vector[np.arange(n_rows) % DISTINCT]), 0, 1 << 22)
    paillier, slow = product(key_of(), matrix, small)
    points, _ = product(key, matrix, small)
    assert points == paillier
    assert be.current().name == backend
    measure(lambda: matrix.product(repeated), items=n_rows * n_features, unit="cell", rounds=1 if backend == "gmpy2" else 3)
    measure.extra_info["of_paillier"] = round(measure.benchmark.stats.stats.median / slow, 3)
