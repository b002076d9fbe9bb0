"""Every registered scheme through the interface alone: what the protocol asks for, and nothing that only one scheme has."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from vflfast.crypto import backend as be
from vflfast.crypto import scheme as interface
from vflfast.crypto.arrays import CipherArray, WireArray
from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.schemes import SCHEMES, scheme
from vflfast.errors import CheckError, InputError, VflError

BITS = {"paillier": 512, "elgamal": 256}
VALUES = [0, 1, -1, 5, -7, 1 << 20, -(1 << 20), 12345]
BOUND = 1 << 20


@pytest.fixture(scope="module", params=sorted(SCHEMES))
def private(request: pytest.FixtureRequest) -> interface.Private:
    return scheme(request.param).generate(BITS[request.param], test_sizes=True)


@pytest.fixture
def encrypted(private: interface.Private) -> WireArray:
    return private.public.encrypt_encoded(np.array(VALUES), frac_bits=0, bound=BOUND)


def members(protocol: Any) -> Iterator[str]:
    for base in protocol.__mro__:
        yield from (name for name in vars(base) if not name.startswith("_") and inspect.isfunction(vars(base).get(name)))


def test_the_names_are_those_of_the_registry() -> None:
    assert {name: one.name for name, one in SCHEMES.items()} == {name: name for name in SCHEMES}
    assert scheme() is SCHEMES["paillier"]


def test_a_key_has_everything_that_the_interface_names(private: interface.Private) -> None:
    opening = private.public.opening(private.public.encrypt_encoded(np.array([1]), frac_bits=0, bound=1))
    for protocol, made in ((interface.Public, private.public), (interface.Private, private), (interface.Opening, opening)):
        assert [name for name in members(protocol) if not hasattr(made, name)] == []


# --- opening of sums ------------------------------------------------------------------------------------------------


def opened(private: interface.Private, values: CipherArray) -> list[int]:
    """What the owner of the values gets, over the wire and back."""
    opening = private.public.opening(values)
    assert len(opening.request) == private.public.opening_size(len(values), values.bound)
    request = private.public.parse_request(opening.request.limbs)
    return opening.open(private.answer(request))


def test_sums_are_opened(private: interface.Private, encrypted: WireArray) -> None:
    assert opened(private, encrypted) == VALUES
    matrix = CodedMatrix(np.arange(8, dtype=np.uint8).reshape(1, 8) % 3, [3])
    sums = CipherArray.concatenate(matrix.product(encrypted))
    assert opened(private, sums) == [sum(v * (i % 3) for i, v in enumerate(VALUES)), sum(VALUES)]


def test_an_answer_serves_once_and_to_its_own_request(private: interface.Private, encrypted: WireArray) -> None:
    first, second = private.public.opening(encrypted), private.public.opening(encrypted)
    answer = private.answer(private.public.parse_request(first.request.limbs))
    with pytest.raises(CheckError):
        second.open(answer)
    first.open(answer)
    with pytest.raises(InputError):
        first.open(answer)


def test_the_request_tells_the_holder_nothing(private: interface.Private, encrypted: WireArray) -> None:
    answers = [private.answer(private.public.parse_request(private.public.opening(encrypted).request.limbs)).tobytes() for _ in range(20)]
    assert len(set(answers)) == 20


def test_another_owner_opens_what_it_was_handed(private: interface.Private, encrypted: WireArray) -> None:
    secret = b"s" * 32
    handed = private.public.hand_over(encrypted, BOUND, secret)
    opening = private.public.opening_of(handed.limbs, len(VALUES), BOUND, secret)
    assert opening.open(private.answer(private.public.parse_request(opening.request.limbs))) == VALUES
    with pytest.raises(InputError):
        private.public.opening_of(handed.limbs[:0], len(VALUES), BOUND, secret)


def test_masked_sums_that_were_handed_over_under_another_secret_are_refused() -> None:
    private, secret = scheme("paillier").generate(BITS["paillier"], test_sizes=True), b"s" * 32
    handed = private.public.hand_over(private.public.encrypt_encoded(np.array(VALUES), frac_bits=0, bound=BOUND), BOUND, secret)
    lost = private.public.opening_of(handed.limbs, len(VALUES), BOUND, b"t" * 32)
    with pytest.raises(CheckError):
        lost.open(private.answer(private.public.parse_request(lost.request.limbs)))


# --- opening towards the holder --------------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", [[0], [1], [1, 0, 7]])
def test_the_holder_reads_what_is_meant_for_it(private: interface.Private, numbers: list[int]) -> None:
    sent = private.public.encrypt_to_holder(np.array(numbers), 7)
    assert private.read(private.public.parse_to_holder(sent.limbs), 7) == numbers


def test_the_holder_refuses_numbers_outside_their_range(private: interface.Private) -> None:
    for number in (2, -1):
        sent = private.public.encrypt_encoded(np.array([number]), frac_bits=0, bound=2)
        with pytest.raises(CheckError, match="from 0 to 1"):
            private.read(sent, 1)


@pytest.mark.parametrize("count", [1, 2, 30])
def test_many_numbers_go_in_few_ciphertexts(private: interface.Private, count: int) -> None:
    numbers = [(-1) ** i * i * 1000 for i in range(count)]
    sent = private.public.pack_to_holder(numbers, 1 << 20)
    assert len(sent) <= count + 1
    request = private.public.parse_to_holder(sent.limbs)
    assert private.read_packed(request, count, 1 << 20) == numbers
    with pytest.raises(VflError):
        private.read_packed(request, count + 40, 1 << 20)


@pytest.mark.parametrize("count", [1, 5, 30])
def test_the_holder_reads_sums_that_their_sender_does_not_know(private: interface.Private, count: int) -> None:
    numbers = [(-1) ** i * (BOUND - i) for i in range(count)]
    encrypted = private.public.encrypt_encoded(np.array(numbers), frac_bits=0, bound=BOUND)
    sent = private.public.sums_to_holder(encrypted)
    assert len(sent) == private.public.sums_to_holder_size(count, BOUND)
    assert private.read_sums(private.public.parse_to_holder(sent.limbs), count, BOUND) == numbers
    assert not (sent.limbs == private.public.sums_to_holder(encrypted).limbs).all(axis=1).any()


def test_sums_of_another_count_or_above_their_bound_are_refused(private: interface.Private) -> None:
    encrypted = private.public.encrypt_encoded(np.array([1, 2, 3]), frac_bits=0, bound=BOUND)
    with pytest.raises(VflError):
        private.read_sums(private.public.sums_to_holder(encrypted), 200, BOUND)
    above = private.public.encrypt_encoded(np.array([1, 2 * BOUND, 3]), frac_bits=0, bound=2 * BOUND)
    with pytest.raises(CheckError):
        private.read_sums(private.public.sums_to_holder(above.like(above.vector, BOUND >> 4)), 3, BOUND >> 4)


# --- keys -----------------------------------------------------------------------------------------------------------


def test_an_announced_key_is_the_public_half(private: interface.Private) -> None:
    one = next(one for one in SCHEMES.values() if isinstance(private, type(one.generate(BITS[one.name], test_sizes=True))))
    key, proof = private.announce(b"session")
    public = one.receive(key, proof, BITS[one.name], b"session", test_sizes=True)
    assert public.fingerprint == private.public.fingerprint
    for wrong in ((key, proof, BITS[one.name], b"another"), (key, proof[:-1], BITS[one.name], b"session"), (key, proof, 1024, b"session")):
        with pytest.raises(InputError):
            one.receive(*wrong, test_sizes=True)


def test_rows_are_joined(private: interface.Private, encrypted: WireArray) -> None:
    if private.public.key_bits == BITS["elgamal"]:
        with pytest.raises(InputError, match="small numbers only"):
            private.public.join_rows([encrypted, encrypted], 30, BOUND << 31)
        return
    joined = private.public.join_rows([encrypted, encrypted], 30, BOUND << 31)
    assert opened(private, joined) == [v + (v << 30) for v in VALUES]


@pytest.mark.parametrize("name", be.available())
@pytest.mark.parametrize("kind", sorted(SCHEMES))
def test_every_backend_opens_the_same(name: str, kind: str) -> None:
    with be.use(name):
        fresh = scheme(kind).generate(BITS[kind], test_sizes=True)
        assert opened(fresh, fresh.public.encrypt_encoded(np.array(VALUES), frac_bits=0, bound=BOUND)) == VALUES
