"""Every backend against plain Python integers: each operation, lane and limb boundaries, lazy chains, thread counts (assurance A2)."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import gmpy2
import pytest
from assurance.figures import Figure
from support.moduli import LARGE_BITS, SIZES, SMALL_BITS, THREADS, each_backend, moduli, plaintexts, units
from support.samples import Sample, compare

from vflfast.crypto import backend as be
from vflfast.crypto import limbs as lm
from vflfast.crypto.paillier.keys import generate_primes
from vflfast.errors import BackendError, CheckError, CiphertextError, InputError


@pytest.mark.parametrize("n", moduli(SMALL_BITS))
def test_operations_equal_python_integers(n: int, figure: Figure) -> None:
    rng = random.Random(n)
    cases = compare(n, [Sample(n, count, rng) for count in SIZES], THREADS)
    assert cases > 1000 * len(THREADS) * len(be.available())  # with all moduli: > 10^5 on each backend
    figure("A2", "cases", cases)


@pytest.mark.parametrize("n", moduli(LARGE_BITS))
def test_operations_equal_python_integers_at_full_size(n: int, figure: Figure) -> None:
    rng = random.Random(n)
    cases = compare(n, [Sample(n, count, rng) for count in ((1, 9, 17) if n.bit_length() < 2000 else (0, 9))], (2,))
    figure("A2", "cases", cases)


@pytest.mark.slow
@pytest.mark.parametrize("bits", range(128, 1026, 2))
def test_operations_equal_python_integers_at_every_length(bits: int, figure: Figure) -> None:
    rng = random.Random(bits)
    for n in ((1 << bits) - 1, (1 << bits - 1) + 1, *(rng.getrandbits(bits) | 1 | 1 << bits - 1 for _ in range(8))):
        figure("A2", "cases", compare(n, [Sample(n, count, rng) for count in SIZES], (1, 3)))


def test_results_stay_right_without_coming_back_to_limbs() -> None:
    """Lazily reduced results are the operands of further operations, many times over, and in every mixture."""
    for bits in (128, 130, 256, 512):
        for seed in range(12):
            rng = random.Random(f"{bits} {seed}")
            n = rng.getrandbits(bits) | 1 | 1 << bits - 1
            program = [rng.choice(("multiply", "square", "add", "power", "invert", "encrypt", "pack")) for _ in range(14)]
            starts, second = units(n, 9, rng), units(n, 9, rng)
            plain, exponents = plaintexts(n, 9, rng), [rng.getrandbits(17) for _ in range(9)]
            expected = [plain_program(program, n, c, d, m, e) for c, d, m, e in zip(starts, second, plain, exponents, strict=True)]
            for where in each_backend((1,)):
                got = run_program(program, be.current().public(n), starts, second, plain, exponents)
                assert got == expected, (where, n, program)


def plain_program(program: list[str], n: int, c: int, d: int, m: int, e: int) -> int:
    square = n * n
    steps: dict[str, Callable[[int], int]] = {
        "multiply": lambda x: x * d % square,
        "square": lambda x: x * x % square,
        "add": lambda x: x * (1 + m * n) % square,
        "power": lambda x: pow(x, e, square),
        "invert": lambda x: pow(x, -1, square),
        "encrypt": lambda x: x * (1 + m * n) * pow(2, e, square) % square,
        "pack": lambda x: pow(x, 1, square),
    }
    for step in program:
        c = steps[step](c)
    return c


def run_program(
    program: list[str], context: be.PublicContext, starts: list[int], second: list[int], plain: list[int], exponents: list[int]
) -> list[int]:
    x, d = (context.load(lm.from_ints(values, 2 * context.limbs)) for values in (starts, second))
    m, e = lm.from_ints(plain, context.limbs), lm.from_ints(exponents, 1)
    base = context.fixed_base(2, 17, 4)
    for step in program:
        if step in ("multiply", "square"):
            x = context.multiply(x, d if step == "multiply" else x)
        elif step == "add":
            x = context.add_plain(x, m)
        elif step == "power":
            x = context.power(x, e)
        elif step == "encrypt":
            x = base.encrypt(x, m, e)
        else:
            x = context.invert(x) if step == "invert" else context.pack(x, 1, 3)
    return lm.to_ints(context.store(x))


@pytest.mark.parametrize("n", moduli((128, 130, 192, 256, 306, 512)))
def test_fixed_base_powers(n: int) -> None:
    rng, square = random.Random(n), n * n
    size, base = lm.limb_count(n.bit_length()), units(n, 30, rng)[-1]
    for alpha_bits, window in ((1, 1), (64, 4), (65, 5), (n.bit_length() // 2, 6), (n.bit_length() + 64, 8), (130, 11)):
        for count in (0, 1, 8, 17):
            start, plain = units(n, count, rng), plaintexts(n, count, rng)
            alphas = ([0, 1, (1 << alpha_bits) - 1] + [rng.getrandbits(alpha_bits) for _ in range(count)])[:count]
            powers = [pow(base, alpha, square) for alpha in alphas]
            given = lm.from_ints(start, 2 * size), lm.from_ints(plain, size), lm.from_ints(alphas, lm.limb_count(alpha_bits))
            for where in each_backend((1, 2)):
                context = be.current().public(n)
                table = context.fixed_base(base, alpha_bits, window)
                for with_start in (False, True):
                    for with_plain in (False, True):
                        got = table.encrypt(context.load(given[0]) if with_start else None, given[1] if with_plain else None, given[2])
                        expected = [
                            (s if with_start else 1) * (1 + m * n if with_plain else 1) * power % square
                            for s, m, power in zip(start, plain, powers, strict=True)
                        ]
                        assert lm.to_ints(context.store(got)) == expected, (where, alpha_bits, window, count, with_start, with_plain)


def test_exponents_shorter_than_the_table() -> None:
    n = (1 << 256) - 189
    for where in each_backend((1,)):
        context = be.current().public(n)
        table = context.fixed_base(5, 320, 8)
        for bits in (1, 63, 64, 128, 250):
            alphas = [(1 << bits) - 1, 1 << bits - 1]
            got = lm.to_ints(context.store(table.encrypt(None, None, lm.from_ints(alphas, lm.limb_count(bits)))))
            assert got == [pow(5, alpha, n * n) for alpha in alphas], (where, bits)


@pytest.mark.parametrize("n", moduli((128, 256, 306)))
@pytest.mark.parametrize(("slots", "slot_bits"), [(1, 1), (2, 7), (3, 31), (5, 64), (4, 65), (20, 3)])
def test_packing(n: int, slots: int, slot_bits: int) -> None:
    rng = random.Random(f"{n} {slots}")
    for count in (0, 1, slots, slots + 1, 8 * slots, 8 * slots + 1, 17 * slots - 1):
        rows = units(n, count, rng)
        groups = [rows[i : i + slots] for i in range(0, count, slots)]
        expected = [math.prod(pow(c, 1 << slot_bits * j, n * n) for j, c in enumerate(group)) % (n * n) for group in groups]
        for where in each_backend((1, 2)):
            context = be.current().public(n)
            packed = context.pack(context.load(lm.from_ints(rows, 2 * context.limbs)), slots, slot_bits)
            assert lm.to_ints(context.store(packed)) == expected, (where, count)


def decryption_keys() -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Primes, and how many ciphertexts to try."""
    for bits in (128, 130, 192, 194, 256, 258, 512):
        yield *generate_primes(bits, test_sizes=True), SIZES
    yield *generate_primes(1024, test_sizes=True), (9,)
    for half in (1536, 2048):  # 3072 and 4096 bits
        p = int(gmpy2.next_prime((3 << half - 2) + random.Random(half).getrandbits(half - 4)))
        yield p, int(gmpy2.next_prime((7 << half - 3) + random.Random(-half).getrandbits(half - 8))), (2,)


def test_decryption(primes2048: tuple[int, int]) -> None:
    for p, q, counts in ((*primes2048, (9,)), *decryption_keys()):
        rng, n = random.Random(p), p * q
        for count in counts:
            plain = [p, q, n - p, *plaintexts(n, count, rng)][:count]
            values = [(1 + m * n) * pow(r, n, n * n) % (n * n) for m, r in zip(plain, units(n, count, rng), strict=True)]
            wire = lm.from_ints(values, 2 * lm.limb_count(n.bit_length()))
            for where in each_backend((1, 8) if len(counts) > 1 else (2,)):
                assert lm.to_ints(be.current().private(p, q).decrypt(wire)) == plain, (where, n.bit_length(), count)


# --- refusals --------------------------------------------------------------------------------------------------------


def test_an_inverse_that_does_not_exist_is_refused(backend: str, primes256: tuple[int, int]) -> None:
    p, q = primes256
    context = be.current().public(p * q)
    for bad in (0, p, q * 5, p * q):
        rows = context.load(lm.from_ints([3, bad, 5], 2 * context.limbs))
        with pytest.raises(CiphertextError):
            context.invert(rows)


def test_a_batch_with_one_ciphertext_that_is_no_unit_gives_no_plaintext(backend: str, primes256: tuple[int, int]) -> None:
    p, q = primes256
    private, size = be.current().private(p, q), 2 * lm.limb_count((p * q).bit_length())
    for bad in (0, p, q, 3 * p * q, p * p):
        for place in (0, 8, 16):
            wire = [1 + p * q * (k + 1) for k in range(17)]
            wire[place] = bad
            with pytest.raises(CheckError):
                private.decrypt(lm.from_ints(wire, size))
            if isinstance(private, be.NativePrivate):  # nor does it stay in memory
                plain, sound = private.decryptor.decrypt(lm.from_ints(wire, size), 2)
                assert not sound
                assert not plain.any()


def test_names(backend: str) -> None:
    assert be.current().name == backend
    assert be.current().lanes >= 1
    assert be.current().reason


def test_gmpy2_is_always_there_and_auto_takes_the_best() -> None:
    assert be.available()[-1] == "gmpy2"
    assert be.select("auto").name == be.available()[0]


@pytest.mark.parametrize("name", ["nonsense", "", "AUTO", "avx", "ifma "])
def test_unknown_names_fail_loudly(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VFLFAST_BACKEND", name)
    monkeypatch.setattr(be, "_current", None)
    with pytest.raises(BackendError, match="VFLFAST_BACKEND"):
        be.current()


def test_the_environment_chooses() -> None:
    program = "from vflfast.crypto import backend as be; print(be.current().name)"
    for name in (*be.available(), "nonsense"):
        command = [sys.executable, "-c", program]
        run = subprocess.run(
            command, env={**os.environ, "VFLFAST_BACKEND": name}, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
        )
        assert (run.returncode == 0) is (name != "nonsense"), run.stderr
        assert run.stdout.strip() == ("" if name == "nonsense" else name)
        assert name != "nonsense" or "BackendError" in run.stderr


def test_without_the_native_core_only_gmpy2_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(be, "_import_native", lambda: (None, "not built"))
    assert be.available() == ["gmpy2"]
    assert be.select("auto").name == "gmpy2"
    assert "not built" in be.select("auto").reason
    for name in ("portable", "ifma"):
        with pytest.raises(BackendError, match="not built"):
            be.select(name)


def test_a_kernel_that_the_build_or_the_processor_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = SimpleNamespace(kernels=lambda: [("ifma", 8, 52, False), ("portable", 1, 64, True)], has_gmp=True)
    monkeypatch.setattr(be, "_import_native", lambda: (lacking, ""))
    assert be.available() == ["portable", "gmpy2"]
    assert be.select("auto").name == "portable"
    with pytest.raises(BackendError, match="processor"):
        be.select("ifma")
    lacking.kernels = lambda: [("portable", 1, 64, True)]
    with pytest.raises(BackendError, match="build"):
        be.select("ifma")


@pytest.mark.parametrize("count", [0, -1, True, 1.0, None, "2"])
def test_thread_counts_are_whole_and_positive(count: object) -> None:
    with pytest.raises(InputError) as caught, be.use_threads(count):  # type: ignore[arg-type]
        pass
    assert caught.value.argument == "count"


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²", "1" * 5000])
def test_thread_counts_of_the_environment(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VFLFAST_THREADS", text)
    with pytest.raises(InputError) as caught:
        be.threads()
    assert caught.value.argument == "VFLFAST_THREADS"
    monkeypatch.setenv("VFLFAST_THREADS", "3")
    assert be.threads() == 3
    with be.use_threads(5):
        assert be.threads() == 5
