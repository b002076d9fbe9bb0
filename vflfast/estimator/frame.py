"""VerticalFrame: the columns of several parties on the same customers, for trials in one process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError, InputError
from ..tables.table import Table, table_from_frame


class VerticalFrame:
    """The guest's and the hosts' DataFrames, on the customers that all of them have, in the guest's order.

    It holds every party's columns in one process, so it is for trials and simulations only; between organisations each keeps its own
    table, and the command line matches them by protected ids.

    Parameters
    ----------
    guest
        The guest's features, without labels; its index, or the column `on`, names the customers.
    host
        One DataFrame, or several by name, such as ``{"telecom": ..., "retail": ...}``.
    on
        Column with the customers' ids in every DataFrame; it becomes the index. ``None``: the index.

    Attributes
    ----------
    parts
        The DataFrames by name, the guest's first, all with the index `index`.
    n_dropped
        Rows of each part that not all others have.

    Raises
    ------
    InputError
        Not DataFrames, a name twice, no host.
    DataError
        No column `on`, a customer twice or without id, no customer in common, two columns of one name.
    """

    def __init__(self, guest: pd.DataFrame, host: pd.DataFrame | Mapping[str, pd.DataFrame], *, on: str | None = None) -> None:
        parts = _indexed({"guest": guest, **_named_hosts(host)}, on)
        first, *others = parts.values()
        shared = np.ones(len(first), dtype=bool)
        for other in others:
            shared &= first.index.isin(other.index)
        if not shared.any():
            raise DataError("host", "has no customer in common with the guest")
        self.index: pd.Index[Any] = first.index[shared]
        self.n_dropped = {name: len(part) - len(self.index) for name, part in parts.items()}
        self.parts = {name: part if part.index is self.index else part.loc[self.index] for name, part in parts.items()}

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names of the hosts, in order."""
        return tuple(self.parts)[1:]

    @property
    def shape(self) -> tuple[int, int]:
        """(customers, features of all parties)."""
        return len(self.index), sum(part.shape[1] for part in self.parts.values())

    @property
    def ndim(self) -> int:
        """2: rows and columns."""
        return 2

    @property
    def feature_names(self) -> list[str]:
        """Names of all features with the party's in front, such as "guest__age"."""
        return [f"{name}__{column}" for name, part in self.parts.items() for column in part.columns]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: Any) -> VerticalFrame:
        """Return the customers that a slice, a mask or positions select."""
        return self.take(rows)

    def take(self, rows: Any) -> VerticalFrame:
        """Return the customers that a slice, a mask or positions select, in that order.

        Raises
        ------
        InputError
            Neither; positions outside the frame or twice, or nothing selected.
        """
        positions = np.arange(len(self))
        try:
            chosen = positions[rows]
        except (IndexError, TypeError, ValueError):
            raise InputError("rows", f"must be a slice, a mask or positions below {len(self)}") from None
        if chosen.ndim != 1 or chosen.size == 0 or len(set(chosen.tolist())) < chosen.size:
            raise InputError("rows", "must select at least one customer and none twice")
        result = object.__new__(VerticalFrame)
        result.index = self.index[chosen]
        result.n_dropped = dict.fromkeys(self.parts, 0)
        result.parts = {name: part.iloc[chosen] for name, part in self.parts.items()}
        return result

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}: {part.shape[1]}" for name, part in self.parts.items())
        return f"VerticalFrame({len(self)} customers; features {sizes})"


def feature_table(frame: pd.DataFrame, name: str, reading: Mapping[str, Any], labels: npt.ArrayLike | None = None) -> Table:
    """Return a party's DataFrame as a Table; the row numbers serve as ids, since the index already says who is who.

    Parameters
    ----------
    frame
        Features only, n_rows rows.
    name
        The argument that errors name.
    reading
        `kinds`, `date_format`, `observation_date` of `table_from_frame`.
    labels
        n_rows labels {0, 1}, booleans or ±1.

    Raises
    ------
    InputError, DataError
        As `table_from_frame`.
    """
    if not isinstance(frame, pd.DataFrame):
        raise InputError(name, f"must be a pandas DataFrame, not {type(frame).__name__}")
    if len(frame) == 0:
        raise DataError(name, "has no rows")
    id_column, label_column = _unused("row", frame), _unused("label", frame)
    extra: dict[str, Any] = {id_column: np.arange(len(frame))} | ({} if labels is None else {label_column: np.asarray(labels)})
    return table_from_frame(frame.assign(**extra), id_column=id_column, label_column=None if labels is None else label_column, **reading)


def _unused(name: str, frame: pd.DataFrame) -> str:
    while name in frame.columns:
        name += "_"
    return name


def _named_hosts(host: object) -> dict[str, Any]:
    hosts: dict[str, Any] = dict(host) if isinstance(host, Mapping) else {"host1": host}
    if not hosts:
        raise InputError("host", "needs at least one DataFrame")
    if len(hosts) == 1 and set(hosts) == {"host"}:
        hosts = {"host1": hosts["host"]}
    for name in hosts:
        if not isinstance(name, str) or name in ("", "guest", "arbiter", "joint", "combined"):
            raise InputError("host", "its names must be text other than guest, arbiter, joint and combined")
    return hosts


def _indexed(parts: Mapping[str, pd.DataFrame], on: object) -> dict[str, pd.DataFrame]:
    result = {}
    for name, part in parts.items():
        if not isinstance(part, pd.DataFrame):
            raise InputError(name, f"must be a pandas DataFrame, not {type(part).__name__}")
        if on is not None:
            if on not in part.columns:
                raise DataError(str(on), f"no such column in the table of {name}")
            part = part.set_index(on)
        if part.shape[1] == 0:
            raise DataError(name, "has no feature column")
        if part.index.hasnans:
            raise DataError(name, "a customer without an id in its index")
        if not part.index.is_unique:
            raise DataError(name, "a customer more than once in its index")
        if not part.columns.is_unique:
            raise DataError(name, "two columns have the same name")
        result[name] = part
    return result
