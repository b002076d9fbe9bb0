"""C6: messages of an earlier round, and of another role, as if they were due. Session, round, attempt, sender and recipient are in each.

What each refusal is worth: with the check of the envelope and the comparison of transcripts taken out, the same messages are believed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.runs import Change, parties, private_key, run, settings, train, training_programs

from vflfast.errors import ProtocolError
from vflfast.protocol import arbiter, gradient, transcripts
from vflfast.protocol import messages as ms
from vflfast.protocol.link import Link

MADE = parties(40, (3, 4))
AGREED = settings(max_iter=3, tol=0.0)


def again(kind: type[ms.Message]) -> Change:
    """From round 2 on, the message of round 1, envelope and all."""
    first: dict[str, bytes] = {}

    def change(to: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
        return [first.setdefault(to, ms.to_bytes(message, envelope))] if isinstance(message, kind) else None

    return change


def of_another_session(kind: type[ms.Message]) -> Change:
    """The message that the same party sent in an earlier session with the same key."""
    earlier: dict[tuple[str, int], bytes] = {}

    def note(to: str, message: ms.Message, envelope: ms.Envelope) -> None:
        if isinstance(message, kind):
            earlier[to, envelope.round] = ms.to_bytes(message, envelope)

    run(training_programs(parties(40, (3, 4), seed=5), AGREED), dict.fromkeys(("guest", "host1", "arbiter"), note))
    return lambda to, message, envelope: [earlier[to, envelope.round]] if isinstance(message, kind) else None


def forged_votes() -> dict[str, Change]:
    """host1's vote, for STOP, also in the guest's place: one party decides alone."""
    stop = private_key().public.encrypt(np.array([1]), bound=1).limbs

    def vote(_: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
        if not isinstance(message, ms.Vote):
            return None
        return [ms.to_bytes(ms.Vote(stop, message.transcripts), ms.Envelope(envelope.session, envelope.round, 0, "host1", "arbiter"))]

    return {"guest": vote, "host1": vote}


ATTACKS: dict[str, Callable[[], dict[str, Change]]] = {
    "a predictor of round 1": lambda: {"host1": again(ms.Predictor)},
    "a residual of round 1": lambda: {"guest": again(ms.Residual)},
    "a predictor of another session": lambda: {"host1": of_another_session(ms.Predictor)},
    "a residual of another session": lambda: {"guest": of_another_session(ms.Residual)},
    "another role's vote": forged_votes,
}


def outcome(tampered: dict[str, Change]) -> tuple[int, list[str]]:
    """Rounds, and the hashes of both models."""
    results: dict[str, Any] = run(training_programs(MADE, AGREED), tampered)
    return results["guest"].n_iter, [results[name].hashes[-1] for name in ("guest", "host1")]


def honest() -> tuple[int, list[str]]:
    result = train(MADE, AGREED)
    return result.guest.n_iter, [result.guest.hashes[-1], result.hosts[0].hashes[-1]]


@pytest.mark.parametrize("attack", ATTACKS)
def test_refused_at_the_message(attack: str) -> None:
    with pytest.raises(ProtocolError, match=r"of round 1|another session|another party"):
        outcome(ATTACKS[attack]())


def without_envelopes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Link, "_check", lambda *_: None)
    monkeypatch.setattr(gradient, "_check_verdict", lambda *_: None)  # which finds a verdict that the own vote rules out


@pytest.mark.parametrize("attack", [name for name in ATTACKS if "vote" not in name])
def test_the_transcripts_are_a_second_line(attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_envelopes(monkeypatch)
    with pytest.raises(ProtocolError, match="did not see the same messages"):
        outcome(ATTACKS[attack]())


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_control_believes_it(attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends well, with other weights or too early, and nobody knows."""
    without_envelopes(monkeypatch)
    for module in (arbiter, transcripts):
        monkeypatch.setattr(module, "compare", lambda *_: None)
    assert outcome({}) == honest()
    assert outcome(ATTACKS[attack]()) != honest()
