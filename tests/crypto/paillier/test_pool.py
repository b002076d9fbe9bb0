"""The pool of precomputed randomness: right answers, every power once, none in a forked child."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest

from vflfast.crypto import limbs as lm
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.errors import InputError


@pytest.mark.parametrize("ready", [0, 1, 4, 5, 9])
def test_answers_do_not_depend_on_how_far_the_pool_reaches(backend: str, key_of: Callable[[int], PrivateKey], ready: int) -> None:
    key = key_of(512)
    public, values = key.public, np.array([5, -7, 0, 2**40, -1])
    public._pool._vectors.clear()
    public.precompute(ready)
    c = public.encrypt(values)
    assert public.precomputed() == max(0, ready - 5)
    public.precompute(3)
    again = public.rerandomize(c + 1)
    plain = public.context.limbs
    shifted = public.rerandomize(c, plus=lm.from_ints([2, 4, 6, 8, 10], plain))
    assert key.decrypt(c).tolist() == values.tolist()
    assert key.decrypt(again).tolist() == (values + 1).tolist()
    assert [m % public.n for m in (values + np.array([2, 4, 6, 8, 10])).tolist()] == lm.to_ints(key.decrypt_residues(shifted))


def test_every_power_is_used_once(key_of: Callable[[int], PrivateKey]) -> None:
    public = key_of(512).public
    public._pool._vectors.clear()
    public.precompute(20)
    powers = {bytes(row) for row in public.context.store(next(iter(public._pool._vectors.values()))[0])}
    zeros = [public.encrypt(np.zeros(7, dtype=np.int64)) for _ in range(4)]
    seen = [bytes(row) for vector in zeros for row in vector.limbs]
    assert len(powers) == 20
    assert len(set(seen)) == 28
    assert powers <= set(seen)  # an encryption of 0 is its power
    assert public.precomputed() == 0


def test_lengths_do_not_mix(key_of: Callable[[int], PrivateKey]) -> None:
    public = key_of(512).public
    public._pool._vectors.clear()
    public.precompute(3)
    assert public.precomputed(alpha_bits=public.full_alpha_bits) == 0
    public.encrypt([1], alpha_bits=public.full_alpha_bits)
    assert public.precomputed() == 3


def test_another_process_id_empties_the_pool(key_of: Callable[[int], PrivateKey], monkeypatch: pytest.MonkeyPatch) -> None:
    public = key_of(512).public
    public._pool._vectors.clear()
    public.precompute(2)
    monkeypatch.setattr("vflfast.crypto.pool.os.getpid", lambda: -1)
    assert public.precomputed() == 0
    public.precompute(1)
    assert public.precomputed() == 1
    monkeypatch.undo()
    assert public.precomputed() == 0


def test_a_forked_child_finds_the_pool_empty(key_of: Callable[[int], PrivateKey]) -> None:
    public = key_of(512).public
    public._pool._vectors.clear()
    public.precompute(4)
    child = os.fork()
    if child == 0:
        os._exit(0 if public.precomputed() == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert public.precomputed() == 4


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [((bad, None), "count") for bad in (-1, 1.0, True, None, "3", 1 << 31)] + [((1, bad), "alpha_bits") for bad in (10, 1.5, True, 10_000)],
)
def test_bad_requests_are_refused(key_of: Callable[[int], PrivateKey], arguments: tuple[object, object], argument: str) -> None:
    count, alpha_bits = arguments
    with pytest.raises(InputError) as caught:
        key_of(512).public.precompute(count, alpha_bits=alpha_bits)
    assert caught.value.argument == argument
