"""D5: whether the time of a decryption tells of the key or of the ciphertext: Welch's t between fixed and random ones.

One measurement is one decryption of one ciphertext. Classes take turns by chance, so that whatever else the machine does falls on both;
both have as many ciphertexts or keys in memory, so that caches treat them alike. The slower half of all is left out: it holds the
interruptions (Reparaz, Balasch and Verbauwhede 2017).

The native kernels are measured bare, without the blinding before them. The gmpy2 fallback is measured as it is called, blinded: its numbers
are as long as they happen to be, which blinding makes independent of the ciphertext. Ciphertexts are public: what is done to them before
the key comes in (parsing, the product with the blind) may take the time it takes, so the fixed one is as long as the others there.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from typing import Any

import gmpy2
import numpy as np
import numpy.typing as npt
import pytest
from assurance.figures import Figure

from vflfast.crypto import backend as be
from vflfast.crypto import limbs as lm
from vflfast.crypto.paillier.keys import generate_primes
from vflfast.crypto.paillier.private import PrivateKey

LIMIT = 4.5
N_KEYS = 24
POOL = 512  # prepared inputs of each class
REMAKE = 500
KEPT = 0.5  # of the measurements, the fastest: the others have interruptions in them
Decrypt = Callable[[Any], object]
Measure = Callable[[int, int], int]
Primes = tuple[int, int]
AMOUNTS = [pytest.param(512, 4_000, id="quick"), pytest.param(512, 100_000, id="long", marks=pytest.mark.slow),
           pytest.param(2048, 100_000, id="long, full size", marks=pytest.mark.slow)]  # fmt: skip


def welch(fixed: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """t of the difference of two means with unequal variances."""
    spread = fixed.var(ddof=1) / len(fixed) + other.var(ddof=1) / len(other)
    return float((fixed.mean() - other.mean()) / math.sqrt(spread)) if spread else 0.0


def t_of(measure: Measure, count: int, seed: int) -> float:
    """Welch's t of `count` measurements; `measure(class, index)` gives nanoseconds."""
    rng = random.Random(seed)
    kinds = [rng.randrange(2) for _ in range(count)]
    for index in range(min(count, 200)):  # warm up
        measure(index % 2, index)
    times = np.array([measure(kind, index) for index, kind in enumerate(kinds)], dtype=np.float64)
    kept, classes = times <= np.quantile(times, KEPT), np.array(kinds)
    return welch(times[kept & (classes == 0)], times[kept & (classes == 1)])


def by_ciphertext(decrypt: Decrypt, make: Callable[[int], Any]) -> Measure:
    """`make(class)` gives one ciphertext: a copy of the fixed one, or a random one; those of both classes lie mixed in memory.

    Arrays are copied to one place before the clock starts: where they lay would tell the classes apart by some nanoseconds.
    """
    pools: tuple[list[Any], list[Any]] = [], []
    for kind in random.sample([0, 1] * POOL, 2 * POOL):
        pools[kind].append(make(kind))
    place = np.empty_like(pools[0][0]) if isinstance(pools[0][0], np.ndarray) else None

    def measure(kind: int, index: int) -> int:
        ciphertext = pools[kind][index % POOL]
        if place is not None:
            place[...] = ciphertext
            ciphertext = place
        start = time.perf_counter_ns()
        decrypt(ciphertext)
        return time.perf_counter_ns() - start

    return measure


def by_key(make: Callable[[int, int], Decrypt], keys: list[Primes], wires: list[Any]) -> Measure:
    """Class 0 has the first key in as many copies as class 1 has others; all are made anew, mixed in memory, after each `REMAKE`."""
    made: tuple[list[Decrypt], list[Decrypt]] = [], []

    def measure(kind: int, index: int) -> int:
        if index % REMAKE == 0:
            for held in made:
                held.clear()
            for which, k in random.sample([(which, k) for which in (0, 1) for k in range(N_KEYS)], 2 * N_KEYS):
                made[which].append(make(*(keys[1 + k] if which else keys[0])))
        decrypt, wire = made[kind][index % N_KEYS], wires[index % POOL]
        start = time.perf_counter_ns()
        decrypt(wire)
        return time.perf_counter_ns() - start

    return measure


def random_wire(n: int) -> Any:
    """One ciphertext: a random unit modulo n², of the same limbs for every key."""
    return lm.from_ints([random.SystemRandom().randrange(2, n * n)], 2 * lm.limb_count(n.bit_length()))


# --- subjects and controls -------------------------------------------------------------------------------------------


def core(p: int, q: int) -> Decrypt:
    """The backend's decryption, of ciphertexts as they come: without the blinding before it."""
    with be.use_threads(1):
        context = be.current().private(p, q)

    def decrypt(wire: Any) -> object:
        return context.decrypt(wire)

    return decrypt


def variable(p: int, q: int) -> Decrypt:
    """The control: Python's power, with a window that skips the zeros of the exponent and numbers of varying size."""
    square = p * p, q * q

    def decrypt(wire: Any) -> object:
        c = lm.to_ints(wire)[0]
        return [pow(c, prime - 1, modulus) for prime, modulus in zip((p, q), square, strict=True)]

    return decrypt


def square_and_multiply(p: int, q: int) -> Decrypt:
    """The control for keys: one product for every 1 of the exponent."""

    def power(c: int, exponent: int, modulus: int) -> int:
        result = 1
        for bit in f"{exponent:b}":
            result = result * result % modulus
            if bit == "1":
                result = result * c % modulus
        return result

    return lambda wire: [power(lm.to_ints(wire)[0] % (prime * prime), prime - 1, prime * prime) for prime in (p, q)]


def sparse_key(bits: int) -> Primes:
    """Primes of nearly nothing but zeros: exponents that anything short of constant time has less to do for."""
    return tuple(next(p for p in range(top << bits // 2 - 3, 1 << bits, 1) if p % 4 == 3 and gmpy2.is_prime(p)) for top in (6, 7))  # type: ignore[return-value]


def of_ciphertext(make: Callable[[int, int], Decrypt], bits: int) -> Measure:
    """Fixed is the ciphertext 2: as small a number as can be at the start of every power."""
    p, q = generate_primes(bits, test_sizes=True)
    return by_ciphertext(make(p, q), lambda kind: random_wire(p * q) if kind else lm.from_ints([2], 2 * lm.limb_count(bits)))


def of_blinded_ciphertext(bits: int) -> Measure:
    """Fixed is an encryption of 0, through the decryption that the arbiter calls."""
    private = PrivateKey(*generate_primes(bits, test_sizes=True), test_sizes=True)
    n, zero = private.public.n, private.public.encrypt([0], bound=1).limbs

    def make(kind: int) -> Any:
        return private.public.parse(random_wire(n) if kind else zero.copy(), frac_bits=0, bound=n // 2 - 1)

    return by_ciphertext(private.decrypt_residues, make)


def of_key(make: Callable[[int, int], Decrypt], bits: int) -> Measure:
    """Fixed is the sparse key."""
    keys = [sparse_key(bits), *(generate_primes(bits, test_sizes=True) for _ in range(N_KEYS))]
    least = min(p * q for p, q in keys)
    return by_key(make, keys, [random_wire(least) for _ in range(POOL)])


@pytest.mark.parametrize(("bits", "count"), AMOUNTS)
def test_the_time_does_not_tell_the_ciphertext(bits: int, count: int, backend: str, figure: Figure) -> None:
    check(of_blinded_ciphertext(bits) if backend == "gmpy2" else of_ciphertext(core, bits), count, figure)


@pytest.mark.parametrize(("bits", "count"), AMOUNTS)
def test_the_time_does_not_tell_the_key(bits: int, count: int, backend: str, figure: Figure) -> None:
    """Every backend is held to a key of an extreme shape."""
    check(of_key(core, bits), count, figure)


def check(measure: Measure, count: int, figure: Figure) -> None:
    """The few measurements of a change are repeated when they are above the limit: a leak shows again, a disturbance does not."""
    t = abs(t_of(measure, count, 1))
    if t >= LIMIT and count < 100_000:
        figure("D5", "repeated", 1)
        t = abs(t_of(measure, count, 2))
    figure("D5", "largest \\|t\\|", t)
    figure("D5", "measurements, most of one", count)
    assert t < LIMIT


def bare_fallback(p: int, q: int) -> Decrypt:
    """The control for blinding: what the fallback would be without it."""
    with be.use("gmpy2"):
        return core(p, q)


CONTROLS: dict[str, Callable[[], Measure]] = {
    "numbers of varying size": lambda: of_ciphertext(variable, 512),
    "no blinding": lambda: of_ciphertext(bare_fallback, 512),
    "a product for every 1": lambda: of_key(square_and_multiply, 256),
}


@pytest.mark.parametrize("control", CONTROLS)
def test_the_controls_are_told_apart(control: str, figure: Figure) -> None:
    """A busy machine hides a small difference from few measurements: those that are not enough are followed by four times as many."""
    t, measure = 0.0, CONTROLS[control]()
    for count in (2_000, 8_000, 32_000, 128_000):
        t = t if t > LIMIT else abs(t_of(measure, count, 1))
    figure("D5", "least \\|t\\| of a control", t)
    assert t > LIMIT
