"""A host's view of a mart ([0095]–[0098]): its feature classes joined by customer id, read for the wanted rows only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..crypto import storage
from ..errors import DataError, InputError
from ..tables.id_texts import Ids, IdTexts, id_rows, passes
from ..tables.table import OpenTable
from .store import ID, PART_CELLS, Feature, Store, check_file, need_pyarrow, open_store

NAMES = ("shown", "hidden")
CODE_DIGITS = 12  # of a hidden category, in base 16


class MartTable(OpenTable):
    """A host's view of a store: the outer join of its classes by customer id, read only for the rows that are wanted.

    Parameters
    ----------
    store
        Opened by `open_store`.
    classes
        Feature classes to join; default: all.
    names
        "shown", or "hidden": columns are called f0001, …, and a category a code of its own, such as 3f0a91c2d4e5 ([0097]). What kind a
        column has, and so how it is coded, is the same.

    Raises
    ------
    InputError
        An unknown class or choice.
    DataError
        A damaged file.
    """

    def __init__(
        self, store: Store, classes: Sequence[str] | None = None, names: str = "shown", *, ids: Ids | IdTexts | None = None
    ) -> None:
        if names not in NAMES:
            raise InputError("names", f"must be one of {', '.join(NAMES)}")
        need_pyarrow()
        chosen = list(store.classes) if classes is None else _chosen_classes(store, classes)
        self._store, self._classes, self._hidden = store, chosen, names == "hidden"
        self._features = _named(store, chosen, self._hidden)
        self.feature_names = list(self._features)
        self.labels = None
        if ids is None:
            for part in {feature.part for feature in self._features.values()}:
                check_file(store, part)
            ids = self._all_ids()
        self.ids = ids
        self._ahead: dict[str, Any] = {}
        self._places: dict[str, npt.NDArray[np.int64]] = {}

    def at(self, rows: npt.ArrayLike) -> MartTable:
        """Return the same view of some of its customers, in the order of `rows`; nothing else is read any more."""
        names = "hidden" if self._hidden else "shown"
        return MartTable(self._store, self._classes, names, ids=id_rows(self.ids, np.asarray(rows, dtype=np.int64)))

    def column(self, name: str) -> tuple[str, pd.Series[Any]]:
        """Read one column; return its kind and cells, missing where its class lacks the customer."""
        kind, cells = self.read(name)
        return kind, pd.Series(cells, dtype=cells.dtype)

    def read(self, name: str) -> tuple[str, npt.NDArray[Any]]:
        """Read one column, as an array."""
        feature = self._features[name]
        if name not in self._ahead:
            self._ahead = {}
            self._ahead = self._read(self._group_of(name))
        cells = self._ahead.pop(name)
        if feature.kind != "categorical":
            return feature.kind, _floats(cells)
        texts = np.array(cells.to_pylist(), dtype=object)
        return "categorical", _codes(texts, feature) if self._hidden else texts

    def lonely_values(self, name: str, kind: str, cells: npt.NDArray[Any]) -> None:
        """Extreme values were asked about when the store was built."""
        return

    @property
    def id_column(self) -> str:
        """What the ids of a store are called."""
        return ID

    @property
    def label_column(self) -> None:
        """A store has no labels."""
        return

    @property
    def observation_date(self) -> None:
        """Dates are days already."""
        return

    def _group_of(self, name: str) -> list[str]:
        """The columns that are read together: neighbours in the same file, as many as memory has room for."""
        first, size = self.feature_names.index(name), max(1, PART_CELLS // 8 // self.n_rows)
        part = self._features[name].part
        return [other for other in self.feature_names[first : first + size] if self._features[other].part == part]

    def _read(self, names: list[str]) -> dict[str, Any]:
        """Read columns of one file, a row group at a time, and keep the wanted customers' cells of each: null where there is none."""
        import pyarrow
        import pyarrow.parquet

        first = self._features[names[0]]
        columns, path = [self._features[name].name for name in names], self._store.path / first.part
        with _readable(path):
            file = pyarrow.parquet.ParquetFile(path)
            places = self._places_in(first, file)
            kept = np.sort(places[places >= 0])
            pieces, start = [file.schema_arrow.empty_table().select(columns)], 0
            for k in range(file.num_row_groups):
                end = start + file.metadata.row_group(k).num_rows
                here = kept[np.searchsorted(kept, start) : np.searchsorted(kept, end)] - start
                if here.size:
                    pieces.append(file.read_row_group(k, columns=columns).take(here))
                start = end
            order = pyarrow.array(np.searchsorted(kept, places), mask=places < 0)
            found = pyarrow.concat_tables(pieces).take(order)
        return {name: found.column(k) for k, name in enumerate(names)}

    def _places_in(self, feature: Feature, file: Any) -> npt.NDArray[np.int64]:
        """The customers' rows in the files of a class, which all have them in one order; −1 where it lacks the customer."""
        import pyarrow
        import pyarrow.compute

        if feature.group not in self._places:
            own = file.read(columns=[ID]).column(0)
            places = storage.empty(self.n_rows, np.int64)
            for ids, out in zip(passes(self.ids), passes(places), strict=True):
                out[:] = pyarrow.compute.index_in(pyarrow.array(ids, type=pyarrow.string()), value_set=own).fill_null(-1)
            self._places[feature.group] = places
        return self._places[feature.group]

    def _all_ids(self) -> Ids | IdTexts:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet

        parts = {feature.group: feature.part for feature in self._features.values()}
        columns = []
        for part in parts.values():
            with _readable(self._store.path / part):
                columns += pyarrow.parquet.read_table(self._store.path / part, columns=[ID]).column(0).chunks
        found = pyarrow.compute.unique(pyarrow.chunked_array(columns, type=pyarrow.string()))
        order = pyarrow.compute.array_sort_indices(found)
        if storage.folder() is not None:  # Arrow's form of them, 15 bytes an id, is in memory here; Python's never
            return IdTexts(found.take(part).to_numpy(zero_copy_only=False) for part in passes(order))
        ids = np.empty(len(found), dtype=object)
        ids[:] = found.take(order).to_pylist()
        return ids


def open_mart(path: str | os.PathLike[str], classes: Sequence[str] | None = None, names: str = "shown") -> MartTable:
    """Open a store for a host's job; see `open_store` and `MartTable`."""
    return MartTable(open_store(path), classes, names)


def rows_of(tables: Sequence[Any], positions: Sequence[npt.NDArray[np.int64]]) -> Iterator[tuple[Any, npt.NDArray[np.int64]]]:
    """Yield every table with its rows; a mart is cut to its rows first, so that only they are ever read."""
    for table, rows in zip(tables, positions, strict=True):
        yield (table.at(rows), np.arange(len(rows))) if isinstance(table, MartTable) else (table, rows)


def _chosen_classes(store: Store, classes: object) -> list[str]:
    if isinstance(classes, str) or not isinstance(classes, Sequence) or not classes:
        raise InputError("classes", "must name one or more feature classes")
    for name in classes:
        if name not in store.classes:
            raise InputError("classes", f"no class {name!r} in the mart; there are {', '.join(store.classes)}")
    return list(dict.fromkeys(classes))


def _named(store: Store, classes: list[str], hidden: bool) -> dict[str, Feature]:
    chosen = [feature for name in classes for feature in store.features if feature.group == name]
    if hidden:
        return {f"f{feature.number:04d}": feature for feature in chosen}
    names = [feature.name for feature in chosen]
    plain = {name for name in names if names.count(name) == 1} if len(set(names)) < len(names) else set(names)
    named = {f.name if f.name in plain else f"{f.group}.{f.name}": f for f in chosen}
    if len(named) < len(chosen):
        raise DataError(str(store.path), "a column has the name of another one with its class before it")
    return named


def _floats(cells: Any) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = cells.to_pandas().to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    return values


def _codes(texts: npt.NDArray[Any], feature: Feature) -> npt.NDArray[Any]:
    """Return a code for every category, the same in every build, None where missing; two meet with probability 2^-48."""
    prefix = f"{feature.group}\0{feature.name}\0"
    codes: dict[Any, str | None] = {None: None}
    for text in set(texts) - {None}:
        codes[text] = hashlib.sha256((prefix + text).encode()).hexdigest()[:CODE_DIGITS]
    return np.array([codes[text] for text in texts], dtype=object)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (OSError, pyarrow.ArrowException) as error:
        # the class only: the library's messages may quote cells
        raise DataError(str(path), f"cannot be read ({type(error).__name__})") from None
