"""Messages: exact round trips; everything damaged, cut, lengthened or boastful is refused and the peer named."""

from __future__ import annotations

import dataclasses
import hashlib
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vflfast.errors import ProtocolError
from vflfast.params import MAX_BODY_BYTES, MAX_COUNT, WIRE_VERSION
from vflfast.protocol import messages as ms
from vflfast.protocol.steps import TABLE

ENVELOPE = ms.Envelope(bytes(range(32)), 7, 3, "host1", "guest")
PEER = "host1"
CLASSES = sorted(ms.KINDS.values(), key=lambda cls: cls.kind)

u64 = st.integers(0, 2**64 - 1)


@st.composite
def limb_arrays(draw: Callable[..., Any]) -> np.ndarray:
    rows, width = draw(st.integers(0, 4)), draw(st.integers(1, 5))
    values = draw(st.lists(u64, min_size=rows * width, max_size=rows * width))
    return np.array(values, dtype=np.uint64).reshape(rows, width)


FIELDS: dict[Any, st.SearchStrategy[Any]] = {
    "int": u64,
    "float": st.floats(allow_nan=False),
    "str": st.text(max_size=40),
    "bytes": st.binary(max_size=40),
    "Limbs": limb_arrays(),
    "npt.NDArray[np.float64]": st.lists(st.floats(allow_nan=False), max_size=6).map(lambda v: np.array(v, dtype=np.float64)),
}


def messages(cls: type[ms.Message]) -> st.SearchStrategy[ms.Message]:
    return st.builds(cls, **{field.name: FIELDS[field.type] for field in dataclasses.fields(cls)})


envelopes = st.builds(
    ms.Envelope,
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["guest", "arbiter", "host1", "host12", "sixteen-letters!"]),
    st.sampled_from(["guest", "arbiter", "host2"]),
)


def small() -> bytes:
    return ms.to_bytes(ms.Verdict(1, 9), ENVELOPE)


def header(body: bytes, kind: int = ms.Verdict.kind, **changes: Any) -> bytes:
    fields = {
        "magic": ms.MAGIC, "version": WIRE_VERSION, "kind": kind, "session": ENVELOPE.session, "round": 7, "attempt": 3,
        "sender": b"host1", "recipient": b"guest", "body_bytes": len(body),
    } | changes  # fmt: skip
    return ms.HEADER.pack(*fields.values())


def signed(data: bytes) -> bytes:
    return data + hashlib.sha256(data).digest()


def refused(data: bytes) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        ms.from_bytes(data, PEER)
    assert caught.value.party == PEER
    return caught.value


# --- round trips -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_round_trip(cls: type[ms.Message], data: st.DataObject) -> None:
    message, envelope = data.draw(messages(cls)), data.draw(envelopes)
    wire = ms.to_bytes(message, envelope)
    back, where = ms.from_bytes(wire, PEER)
    assert type(back) is cls
    assert where == envelope
    for field in dataclasses.fields(cls):
        sent, got = getattr(message, field.name), getattr(back, field.name)
        if isinstance(sent, np.ndarray):
            assert got.dtype == sent.dtype
            np.testing.assert_array_equal(got, sent)
        else:
            assert type(got) is type(sent)
            assert got == sent
    assert ms.to_bytes(back, where) == wire


def test_every_message_of_the_table_has_a_kind_of_its_own() -> None:
    legal = {kind for lane in TABLE.values() for follow in lane.values() for kind in follow}
    assert legal == set(CLASSES)
    assert len(ms.KINDS) == len(CLASSES) == len({cls.kind for cls in CLASSES})
    assert all(cls.phase for cls in CLASSES)


def test_a_strided_array_travels_as_what_it_shows() -> None:
    whole = np.arange(24, dtype=np.uint64).reshape(4, 6)
    back, _ = ms.from_bytes(ms.to_bytes(ms.Vote(whole[::2, ::3]), ENVELOPE), PEER)
    assert isinstance(back, ms.Vote)
    np.testing.assert_array_equal(back.ciphertexts, [[0, 3], [12, 15]])


def test_the_bytes_of_a_message_do_not_change() -> None:
    """One pinned message: its layout is part of WIRE_VERSION."""
    expected = (
        b"VFLF" + b"\x01\x00" + b"\x0f\x00" + bytes(range(32)) + b"\x07\0\0\0" + b"\x03\0\0\0"
        + b"host1".ljust(16, b"\0") + b"guest".ljust(16, b"\0") + b"\x10" + bytes(7) + b"\x01" + bytes(7) + b"\x09" + bytes(7)
    )  # fmt: skip
    assert small() == signed(expected)


def test_the_kinds_and_phases_of_messages_do_not_change() -> None:
    """Their numbers are part of WIRE_VERSION, as the layout is."""
    assert {kind: (cls.__name__, cls.phase) for kind, cls in ms.KINDS.items()} == {
        1: ("Hello", "setup"), 2: ("KeyAnnouncement", "setup"), 3: ("RowCommitment", "setup"), 4: ("TrainingLabels", "setup"),
        5: ("OrderSeed", "setup"), 6: ("Quota", "setup"), 7: ("MaskSeed", "setup"), 9: ("HalfRange", "forward"),
        16: ("InnerProducts", "update"), 17: ("PenaltyChoice", "update"), 10: ("Predictor", "forward"), 11: ("Residual", "forward"),
        12: ("MaskedGradient", "gradient"), 13: ("OpenedGradient", "gradient"), 14: ("Vote", "vote"), 15: ("Verdict", "vote"),
        20: ("ScoreShare", "score"), 21: ("ThresholdChoice", "score"), 22: ("CombinedScores", "score"), 23: ("ScoreLabels", "score"),
        24: ("ScaleSeed", "score"), 25: ("JointShare", "score"), 26: ("Transcripts", "end"), 27: ("TranscriptsEqual", "end"),
        30: ("EncryptedLabels", "woe"), 31: ("ClassSums", "woe"),
        50: ("Curvature", "inference"), 51: ("WeighedColumn", "inference"), 52: ("ColumnMoments", "inference"),
        53: ("CrossMoments", "inference"), 54: ("StandardErrors", "inference"),
        32: ("SumsQuota", "woe"), 33: ("MaskedSums", "woe"), 34: ("OpenedSums", "woe"), 35: ("ClassEvidence", "woe"),
    }  # fmt: skip


def test_a_body_that_is_no_message_has_kind_0_which_nobody_reads() -> None:
    assert ms.Message.kind == 0
    refused(ms.to_bytes(ms.Message(), ENVELOPE))


def test_a_message_may_have_no_fields() -> None:
    """A header and a digest, and nothing between: the shortest that is read."""
    wire = ms.to_bytes(ms.Message(), ENVELOPE)
    assert len(wire) == ms.HEADER.size + ms.DIGEST_BYTES
    assert ms.from_bytes(wire, PEER, {0: ms.Message}) == (ms.Message(), ENVELOPE)


@pytest.mark.parametrize("name", ["h", "sixteen-letters!"])
def test_the_shortest_and_the_longest_party_name_travel(name: str) -> None:
    envelope = dataclasses.replace(ENVELOPE, sender=name)
    assert ms.from_bytes(ms.to_bytes(ms.Verdict(1, 9), envelope), PEER)[1] == envelope


def test_hello_without_a_journal_says_nothing_of_one() -> None:
    hello = ms.Hello("bank", b"n" * 16, "{}", 3)
    assert (hello.run, hello.newest, hello.finished) == (b"", 0, 0)


@pytest.mark.parametrize("name", ["", "a-name-of-17-char"])
def test_a_party_name_that_does_not_fit_is_not_sent(name: str) -> None:
    with pytest.raises(ValueError, match="party names"):
        ms.to_bytes(ms.Verdict(1, 9), dataclasses.replace(ENVELOPE, sender=name))


# --- damage ------------------------------------------------------------------------------------------------------


def test_every_truncation_is_refused() -> None:
    for wire in (small(), ms.to_bytes(ms.Vote(np.ones((1, 2), dtype=np.uint64)), ENVELOPE)):
        for length in range(len(wire)):
            refused(wire[:length])


def test_every_truncated_body_is_refused_even_when_it_is_signed() -> None:
    whole = ms.to_bytes(ms.Hello("bank", b"n" * 16, "{}", 3), ENVELOPE)[ms.HEADER.size : -ms.DIGEST_BYTES]
    for length in range(len(whole)):
        body = whole[:length]
        refused(signed(header(body, ms.Hello.kind) + body))


def test_a_field_that_is_cut_is_not_read_shorter() -> None:
    body = small()[ms.HEADER.size : -ms.DIGEST_BYTES]
    for length in range(len(body)):
        assert "longer than the message" in refused(signed(header(body[:length]) + body[:length])).problem


def test_every_flipped_bit_is_refused() -> None:
    wire = bytearray(small())
    for position in range(8 * len(wire)):
        wire[position // 8] ^= 1 << position % 8
        refused(bytes(wire))
        wire[position // 8] ^= 1 << position % 8
    ms.from_bytes(bytes(wire), PEER)  # unharmed again


@pytest.mark.parametrize("extra", [b"\0", b"VFLF", bytes(200)])
def test_trailing_bytes_are_refused(extra: bytes) -> None:
    wire = small()
    refused(wire + extra)
    body = wire[ms.HEADER.size : -ms.DIGEST_BYTES] + extra
    assert "left over" in refused(signed(header(body) + body)).problem


@pytest.mark.parametrize(
    "changes",
    [
        {"magic": b"VFLE"},
        {"version": 0},
        {"version": WIRE_VERSION + 1},
        {"version": 65535},
        {"kind": 0},
        {"kind": 7},
        {"kind": 26},
        {"kind": 65535},
        {"body_bytes": 0},
        {"body_bytes": 15},
        {"body_bytes": 17},
        {"sender": b"h\xc3\xb6st"},
        {"recipient": b"\xff" * 16},
    ],
    ids=str,
)
def test_each_wrong_header_field_is_refused(changes: dict[str, Any]) -> None:
    body = small()[ms.HEADER.size : -ms.DIGEST_BYTES]
    assert ms.from_bytes(signed(header(body) + body), PEER)  # the control: unchanged it is accepted
    refused(signed(header(body, **changes) + body))


def test_a_wrong_digest_is_refused() -> None:
    wire = small()
    assert "digest" in refused(wire[:-32] + hashlib.sha256(b"other").digest()).problem


def test_a_text_that_is_not_utf8_is_refused() -> None:
    blob = b"\xff\xfe"
    body = len(blob).to_bytes(8, "little") + blob
    assert "UTF-8" in refused(signed(header(body, ms.Hello.kind) + body)).problem


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(sorted(ms.KINDS)), body=st.binary(max_size=80))
def test_any_body_is_read_or_refused_never_more(kind: int, body: bytes) -> None:
    """Signed noise: either the exact bytes of some message, or a ProtocolError."""
    wire = signed(header(body, kind) + body)
    with suppress(ProtocolError):  # any other error fails the test
        assert ms.to_bytes(*ms.from_bytes(wire, PEER)) == wire


# --- boastful sizes ----------------------------------------------------------------------------------------------

HUGE = [2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1, 2**62, 2**61, 2**60, 2**40, 2**32, 2**31, 1000]


def peak_bytes(data: bytes) -> int:
    tracemalloc.start()
    try:
        refused(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", HUGE)
def test_a_header_that_claims_a_huge_body_is_refused_without_allocating(size: int) -> None:
    wire = small()
    boast = header(b"", body_bytes=size) + wire[ms.HEADER.size :]
    assert peak_bytes(boast) < 1 << 20
    assert peak_bytes(signed(boast)) < 1 << 20


def test_the_largest_body_is_bounded() -> None:
    assert MAX_BODY_BYTES <= 1 << 36


def test_a_body_of_just_the_largest_size_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    n_bytes = len(small()) - ms.HEADER.size - ms.DIGEST_BYTES
    monkeypatch.setattr(ms, "MAX_BODY_BYTES", n_bytes)
    assert ms.from_bytes(small(), PEER)[0] == ms.Verdict(1, 9)
    monkeypatch.setattr(ms, "MAX_BODY_BYTES", n_bytes - 1)
    assert "length" in refused(small()).problem


def test_the_widest_rows_of_an_array() -> None:
    """None of them is there, so only their width can be too much."""
    body = (0).to_bytes(8, "little") + MAX_COUNT.to_bytes(8, "little")
    message, _ = ms.from_bytes(signed(header(body, ms.Residual.kind) + body), PEER)
    assert isinstance(message, ms.Residual)
    assert message.ciphertexts.shape == (0, MAX_COUNT)
    body = (0).to_bytes(8, "little") + (MAX_COUNT + 1).to_bytes(8, "little")
    assert "larger than the message" in refused(signed(header(body, ms.Residual.kind) + body)).problem


def test_an_array_that_is_one_number_short_is_refused_as_too_large() -> None:
    for shape, cls in (((2, 4), ms.Residual), ((8, 1), ms.Residual), ((8,), ms.CombinedScores)):
        body = b"".join(size.to_bytes(8, "little") for size in shape) + bytes(7 * 8)
        assert "an array is larger than the message" in refused(signed(header(body, cls.kind) + body)).problem
        whole = body + bytes(8)
        assert ms.from_bytes(signed(header(whole, cls.kind) + whole), PEER)


def counted(cls: type[ms.Message], field_type: str) -> list[str]:
    return [field.name for field in dataclasses.fields(cls) if field.type == field_type]


def before(cls: type[ms.Message], name: str) -> bytes:
    """Well-formed bytes of the fields in front of `name`."""
    blank: dict[Any, bytes] = {"int": bytes(8), "float": bytes(8), "str": bytes(8), "bytes": bytes(8)}
    blank |= {"Limbs": (0).to_bytes(8, "little") + (1).to_bytes(8, "little"), "npt.NDArray[np.float64]": bytes(8)}
    fields = [field.name for field in dataclasses.fields(cls)]
    return b"".join(blank[field.type] for field in dataclasses.fields(cls)[: fields.index(name)])


LENGTHS = [(cls, name) for cls in CLASSES for kind in ("str", "bytes", "npt.NDArray[np.float64]") for name in counted(cls, kind)]
ARRAYS = [(cls, name) for cls in CLASSES for name in counted(cls, "Limbs")]


def name_of(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else str(value)


@pytest.mark.parametrize(("cls", "name"), LENGTHS, ids=name_of)
def test_a_length_beyond_the_message_is_refused_without_allocating(cls: type[ms.Message], name: str) -> None:
    for size in HUGE:
        body = before(cls, name) + size.to_bytes(8, "little") + bytes(24)
        assert peak_bytes(signed(header(body, cls.kind) + body)) < 1 << 20


@pytest.mark.parametrize(("cls", "name"), ARRAYS, ids=name_of)
def test_a_shape_beyond_the_message_is_refused_without_allocating(cls: type[ms.Message], name: str) -> None:
    shapes = [(size, 1) for size in HUGE] + [(1, size) for size in HUGE] + [(2**32, 2**32), (2**33, 2**31), (2**61, 2**61)]
    shapes += [(0, 0), (5, 0), (2**63, 0), (0, 2**62), (0, 2**63), (0, 2**64 - 1)]
    for rows, width in shapes:
        body = before(cls, name) + rows.to_bytes(8, "little") + width.to_bytes(8, "little") + bytes(24)
        assert peak_bytes(signed(header(body, cls.kind) + body)) < 1 << 20
