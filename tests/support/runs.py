"""Small inline runs for the tests of the protocol, and programs whose messages pass through somebody else's hands."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.errors import ProtocolError
from vflfast.learn.scoring import Norm
from vflfast.protocol import arbiter, guest, host, inline, matching
from vflfast.protocol import messages as ms
from vflfast.protocol.arbiter import ArbiterInputs
from vflfast.protocol.block import PartyInputs
from vflfast.protocol.guest import ScoringInputs
from vflfast.protocol.link import ReceiveRequest, SendRequest
from vflfast.protocol.party_model import PartyModel
from vflfast.protocol.resume import Journal
from vflfast.protocol.settings import Settings

# One fixed 512-bit test key: primes 3 modulo 4 with gcd(p - 1, q - 1) = 2.
P = 92182819389432873402564669719188009182104278287108377161916220106735871848627
Q = 94470372559683736749498060197853054059604842534265408683886548358876904436027

Labels = npt.NDArray[np.int8]
Change = Callable[[str, ms.Message, ms.Envelope], "list[bytes] | None"]


def private_key() -> PrivateKey:
    """The fixed test key, on the backend in use."""
    return PrivateKey(P, Q, test_sizes=True)


SHORT = {"key_bits": 512, "test_key": True, "max_iter": 2, "max_leverage": 1.0, "allow_wide": True}


def settings(**changes: Any) -> Settings:
    """Settings for short runs with the test key, of few rows: the guards of single rows and of wide tables are off.

    Rounds and scores are those of the patent, which attacks are simplest on; `defaults` has what ships.
    """
    return Settings(**SHORT | {"residual": "taylor", "solver": "block-newton", "scoring": "combined"} | changes)


def defaults(**changes: Any) -> Settings:
    """Short runs by the default residual, solver and scores."""
    return Settings(**SHORT | changes)


def elgamal_settings(**changes: Any) -> Settings:
    """As `defaults`, by the other scheme."""
    short = {name: value for name, value in SHORT.items() if name not in ("key_bits", "test_key")}
    return Settings(**short | {"scheme": "elgamal"} | changes)


@dataclass(frozen=True)
class Parties:
    """Inputs of a run."""

    guest: PartyInputs
    hosts: list[PartyInputs]

    @property
    def labels(self) -> Labels:
        """The guest's labels."""
        assert self.guest.labels is not None
        return self.guest.labels


def parties(n_rows: int = 60, columns: Sequence[int] = (3, 4), *, seed: int = 0, classes: int = 5) -> Parties:
    """Inputs with `columns` five-class columns at the guest and at each host; the labels depend on all of them."""
    rng = np.random.default_rng(seed)
    codes = [rng.integers(0, classes, (count, n_rows), dtype=np.uint8) for count in columns]
    signal = sum((part * rng.normal(size=(len(part), 1))).sum(axis=0) for part in codes)
    noisy = np.asarray(signal) + rng.normal(size=n_rows)
    labels = np.where(noisy > np.quantile(noisy, 0.6), 1, -1).astype(np.int8)
    commitment = hashlib.sha256(b"rows").digest()
    matrices = [CodedMatrix(part, np.full(len(part), classes)) for part in codes]
    hosts = [PartyInputs(matrix, commitment, f"partner {i}") for i, matrix in enumerate(matrices[1:], start=1)]
    return Parties(PartyInputs(matrices[0], commitment, "bank", labels), hosts)


def train(made: Parties, agreed: Settings, **options: Any) -> inline.TrainingResult:
    """An inline training run with the test key."""
    return inline.train(made.guest, made.hosts, agreed, ArbiterInputs("arbiter", private_key()), **options)


def scoring_inputs(inputs: PartyInputs, model: PartyModel) -> ScoringInputs:
    """What a party brings to a scoring session after training."""
    norm = None if model.norm is None else Norm.from_dict(model.norm)
    return ScoringInputs(inputs, model.weights, model.intercept, norm, model.session, model.scale)


def training_programs(
    made: Parties, agreed: Settings | dict[str, Settings], journals: Mapping[str, Journal] | None = None
) -> dict[str, inline.Program]:
    """The parties' training programs; settings may differ by party, each may have a journal."""
    journals = journals or {}
    names = inline.party_names(len(made.hosts))
    each = agreed if isinstance(agreed, dict) else dict.fromkeys(names, agreed)
    links = inline.make_links(len(made.hosts))
    programs: dict[str, inline.Program] = {
        "arbiter": arbiter.train(links["arbiter"], ArbiterInputs("arbiter", private_key()), each["arbiter"], journals.get("arbiter")),
        "guest": guest.train(links["guest"], made.guest, each["guest"], journals.get("guest")),
    }
    for name, inputs in zip(names[2:], made.hosts, strict=True):
        programs[name] = host.train(links[name], inputs, each[name], journals.get(name))
    return programs


def scoring_programs(made: Parties, trained: inline.TrainingResult, agreed: Settings) -> dict[str, inline.Program]:
    """The parties' scoring programs."""
    links = inline.make_links(len(made.hosts))
    programs: dict[str, inline.Program] = {
        "arbiter": arbiter.score(links["arbiter"], ArbiterInputs("arbiter", private_key()), trained.arbiter, agreed),
        "guest": guest.score(links["guest"], scoring_inputs(made.guest, trained.guest), agreed),
    }
    for inputs, model in zip(made.hosts, trained.hosts, strict=True):
        programs[model.name] = host.score(links[model.name], scoring_inputs(inputs, model), agreed)
    return programs


def score(made: Parties, trained: inline.TrainingResult, agreed: Settings) -> guest.ScoringResult:
    """An inline scoring run over the training rows; what the guest learns."""
    result: guest.ScoringResult = inline.drive(scoring_programs(made, trained, agreed))["guest"]
    return result


# --- in the middle -----------------------------------------------------------------------------------------------


MATCHING_KINDS: dict[int, type[ms.Message]] = {
    cls.kind: cls for states in matching.TABLE.values() for follow in states.values() for cls in follow
}


class Tampered:
    """A program whose sent messages pass through `change`: (recipient, message, envelope) → the bytes to send instead.

    None leaves the message as it is; an empty list drops it.
    """

    def __init__(self, program: inline.Program, change: Change) -> None:
        self.program, self.change = program, change
        self.ready: deque[SendRequest] = deque()

    def send(self, value: bytes | None) -> SendRequest | ReceiveRequest:
        while not self.ready:
            request = self.program.send(value)  # type: ignore[arg-type]
            if not isinstance(request, SendRequest):
                return request
            value = None
            message, envelope = ms.from_bytes(request.data, "test", ms.KINDS | MATCHING_KINDS)
            changed = self.change(request.recipient, message, envelope)
            sent = [request.data] if changed is None else changed
            self.ready.extend(SendRequest(request.recipient, data, request.kind) for data in sent)
        return self.ready.popleft()

    def close(self) -> None:
        self.program.close()


def run(programs: dict[str, inline.Program], tampered: dict[str, Change] | None = None) -> dict[str, Any]:
    """Drive programs, some of them tampered with."""
    for name, change in (tampered or {}).items():
        programs[name] = Tampered(programs[name], change)  # type: ignore[assignment]
    return inline.drive(programs)


def listen(programs: dict[str, inline.Program]) -> tuple[dict[str, Any], list[tuple[ms.Message, ms.Envelope, bytes]]]:
    """Drive programs; return their results and every message in the order in which it was sent."""
    heard: list[tuple[ms.Message, ms.Envelope, bytes]] = []

    def note(_: str, message: ms.Message, envelope: ms.Envelope) -> None:
        heard.append((message, envelope, ms.to_bytes(message, envelope)))

    return run(programs, dict.fromkeys(programs, note)), heard


def replace(step: type[ms.Message], *, recipient: str | None = None, occurrence: int = 1, **fields: Any) -> Change:
    """A change of the fields of one occurrence of a message; a callable gets the old value."""
    seen = 0

    def change(to: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
        nonlocal seen
        if not isinstance(message, step) or to != (recipient or to):
            return None
        seen += 1
        if seen != occurrence:
            return None
        new = {name: value(getattr(message, name)) if callable(value) else value for name, value in fields.items()}
        return [ms.to_bytes(dataclasses.replace(message, **new), envelope)]

    return change


def refused(tampered: dict[str, Change] | None = None, *, made: Parties | None = None, agreed: Any = None) -> ProtocolError:
    """The ProtocolError that a training run ends in."""
    with pytest.raises(ProtocolError) as caught:
        run(training_programs(made or parties(16, (2, 3)), agreed or settings()), tampered)
    return caught.value
