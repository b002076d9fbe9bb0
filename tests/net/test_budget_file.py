"""The durable account of what peers were told about a party's numbers: over runs, attempts, customers, processes, damage."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from vflfast.errors import JournalError, LeakageGuardError, ProtocolError
from vflfast.net import budget
from vflfast.net.budget import FileBudget
from vflfast.params import BUDGET_SHARE, MAX_OPENINGS_OF_A_ROUND
from vflfast.protocol.budget import Claim, equations

N = 400
TENTH = int(N * BUDGET_SHARE)


def ids(first: int = 0, count: int = N) -> np.ndarray:
    return np.array([f"customer {i}" for i in range(first, first + count)], dtype=object)


def run_id(number: int) -> bytes:
    return number.to_bytes(32, "big")


def claim(columns: int = TENTH, version: int = 0, organisation: str = "telco", party: str = "host1") -> Claim:
    return Claim(party, organisation, columns, version.to_bytes(32, "big"), equations(columns, 1, 1))


@pytest.fixture
def account(tmp_path: Path) -> Callable[..., FileBudget]:
    return lambda target="bought", customers=None: FileBudget(tmp_path / "ledger", target, ids() if customers is None else customers)


def test_a_run_at_the_limit_passes_and_one_more_column_does_not(account: Callable[..., FileBudget]) -> None:
    account().spend(run_id(1), [claim(TENTH)])
    with pytest.raises(LeakageGuardError, match="41 equations about bought of 400 customers"):
        account().spend(run_id(2), [claim(TENTH + 1, version=1, organisation="another")])


def test_the_same_columns_tell_nothing_new(account: Callable[..., FileBudget]) -> None:
    for number in range(20):
        account().spend(run_id(number), [claim()])
    (told,) = account().told()
    assert told["equations"] == TENTH
    assert len(told["entries"][0]["runs"]) == 20


def test_other_columns_of_the_same_customers_add_up(account: Callable[..., FileBudget]) -> None:
    for version in range(4):
        account().spend(run_id(version), [claim(TENTH // 4, version)])
    with pytest.raises(LeakageGuardError, match=r"telco: .* 40 of them in earlier runs .* vflfast ledger .* --peer telco --limit 0\.11"):
        account().spend(run_id(9), [claim(1, version=9)])


def test_a_refused_run_leaves_the_account_as_it_was(account: Callable[..., FileBudget]) -> None:
    account().spend(run_id(1), [claim()])
    before = account().read()
    with pytest.raises(LeakageGuardError):
        account().spend(run_id(2), [claim(version=1)])
    assert account().read() == before


@pytest.mark.parametrize("change", [{"organisation": "insurer"}, {"party": "host2", "organisation": "insurer"}])
def test_each_organisation_has_its_own_account(account: Callable[..., FileBudget], change: dict[str, str]) -> None:
    account().spend(run_id(1), [claim()])
    account().spend(run_id(2), [claim(version=1, **change)])
    assert [one["peer"] for one in account().told()] == ["telco", "insurer"]


def test_another_role_of_the_same_organisation_has_the_same_account(account: Callable[..., FileBudget]) -> None:
    account().spend(run_id(1), [claim()])
    with pytest.raises(LeakageGuardError):
        account().spend(run_id(2), [claim(version=1, party="host2")])


def test_each_label_column_has_its_own_account(account: Callable[..., FileBudget]) -> None:
    account("bought").spend(run_id(1), [claim()])
    account("churned").spend(run_id(2), [claim(version=1)])
    assert {one["target"]: one["equations"] for one in account().told()} == {"bought": TENTH, "churned": TENTH}


def test_other_customers_are_other_unknowns(account: Callable[..., FileBudget]) -> None:
    account(customers=ids(0)).spend(run_id(1), [claim()])
    account(customers=ids(N)).spend(run_id(2), [claim(version=1)])


@pytest.mark.parametrize(("shared", "passes"), [(N // 2, True), (N // 2 + 20, False)])
def test_equations_count_by_the_share_of_customers_in_common(account: Callable[..., FileBudget], shared: int, passes: bool) -> None:
    account(customers=ids(0)).spend(run_id(1), [claim()])
    later = account(customers=ids(N - shared))
    if passes:
        later.spend(run_id(2), [claim(TENTH // 2, version=1)])
    else:
        with pytest.raises(LeakageGuardError):
            later.spend(run_id(2), [claim(TENTH // 2, version=1)])


def test_a_part_of_earlier_customers_does_not_dilute_what_was_told_of_them(account: Callable[..., FileBudget]) -> None:
    account(customers=ids(0, N // 4)).spend(run_id(1), [claim(TENTH // 4)])
    account(customers=ids(0, N)).spend(run_id(2), [claim(3 * TENTH // 4, version=1)])
    with pytest.raises(LeakageGuardError):
        account(customers=ids(0, N)).spend(run_id(3), [claim(1, version=2)])


def test_a_peer_without_a_commitment_pays_for_every_run(account: Callable[..., FileBudget]) -> None:
    bare = Claim("host1", "telco", TENTH, b"", TENTH)
    account().spend(run_id(1), [bare])
    account().spend(run_id(1), [bare])  # the same run goes on
    with pytest.raises(LeakageGuardError):
        account().spend(run_id(2), [bare])


@pytest.mark.parametrize("other", [claim(TENTH, version=1), claim(TENTH - 1)])
def test_a_run_that_goes_on_keeps_its_columns(account: Callable[..., FileBudget], other: Claim) -> None:
    account().spend(run_id(1), [claim()])
    account().spend(run_id(1), [claim()])
    with pytest.raises(ProtocolError, match=r"host1.*not those with which this run began"):
        account().spend(run_id(1), [other])


def test_what_all_agreed_on_passes_alone_and_not_on_top(account: Callable[..., FileBudget]) -> None:
    account().spend(run_id(1), [claim(3 * TENTH)], wide=True)
    account().spend(run_id(2), [claim(3 * TENTH)], wide=True)
    with pytest.raises(LeakageGuardError):
        account().spend(run_id(3), [claim(TENTH, version=1)], wide=True)


def test_labels_that_were_sent_are_noted_and_never_refused(account: Callable[..., FileBudget]) -> None:
    given = Claim("host1", "telco", TENTH, bytes(32), N, given=True)
    account().spend(run_id(1), [given])
    account().spend(run_id(2), [claim(version=1)])
    assert [entry["given"] for entry in account().told()[0]["entries"]] == [True, False]


# --- rounds ---------------------------------------------------------------------------------------------------------


def test_a_round_is_opened_twice_at_most(account: Callable[..., FileBudget]) -> None:
    for _ in range(MAX_OPENINGS_OF_A_ROUND):
        account().begin_round(run_id(1), 3)
    with pytest.raises(LeakageGuardError, match=r"round 3: .* opened 2 times .* --repeats 3"):
        account().begin_round(run_id(1), 3)
    account().begin_round(run_id(2), 3)
    account().allow_repeats(3)
    account().begin_round(run_id(1), 3)


def test_going_back_one_round_is_remembered(account: Callable[..., FileBudget]) -> None:
    for round_ in (1, 2, 3, 2, 3, 4):
        account().begin_round(run_id(1), round_)
    for round_ in (3,):
        with pytest.raises(LeakageGuardError):
            account().begin_round(run_id(1), round_)


# --- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["", "bought"])
def test_a_limit_is_raised_on_purpose(account: Callable[..., FileBudget], target: str) -> None:
    account().spend(run_id(1), [claim()])
    account().allow("telco", target, 0.2, "agreed on 3 May")
    account().spend(run_id(2), [claim(version=1)])
    with pytest.raises(LeakageGuardError, match="the limit is 20"):
        account().spend(run_id(3), [claim(version=2)])
    assert account().read()["limits"][0]["reason"] == "agreed on 3 May"


@pytest.mark.parametrize(("peer", "target"), [("insurer", ""), ("telco", "churned")])
def test_a_limit_of_another_raises_nothing(account: Callable[..., FileBudget], peer: str, target: str) -> None:
    account().spend(run_id(1), [claim()])
    account().allow(peer, target, 1.0, "why")
    with pytest.raises(LeakageGuardError):
        account().spend(run_id(2), [claim(version=1)])


def test_the_newest_limit_holds(account: Callable[..., FileBudget]) -> None:
    for limit in (1.0, 0.05):
        account().allow("telco", "", limit, "why")
    with pytest.raises(LeakageGuardError):
        account().spend(run_id(1), [claim()])


# --- the folder -----------------------------------------------------------------------------------------------------


def test_nothing_in_it_names_a_customer_and_only_the_owner_reads_it(account: Callable[..., FileBudget], tmp_path: Path) -> None:
    account().spend(run_id(1), [claim()])
    files = list((tmp_path / "ledger").iterdir())
    assert not any(b"customer 1" in path.read_bytes() for path in files)
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "ledger").stat().st_mode) == 0o700


def test_the_same_customers_in_another_order_are_kept_once(account: Callable[..., FileBudget], tmp_path: Path) -> None:
    account().spend(run_id(1), [claim(1)])
    account(customers=ids()[::-1]).spend(run_id(2), [claim(1, version=1)])
    assert len(list((tmp_path / "ledger").glob("*.customers"))) == 1


def damage_ledger(folder: Path) -> None:
    path = folder / budget.LEDGER
    path.write_text(path.read_text().replace('"equations": 40', '"equations": 4'))


def cut_ledger(folder: Path) -> None:
    (folder / budget.LEDGER).write_text("{")


def damage_customers(folder: Path) -> None:
    next(folder.glob("*.customers")).write_bytes(bytes(8 * N))


def lose_customers(folder: Path) -> None:
    next(folder.glob("*.customers")).unlink()


def cut_secret(folder: Path) -> None:
    (folder / budget.SECRET).write_bytes(b"short")


@pytest.mark.parametrize("damage", [damage_ledger, cut_ledger, damage_customers, lose_customers, cut_secret])
def test_damage_is_named_and_never_an_empty_account(
    account: Callable[..., FileBudget], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    account().spend(run_id(1), [claim()])
    damage(tmp_path / "ledger")
    with pytest.raises(JournalError, match="ledger"):
        account().spend(run_id(2), [claim(version=1)])


def test_another_version_is_refused(account: Callable[..., FileBudget], tmp_path: Path) -> None:
    from vflfast.tables.seal import sealed

    account().spend(run_id(1), [claim()])
    path = tmp_path / "ledger" / budget.LEDGER
    path.write_text(json.dumps(sealed({**account().read(), "version": 99})))
    with pytest.raises(JournalError, match="version 99"):
        account().told()


def test_a_folder_that_is_a_file_is_an_error_of_its_kind(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("")
    with pytest.raises(JournalError, match="ledger"):
        FileBudget(tmp_path / "ledger", "bought", ids())


def test_runs_side_by_side_lose_nothing(account: Callable[..., FileBudget]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: account().spend(run_id(i), [claim(1, version=i)]), range(24)))
    assert account().told()[0]["equations"] == 24
