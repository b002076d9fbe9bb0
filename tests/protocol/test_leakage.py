"""Leakage guards at their boundaries, and the ledger of what each party was told."""

from __future__ import annotations

import json

import pytest
from support.runs import Parties, parties, run, settings, train, training_programs

from vflfast.errors import LeakageGuardError
from vflfast.learn.leverage import Leverage
from vflfast.params import ROWS_PER_BATCH_FACTOR
from vflfast.protocol.leakage import LeakEntry, LeakLedger, guard_batches

# --- guards --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_rows", "n_columns", "n_batches"),
    [(3, 1, 1), (6, 4, 1), (1002, 1000, 1), (20, 1, 2), (80, 4, 2), (81, 4, 2), (60_000, 3000, 2), (66_274, 3000, 2), (120, 4, 3)],
)
def test_what_the_guard_lets_pass(n_rows: int, n_columns: int, n_batches: int) -> None:
    guard_batches(n_rows, n_columns, n_batches)


@pytest.mark.parametrize(
    ("n_rows", "n_columns", "n_batches"),
    [(2, 1, 1), (5, 4, 1), (4, 4, 1), (1001, 1000, 1), (19, 1, 2), (79, 4, 2), (59_999, 3000, 2), (66_274, 3000, 3), (119, 4, 3)],
)
def test_what_the_guard_refuses(n_rows: int, n_columns: int, n_batches: int) -> None:
    with pytest.raises(LeakageGuardError, match="rows"):
        guard_batches(n_rows, n_columns, n_batches)


# 2k − 1 equations a column and ciphertext of k rows
@pytest.mark.parametrize(
    ("least", "n_columns", "n_batches", "row_packing"), [(16, 4, 1, 2), (26, 4, 1, 3), (36, 4, 1, 4), (240, 4, 2, 2), (560, 4, 2, 4)]
)
def test_packed_rows_count_as_often_as_they_are_told(least: int, n_columns: int, n_batches: int, row_packing: int) -> None:
    guard_batches(least, n_columns, n_batches, row_packing)
    with pytest.raises(LeakageGuardError, match=f"and row_packing {row_packing};"):
        guard_batches(least - 1, n_columns, n_batches, row_packing)


def test_the_guard_names_packing_only_where_rows_are_packed() -> None:
    for n_batches in (1, 2):
        with pytest.raises(LeakageGuardError) as caught:
            guard_batches(5, 4, n_batches)
        assert "row_packing" not in str(caught.value)


def test_the_guard_names_a_number_of_batches_of_packed_rows_that_it_would_accept() -> None:
    with pytest.raises(LeakageGuardError, match="at most 3 batches"):
        guard_batches(400, 4, 5, 2)
    guard_batches(400, 4, 3, 2)


@pytest.mark.parametrize(("n_rows", "n_columns", "n_batches"), [(79, 4, 2), (1000, 10, 50), (30, 4, 2), (66_274, 3000, 5)])
def test_the_guard_names_a_number_of_batches_that_it_would_accept(n_rows: int, n_columns: int, n_batches: int) -> None:
    with pytest.raises(LeakageGuardError, match="at most") as caught:
        guard_batches(n_rows, n_columns, n_batches)
    most = int(str(caught.value).split("at most ")[1].split()[0])
    assert most < n_batches
    guard_batches(n_rows, n_columns, most)
    assert most == max(1, n_rows // (ROWS_PER_BATCH_FACTOR * n_columns))


@pytest.mark.parametrize(("rows", "n_batches"), [(4, 1), (16, 2), (59, 2)])
@pytest.mark.parametrize("columns", [(2, 3), (3, 2)])
def test_every_run_is_guarded_by_the_larger_column_count(columns: tuple[int, int], rows: int, n_batches: int) -> None:
    seen: list[int] = []
    programs = training_programs(parties(rows, columns), settings(n_batches=n_batches))
    with pytest.raises(LeakageGuardError):
        run(programs, dict.fromkeys(("guest", "host1", "arbiter"), lambda _, message, envelope: seen.append(envelope.round)))
    assert max(seen) == 0  # before round 1
    run(training_programs(parties(60, columns), settings(n_batches=n_batches)))  # the control: enough rows


def test_the_host_guards_itself_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest that skips its own check is not enough."""
    monkeypatch.setattr("vflfast.protocol.guest.guard_batches", lambda *_, **__: None)
    with pytest.raises(LeakageGuardError):
        run(training_programs(parties(16, (2, 3)), settings(n_batches=2)))


# --- the ledger ----------------------------------------------------------------------------------------------------


def entries(ledger: LeakLedger) -> dict[str, tuple[int, int]]:
    return {entry.what: (entry.equations, entry.unknowns) for entry in ledger.entries}


NOT_MEASURED = {"largest": None, "above_fifth": None, "above_half": None, "above_nine_tenths": None}


def test_the_ledger_says_what_the_sums_tell_of_single_rows() -> None:
    ledger = LeakLedger("host1")
    ledger.add("sums", 5, 100, Leverage(0.6, {0.2: 7, 0.5: 1, 0.9: 0}, []))
    ledger.add("sums", 5, 100)
    entry = ledger.to_list()[0]
    assert (entry["largest"], entry["above_fifth"], entry["above_half"], entry["above_nine_tenths"]) == (0.6, 7, 1, 0)
    assert LeakEntry.from_dict(json.loads(json.dumps(entry))) == ledger.entries[0]


def test_the_ledger_adds_up_under_one_name() -> None:
    ledger = LeakLedger("guest")
    ledger.add("sums", 5, 100)
    ledger.add("labels", 7, 7)
    ledger.add("sums", 5, 100)
    assert entries(ledger) == {"sums": (10, 100), "labels": (7, 7)}
    assert ledger.to_list()[0] == {"party": "guest", "what": "sums", "equations": 10, "unknowns": 100, "share": 0.1, **NOT_MEASURED}


def test_one_equation_in_one_unknown_is_a_share_of_1() -> None:
    ledger = LeakLedger("guest")
    ledger.add("gradient", 1, 1)
    assert ledger.to_list()[0]["share"] == 1.0


def test_the_share_of_nothing_is_defined() -> None:
    ledger = LeakLedger("guest")
    ledger.add("nothing", 0, 0)
    assert ledger.to_list()[0]["share"] == 0.0


@pytest.mark.parametrize("n_rounds", [1, 3])
def test_what_a_hardened_run_tells_each_party(n_rounds: int) -> None:
    result = train(parties(40, (3, 4, 2)), settings(max_iter=n_rounds, tol=0.0))
    assert entries(result.guest.ledger) == {"opened gradient sums": (4 * n_rounds, 40), "training labels by F": (40, 40)}
    assert [entries(model.ledger) for model in result.hosts] == [
        {"opened gradient sums": (5 * n_rounds, 40)},
        {"opened gradient sums": (3 * n_rounds, 40)},
    ]
    assert [model.ledger.to_list()[0]["party"] for model in (result.guest, *result.hosts)] == ["guest", "host1", "host2"]


def test_the_patent_tells_the_host_every_label() -> None:
    result = train(parties(40), settings(profile="patent", max_iter=1))
    assert entries(result.hosts[0].ledger) == {"training labels, sent by the guest": (40, 40), "opened gradient sums": (5, 40)}
    assert result.hosts[0].ledger.to_list()[0]["share"] == 1.0


@pytest.mark.parametrize("threshold", ["ks", "precision"])
def test_a_threshold_from_scores_tells_the_guest_the_scores(threshold: str) -> None:
    result = train(parties(40), settings(threshold=threshold, threshold_value=0.5, max_iter=1))
    assert entries(result.guest.ledger)["combined training scores"] == (40, 40)
    assert "combined training scores" not in entries(train(parties(40), settings(max_iter=1)).guest.ledger)


def test_mini_batches_count_every_round() -> None:
    made: Parties = parties(100)
    result = train(made, settings(n_batches=2, max_iter=4, tol=0.0))
    assert entries(result.hosts[0].ledger)["opened gradient sums"][0] == 4 * 5
