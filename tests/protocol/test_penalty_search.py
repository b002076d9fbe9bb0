"""alpha = "search" in the protocol: the twin's bits, the rows held out, what goes wrong, and what everybody is told."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from support.opened import dense
from support.runs import Parties, parties, replace, run, settings, train, training_programs
from support.simulator import Crash, MemoryJournal

from vflfast.crypto import backend as be
from vflfast.errors import InputError, LeakageGuardError, ProtocolError
from vflfast.learn import penalty, residual
from vflfast.learn.penalty import MOST_ROUNDS, held_out, penalties
from vflfast.learn.solver import auto_alpha
from vflfast.protocol import messages as ms
from vflfast.protocol.row_guard import guard_rows
from vflfast.protocol.twin import train_twin

SEARCH: dict[str, Any] = {"residual": "logistic", "solver": "lbfgs", "stop": "move", "max_iter": 30, "alpha": "search"}
N = 300


def agreed(**changes: Any) -> Any:
    return settings(**{**SEARCH, **changes})


def searching(columns: tuple[int, ...] = (3, 5), n_rows: int = N, **more: Any) -> Parties:
    made = parties(n_rows, columns, **more)
    out = held_out([f"c{i}" for i in range(n_rows)], made.labels)
    return Parties(dataclasses.replace(made.guest, held_out=out), made.hosts)


def test_the_best_penalty_is_found_and_all_rows_train_with_it() -> None:
    """Against the same losses computed here, in plain numbers, from plain weights of the rows that are not held out."""
    made = searching()
    result = train(made, agreed(), verify=True)
    assert result.guest.tried is not None
    auto = auto_alpha(8, N)
    assert [alpha for alpha, _ in result.guest.tried] == list(penalties(auto))[: len(result.guest.tried)]
    best = min(result.guest.tried, key=lambda one: one[1])
    assert result.guest.alpha == result.hosts[0].alpha == best[0]
    searched = 3 * len(result.guest.tried) + 1
    assert searched < result.guest.n_iter <= searched + 12
    own = train_twin(made.guest, made.hosts, agreed(), n_rounds=3)
    out = made.guest.held_out
    assert out is not None
    true = np.logaddexp(0, -made.labels * (own[0].predictor + own[1].predictor))[out].mean()
    assert result.guest.tried[0][1] == pytest.approx(true, rel=0.01)


def test_rows_held_out_count_nothing_while_the_penalty_is_searched_for() -> None:
    """Other labels of the rows held out change no weight of the first three rounds, and do after the search."""
    made = searching()
    out = made.guest.held_out
    assert out is not None
    other = Parties(dataclasses.replace(made.guest, labels=np.where(out, -made.labels, made.labels).astype(np.int8)), made.hosts)
    first, second = (train_twin(one.guest, one.hosts, agreed(), n_rounds=3) for one in (made, other))
    assert [block.hashes for block in first] == [block.hashes for block in second]
    first, second = (train_twin(one.guest, one.hosts, agreed()) for one in (made, other))
    assert first[0].hashes[-1] != second[0].hashes[-1]


def test_the_weights_are_those_of_the_penalty_alone() -> None:
    """A run that is given the λ that was found ends, but for the stop rule, with the same predictors."""
    made = searching()
    result = train(made, agreed(tol=1e-5))
    given = train(made, agreed(alpha=result.guest.alpha, tol=1e-5))
    u = [sum(dense(own.matrix) @ m.weights + m.intercept for own, m in zip((made.guest, *made.hosts), (r.guest, *r.hosts), strict=True))
         for r in (result, given)]  # fmt: skip
    assert np.sqrt(((u[0] - u[1]) ** 2).mean()) < 0.01


@pytest.mark.parametrize("changes", [
    {}, {"init": "zeros"}, {"host_woe": True}, {"max_iter": 2}, {"max_weight": 5, "weight_unit": 2}, {"scoring": "joint"},
], ids=str)  # fmt: skip
def test_encrypted_rounds_are_the_twins_bit_by_bit(changes: dict[str, Any]) -> None:
    made = searching((3, 4), 300 if "host_woe" in changes else 120, classes=3)
    if "max_weight" in changes:
        made = Parties(dataclasses.replace(made.guest, row_weights=np.where(made.labels > 0, 5, 2).astype(np.int64)), made.hosts)
    result = train(made, agreed(max_leverage=1.0, **changes), verify=True)
    assert result.verified_rounds == result.guest.n_iter > 7
    if "max_iter" in changes:
        assert result.guest.tried is not None
        assert result.guest.n_iter == 3 * len(result.guest.tried) + 1 + 2


@pytest.mark.parametrize("columns", [(3, 2, 3), (2, 2, 2, 2)])
def test_several_hosts(columns: tuple[int, ...]) -> None:
    result = train(searching(columns, 150), agreed(max_leverage=1.0), verify=True)
    assert result.verified_rounds == result.guest.n_iter
    assert len({model.alpha for model in (result.guest, *result.hosts)}) == 1


@pytest.mark.parametrize("name", ["portable", "gmpy2"])
def test_every_backend_has_the_same_bits(name: str) -> None:
    made, changed = searching((2, 3), 100), agreed(max_leverage=1.0, max_iter=1)
    here = train(made, changed).weight_hash
    with be.use(name):
        assert train(made, changed).weight_hash == here


@pytest.mark.parametrize("place", [("before", 4), ("after", 4), ("before", 5), ("after", 7), ("before", 10), ("after", 14)], ids=str)
@pytest.mark.parametrize("party", ["guest", "host1", "arbiter"])
def test_a_crash_in_a_search_changes_no_bit(party: str, place: tuple[str, int]) -> None:
    made, changed = searching((2, 3), 100), agreed(max_leverage=1.0)
    expected = train(made, changed)
    journals = {name: MemoryJournal() for name in ("arbiter", "guest", "host1")}
    journals[party].crash = place
    with pytest.raises(Crash):
        run(training_programs(made, changed, journals))
    journals[party].crash = None
    results = run(training_programs(made, changed, journals))
    assert [results[name].hashes for name in ("guest", "host1")] == [expected.guest.hashes, expected.hosts[0].hashes]
    assert results["guest"].tried == expected.guest.tried


def test_halves_that_grow_too_large_end_the_run_with_the_weights_before(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The penalty is trusted after the three rounds of the search, and no longer where training goes on."""
    monkeypatch.setattr(residual, "LARGEST_SCALE", 1.0)
    monkeypatch.setattr(penalty, "LARGEST", 1.0)
    monkeypatch.setattr(penalty, "ROUNDS_EACH", 2)
    result = train(searching((2, 3), 100), agreed(tol=0.0, max_leverage=1.0), verify=True)
    assert result.verified_rounds == result.guest.n_iter < 30
    assert result.guest.stopped
    assert "with the next ones a half would vary too much" in caplog.text
    assert result.guest.hashes[-1] == result.guest.hashes[-3]  # the last step is taken back
    assert np.isfinite(result.guest.weights).all()


# --- refusals ----------------------------------------------------------------------------------------------------


def test_settings_that_do_not_go_with_a_search() -> None:
    for changes in ({"residual": "taylor"}, {"solver": "block-newton"}):
        with pytest.raises(InputError, match="search needs residual"):
            agreed(**changes)
    with pytest.raises(InputError, match='must be a number of at least 0, or "search"'):
        agreed(alpha="find")
    assert agreed().last_round == 30 + MOST_ROUNDS
    assert agreed(alpha=0.1).last_round == 30


def test_a_search_needs_marks() -> None:
    made = parties(N, (3, 5))
    for marks in (None, np.zeros(N - 1, dtype=np.bool_)):
        with pytest.raises(InputError, match="held_out"):
            train_twin(dataclasses.replace(made.guest, held_out=marks), made.hosts, agreed())


@pytest.mark.parametrize("fields", [{"number": 2}, {"number": 0}, {"number": 1, "final": 1}, {"final": 2}, {"number": 2**63}])
def test_a_choice_that_cannot_be_is_the_guests_fault(fields: dict[str, int]) -> None:
    with pytest.raises(ProtocolError) as caught:
        run(training_programs(searching((2, 3), 100), agreed(max_leverage=1.0)), {"guest": replace(ms.PenaltyChoice, **fields)})
    assert (caught.value.party, caught.value.step) == ("guest", "PenaltyChoice")


def test_the_ledger_counts_the_losses_that_were_opened() -> None:
    result = train(searching(), agreed())
    assert result.guest.tried is not None
    entries = {entry.what: entry for entry in result.guest.ledger.entries}
    assert entries["log loss of rows held out"].equations - len(result.guest.tried) in (0, 1)  # one that is not trusted is not in `tried`
    assert not any("loss" in entry.what for entry in result.hosts[0].ledger.entries)


def test_the_guest_measures_rows_held_out_and_the_others() -> None:
    """Sums over all rows less those over the others are sums over the rows held out, which the guest knows: a class of two there."""
    made = searching((1, 3), 200, classes=2)
    out = made.guest.held_out
    assert out is not None
    codes = np.zeros((1, 200), dtype=np.uint8)
    codes[0, [*np.flatnonzero(out)[:2], *np.flatnonzero(~out)[:20]]] = 1
    own = dataclasses.replace(made.guest, matrix=type(made.guest.matrix)(codes, [2], [0], [[0, 1]]))
    guard_rows("guest", dataclasses.replace(own, held_out=None), agreed(max_leverage=0.2))  # the control: a class of 22
    with pytest.raises(LeakageGuardError, match=r'of those held out \(alpha = "search"\) apart.*class of 2'):
        guard_rows("guest", own, agreed(max_leverage=0.2))
