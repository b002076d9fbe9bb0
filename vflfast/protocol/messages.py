"""Messages: frozen dataclasses and their one binary form.

A message is a fixed header (magic, version, kind, session, round, attempt, sender, recipient, body length), the body's fields in
order, and a SHA-256 digest of all before it. Sizes are checked before anything is allocated; no type names travel.
"""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import ProtocolError
from ..params import MAX_BODY_BYTES, WIRE_VERSION
from .fields import DECODERS, ENCODERS, Limbs, Reader, name_bytes, name_text
from .inference_messages import ColumnMoments as ColumnMoments
from .inference_messages import CrossMoments as CrossMoments
from .inference_messages import Curvature as Curvature
from .inference_messages import StandardErrors as StandardErrors
from .inference_messages import WeighedColumn as WeighedColumn
from .message import Envelope as Envelope
from .message import Message as Message

MAGIC = b"VFLF"
HEADER = struct.Struct("<4sHH32sII16s16sQ")
DIGEST_BYTES = 32
SESSION_BYTES = 32
NO_SESSION = bytes(SESSION_BYTES)


@dataclass(frozen=True)
class Hello(Message):
    """First word between any two parties: organisation, 128 random bits, settings, number of columns (0: the arbiter).

    `run`, `newest` and `finished` tell what its journal holds (resume.py); a fresh party has none. `inputs` is a keyed commitment to its
    columns and customers, for the others' accounts of what it is told (budget.py); empty where it makes none. `largest` is the largest
    leverage of a row in its own columns (row_guard.py), -1 where it measured none; `above_…`: how many rows are above 0.2, 0.5, 0.9.
    """

    kind = 1
    phase = "setup"
    organisation: str
    nonce: bytes
    settings: str
    n_columns: int
    run: bytes = b""
    newest: int = 0
    finished: int = 0
    inputs: bytes = b""
    largest: float = -1.0
    above_fifth: int = 0
    above_half: int = 0
    above_nine_tenths: int = 0


@dataclass(frozen=True)
class KeyAnnouncement(Message):
    """Arbiter to data parties: n (little-endian limbs) and the proof that it is square-free."""

    kind = 2
    phase = "setup"
    n: Limbs
    proof: Limbs


@dataclass(frozen=True)
class RowCommitment(Message):
    """Guest to and from hosts: number of rows, SHA-256 commitment to their order."""

    kind = 3
    phase = "setup"
    n_rows: int
    digest: bytes


@dataclass(frozen=True)
class TrainingLabels(Message):
    """Guest to hosts, patent profile only [0080]: labels ±1 as bytes 1 and 0."""

    kind = 4
    phase = "setup"
    labels: bytes


@dataclass(frozen=True)
class OrderSeed(Message):
    """Guest to hosts: the secret row order of scoring, which the arbiter never sees."""

    kind = 5
    phase = "setup"
    seed: bytes


@dataclass(frozen=True)
class Quota(Message):
    """Data party to arbiter: training rows and the largest |z| of its columns; with n_columns they say how many ciphertexts are opened."""

    kind = 6
    phase = "setup"
    n_rows: int
    largest: int


@dataclass(frozen=True)
class MaskSeed(Message):
    """Of two data parties the first by name to the other: 256-bit seed of the masks between them."""

    kind = 7
    phase = "setup"
    seed: bytes


@dataclass(frozen=True)
class PenaltyChoice(Message):
    """Guest to host, after a judgement in the search for λ: the number of the next value, or with `final` that of the best."""

    kind = 17
    phase = "update"
    number: int
    final: int


@dataclass(frozen=True)
class HalfRange(Message):
    """Between all data parties: centre and scale, or with several hosts reach, of the own half of u in this round."""

    kind = 9
    phase = "forward"
    centre: float
    scale: float


@dataclass(frozen=True)
class Predictor(Message):
    """Host to guest: [[u″]], one ciphertext a row [0101]; with the logistic residual 1 to 16, the columns [[φ(u″)]]."""

    kind = 10
    phase = "forward"
    ciphertexts: Limbs


@dataclass(frozen=True)
class Residual(Message):
    """Guest to host: [[4g]], one ciphertext a row [0102], [0103]."""

    kind = 11
    phase = "forward"
    ciphertexts: Limbs


@dataclass(frozen=True)
class MaskedGradient(Message):
    """Data party to arbiter: packed, masked gradient [0104], [0105]."""

    kind = 12
    phase = "gradient"
    ciphertexts: Limbs


@dataclass(frozen=True)
class OpenedGradient(Message):
    """Arbiter to its owner: the opened, still masked gradient [0106]."""

    kind = 13
    phase = "gradient"
    plaintexts: Limbs


@dataclass(frozen=True)
class InnerProducts(Message):
    """Between data parties: own inner products of the step's vectors under pairwise masks, rows of 8 limbs (learn/lbfgs.py)."""

    kind = 16
    phase = "update"
    values: Limbs


@dataclass(frozen=True)
class Vote(Message):
    """Data party to arbiter: its encrypted stop flag [0131], and its transcript with every peer so far, 32 bytes each by name."""

    kind = 14
    phase = "vote"
    ciphertexts: Limbs
    transcripts: bytes = b""


@dataclass(frozen=True)
class Verdict(Message):
    """Arbiter to data parties: stop or go on [0135], with the number of the round that is now complete."""

    kind = 15
    phase = "vote"
    stop: int
    completed: int


@dataclass(frozen=True)
class ScoreShare(Message):
    """Data party to arbiter: packed encrypted scores s, their normalisation (clip(s, low, high) − center)/scale, power [0148]."""

    kind = 20
    phase = "score"
    n_rows: int
    ciphertexts: Limbs
    center: float
    scale: float
    low: float
    high: float
    power: float


@dataclass(frozen=True)
class ThresholdChoice(Message):
    """Guest to arbiter: the quota to flag, or the threshold it chose from the combined scores."""

    kind = 21
    phase = "score"
    value: float


@dataclass(frozen=True)
class CombinedScores(Message):
    """Arbiter to recipients: combined scores F, or joint scores, in the secret order."""

    kind = 22
    phase = "score"
    scores: npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoreLabels(Message):
    """Arbiter to recipients: labels (1 for +1, 0 for −1) in the secret order, with τ where the settings open it (else NaN)."""

    kind = 23
    phase = "score"
    labels: bytes
    threshold: float


@dataclass(frozen=True)
class ScaleSeed(Message):
    """Guest to hosts: 256-bit secret of the joint score's scale and shift, which the arbiter never sees."""

    kind = 24
    phase = "score"
    seed: bytes


@dataclass(frozen=True)
class JointShare(Message):
    """Data party to arbiter: packed encrypted parts of the joint score, rint(factor·u) under pairwise masks modulo 2^64."""

    kind = 25
    phase = "score"
    n_rows: int
    ciphertexts: Limbs


@dataclass(frozen=True)
class Transcripts(Message):
    """Data party to arbiter: its transcript with every peer at the end, 32 bytes each by name."""

    kind = 26
    phase = "end"
    digests: bytes


@dataclass(frozen=True)
class TranscriptsEqual(Message):
    """Arbiter to data parties: every two parties saw the same messages, so that the results may be used."""

    kind = 27
    phase = "end"


@dataclass(frozen=True)
class EncryptedLabels(Message):
    """Guest to host: [[y]], y ∈ {0, 1}, one ciphertext a row."""

    kind = 30
    phase = "woe"
    ciphertexts: Limbs


@dataclass(frozen=True)
class ClassSums(Message):
    """Host to guest: rows per class (features × classes), packed [[positives]] of those that have rows, seed of the check's weights."""

    kind = 31
    phase = "woe"
    rows: Limbs
    seed: bytes
    ciphertexts: Limbs


@dataclass(frozen=True)
class SumsQuota(Message):
    """Host to arbiter: how many ciphertexts of its class sums the guest may have opened."""

    kind = 32
    phase = "woe"
    n_ciphertexts: int


@dataclass(frozen=True)
class MaskedSums(Message):
    """Guest to arbiter: one host's packed class sums under the guest's masks."""

    kind = 33
    phase = "woe"
    ciphertexts: Limbs


@dataclass(frozen=True)
class OpenedSums(Message):
    """Arbiter to guest: the opened, still masked class sums."""

    kind = 34
    phase = "woe"
    plaintexts: Limbs


@dataclass(frozen=True)
class ClassEvidence(Message):
    """Guest to host: the WOE integer of every class (features × classes) as a 64-bit two's complement, 0 where a class has no rows."""

    kind = 35
    phase = "woe"
    values: Limbs


KINDS: dict[int, type[Message]] = {
    cls.kind: cls
    for cls in (
        Hello, KeyAnnouncement, RowCommitment, TrainingLabels, OrderSeed, Quota, MaskSeed, HalfRange, Predictor, Residual, MaskedGradient,
        OpenedGradient, PenaltyChoice, InnerProducts,
        Vote, Verdict, ScoreShare, ThresholdChoice, CombinedScores, ScoreLabels, ScaleSeed, JointShare,
        Curvature, WeighedColumn, ColumnMoments, CrossMoments, StandardErrors,
        Transcripts, TranscriptsEqual, EncryptedLabels, ClassSums, SumsQuota, MaskedSums, OpenedSums, ClassEvidence,
    )
}  # fmt: skip


def to_bytes(message: Message, envelope: Envelope) -> bytes:
    """Return the binary form of a message."""
    body = b"".join(ENCODERS[field.type](getattr(message, field.name)) for field in dataclasses.fields(message))
    header = HEADER.pack(
        MAGIC, WIRE_VERSION, message.kind, envelope.session, envelope.round, envelope.attempt,
        name_bytes(envelope.sender), name_bytes(envelope.recipient), len(body),
    )  # fmt: skip
    data = header + body
    return data + hashlib.sha256(data).digest()


def from_bytes(data: bytes, peer: str, kinds: Mapping[int, type[Message]] = KINDS) -> tuple[Message, Envelope]:
    """Return the message, one of `kinds`, and where it belongs.

    Raises
    ------
    ProtocolError
        Wrong size, magic, version, kind, digest, or fields that do not fill the body exactly; `peer` is named.
    """
    if len(data) < HEADER.size + DIGEST_BYTES:
        raise ProtocolError(peer, "parse", "a message shorter than its header")
    magic, version, kind, session, round_, attempt, sender, recipient, body_bytes = HEADER.unpack_from(data)
    if magic != MAGIC or version != WIRE_VERSION:
        raise ProtocolError(peer, "parse", f"no message of version {WIRE_VERSION}")
    if body_bytes > MAX_BODY_BYTES or len(data) != HEADER.size + body_bytes + DIGEST_BYTES:
        raise ProtocolError(peer, "parse", "the message's length is not what its header says")
    if hashlib.sha256(memoryview(data)[:-DIGEST_BYTES]).digest() != data[-DIGEST_BYTES:]:
        raise ProtocolError(peer, "parse", "the message's digest is wrong: corrupted on the way")
    if kind not in kinds:
        raise ProtocolError(peer, "parse", f"unknown kind of message {kind}")
    cls = kinds[kind]
    reader = Reader(memoryview(data)[HEADER.size : -DIGEST_BYTES], peer, cls.__name__)
    values = {field.name: DECODERS[field.type](reader) for field in dataclasses.fields(cls)}
    reader.finish()
    return cls(**values), Envelope(session, round_, attempt, name_text(sender, peer), name_text(recipient, peer))
