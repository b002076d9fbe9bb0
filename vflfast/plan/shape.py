"""The shape of a run: all that its work depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ..binning.rules import CategoryRule, NumericRule
from ..errors import InputError
from ..jobs.job import Prepared
from ..jobs.jobfile import Job
from ..params import MAX_CLASSES, MAX_COUNT
from ..protocol.inline import party_names
from ..protocol.settings import Settings
from ..protocol.woe import plain_inputs

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PartyShape:
    """What the work of a data party depends on.

    Attributes
    ----------
    class_counts, modal_shares
        shape (n_features,): classes that training rows fall into, and the share of the most frequent one.
    n_columns
        Model columns: one a number, one a level of a category.
    largest
        Largest |z| in a column.
    used_classes
        Classes that have training rows, of all features together.
    class_width
        Classes of the feature that has most, one without rows among them.
    """

    name: str
    class_counts: Ints
    modal_shares: Floats
    n_columns: int
    largest: int
    used_classes: int
    class_width: int


@dataclass(frozen=True)
class RunShape:
    """Rows and columns of a run, guest first; `n_test` rows are scored afterwards, `n_raw` is the largest table's row count.

    `spent` has the seconds of the stages that are over: where tables are at hand, they are read, matched and binned to know the shape.
    """

    parties: tuple[PartyShape, ...]
    n_rows: int
    settings: Settings
    n_test: int = 0
    n_raw: int = 0
    verify: bool = False
    spent: Mapping[str, float] = field(default_factory=dict)


def flat_shape(n_rows: int, columns: Sequence[int], settings: Settings, classes: int = 5) -> RunShape:
    """Return the shape of tables that are only known by size: `columns` numbers for each party, guest first, equal classes each.

    Raises
    ------
    InputError
        A size outside its range, or fewer than two parties.
    """
    if not 1 <= n_rows <= MAX_COUNT:
        raise InputError("rows", f"must be from 1 to {MAX_COUNT}")
    if not 1 <= classes <= MAX_CLASSES:
        raise InputError("classes", f"must be from 1 to {MAX_CLASSES}")
    if not all(1 <= count <= MAX_COUNT for count in columns):
        raise InputError("columns", f"each must be from 1 to {MAX_COUNT}")
    parties = tuple(
        PartyShape(
            name,
            class_counts=np.full(count, classes, dtype=np.int64),
            modal_shares=np.full(count, 1 / classes),
            n_columns=count,
            largest=max(1, classes - 1),
            used_classes=count * classes,
            class_width=classes + 1,
        )
        for name, count in zip(party_names(len(columns) - 1)[1:], columns, strict=True)
    )
    return RunShape(parties, n_rows, settings, n_raw=n_rows)


def rule_shape(name: str, rules: Sequence[NumericRule | CategoryRule]) -> PartyShape:
    """Return a party's shape from its fitted binning rules."""
    rows = [np.array(rule.counts, dtype=np.int64) for rule in rules]
    present = np.array([int(np.flatnonzero(counts).max(initial=0)) + 1 for counts in rows], dtype=np.int64)
    shares = np.array([counts.max() / max(1, counts.sum()) for counts in rows])
    largest = max(int((np.abs(rule.column_values()) * (counts > 0)).max()) for rule, counts in zip(rules, rows, strict=True))
    used = sum(int((counts > 0).sum()) for counts in rows)
    return PartyShape(
        name, present, shares, sum(len(rule.column_names()) for rule in rules), max(1, largest), used, max(rule.n_classes for rule in rules)
    )


def job_shape(ready: Prepared, job: Job, spent: Mapping[str, float], *, verify: bool = False) -> RunShape:
    """Return the shape of a job whose tables are read and binned, in the seconds of `spent`.

    Raises
    ------
    LeakageGuardError
        As the hosts' WOE would raise it.
    """
    names = party_names(len(job.hosts))[1:]
    parties = [rule_shape(name, binner.rules) for name, binner in zip(names, ready.binners, strict=True)]
    if job.settings.host_woe:  # the values that the hosts' columns will have decide how their gradients are packed
        evident = [plain_inputs(inputs, ready.inputs[0].labels, job.settings).matrix for inputs in ready.inputs[1:]]
        parties[1:] = [replace(party, largest=matrix.largest) for party, matrix in zip(parties[1:], evident, strict=True)]
    n_test = 0 if ready.test is None else len(ready.test.labels)
    return RunShape(tuple(parties), ready.inputs[0].matrix.n_rows, job.settings, n_test, max(ready.match["rows"]), verify, dict(spent))
