"""Known answers of ISO/IEC 18033-6 and Apache Milagro MPC (tests/vectors/, with their sources) on every backend (assurance A1)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vflfast.crypto import backend as be
from vflfast.crypto import limbs as lm
from vflfast.crypto.arrays import CipherArray, WireArray
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.crypto.paillier.public import PublicKey
from vflfast.errors import CheckError, InputError, InvalidKeyError

HERE = Path(__file__).parents[1] / "vectors"
Numbers = dict[str, int]


def numbers(entry: dict[str, str]) -> Numbers:
    return {name: int(text, 16) for name, text in entry.items()}


@pytest.fixture(scope="module")
def iso() -> Numbers:
    entry = json.loads((HERE / "iso18033_6.json").read_text())
    return numbers({k: v for k, v in entry.items() if k not in ("source", "note", "radix")})


MILAGRO: list[dict[str, str]] = json.loads((HERE / "milagro_mta.json").read_text())["vectors"]


@pytest.fixture(params=range(len(MILAGRO)))
def milagro(request: pytest.FixtureRequest) -> Numbers:
    return numbers(MILAGRO[request.param])


def ciphertexts(vector: CipherArray) -> list[int]:
    return lm.to_ints(vector.public.context.store(vector.vector))


def objects(*values: int) -> np.ndarray[Any, Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def declare(vector: CipherArray, bound: int) -> CipherArray:
    """The same ciphertexts with the bound that the vector's messages have."""
    return CipherArray(vector.public, vector.vector, 0, bound)


# --- ISO/IEC 18033-6 ---------------------------------------------------------------------------------------------------


def test_iso_encrypt(iso: Numbers, backend: str) -> None:
    public = PrivateKey(iso["p"], iso["q"], subgroup=False).public
    c = public.encrypt_with([iso["m1"], iso["m2"]], [iso["r1"], iso["r2"]])
    assert ciphertexts(c) == lm.to_ints(c.limbs) == [iso["c1"], iso["c2"]]


def test_iso_add(iso: Numbers, backend: str) -> None:
    private = PrivateKey(iso["p"], iso["q"], subgroup=False)
    c = declare(private.public.encrypt_with([iso["m1"], iso["m2"]], [iso["r1"], iso["r2"]]), 1 << 128)
    assert ciphertexts(c[0] + c[1]) == ciphertexts(c.sum()) == [iso["c1_times_c2"]]
    assert private.decrypt(c[0] + c[1]) == iso["m1_plus_m2"]


def test_iso_decrypt(iso: Numbers, backend: str) -> None:
    private = PrivateKey(iso["p"], iso["q"], subgroup=False)
    width = 2 * private.public.context.limbs
    received = private.public.parse(lm.from_ints([iso["c1"], iso["c2"], iso["c1_times_c2"]], width), frac_bits=0, bound=1 << 128)
    assert private.decrypt(received).tolist() == [iso["m1"], iso["m2"], iso["m1_plus_m2"]]
    with pytest.raises(CheckError):  # a bound that the numbers break
        private.decrypt(declare(received, iso["m1_plus_m2"] - 1))


def test_the_iso_key_is_refused_for_subgroup_encryption(iso: Numbers, backend: str) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        PrivateKey(iso["p"], iso["q"])
    assert caught.value.argument == "q"
    public = PrivateKey(iso["p"], iso["q"], subgroup=False).public
    plain = public.encrypt_with([1], [2])
    for refused in (lambda: public.encrypt([1]), lambda: public.encrypt([1.5]), lambda: public.rerandomize(plain)):
        with pytest.raises(InvalidKeyError) as caught:
            refused()
        assert caught.value.argument == "n"


# --- Apache Milagro MPC: c^scalar · (1+n)^addend · r_addend^n -----------------------------------------------------------


def test_milagro_encrypt_scale_add_rerandomise_decrypt(milagro: Numbers, backend: str) -> None:
    v = milagro
    private = PrivateKey(v["p"], v["q"], subgroup=False)
    public, n = private.public, private.public.n
    c = public.encrypt_with([v["m"]], [v["r"] % n])  # r^n modulo n² depends on r modulo n only
    assert ciphertexts(c) == [v["c"]]
    assert private.decrypt(c).tolist() == [v["m"]]
    scaled = declare(c, 1 << 256) * objects(v["scalar"])
    assert private.decrypt(scaled).tolist() == [v["m"] * v["scalar"]]
    added = scaled + objects(v["addend"])
    fresh = added + declare(public.encrypt_with([0], [v["r_addend"] % n]), 0)
    assert ciphertexts(fresh) == [v["c_scaled_plus_addend"]]
    assert private.decrypt_residues(fresh).tolist() == lm.from_ints([v["m_scaled_plus_addend"]], public.context.limbs).tolist()


def test_milagro_ciphertexts_as_one_received_batch(backend: str) -> None:
    v = numbers(MILAGRO[0])
    private = PrivateKey(v["p"], v["q"], subgroup=False)
    wire = lm.from_ints([v["c"], v["c_scaled_plus_addend"]], 2 * private.public.context.limbs)
    received = private.public.parse(wire, frac_bits=0, bound=private.public.n // 2)
    assert isinstance(received, WireArray)
    assert lm.to_ints(private.decrypt_residues(received)) == [v["m"], v["m_scaled_plus_addend"]]


# --- the project's own: (1 + n)^m · h_s^α with everything injected ------------------------------------------------------


def test_subgroup_encryption_with_injected_randomness(backend: str, primes2048: tuple[int, int]) -> None:
    p, q = primes2048
    n = p * q
    x, alpha, m = 0x1234567 << 900, (1 << 1024) - 3, n - 5
    h_s = pow(-x * x % n, n, n * n)
    context = be.current().public(n)
    table = context.fixed_base(h_s, 2112, 6)
    got = context.store(table.encrypt(None, lm.from_ints([m], context.limbs), lm.from_ints([alpha], 16)))
    assert lm.to_ints(got) == [(1 + m * n) * pow(h_s, alpha, n * n) % (n * n)]
    assert lm.to_ints(be.current().private(p, q).decrypt(got)) == [m]


@pytest.mark.parametrize(
    ("messages", "randomness", "culprit"),
    [
        ([1], [1, 2], "randomness"),
        ([1], [0], "randomness"),
        ([1], [-1], "randomness"),
        ([1], ["p"], "randomness"),
        ([1], ["n"], "randomness"),
        ([1], [None], "randomness"),
        ([1], [2.0], "randomness"),
        ([-1], [2], "messages"),
        (["n"], [2], "messages"),
        ([None], [2], "messages"),
        ([True], [2], "messages"),
        ([1.0], [2], "messages"),
    ],
)
def test_encrypt_with_refuses(
    messages: list[Any], randomness: list[Any], culprit: str, backend: str, primes256: tuple[int, int]
) -> None:
    p, q = primes256
    named = {"p": p, "n": p * q}
    public = PublicKey(p * q, test_sizes=True)
    with pytest.raises(InputError) as caught:
        public.encrypt_with([named.get(m, m) for m in messages], [named.get(r, r) for r in randomness])
    assert caught.value.argument == culprit
