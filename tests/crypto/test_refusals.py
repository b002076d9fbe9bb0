"""Bad inputs to keys and encrypted vectors: each a typed error that names the argument, none misread (assurance §4)."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vflfast.crypto import limbs as lm
from vflfast.crypto.arrays import CipherArray
from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.paillier.opening import MaskedOpening
from vflfast.crypto.paillier.private import PrivateKey, generate_keypair
from vflfast.crypto.paillier.public import PublicKey
from vflfast.errors import BoundError, CiphertextError, InputError, InvalidKeyError

Case = tuple[Callable[[Any], object], str]


@pytest.fixture(scope="module")
def here(key_of: Callable[[int], PrivateKey]) -> SimpleNamespace:
    """A key, another key, and vectors of both."""
    private, other = key_of(256), key_of(512)
    p, q = private.primes
    return SimpleNamespace(
        private=private, public=private.public, n=private.public.n, p=p, q=q, other=other,
        c=private.public.encrypt([1, 2, 3]), real=private.public.encrypt([0.5, 1.5, 2.5]), foreign=other.public.encrypt([1, 2, 3]),
        opening=MaskedOpening(private.public, private.public.encrypt([1])),
    )  # fmt: skip


def refused(call: Callable[[Any], object], culprit: str, here: SimpleNamespace, kind: type[InputError] = InputError) -> None:
    with pytest.raises(kind) as caught:
        call(here)
    assert caught.value.argument == culprit
    assert str(caught.value).startswith(f"{culprit}: ")


# --- keys --------------------------------------------------------------------------------------------------------------

KEYS: list[Case] = [
    (lambda h: PublicKey(h.n), "n"),  # 256 bits without the test switch
    (lambda h: PublicKey(None, test_sizes=True), "n"),  # type: ignore[arg-type]
    (lambda h: PublicKey(float(h.n), test_sizes=True), "n"),  # type: ignore[arg-type]
    (lambda h: PublicKey(True, test_sizes=True), "n"),
    (lambda h: PublicKey(str(h.n), test_sizes=True), "n"),  # type: ignore[arg-type]
    (lambda h: PublicKey(0, test_sizes=True), "n"),
    (lambda h: PublicKey(-h.n, test_sizes=True), "n"),
    (lambda h: PublicKey(h.n + 1, test_sizes=True), "n"),
    (lambda h: PublicKey(h.n - 2, test_sizes=True), "n"),  # 3 modulo 4
    (lambda h: PublicKey(h.p, test_sizes=True), "n"),  # a prime
    (lambda h: PublicKey(h.p**2, test_sizes=True), "n"),
    (lambda h: PublicKey(h.n * h.n, test_sizes=True), "n"),
    (lambda h: PublicKey(77 * ((1 << 249) + 1), test_sizes=True), "n"),
    (lambda h: PrivateKey(h.p, h.q), "q"),
    (lambda h: PrivateKey(h.p, h.p, test_sizes=True), "q"),
    (lambda h: PrivateKey(h.p, h.q - 1, test_sizes=True), "q"),
    (lambda h: PrivateKey(h.p, h.other.primes[0], test_sizes=True), "q"),
    (lambda h: PrivateKey(None, h.q, test_sizes=True), "p"),  # type: ignore[arg-type]
    (lambda h: PrivateKey(h.p, 1.5, test_sizes=True), "q"),  # type: ignore[arg-type]
    (lambda h: PrivateKey(-h.p, h.q, test_sizes=True), "p"),
    (lambda h: generate_keypair(256), "key_bits"),
    (lambda h: generate_keypair(2047, test_sizes=True), "key_bits"),
    (lambda h: generate_keypair(2048.0), "key_bits"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "culprit"), KEYS)
def test_keys(call: Callable[[Any], object], culprit: str, here: SimpleNamespace) -> None:
    refused(call, culprit, here, InvalidKeyError)


# --- encrypt -----------------------------------------------------------------------------------------------------------

VALUES = [
    None, "1", "nan", b"1", True, [True], [None], [1, None], ["1"], [1j], [math.nan], [1.0, math.inf], -math.inf, [[1], [1, 2]],
    {1: 2}, [1.5, None], np.array([1.5], dtype=object), np.array([np.int64(3)], dtype=object), np.array([True]),
    np.array([1], dtype="timedelta64[s]"), np.array(["2020-01-01"], dtype="datetime64[D]"), np.array([(1, 2)], dtype="i4,i4"),
    np.ma.masked_array([1, 2], mask=[True, False]), object(), np.array([math.nan], dtype=">f4"),
    np.array([1 + 0j]),
]  # fmt: skip


@pytest.mark.parametrize("values", VALUES, ids=[f"{i}-{type(value).__name__}" for i, value in enumerate(VALUES)])
def test_values_that_are_no_numbers(values: Any, here: SimpleNamespace) -> None:
    refused(lambda h: h.public.encrypt(values), "values", here)
    refused(lambda h: h.public.encrypt(values, frac_bits=8, bound=1000.0), "values", here)


ENCRYPT: list[Case] = [
    (lambda h: h.public.encrypt([1.5], frac_bits=4097), "frac_bits"),
    (lambda h: h.public.encrypt([1.5], frac_bits=-1), "frac_bits"),
    (lambda h: h.public.encrypt([1.5], frac_bits=8.0), "frac_bits"),
    (lambda h: h.public.encrypt([1.5], frac_bits=True), "frac_bits"),
    (lambda h: h.public.encrypt([1], frac_bits=False), "frac_bits"),
    (lambda h: h.public.encrypt([1 << 80], frac_bits="3"), "frac_bits"),
    (lambda h: h.public.encrypt([1.5], bound=1.0), "values"),
    (lambda h: h.public.encrypt([-2], bound=1), "values"),
    (lambda h: h.public.encrypt(np.array([-(1 << 63)]), bound=1), "values"),
    (lambda h: h.public.encrypt(np.array([1 << 63], dtype=np.uint64), bound=1), "values"),
    (lambda h: h.public.encrypt([1 << 80], bound=1 << 79), "values"),
    (lambda h: h.public.encrypt([1.5], bound=0.0), "bound"),
    (lambda h: h.public.encrypt([1.5], bound=-2.0), "bound"),
    (lambda h: h.public.encrypt([1], bound=-2), "bound"),
    (lambda h: h.public.encrypt([1.5], bound=math.nan), "bound"),
    (lambda h: h.public.encrypt([1], bound=math.nan), "bound"),
    (lambda h: h.public.encrypt([1], bound=math.inf), "bound"),
    (lambda h: h.public.encrypt([1], bound="2"), "bound"),
    (lambda h: h.public.encrypt([1], bound=True), "bound"),
    (lambda h: h.public.encrypt([1], bound=h.n), "bound"),
    (lambda h: h.public.encrypt([h.n // 2 + 1]), "bound"),
    (lambda h: h.public.encrypt([1e80]), "bound"),
    (lambda h: h.public.encrypt_encoded(np.array([1.0]), frac_bits=0, bound=5), "encoded"),
    (lambda h: h.public.encrypt_encoded(np.array([[1]]), frac_bits=0, bound=5), "encoded"),
    (lambda h: h.public.encrypt_encoded(np.array([True]), frac_bits=0, bound=5), "encoded"),
    (lambda h: h.public.encrypt_encoded(np.array([6]), frac_bits=0, bound=5), "encoded"),
    (lambda h: h.public.encrypt_encoded(np.array([-6], dtype=np.int8), frac_bits=0, bound=5), "encoded"),
    (lambda h: h.public.encrypt_encoded(np.array([1]), frac_bits=4097, bound=5), "frac_bits"),
    (lambda h: h.public.encrypt_encoded(np.array([1]), frac_bits=0, bound=5.0), "bound"),
    (lambda h: h.public.rerandomize(None), "vector"),
    (lambda h: h.public.rerandomize(h.c.limbs), "vector"),
    (lambda h: h.public.rerandomize(h.foreign), "vector"),
    (lambda h: h.private.decrypt(None), "vector"),
    (lambda h: h.private.decrypt(h.c.limbs), "vector"),
    (lambda h: h.private.decrypt(h.foreign), "vector"),
    (lambda h: h.private.decrypt_residues([1]), "vector"),
    (lambda h: h.private.decrypt_residues(h.foreign), "vector"),
]


@pytest.mark.parametrize(("call", "culprit"), ENCRYPT)
def test_encrypt_and_decrypt(call: Callable[[Any], object], culprit: str, here: SimpleNamespace) -> None:
    refused(call, culprit, here)


@pytest.mark.parametrize("alpha_bits", [0, 1, 64, 128, 447, 449, 511, 513, 1023, 2113, 4096, -1, True, 1024.0, "1024"])
def test_short_and_odd_exponents_are_refused(alpha_bits: Any, key_of: Callable[[int], PrivateKey]) -> None:
    public = key_of(2048).public
    with pytest.raises(InputError) as caught:
        public.encrypt([1], alpha_bits=alpha_bits)
    assert caught.value.argument == "alpha_bits"
    with pytest.raises(InputError):
        public.rerandomize(public.encrypt([1]), alpha_bits=alpha_bits)


# --- arithmetic --------------------------------------------------------------------------------------------------------

ARITHMETIC: list[Case] = [
    (lambda h: h.c * True, "factor"),
    (lambda h: h.c * None, "factor"),
    (lambda h: h.c * "2", "factor"),
    (lambda h: h.c * [1, 2], "factor"),
    (lambda h: h.c * [1, 2, None], "factor"),
    (lambda h: h.c * np.ma.masked_array([1, 2, 3], mask=[0, 1, 0]), "factor"),
    (lambda h: h.c * h.n, "bound"),
    (lambda h: h.c * (h.n // 6 + 1), "bound"),
    (lambda h: h.c + True, "other"),
    (lambda h: h.c + None, "other"),
    (lambda h: h.c + np.arange(2), "other"),
    (lambda h: h.c + [h.n // 2] * 3, "bound"),
    (lambda h: h.real + np.ones(2), "other"),
    (lambda h: h.real + math.nan, "other"),
    (lambda h: h.real - math.inf, "other"),
    (lambda h: h.real + np.array([1.0, None, 2.0]), "other"),
    (lambda h: h.real + True, "other"),
    (lambda h: h.real + "1", "other"),
    (lambda h: h.real + np.ma.masked_array([1.0, 2.0, 3.0], mask=[0, 1, 0]), "other"),
    (lambda h: h.c + h.foreign, "vector"),
    (lambda h: h.c - h.foreign, "vector"),
    (lambda h: h.c + h.c[:2], "other"),
    (lambda h: CipherArray.concatenate([h.c, h.foreign]), "vector"),
    (lambda h: CipherArray.concatenate([]), "arrays"),
    (lambda h: CipherArray.concatenate([h.c, h.c.reshape(1, 3)]), "arrays"),
    (lambda h: CipherArray.concatenate([h.c, [1, 2, 3]]), "arrays"),
    (lambda h: CipherArray.stack([h.c, h.c[:2]]), "arrays"),
    (lambda h: CipherArray.stack([h.c, h.c], axis=5), "axis"),
    (lambda h: np.concatenate([h.c, h.foreign]), "vector"),
    (lambda h: h.c.sum(axis=1), "axis"),
    (lambda h: h.c.sum(axis=(0, 0)), "axis"),
    (lambda h: h.c.sum(axis="0"), "axis"),
    (lambda h: h.c.reshape(2, 2), "shape"),
    (lambda h: h.c.reshape("3"), "shape"),
    (lambda h: h.c.transpose(1), "axes"),
    (lambda h: h.c.squeeze(0), "axis"),
    (lambda h: np.tile(h.c, "2"), "array"),
    (lambda h: h.c / 0, "divisor"),
    (lambda h: h.c / [1, 0, 2], "divisor"),
    (lambda h: h.c / None, "divisor"),
    (lambda h: h.c / True, "divisor"),
    (lambda h: h.c * 1e-9, "factor"),
    (lambda h: h.c + 1e-9, "other"),
    (lambda h: h.c.multiply(0.5, frac_bits=-1), "frac_bits"),
    (lambda h: h.real.at_scale(3), "frac_bits"),
    (lambda h: h.c * 1e80, "bound"),
    (lambda h: h.public.encrypt([1e-9]), "values"),
    (lambda h: h.public.encrypt([0.0, -5e-324]), "values"),
    (lambda h: np.full((2, 3), 1e-9) @ h.c, "matrix"),
    (lambda h: np.full((2, 3), math.nan) @ h.c, "matrix"),
    (lambda h: np.ones((2, 2, 3)) @ h.c, "matrix"),
    (lambda h: h.c @ np.ones((2, 3)), "array"),
    (lambda h: h.c @ np.zeros((3, 0)), "matrix"),
    (lambda h: np.eye(3) @ h.c.reshape(3, 1, 1), "array"),
    (lambda h: h.c[:0].sum(), "array"),
    (lambda h: h.c.reshape(1, 3)[:0].sum(axis=0), "array"),
    (lambda h: np.ones((2, 4), dtype=int) @ h.c, "array"),
    (lambda h: np.zeros((0, 3), dtype=int) @ h.c, "matrix"),
    (lambda h: [[1, 2, 3], [1, 2]] @ h.c, "matrix"),
    (lambda h: CodedMatrix(np.zeros((1, 4), dtype=np.uint8)).T @ h.c, "vector"),
    (lambda h: CodedMatrix(np.zeros((1, 3), dtype=np.uint8)).T @ np.ones(3), "vector"),
    (lambda h: CipherArray(h.public, h.c.vector, 0, h.n), "bound"),
    (lambda h: CipherArray(h.public, h.c.vector, 0, -1), "bound"),
    (lambda h: CipherArray(h.public, h.c.vector, 0, 1.0), "bound"),  # type: ignore[arg-type]
    (lambda h: CipherArray(h.public, h.c.vector, 0, h.n // 2).sum(), "bound"),
    (lambda h: CipherArray(h.public, h.c.vector, 0, h.n // 2) + h.c, "bound"),
]


@pytest.mark.parametrize(("call", "culprit"), ARITHMETIC)
def test_arithmetic(call: Callable[[Any], object], culprit: str, here: SimpleNamespace) -> None:
    refused(call, culprit, here)


NO_SUCH_OPERATION: list[Callable[[Any], object]] = [
    lambda h: h.c * h.c,
    lambda h: h.c * h.c[0],
    lambda h: h.c == h.c,
    lambda h: h.c != h.c,
    lambda h: h.c == 1,
    lambda h: h.c < 1,
    lambda h: bool(h.c),
    lambda h: float(h.c[0]),
    lambda h: int(h.c[0]),
    lambda h: h.c @ h.c,
    lambda h: h.c / h.c,
    lambda h: 1 / h.c,
    lambda h: h.c // 2,
    lambda h: h.c % 2,
    lambda h: len(h.c[0]),
    lambda h: list(h.c[0]),
    lambda h: np.cumsum(h.c),
    lambda h: np.matmul(h.c, [1, 2, 3]),
    lambda h: h.c**2,
    lambda h: hash(h.c),
    lambda h: {h.c},
    lambda h: np.exp(h.c),
    lambda h: np.add(h.c, 1),
    lambda h: np.array([h.c, h.c]),
    lambda h: 1 in h.c,
]


@pytest.mark.parametrize("call", NO_SUCH_OPERATION)
def test_operations_that_encrypted_numbers_do_not_have(call: Callable[[Any], object], here: SimpleNamespace) -> None:
    with pytest.raises(TypeError):
        call(here)


# --- received ciphertexts ------------------------------------------------------------------------------------------------

NUMBERS: dict[str, Callable[[Any], int]] = {
    "0": lambda h: 0,
    "1": lambda h: 1,
    "n": lambda h: h.n,
    "2 n": lambda h: 2 * h.n,
    "(n - 1) n": lambda h: (h.n - 1) * h.n,
    "p": lambda h: h.p,
    "q": lambda h: h.q,
    "multiple of p": lambda h: h.p * 12345,
    "multiple of q": lambda h: h.q**3,
    "p squared": lambda h: h.p**2,
    "n squared": lambda h: h.n**2,
    "n squared + c": lambda h: min(h.n**2 + lm.to_ints(h.c.limbs)[0], (1 << 512) - 1),
    "n squared + 1": lambda h: h.n**2 + 1,
    "above n squared, its lowest limb below": lambda h: h.n**2 + (1 << 64) - 1,
    "all ones": lambda h: (1 << 512) - 1,
    "repeated": lambda h: lm.to_ints(h.c.limbs)[1],
}


@pytest.mark.parametrize("place", [0, 1, 8])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_received_vector_with_one_bad_ciphertext(name: str, place: int, here: SimpleNamespace, backend: str) -> None:
    public = PublicKey(here.n, test_sizes=True)  # on every backend
    sound = here.public.encrypt(np.arange(9)).limbs
    sound[5] = here.c.limbs[1]
    assert public.parse(sound, frac_bits=0, bound=100).shape == (9,)
    broken = sound.copy()
    broken[place] = lm.from_ints([NUMBERS[name](here)], sound.shape[1])[0]
    refused(lambda h: public.parse(broken, frac_bits=0, bound=100), "ciphertexts", here, CiphertextError)


def test_the_largest_ciphertext_is_accepted(here: SimpleNamespace) -> None:
    edge = lm.from_ints([here.n**2 - 1, 2], here.c.limbs.shape[1])
    assert here.public.parse(edge, frac_bits=0, bound=1).shape == (2,)


def test_limbs_are_compared_as_one_number(here: SimpleNamespace) -> None:
    """Below n² with higher low limbs, and above 1 with a low limb of 0 or 1."""
    numbers = [here.n**2 - (1 << 64) + 1, 1 << 64, (1 << 64) + 1, 1 << 128, (1 << 448) + 1, 2]
    assert math.gcd(math.prod(numbers), here.n) == 1
    made = lm.from_ints(numbers, here.c.limbs.shape[1])
    assert here.public.parse(made, frac_bits=0, bound=1).shape == (6,)


def test_what_is_declared_is_examined_before_the_ciphertexts(here: SimpleNamespace) -> None:
    """No work is done for a vector that is refused in any case."""
    bad = np.zeros_like(here.c.limbs)
    refused(lambda h: h.public.parse(bad, frac_bits=0, bound=-1), "bound", here)
    refused(lambda h: h.public.parse(bad, frac_bits=4097, bound=1), "frac_bits", here)
    refused(lambda h: h.public.parse(bad, frac_bits=0, bound=1), "ciphertexts", here, CiphertextError)


SHAPES: dict[str, Callable[[Any], Any]] = {
    "None": lambda h: None,
    "list": lambda h: h.c.limbs.tolist(),
    "bytes": lambda h: h.c.limbs.tobytes(),
    "vector": lambda h: h.c,
    "one dimension": lambda h: h.c.limbs[0],
    "three dimensions": lambda h: h.c.limbs[None],
    "too narrow": lambda h: h.c.limbs[:, :-1],
    "too wide": lambda h: np.pad(h.c.limbs, ((0, 0), (0, 1))),
    "of another key": lambda h: h.foreign.limbs,
    "int64": lambda h: h.c.limbs.astype(np.int64),
    "uint32": lambda h: h.c.limbs.view(np.uint32),
    "float": lambda h: h.c.limbs.astype(float),
    "big-endian": lambda h: h.c.limbs.astype(">u8"),
    "object": lambda h: h.c.limbs.astype(object),
}


@pytest.mark.parametrize("name", SHAPES)
def test_received_arrays_of_the_wrong_kind(name: str, here: SimpleNamespace) -> None:
    refused(lambda h: h.public.parse(SHAPES[name](h), frac_bits=0, bound=10), "ciphertexts", here, CiphertextError)


@pytest.mark.parametrize("layout", ["strided", "reversed", "fortran", "unaligned", "read-only"])
def test_received_arrays_of_any_layout_are_read_right(layout: str, here: SimpleNamespace, backend: str) -> None:
    public, limbs = PublicKey(here.n, test_sizes=True), here.c.limbs
    raw = np.zeros(limbs.nbytes + 1, dtype=np.uint8)
    raw[1:] = np.frombuffer(limbs.tobytes(), dtype=np.uint8)
    made = {
        "strided": np.repeat(limbs, 2, axis=0)[::2],
        "reversed": np.ascontiguousarray(limbs[::-1])[::-1],
        "fortran": np.asfortranarray(limbs),
        "unaligned": raw[1:].view(np.uint64).reshape(limbs.shape),
        "read-only": limbs.copy(),
    }[layout]
    made.setflags(write=False)
    received = public.parse(made, frac_bits=0, bound=3)
    assert np.array_equal(received.limbs, limbs)
    assert np.array_equal(public.context.store(received.vector), limbs)


@pytest.mark.parametrize(
    ("frac_bits", "bound", "culprit"),
    [(-1, 1, "frac_bits"), (4097, 1, "frac_bits"), (True, 1, "frac_bits"), (None, 1, "frac_bits"), (0, -1, "bound"), (0, None, "bound"),
     (0, 1.0, "bound"), (0, True, "bound"), (0, 1 << 255, "bound")],
)  # fmt: skip
def test_what_is_declared_of_received_ciphertexts(frac_bits: Any, bound: Any, culprit: str, here: SimpleNamespace) -> None:
    refused(lambda h: h.public.parse(h.c.limbs, frac_bits=frac_bits, bound=bound), culprit, here)


def test_a_bound_that_n_cannot_hold_is_a_bound_error(here: SimpleNamespace) -> None:
    here.public.check_bound(here.n // 2)
    with pytest.raises(BoundError):
        here.public.check_bound(here.n // 2 + 1)
