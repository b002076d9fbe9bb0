"""Sorted runs: numpy's order, what sets share, and repeats, whatever the size of a run; no step holds more than a window of each run."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.passes import is_mapped, passes_of

from vflfast.crypto import storage
from vflfast.errors import InputError
from vflfast.tables.rows import RowList, row_numbers
from vflfast.tables.sorting import SortedRuns, in_order, is_ascending, repeats, shared_rows, walk

WIDTH = 4
key = st.binary(min_size=WIDTH, max_size=WIDTH) | st.sampled_from([bytes(4), b"\0\0\0\1", b"\1\0\0\0", b"\xff\0\0\0", b"\xff" * 4])
key_lists = st.lists(key, max_size=30)
RUNS = st.integers(1, 12)
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def array(keys: list[bytes]) -> Any:
    return np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, WIDTH)


@given(key_lists, RUNS)
@quick
def test_the_order_is_that_of_the_bytes(keys: list[bytes], size: int) -> None:
    with passes_of(size):
        made, rows = in_order(array(keys))
    assert [row.tobytes() for row in made] == sorted(keys)
    assert [keys[row] for row in rows] == sorted(keys)
    assert sorted(rows.tolist()) == list(range(len(keys)))


@pytest.mark.parametrize("n_keys", [0, 1, 6, 7, 8, 14, 15, 48, 49, 50])
@pytest.mark.parametrize("scratch", [False, True])
def test_sizes_about_a_run(n_keys: int, scratch: bool, tmp_path: Path) -> None:
    keys = np.random.default_rng(n_keys).integers(0, 256, (n_keys, 32), dtype=np.uint8)
    with passes_of(7, tmp_path if scratch else None):
        made, rows = in_order(keys)
    assert [row.tobytes() for row in made] == sorted(row.tobytes() for row in keys)
    assert (keys[rows] == made).all()
    assert is_mapped(made) == is_mapped(rows) == (scratch and n_keys > 0)


@given(st.lists(key_lists, min_size=1, max_size=4), RUNS)
@quick
def test_a_walk_covers_all_sets_in_order_and_holds_little(sets: list[list[bytes]], size: int) -> None:
    runs_in_all = sum(-(-len(keys) // size) for keys in sets)
    with passes_of(size):
        steps = list(walk(*(SortedRuns(array(keys)) for keys in sets)))
    assert all(sum(len(block.rows) for block in step) <= max(size, runs_in_all) for step in steps)
    for number, keys in enumerate(sets):
        met = [(k.ljust(WIDTH, b"\0"), row) for step in steps for k, row in zip(step[number].keys.tolist(), step[number].rows, strict=True)]
        assert sorted(row for _, row in met) == list(range(len(keys)))
        assert all(keys[row] == k for k, row in met)
    bounds = [(min(found), max(found)) for step in steps if (found := [k for block in step for k in block.keys.tolist()])]
    assert all(one[1] <= other[0] for one, other in pairwise(bounds))


@given(st.lists(st.lists(key, max_size=30, unique=True), min_size=2, max_size=4), RUNS)
@quick
def test_sets_share_the_intersection(sets: list[list[bytes]], size: int) -> None:
    with passes_of(size):
        steps = [shared_rows(blocks) for blocks in walk(*(SortedRuns(array(keys)) for keys in sets))]
    found = [np.concatenate([step[k] for step in steps] or [np.empty(0, int)]).tolist() for k in range(len(sets))]
    expected = sorted(set.intersection(*map(set, sets)))
    assert [[keys[row] for row in rows] for keys, rows in zip(sets, found, strict=True)] == [expected] * len(sets)


@given(st.lists(st.sampled_from([bytes(4), b"aaaa", b"bbbb", b"cccc", b"dddd", b"ddde", b"eeee"]), max_size=40), RUNS)
@quick
def test_rows_with_a_key_of_another_row(keys: list[bytes], size: int) -> None:
    with passes_of(size):
        found = repeats(SortedRuns(array(keys)))
    expected = [row for row, k in enumerate(keys) if Counter(keys)[k] > 1]
    assert (found.count, found.first.tolist(), bool(found)) == (len(expected), expected[:10], bool(expected))


@given(key_lists.map(sorted), RUNS, st.booleans())
@quick
def test_ascending(keys: list[bytes], size: int, turned: bool) -> None:
    keys = keys[::-1] if turned else keys
    with passes_of(size):
        assert is_ascending(array(keys)) == (keys == sorted(set(keys)))


@given(key_lists, RUNS)
@quick
def test_a_set_that_is_in_order_stays_where_it_is(keys: list[bytes], size: int) -> None:
    ordered = array(sorted(set(keys)))
    with passes_of(size):
        runs = SortedRuns(ordered, ascending=True)
        blocks = [block for (block,) in walk(runs)]
    assert len(ordered) == 0 or np.shares_memory(runs.keys, ordered)
    assert [row for block in blocks for row in block.rows.tolist()] == list(range(len(ordered)))


@given(st.lists(st.lists(st.integers(0, 99), max_size=8)), st.integers(1, 20))
def test_a_list_of_rows_keeps_the_first(parts: list[list[int]], most: int) -> None:
    found = RowList(most)
    for part in parts:
        found.add(part)
    everything = sorted(row for part in parts for row in part)
    assert (found.first.tolist(), found.count) == (everything[:most], len(everything))
    if everything and most >= 10:
        assert str(found) == row_numbers(everything)


# --- arrays that the passes work on ------------------------------------------------------------------------------


@pytest.mark.parametrize("n_rows", [0, 1, 4, 5, 6, 11])
@pytest.mark.parametrize("width", [None, 3])
@pytest.mark.parametrize("scratch", [False, True])
def test_a_growing_array_is_its_pieces(n_rows: int, width: int | None, scratch: bool, tmp_path: Path) -> None:
    whole = np.arange(n_rows * (width or 1), dtype=np.int64).reshape((n_rows, *([width] if width else [])))
    with passes_of(5, tmp_path if scratch else None):
        grown = storage.Growing(np.int64, width)
        for start in range(0, n_rows, 5):
            grown.append(whole[start : start + 5])
        made = grown.finish()
    assert (made.shape, made.dtype) == (whole.shape, whole.dtype)
    assert (made == whole).all()
    assert is_mapped(made) == (scratch and n_rows > 0)
    assert list(tmp_path.iterdir()) == []


def test_a_growing_array_waits_in_the_folder_from_a_size_on(tmp_path: Path) -> None:
    with storage.use_scratch(tmp_path, least_bytes=100):
        grown = storage.Growing(np.uint8)
        grown.append(np.zeros(99, np.uint8))
        assert sum(part.nbytes for part in grown._parts) == 99
        grown.append(np.ones(1, np.uint8))
        assert grown._parts == []
        grown.append(np.full(7, 2, np.uint8))
        made = grown.finish()
    assert is_mapped(made)
    assert made.tolist() == [0] * 99 + [1] + [2] * 7


@pytest.mark.parametrize("n_rows", [0, 1, 4, 5, 6, 11])
def test_rows_are_taken_by_positions_or_mask(n_rows: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(n_rows)
    whole = rng.integers(0, 9, (n_rows, 2))
    for index in (rng.permutation(n_rows)[: n_rows // 2 + 1], rng.random(n_rows) < 0.5, np.zeros(n_rows, bool), np.ones(n_rows, bool)):
        with passes_of(5, tmp_path):
            taken = storage.take(whole, index)
        assert (taken.shape, taken.dtype) == (whole[index].shape, whole.dtype)
        assert (taken == whole[index]).all()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_while_an_array_grows_is_an_error_that_names_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with storage.use_scratch(tmp_path, least_bytes=100):
        grown = storage.Growing(np.uint8)
        grown.append(np.zeros(100, np.uint8))
        monkeypatch.setattr(grown, "_stream", open("/dev/full", "wb"))  # noqa: SIM115  (closed with the array)
        with pytest.raises(InputError, match="has no room for 7 bytes: No space left") as caught:
            grown.append(np.zeros(7, np.uint8))
    assert caught.value.argument == "scratch"
    with pytest.raises(OSError, match="No space"):
        grown._stream.close()  # type: ignore[union-attr]
