"""Where the parties go on: from the last round that all have committed, and only with the same data and settings."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
from support.runs import Parties, parties, run, settings, training_programs
from support.simulator import MemoryJournal

from vflfast.errors import InputError, ModelError, ProtocolError, VflError
from vflfast.protocol import messages as ms
from vflfast.protocol import resume
from vflfast.protocol.inline import party_names
from vflfast.protocol.resume import Checkpoint
from vflfast.protocol.settings import Settings

RUN, OTHER = b"r" * 32, b"o" * 32


def hello(newest: int = 0, run_id: bytes = RUN, finished: int = 0) -> ms.Hello:
    return ms.Hello("x", b"n" * 16, "{}", 1, run_id if newest else b"", newest, finished)


@pytest.mark.parametrize(("newest", "expected"), [
    ((0, 0, 0), (b"", 0)), ((1, 0, 0), (b"", 0)), ((1, 1, 0), (b"", 0)), ((1, 1, 1), (RUN, 1)),
    ((5, 4, 5), (RUN, 4)), ((4, 4, 5), (RUN, 4)),
])  # fmt: skip
def test_the_common_round_is_the_last_that_all_have(newest: tuple[int, ...], expected: tuple[bytes, int]) -> None:
    hellos = dict(zip(("guest", "host1", "arbiter"), map(hello, newest), strict=True))
    assert resume.common_round(hellos) == expected


@pytest.mark.parametrize("newest", [(2, 0, 0), (5, 3, 5), (9, 9, 0)])
def test_a_journal_too_far_behind_is_named(newest: tuple[int, ...]) -> None:
    hellos = dict(zip(("guest", "host1", "arbiter"), map(hello, newest), strict=True))
    with pytest.raises(ProtocolError, match="bring its journal back") as caught:
        resume.common_round(hellos)
    assert caught.value.party == min(hellos, key=lambda name: hellos[name].newest)


def test_journals_of_different_runs_are_refused() -> None:
    with pytest.raises(ProtocolError, match="different runs"):
        resume.common_round({"guest": hello(3), "host1": hello(3, OTHER), "arbiter": hello(3)})
    with pytest.raises(ProtocolError, match="different runs"):
        resume.common_round({"guest": hello(2), "host1": hello(1, OTHER), "arbiter": hello(1)})


def test_first_rounds_of_different_attempts_are_done_again() -> None:
    """The guest had round 1 when the others had none: all began anew, and the host had that round 1 when the guest had not."""
    assert resume.common_round({"guest": hello(1), "host1": hello(1, OTHER), "arbiter": hello(1, OTHER)}) == (b"", 0)


def test_all_finished_begins_a_new_run_and_one_unfinished_goes_on() -> None:
    ended = {name: hello(7, finished=1) for name in ("guest", "host1", "arbiter")}
    assert resume.common_round(ended) == (b"", 0)
    assert resume.common_round(ended | {"host1": hello(7)}) == (RUN, 7)


@pytest.mark.parametrize("length", [1, 2, 3, 9])
def test_a_finished_journal_holds_nothing_of_the_run_after_it(length: int) -> None:
    """A crash in the first round of the next run: some have committed it, some still hold the end of the run before."""
    ended = {name: hello(length, finished=1) for name in ("guest", "host1", "arbiter")}
    assert resume.common_round(ended | {"guest": hello(1, OTHER)}) == (b"", 0)
    assert resume.common_round(ended | {"guest": hello(1, OTHER), "arbiter": hello(1, OTHER)}) == (b"", 0)
    assert resume.common_round(ended | {"guest": hello(0)}) == (b"", 0)
    with pytest.raises(ProtocolError, match="host1, Hello: its journal ends at round 0, that of guest at round 2"):
        resume.common_round(ended | {"guest": hello(2, OTHER), "arbiter": hello(1, OTHER)})


def journals(n_hosts: int = 1) -> dict[str, MemoryJournal]:
    return {name: MemoryJournal() for name in party_names(n_hosts)}


def rounds(kept: dict[str, MemoryJournal], made: Parties, agreed: Settings) -> dict[str, Any]:
    return run(training_programs(made, agreed, kept))


def cut(kept: dict[str, MemoryJournal], round_: int, *names: str) -> None:
    """As if those parties had crashed before they committed anything later than `round_`."""
    for name in names or kept:
        kept[name].generations = [c for c in kept[name].generations if c.round <= round_]
        kept[name].done = False


@pytest.mark.parametrize("changes", [
    {}, {"profile": "patent"}, {"solver": "gd", "momentum": 0.5}, {"n_batches": 2}, {"init": "zeros"}, {"threshold": "ks"},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("behind", [("guest",), ("host1",), ("arbiter",), ("guest", "host1", "host2", "arbiter")], ids=str)
def test_a_resumed_run_ends_with_the_same_bits(changes: dict[str, Any], behind: tuple[str, ...]) -> None:
    made, agreed = parties(60, (3, 2, 2)), settings(max_iter=4, **changes)
    kept = journals(2)
    whole = rounds(kept, made, agreed)
    cut(kept, 3, *behind)
    for journal in kept.values():
        journal.done = False
    resumed = rounds(kept, made, agreed)
    for name in ("guest", "host1", "host2"):
        first, second = whole[name], resumed[name]
        assert second.hashes == first.hashes
        assert second.losses == first.losses
        assert (second.n_iter, second.stopped, second.norm, second.session) == (first.n_iter, first.stopped, first.norm, first.session)
        assert second.ledger.to_list() == first.ledger.to_list()
    assert resumed["arbiter"].threshold == whole["arbiter"].threshold
    assert [c.round for c in kept["guest"].generations] == [4, 3]


def test_a_finished_run_is_followed_by_a_new_one() -> None:
    made, kept = parties(40, (2, 2)), journals()
    first = rounds(kept, made, settings())
    for journal in kept.values():
        journal.done = True
    second = rounds(kept, made, settings())
    assert second["guest"].session != first["guest"].session
    assert second["guest"].hashes == first["guest"].hashes


def test_two_crashes_in_the_first_round() -> None:
    made, agreed = parties(40, (2, 2)), settings(max_iter=2)
    first, second = journals(), journals()
    expected = rounds(first, made, agreed)["guest"].hashes
    rounds(second, made, agreed)
    cut(first, 1)
    cut(second, 1)
    assert first["guest"].generations[0].run != second["host1"].generations[0].run
    assert rounds({**second, "guest": first["guest"]}, made, agreed)["guest"].hashes == expected


@pytest.mark.parametrize("ahead", [("guest",), ("host1", "arbiter")])
def test_a_crash_in_the_first_round_of_the_run_after_a_finished_one(ahead: tuple[str, ...]) -> None:
    made, agreed, kept = parties(40, (2, 2)), settings(max_iter=2), journals()
    first = rounds(kept, made, agreed)
    for journal in kept.values():
        journal.done = True
    before = copy.deepcopy(kept)
    rounds(kept, made, agreed)
    cut(kept, 1)
    second = rounds({name: (kept if name in ahead else before)[name] for name in kept}, made, agreed)
    assert second["guest"].hashes == first["guest"].hashes


def changed_labels(made: Parties) -> Parties:
    assert made.guest.labels is not None
    return dataclasses.replace(made, guest=dataclasses.replace(made.guest, labels=np.roll(made.guest.labels, 1)))


@pytest.mark.parametrize("what", ["settings", "labels", "columns", "rows"])
def test_other_data_or_settings_are_refused(what: str) -> None:
    made, kept = parties(40, (2, 2)), journals()
    rounds(kept, made, settings())
    agreed = settings(tol=0.1) if what == "settings" else settings()
    if what == "labels":
        made = changed_labels(made)
    if what == "columns":
        made = parties(40, (2, 2), seed=1)
    if what == "rows":
        made = dataclasses.replace(made, guest=dataclasses.replace(made.guest, commitment=b"c" * 32))
    with pytest.raises(InputError, match="other data or settings") as caught:
        rounds(kept, made, agreed)
    assert caught.value.argument == "journal"


STATE_CHANGES: dict[str, Any] = {
    "a weight": lambda s: s["block"]["theta"].__setitem__(0, s["block"]["theta"][0] + 1e-15),
    "a column less": lambda s: s["block"]["theta"].pop(),
    "the last hash": lambda s: s["block"]["hashes"].pop(),
    "the stop rule": lambda s: s["block"].__setitem__("stop_rule", {}),
    "the solver": lambda s: s["block"].__setitem__("solver", {"velocity": [1.0]}),
}


@pytest.mark.parametrize("what", STATE_CHANGES)
def test_a_state_that_does_not_fit_is_refused(what: str) -> None:
    made, kept = parties(40, (2, 2)), journals()
    rounds(kept, made, settings())
    kept["guest"].done = False
    STATE_CHANGES[what](kept["guest"].generations[0].state)
    with pytest.raises(ModelError):
        rounds(kept, made, settings())


@pytest.mark.parametrize("fields", [
    {"run": b"short", "newest": 1}, {"run": b"", "newest": 1}, {"run": RUN, "newest": 0}, {"finished": 2}, {"run": RUN, "newest": 2**40},
], ids=str)  # fmt: skip
def test_a_hello_with_an_impossible_journal_is_refused(fields: dict[str, Any]) -> None:
    from support.runs import replace

    with pytest.raises(VflError, match="Hello"):
        run(training_programs(parties(40, (2, 2)), settings()), {"host1": replace(ms.Hello, recipient="guest", **fields)})


def test_a_checkpoint_holds_no_mask_and_no_key() -> None:
    made, kept = parties(40, (2, 2)), journals()
    rounds(kept, made, settings())
    assert kept["arbiter"].generations[0].state == {}
    assert set(kept["host1"].generations[0].state) == {"block", "ledger"}
    assert set(kept["guest"].generations[0].state["block"]) == {"theta", "intercept", "losses", "hashes", "stop_rule", "solver"}


def test_the_round_that_was_lost_is_named_when_no_copy_holds_it() -> None:
    journal = MemoryJournal([Checkpoint(RUN, b"i" * 32, 5, False, {})])
    assert resume.checkpoint_of(journal, 5) is journal.generations[0]
    assert resume.checkpoint_of(journal, 0) is None
    with pytest.raises(InputError, match="does not hold round 4"):
        resume.checkpoint_of(journal, 4)
