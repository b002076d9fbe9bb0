"""Encrypted vectors behave like vectors of numbers; decryption is blinded and checked; randomness never repeats."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import gmpy2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.encrypted import KeyOf

from vflfast.crypto import backend as be
from vflfast.crypto import fallback
from vflfast.crypto import limbs as lm
from vflfast.crypto.arrays import CipherArray, WireArray
from vflfast.crypto.codec import encode
from vflfast.crypto.paillier.private import PrivateKey, blinding_factors, generate_keypair
from vflfast.crypto.paillier.public import PublicKey
from vflfast.errors import BoundError, CheckError, CiphertextError, InputError

MANY = settings(max_examples=200, deadline=None)
INTEGERS = st.lists(st.integers(-(1 << 62), 1 << 62), min_size=1, max_size=6)


def objects(values: list[int]) -> npt.NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


# --- a user's first lines ----------------------------------------------------------------------------------------------



def test_the_first_lines_of_a_user(backend: str, key_of: KeyOf) -> None:
    rng = np.random.default_rng(1)
    x, y, codes = rng.normal(size=20), rng.normal(size=20), rng.integers(0, 5, (20, 3))
    private = key_of(2048)
    public = private.public
    c = public.encrypt(x)
    fixed = encode(x, 24, 100.0)
    assert np.array_equal(private.decrypt(c), fixed / (1 << 24))
    assert np.array_equal(private.decrypt(2 * c + y), (2 * fixed + encode(y, 24, 100.0)) / (1 << 24))
    assert np.array_equal(private.decrypt(codes.T @ c), codes.T @ fixed / (1 << 24))


def test_a_generated_key_works() -> None:
    private = generate_keypair(256, test_sizes=True)
    assert private.public.key_bits == 256
    assert private.decrypt(private.public.encrypt([1, -2])).tolist() == [1, -2]
    assert PublicKey(private.public.n, test_sizes=True) == private.public
    assert hash(PublicKey(private.public.n, test_sizes=True)) == hash(private.public)


@MANY
@given(values=INTEGERS, other=INTEGERS, factor=st.integers(-(1 << 100), 1 << 100))
def test_arithmetic_of_integers(key_of: KeyOf, values: list[int], other: list[int], factor: int) -> None:
    key = key_of(256)
    other = (other * 6)[: len(values)]
    c, d = key.public.encrypt(values), key.public.encrypt(other)
    v, w = objects(values), objects(other)
    for got, expected in [
        (c + d, v + w), (c - d, v - w), (-c, -v), (c + w, v + w), (w + c, v + w), (c - w, v - w), (w - c, w - v), (c * factor, v * factor),
        (factor * c, v * factor), (c * w, v * w), (w * c, v * w), (c.sum(), objects([sum(values)])[0]), (c[::-1], v[::-1]),
        (CipherArray.concatenate([c, d]), objects(values + other)), (c + 7, v + 7), (7 - c, 7 - v), (c * 0, v * 0),
    ]:  # fmt: skip
        assert np.array_equal(key.decrypt(got), expected)
        assert got.bound >= max(abs(int(e)) for e in np.ravel(expected))


@pytest.mark.filterwarnings("ignore::vflfast.errors.PrecisionWarning")
@MANY
@given(x=st.lists(st.floats(-1000, 1000), min_size=1, max_size=5), frac_bits=st.integers(1, 40))
def test_arithmetic_of_fixed_point_numbers(key_of: KeyOf, x: list[float], frac_bits: int) -> None:
    key, x = key_of(256), [1.0, *x]
    c, fixed, scale = key.public.encrypt(x, frac_bits=frac_bits), encode(x, frac_bits, 1000.0), 1 << frac_bits
    assert c.frac_bits == frac_bits
    assert np.array_equal(key.decrypt(c), fixed / scale)
    assert np.array_equal(key.decrypt(c + x), (2 * fixed) / scale)
    assert np.array_equal(key.decrypt(c - np.array(x)), 0 * fixed)
    assert np.array_equal(key.decrypt(3 * c - 1), (3 * fixed - scale) / scale)
    assert key.decrypt(c.sum()) == sum(fixed.tolist()) / scale


@pytest.mark.parametrize(
    "factor",
    [
        3,
        -3,
        1 << 90,
        np.int8(3),
        np.int64(-3),
        np.uint64(3),
        np.array(5),
        [1, -2, 0],
        np.array([1, -2, 0], dtype=np.int8),
        np.array([[4, 9], [5, 9], [6, 9]])[:, 0],
        np.array([7, 8, 9], dtype=">i4"),
        np.array([(1 << 64) - 1] * 3, dtype=np.uint64),
        np.array([-(1 << 63), 1, 0]),
        objects([1 << 70, -1, 0]),
    ],
    ids=str,
)
def test_integers_of_every_kind_multiply_and_add(key: PrivateKey, factor: Any) -> None:
    values = objects([10, -20, 30])
    expected = objects([int(f) for f in np.broadcast_to(np.array(factor, dtype=object), 3)])
    c = key.public.encrypt([10, -20, 30])
    for got in (c * factor, factor * c) if not isinstance(factor, list) else (c * factor,):
        assert key.decrypt(got).tolist() == (values * expected).tolist()
    assert key.decrypt(c + factor).tolist() == (values + expected).tolist()
    assert key.decrypt(c - factor).tolist() == (values - expected).tolist()


def test_slices(key: PrivateKey) -> None:
    values = np.arange(-5, 6)
    c = key.public.encrypt(values)
    assert (len(c), c.shape) == (11, (11,))
    mask = values % 2 == 0
    slices = slice(2, 7), slice(None, None, -2), slice(3, 3), slice(-4, None)
    for index in (*slices, mask, [3, 3, -1], np.array([0, 10]), np.array([1], dtype=np.uint8)):
        assert key.decrypt(c[index]).tolist() == values[index].tolist()
        assert key.decrypt(c[index] + 1).tolist() == (values[index] + 1).tolist()  # a view computes like its copy
        assert key.decrypt(-c[index]).tolist() == (-values[index]).tolist()
    for one in (0, 10, -1, -11, np.int64(4)):
        assert key.decrypt(c[one]) == values[one]
    assert [key.decrypt(item) for item in c] == values.tolist()
    for shaped in (None, ..., [[0, 1]], True):
        assert np.array_equal(key.decrypt(c[shaped]), values[shaped])
    for bad in (11, -12, (0, 1), 1.0, np.zeros(3, dtype=bool), [11], "a"):
        with pytest.raises(IndexError):
            c[bad]


def test_lengths_of_one_go_with_any_length(key: PrivateKey) -> None:
    c = key.public.encrypt([1, 2, 3])
    assert key.decrypt(c + c[1]).tolist() == [3, 4, 5]
    assert key.decrypt(c - c[1]).tolist() == [-1, 0, 1]
    assert key.decrypt(sum([c, c, c])).tolist() == [3, 6, 9]


def test_vectors_of_nothing(key: PrivateKey) -> None:
    none = key.public.encrypt(np.zeros(0, dtype=np.int64))
    joined = CipherArray.concatenate([none, none])
    for vector in (none, none * 2, -none, none + 1, 1 - none, none + none, key.public.rerandomize(none), joined):
        assert key.decrypt(vector).tolist() == []
    assert key.public.parse(none.limbs, frac_bits=0, bound=1).shape == (0,)
    assert key.decrypt(CipherArray.concatenate([none, key.public.encrypt([5])])).tolist() == [5]


def test_vectors_across_threads_are_the_same(key: PrivateKey) -> None:
    c = key.public.encrypt(np.arange(100))
    stored = []
    for count in (1, 2, 8):
        with be.use_threads(count):
            stored.append(key.public.context.store((c * 5 - 3 + c).vector).tolist())
    assert stored[0] == stored[1] == stored[2]


# --- what leaves, what does not ------------------------------------------------------------------------------------------



def test_results_of_arithmetic_cannot_leave(key: PrivateKey) -> None:
    wire = key.public.encrypt([1, 2, 3])
    assert wire.fresh
    assert wire.limbs.shape == (3, 2 * key.public.context.limbs)
    joined, product = CipherArray.concatenate([wire]), np.eye(3, dtype=int) @ wire
    for result in (wire + 1, wire + wire, wire * 2, -wire, wire[:], wire[0], wire.sum(), joined, product):
        assert type(result) is CipherArray
        assert not result.fresh
        assert not hasattr(result, "limbs")
        for name in ("to_bytes", "tobytes", "tolist", "save", "dump", "__bytes__", "__buffer__", "__array_interface__"):
            assert not hasattr(result, name)
        for leave in (bytes, memoryview, np.asarray, np.array, float, bool, int, pickle.dumps):
            with pytest.raises(TypeError):
                leave(result)
        assert copy.deepcopy(result) is result
        with pytest.raises(TypeError):
            np.asarray(wire)
        fresh = key.public.rerandomize(result)
        assert type(fresh) is WireArray
        assert np.array_equal(key.decrypt(fresh), key.decrypt(result))
        assert lm.to_ints(fresh.limbs) == lm.to_ints(key.public.context.store(fresh.vector))


def test_what_leaves_comes_back(key: PrivateKey) -> None:
    sent = key.public.encrypt([0.5, -0.25], bound=16.0)
    received = PublicKey(key.public.n, test_sizes=True).parse(sent.limbs, frac_bits=24, bound=sent.bound)
    assert type(received) is WireArray
    assert key.decrypt(received).tolist() == [0.5, -0.25]
    assert received.bound == 16 << 24


def test_repr_shows_shape_and_key_but_no_digits(key: PrivateKey) -> None:
    c = key.public.encrypt([123456789])
    texts = [repr(c), repr(c + 1), repr(key.public), repr(key), str(c), str(key)]
    assert key.public.fingerprint in texts[0]
    assert "shape=(1,)" in texts[0]
    assert "not fresh" in texts[1]
    assert "not fresh" not in texts[0]
    secrets = [*key.primes, key.public.n, lm.to_ints(c.limbs)[0], 123456789]
    for text in texts:
        for secret in secrets:
            for form in (str(secret), f"{secret:x}"):
                assert form[:8] not in text
                assert form[-8:] not in text


# --- decryption: blinded, checked ------------------------------------------------------------------------------------------



def test_decryption_hands_fresh_ciphertexts_to_the_core(key: PrivateKey, monkeypatch: pytest.MonkeyPatch) -> None:
    inner, seen = key._context, []

    class Spy:
        def decrypt(self, wire: lm.Limbs) -> lm.Limbs:
            plain = inner.decrypt(wire)
            seen.append((lm.to_ints(wire), lm.to_ints(plain)))
            return plain

    monkeypatch.setattr(key, "_context", Spy())
    c = key.public.encrypt([5, 5])
    for _ in range(8):
        assert key.decrypt(c).tolist() == [5, 5]
    handed = [c for wire, _ in seen for c in wire]
    opened = [m for _, plain in seen for m in plain]
    assert len(set(handed)) == 8 * 3  # two blinded ciphertexts and their product
    assert not set(handed) & set(lm.to_ints(c.limbs))  # never what an attacker chose
    assert len(set(opened)) == 8 * 3  # and never its plaintext
    assert 5 not in opened


@pytest.mark.parametrize("faulty", [0, 1, 4])
def test_a_plaintext_that_is_wrong_modulo_one_prime_never_gets_out(key: PrivateKey, monkeypatch: pytest.MonkeyPatch, faulty: int) -> None:
    """What a fault in a high component leaves: right modulo p, wrong modulo q; gcd(wrong − right, n) is p."""
    inner = key._context

    class Faulty:
        def decrypt(self, wire: lm.Limbs) -> lm.Limbs:
            plain = lm.to_ints(inner.decrypt(wire))
            plain[faulty] = (plain[faulty] + 12345 * key.primes[0]) % key.public.n
            return lm.from_ints(plain, key.public.context.limbs)

    c = key.public.encrypt([1, 2, 3, 4])
    assert key.decrypt(c).tolist() == [1, 2, 3, 4]
    monkeypatch.setattr(key, "_context", Faulty())
    with pytest.raises(CheckError):
        key.decrypt(c)


FAULTS = ["exponent", "modulus", "constant"]


class FaultyGmpy2:
    """gmpy2 whose constant-time power goes wrong for one modulus."""

    def __init__(self, fault: str, prime: int) -> None:
        self.fault, self.square = fault, prime * prime

    def __getattr__(self, name: str) -> Any:
        return getattr(gmpy2, name)

    def powmod_sec(self, c: Any, exponent: Any, modulus: Any) -> Any:
        if modulus != self.square:
            return gmpy2.powmod_sec(c, exponent, modulus)
        if self.fault == "modulus":
            return gmpy2.powmod_sec(c, exponent, modulus + 2)
        return gmpy2.powmod_sec(c, exponent ^ 4 if self.fault == "exponent" else exponent, modulus) ^ (self.fault == "constant")


def plant_fault(fault: str, prime: int, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if backend == "gmpy2":
        monkeypatch.setattr(fallback, "gmpy2", FaultyGmpy2(fault, prime))
        return
    sound = be.NativePrivate._branch

    def broken(owner: Any, modulus: int, other: int, chunks: int) -> tuple[Any, ...]:
        parts = list(sound(owner, modulus, other, chunks))
        if modulus == prime:
            place = {"exponent": 9, "modulus": 2, "constant": 4}[fault]
            parts[place] = parts[place] ^ (4 if place == 4 else np.uint64(4))
        return tuple(parts)

    monkeypatch.setattr(be.NativePrivate, "_branch", staticmethod(broken))


@pytest.mark.parametrize("branch", [0, 1])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_one_branch_gives_no_plaintext(
    fault: str, branch: int, backend: str, key_of: KeyOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    primes = key_of(256).primes
    plant_fault(fault, primes[branch], backend, monkeypatch)
    faulty = PrivateKey(*primes, test_sizes=True)
    for count in (1, 9):
        with pytest.raises(CheckError, match="no plaintext"):
            faulty.decrypt(faulty.public.encrypt(np.arange(count)))
    monkeypatch.undo()
    assert PrivateKey(*primes, test_sizes=True).decrypt(faulty.public.encrypt([3])).tolist() == [3]  # the control


def test_a_number_above_its_declared_bound_is_caught(key: PrivateKey) -> None:
    c = key.public.encrypt([100, -100])
    assert key.decrypt(CipherArray(key.public, c.vector, 0, 100)).tolist() == [100, -100]
    for frac_bits in (0, 4):
        with pytest.raises(CheckError):
            key.decrypt(CipherArray(key.public, c.vector, frac_bits, 99))


# --- what is declared, and what is refused --------------------------------------------------------------------------



@pytest.mark.parametrize(("values", "options", "bound"), [
    ([0.25], {}, 1 << 22), ([0.0], {}, 1 << 24), ([-3.0, 1.0], {}, 3 << 24), ([0.5], {"bound": 2.0}, 2 << 24), ([], {}, None),
    ([0], {}, 1), ([1], {}, 1), ([-7, 2], {}, 7), ([1], {"bound": 5}, 5), ([3], {"frac_bits": 2}, 12),
])  # fmt: skip
def test_the_bound_that_a_vector_declares(values: list[Any], options: dict[str, Any], bound: int | None, key_of: KeyOf) -> None:
    vector = key_of(256).public.encrypt(np.array(values) if options.get("frac_bits") else values, **options)
    assert vector.bound == bound or (bound is None and len(vector) == 0)


def test_given_randomness_makes_plain_paillier(key: PrivateKey) -> None:
    n = key.public.n
    messages, randomness = [0, 1, n - 1, n // 3], [1, n - 1, 2, 3]
    vector = key.public.encrypt_with(messages, randomness)
    assert lm.to_ints(vector.limbs) == [(1 + m * n) * pow(r, n, n * n) % (n * n) for m, r in zip(messages, randomness, strict=True)]
    assert (vector.frac_bits, vector.bound) == (0, n // 2)
    assert lm.to_ints(key.decrypt_residues(vector)) == messages


@pytest.mark.parametrize("place", ["messages", "randomness"])
@pytest.mark.parametrize("wrong", [-1, "n", "n + 1", True, 1.0, "1", None])
def test_given_randomness_and_messages_are_in_their_range(place: str, wrong: Any, key_of: KeyOf) -> None:
    public = key_of(256).public
    value = {"n": public.n, "n + 1": public.n + 1, "1": "1"}.get(wrong, wrong) if isinstance(wrong, str) else wrong
    given: dict[str, list[Any]] = {"messages": [1, 2], "randomness": [2, 3]}
    given[place][1] = value
    with pytest.raises(InputError) as caught:
        public.encrypt_with(**given)
    assert caught.value.argument == place


def test_randomness_that_is_no_unit_is_refused(key_of: KeyOf) -> None:
    private = key_of(256)
    for r in (0, *private.primes, 2 * private.primes[0]):
        with pytest.raises(InputError, match="randomness: each must be a unit"):
            private.public.encrypt_with([1], [r])
    for messages, randomness in (([1], [2, 3]), ([1, 2], [2]), ([], [2])):
        with pytest.raises(InputError, match=f"randomness: {len(randomness)} numbers for {len(messages)} messages"):
            private.public.encrypt_with(messages, randomness)


@pytest.mark.parametrize("bound", [-1, True, 2.0, "above"])
def test_no_vector_declares_a_bound_that_n_cannot_hold(bound: Any, key_of: KeyOf) -> None:
    public = key_of(256).public
    value = public.n // 2 + 1 if bound == "above" else bound
    limbs = public.encrypt([1]).limbs
    calls = [lambda: public.parse(limbs, frac_bits=0, bound=value), lambda: public.encrypt_encoded(np.array([0]), frac_bits=0, bound=value)]
    for call in calls:
        with pytest.raises((InputError, BoundError)) as caught:
            call()
        assert caught.value.argument == "bound"
    assert public.parse(limbs, frac_bits=0, bound=public.n // 2).bound == public.n // 2
    assert public.encrypt_encoded(np.array([0]), frac_bits=0, bound=0).bound == 0


def test_more_ciphertexts_than_can_be_counted_are_refused(key_of: KeyOf, monkeypatch: pytest.MonkeyPatch) -> None:
    public = key_of(256).public
    limbs = public.encrypt([1, 2, 3]).limbs
    monkeypatch.setattr("vflfast.crypto.paillier.public.MAX_COUNT", 3)
    assert len(public.parse(limbs, frac_bits=0, bound=3)) == 3
    monkeypatch.setattr("vflfast.crypto.paillier.public.MAX_COUNT", 2)
    with pytest.raises(CiphertextError, match="more than 2"):
        public.parse(limbs, frac_bits=0, bound=3)


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 64, 65, 100])
def test_what_hides_ciphertexts_that_are_decrypted(count: int, key_of: KeyOf) -> None:
    """Encryptions of 0: as few fresh ones as hide 32 each with their squares, no two alike, no two calls alike."""
    private = key_of(256)
    context, n = private.public.context, private.public.n
    fresh = math.ceil(count / 32)
    assert blinding_factors(count) == fresh
    made = [lm.to_ints(context.store(private._randomness(count))) for _ in range(2)]
    assert len({*made[0], *made[1]}) == 2 * count
    for masks in made:
        assert lm.to_ints(private._context.decrypt(lm.from_ints(masks, 2 * context.limbs))) == [0] * count
        assert masks[fresh:] == [mask * mask % (n * n) for mask in masks[: count - fresh]]
