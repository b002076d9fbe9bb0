"""D3: masks are uniform modulo n and never used twice; what the arbiter opens tells it nothing, not even that two gradients are equal."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from assurance.figures import Figure
from support.runs import P, Parties, Q, listen, parties, private_key, settings, training_programs
from support.simulator import MemoryJournal

from vflfast.crypto import limbs as lm
from vflfast.crypto.arrays import CipherArray
from vflfast.crypto.paillier import opening
from vflfast.crypto.paillier.opening import MaskedOpening
from vflfast.learn.logistic import cross_product, residual_offset
from vflfast.protocol import messages as ms
from vflfast.protocol.block import Block
from vflfast.protocol.gradient import gradient_bound

N = P * Q
BINS = 16
LIMIT = 85.0  # chi-square with 15 degrees of freedom: passed by a uniform sample but once in 10^11


def chi_square(values: list[int], bin_of: Callable[[int], int]) -> float:
    counts = np.bincount([bin_of(v) for v in values], minlength=BINS)
    expected = len(values) / BINS
    return float(((counts - expected) ** 2 / expected).sum())


def looks_uniform(values: list[int]) -> bool:
    """Top bits, low bits and a few in the middle."""
    views: list[Callable[[int], int]] = [lambda v: v * BINS // N, lambda v: v % BINS, lambda v: (v >> 100) % BINS]
    return all(chi_square(values, view) < LIMIT for view in views)


def opened(request: np.ndarray) -> list[int]:
    """What the arbiter decrypts."""
    private = private_key()
    return lm.to_ints(private.decrypt_residues(private.public.parse(request, frac_bits=0, bound=N // 2 - 1)))


def zeros(count: int = 6000) -> CipherArray:
    """The vector with the least to hide behind: nothing but zeros."""
    return private_key().public.encrypt(np.zeros(count, dtype=np.int64), bound=2**35)


def constant_masks(masks: list[int]) -> SimpleNamespace:
    """The broken control: the same masks for every opening."""

    def random_below(bound: int, count: int) -> list[int]:
        return [masks[i] % bound for i in range(count)]

    return SimpleNamespace(from_ints=lm.from_ints, to_ints=lm.to_ints, random_below=random_below)


# --- uniform ---------------------------------------------------------------------------------------------------------


def test_a_hundred_thousand_masks_are_uniform_and_distinct() -> None:
    masks = lm.random_below(N, 100_000)
    assert min(masks) >= 0
    assert max(masks) < N
    assert max(masks) > N - N // 1000
    assert len(set(masks)) == 100_000
    assert looks_uniform(masks)


def test_the_test_of_uniformity_can_fail() -> None:
    masks = lm.random_below(N, 20_000)
    assert not looks_uniform([v % (1 << 510) for v in masks])  # not over the whole modulus
    assert not looks_uniform([v | 1 for v in masks])
    assert not looks_uniform([v % N for v in (x * x for x in range(20_000))])


def test_what_the_arbiter_opens_is_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    values = zeros()
    seen = opened(MaskedOpening(values.public, values).request.limbs)
    assert len(seen) > 400
    assert len(set(seen)) == len(seen)
    assert looks_uniform(seen)
    monkeypatch.setattr(opening, "lm", constant_masks([0] * len(seen)))  # the control: no mask at all
    bare = opened(MaskedOpening(values.public, values).request.limbs)
    assert len(set(bare)) < 5
    assert not looks_uniform(bare)


# --- never twice -----------------------------------------------------------------------------------------------------


def arbiter_view(made: Parties, n_rounds: int = 3) -> list[list[int]]:
    """The plaintexts that the arbiter opens of host1, round by round."""
    _, heard = listen(training_programs(made, settings(max_iter=n_rounds, tol=0.0)))
    return [lm.to_ints(m.plaintexts) for m, e, _ in heard if isinstance(m, ms.OpenedGradient) and e.recipient == "host1"]


def host_gradients(made: Parties, n_rounds: int) -> list[list[int]]:
    """(Zᵀ4g, Σ4g) of host1, round by round, in the clear."""
    guest, host = (Block(inputs, settings(), 7, 2, has_intercept=inputs is made.guest) for inputs in (made.guest, *made.hosts))
    found = []
    for _ in range(n_rounds):
        residual = residual_offset(guest.fixed_predictor(slice(None)), made.labels, 24) + host.fixed_predictor(slice(None))
        for block in (guest, host):
            block.update(cross_product(block.matrix, residual).tolist(), int(residual.sum()), len(residual))
        found.append([*cross_product(made.hosts[0].matrix, residual).tolist(), int(residual.sum())])
    return found


def test_nothing_repeats_across_rounds_and_sessions() -> None:
    made = parties(40, (3, 24))
    views = [view for _ in range(4) for view in arbiter_view(made)]
    numbers = [number for view in views for number in view]
    assert len(views) == 12
    assert len(views[0]) == 3
    assert len(set(numbers)) == len(numbers) == 36


def test_equal_gradients_look_different() -> None:
    """Round 1 of two sessions over the same rows opens the same gradient."""
    made = parties(40)
    first, second = (arbiter_view(made, 1)[0] for _ in range(2))
    assert set(first).isdisjoint(second)
    assert host_gradients(made, 1) == host_gradients(made, 1)  # the control: the gradients are equal


def difference(first: list[int], second: list[int], made: Parties) -> list[int]:
    """Read Δ of the packed values off opened numbers whose masks were equal: base-2^s digits, the lowest first."""
    bound = gradient_bound(settings(), 40, made.hosts[0].matrix.largest, 2)
    plan = opening.plan_opening(5, bound, 512)
    packed = (second[0] - first[0]) % N
    packed = packed - N if packed > N // 2 else packed
    found = []
    for _ in range(5):
        digit = packed % (1 << plan.slot_bits)
        digit -= (1 << plan.slot_bits) if digit >= 1 << (plan.slot_bits - 1) else 0
        found.append(digit)
        packed = (packed - digit) >> plan.slot_bits
    return found


def test_a_mask_used_twice_would_show_how_the_gradient_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    made = parties(40)
    moved = [np.subtract(b, a).tolist() for a, b in pairwise(host_gradients(made, 3))]
    honest = arbiter_view(made)
    assert [difference(a, b, made) for a, b in pairwise(honest)] != moved
    monkeypatch.setattr(opening, "lm", constant_masks(lm.random_below(N, 8)))
    reused = arbiter_view(made)
    assert [difference(a, b, made) for a, b in pairwise(reused)] == moved
    assert difference(reused[0], arbiter_view(made, 1)[0], made) == [0] * 5  # and equal gradients of two sessions are seen to be equal


def test_a_new_attempt_at_the_same_opening_has_new_masks() -> None:
    values = zeros(60)
    seen = [number for _ in range(30) for number in opened(MaskedOpening(values.public, values).request.limbs)]
    assert len(set(seen)) == len(seen)


def opened_in_round_2(made: Parties, journals: dict[str, MemoryJournal]) -> list[int]:
    agreed = settings(max_iter=2, tol=0.0)
    _, heard = listen(training_programs(made, agreed, journals))
    last = [m for m, e, _ in heard if isinstance(m, ms.OpenedGradient) and e.recipient == "host1" and e.round == 2]
    return lm.to_ints(last[0].plaintexts)


def resumed_views(made: Parties) -> tuple[list[int], list[int]]:
    """What the arbiter opens of host1 in round 2, and again after a crash before the round was committed."""
    journals = {name: MemoryJournal() for name in ("arbiter", "guest", "host1")}
    first = opened_in_round_2(made, journals)
    for journal in journals.values():
        journal.generations, journal.done = [c for c in journal.generations if c.round == 1], False
    return first, opened_in_round_2(made, journals)


def test_a_resumed_round_has_new_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same gradient under the same masks would be seen to be the same; under other masks of a known difference it would be read."""
    made = parties(40)
    first, again = resumed_views(made)
    assert set(first).isdisjoint(again)
    monkeypatch.setattr(opening, "lm", constant_masks(lm.random_below(N, 8)))  # the control: masks kept for the resumed round
    first, again = resumed_views(made)
    assert difference(first, again, made) == [0] * 5


# --- fork, restart, threads ------------------------------------------------------------------------------------------

EACH = 25_000  # masks of each origin
RESTARTED = f"""
import sys
from vflfast.crypto import limbs as lm
sys.stdout.buffer.write(b"".join(v.to_bytes(64, "little") for v in lm.random_below({N}, {EACH})))
"""


def from_bytes(data: bytes) -> list[int]:
    return [int.from_bytes(data[i : i + 64], "little") for i in range(0, len(data), 64)]


def of_a_fork() -> list[int]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(b"".join(v.to_bytes(64, "little") for v in lm.random_below(N, EACH)))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    return from_bytes(data)


def of_a_restart() -> list[int]:
    return from_bytes(subprocess.run([sys.executable, "-c", RESTARTED], capture_output=True, check=True).stdout)


def of_threads() -> list[int]:
    with ThreadPoolExecutor(4) as pool:
        return [mask for part in pool.map(lambda _: lm.random_below(N, EACH // 4), range(4)) for mask in part]


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_no_mask_repeats_across_fork_restart_and_threads(figure: Figure) -> None:
    drawn = lm.random_below(N, EACH)  # the generator is in use before the fork
    drawn += of_a_fork() + of_a_restart() + of_threads()
    assert len(drawn) == 4 * EACH
    assert looks_uniform(drawn)
    figure("D3", "masks", len(drawn))
    figure("D3", "repeated", len(drawn) - len(set(drawn)))
    assert len(set(drawn)) == len(drawn)


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_generator_with_a_state_would_repeat_after_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a seeded generator, as uniform as any, whose state the child inherits."""
    generator = random.Random(0)
    monkeypatch.setattr(lm, "random_below", lambda bound, count: [generator.randrange(bound) for _ in range(count)])
    theirs, mine = of_a_fork(), lm.random_below(N, EACH)
    assert looks_uniform(mine)
    assert theirs == mine
