"""Rows of bytes in ascending order, and what several sets of them share: sorted in runs of bounded size that are merged a window at a time.

The runs live in the scratch folder where there is one: memory then holds one run or one window of each, whatever the sets' sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..crypto import storage
from ..params import IDS_PER_PASS
from .rows import RowList

Keys = npt.NDArray[np.uint8]
Texts = npt.NDArray[np.bytes_]
Positions = npt.NDArray[np.int64]


class Block(NamedTuple):
    """Some neighbours in the order of a set: their keys, ascending, and the row of each in the set as it was given."""

    keys: Texts
    rows: Positions


class SortedRuns:
    """A set of keys in sorted runs.

    Parameters
    ----------
    keys
        uint8, shape (n, width), in C order.
    ascending
        They are in order already, and stay where they are.
    """

    def __init__(self, keys: Keys, *, ascending: bool = False) -> None:
        self.keys = as_texts(keys)
        self.rows = None if ascending else storage.empty(len(keys), np.int64)
        self.starts = [0] if ascending else list(range(0, max(1, len(keys)), IDS_PER_PASS))  # an empty set has an empty run
        self.ends = [*self.starts[1:], len(keys)]
        if self.rows is None:
            return
        self.keys = as_texts(storage.empty(keys.shape, np.uint8))
        for start, end in zip(self.starts, self.ends, strict=True):
            part = as_texts(keys[start:end])
            order = np.argsort(part, kind="stable")
            self.keys[start:end], self.rows[start:end] = part[order], start + order

    def block(self, start: int, end: int) -> Block:
        """Return a piece of one run."""
        return Block(self.keys[start:end], np.arange(start, end) if self.rows is None else self.rows[start:end])


def as_texts(keys: Keys) -> Texts:
    """Return keys as byte strings, which compare as they do: all have one width, so zero bytes at the end do not matter."""
    texts: Texts = keys.view(f"S{keys.shape[1]}").reshape(-1)
    return texts


def walk(*sets: SortedRuns) -> Iterator[list[Block]]:
    """Yield a block of each set at a time, together no more than fit in memory, all keys above those of the blocks before.

    What two sets share is in blocks of one step, unless a set has a key twice: its further copies may come a step later.
    """
    heads = [list(one.starts) for one in sets]
    window = max(1, IDS_PER_PASS // sum(map(len, heads)))  # of every run
    while open_runs := [(s, k) for s, one in enumerate(sets) for k, head in enumerate(heads[s]) if head < one.ends[k]]:
        # a run has all its keys up to the end of its window in there: the least of these ends can be passed by all
        bound = min(sets[s].keys[min(heads[s][k] + window, sets[s].ends[k]) - 1] for s, k in open_runs)
        pieces: list[list[Block]] = [[] for _ in sets]
        for s, k in open_runs:
            one, head = sets[s], heads[s][k]
            heads[s][k] += int(np.searchsorted(one.keys[head : min(head + window, one.ends[k])], bound, side="right"))
            if heads[s][k] > head:
                pieces[s].append(one.block(head, heads[s][k]))
        yield [_joined(found, one) for found, one in zip(pieces, sets, strict=True)]


def _joined(pieces: list[Block], one: SortedRuns) -> Block:
    """Return sorted pieces as one block."""
    if len(pieces) < 2:
        return pieces[0] if pieces else one.block(0, 0)
    keys, rows = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    order = np.argsort(keys, kind="stable")
    return Block(keys[order], rows[order])


def in_order(keys: Keys) -> tuple[Keys, Positions]:
    """Return the keys in ascending order, and the row of each, shapes (n, width) and (n,); rows of equal keys in any order."""
    runs = SortedRuns(keys)
    made, rows = storage.empty(keys.shape, np.uint8), storage.empty(len(keys), np.int64)
    texts, done = as_texts(made), 0
    for (block,) in walk(runs):
        end = done + len(block.rows)
        texts[done:end], rows[done:end] = block
        done = end
    return made, rows


def is_ascending(keys: Keys) -> bool:
    """Whether every key is above the one before."""
    texts = as_texts(keys)
    passes = (texts[start : start + IDS_PER_PASS + 1] for start in range(0, len(texts), IDS_PER_PASS))
    return all(bool((part[1:] > part[:-1]).all()) for part in passes)


class Repeats:
    """The rows whose key another row of the set has too, from its blocks in their order."""

    def __init__(self) -> None:
        self.rows = RowList()
        self._last: tuple[bytes, int, bool] | None = None  # the key and row before this block, and whether that row is counted

    def add(self, block: Block) -> None:
        """Look at the next block."""
        if not len(block.rows):
            return
        same = block.keys[1:] == block.keys[:-1]
        repeated = np.zeros(len(block.rows), dtype=bool)
        repeated[1:] |= same
        repeated[:-1] |= same
        if self._last is not None and self._last[0] == block.keys[0]:
            repeated[0] = True
            if not self._last[2]:
                self.rows.add([self._last[1]])
        self.rows.add(block.rows[repeated])
        self._last = block.keys[-1], int(block.rows[-1]), bool(repeated[-1])


def repeats(runs: SortedRuns) -> RowList:
    """Return the rows of a set whose key another row has too."""
    found = Repeats()
    for (block,) in walk(runs):
        found.add(block)
    return found.rows


def shared_rows(blocks: list[Block]) -> list[Positions]:
    """Return each set's rows of the keys that all blocks of a step have, in the order of the keys."""
    keys = blocks[0].keys
    found = [np.arange(len(keys))]
    kept = np.ones(len(keys), dtype=bool)
    for block in blocks[1:]:
        places = np.searchsorted(block.keys, keys)
        kept &= places < len(block.keys)
        places[~kept] = 0
        if kept.any():
            kept &= block.keys[places] == keys
        found.append(places)
    return [block.rows[places[kept]] for block, places in zip(blocks, found, strict=True)]
