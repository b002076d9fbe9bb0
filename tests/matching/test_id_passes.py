"""Ids by passes: the same rows, order, commitment, reports and refusals as with all of them in memory, whatever a pass takes."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.passes import is_mapped, passes_of

from vflfast.errors import DataError, InputError, ProtocolError
from vflfast.matching.ids import commitment, match, protect
from vflfast.matching.intersect import HostIntersection
from vflfast.matching.match import match_parties
from vflfast.protocol import inline, matching
from vflfast.protocol.matching import matching_link
from vflfast.tables.id_forms import normalise
from vflfast.tables.id_texts import IdTexts, id_rows, passes

KEY = bytes(range(16))
SESSION = bytes(range(32))
SIZES = [0, 1, 6, 7, 8, 14, 15]  # about one and two passes of seven
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def object_array(texts: list[str]) -> Any:
    made = np.empty(len(texts), dtype=object)
    made[:] = texts
    return made


def id_texts(texts: list[str]) -> IdTexts:
    return IdTexts(passes(object_array(texts)))


# --- ids that are not in memory ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_ids", SIZES)
def test_texts_are_indexed_as_an_array(n_ids: int, tmp_path: Path) -> None:
    texts = [("é" * (k % 4)) + f"张{k}" for k in range(n_ids)]
    plain, rng = object_array(texts), np.random.default_rng(n_ids)
    with passes_of(7, tmp_path):
        made = id_texts(texts)
        assert (len(made), made.size, repr(made)) == (n_ids, n_ids, f"IdTexts(n={n_ids})")
        assert list(made) == texts
        assert is_mapped(made._data) == is_mapped(made._ends) == (n_ids > 0)
        indexes: list[Any] = [slice(None), slice(2, 5), slice(5, 2), slice(-3, None), slice(None, None, 2), slice(None, None, -1)]
        indexes += [rng.permutation(n_ids), rng.permutation(n_ids)[:3], rng.random(n_ids) < 0.5, np.empty(0, dtype=np.int64)]
        for index in indexes:
            found = made[index]
            assert found.dtype == object
            assert found.tolist() == plain[index].tolist()
        for row in range(-n_ids, n_ids):
            assert made[row] == made[np.int64(row)] == texts[row]
        with pytest.raises(IndexError):
            made[n_ids]
        order = rng.permutation(n_ids)
        assert list(id_rows(made, order)) == id_rows(plain, order).tolist() == [texts[row] for row in order]
        assert isinstance(id_rows(made, order), IdTexts)


@pytest.mark.parametrize("method", ["hmac", "hash", "sm3"])
@pytest.mark.parametrize("n_ids", SIZES[1:])
def test_tokens_do_not_depend_on_passes(n_ids: int, method: str, tmp_path: Path) -> None:
    texts = [f"é{k}" for k in range(n_ids)]
    key = KEY if method == "hmac" else None
    expected = protect(texts, method=method, key=key)
    if key:
        assert [row.tobytes() for row in expected] == [hmac.digest(key, text.encode(), "sha256") for text in texts]
    with passes_of(7, tmp_path):
        for given_ids in (texts, object_array(texts), id_texts(texts)):
            made = protect(given_ids, method=method, key=key)
            assert is_mapped(made)
            np.testing.assert_array_equal(made, expected)
            assert commitment(made) == commitment(expected)


def test_rows_run_on_over_passes(tmp_path: Path) -> None:
    with passes_of(2, tmp_path), pytest.raises(DataError, match="not valid Unicode in row 5"):
        protect(["a", "b", "c", "d", "\ud800"], key=KEY)


# --- matching ------------------------------------------------------------------------------------------------------


names = st.lists(st.integers(0, 40).map(str), min_size=1, max_size=25, unique=True)
twice = st.lists(st.integers(0, 20).map(str), min_size=1, max_size=40)


def by_hand(parties: list[list[str]]) -> Any:
    """What `match` is to give: positions and report, or the error's argument and rows."""
    tokens = [[hmac.digest(KEY, text.encode(), "sha256") for text in own] for own in parties]
    for party, own in enumerate(tokens):
        rows = [row + 1 for row, token in enumerate(own) if own.count(token) > 1]
        if rows:
            more = f" (and {len(rows) - 10} more)" if len(rows) > 10 else ""
            return f"tokens[{party}]: the same id in rows {', '.join(map(str, rows[:10]))}{more}"
    common = sorted(set.intersection(*map(set, tokens)))
    if not common:
        return "tokens: the parties have no id in common; check the id format and the key"
    sizes = [len(own) for own in parties]
    report = {"rows": sizes, "matched": len(common), "share": [len(common) / size for size in sizes]}
    return [[own.index(token) for token in common] for own in tokens], report


@given(parties=st.lists(names | twice, min_size=2, max_size=4), size=st.integers(1, 12), scratch=st.booleans())
@quick
def test_matching_is_that_by_hand(parties: list[list[str]], size: int, scratch: bool, tmp_path: Path) -> None:
    with passes_of(size, tmp_path if scratch else None):
        tokens, expected = [protect(own, key=KEY) for own in parties], by_hand(parties)
        if isinstance(expected, str):
            with pytest.raises(DataError, match=f"^{re.escape(expected)}$"):
                match(*tokens)
            return
        found = match(*tokens)
    assert ([rows.tolist() for rows in found.positions], found.report) == expected
    assert all(rows.dtype == np.int64 and is_mapped(rows) == scratch for rows in found.positions)


@pytest.mark.parametrize("method", ["ecdh", "hmac", "hash", "sm3"])
@pytest.mark.parametrize(("n_guest", "n_host"), [(1, 1), (6, 7), (7, 7), (8, 7), (7, 15), (40, 23)])
def test_parties_match_as_in_memory(method: str, n_guest: int, n_host: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(n_guest)
    sets = [[f"é{k}" for k in rng.permutation(n)] for n in (n_guest, n_host, n_host + 3)]
    options: dict[str, Any] = {"method": method, "key": KEY if method == "hmac" else None, "session": SESSION}
    positions, tokens, report = match_parties([normalise(own) for own in sets], **options)
    with passes_of(7, tmp_path):
        far = match_parties([id_texts(own) for own in sets], **options)
        assert is_mapped(far[1])
        assert all(map(is_mapped, far[0]))
    assert [rows.tolist() for rows in far[0]] == [rows.tolist() for rows in positions]
    assert commitment(far[1]) == commitment(tokens)
    assert {**far[2], "seconds": 0} == {**report, "seconds": 0}


@pytest.mark.parametrize("method", ["ecdh", "hmac"])
def test_no_id_in_common_and_too_many(method: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"method": method, "key": KEY if method == "hmac" else None, "session": SESSION}
    with passes_of(3, tmp_path):
        own = [id_texts([f"{party}{k}" for k in range(8)]) for party in "ab"]
        with pytest.raises(DataError, match="no id in common"):
            match_parties(own, **options)
        with pytest.raises(InputError, match="guest ids: 8 ids, at most 7"):
            match_parties(own, **options, max_ids=7)


def programs(sets: dict[str, list[str]], method: str, of: Callable[[list[str]], Any]) -> dict[str, Any]:
    links = {name: matching_link(name, tuple(peer for peer in sets if peer != name)) for name in sets}
    sides = {True: (matching.intersect_at_guest, matching.match_at_guest), False: (matching.intersect_at_host, matching.match_at_host)}
    if method == "ecdh":
        return {name: sides[name == "guest"][0](links[name], of(own), "{}") for name, own in sets.items()}
    return {name: sides[name == "guest"][1](links[name], protect(of(own), key=KEY), "hmac") for name, own in sets.items()}


@pytest.mark.parametrize("method", ["ecdh", "hmac"])
def test_programs_send_and_find_the_same(method: str, tmp_path: Path) -> None:
    sets = {"guest": [f"{k}" for k in range(30)], "host1": [f"{k}" for k in range(40, 9, -1)], "host2": [f"{k}" for k in range(5, 25)]}
    expected = inline.drive(programs(sets, method, normalise))
    with passes_of(4, tmp_path):
        found = inline.drive(programs(sets, method, id_texts))
    for name, one in found.items():
        assert is_mapped(one.positions)
        assert one.positions.tolist() == expected[name].positions.tolist()
        assert (one.commitment, one.report) == (expected[name].commitment, expected[name].report)


@pytest.mark.parametrize("size", [4, 1000])
def test_a_host_sends_its_tokens_in_an_order_that_tells_nothing_of_its_rows(size: int, tmp_path: Path) -> None:
    tokens = protect([f"{k}" for k in range(30)], key=KEY)
    sent: list[bytes] = []

    async def guest(link: Any) -> None:
        sent.append((await link.receive("host1", matching.HostTokens)).tokens)
        await link.send("host1", matching.CommonTokens(sent[0][:32]))

    with passes_of(size, tmp_path):
        inline.drive({"guest": guest(matching_link("guest", ("host1",))),
                      "host1": matching.match_at_host(matching_link("host1", ("guest",)), tokens, "hmac")})  # fmt: skip
    assert sent == [b"".join(sorted(row.tobytes() for row in tokens))]


def test_tokens_twice_are_refused_over_passes(tmp_path: Path) -> None:
    tokens = protect([f"{k}" for k in range(9)], key=KEY)

    async def host(link: Any) -> None:
        await link.send("guest", matching.HostTokens("hmac", np.concatenate([tokens, tokens[:1]]).tobytes()))
        await link.receive("guest", matching.CommonTokens)

    with passes_of(4, tmp_path), pytest.raises(DataError, match=r"tokens\[1\]: the same id in rows 1, 10"):
        inline.drive({"guest": matching.match_at_guest(matching_link("guest", ("host1",)), tokens, "hmac"),
                      "host1": host(matching_link("host1", ("guest",)))})  # fmt: skip


def test_a_point_is_told_by_its_place_in_all_passes(tmp_path: Path) -> None:
    with passes_of(4, tmp_path):
        own = HostIntersection(id_texts([f"{k}" for k in range(9)]), SESSION)._own
        points = np.concatenate([own._points, np.full((1, 32), 255, np.uint8)])
        with pytest.raises(ProtocolError, match="p, s: number 10 is no point"):
            own.multiply(own.scalar(), points, "p", "s")
        with pytest.raises(ProtocolError, match="p, s: number 10 is no point"):
            own.check(points, "p", "s")
