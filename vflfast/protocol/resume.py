"""Going on after a crash: what a party commits after each round, and how all agree where to go on (protocol §3, §7).

A party that restarts begins a new session, with a new key, new masks and a new attempt. Hello says which rounds its journal holds.
Nobody can be more than one round ahead of another, because a round needs everybody, so two generations always hold a common round;
at most the work of one round is repeated. Weights are exact integer arithmetic on opened sums: the repeated round gives the same bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..errors import InputError, ProtocolError
from . import messages as ms
from .block import Block, PartyInputs
from .leakage import LeakEntry, LeakLedger
from .settings import Settings

NO_RUN = b""


@dataclass(frozen=True)
class Checkpoint:
    """A party's state at the end of a round: no masks, no keys, nothing of another party.

    Attributes
    ----------
    run
        32 bytes, the id of the run's first session.
    inputs
        32 bytes, SHA-256 of the party's data and settings: a checkpoint serves no others.
    round
        From 1.
    stopped
        Whether this round was the last.
    state
        What the party needs to go on, ready for JSON.
    """

    run: bytes
    inputs: bytes
    round: int
    stopped: bool
    state: dict[str, Any]


class Journal(Protocol):
    """Durable memory of a party's rounds."""

    def held(self) -> tuple[Checkpoint, ...]:
        """Return the newest checkpoint and, if it is whole, the one before it; newest first."""

    def commit(self, checkpoint: Checkpoint) -> None:
        """Return when the checkpoint is durable."""

    def finished(self) -> bool:
        """Return whether the run that is held was brought to its end here."""


class NoJournal:
    """Keeps nothing: the inline run, and scoring."""

    def held(self) -> tuple[Checkpoint, ...]:
        """Return nothing."""
        return ()

    def commit(self, checkpoint: Checkpoint) -> None:
        """Forget the checkpoint."""

    def finished(self) -> bool:
        """Return False."""
        return False


def inputs_digest(inputs: PartyInputs, settings: Settings) -> bytes:
    """Return the SHA-256 of a data party's columns, rows, labels, weights and settings."""
    digest = hashlib.sha256(b"vflfast inputs")
    matrix = inputs.matrix
    labels = b"" if inputs.labels is None else inputs.labels.tobytes()
    arrays = (matrix.codes, matrix.class_counts, matrix.column_features, matrix.column_values)
    views = [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data for array in arrays]  # no copy of the codes
    row_weights = b"" if inputs.row_weights is None else inputs.row_weights.astype("<i8").tobytes()
    held_out = b"" if inputs.held_out is None else inputs.held_out.tobytes()
    parts: list[bytes | memoryview] = [*views, inputs.commitment, labels, row_weights, held_out, settings.to_json().encode()]
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def settings_digest(settings: Settings) -> bytes:
    """Return the SHA-256 of the settings: all that the arbiter brings to a run."""
    return hashlib.sha256(b"vflfast arbiter" + settings.to_json().encode()).digest()


def position(journal: Journal, inputs: bytes) -> tuple[bytes, int, int]:
    """Return (run, newest round, finished) for Hello: (empty, 0, 0) without a checkpoint.

    Raises
    ------
    InputError
        The journal was written with other data or settings.
    """
    held = journal.held()
    if not held:
        return NO_RUN, 0, 0
    if held[0].inputs != inputs:
        raise InputError("journal", "was written with other data or settings; go on with those, or start with an empty journal")
    return held[0].run, held[0].round, int(journal.finished())


def common_round(hellos: Mapping[str, ms.Hello]) -> tuple[bytes, int]:
    """Return (run, last round that every party has committed); (empty, 0) to start anew.

    A run begun after a finished one holds nothing yet at a party whose journal still ends with the finished one. First rounds of
    different runs are of attempts that began anew because some party had none.

    Raises
    ------
    ProtocolError
        Journals of different runs, or one that ends more than one round before another's.
    """
    under_way = {hello.run for hello in hellos.values() if hello.newest and not hello.finished}
    if not under_way:
        return NO_RUN, 0
    newest = {name: 0 if hello.finished and hello.run not in under_way else hello.newest for name, hello in hellos.items()}
    behind, ahead = min(newest, key=newest.__getitem__), max(newest, key=newest.__getitem__)
    if newest[ahead] - newest[behind] > 1:
        raise ProtocolError(
            behind, "Hello", f"its journal ends at round {newest[behind]}, that of {ahead} at round {newest[ahead]}: "
            "bring its journal back, or start all parties with empty ones",
        )  # fmt: skip
    if newest[behind] == 0 or (newest[ahead] == 1 and len(under_way) > 1):
        return NO_RUN, 0
    if len(under_way) > 1:
        raise ProtocolError(behind, "Hello", "the parties' journals belong to different runs: start all parties with empty ones")
    return under_way.pop(), newest[behind]


def checkpoint_of(journal: Journal, round_: int) -> Checkpoint | None:
    """Return the checkpoint of the agreed round; None for round 0.

    Raises
    ------
    InputError
        It is not held any more.
    """
    if round_ == 0:
        return None
    for checkpoint in journal.held():
        if checkpoint.round == round_:
            return checkpoint
    raise InputError("journal", f"does not hold round {round_}: its copy is damaged")


def block_state(block: Block, ledger: LeakLedger) -> dict[str, Any]:
    """Return a data party's state for its checkpoint."""
    return {"block": block.state(), "ledger": ledger.to_list()}


def resume_block(checkpoint: Checkpoint | None, block: Block, ledger: LeakLedger) -> bool:
    """Take back what `block_state` gave; return whether the run had stopped. ModelError names what is wrong."""
    if checkpoint is None:
        return False
    block.restore(checkpoint.state["block"])
    ledger.entries = [LeakEntry.from_dict(e) for e in checkpoint.state["ledger"]]
    return checkpoint.stopped
