"""Valid messages of other content, in every phase: no check of its own can tell, the transcripts do, before results are used.

Each lie is believed where transcripts are not compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.runs import parties, private_key, replace, run, scoring_programs, settings, train, training_programs

from vflfast.errors import ProtocolError
from vflfast.matching.ids import protect
from vflfast.protocol import arbiter, guest, host, matching, transcripts
from vflfast.protocol import messages as ms
from vflfast.protocol.arbiter import ArbiterInputs
from vflfast.protocol.block import PartyInputs
from vflfast.protocol.inline import Program
from vflfast.protocol.link import Link
from vflfast.protocol.scores import SCORE_BOUND, UNIT

ROWS = 16
SMALL = parties(ROWS, (2, 3))


def other_scores(_: Any) -> Any:
    numbers = [round(UNIT * i / ROWS) for i in range(ROWS)]
    return private_key().public.pack_to_holder(numbers, SCORE_BOUND).limbs


def turned(labels: bytes) -> bytes:
    return bytes(1 - flag for flag in labels)


def rerandomised(rows: np.ndarray) -> np.ndarray:
    """Other ciphertexts of the same numbers: masks would not cancel under other numbers, which is refused before."""
    public = private_key().public
    return public.rerandomize(public.parse(rows, frac_bits=0, bound=public.n // 4)).limbs


JOINT: dict[str, Any] = {"scoring": "joint"}
AT_THE_END: dict[str, tuple[str, Callable[[], Any], dict[str, Any]]] = {
    "the guest's scores": ("guest", lambda: replace(ms.ScoreShare, ciphertexts=other_scores), {}),
    "a host's scores": ("host1", lambda: replace(ms.ScoreShare, ciphertexts=other_scores), {}),
    "the quota": ("guest", lambda: replace(ms.ThresholdChoice, value=0.9), {}),
    "the labels": ("arbiter", lambda: replace(ms.ScoreLabels, recipient="guest", labels=turned), {}),
    "a host's labels": ("arbiter", lambda: replace(ms.ScoreLabels, recipient="host1", labels=turned), {"profile": "patent"}),
    "τ": ("arbiter", lambda: replace(ms.ScoreLabels, recipient="guest", threshold=0.25), {"output": "scores"}),
    "combined scores": ("arbiter", lambda: replace(ms.CombinedScores, scores=lambda s: s[::-1].copy()), {"threshold": "ks"}),
    "a part of the joint score": ("guest", lambda: replace(ms.JointShare, ciphertexts=rerandomised), JOINT),
    "the joint score's scale": ("guest", lambda: replace(ms.ScaleSeed, seed=bytes(32)), JOINT),
    "the last verdict": ("host1", lambda: replace(ms.Vote, occurrence=3, ciphertexts=lambda _: vote_of(0)), {"max_iter": 3}),
}
AT_SCORING: dict[str, tuple[str, Callable[[], Any], dict[str, Any]]] = {
    **{name: case for name, case in AT_THE_END.items() if name in ("the guest's scores", "a host's scores", "the labels", "τ")},
    "combined scores": ("arbiter", lambda: replace(ms.CombinedScores, scores=lambda s: s[::-1].copy()), {"output": "scores"}),
    "the secret order": ("guest", lambda: replace(ms.OrderSeed, seed=bytes(32)), {}),
    "the joint scores": ("arbiter", lambda: replace(ms.CombinedScores, scores=lambda s: s[::-1].copy()), JOINT | {"output": "probability"}),
    "a part of the joint score": ("host1", lambda: replace(ms.JointShare, ciphertexts=rerandomised), JOINT),
}


def vote_of(flag: int) -> Any:
    return private_key().public.encrypt(np.array([flag], dtype=object)).limbs


def trained_with(lie: str) -> dict[str, Any]:
    party, change, agreed = AT_THE_END[lie]
    return run(training_programs(SMALL, settings(**agreed)), {party: change()})


def scored_with(lie: str) -> dict[str, Any]:
    party, change, agreed = AT_SCORING[lie]
    trained = train(SMALL, settings(**agreed))
    return run(scoring_programs(SMALL, trained, settings(**agreed)), {party: change()})


@pytest.mark.parametrize("lie", AT_THE_END)
def test_a_message_changed_after_the_last_vote_is_found(lie: str) -> None:
    with pytest.raises(ProtocolError, match="did not see the same messages") as caught:
        trained_with(lie)
    assert caught.value.step in ("Transcripts", "Vote")


@pytest.mark.parametrize("lie", AT_SCORING)
def test_a_message_changed_while_scoring_is_found(lie: str) -> None:
    with pytest.raises(ProtocolError, match="did not see the same messages") as caught:
        scored_with(lie)
    assert caught.value.step == "Transcripts"


def test_without_the_comparison_every_lie_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    for module in (transcripts, arbiter):
        monkeypatch.setattr(module, "compare", lambda *_: None)
    for lie in AT_THE_END:
        assert set(trained_with(lie)) == {"guest", "host1", "arbiter"}
    for lie in AT_SCORING:
        scored_with(lie)


@pytest.mark.parametrize("change", [lambda t: b"", lambda t: t[:-1], lambda t: t + t[:32], lambda t: t[32:] + t[:32], lambda t: bytes(64)])
@pytest.mark.parametrize("party", ["guest", "host1"])
def test_a_wrong_transcript_at_the_end_is_refused(party: str, change: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        run(training_programs(SMALL, settings()), {party: replace(ms.Transcripts, digests=change)})
    assert caught.value.step == "Transcripts"


# --- the matching before it ---------------------------------------------------------------------------------------

IDS = np.array([f"138{i:08d}" for i in range(ROWS)], dtype=object)


def with_matching(joined: bool) -> dict[str, Program]:
    """Parties that match by tokens and train on what they found; their transcripts are one where `joined`."""
    agreed, tokens = settings(), protect(IDS, key=b"k" * 32)

    def link(name: str, before: Link | None) -> Link:
        return Link(name, tuple(p for p in ("guest", "host1", "arbiter") if p != name), before=before if joined else None)

    async def party(name: str, inputs: PartyInputs) -> Any:
        first = matching.matching_link(name, link(name, None).peers)
        match, train_ = (matching.match_at_guest, guest.train) if name == "guest" else (matching.match_at_host, host.train)
        found = await match(first, tokens, "hmac")
        rows = inputs.matrix.take_rows(found.positions)
        labels = None if inputs.labels is None else inputs.labels[found.positions]
        kept = PartyInputs(rows, found.commitment, inputs.organisation, labels)
        return await train_(link(name, first), kept, agreed)

    return {
        "guest": party("guest", SMALL.guest), "host1": party("host1", SMALL.hosts[0]),
        "arbiter": arbiter.train(link("arbiter", None), ArbiterInputs("arbiter", private_key()), agreed),
    }  # fmt: skip


def without_the_last(tokens: bytes) -> bytes:
    return tokens[:-32]


@pytest.mark.parametrize("lie", [
    ("host1", matching.HostTokens, {"tokens": without_the_last}),
])  # fmt: skip
def test_a_customer_taken_out_of_the_matching_is_found(lie: Any) -> None:
    sender, message, fields = lie
    with pytest.raises(ProtocolError, match="did not see the same messages") as caught:
        run(with_matching(joined=True), {sender: replace(message, **fields)})
    assert caught.value.step == "Vote"
    results = run(with_matching(joined=False), {sender: replace(message, **fields)})  # the control: one customer less, and nobody knows
    assert len(results["guest"].train_labels) == ROWS - 1


def test_honest_parties_match_and_train() -> None:
    assert len(run(with_matching(joined=True))["guest"].train_labels) == ROWS
