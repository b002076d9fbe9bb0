"""What a caller may not give the intersection, refused by the argument's name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vflfast.errors import DataError, InputError, VflError
from vflfast.matching.group import Group, from_array, to_array, to_list
from vflfast.matching.intersect import GuestIntersection
from vflfast.matching.match import match_parties
from vflfast.tables.id_forms import normalise

SESSION = bytes(range(16))
MINE, THEIRS = ["ann", "bob", "cat", "dan"], ["eve", "dan", "bob", "fay", "gus"]


def made(ids: Any = MINE, session: Any = SESSION, hosts: Any = ("host1",), **settings: Any) -> GuestIntersection:
    array = normalise(ids) if isinstance(ids, list) else ids
    return GuestIntersection(array, session, hosts, **settings)


OWN: list[tuple[Callable[[], Any], str]] = [
    (lambda: made(session=b"short"), "session"),
    (lambda: made(session="s" * 16), "session"),
    (lambda: made(session=None), "session"),
    (lambda: made(hosts=()), "hosts"),
    (lambda: made(hosts="host1"), "hosts"),
    (lambda: made(hosts=("host1", "host1")), "hosts"),
    (lambda: made(max_ids=0), "max_ids"),
    (lambda: made(max_ids=True), "max_ids"),
    (lambda: made(max_ids=2.0), "max_ids"),
    (lambda: made(ids=None), "ids"),
    (lambda: made(ids=("a", "b")), "ids"),
    (lambda: made(ids=np.array(["a"])), "ids"),
    (lambda: made(ids=np.empty(0, dtype=object)), "ids"),
    (lambda: made(ids=np.array([["a"]], dtype=object)), "ids"),
    (lambda: made(ids=np.array(["a", 1], dtype=object)), "ids"),
    (lambda: made(ids=np.array(["a", None], dtype=object)), "ids"),
    (lambda: made(ids=np.array(["\ud800"], dtype=object)), "ids"),
    (lambda: made(ids=["a", "b", "a"]), "ids"),
    (lambda: match_parties([normalise(MINE)] * 2, method="md5"), "ids.method"),
    (lambda: match_parties([normalise(MINE)] * 2, method=None), "ids.method"),  # type: ignore[arg-type]
    (lambda: match_parties([normalise(MINE)] * 2, method="hmac"), "key"),
]


@pytest.mark.parametrize(("call", "culprit"), OWN)
def test_bad_input_is_refused_by_name(call: Callable[[], Any], culprit: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.argument == culprit


def test_duplicates_are_told_by_row() -> None:
    with pytest.raises(DataError, match="an id that an earlier row has, in rows 3, 4") as caught:
        made(ids=["secret", "b", "secret", "b"])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("version", "words"), [(None, "needs the package pynacl"), ("1.5.0", "needs pynacl 1.6.2 or later")])
def test_without_the_library_there_is_no_other_method(version: str | None, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if version is None:
        monkeypatch.setitem(sys.modules, "nacl", None)
    else:
        monkeypatch.setattr("nacl.__version__", version)
    with pytest.raises(InputError, match=words) as caught:
        match_parties([normalise(MINE), normalise(THEIRS)])
    assert caught.value.argument == "ecdh"


def test_arrays_and_points() -> None:
    points = Group().hash_ids(MINE, SESSION)
    assert to_list(from_array(to_array(points), "p", "s", 4)) == points
    with pytest.raises(VflError, match="p, s"):
        from_array(to_array(points), "p", "s", 3)
