"""Where a party's account of what its peers were told is kept, and which of its numbers it is about."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..net.budget import FileBudget
from ..protocol.budget import Budget, NoBudget
from ..protocol.settings import Settings
from ..tables.id_texts import Ids, IdTexts, id_rows
from .jobfile import PartyPlan

FEATURES = "features"  # what a host's peers are told about; the guest's: its label column


def budget_of(plan: PartyPlan, settings: Settings, ids: Ids | IdTexts, rows: npt.NDArray[np.int64]) -> Budget:
    """Return a party's account for a run over these rows of its table.

    In a simulation one organisation has every party's numbers, so nothing is counted unless the party's section names a ledger.
    """
    if settings.simulation and plan.ledger is None:
        return NoBudget()
    return FileBudget(plan.ledger or ledger_folder(plan.name), target_of(plan), id_rows(ids, rows))


def count_matching(plan: PartyPlan, settings: Settings, report: Mapping[str, Any]) -> None:
    """Keep that this party's ids were matched, in its account: each time tells the peers whom of theirs it knows."""
    if settings.simulation and plan.ledger is None:
        return
    others = [peer for peer in report["parties"] if peer != plan.name] or ["guest"]  # tokens name nobody to a host
    FileBudget(plan.ledger or ledger_folder(plan.name), target_of(plan)).count_matching(others, report["rows"], report["matched"])


def target_of(plan: PartyPlan) -> str:
    """Return which of its numbers a party's peers are told about."""
    return str(plan.reading.get("label_column", "labels")) if plan.name == "guest" else FEATURES


def ledger_folder(role: str) -> Path:
    """Return the user's folder for a role's account: ``$XDG_STATE_HOME/vflfast/ledger/<role>``, else below ``~/.local/state``."""
    given = os.environ.get("XDG_STATE_HOME", "")
    return (Path(given) if os.path.isabs(given) else Path.home() / ".local" / "state") / "vflfast" / "ledger" / role
