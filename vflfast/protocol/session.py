"""Setup: Hello, settings comparison, session id, public key, row commitment."""

from __future__ import annotations

import hashlib
import secrets
import struct
from dataclasses import dataclass, field, replace

import numpy as np

from ..crypto.scheme import Private, Public
from ..crypto.schemes import scheme
from ..errors import InputError, ProtocolError
from ..learn.leverage import LIMITS, Leverage
from ..params import KEY_BITS, MAX_COUNT, NONCE_BYTES, SEED_BYTES
from . import messages as ms
from .budget import COMMITMENT_BYTES, Claim, claims_of
from .link import Link
from .resume import Checkpoint, Journal, NoJournal, checkpoint_of, common_round, position
from .settings import Settings

DIGEST_BYTES = 32


def key_context(session: bytes) -> bytes:
    """Return what the key proof is bound to: protocol, session and role."""
    return b"vflfast key of the arbiter" + session


@dataclass(frozen=True)
class Opening:
    """What Hello settles.

    Attributes
    ----------
    columns
        Every party's number of columns; the arbiter has 0.
    run, checkpoint
        Id of the run, and where it goes on.
    claims
        What each data party but this one will be told (budget.py).
    """

    columns: dict[str, int]
    run: bytes
    checkpoint: Checkpoint | None
    claims: list[Claim] = field(default_factory=list)


async def say_hello(
    link: Link,
    settings: Settings,
    organisation: str,
    n_columns: int,
    journal: Journal | None = None,
    inputs: bytes = b"",
    commitment: bytes = b"",
    rows: Leverage | None = None,
) -> Opening:
    """All ↔ all: exchange nonces, settings and journals' ends; the session id is the hash of all of them (protocol §7).

    `inputs` is the digest that the journal's checkpoints must carry, `commitment` that to the own columns (budget.py),
    `rows` what they tell of single rows (row_guard.py).

    Raises
    ------
    ProtocolError
        For settings that differ.
    """
    journal = journal or NoJournal()
    hellos = await _exchange(link, settings, organisation, n_columns, position(journal, inputs), commitment, rows)
    run, round_ = common_round(hellos)
    link.round = round_
    columns = {name: hello.n_columns for name, hello in hellos.items()}
    return Opening(columns, run or link.session, checkpoint_of(journal, round_), _claims(link, hellos, settings))


def _claims(link: Link, hellos: dict[str, ms.Hello], settings: Settings) -> list[Claim]:
    peers = {name: hello for name, hello in hellos.items() if name != link.name}
    organisations = {name: hello.organisation for name, hello in peers.items()}
    columns = {name: hello.n_columns for name, hello in peers.items()}
    commitments = {name: hello.inputs for name, hello in peers.items()}
    claims = claims_of(organisations, columns, commitments, settings.n_batches, settings.row_packing)
    return [replace(claim, rows=rows_told(peers[claim.party])) for claim in claims]


def rows_told(hello: ms.Hello) -> Leverage | None:
    """Return what a party says that its columns tell of single rows."""
    if hello.largest < 0:
        return None
    return Leverage(hello.largest, dict(zip(LIMITS, (hello.above_fifth, hello.above_half, hello.above_nine_tenths), strict=True)), [])


async def say_hello_to_score(link: Link, settings: Settings, organisation: str, n_columns: int, run: str) -> None:
    """As `say_hello`, for parties that bring models; `run` is the training run of the own one, 64 hex digits.

    Raises
    ------
    ProtocolError
        For settings that differ, a party without a model, or a model of another training run.
    """
    own = bytes.fromhex(run)
    hellos = await _exchange(link, settings, organisation, n_columns, (own, 1, 1))
    for peer in link.peers:
        if hellos[peer].run != own:
            raise ProtocolError(peer, "Hello", f"its model comes from another training run than that of {link.name}")


async def _exchange(
    link: Link, settings: Settings, organisation: str, n_columns: int, held: tuple[bytes, int, int], commitment: bytes = b"",
    rows: Leverage | None = None,
) -> dict[str, ms.Hello]:
    """Exchange and check Hello; the session id is the hash of all of them. `held`: run, newest round, finished."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    largest, counts = (-1.0, (0, 0, 0)) if rows is None else (rows.largest, rows.counts)
    hellos = {link.name: ms.Hello(organisation, nonce, settings.to_json(), n_columns, *held, commitment, largest, *counts)}
    for peer in link.peers:
        await link.send(peer, hellos[link.name])
    for peer in link.peers:
        hellos[peer] = await link.receive(peer, ms.Hello)
    for peer in link.peers:
        _check_hello(peer, hellos[peer], settings)
    arbiter = hellos["arbiter"].organisation
    for name, hello in hellos.items():
        if name != "arbiter" and hello.organisation == arbiter and not settings.simulation:
            raise ProtocolError(name, "Hello", "is the same organisation as the arbiter: together they can open everything")
    digest = hashlib.sha256(b"vflfast session")
    for name in sorted(hellos):
        hello = hellos[name]
        for part in (name.encode(), hello.organisation.encode(), hello.nonce, hello.settings.encode(), hello.run, hello.inputs):
            digest.update(len(part).to_bytes(8, "little") + part)
        measured_rows = (hello.above_fifth, hello.above_half, hello.above_nine_tenths)
        for number in (hello.n_columns, hello.newest, hello.finished, *measured_rows):
            digest.update(number.to_bytes(8, "little"))
        digest.update(struct.pack("<d", hello.largest))
    link.session = digest.digest()
    return hellos


def _check_hello(peer: str, hello: ms.Hello, settings: Settings) -> None:
    if len(hello.nonce) != NONCE_BYTES:
        raise ProtocolError(peer, "Hello", f"its nonce must have {NONCE_BYTES} bytes")
    least = 0 if peer == "arbiter" else 1
    if not least <= hello.n_columns <= least * MAX_COUNT:
        raise ProtocolError(peer, "Hello", f"cannot have {hello.n_columns} columns")
    if len(hello.inputs) not in (0, COMMITMENT_BYTES):
        raise ProtocolError(peer, "Hello", f"a commitment to columns has {COMMITMENT_BYTES} bytes")
    if hello.largest != -1.0 and not 0.0 <= hello.largest <= 1.0:
        raise ProtocolError(peer, "Hello", "a leverage is from 0 to 1, or -1 where none was measured")
    if len(hello.run) != (DIGEST_BYTES if hello.newest else 0) or hello.finished > 1 or hello.newest > MAX_COUNT:
        raise ProtocolError(peer, "Hello", "what it says of its journal is no run and no round")
    differences = settings.differences(hello.settings)
    if differences:
        raise ProtocolError(peer, "Hello", "settings differ: " + "; ".join(differences))


async def announce_key(link: Link, private: Private) -> None:
    """Arbiter → data parties: the public key with the proof that it is sound, bound to this session."""
    link.stage("key proof")
    message = ms.KeyAnnouncement(*private.announce(key_context(link.session)))
    for peer in link.peers:
        await link.send(peer, message)


async def receive_key(link: Link, settings: Settings) -> Public:
    """Return the arbiter's public key after validation (assurance rule 6); ProtocolError if it fails."""
    message = await link.receive("arbiter", ms.KeyAnnouncement)
    link.stage("key check")
    test_sizes, context = settings.key_bits not in KEY_BITS, key_context(link.session)
    try:
        return scheme(settings.scheme).receive(message.n, message.proof, settings.bits_of_key, context, test_sizes=test_sizes)
    except InputError as error:
        raise ProtocolError("arbiter", "KeyAnnouncement", str(error)) from error


async def compare_rows(link: Link, others: tuple[str, ...], n_rows: int, digest: bytes) -> None:
    """Guest ↔ host: compare commitments to the row order. A mismatch is an error, never a cut; ProtocolError."""
    if len(digest) != DIGEST_BYTES:
        raise InputError("commitment", f"must have {DIGEST_BYTES} bytes")
    for other in others:
        await link.send(other, ms.RowCommitment(n_rows, digest))
    for other in others:
        theirs = await link.receive(other, ms.RowCommitment)
        if theirs.n_rows != n_rows:
            raise ProtocolError(other, "RowCommitment", f"has {theirs.n_rows} rows, {link.name} has {n_rows}")
        if theirs.digest != digest:
            raise ProtocolError(other, "RowCommitment", "the rows are not the same customers in the same order")


def secret_order(seed: bytes, n_rows: int) -> np.ndarray:
    """Return the permutation that guest and host derive from their shared seed, unknown to the arbiter.

    Raises
    ------
    InputError
        For a seed of another length.
    """
    if len(seed) != SEED_BYTES:
        raise InputError("seed", f"must have {SEED_BYTES} bytes")
    keyed = [hashlib.blake2b(i.to_bytes(8, "little"), key=seed, digest_size=16).digest() for i in range(n_rows)]
    return np.array(sorted(range(n_rows), key=keyed.__getitem__), dtype=np.int64)
