"""The specification of a selection (TOML): which customers, which features, and what makes a label ([0079], [0084], [0089], [0090])."""

from __future__ import annotations

import datetime
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from .columns import KINDS
from .toml import known, read_toml, text

SUFFIXES = (".csv", ".csv.gz", ".parquet")
SECTIONS = {"query", "id_column", "observation_date", "sources", "label", "kinds", "memory_limit", "time_zone"}
SOURCE = {"file", "database", "table", "date_column", "types"}
LABEL = {"source", "where", "window_days", "id_column", "date_column", "column"}
NAME = "label"  # of the label column that a rule makes
MAX_WINDOW_DAYS = 36_500
DEFAULT_MEMORY = "1GB"
DEFAULT_ZONE = "UTC"


@dataclass(frozen=True)
class Source:
    """A table that the query may name: a file, or a table of a DuckDB database.

    Attributes
    ----------
    date_column
        When a row happened; the query sees rows from before the observation date only ([0090]).
    types
        SQL types of CSV columns, where inference is not wanted.
    """

    name: str
    path: Path
    table: str | None = None
    date_column: str | None = None
    types: dict[str, str] = field(default_factory=dict)

    @property
    def is_csv(self) -> bool:
        """Whether it is a CSV file."""
        return self.table is None and not self.path.name.lower().endswith(".parquet")


@dataclass(frozen=True)
class LabelRule:
    """+1 for a customer with a row of `source` for which `where` holds, dated in the window from the observation date; else −1."""

    source: str
    where: str
    window_days: int
    id_column: str
    date_column: str


@dataclass(frozen=True)
class Selection:
    """What `select` needs to know.

    Attributes
    ----------
    query
        One SELECT over the sources; its result has the id column, and becomes the features.
    label
        A rule; or the name of a column of the result; or None.
    kinds
        "numeric", "categorical" or "date" by column name, where inference is not wanted.
    memory_limit
        Of the engine, such as "2GB"; what does not fit waits in a temporary folder.
    time_zone
        Where the day begins, for times that are stored with a zone (as Parquet files by Spark are); other dates are taken as they are.
    """

    query: str
    id_column: str
    sources: dict[str, Source]
    observation_date: datetime.date | None = None
    label: LabelRule | str | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    memory_limit: str = DEFAULT_MEMORY
    time_zone: str = DEFAULT_ZONE

    @property
    def label_column(self) -> str | None:
        """The label's column in the selected table."""
        return NAME if isinstance(self.label, LabelRule) else self.label

    def reading(self) -> dict[str, Any]:
        """Return the settings of `open_table` for the selected table."""
        found: dict[str, Any] = {"id_column": self.id_column, "kinds": self.kinds}
        if self.observation_date:
            found["observation_date"] = self.observation_date.isoformat()
        if self.label_column:
            found["label_column"] = self.label_column
        return found


def read_selection(path: str | os.PathLike[str]) -> Selection:
    """Read a specification; relative paths start at its folder.

    Raises
    ------
    InputError
        It cannot be read, or a section or name is missing, unknown or wrong; `argument` is its name.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError("path", "must be a path")
    return selection_from_mapping(read_toml(path), Path(path).parent)


def selection_from_mapping(data: Mapping[str, Any], folder: Path) -> Selection:
    """Return the selection that a mapping with the sections of a specification describes; InputError names what is wrong."""
    known("the specification", data, SECTIONS)
    observation = data.get("observation_date")
    if observation is not None and (not isinstance(observation, datetime.date) or isinstance(observation, datetime.datetime)):
        raise InputError("observation_date", "must be a date without quotes, such as 2026-01-01")
    if "query" not in data:
        raise InputError("query", "is missing from the specification")
    id_column = text("id_column", data.get("id_column", "id"))
    sections = data.get("sources")
    if not isinstance(sections, Mapping) or not sections:
        raise InputError("sources", "must be one or more [sources.NAME] sections")
    sources = {name: _source(name, section, folder, observation) for name, section in sections.items()}
    _check_listed_twice(sources.values())
    label = _label(data.get("label"), sources, id_column, observation)
    kinds = _names_to_texts("kinds", data.get("kinds", {}))
    wrong = [name for name, kind in kinds.items() if kind not in KINDS]
    if wrong:
        raise InputError(f"kinds.{wrong[0]}", f"must be one of {', '.join(KINDS)}")
    return Selection(
        text("query", data["query"]), id_column, sources, observation, label, kinds,
        text("memory_limit", data.get("memory_limit", DEFAULT_MEMORY)), text("time_zone", data.get("time_zone", DEFAULT_ZONE)),
    )  # fmt: skip


def _source(name: str, section: object, folder: Path, observation: datetime.date | None) -> Source:
    where = f"sources.{name}"
    if not name.isidentifier():
        raise InputError(where, "must be a name of letters, digits and underscores, as the query writes it")
    if not isinstance(section, Mapping):
        raise InputError(where, "must be a section of settings")
    known(where, section, SOURCE)
    if ("file" in section) == ("database" in section):
        raise InputError(where, "must have either file or database")
    if "database" in section and "table" not in section:
        raise InputError(f"{where}.table", "must name the table of the database")
    if "file" in section and "table" in section:
        raise InputError(f"{where}.table", "belongs to a database")
    key = "file" if "file" in section else "database"
    path = folder / text(f"{where}.{key}", section[key])
    if not os.path.isfile(path):  # no error for a name that no file can have
        raise InputError(f"{where}.{key}", f"no such file: {section[key]}")
    if key == "file" and not path.name.lower().endswith(SUFFIXES):
        raise InputError(f"{where}.file", f"must end in {', '.join(SUFFIXES)}")
    date_column = section.get("date_column")
    if date_column is not None and observation is None:
        raise InputError("observation_date", f"is needed, because {where} has a date_column")
    types = _names_to_texts(f"{where}.types", section.get("types", {}))
    if types and (key == "database" or path.name.lower().endswith(".parquet")):
        raise InputError(f"{where}.types", "belong to a CSV file; this source has its own")
    table = None if "table" not in section else text(f"{where}.table", section["table"])
    return Source(name, path, table, None if date_column is None else text(f"{where}.date_column", date_column), types)


def _check_listed_twice(sources: Collection[Source]) -> None:
    """Refuse one table under two names of which one holds later rows back and the other shows them."""
    for source in sources:
        for other in sources:
            same = other.table == source.table and os.path.samefile(other.path, source.path)
            if same and source.date_column != other.date_column and other.date_column is not None:
                problem = f"must be {other.date_column}: sources.{other.name} is the same table, and holds its later rows back"
                raise InputError(f"sources.{source.name}.date_column", problem)


def _label(
    section: object, sources: Mapping[str, Source], id_column: str, observation: datetime.date | None
) -> LabelRule | str | None:
    if section is None:
        return None
    if not isinstance(section, Mapping):
        raise InputError("label", "must be a section of settings")
    known("label", section, LABEL)
    if "column" in section:
        if len(section) > 1:
            raise InputError("label.column", "is a label that exists already; leave out the rule, or the column")
        return text("label.column", section["column"])
    for name in ("source", "where", "window_days"):
        if name not in section:
            raise InputError(f"label.{name}", "is missing from the rule")
    if observation is None:
        raise InputError("observation_date", "is needed, because the label's window begins there")
    source = sources.get(text("label.source", section["source"]))
    if source is None:
        raise InputError("label.source", f"is no source; there are {', '.join(sources)}")
    days = section["window_days"]
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= MAX_WINDOW_DAYS:
        raise InputError("label.window_days", f"must be a whole number from 1 to {MAX_WINDOW_DAYS}")
    date_column = section.get("date_column", source.date_column)
    if date_column is None:
        raise InputError("label.date_column", f"is needed, because sources.{source.name} has none")
    if source.date_column is None:
        raise InputError(
            f"sources.{source.name}.date_column", "is needed: without it the features would see the rows that make the label"
        )
    own_id = text("label.id_column", section.get("id_column", id_column))
    return LabelRule(source.name, text("label.where", section["where"]), days, own_id, text("label.date_column", date_column))


def _names_to_texts(where: str, section: object) -> dict[str, str]:
    if not isinstance(section, Mapping):
        raise InputError(where, "must be a table such as {column = \"text\"}")
    return {name: text(f"{where}.{name}", value) for name, value in section.items()}
