"""Ids that are not in memory: their text, end to end, in the scratch folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..crypto import storage
from ..params import IDS_PER_PASS

Ids = npt.NDArray[np.object_]


class IdTexts:
    """Normalised ids, each once, which are text in memory a pass at a time; indexing and iteration are those of an object array.

    Parameters
    ----------
    parts
        Object arrays of distinct text in valid Unicode, as `normalise` gives it, one after the other.
    """

    def __init__(self, parts: Iterable[Ids]) -> None:
        data, ends, n_bytes = storage.Growing(np.uint8), storage.Growing(np.int64), 0
        for part in parts:
            texts = [text.encode() for text in part]
            own = n_bytes + np.cumsum([len(text) for text in texts], dtype=np.int64)
            data.append(np.frombuffer(b"".join(texts), dtype=np.uint8))
            ends.append(own)
            n_bytes = int(own[-1]) if own.size else n_bytes
        self._data, self._ends = data.finish(), ends.finish()

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def size(self) -> int:
        """Number of ids."""
        return len(self._ends)

    def __getitem__(self, index: Any) -> Any:
        """Return an id, or those of a slice, of positions or of a mask as an object array."""
        if isinstance(index, int | np.integer):
            return self._at([range(len(self))[index]])[0]
        if not isinstance(index, slice):
            index = np.asarray(index)
            return self._at((np.flatnonzero(index) if index.dtype == np.bool_ else index).tolist())
        rows = range(len(self))[index]
        return self._between(rows.start, rows.stop) if rows.step == 1 else self._at(rows)

    def __iter__(self) -> Iterator[str]:
        for part in passes(self):
            yield from part

    def take(self, rows: npt.NDArray[np.int64]) -> IdTexts:
        """Return the ids at distinct positions, in that order."""
        return IdTexts(self[part] for part in passes(rows))

    def __repr__(self) -> str:
        return f"IdTexts(n={len(self)})"

    def _between(self, start: int, stop: int) -> Ids:
        """Read neighbours at once."""
        ends = self._ends[start:stop].tolist()
        first = int(self._ends[start - 1]) if start and ends else 0
        data = self._data[first : ends[-1] if ends else 0].tobytes()
        starts = [first, *ends[:-1]]
        return _array([data[a - first : b - first].decode() for a, b in zip(starts, ends, strict=False)])

    def _at(self, rows: Iterable[int]) -> Ids:
        ends = self._ends
        return _array([self._data[ends[row - 1] if row else 0 : ends[row]].tobytes().decode() for row in rows])


def _array(texts: list[str]) -> Ids:
    made = np.empty(len(texts), dtype=object)
    made[:] = texts
    return made


def passes(items: Any) -> Iterator[Any]:
    """Yield `IDS_PER_PASS` of an array, or of ids, at a time."""
    for start in range(0, len(items), IDS_PER_PASS):
        yield items[start : start + IDS_PER_PASS]


def id_rows(ids: Ids | IdTexts, rows: npt.NDArray[np.int64]) -> Ids | IdTexts:
    """Return the ids at distinct positions; those of `IdTexts` stay out of memory."""
    return ids.take(rows) if isinstance(ids, IdTexts) else ids[rows]
