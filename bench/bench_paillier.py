"""Encryption, re-randomising, decryption and sums at 2048 bits, on one core and on all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vflfast.crypto import backend as be
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.crypto.paillier.public import PublicKey

KeyOf = Callable[[], PrivateKey]
COUNTS = {"ifma": 4096, "portable": 1024, "gmpy2": 64}
DECRYPTIONS = {"ifma": 1024, "portable": 256, "gmpy2": 64}
MANY = 1_000_000  # encryptions that a run of tens of thousands of customers makes: they pay for the widest table
TABLE_READY = 2048  # encryptions towards the arbiter, after which their table has the width of most runs
SUMS = 16384


def ready(key: PrivateKey, alpha_bits: int | None = None) -> PublicKey:
    """The public key with its table built."""
    key.public.expect(MANY)
    if be.current().name != "gmpy2":
        key.public.encrypt(np.zeros(1 if alpha_bits is None else TABLE_READY, dtype=np.int64), alpha_bits=alpha_bits)
    return key.public


@pytest.mark.parametrize("alpha", ["half", "full"])
def test_encrypt(alpha: str, backend: str, key_of: KeyOf, measure: Any) -> None:
    key, values = key_of(), np.arange(COUNTS[backend])
    bits = key.public.full_alpha_bits if alpha == "full" else None
    public = ready(key, bits)
    c = measure(lambda: public.encrypt(values, alpha_bits=bits), items=len(values), unit="encryption")
    assert key.decrypt(c[::97]).tolist() == values[::97].tolist()


def test_rerandomize(backend: str, key_of: KeyOf, measure: Any) -> None:
    key, values = key_of(), np.arange(COUNTS[backend])
    c = ready(key).encrypt(values)
    fresh = measure(lambda: key.public.rerandomize(c), items=len(values), unit="ciphertext")
    assert not (fresh.limbs == c.limbs).all(axis=1).any()
    assert key.decrypt(fresh[::97]).tolist() == values[::97].tolist()


def test_decrypt_core(backend: str, key_of: KeyOf, measure: Any) -> None:
    """The CRT decryption alone."""
    key, values = key_of(), np.arange(DECRYPTIONS[backend])
    c = ready(key).encrypt(values)
    plain = measure(lambda: key._context.decrypt(c.limbs), items=len(values), unit="decryption")
    assert plain[:, 0].tolist() == values.tolist()
    assert not plain[:, 1:].any()


def test_decrypt(backend: str, key_of: KeyOf, measure: Any) -> None:
    """With blinding, unblinding and the check of the bound."""
    key, values = key_of(), np.arange(DECRYPTIONS[backend])
    c = ready(key).encrypt(values)
    assert measure(lambda: key.decrypt(c), items=len(values), unit="decryption").tolist() == values.tolist()


@pytest.mark.parametrize("what", ["vector", "plaintexts"])
def test_add(what: str, backend: str, key_of: KeyOf, measure: Any) -> None:
    """Without import and export, as sums stay in the process."""
    key, y = key_of(), np.arange(SUMS)
    c = ready(key).encrypt(np.arange(64))
    x = c[np.arange(SUMS) % 64]
    other = x if what == "vector" else y
    total = measure(lambda: x + other, items=SUMS, unit="sum")
    expected = np.arange(SUMS) % 64 + (np.arange(SUMS) % 64 if what == "vector" else y)
    assert key.decrypt(total[::1021]).tolist() == expected[::1021].tolist()


def test_parse(backend: str, key_of: KeyOf, measure: Any) -> None:
    """The validation of received ciphertexts."""
    key, values = key_of(), np.arange(COUNTS[backend])
    limbs = ready(key).encrypt(values).limbs
    received = measure(lambda: key.public.parse(limbs, frac_bits=0, bound=len(values)), items=len(values), unit="ciphertext")
    assert key.decrypt(received[::97]).tolist() == values[::97].tolist()


def test_encrypt_on_all_cores(key_of: KeyOf, measure: Any) -> None:
    key, values = key_of(), np.arange(4096)
    public = ready(key)
    c = measure(lambda: public.encrypt(values), items=len(values), unit="encryption")
    assert key.decrypt(c[::97]).tolist() == values[::97].tolist()
