"""Link: a message of another session, round, attempt, party or step is refused, and the sender and the step are named."""

from __future__ import annotations

import dataclasses
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from support.runs import Change, Parties, listen, parties, run, settings, training_programs

from vflfast.errors import DeadlockError, ProtocolError
from vflfast.protocol import inline
from vflfast.protocol import messages as ms
from vflfast.protocol.block import joint_hash
from vflfast.protocol.link import Link, ReceiveRequest, SendRequest
from vflfast.protocol.steps import ROUND_KINDS

SESSION = b"s" * 32
SETTINGS = settings(n_iter_no_change=1, tol=0.0)


# --- two links by hand -------------------------------------------------------------------------------------------


def step(coroutine: Coroutine[Any, Any, Any], answer: bytes | None = None) -> Any:
    """The request that a coroutine makes, or, given the answer to it, what it returns."""
    request = coroutine.send(None)
    if answer is None:
        coroutine.close()
        return request
    assert isinstance(request, ReceiveRequest)
    try:
        coroutine.send(answer)
    except StopIteration as end:
        return end.value
    raise AssertionError("asked again")


def sent(link: Link, recipient: str, message: ms.Message) -> bytes:
    request = step(link.send(recipient, message))
    assert isinstance(request, SendRequest)
    assert (request.recipient, request.kind) == (recipient, type(message).__name__)
    return request.data


def hello(name: str) -> ms.Hello:
    return ms.Hello(f"{name} inc", b"n" * 16, "{}", 3)


def pair(steps: int = 3) -> tuple[Link, Link]:
    """A guest and a host who have said Hello and compared rows; the host is about to receive a Residual of round 4."""
    guest, host = Link("guest", ("host1", "arbiter")), Link("host1", ("guest", "arbiter"))
    setup = [hello("guest"), ms.RowCommitment(9, b"d" * 32), ms.OrderSeed(b"o" * 32)]
    for message in setup[:steps]:
        step(host.receive("guest", type(message)), sent(guest, "host1", message))
        guest.session = host.session = SESSION
    guest.round = host.round = 4
    return guest, host


RESIDUAL = ms.Residual(np.arange(6, dtype=np.uint64).reshape(3, 2))


def refused(host: Link, data: bytes, expected: type[ms.Message] = ms.Residual) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        step(host.receive("guest", expected), data)
    assert caught.value.party == "guest"
    return caught.value


def test_what_is_sent_is_received() -> None:
    guest, host = pair()
    message = step(host.receive("guest", ms.Residual), sent(guest, "host1", RESIDUAL))
    np.testing.assert_array_equal(message.ciphertexts, RESIDUAL.ciphertexts)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session", b"t" * 32),
        ("session", ms.NO_SESSION),
        ("session", b"s" * 31 + b"t"),
        ("round", 3),
        ("round", 5),
        ("round", 0),
        ("attempt", 1),
        ("sender", "arbiter"),
        ("sender", "host1"),
        ("sender", "host2"),
        ("recipient", "host2"),
        ("recipient", "guest"),
        ("recipient", "arbiter"),
    ],
)
def test_each_wrong_field_of_the_envelope_is_refused(field: str, value: Any) -> None:
    guest, host = pair()
    message, envelope = ms.from_bytes(sent(guest, "host1", RESIDUAL), "guest")
    error = refused(host, ms.to_bytes(message, dataclasses.replace(envelope, **{field: value})))
    assert error.step == "Residual"
    step(host.receive("guest", ms.Residual), ms.to_bytes(message, envelope))  # the control: as it was, it is accepted


@pytest.mark.parametrize(
    "message", [hello("guest"), ms.RowCommitment(9, b"d" * 32), ms.OrderSeed(b"o" * 32), ms.Vote(RESIDUAL.ciphertexts)], ids=str
)
def test_another_step_is_refused(message: ms.Message) -> None:
    _, host = pair()
    round_ = 4 if isinstance(message, ROUND_KINDS) else 0
    error = refused(host, ms.to_bytes(message, ms.Envelope(SESSION, round_, 0, "guest", "host1")))
    assert error.step == "Residual"
    assert type(message).__name__ in error.problem


def test_a_step_too_early_is_refused_by_the_receiver() -> None:
    """The program may ask for it: the table still says no."""
    _, host = pair(steps=1)
    assert refused(host, ms.to_bytes(RESIDUAL, ms.Envelope(SESSION, 4, 0, "guest", "host1"))).step == "Residual"


def test_a_step_too_early_is_not_sent() -> None:
    guest, _ = pair(steps=1)
    with pytest.raises(ProtocolError) as caught:
        step(guest.send("host1", RESIDUAL))
    assert (caught.value.party, caught.value.step) == ("guest", "Residual")


def test_the_same_message_in_the_next_round_is_refused() -> None:
    guest, host = pair()
    data = sent(guest, "host1", RESIDUAL)
    step(host.receive("guest", ms.Residual), data)
    host.round += 1
    assert "round 4" in refused(host, data).problem


def test_the_same_setup_message_again_is_refused() -> None:
    guest, host = Link("guest", ("host1", "arbiter")), Link("host1", ("guest", "arbiter"))
    data = sent(guest, "host1", hello("guest"))
    step(host.receive("guest", ms.Hello), data)
    assert refused(host, data, ms.Hello).step == "Hello"


@pytest.mark.parametrize("attempts", [(0, 1), (1, 0), (2, 1)])
def test_a_message_of_another_attempt_is_refused(attempts: tuple[int, int]) -> None:
    guest, host = pair()
    guest.attempt, host.attempt = attempts
    assert "attempt" in refused(host, sent(guest, "host1", RESIDUAL)).problem


def test_damaged_bytes_are_refused() -> None:
    guest, host = pair()
    data = bytearray(sent(guest, "host1", RESIDUAL))
    data[-40] ^= 1
    refused(host, bytes(data))


def test_the_observer_hears_stages_and_waiting() -> None:
    heard: list[tuple[str, int, str]] = []
    link = Link("guest", ("host1", "arbiter"), lambda *words: heard.append(words))
    sent(link, "host1", hello("guest"))
    link.round = 2
    link.stage("product")
    assert heard == [("guest", 0, "serialize"), ("guest", 0, ""), ("guest", 2, "product")]


# --- a whole run with somebody in the middle ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def made() -> Parties:
    return parties(16, (2, 3))


Heard = list[tuple[ms.Message, ms.Envelope, bytes]]


@pytest.fixture(scope="module")
def recorded(made: Parties) -> Heard:
    """Every message of an undisturbed run of two rounds."""
    return listen(training_programs(made, SETTINGS))[1]


@pytest.fixture(scope="module")
def clean_hash(made: Parties) -> str:
    return final_hash(run(training_programs(made, SETTINGS)))


def final_hash(results: dict[str, Any]) -> str:
    return joint_hash([results[name].hashes[-1] for name in ("guest", "host1")])


def at(index: int, recorded: Heard, new: Change) -> dict[str, Change]:
    """Change the message that stands at `index` of the record, and no other."""
    wanted = recorded[index][1]
    nth = sum(same_lane(envelope, wanted) for _, envelope, _ in recorded[:index])
    count = 0

    def change(to: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
        nonlocal count
        if to != wanted.recipient:
            return None
        count += 1
        return new(to, message, envelope) if count == nth + 1 else None

    return {wanted.sender: change}


def same_lane(a: ms.Envelope, b: ms.Envelope) -> bool:
    return (a.sender, a.recipient) == (b.sender, b.recipient)


def is_last_of_its_lane(index: int, recorded: Heard) -> bool:
    return not any(same_lane(envelope, recorded[index][1]) for _, envelope, _ in recorded[index + 1 :])


def test_an_undisturbed_run_passes_through_the_middle(made: Parties, recorded: Heard, clean_hash: str) -> None:
    assert len(recorded) == 41
    results = run(training_programs(made, SETTINGS), dict.fromkeys(("guest", "host1", "arbiter"), lambda *_: None))
    assert final_hash(results) == clean_hash


def test_every_dropped_message_is_named(made: Parties, recorded: Heard) -> None:
    """Either all wait, and the one that is missing is among what they wait for; or the next one came in its place."""
    for index, (message, envelope, _) in enumerate(recorded):
        kind = type(message).__name__
        with pytest.raises(ProtocolError) as caught:
            run(training_programs(made, SETTINGS), at(index, recorded, lambda *_: []))
        if isinstance(caught.value, DeadlockError):
            assert f"{envelope.recipient} waits for {kind} of {envelope.sender}" in caught.value.problem
        else:
            assert (caught.value.party, caught.value.step) == (envelope.sender, kind)


def test_every_repeated_message_is_refused_or_never_read(made: Parties, recorded: Heard, clean_hash: str) -> None:
    for index, (message, envelope, _) in enumerate(recorded):
        tampered = at(index, recorded, lambda _, m, e: [ms.to_bytes(m, e)] * 2)
        if is_last_of_its_lane(index, recorded):
            assert final_hash(run(training_programs(made, SETTINGS), tampered)) == clean_hash, type(message).__name__
            continue
        with pytest.raises(ProtocolError) as caught:
            run(training_programs(made, SETTINGS), tampered)
        assert caught.value.party == envelope.sender


def test_every_corrupted_message_is_refused(made: Parties, recorded: Heard) -> None:
    for index, (_, envelope, data) in enumerate(recorded):
        position = (index * 7919) % len(data)

        def corrupt(_: str, m: ms.Message, e: ms.Envelope, position: int = position) -> list[bytes]:
            wire = bytearray(ms.to_bytes(m, e))
            wire[position] ^= 1 << (position % 8)
            return [bytes(wire)]

        with pytest.raises(ProtocolError) as caught:
            run(training_programs(made, SETTINGS), at(index, recorded, corrupt))
        assert caught.value.party == envelope.sender


def test_every_message_of_another_session_is_refused(made: Parties, recorded: Heard) -> None:
    for index, (message, envelope, data) in enumerate(recorded):
        with pytest.raises(ProtocolError) as caught:
            run(training_programs(made, SETTINGS), at(index, recorded, lambda *_, data=data: [data]))
        if not isinstance(message, ms.Hello):  # an old Hello gives its receiver another session id than the others have
            assert (caught.value.party, caught.value.step) == (envelope.sender, type(message).__name__)
        assert "session" in caught.value.problem


@pytest.mark.parametrize("kind", ROUND_KINDS, ids=lambda kind: kind.__name__)
def test_a_message_of_the_round_before_is_refused(kind: type[ms.Message], made: Parties) -> None:
    old: dict[str, bytes] = {}
    first = 4 if kind is ms.PenaltyChoice else 1

    def replay(to: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
        if not isinstance(message, kind):
            return None
        if envelope.round == first:
            old[to] = ms.to_bytes(message, envelope)
            return None
        return [old[to]]

    sender = {"Predictor": "host1", "HalfRange": "host1", "OpenedGradient": "arbiter", "Verdict": "arbiter"}.get(kind.__name__, "guest")
    searching = {"residual": "logistic", "solver": "lbfgs", "alpha": "search"}
    changes: dict[str, Any] = {
        "HalfRange": {"residual": "logistic"}, "InnerProducts": {"solver": "lbfgs"}, "PenaltyChoice": searching,
    }.get(kind.__name__, {})  # fmt: skip
    agreed = dataclasses.replace(SETTINGS, **changes)
    made = Parties(dataclasses.replace(made.guest, held_out=np.arange(made.guest.matrix.n_rows) % 5 == 0), made.hosts)
    with pytest.raises(ProtocolError) as caught:
        run(training_programs(made, agreed), {sender: replay})
    assert (caught.value.party, caught.value.step) == (sender, kind.__name__)
    assert f"round {first}" in caught.value.problem


def test_a_host_cannot_speak_for_the_guest(made: Parties) -> None:
    """host1's vote, delivered to the arbiter as the guest's."""

    def pose(_: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
        vote = isinstance(message, ms.Vote)
        return [ms.to_bytes(message, dataclasses.replace(envelope, sender="host1"))] if vote else None

    with pytest.raises(ProtocolError, match="another party") as caught:
        run(training_programs(made, SETTINGS), {"guest": pose})
    assert (caught.value.party, caught.value.step) == ("guest", "Vote")


def test_what_is_meant_for_one_host_is_refused_by_the_other() -> None:
    made = parties(16, (2, 3, 2))
    kept: list[bytes] = []

    def swap(to: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
        if not isinstance(message, ms.Residual):
            return None
        if to == "host1":
            kept.append(ms.to_bytes(message, envelope))
            return None
        return [kept[-1]]

    with pytest.raises(ProtocolError, match="another party") as caught:
        run(training_programs(made, SETTINGS), {"guest": swap})
    assert (caught.value.party, caught.value.step) == ("guest", "Residual")


@pytest.mark.parametrize("seed", range(120))
def test_random_trouble_ends_in_a_typed_error_or_the_right_weights(seed: int, made: Parties, recorded: Heard, clean_hash: str) -> None:
    """Drop, repeat, cut, swap with the next of the lane, or replay an old one, at a random place (B3)."""
    rng = np.random.default_rng(seed)
    index = int(rng.integers(len(recorded)))
    action = rng.choice(["drop", "repeat", "cut", "replay", "late"])
    held: list[bytes] = []
    sender, recipient = recorded[index][1].sender, recorded[index][1].recipient
    inner = at(index, recorded, lambda *_: [])[sender]

    def trouble(to: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
        data = ms.to_bytes(message, envelope)
        if inner(to, message, envelope) == []:
            held.append(data)
            old = recorded[int(rng.integers(len(recorded)))][2]
            return {"drop": [], "repeat": [data, data], "cut": [data[: int(rng.integers(len(data)))]], "replay": [old], "late": []}[action]
        if action == "late" and held and to == recipient:
            return [data, held.pop()]
        return None

    with suppress(ProtocolError):  # any other error fails the test
        assert final_hash(run(training_programs(made, SETTINGS), {sender: trouble})) == clean_hash


def test_the_driver_closes_every_program_after_a_failure(made: Parties) -> None:
    programs = training_programs(made, SETTINGS)
    names = list(programs)

    def refuse(*_: Any) -> list[bytes]:
        raise ProtocolError("guest", "Vote", "on purpose")

    with pytest.raises(ProtocolError, match="on purpose"):
        run(programs, {"guest": refuse})
    for name in names:
        if name != "guest":
            with pytest.raises(RuntimeError):
                programs[name].send(None)


def test_a_lone_program_is_a_deadlock_not_a_hang(made: Parties) -> None:
    programs = training_programs(made, SETTINGS)
    alone = {"guest": programs.pop("guest")}
    for program in programs.values():
        program.close()
    with pytest.raises(DeadlockError) as caught:
        inline.drive(alone)
    assert (caught.value.party, caught.value.step) == ("host1", "Hello")
