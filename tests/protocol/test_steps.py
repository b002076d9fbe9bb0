"""The table of steps: it accepts every real run, and refuses whatever it does not list, naming the sender."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support.runs import Parties, listen, parties, scoring_programs, settings, train, training_programs
from support.simulator import MemoryJournal

from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import ProtocolError
from vflfast.protocol import forward, inference_messages
from vflfast.protocol import messages as ms
from vflfast.protocol.inline import party_names
from vflfast.protocol.messages import MaskedSums, OpenedSums
from vflfast.protocol.steps import ROUND_KINDS, START, TABLE, Kind, Lane, role_of

TRAININGS: list[dict[str, Any]] = [
    {},
    {"profile": "patent"},
    {"max_iter": 1},
    {"threshold": 0.5},
    {"threshold": "ks"},
    {"threshold": "precision", "threshold_value": 0.5, "profile": "patent"},
]
SCORINGS: list[dict[str, Any]] = [{}, {"profile": "patent"}, {"output": "scores"}, {"output": "probability"}]
JOINT: list[dict[str, Any]] = [{}, {"profile": "patent"}, {"threshold": "ks"}, {"threshold": 0.4}, {"solver": "lbfgs"}]

QUASI_NEWTON: list[dict[str, Any]] = [
    {"solver": "lbfgs"}, {"solver": "lbfgs", "profile": "patent"}, {"solver": "lbfgs", "host_woe": True}, {"residual": "logistic"},
    {"residual": "logistic", "solver": "lbfgs"}, {"residual": "logistic", "host_woe": True},
    {"residual": "logistic", "solver": "lbfgs", "host_woe": True}, {"residual": "logistic", "profile": "patent"},
]  # fmt: skip

ERRORS: list[dict[str, Any]] = [
    {}, {"threshold": "ks"}, {"profile": "patent"}, {"scoring": "joint"}, {"host_woe": True}, {"solver": "lbfgs"},
]  # fmt: skip

Lanes = dict[tuple[str, str], list[Kind]]


def lanes(heard: list[tuple[ms.Message, ms.Envelope, bytes]]) -> Lanes:
    found: Lanes = defaultdict(list)
    for message, envelope, _ in heard:
        found[envelope.sender, envelope.recipient].append(type(message))
    return found


@pytest.fixture(scope="module")
def runs() -> list[Lanes]:
    """The sequences of every kind of run, with one host and with two."""
    found = []
    for n_hosts in (1, 2):
        made = parties(30, (3, 4, 2)[: n_hosts + 1])
        found += [lanes(listen(training_programs(made, settings(**changes)))[1]) for changes in TRAININGS]
        journals = {name: MemoryJournal() for name in party_names(n_hosts)}
        for _ in range(2):  # the second goes on after the last round
            found.append(lanes(listen(training_programs(made, settings(), journals))[1]))
        coarse = parties(200, (3, 4, 2)[: n_hosts + 1], classes=2)  # no class is too small for a weight of evidence
        for changes in ({"threshold": "ks"}, {"profile": "patent"}):
            agreed, journals = settings(host_woe=True, max_iter=1, **changes), {n: MemoryJournal() for n in party_names(n_hosts)}
            found += [lanes(listen(training_programs(coarse, agreed, journals))[1]) for _ in range(2)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(forward, "ROWS_PER_MESSAGE", 16)  # several pieces of a vector
            for changes in QUASI_NEWTON:
                found.append(lanes(listen(training_programs(coarse, settings(max_iter=2, **changes)))[1]))
        marked = Parties(dataclasses.replace(coarse.guest, held_out=np.arange(200) % 5 == 0), coarse.hosts)
        search = settings(residual="logistic", solver="lbfgs", alpha="search", max_iter=1)
        found.append(lanes(listen(training_programs(marked, search))[1]))
        jointly = settings(scoring="joint")
        for changes in JOINT:
            agreed, journals = settings(scoring="joint", **changes), {n: MemoryJournal() for n in party_names(n_hosts)}
            found += [lanes(listen(training_programs(made, agreed, journals))[1]) for _ in range(2)]
        if n_hosts == 1:
            found += [lanes(one) for one in _with_standard_errors(coarse)]
        with_scale = train(made, jointly)
        for output in ("labels", "probability"):
            found.append(lanes(listen(scoring_programs(made, with_scale, settings(scoring="joint", output=output)))[1]))
        trained = train(made, settings())
        found += [lanes(listen(scoring_programs(made, trained, settings(**changes)))[1]) for changes in SCORINGS]
    return found


def _with_standard_errors(made: Parties) -> Iterator[list[tuple[ms.Message, ms.Envelope, bytes]]]:
    """Runs whose columns go either way, labels from either score, new and resumed after the last round."""
    short = Parties(made.guest, [dataclasses.replace(made.hosts[0], matrix=CodedMatrix(made.hosts[0].matrix.codes[:1]))])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forward, "ROWS_PER_MESSAGE", 100)
        for inputs, changes in (*((made, one) for one in ERRORS), (short, {}), (short, {"scoring": "joint"})):
            agreed = settings(residual="logistic", inference=True, max_iter=1, **changes)
            journals = {n: MemoryJournal() for n in party_names(1)}
            for _ in range(2 if inputs is made else 1):  # the second goes on after the last round
                yield listen(training_programs(inputs, agreed, journals))[1]


def name(kind: Kind | str) -> str:
    return kind if isinstance(kind, str) else kind.__name__


def test_every_real_sequence_is_legal(runs: list[Lanes]) -> None:
    for run in runs:
        for (sender, recipient), kinds in run.items():
            lane = Lane(sender, recipient)
            for kind in kinds:
                lane.advance(kind)


def test_the_table_allows_little_more_than_the_real_sequences(runs: list[Lanes]) -> None:
    taken = set()
    for run in runs:
        for (sender, recipient), kinds in run.items():
            moves = zip([START, *kinds[:-1]], kinds, strict=True)
            taken |= {(role_of(sender), role_of(recipient), name(last), name(kind)) for last, kind in moves}
    legal = {(*roles, name(last), name(kind)) for roles, states in TABLE.items() for last, follow in states.items() for kind in follow}
    assert taken == legal


def test_every_real_sequence_uses_both_directions_of_every_link(runs: list[Lanes]) -> None:
    assert {(role_of(a), role_of(b)) for run in runs for a, b in run} == set(TABLE)


def states() -> Iterator[tuple[str, str, Kind | str, tuple[Kind, ...]]]:
    for (sender, recipient), table in TABLE.items():
        for last, follow in table.items():
            yield sender, recipient, last, follow


def test_every_message_has_a_number_and_a_place() -> None:
    made = {cls for cls in ms.Message.__subclasses__() if cls.__module__ in (ms.__name__, inference_messages.__name__)}
    placed = {cls for lane in TABLE.values() for follow in lane.values() for cls in follow}
    assert made == set(ms.KINDS.values()) == placed


@pytest.mark.parametrize(("sender", "recipient", "last", "follow"), list(states()), ids=lambda v: "" if isinstance(v, tuple) else name(v))
def test_whatever_the_table_does_not_list_is_refused(sender: str, recipient: str, last: Kind | str, follow: tuple[Kind, ...]) -> None:
    for kind in ms.KINDS.values():
        lane = reach(sender, recipient, last)
        if kind in follow:
            lane.advance(kind)
            continue
        with pytest.raises(ProtocolError) as caught:
            lane.advance(kind)
        assert (caught.value.party, caught.value.step) == (sender, kind.__name__)
        assert all(legal.__name__ in caught.value.problem for legal in follow)


def reach(sender: str, recipient: str, last: Kind | str) -> Lane:
    """A lane at `last`, by legal moves only."""
    paths: dict[Kind | str, list[Kind]] = {START: []}
    table = TABLE[sender, recipient]
    while last not in paths:
        for state, path in list(paths.items()):
            for kind in table[state]:
                paths.setdefault(kind, [*path, kind])
    lane = Lane(sender, recipient)
    for kind in paths[last]:
        lane.advance(kind)
    return lane


def test_a_refused_message_does_not_move_the_lane() -> None:
    lane = Lane("host2", "guest")
    for kind in (ms.Hello, ms.RowCommitment):
        for wrong in set(ms.KINDS.values()) - {kind}:
            with pytest.raises(ProtocolError) as caught:
                lane.advance(wrong)
            assert caught.value.party == "host2"
        lane.advance(kind)


def test_only_forward_messages_may_repeat() -> None:
    twice = {kind for table in TABLE.values() for kind, follow in table.items() if kind in follow}
    # one a round, told apart by its number; inner products by their masks; one a host, by masks; columns numbered, and a vector in pieces
    once_a_run = {MaskedSums, OpenedSums, ms.WeighedColumn, ms.Curvature}
    assert twice == {ms.Predictor, ms.Residual, ms.InnerProducts, ms.HalfRange} | once_a_run
    assert twice - once_a_run <= set(ROUND_KINDS)


def test_nothing_follows_the_last_message() -> None:
    for (sender, recipient), table in TABLE.items():
        for follow in table.values():
            assert all(kind in table for kind in follow), (sender, recipient)


@pytest.mark.parametrize(("party", "role"), [("guest", "guest"), ("arbiter", "arbiter"), ("host1", "host"), ("host17", "host")])
def test_roles(party: str, role: str) -> None:
    assert role_of(party) == role
