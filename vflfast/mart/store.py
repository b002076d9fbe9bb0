"""The mart's store ([0095]): feature classes by customer id as Parquet files, and a catalogue of them with checksums."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError, InputError
from ..params import MART_VERSION
from ..tables.columns import KINDS
from ..tables.forms import FORMS
from ..tables.seal import seal_holds, sealed
from ..tables.table import OpenTable, open_table

CATALOGUE = "mart.json"
FORMAT = "vflfast mart"
ID = "customer id"  # name of the id column in every file of a store
PART_CELLS = 1 << 25  # cells of a Parquet file: 256 MB while it is written
ROW_GROUP = 1 << 16  # rows that a reader's thread holds at a time


@dataclass(frozen=True)
class Feature:
    """A column of the store: its class, file, name, kind and running number, which outlives a rebuild."""

    group: str
    part: str
    name: str
    kind: str
    number: int


@dataclass(frozen=True)
class Store:
    """An opened store: where it is and what its catalogue says.

    Attributes
    ----------
    classes
        Rows by feature class.
    files
        Size and SHA-256 by file name.
    last_number
        The highest number that a column ever had here.
    """

    path: Path
    id_format: str
    classes: dict[str, int]
    features: tuple[Feature, ...]
    files: dict[str, tuple[int, str]]
    last_number: int

    def to_dict(self) -> dict[str, Any]:
        """Return the facts of the store, ready for JSON."""
        kinds = {name: [f.kind for f in self.features if f.group == name] for name in self.classes}
        return {
            "store": str(self.path),
            "id_format": self.id_format,
            "classes": {
                name: {"rows": rows, "columns": len(kinds[name]), "kinds": {kind: kinds[name].count(kind) for kind in KINDS}}
                for name, rows in self.classes.items()
            },
            "bytes": sum(size for size, _ in self.files.values()),
        }


# --- building ----------------------------------------------------------------------------------------------------


def build(classes: Mapping[str, Mapping[str, Any]], out: str | os.PathLike[str]) -> Store:
    """Write a store of several feature classes, whole or not at all; a store that is there already is replaced.

    Parameters
    ----------
    classes
        By class name: "file", and the settings of `open_table` besides labels. All classes have the same id format.
    out
        The store's folder. Columns that an older store there has keep their numbers.

    Raises
    ------
    InputError, DataError
        No class, an unusable name or setting, a file that cannot be read, or a folder at `out` that is no store.
    """
    need_pyarrow()
    target = Path(out)
    old = open_store(target) if _is_taken(target) else None
    id_format = _common_format(classes)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        features: list[Feature] = []
        rows: dict[str, int] = {}
        for name, settings in classes.items():
            with _class_named(name):
                table = open_table(settings["file"], **{key: value for key, value in settings.items() if key != "file"})
                rows[name] = table.n_rows
                features += _write_class(fresh, name, table)
        numbered, last = _with_numbers(features, old)
        files = {path.name: (path.stat().st_size, _sha256(path)) for path in sorted(fresh.glob("*.parquet"))}
        store = Store(target, id_format, rows, numbered, files, last)
        (fresh / CATALOGUE).write_text(json.dumps(_catalogue(store), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        _swap(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return store


def _common_format(classes: Mapping[str, Mapping[str, Any]]) -> str:
    if not isinstance(classes, Mapping) or not classes:
        raise InputError("classes", "needs at least one feature class")
    for name, settings in classes.items():
        if not isinstance(name, str) or not name or not name.isprintable():
            raise InputError("classes", "every class needs a printable name")
        if not isinstance(settings, Mapping) or not isinstance(settings.get("file"), (str, os.PathLike)):
            raise InputError(f"classes.{name}.file", "must name the class's table")
        unknown = sorted(set(settings) - {"file", "id_column", "kinds", "date_format", "observation_date", "id_format", *FORMS})
        if unknown:
            raise InputError(f"classes.{name}.{unknown[0]}", "is unknown in a feature class")
    formats = {settings.get("id_format", "text") for settings in classes.values()}
    if len(formats) > 1:
        raise InputError("id_format", "must be the same in all classes, or no customer is found in two of them")
    return str(formats.pop())


@contextmanager
def _class_named(name: str) -> Iterator[None]:
    """Put the class before the argument of an error."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"classes.{name}: {error.argument}", error.problem) from None


def _write_class(folder: Path, name: str, table: OpenTable) -> list[Feature]:
    """Write a class as files of neighbouring columns, each with the ids; return its columns."""
    import pyarrow
    import pyarrow.parquet

    if ID in table.feature_names:
        raise DataError(ID, "is the name of the store's own id column")
    step = max(1, PART_CELLS // table.n_rows)
    stem = hashlib.sha256(name.encode()).hexdigest()[:12]  # a class may have any name, a file may not
    made: list[Feature] = []
    for first in range(0, len(table.feature_names), step):
        part = f"{stem}-{first // step:04d}.parquet"
        columns: dict[str, Any] = {ID: pyarrow.array(table.ids, type=pyarrow.string())}
        for column in table.feature_names[first : first + step]:
            kind, cells = table.column(column)
            arrow = pyarrow.string() if kind == "categorical" else pyarrow.float64()
            columns[column] = pyarrow.array(cells.to_numpy(), type=arrow, from_pandas=True)
            made.append(Feature(name, part, column, kind, 0))
        pyarrow.parquet.write_table(pyarrow.table(columns), folder / part, row_group_size=ROW_GROUP)
    return made


def _with_numbers(features: list[Feature], old: Store | None) -> tuple[tuple[Feature, ...], int]:
    """Give every column the number that it had, or one that none ever had; return the highest number too."""
    known = {(f.group, f.name): f.number for f in old.features} if old else {}
    last = old.last_number if old else 0
    made = []
    for feature in features:
        number = known.get((feature.group, feature.name))
        if number is None:
            number = last = last + 1
        made.append(dataclasses.replace(feature, number=number))
    return tuple(made), last


def _is_taken(target: Path) -> bool:
    if target.exists() and not (target / CATALOGUE).is_file():
        raise InputError(str(target), "exists and is no mart; it is left alone")
    return target.exists()


def _swap(fresh: Path, target: Path) -> None:
    old = fresh.with_name(fresh.name + ".old")
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# --- the catalogue -----------------------------------------------------------------------------------------------


def _catalogue(store: Store) -> dict[str, Any]:
    return sealed({
        "format": FORMAT,
        "version": MART_VERSION,
        "id_format": store.id_format,
        "classes": store.classes,
        "features": [[f.group, f.part, f.name, f.kind, f.number] for f in store.features],
        "files": {name: list(facts) for name, facts in store.files.items()},
        "last_number": store.last_number,
    })  # fmt: skip


def open_store(path: str | os.PathLike[str]) -> Store:
    """Read a store's catalogue and check that its files are there with their sizes.

    Raises
    ------
    DataError
        No store, another version, or damage; `argument` is the path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError("mart", "must be a path")
    folder = Path(path)
    try:
        saved = json.loads((folder / CATALOGUE).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(str(folder), f"is no mart: its catalogue cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise DataError(str(folder), "its catalogue is damaged") from None
    if not isinstance(saved, dict) or saved.get("format") != FORMAT:
        raise DataError(str(folder), "is no mart")
    if saved.get("version") != MART_VERSION:
        raise DataError(str(folder), f"is a mart of another version than {MART_VERSION}")
    if not seal_holds(saved):
        raise DataError(str(folder), "its catalogue is damaged or edited")
    try:
        store = _store(folder, saved)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise DataError(str(folder), "its catalogue is damaged or edited") from None
    for name, (size, _) in store.files.items():
        file = folder / name
        if not os.path.isfile(file) or file.stat().st_size != size:  # no error for a name that no file can have
            raise DataError(str(file), "is missing or has another size than when the mart was built")
    return store


def _store(folder: Path, saved: Mapping[str, Any]) -> Store:
    files = {name: (int(size), str(digest)) for name, (size, digest) in saved["files"].items()}
    features = tuple(Feature(*row) for row in saved["features"])
    if any(Path(name).name != name for name in files) or not {f.part for f in features} <= set(files):
        raise ValueError
    return Store(folder, str(saved["id_format"]), dict(saved["classes"]), features, files, int(saved["last_number"]))


def check_file(store: Store, name: str) -> None:
    """Compare a file of the store with its SHA-256; DataError when it differs."""
    if _sha256(store.path / name) != store.files[name][1]:
        raise DataError(str(store.path / name), "is damaged: its SHA-256 is not that of the catalogue")


def verify(store: Store) -> None:
    """Compare every file of the store with its SHA-256; DataError names one that differs."""
    for name in store.files:
        check_file(store, name)


def need_pyarrow() -> None:
    """Check that the package of the store's files is there; InputError names the extra that brings it."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise InputError("mart", "needs the package pyarrow: pip install 'vflfast[parquet]'") from None
