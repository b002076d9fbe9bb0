"""Ids: normalised text, keyed tokens against known answers, the common order, the commitment."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vflfast.errors import DataError, InputError
from vflfast.matching.ids import commitment, match, protect
from vflfast.tables.id_forms import normalise

KEY = bytes(range(16))
PHONE = "13812345678"


def tokens(*names: str) -> Any:
    return protect(list(names), key=KEY)


def test_text_ids_are_kept_and_composed() -> None:
    assert normalise(["007", "7", "A b", "张伟"]).tolist() == ["007", "7", "A b", "张伟"]
    assert normalise(["e\u0301"]).tolist() == ["\u00e9"]
    assert normalise(np.array(["p", "q"])).dtype == object


def test_phone_ids_are_eleven_ascii_digits() -> None:
    assert normalise([PHONE, "00000000000"], "phone").tolist() == [PHONE, "00000000000"]


def test_hmac_known_answer() -> None:
    # RFC 4231, test case 1: key 0b × 20, data "Hi There"
    expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    made = protect(["Hi There"], key=b"\x0b" * 20)
    assert made.shape == (1, 32)
    assert made.dtype == np.uint8
    assert made[0].tobytes().hex() == expected


def test_hash_known_answer_and_warning(caplog: pytest.LogCaptureFixture) -> None:
    # FIPS 180-4 example: SHA-256("abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with caplog.at_level(logging.WARNING, "vflfast"):
        assert protect(["abc"], method="hash")[0].tobytes().hex() == expected
    assert "eleven-digit numbers are enumerated in minutes" in caplog.text
    assert "abc" not in caplog.text


def test_hmac_gives_no_warning_and_depends_on_the_key(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "vflfast"):
        one = protect([PHONE], key=KEY)
    assert caplog.text == ""
    assert (one != protect([PHONE], key=KEY[::-1])).any()


def test_match_gives_each_party_its_rows_in_one_order() -> None:
    mine, other = ["a", "b", "c", "d"], ["x", "d", "b", "a"]
    found = match(tokens(*mine), tokens(*other))
    assert found.n_matched == 3
    assert [mine[k] for k in found.positions[0]] == [other[k] for k in found.positions[1]]
    assert {mine[k] for k in found.positions[0]} == {"a", "b", "d"}
    assert [p.dtype for p in found.positions] == [np.int64, np.int64]
    assert found.report == {"rows": [4, 4], "matched": 3, "share": [0.75, 0.75]}
    assert json.loads(json.dumps(found.report)) == found.report


def test_common_order_is_that_of_the_sorted_tokens() -> None:
    mine = tokens(*[f"id{k}" for k in range(50)])
    found = match(mine, mine[::-1].copy())
    ordered = [row.tobytes() for row in mine[found.positions[0]]]
    assert ordered == sorted(ordered)


def test_match_of_three_parties_of_different_size() -> None:
    found = match(tokens("a", "b", "c"), tokens("c", "a"), tokens("q", "c", "a", "b"))
    assert found.report == {"rows": [3, 2, 4], "matched": 2, "share": [2 / 3, 1.0, 0.5]}


def test_tokens_that_differ_in_the_last_byte_or_end_in_zeros_stay_apart() -> None:
    one, two = np.zeros((2, 32), dtype=np.uint8), np.zeros((2, 32), dtype=np.uint8)
    one[0, 31], two[1, 0], one[1, 0] = 1, 255, 255
    two[0, 30] = 1
    found = match(one, two)
    assert found.n_matched == 1
    assert [p.tolist() for p in found.positions] == [[1], [1]]


def test_strided_tokens_are_read_right() -> None:
    many = tokens(*"abcdef")
    wide = np.zeros((6, 64), dtype=np.uint8)
    wide[:, ::2] = many
    found = match(wide[:, ::2], many)
    np.testing.assert_array_equal(found.positions[0], found.positions[1])
    assert commitment(wide[:, ::2]) == commitment(many)


small_sets = st.lists(st.integers(0, 30).map(str), min_size=1, max_size=25, unique=True)


@given(st.lists(small_sets, min_size=2, max_size=4))
@settings(max_examples=100, deadline=None)
def test_match_is_the_intersection(parties: list[list[str]]) -> None:
    common = set.intersection(*map(set, parties))
    made = [tokens(*names) for names in parties]
    if not common:
        with pytest.raises(DataError, match="no id in common"):
            match(*made)
        return
    found = match(*made)
    aligned = [[names[k] for k in rows] for names, rows in zip(parties, found.positions, strict=True)]
    assert set(aligned[0]) == common
    assert all(one == aligned[0] for one in aligned)
    assert len({commitment(t[rows]) for t, rows in zip(made, found.positions, strict=True)}) == 1


def test_commitment_is_sha256_of_count_and_tokens() -> None:
    made = tokens("a", "b")
    assert commitment(made) == hashlib.sha256((2).to_bytes(8, "big") + made.tobytes()).digest()


@pytest.mark.parametrize(
    "change", [lambda t: t[::-1], lambda t: t[:-1], lambda t: np.concatenate([t, t[:1]]), lambda t: np.roll(t, 1, axis=0), lambda t: t ^ 1]
)
def test_commitment_tells_every_other_order(change: Callable[[Any], Any]) -> None:
    made = tokens("a", "b", "c")
    assert commitment(change(made)) != commitment(made)


def test_repr_shows_counts_only() -> None:
    assert repr(match(tokens("a", "b"), tokens("a", "c"))) == "Match(n_parties=2, n_matched=1)"


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        "1381234567",
        "138123456789",
        "+8613812345678",
        "8613812345678",
        "138 1234 5678",
        " 3812345678",
        "13812345678 ",
        "13812345678\n",
        "１３８１２３４５６７８",
        "1381234567８",
        "١٣٨١٢٣٤٥٦٧٨",
        "138-1234-567",
        "1381234567x",
        "1.381234e+10",
        "",
        None,
        13812345678,
    ],
)
def test_bad_phone_is_refused_by_row(bad: Any) -> None:
    with pytest.raises(DataError, match="row 2") as caught:
        normalise([PHONE, bad, PHONE], "phone", name="telephone")
    assert caught.value.argument == "telephone"
    assert not bad or str(bad) not in str(caught.value)


@pytest.mark.parametrize("bad", ["", None, " a", "a\t", "a\x00", "a\u200b", "\ud800", "a\u00a0", 5, 5.0, True, b"a", float("nan")])
def test_bad_text_is_refused_by_row(bad: Any) -> None:
    with pytest.raises(DataError, match="rows 2, 3") as caught:
        normalise(["a", bad, bad])
    assert caught.value.argument == "ids"


BAD_CALLS: list[tuple[Callable[[], Any], str]] = [
    (lambda: normalise(["a"], "numbers"), "id_format"),
    (lambda: normalise(["a"], None), "id_format"),  # type: ignore[arg-type]
    (lambda: normalise("abc"), "ids"),
    (lambda: normalise(b"abc"), "ids"),  # type: ignore[arg-type]
    (lambda: normalise(None), "ids"),  # type: ignore[arg-type]
    (lambda: normalise([]), "ids"),
    (lambda: normalise(np.array([["a"]])), "ids"),
    (lambda: normalise(np.array([1, 2])), "ids"),
    (lambda: protect([PHONE]), "key"),
    (lambda: protect([PHONE], key=b""), "key"),
    (lambda: protect([PHONE], key=b"k" * 15), "key"),
    (lambda: protect([PHONE], key="k" * 16), "key"),  # type: ignore[arg-type]
    (lambda: protect([PHONE], method="hash", key=KEY), "key"),
    (lambda: protect([PHONE], method="md5"), "method"),
    (lambda: protect([PHONE], method="sm3", key=KEY), "key"),
    (lambda: protect([PHONE], method="ecdh", key=KEY), "method"),
    (lambda: protect([], key=KEY), "ids"),
    (lambda: protect([PHONE, None], key=KEY), "ids"),  # type: ignore[list-item]
    (lambda: protect(["\ud800"], key=KEY), "ids"),
    (lambda: match(), "tokens"),
    (lambda: match(tokens("a")), "tokens"),
    (lambda: match(tokens("a"), None), "tokens[1]"),  # type: ignore[arg-type]
    (lambda: match(tokens("a").astype(np.int64), tokens("a")), "tokens[0]"),
    (lambda: match(tokens("a"), tokens("a")[:, :31]), "tokens[1]"),
    (lambda: match(tokens("a"), tokens("a")[0]), "tokens[1]"),
    (lambda: match(tokens("a"), tokens("a")[:0]), "tokens[1]"),
    (lambda: match(tokens("a", "b"), tokens("a", "c", "c")), "tokens[1]"),
    (lambda: match(tokens("a", "b"), tokens("c", "d")), "tokens"),
    (lambda: match(tokens("a", "b"), protect(["a", "b"], key=KEY[::-1])), "tokens"),
    (lambda: commitment(None), "tokens"),  # type: ignore[arg-type]
    (lambda: commitment(b"0" * 32), "tokens"),  # type: ignore[arg-type]
    (lambda: commitment(tokens("a")[:0]), "tokens"),
    (lambda: commitment(tokens("a").astype(">u2")), "tokens"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "culprit"), BAD_CALLS)
def test_bad_input_is_refused_by_name(call: Callable[[], Any], culprit: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.argument == culprit
    assert PHONE not in str(caught.value)


def test_duplicates_are_reported_by_row() -> None:
    with pytest.raises(DataError, match="the same id in rows 2, 4"):
        match(tokens("a", "b", "c", "b"), tokens("a"))


# --- E.164 and SM3 -----------------------------------------------------------------------------------------------


def test_e164_numbers() -> None:
    assert normalise(["+8613812345678", "+12025550123"], "phone-e164").tolist() == ["+8613812345678", "+12025550123"]
    assert normalise([PHONE, "+12025550123", "+8613812345678"], "phone-e164:86").tolist() == [
        "+8613812345678", "+12025550123", "+8613812345678"]  # fmt: skip


@pytest.mark.parametrize("id_format", ["phone-e164", "phone-e164:86"])
@pytest.mark.parametrize(
    "bad",
    ["+1234567", "+1234567890123456", "+0123456789", "++8613812345678", "008613812345678", "013812345678", "+86 13812345678",
     "+86-13812345678", "+８６13812345678", "", "+", "123", "1234567890123456", "+8613812345678\n", "tel:+8613812345678"],
)  # fmt: skip
def test_bad_e164_is_refused_by_row(id_format: str, bad: str) -> None:
    with pytest.raises(DataError, match="row 2"):
        normalise(["+8613812345678", bad], id_format)


def test_without_a_country_code_a_plus_is_needed() -> None:
    with pytest.raises(DataError, match="row 1"):
        normalise([PHONE], "phone-e164")


@pytest.mark.parametrize("bad", ["phone-e164:", "phone-e164:0", "phone-e164:+86", "phone-e164:1234", "phone-e164:８６", "e164", "phone:86"])
def test_other_formats_are_refused(bad: str) -> None:
    with pytest.raises(InputError, match="id_format: must be text, digits, phone, phone-e164"):
        normalise([PHONE], bad)


def test_the_log_lists_unusable_rows_and_no_id(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "vflfast"), pytest.raises(DataError, match="and 5 more"):
        normalise(["bad-number"] * 15 + [PHONE], "phone")
    assert "15 unusable ids in rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15" in caplog.text
    assert "bad-number" not in caplog.text
    assert PHONE not in caplog.text


def test_sm3_known_answer() -> None:
    # GB/T 32905-2016, A.1: SM3("abc")
    expected = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert protect(["abc"], method="sm3")[0].tobytes().hex() == expected


def test_sm3_that_openssl_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def new(name: str, data: bytes = b"") -> Any:
        raise ValueError(name)

    monkeypatch.setattr(hashlib, "new", new)
    with pytest.raises(InputError, match="method: sm3 is missing"):
        protect(["abc"], method="sm3")
