"""The search for the penalty: the values, the rows held out, and what the guest decides."""

from __future__ import annotations

import numpy as np
import pytest

from vflfast.errors import InputError, ModelError
from vflfast.learn.penalty import MOST_ROUNDS, ROUNDS_EACH, Choice, PenaltySearch, held_out, penalties

IDS = [f"customer {i}" for i in range(203)]
LABELS = np.where(np.arange(203) % 3 == 0, 1, -1).astype(np.int8)
NOTHING = (np.zeros(2), 0.0)


def weights(number: float) -> tuple[np.ndarray, float]:
    return np.full(2, number), -number


def test_five_values_a_factor_of_four_apart() -> None:
    assert penalties(0.08) == (0.32, 0.08, 0.02, 0.005, 0.00125)


def test_a_fifth_of_the_rows_is_held_out_whatever_their_order() -> None:
    found = held_out(IDS, LABELS)
    assert (found.dtype, found.sum()) == (np.bool_, 40)
    order = np.random.default_rng(0).permutation(203)
    assert (held_out([IDS[i] for i in order], LABELS[order]) == found[order]).all()


def test_which_rows_depends_on_every_label_and_id() -> None:
    """Nobody who lacks one label can work them out: with another one about four in five of the marks fall on other rows."""
    found = held_out(IDS, LABELS)
    other = LABELS.copy()
    other[17] = -other[17]
    assert (held_out(IDS, other) & found).sum() < 20
    assert (held_out([*IDS[:-1], "somebody else"], LABELS) & found).sum() < 20


def test_marks_follow_neither_labels_nor_ids() -> None:
    ids = [f"{i:06d}" for i in range(5000)]
    labels = np.where(np.arange(5000) < 1000, 1, -1).astype(np.int8)
    found = held_out(ids, labels)
    assert abs(found[:1000].mean() - 0.2) < 0.05


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(InputError, match="alpha: search holds a fifth of the rows out, 19 here; at least 20"):
        held_out(IDS[:99], LABELS[:99])
    assert held_out(IDS[:100], LABELS[:100]).sum() == 20


def test_rounds_that_judge() -> None:
    search = PenaltySearch.over(0.1, 100)
    assert [r for r in range(1, 20) if search.judges(r)] == [4, 7, 10, 13, 16, 19]
    assert MOST_ROUNDS == 16
    assert ROUNDS_EACH == 3


@pytest.mark.parametrize(("losses", "best", "tried"), [
    ([0.5, 0.4, 0.3, 0.2, 0.1], 4, 5), ([0.5, 0.4, 0.45], 1, 3), ([0.5, 0.6], 0, 2), ([0.5, 0.4, 0.4, 0.4, 0.4], 1, 5),
    ([0.5, 0.4, 0.3, 0.2, 0.21], 3, 5),
])  # fmt: skip
def test_the_search_ends_after_the_last_value_and_after_a_worse_one(losses: list[float], best: int, tried: int) -> None:
    search, found = PenaltySearch.over(0.1, 100), NOTHING
    for k, loss in enumerate(losses):
        assert not search.done
        assert search.penalty == pytest.approx(penalties(0.1)[k] * 0.8)
        found = search.take(search.decide(loss), weights(k), 3 * k + 4)
    assert (search.done, search.number, len(search.losses)) == (True, best, tried)
    assert found[1] == -best
    assert search.penalty == penalties(0.1)[best]
    assert search.tried() == list(zip(penalties(0.1), losses, strict=False))
    assert (search.covers(3 * tried + 1), search.covers(3 * tried + 2)) == (True, False)


def test_a_value_at_which_a_half_varies_too_much_ends_the_search_and_is_not_taken() -> None:
    search = PenaltySearch.over(0.1, 100)
    search.take(search.decide(0.5), weights(0), 4)
    assert search.decide(0.1, trusted=False) == Choice(0, True)
    first = PenaltySearch.over(0.1, 100)
    assert first.decide(0.5, trusted=False) == Choice(0, True)


@pytest.mark.parametrize("choice", [Choice(0, False), Choice(2, False), Choice(1, True), Choice(-1, True)])
def test_choices_that_cannot_be(choice: Choice) -> None:
    with pytest.raises(InputError, match="alpha: number"):
        PenaltySearch.over(0.1, 100).take(choice, NOTHING, 4)


def test_nothing_follows_the_last_value() -> None:
    search = PenaltySearch.over(0.1, 100)
    for k in range(4):
        search.take(Choice(k + 1, False), weights(k), 3 * k + 4)
    with pytest.raises(InputError):
        search.take(Choice(5, False), weights(4), 16)


def test_the_state_comes_back_and_others_are_refused() -> None:
    search = PenaltySearch.over(0.1, 100)
    search.take(search.decide(0.5), weights(1 / 3), 4)
    again = PenaltySearch.over(0.1, 100)
    again.restore(search.state())
    assert again.state() == search.state()
    assert again.penalty == search.penalty
    for wrong in ({}, [], {**search.state(), "more": 1}, {**search.state(), "number": 7}):
        with pytest.raises(ModelError):
            again.restore(wrong)  # type: ignore[arg-type]
