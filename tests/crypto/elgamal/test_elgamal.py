"""Lifted ElGamal: arithmetic against whole numbers, fresh randomness, refusals, a key holder that lies."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vflfast
from vflfast.crypto import backend as be
from vflfast.crypto import limbs as lm
from vflfast.crypto.arrays import CipherArray
from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.curve import CODE_LIMBS, ORDER
from vflfast.crypto.elgamal import keyfile
from vflfast.crypto.elgamal.opening import HolderDigits
from vflfast.crypto.elgamal.private import PrivateKey, generate_keypair
from vflfast.crypto.elgamal.proofs import prove_key, verify_key
from vflfast.crypto.elgamal.public import PublicKey
from vflfast.crypto.paillier import keyfile as paillier_files
from vflfast.errors import BoundError, CheckError, CiphertextError, InputError, InvalidKeyError

VALUES = np.array([0, 1, -1, 77, -1234, 1 << 20, -(1 << 20)])


@pytest.fixture(params=be.available())
def key(request: pytest.FixtureRequest) -> Any:
    with be.use(request.param):
        yield generate_keypair()


def received(key: PrivateKey, vector: CipherArray) -> CipherArray:
    """What another party makes of the re-randomised vector's bytes."""
    public = PublicKey(key.public.h)
    return public.parse(public.rerandomize(vector).limbs, frac_bits=vector.frac_bits, bound=vector.bound)


# --- arithmetic -----------------------------------------------------------------------------------------------------


def test_arithmetic_is_that_of_whole_numbers(key: PrivateKey) -> None:
    c, other = key.public.encrypt(VALUES), key.public.encrypt(VALUES[::-1])
    weights = np.array([3, -2, 0, 1, 5, -1, 2])
    for made, expected in (
        (c, VALUES), (c + other, VALUES + VALUES[::-1]), (c - other, VALUES - VALUES[::-1]), (-c, -VALUES), (3 * c, 3 * VALUES),
        (c * weights, VALUES * weights), (c + 10, VALUES + 10), (10 - c, 10 - VALUES), (c + VALUES, 2 * VALUES), (c.sum(), [VALUES.sum()]),
        (c[2:5], VALUES[2:5]), (CipherArray.concatenate([c, other]), [*VALUES, *VALUES[::-1]]),
    ):  # fmt: skip
        assert key.decrypt(received(key, made)).tolist() == list(expected)


def test_products_with_matrices_and_fractions(key: PrivateKey) -> None:
    matrix = np.random.default_rng(1).integers(-2, 5, (7, 3))
    c = key.public.encrypt(VALUES)
    assert key.decrypt(received(key, CodedMatrix.from_integers(matrix).T @ c)).tolist() == (matrix.T @ VALUES).tolist()
    halves = key.public.encrypt([0.5, -1.25, 3.0])
    assert key.decrypt(received(key, 2 * halves + 0.75)).tolist() == [1.75, -1.75, 6.75]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-(2**30), 2**30), min_size=1, max_size=6), st.integers(-50, 50), st.integers(-1000, 1000))
def test_any_small_numbers(numbers: list[int], factor: int, shift: int) -> None:
    key = _kept()
    made = key.public.encrypt(numbers) * factor + shift
    assert key.decrypt(received(key, made)).tolist() == [m * factor + shift for m in numbers]


def _kept(made: list[PrivateKey] = []) -> PrivateKey:  # noqa: B006  (kept on purpose)
    if not made:
        made.append(generate_keypair())
    return made[0]


def test_numbers_too_large_to_be_opened_are_refused(key: PrivateKey) -> None:
    with pytest.raises(BoundError, match="fewer frac_bits"):
        key.public.encrypt([1 << 62])
    c = key.public.encrypt([1 << 40])
    with pytest.raises(BoundError, match="small numbers only"):
        c * (1 << 30)
    with pytest.raises(BoundError):
        key.public.encrypt([5], bound=4)


def test_a_number_above_its_bound_is_an_error_and_no_number(key: PrivateKey) -> None:
    sent = key.public.encrypt([3, 900])
    declared = key.public.parse(sent.limbs, frac_bits=0, bound=100)
    with pytest.raises(CheckError, match="number 1 is above"):
        key.decrypt(declared)


# --- randomness and keys --------------------------------------------------------------------------------------------


def test_no_ciphertext_ever_repeats(key: PrivateKey) -> None:
    c = key.public.encrypt(np.zeros(20, dtype=int))
    key.public.precompute(5)
    wires = [c, key.public.rerandomize(c), key.public.encrypt(np.zeros(20, dtype=int)), key.public.rerandomize(c)]
    halves = [half.tobytes() for wire in wires for row in wire.limbs for half in (row[:CODE_LIMBS], row[CODE_LIMBS:])]
    assert len(set(halves)) == 160
    assert key.public.precomputed() == 0


def test_randomness_made_ahead_serves_once(key: PrivateKey) -> None:
    key.public.precompute(3)
    assert key.public.precomputed() == 3
    assert key.decrypt(received(key, key.public.encrypt([1, 2, 3, 4]))).tolist() == [1, 2, 3, 4]
    with pytest.raises(InputError):
        key.public.precompute(-1)


def test_what_arrives_is_validated(key: PrivateKey) -> None:
    good = key.public.encrypt([1, 2, 3]).limbs
    bare, twice, broken, wide = good.copy(), good.copy(), good.copy(), np.zeros((3, 9), dtype=np.uint64)
    bare[1, :CODE_LIMBS] = 0
    twice[2] = twice[0]
    broken[0, CODE_LIMBS] ^= np.uint64(1)
    signed = good.astype(np.int64)
    for limbs, problem in ((bare, "no randomness"), (twice, "repeated"), (broken, "canonical"), (wide, "shape"), (signed, "uint64")):
        with pytest.raises(CiphertextError, match=problem):
            key.public.parse(limbs, frac_bits=0, bound=10)


def test_keys_are_checked_and_never_pickled(key: PrivateKey) -> None:
    assert PublicKey(key.public.h) == key.public
    assert hash(PublicKey(key.public.h)) == hash(key.public)
    assert key.public != generate_keypair().public
    for wrong in (0, ORDER, -1, True, 1.0):
        with pytest.raises(InvalidKeyError):
            PrivateKey(wrong)  # type: ignore[arg-type]
    for h in (np.zeros((1, 4), dtype=np.uint64), np.ones((1, 4), dtype=np.uint64), key.public.h[0], key.public.h.astype(np.int64)):
        with pytest.raises(InvalidKeyError):
            PublicKey(h)
    for dump in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            dump(key)  # type: ignore[operator]
    key.public.precompute(2)
    other = pickle.loads(pickle.dumps(key.public))
    assert other == key.public
    assert (other.precomputed(), key.public.precomputed()) == (0, 2)
    assert str(key.secret) not in repr(key)


def test_another_keys_vectors_are_refused(key: PrivateKey) -> None:
    other = generate_keypair()
    with pytest.raises(InputError, match="belongs to key"):
        key.decrypt(other.public.encrypt([1]))
    with pytest.raises(InputError, match="belongs to key"):
        key.public.rerandomize(other.public.encrypt([1]))


def test_the_public_way_to_a_key() -> None:
    key = vflfast.generate_keypair(scheme="elgamal")
    assert isinstance(key, PrivateKey)
    assert key.decrypt(key.public.encrypt([4, -4])).tolist() == [4, -4]
    with pytest.raises(InputError, match="paillier, elgamal"):
        vflfast.generate_keypair(scheme="rsa")
    with pytest.raises(InputError, match="key_bits"):
        vflfast.generate_keypair(2048, scheme="elgamal")


# --- the proof of the key -------------------------------------------------------------------------------------------


def test_the_proof_of_the_key_holds_for_its_key_and_session_only(key: PrivateKey) -> None:
    public = key.public
    h, proof = key.announce(b"session")
    verify_key(public.generator, h, proof, b"session")
    other = generate_keypair()
    forged = proof.copy()
    forged[1, 0] += np.uint64(1)
    large = lm.from_ints([ORDER, 5], CODE_LIMBS)
    wrong = [(h, bad, b"session") for bad in (forged, proof[:1], large)]
    for args in (*wrong, (h, proof, b"another"), (other.public.h, proof, b"session")):
        with pytest.raises(InvalidKeyError):
            verify_key(public.generator, *args)
    assert (prove_key(public.generator, lm.from_ints([key.secret], CODE_LIMBS), h, b"s") != proof).any()


# --- a key holder that lies -----------------------------------------------------------------------------------------


def opening_of(key: PrivateKey) -> tuple[Any, Any]:
    public = PublicKey(key.public.h)
    opening = public.opening(public.encrypt(VALUES))
    return opening, key.answer(key.public.parse_request(opening.request.limbs))


def test_an_honest_answer_opens_once(key: PrivateKey) -> None:
    opening, answer = opening_of(key)
    assert opening.open(answer) == VALUES.tolist()
    with pytest.raises(InputError, match="once"):
        opening.open(answer)


@pytest.mark.parametrize("lie", ["swapped", "one point off", "another key", "another request", "short", "no point", "no proof"])
def test_a_lie_about_any_point_is_seen(key: PrivateKey, lie: str) -> None:
    opening, answer = opening_of(key)
    single = key.public.single
    if lie == "swapped":
        answer[[0, 1]] = answer[[1, 0]]
    elif lie == "one point off":  # by one: the number would be one too small
        moved = single.multiply(single.load(answer[2:3]), key.public.generator.point)
        answer[2:3] = single.store(moved)
    elif lie == "another key":
        answer = generate_keypair().answer(key.public.parse_request(opening.request.limbs))
    elif lie == "another request":
        _, answer = opening_of(key)
    elif lie == "short":
        answer = answer[:-1]
    elif lie == "no point":
        answer[0, 0] ^= np.uint64(1)
    else:
        answer[-2:] = 0
    with pytest.raises(CheckError):
        opening.open(answer)


def test_a_lie_within_the_bound_would_pass_without_the_proof(key: PrivateKey) -> None:
    """The control: a number that is one off opens to a wrong value where no proof is asked for, as with noise."""
    opening, answer = opening_of(key)
    single = key.public.single
    answer[3:4] = single.store(single.multiply(single.load(answer[3:4]), key.public.generator.point))
    wrong = opening.open(answer, noise=1)
    assert wrong == [*VALUES[:3], VALUES[3] - 1, *VALUES[4:]]


def test_noise_of_the_holder_is_added(key: PrivateKey) -> None:
    public = PublicKey(key.public.h)
    opening = public.opening(public.encrypt(VALUES))
    noise = [5, -5, 0, 1, -1, 17, -17]
    answer = key.answer(key.public.parse_request(opening.request.limbs), noise, 1 << 21)
    assert opening.open(answer, noise=17) == (VALUES + noise).tolist()


def test_an_owner_cannot_have_a_ciphertext_opened_that_is_none(key: PrivateKey) -> None:
    for limbs in (np.zeros((1, 4), dtype=np.uint64), np.ones((1, 4), dtype=np.uint64), np.zeros((2, 8), dtype=np.uint64)):
        with pytest.raises(CiphertextError):
            key.public.parse_request(limbs)


# --- towards the holder, and files ----------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 1 << 63), st.data())
def test_digits_for_the_holder_come_back(bound: int, data: st.DataObject) -> None:
    digits = HolderDigits.of(bound)
    numbers = [*data.draw(st.lists(st.integers(-bound, bound), max_size=5)), bound, -bound, 0]
    split = digits.split(numbers)
    assert digits.base <= 1 << 22
    assert split.min() >= 0
    assert split.max() < digits.base
    assert digits.join(split.tolist()) == numbers


def test_the_holder_reads_numbers_of_64_bits(key: PrivateKey) -> None:
    numbers = [0, 1, -1, 1 << 63, -(1 << 63), 123456789012345678]
    sent = key.public.parse_to_holder(key.public.pack_to_holder(numbers, 1 << 63).limbs)
    if key.public.context.name == "gmpy2":
        numbers, sent = numbers[:1], sent[:3]  # the logarithms of 22 bits take Python integers long
    assert key.read_packed(sent, len(numbers), 1 << 63) == numbers


def test_a_key_file_is_its_owners_alone_and_of_its_scheme(key: PrivateKey, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    keyfile.save_private_key(path, key)
    assert path.stat().st_mode & 0o777 == 0o600
    assert keyfile.load_private_key(path).public == key.public
    with pytest.raises(InvalidKeyError, match="exists already"):
        keyfile.save_private_key(path, key)
    with pytest.raises(InvalidKeyError, match="must be 'vflfast private key'"):
        paillier_files.load_private_key(path)
    path.write_text(path.read_text().replace(f"{key.secret:x}", f"{key.secret ^ 1:x}"))
    with pytest.raises(InvalidKeyError, match="does not belong"):
        keyfile.load_private_key(path)
    path.chmod(0o644)
    with pytest.raises(InvalidKeyError, match="closed to group"):
        keyfile.load_private_key(path)
