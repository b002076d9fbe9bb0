"""What a recipient of labels gets ([0152]): its customers' ids and labels, more where the settings open it; as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..protocol.guest import ScoringResult
from ..tables.writing import written_whole


@dataclass(frozen=True)
class Scored:
    """Scored customers, as many as matched.

    Attributes
    ----------
    columns
        "id" and "label" (±1); "score" and "joint_probability" where the settings open them.
    match
        The match report.
    threshold
        τ; ``None`` where the recipient gets labels only.
    """

    columns: dict[str, list[Any]]
    match: dict[str, Any]
    threshold: float | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What may be told: no id and no label."""
        labels = self.columns["label"]
        flagged = sum(label > 0 for label in labels) / len(labels)
        return {"match": self.match, "customers": len(labels), "threshold": self.threshold, "flagged_share": flagged}

    def write(self, stream: TextIO) -> None:
        """Write the columns as CSV."""
        writer = csv.writer(stream)
        writer.writerow(self.columns)
        writer.writerows(zip(*self.columns.values(), strict=True))

    def save(self, path: Path) -> None:
        """Write a CSV file whole or not at all, for its owner to read."""
        with written_whole(path, newline="") as stream:
            self.write(stream)


def at_guest(ids: Sequence[str] | npt.NDArray[np.object_], result: ScoringResult, match: dict[str, Any]) -> Scored:
    """Return what the guest gets; `ids` in the order of the result."""
    columns: dict[str, list[Any]] = {"id": list(ids), "label": result.labels.tolist()}
    if result.scores is not None:
        columns["score"] = result.scores.tolist()
    if result.joint_probability is not None:
        columns["joint_probability"] = result.joint_probability.tolist()
    return Scored(columns, match, result.threshold)


def at_host(ids: Sequence[str] | npt.NDArray[np.object_], labels: npt.NDArray[np.int8], match: dict[str, Any]) -> Scored:
    """Return what a host gets where it is a recipient."""
    return Scored({"id": list(ids), "label": labels.tolist()}, match)


def check_target(path: Path) -> None:
    """Refuse a CSV file that could not be written in the end; InputError."""
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(str(path), "is a folder" if path.is_dir() else "No such file or directory")
