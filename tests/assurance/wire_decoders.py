"""Decoders of what comes from peers: messages, the programs' checks of them, the intersection, frames, status, journals."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from assurance.decoding import PEER, PLACE, SESSION, SETTINGS, Decoder, P, Q, as_json, each, put

from vflfast.crypto import limbs as lm
from vflfast.crypto.paillier import keys
from vflfast.crypto.paillier.private import PrivateKey
from vflfast.errors import ProtocolError
from vflfast.matching import ids, intersect
from vflfast.net import board, frames, journal
from vflfast.params import WIRE_VERSION
from vflfast.protocol import arbiter, guest, joint, matching, resume, session
from vflfast.protocol import messages as ms
from vflfast.protocol.noise import Noise
from vflfast.protocol.scores import SCORE_BOUND, UNIT

KINDS = {**ms.KINDS, **{cls.kind: cls for lane in matching.TABLE.values() for follow in lane.values() for cls in follow}}
CONTEXT = session.key_context(SESSION)


@cache
def private() -> PrivateKey:
    return PrivateKey(P, Q, test_sizes=True)


# --- messages ----------------------------------------------------------------------------------------------------


def message_bytes(data: bytes) -> None:
    wire_and_back(data)


def signed_body(data: bytes) -> None:
    """The kind, then the body; header and digest are right."""
    wire_and_back(signed(KINDS[sorted(KINDS)[data[0] % len(KINDS)]], data[1:]) if data else b"")


def wire_and_back(wire: bytes) -> ms.Message:
    message, envelope = ms.from_bytes(wire, PEER, KINDS)
    if ms.to_bytes(message, envelope) != wire:
        raise AssertionError("two forms of one message")
    return message


def signed(cls: type[ms.Message], body: bytes) -> bytes:
    header = ms.HEADER.pack(ms.MAGIC, WIRE_VERSION, cls.kind, SESSION, 1, 1, b"host1", b"guest", len(body))
    return header + body + hashlib.sha256(header + body).digest()


OPENING = session.Opening({"host1": 2, "arbiter": 2}, SESSION, None)


def envelope() -> ms.Envelope:
    return ms.Envelope(SESSION, 1, 1, "host1", "guest")


@cache
def messages() -> list[ms.Message]:
    """One of each kind that this module's programs take."""
    one = private().public.encrypt(np.array([1]), alpha_bits=private().public.full_alpha_bits).limbs
    share = private().public.pack_to_holder([3, 4], SCORE_BOUND)
    parts = private().public.pack_to_holder([3, -4], joint.MASKED_BOUND)
    proof = keys.prove_square_free(P, Q, CONTEXT)
    return [
        ms.Hello("bank", b"n" * 16, SETTINGS.to_json(), 3), ms.Hello("bank", b"n" * 16, SETTINGS.to_json(), 3, SESSION, 2, 1),
        ms.KeyAnnouncement(lm.from_ints([P * Q], 4), lm.from_ints(proof, 4)), ms.RowCommitment(5, bytes(32)), ms.OrderSeed(bytes(32)),
        ms.Quota(5, 4), ms.MaskedGradient(one), ms.Vote(one, bytes(64)), ms.ScoreShare(2, share.limbs, 0.0, UNIT, 0.0, UNIT, 1.0),
        ms.JointShare(2, parts.limbs), ms.ScaleSeed(bytes(32)),
        ms.ThresholdChoice(0.5), ms.CombinedScores(np.array([0.25, 0.5])), ms.ScoreLabels(b"\0\1", math.nan),
        ms.Transcripts(bytes(64)), ms.TranscriptsEqual(),
        matching.HostTokens("hmac", TOKENS.tobytes()), matching.CommonPlaces(bytes(4), bytes(32)),
    ]  # fmt: skip


def body(message: ms.Message) -> bytes:
    whole = ms.to_bytes(message, envelope())[ms.HEADER.size : -ms.DIGEST_BYTES]
    return bytes([sorted(KINDS).index(message.kind)]) + whole


class Told:
    """A link on which every message is the same one."""

    name, peers, round, session, attempt = "guest", ("host1", "arbiter"), 1, SESSION, 1

    def __init__(self, message: ms.Message) -> None:
        self.message = message

    def stage(self, name: str) -> None:
        """Nobody watches."""

    async def send(self, recipient: str, message: ms.Message) -> None:
        """Nobody listens."""

    async def receive(self, sender: str, cls: type[ms.Message]) -> ms.Message:
        if not isinstance(self.message, cls):
            raise ProtocolError(sender, cls.__name__, "another message")
        return self.message

    def transcripts(self) -> bytes:
        return bytes(64)


def told(data: bytes) -> None:
    """What a party does with a message once it is parsed: the checks of session, arbiter, guest."""
    message = wire_and_back(signed(KINDS[sorted(KINDS)[data[0] % len(KINDS)]], data[1:]) if data else b"")
    link: Any = Told(message)
    order = np.array([1, 0])
    steps: dict[type[ms.Message], Callable[[], Coroutine[Any, Any, Any] | None]] = {
        ms.Hello: lambda: hear(message),
        ms.KeyAnnouncement: lambda: session.receive_key(link, SETTINGS),
        ms.RowCommitment: lambda: session.compare_rows(link, ("host1",), 5, bytes(32)),
        ms.Quota: lambda: arbiter._receive_quotas(link, private().public, OPENING, SETTINGS),
        ms.MaskedGradient: lambda: arbiter._open_gradient(link, "host1", private(), arbiter.Sums(3, 1 << 40, 1, Noise(0)), []),
        ms.Vote: lambda: arbiter._count_votes(link, private(), SETTINGS),
        ms.ScoreShare: lambda: arbiter._receive_shares(link, private(), SETTINGS),
        ms.ThresholdChoice: lambda: arbiter._settle_threshold(link, np.array([0.25, 0.5]), SETTINGS),
        ms.CombinedScores: lambda: guest._scores(link, order),
        ms.JointShare: lambda: arbiter._receive_parts(link, private()),
        ms.ScaleSeed: lambda: joint.receive_scale(link, SETTINGS),
        ms.ScoreLabels: lambda: guest.receive_labels(link, order, SETTINGS),
        matching.HostTokens: lambda: matching.match_at_guest(link, TOKENS, "hmac"),
        matching.CommonTokens: lambda: matching.match_at_host(link, TOKENS, "hmac"),
    }
    step = steps.get(type(message))
    running = step and step()
    if running:
        try:
            running.send(None)
        except StopIteration:
            return
        raise AssertionError("the program waits")


TOKENS = np.arange(64, dtype=np.uint8).reshape(2, 32)


def hear(message: Any) -> None:
    session._check_hello("guest", message, SETTINGS)
    resume.common_round({"guest": message, "host1": replace(message, run=SESSION, newest=1)})


# --- the intersection --------------------------------------------------------------------------------------------

OWN = np.array(["13800000001", "13800000002", "13800000003"], dtype=object)


def parties() -> tuple[intersect.HostIntersection, intersect.GuestIntersection]:
    host, guest_ = intersect.HostIntersection(OWN, SESSION), intersect.GuestIntersection(OWN, SESSION, ["host1"])
    for own, scalar in ((host._own, 11), (guest_._own, 7)):
        own._group.scalar = lambda scalar=scalar: bytes([scalar]) + bytes(31)  # type: ignore[method-assign]
    return host, guest_


def request(data: bytes) -> None:
    parties()[0].reply(intersect.Request(matching._as_points(data, "guest", "BlindedIds")))


def reply(data: bytes) -> None:
    own = parties()[1]
    own.request("host1")
    half = len(data) // 2
    own.receive("host1", intersect.Reply(*(matching._as_points(part, "host1", "BlindedReply") for part in (data[:half], data[half:]))))
    own.common("host1")


def common(data: bytes) -> None:
    own, other = parties()
    own.reply(other.request("host1"))
    places = data[32 : 32 + (len(data) - 32) // 4 * 4]
    own.finish(intersect.Common(np.frombuffer(places, dtype="<u4").astype(np.uint32), data[:32]))


def answers() -> tuple[bytes, bytes, bytes]:
    own, other = parties()
    asked = other.request("host1")
    got = own.reply(asked)
    other.receive("host1", got)
    last = other.common("host1")
    return asked.points.tobytes(), got.points.tobytes() + got.echo.tobytes(), last.commitment + last.places.astype("<u4").tobytes()


def tokens(data: bytes) -> None:
    ids.match(ids.protect(OWN, key=SESSION), matching._as_tokens(data, PEER, "HostTokens"))


# --- between machines --------------------------------------------------------------------------------------------


def frame(data: bytes) -> None:
    """A header, then frames of a size that the last byte of the header gives."""
    head, rest = data[: frames.HEADER.size], data[frames.HEADER.size :]
    claim = frames.parse_header(head, PEER, 1 << 20)
    size = 1 + claim.attempt % 64
    whole = frames.join((rest[k : k + size] for k in range(0, len(rest), size)), claim, PEER)
    if b"".join(frames.split(claim, whole)) != head + whole:
        raise AssertionError("two forms of one message")


def status(data: bytes) -> None:
    found = board.parse_status(data, PEER)
    board.Board("guest", (PEER, "arbiter"), 1 << 20).hear(PEER, found)
    str(ProtocolError(found.party, found.step, found.problem)).encode()
    found.to_bytes()


def journal_file(data: bytes) -> None:
    """As it is, and with the checksum of its content put right: as a checkpoint and as a note of attempts."""
    each((data, journal.MAGIC + hashlib.sha256(data).hexdigest().encode() + b"\n" + data), journal_of)


def journal_of(content: bytes) -> None:
    for name in ("attempt", "finished", journal.CURRENT):
        put(content, name)
    held = journal.FileJournal(PLACE, PEER)
    try:
        held.next_attempt()
        held.finished()
    finally:
        held.close()


DECODERS = {
    "messages": Decoder(message_bytes, lambda: [ms.to_bytes(message, envelope()) for message in messages()]),
    "message bodies": Decoder(signed_body, lambda: [body(message) for message in messages()]),
    "messages in the programs": Decoder(told, lambda: [body(message) for message in messages()]),
    "intersection, request": Decoder(request, lambda: [answers()[0]]),
    "intersection, reply": Decoder(reply, lambda: [answers()[1]]),
    "intersection, common": Decoder(common, lambda: [answers()[2]]),
    "tokens": Decoder(tokens, lambda: [ids.protect(OWN, key=SESSION).tobytes()]),
    "frames": Decoder(frame, lambda: [frames.FrameHeader(1, 2, 5).to_bytes() + b"12345"]),
    "status": Decoder(status, lambda: [board.Status(PEER).to_bytes()], "json"),
    "journals": Decoder(journal_file, lambda: [as_json({  # a checkpoint and a note of attempts in one
        "version": 1, "role": PEER, "run": SESSION.hex(), "inputs": SESSION.hex(), "round": 3, "stopped": False, "state": {}, "number": 3,
    })], "json"),
}  # fmt: skip
