"""opening_noise: what the arbiter adds to opened sums, how large it is, and what it hides."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from assurance.figures import Figure
from support.opened import UNIT, dense, record
from support.runs import P, Q, parties, run, settings, train, training_programs
from support.simulator import Crash, MemoryJournal

from vflfast.crypto import limbs as lm
from vflfast.crypto.paillier.private import generate_keypair
from vflfast.errors import CheckError, InputError, ProtocolError
from vflfast.protocol import messages as ms
from vflfast.protocol.block import Block
from vflfast.protocol.noise import Noise

SECRET, RUN = bytes(32), bytes(range(32))


def noise(c: float, n: int, **changes: Any) -> Noise:
    return Noise.agreed(settings(opening_noise=c, **changes), n, 2)


@pytest.mark.parametrize(("c", "n"), [(0.1, 400), (0.25, 66_274), (16.0, 1), (1e-9, 5)])
def test_its_deviation_is_c_root_n(c: float, n: int) -> None:
    made = noise(c, n)
    assert made.deviation == math.floor(c * math.sqrt(n) * UNIT)
    drawn = np.array(made.draw(SECRET, RUN, 1, "host1", 4000), dtype=float)
    if made.deviation:
        assert abs(drawn.mean()) < 5 * made.deviation / math.sqrt(4000)
        assert drawn.std() == pytest.approx(made.deviation, rel=0.06)
        assert np.abs(drawn).max() <= made.bound
        assert np.mean(np.abs(drawn) < made.deviation) == pytest.approx(0.683, abs=0.03)  # as of a normal distribution


def test_batches_and_weights_scale_it() -> None:
    assert noise(0.5, 1000, n_batches=3).deviation == math.floor(0.5 * math.sqrt(334) * UNIT)
    assert noise(0.5, 1000, max_weight=9, weight_unit=3).deviation == pytest.approx(3 * noise(0.5, 1000).deviation, abs=3)


def test_it_is_the_same_for_the_same_round_and_another_for_any_other() -> None:
    made = noise(0.1, 400)
    known = made.draw(SECRET, RUN, 1, "host1", 5)
    assert made.draw(SECRET, RUN, 1, "host1", 5) == known
    others = [(b"x" * 32, RUN, 1, "host1"), (SECRET, b"x" * 32, 1, "host1"), (SECRET, RUN, 2, "host1"), (SECRET, RUN, 1, "host2")]
    assert all(made.draw(*other, 5) != known for other in others)
    assert noise(0.0, 400).draw(SECRET, RUN, 1, "host1", 5) == []


@pytest.mark.parametrize("value", [-0.1, 16.1, "0.1", None, True, math.nan, math.inf])
def test_a_bad_value_is_refused(value: Any) -> None:
    with pytest.raises(InputError) as caught:
        settings(opening_noise=value)
    assert caught.value.argument == "opening_noise"


def test_it_does_not_go_with_packed_rows_or_the_twin() -> None:
    with pytest.raises(InputError, match="row_packing must be 1"):
        settings(opening_noise=0.1, row_packing=2)
    with pytest.raises(InputError, match="the plaintext twin has none"):
        train(parties(60), settings(opening_noise=0.1), verify=True)


def sums_of_round_1(monkeypatch: pytest.MonkeyPatch, c: float) -> tuple[np.ndarray, np.ndarray]:
    made = parties(400, (2, 5))
    gradient, total = record(monkeypatch, made, settings(init="zeros", max_iter=1, opening_noise=c))[0]
    matrix = made.hosts[0].matrix
    exact = np.vstack([dense(matrix).T, np.ones(400)]) @ (-2.0 * made.labels)
    return np.array([*gradient, total], dtype=float) / UNIT, exact


def test_opened_sums_are_off_by_it_and_by_nothing_without(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, exact = sums_of_round_1(monkeypatch, 0.0)
    np.testing.assert_array_equal(opened, exact)
    opened, exact = sums_of_round_1(monkeypatch, 0.25)
    off = opened - exact
    assert (off != 0).all()
    assert np.abs(off).max() <= 6 * 0.25 * math.sqrt(400)
    assert 0.2 < off.std() / (0.25 * math.sqrt(400)) < 3.0


def test_a_larger_change_of_an_answer_is_still_found() -> None:
    """The check leaves room for the noise alone."""
    agreed, made = settings(max_iter=1, opening_noise=0.1), parties(400, (2, 5))
    bound = Noise.agreed(agreed, 400, 2).bound

    def change(by: int) -> Any:
        def tamper(to: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
            if not isinstance(message, ms.OpenedGradient) or to != "host1":
                return None
            first, *others = lm.to_ints(message.plaintexts)
            changed = lm.from_ints([(first + by) % (P * Q), *others], message.plaintexts.shape[1])
            return [ms.to_bytes(ms.OpenedGradient(changed), envelope)]

        return {"arbiter": tamper}

    run(training_programs(made, agreed), change(0))
    found = 0
    for _ in range(12):  # one time in a few the weight of that number is so small that the others' noise hides it
        with pytest.raises(ProtocolError) as caught:
            run(training_programs(made, agreed), change(12 * bound))
        found += "check column" in caught.value.problem
    assert found >= 3


def test_a_round_that_is_opened_again_after_a_crash_has_the_same_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    made, agreed = parties(400, (2, 5)), settings(opening_noise=0.1, max_iter=3)
    journals = {name: MemoryJournal() for name in ("arbiter", "guest", "host1")}
    journals["host1"].crash = ("before", 2)
    seen: list[list[int]] = []
    real = Block.update

    def note(self: Block, gradient_sums: list[int], *more: int) -> None:
        if self.matrix is made.hosts[0].matrix:
            seen.append(gradient_sums)
        real(self, gradient_sums, *more)

    monkeypatch.setattr(Block, "update", note)
    with pytest.raises(Crash):
        run(training_programs(made, agreed, journals))
    journals["host1"].crash = None
    run(training_programs(made, agreed, journals))
    assert len(seen) == 4  # rounds 1, 2, again 2, and 3
    assert seen[1] == seen[2]


def test_what_it_hides_of_a_row_that_is_alone(figure: Figure) -> None:
    """A column of one row, whose sum is 4g = ∓2 in round 1: read right with probability Φ(2/(c·√n)), over many draws."""
    n, c, draws = 400, 0.1, 4000
    made = noise(c, n)
    drawn = np.array([made.draw(SECRET, RUN, t, "host1", 1)[0] for t in range(draws)]) / UNIT
    right = np.mean(2.0 + drawn > 0)
    expected = NormalDist().cdf(2 / (c * math.sqrt(n)))
    assert right == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / draws))
    figure("D11", "off by, percent", 100 * abs(float(right) - expected))


@pytest.mark.parametrize("bits", [512, 1024])
def test_slots_that_are_full_take_it(bits: int) -> None:
    """Values at the bound less the noise, noise at its bound, both signs: nothing crosses into a neighbour."""
    private = generate_keypair(bits, test_sizes=True)
    noise_bound, values = 1 << 20, [(1 << 30) - 1, -(1 << 30) + 1, 0, 1, -1] * 4
    bound = (1 << 30) + noise_bound
    opening = private.public.opening(private.public.encrypt_encoded(np.array(values), frac_bits=0, bound=bound))
    added = [noise_bound, -noise_bound, noise_bound, -noise_bound, 0] * 4
    answer = private.answer(private.public.parse_request(opening.request.limbs), added, bound)
    assert opening.open(answer, noise_bound) == [v + e for v, e in zip(values, added, strict=True)]
    again = private.public.opening(private.public.encrypt_encoded(np.array(values), frac_bits=0, bound=bound))
    with pytest.raises(CheckError, match="check column"):
        again.open(private.answer(private.public.parse_request(again.request.limbs), added, bound))
