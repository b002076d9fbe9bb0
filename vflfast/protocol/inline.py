"""All parties in one thread: drives the coroutines in a fixed order, with every message serialised and parsed."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import DeadlockError, InputError, VflError
from . import arbiter, guest, host, inference
from .arbiter import ArbiterInputs, ArbiterModel, readable_threshold
from .block import PartyInputs, joint_hash
from .guest import ScoringInputs, ScoringResult
from .link import Link, Observer, ReceiveRequest, SendRequest
from .party_model import PartyModel
from .resume import Journal
from .settings import Settings
from .twin import train_twin

Program = Coroutine[SendRequest | ReceiveRequest, bytes, Any]


@dataclass
class Traffic:
    """Bytes and messages by kind and direction."""

    n_bytes: dict[str, int] = field(default_factory=dict)
    n_messages: dict[str, int] = field(default_factory=dict)

    def count(self, sender: str, request: SendRequest) -> None:
        """Count one message."""
        key = f"{sender} → {request.recipient}: {request.kind}"
        self.n_bytes[key] = self.n_bytes.get(key, 0) + len(request.data)
        self.n_messages[key] = self.n_messages.get(key, 0) + 1

    @property
    def total_bytes(self) -> int:
        """Bytes of all messages."""
        return sum(self.n_bytes.values())


def drive(programs: dict[str, Program], traffic: Traffic | None = None) -> dict[str, Any]:
    """Run the programs to their ends, each as far as it goes, in a fixed order; return their results by party.

    Raises
    ------
    DeadlockError
        Every running party waits for a message that nobody will send.
    """
    traffic = traffic or Traffic()
    queues: dict[tuple[str, str], deque[bytes]] = {}
    waiting: dict[str, ReceiveRequest | None] = dict.fromkeys(programs)
    results: dict[str, Any] = {}
    try:
        while len(results) < len(programs):
            progress = False
            for name, program in programs.items():
                if name in results:
                    continue
                progress |= _advance(name, program, queues, waiting, results, traffic)
            if not progress:
                waits = [(n, r) for n, r in waiting.items() if r and n not in results]
                sentence = "; ".join(f"{n} waits for {r.kind} of {r.sender}" for n, r in waits)
                raise DeadlockError(waits[0][1].sender, waits[0][1].kind, f"nobody can go on: {sentence}")
    finally:
        for program in programs.values():
            program.close()
    return results


def _advance(
    name: str,
    program: Program,
    queues: dict[tuple[str, str], deque[bytes]],
    waiting: dict[str, ReceiveRequest | None],
    results: dict[str, Any],
    traffic: Traffic,
) -> bool:
    """Run one party until it waits for a message that is not there; return whether it moved."""
    moved = False
    answer: bytes | None = None
    while True:
        request = waiting[name]
        if request is not None:
            queue = queues.get((request.sender, name))
            if not queue:
                return moved
            answer, waiting[name] = queue.popleft(), None
        try:
            request_made = program.send(answer)  # type: ignore[arg-type]
        except StopIteration as end:
            results[name] = end.value
            return True
        moved, answer = True, None
        if isinstance(request_made, SendRequest):
            traffic.count(name, request_made)
            queues.setdefault((name, request_made.recipient), deque()).append(request_made.data)
        else:
            waiting[name] = request_made


@dataclass
class TrainingResult:
    """Result of an inline training run: each party's own model, and what the run as a whole shows."""

    guest: PartyModel
    hosts: list[PartyModel]
    arbiter: ArbiterModel
    traffic: Traffic
    verified_rounds: int | None

    @property
    def threshold(self) -> float:
        """τ: a probability where labels come from the joint score, else F."""
        return readable_threshold(self.arbiter, self.guest.scale)

    @property
    def weight_hash(self) -> str:
        """One hash of the final weights of all parties."""
        return joint_hash([m.hashes[-1] for m in (self.guest, *self.hosts)])


def party_names(n_hosts: int) -> tuple[str, ...]:
    """Return the parties' names in the order in which they are driven; InputError without hosts."""
    if n_hosts < 1:
        raise InputError("hosts", "needs at least one host")
    return ("arbiter", "guest", *(f"host{i + 1}" for i in range(n_hosts)))


def make_links(n_hosts: int, observer: Observer | None = None) -> dict[str, Link]:
    """Return one link per party; peers are listed guest first, hosts in order, arbiter last."""
    names = party_names(n_hosts)
    order = (*names[1:], names[0])
    return {name: Link(name, tuple(peer for peer in order if peer != name), observer) for name in names}


def train(
    guest_inputs: PartyInputs,
    host_inputs: Sequence[PartyInputs],
    settings: Settings,
    arbiter_inputs: ArbiterInputs | None = None,
    *,
    observer: Observer | None = None,
    verify: bool = False,
    journals: Mapping[str, Journal] | None = None,
) -> TrainingResult:
    """Train with all parties in this process.

    Parameters
    ----------
    guest_inputs, host_inputs
        Matched rows in the same order; one host or more.
    settings
        Agreed settings; ``simulation`` must be on for one organisation to play every part.
    verify
        Also run the plaintext twin and compare every party's weights of every round bit by bit.
    journals
        One a party, by name: an interrupted run then goes on from its last round.

    Raises
    ------
    VflError
        Whatever a party raises; ``verify`` raises when a bit differs.
    """
    links, kept = make_links(len(host_inputs), observer), journals or {}
    programs: dict[str, Program] = {
        "arbiter": arbiter.train(links["arbiter"], arbiter_inputs or ArbiterInputs("arbiter"), settings, kept.get("arbiter")),
        "guest": guest.train(links["guest"], guest_inputs, settings, kept.get("guest")),
    }
    for i, inputs in enumerate(host_inputs):
        name = f"host{i + 1}"
        programs[name] = host.train(links[name], inputs, settings, kept.get(name))
    traffic = Traffic()
    results = drive(programs, traffic)
    hosts = [results[f"host{i + 1}"] for i in range(len(host_inputs))]
    verified = None
    if verify:
        if observer:
            observer("verify", results["guest"].n_iter, "plaintext twin")
        verified = _compare_with_twin([results["guest"], *hosts], guest_inputs, host_inputs, settings)
    return TrainingResult(results["guest"], hosts, results["arbiter"], traffic, verified)


def _compare_with_twin(
    models: list[PartyModel], guest_inputs: PartyInputs, host_inputs: Sequence[PartyInputs], settings: Settings
) -> int:
    quiet = [dataclasses.replace(inputs, after_round=None) for inputs in (guest_inputs, *host_inputs)]
    twin = train_twin(quiet[0], quiet[1:], settings, n_rounds=models[0].n_iter)
    for model, block in zip(models, twin, strict=True):
        for round_, (ours, theirs) in enumerate(zip(model.hashes, block.hashes, strict=True), start=1):
            if ours != theirs:
                raise VflError(f"verify: the weights of {model.name} differ from the plaintext twin's in round {round_}")
    told = [model.inference for model in models]
    if settings.inference and [one and one.to_dict() for one in told] != [one.to_dict() for one in inference.plain(twin)]:
        raise VflError("verify: the standard errors differ from the plaintext twin's")
    return models[0].n_iter


def score(
    guest_inputs: ScoringInputs,
    host_inputs: Sequence[ScoringInputs],
    model: ArbiterModel,
    settings: Settings,
    arbiter_inputs: ArbiterInputs | None = None,
    *,
    observer: Observer | None = None,
) -> tuple[ScoringResult, Traffic]:
    """Score with all parties in this process; return what the guest learns, and the traffic."""
    links = make_links(len(host_inputs), observer)
    programs: dict[str, Program] = {
        "arbiter": arbiter.score(links["arbiter"], arbiter_inputs or ArbiterInputs("arbiter"), model, settings),
        "guest": guest.score(links["guest"], guest_inputs, settings),
    }
    for i, inputs in enumerate(host_inputs):
        programs[f"host{i + 1}"] = host.score(links[f"host{i + 1}"], inputs, settings)
    traffic = Traffic()
    results = drive(programs, traffic)
    return results["guest"], traffic
