"""A fitted estimator as a folder of JSON files: the parties' models as the command line writes them, and the rest in estimator.json."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import InputError, ModelError
from ..jobs import model as saved
from ..protocol.arbiter import ArbiterModel, readable_threshold
from ..protocol.settings import Settings
from .labels import curve_frame
from .parameters import DEFAULTS, OF_THE_RUN, SHARED

REST = "estimator.json"
FIELDS = {"session", "params", "parties", "classes", "thresholds", "loss_curve", "n_iter", "validation_curve"}


@dataclass(frozen=True)
class Fitted:
    """What the files hold: the parameters, and what `fit` found, under the estimator's names without their underscore."""

    params: dict[str, Any]
    parties: dict[str, saved.SavedParty]
    arbiter: ArbiterModel
    classes: npt.NDArray[Any]
    thresholds: dict[str, float]
    loss_curve: dict[str, list[float]]
    n_iter: int
    validation_curve: pd.DataFrame | None


def save(fitted: Fitted, folder: Path) -> list[Path]:
    """Write the files; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = saved.write_models(folder, list(fitted.parties.values()), fitted.arbiter)
    curve = fitted.validation_curve
    rest = {
        "session": fitted.arbiter.session, "params": fitted.params, "parties": list(fitted.parties), "classes": fitted.classes.tolist(),
        "thresholds": {k: v for k, v in fitted.thresholds.items() if not math.isnan(v)}, "loss_curve": fitted.loss_curve,
        "n_iter": fitted.n_iter, "validation_curve": None if curve is None else {name: curve[name].tolist() for name in ("auc", "ks")},
    }  # fmt: skip
    saved.write_json(folder / REST, rest)
    return [*paths, folder / REST]


def load(folder: Path, parameters: Sequence[str]) -> Fitted:
    """Return what the files of a folder hold; `parameters` are those that there are.

    Raises
    ------
    ModelError
        A file missing or damaged, files of different training runs, or a parameter that there is not.
    """
    parties, arbiter = saved.read_models(folder)
    path = folder / REST
    rest = saved.read_json(path) if path.exists() else _of_command_line(arbiter, parties)
    if set(rest) != FIELDS:
        raise ModelError(str(path), f"must hold exactly {', '.join(sorted(FIELDS))}")
    if rest["session"] != arbiter.session:
        raise ModelError("session", f"{REST} comes from another training run")
    try:
        return _fitted(rest, arbiter, parties, parameters)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(str(path), "is damaged") from error


@contextmanager
def named_params() -> Iterator[None]:
    """Turn an error of a parameter into one of the file that holds it; ModelError."""
    try:
        yield
    except InputError as error:
        raise ModelError(f"params.{error.argument}", error.problem) from None


def _fitted(rest: dict[str, Any], arbiter: ArbiterModel, parties: list[saved.SavedParty], parameters: Sequence[str]) -> Fitted:
    by_name = dict(zip(rest["parties"], parties, strict=True))
    classes = np.array(rest["classes"])
    if classes.shape != (2,) or next(iter(by_name)) != "guest":
        raise ValueError(REST)
    sides = ("combined", "joint", "host", *by_name)
    curve = rest["validation_curve"]
    return Fitted(
        _params(rest["params"], parameters), by_name, arbiter, classes,
        {side: float(rest["thresholds"].get(side, math.nan)) for side in sides},
        {name: [float(x) for x in rest["loss_curve"][name]] for name in by_name},
        int(rest["n_iter"]), None if curve is None else curve_frame(curve["auc"], curve["ks"]),
    )  # fmt: skip


def _params(params: dict[str, Any], parameters: Sequence[str]) -> dict[str, Any]:
    """Return parameters as they were before JSON; ModelError for one that there is not."""
    for name in params:
        if name not in parameters:
            raise ModelError(f"params.{name}", f"is no parameter of this version; there are {', '.join(parameters)}")
    if params.get("settings") is None:
        return params
    with named_params():
        return {**params, "settings": Settings.from_mapping(dict(params["settings"]))}


def _of_command_line(arbiter: ArbiterModel, parties: list[saved.SavedParty]) -> dict[str, Any]:
    """The rest, where the command line wrote the models: its settings, and no thresholds but τ."""
    agreed = {name: getattr(arbiter.settings, name) for name in DEFAULTS if name not in (*SHARED, *OF_THE_RUN)}
    params = {**{name: getattr(arbiter.settings, name) for name in SHARED}, "settings": agreed}
    reading = {name: parties[0].reading[name] for name in ("date_format", "observation_date") if name in parties[0].reading}
    return {
        "session": arbiter.session, "params": {**params, **reading}, "parties": [party.role for party in parties], "classes": [-1, 1],
        "thresholds": {arbiter.settings.scoring: readable_threshold(arbiter, parties[0].scale)},
        "loss_curve": {party.role: party.facts["losses"] for party in parties}, "n_iter": arbiter.n_iter, "validation_curve": None,
    }  # fmt: skip
