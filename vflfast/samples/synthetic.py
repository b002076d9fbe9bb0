"""Synthetic customers of a bank and its partners, written as the raw files that real parties would bring."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import InputError
from ..params import MAX_COUNT

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

OBSERVATION_DATE = "2021-01-01"
POSITIVE_SHARE = 0.15
ONE_SIDED_SHARE = 0.03  # ids that a file has and the guest has not, and the other way round
FACTORS = 3  # hidden traits that each party's columns show
LOADING = np.float32(0.6)  # of a column on its trait; the rest of its unit variance is noise
GUEST_STRENGTH, HOST_STRENGTH = 1.5, 1.8  # of the traits in the label's log odds
GAP_SHARE = 0.08  # missing cells of a column with gaps
BLOCK_CELLS = 1 << 24  # cells made at a time
SHAPES = ("mixed", "five")

# one column of each sort first, so that a narrow table has them all
_CYCLE = ("amount", "category", "gaps", "date", "sign", "rare", "flag", "presence", "amount", "gaps")
_NARROW = 100  # wider tables have text columns only every so many: one-hot coding would swamp the rest
_UNITS = np.array([1.0, 0.5, 10.0], dtype=np.float32)  # exact in float32, so a file says what was meant
_LAST_DAY = 2000  # oldest date, in days before the observation date


@dataclass(frozen=True)
class DemoFiles:
    """Files of one synthetic case, and how to read them.

    Attributes
    ----------
    guest, hosts
        Paths of the bank's file and of each partner's.
    guest_arguments, host_arguments
        Keyword arguments of `read_table` for each.
    settings
        The same as nested plain values, ready for a TOML file beside the data; paths are file names.
    """

    guest: Path
    hosts: tuple[Path, ...]
    guest_arguments: dict[str, Any]
    host_arguments: tuple[dict[str, Any], ...]
    settings: dict[str, Any]


def write_demo(
    folder: str | os.PathLike[str],
    *,
    n_rows: int,
    guest_columns: int,
    host_columns: int,
    seed: int = 20210810,
    n_hosts: int = 1,
    shape: str = "mixed",
) -> DemoFiles:
    """Write a bank's and its partners' raw tables with a planted signal on every side.

    Customer i has independent normal traits f; the label is +1 for the 15 % with the largest a·f + logistic noise, a
    logistic model whose intercept is set to that share ([0075]). Each party's columns show its own traits only, so
    the parties together rank better than each alone. Every file has its own row order and 3 % of its ids to itself.
    The same arguments give the same values on every machine.

    Parameters
    ----------
    folder
        Made if needed; files of the same names are replaced.
    n_rows
        Rows of each file, at least 20.
    guest_columns, host_columns
        Raw features of the guest and of each host.
    seed
        Of the synthetic data only; no key or mask depends on it.
    n_hosts
        1..8.
    shape
        "mixed": dates, categories, missing cells, zeros, negatives, amounts. "five": amounts without gaps.

    Returns
    -------
    DemoFiles
        Guest as CSV; hosts as Parquet if pyarrow is installed, else CSV.

    Raises
    ------
    InputError
        A count outside its range, an unknown shape, a negative seed.
    """
    if not isinstance(folder, (str, os.PathLike)):
        raise InputError("folder", "must be a path")
    for name, value, low, high in (
        ("n_rows", n_rows, 20, MAX_COUNT),
        ("guest_columns", guest_columns, 1, MAX_COUNT),
        ("host_columns", host_columns, 1, MAX_COUNT),
        ("n_hosts", n_hosts, 1, 8),
        ("seed", seed, 0, 2**63 - 1),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InputError(name, f"must be an integer, {low}..{high}")
    if shape not in SHAPES:
        raise InputError("shape", f"must be one of {', '.join(SHAPES)}")
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    return _Case(n_rows, n_hosts, seed).write(target, guest_columns, host_columns, shape)


class _Case:
    """Customers with ids, hidden traits and labels; the guest's are the first n_rows."""

    def __init__(self, n_rows: int, n_hosts: int, seed: int) -> None:
        self.n_rows, self.n_hosts, self.seed = n_rows, n_hosts, seed
        self.n_one_sided = max(1, round(ONE_SIDED_SHARE * n_rows))
        n_people = n_rows + n_hosts * self.n_one_sided
        rng = np.random.default_rng([seed, 0])
        # 12…: shaped like a mobile number, and no operator's prefix
        self.ids = np.array([f"12{number:09d}" for number in rng.choice(10**9, n_people, replace=False)], dtype=object)
        self.traits = rng.standard_normal(((1 + n_hosts) * FACTORS, n_people), dtype=np.float32)
        self.labels = self._draw_labels(rng)

    def _draw_labels(self, rng: np.random.Generator) -> Ints:
        strengths = [GUEST_STRENGTH] + [HOST_STRENGTH / self.n_hosts**0.5] * self.n_hosts
        utility = rng.logistic(size=self.n_rows)
        for trait, values in enumerate(self.traits[:, : self.n_rows]):
            utility += strengths[trait // FACTORS] / FACTORS**0.5 * values
        labels = np.zeros(self.n_rows, dtype=np.int64)
        labels[np.argsort(-utility, kind="stable")[: round(POSITIVE_SHARE * self.n_rows)]] = 1
        return labels

    def write(self, folder: Path, guest_columns: int, host_columns: int, shape: str) -> DemoFiles:
        suffix = ".parquet" if importlib.util.find_spec("pyarrow") else ".csv"
        names = ["host"] if self.n_hosts == 1 else [f"host{k}" for k in range(1, self.n_hosts + 1)]
        guest = self._write_party(folder / "guest.csv", 0, guest_columns, shape)
        hosts = [self._write_party(folder / f"{name}{suffix}", k, host_columns, shape) for k, name in enumerate(names, start=1)]
        sections = [{"path": path.name, **arguments} for path, arguments in [guest, *hosts]]
        settings = {"guest": sections[0], "hosts": sections[1:]}
        return DemoFiles(guest[0], tuple(path for path, _ in hosts), guest[1], tuple(arguments for _, arguments in hosts), settings)

    def _write_party(self, path: Path, party: int, n_columns: int, shape: str) -> tuple[Path, dict[str, Any]]:
        sorts = _column_sorts(n_columns, shape)
        names = [f"{'g' if party == 0 else f'h{party}'}_{sort}_{k:04d}" for k, sort in enumerate(sorts)]
        arguments: dict[str, Any] = {"id_column": "phone", "id_format": "phone", "observation_date": OBSERVATION_DATE}
        arguments["kinds"] = {
            name: {"date": "date", "category": "categorical"}[sort]
            for name, sort in zip(names, sorts, strict=True)
            if sort in ("date", "category")
        }
        if party == 0:
            arguments["label_column"] = "y"
        frames = self._frames(party, names, sorts)
        if path.suffix == ".csv":
            _write_csv(path, frames)
        else:
            _write_parquet(path, frames)
        return path, arguments

    def _frames(self, party: int, names: list[str], sorts: list[str]) -> Iterator[pd.DataFrame]:
        """Yield the party's rows in blocks, so that no party's table is ever held whole."""
        rows = self._row_order(party)
        step = max(1, BLOCK_CELLS // len(names))
        for block, start in enumerate(range(0, self.n_rows, step)):
            people = rows[start : start + step]
            columns: dict[str, Any] = {"phone": self.ids[people]}
            if party == 0:
                columns["y"] = self.labels[people]
            traits = self.traits[party * FACTORS : (party + 1) * FACTORS, people]
            columns |= _block_columns(np.random.default_rng([self.seed, 2, party, block]), traits, names, sorts)
            yield pd.DataFrame(columns, copy=False)

    def _row_order(self, party: int) -> Ints:
        rng = np.random.default_rng([self.seed, 1, party])
        if party == 0:
            return rng.permutation(self.n_rows)
        shared = rng.permutation(self.n_rows)[self.n_one_sided :]
        own = self.n_rows + (party - 1) * self.n_one_sided + np.arange(self.n_one_sided)
        return rng.permutation(np.concatenate([shared, own]))


# --- columns -----------------------------------------------------------------------------------------------------


def _column_sorts(n_columns: int, shape: str) -> list[str]:
    if shape == "five":
        return ["amount"] * n_columns
    sorts = [_CYCLE[k % len(_CYCLE)] for k in range(n_columns)]
    period = len(_CYCLE) if n_columns <= _NARROW else _NARROW
    return ["amount" if sort in ("date", "category") and k % period >= len(_CYCLE) else sort for k, sort in enumerate(sorts)]


def _block_columns(rng: np.random.Generator, traits: Floats, names: list[str], sorts: list[str]) -> dict[str, Any]:
    noise_share = np.float32(np.sqrt(1 - LOADING**2))
    columns: dict[str, Any] = {}
    for k, (name, sort) in enumerate(zip(names, sorts, strict=True)):
        sign = LOADING if k % 2 else -LOADING
        score = sign * traits[k % FACTORS] + noise_share * rng.standard_normal(traits.shape[1], dtype=np.float32)
        columns[name] = _cells(rng, sort, score, k)
    return columns


def _cells(rng: np.random.Generator, sort: str, score: Floats, k: int) -> Floats | pd.Categorical[str]:
    """Turn a standard normal score into raw cells of the sort; NaN or None is a missing cell."""
    if sort == "category":
        return _category_cells(rng, score, 80 if k // len(_CYCLE) % 2 else 6)
    if sort == "date":
        return _date_cells(rng, score)
    return _number_cells(rng, sort, score, k)


def _number_cells(rng: np.random.Generator, sort: str, score: Floats, k: int) -> Floats:
    if sort == "flag":
        return (score > 0.5).astype(np.float32)
    if sort == "presence":
        return np.where(score > 0, np.float32(1), np.float32(np.nan))
    steps: Floats = np.rint(score * np.float32(20))
    if sort == "rare":
        return (steps - np.float32(30)).clip(min=np.float32(0))
    if sort == "sign":
        return np.where(np.abs(score) < 0.3, np.float32(0), steps)
    amount: Floats = (steps + np.float32(100 * (k % 4 == 0))) * _UNITS[k % len(_UNITS)]
    if sort == "gaps":
        amount[_gaps(rng, score.size)] = np.nan
    return amount


def _category_cells(rng: np.random.Generator, score: Floats, n_levels: int) -> pd.Categorical[str]:
    cuts = np.linspace(-2.2, 2.2, n_levels - 1, dtype=np.float32)
    codes = np.searchsorted(cuts, score)
    codes[_gaps(rng, score.size)] = -1
    return pd.Categorical.from_codes(codes, categories=pd.Index([f"level {level:02d}" for level in range(n_levels)]))


def _date_cells(rng: np.random.Generator, score: Floats) -> pd.Categorical[str]:
    days = np.rint(_LAST_DAY / 2 + 300 * score).clip(0, _LAST_DAY).astype(np.int64)
    days[_gaps(rng, score.size)] = -1
    calendar = np.datetime64(OBSERVATION_DATE) - np.arange(_LAST_DAY + 1)
    return pd.Categorical.from_codes(days, categories=pd.Index([str(day) for day in calendar]))


def _gaps(rng: np.random.Generator, n_rows: int) -> npt.NDArray[np.bool_]:
    return rng.random(n_rows, dtype=np.float32) < GAP_SHARE


# --- files -------------------------------------------------------------------------------------------------------


def _write_csv(path: Path, frames: Iterator[pd.DataFrame]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for block, frame in enumerate(frames):
            frame.to_csv(file, index=False, header=block == 0, lineterminator="\n")


def _write_parquet(path: Path, frames: Iterator[pd.DataFrame]) -> None:
    import pyarrow
    import pyarrow.parquet

    writer = None
    for frame in frames:
        table = pyarrow.Table.from_pandas(frame, preserve_index=False)
        writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()
