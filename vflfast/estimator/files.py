"""An estimator as a folder of JSON files: the parties' models as the command line writes them, and the rest in estimator.json."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..errors import InputError, ModelError
from ..jobs import model as saved
from ..protocol.arbiter import ArbiterModel
from .labels import curve_frame

if TYPE_CHECKING:
    from .classifier import VerticalLogisticRegression

REST = "estimator.json"
FIELDS = {"session", "params", "parties", "classes", "thresholds", "loss_curve", "n_iter", "validation_curve"}

T = TypeVar("T", bound="VerticalLogisticRegression")


def save(estimator: VerticalLogisticRegression, folder: Path) -> list[Path]:
    """Write the files of a fitted estimator; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = saved.write_models(folder, list(estimator.parties_.values()), estimator.arbiter_)
    curve = estimator.validation_curve_
    rest = {
        "session": estimator.arbiter_.session, "params": estimator.get_params(), "parties": list(estimator.parties_),
        "classes": estimator.classes_.tolist(), "thresholds": {k: v for k, v in estimator.thresholds_.items() if not math.isnan(v)},
        "loss_curve": estimator.loss_curve_, "n_iter": estimator.n_iter_,
        "validation_curve": None if curve is None else {name: curve[name].tolist() for name in ("auc", "ks")},
    }  # fmt: skip
    saved.write_json(folder / REST, rest)
    return [*paths, folder / REST]


def load(cls: type[T], folder: Path) -> T:
    """Return the estimator that the files of a folder hold.

    Raises
    ------
    ModelError
        A file missing or damaged, or files of different training runs.
    """
    arbiter = saved.arbiter_from_dict(saved.read_json(folder / "arbiter.json"))
    roles = ["guest", *(f"host{k + 1}" for k in range(len(arbiter.powers) - 1))]
    parties = [saved.SavedParty.from_dict(saved.read_json(folder / f"{role}.json"), role) for role in roles]
    if {party.session for party in parties} != {arbiter.session}:
        raise ModelError("session", "the models come from different training runs")
    path = folder / REST
    rest = saved.read_json(path) if path.exists() else _of_command_line(cls, arbiter, parties)
    if set(rest) != FIELDS:
        raise ModelError(str(path), f"must hold exactly {', '.join(sorted(FIELDS))}")
    if rest["session"] != arbiter.session:
        raise ModelError("session", f"{REST} comes from another training run")
    try:
        return _filled(cls, rest, arbiter, parties)
    except InputError as error:
        raise ModelError(f"params.{error.argument}", error.problem) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(str(path), "is damaged") from error


def _filled(cls: type[T], rest: dict[str, Any], arbiter: ArbiterModel, parties: list[saved.SavedParty]) -> T:
    params: dict[str, Any] = {name: tuple(value) if name == "powers" and value else value for name, value in rest["params"].items()}
    made = cls(**params)
    made.settings()
    made.parties_ = dict(zip(rest["parties"], parties, strict=True))
    made.arbiter_, made.verified_rounds_, made.n_iter_ = arbiter, None, int(rest["n_iter"])
    made.classes_ = np.array(rest["classes"])
    if made.classes_.shape != (2,) or next(iter(made.parties_)) != "guest":
        raise ValueError(REST)
    sides = ("combined", "joint", "host", *made.parties_)
    made.thresholds_ = {side: float(rest["thresholds"].get(side, math.nan)) for side in sides}
    made.loss_curve_ = {name: [float(x) for x in rest["loss_curve"][name]] for name in made.parties_}
    curve = rest["validation_curve"]
    made.validation_curve_ = None if curve is None else curve_frame(curve["auc"], curve["ks"])
    made._describe()
    return made


def _of_command_line(cls: type[T], arbiter: ArbiterModel, parties: list[saved.SavedParty]) -> dict[str, Any]:
    """The rest, where the command line wrote the models: its settings, and no thresholds but τ."""
    params = {name: getattr(arbiter.settings, name) for name in cls._parameter_names() if hasattr(arbiter.settings, name)}
    reading = {name: parties[0].reading[name] for name in ("date_format", "observation_date") if name in parties[0].reading}
    return {
        "session": arbiter.session, "params": {**params, **reading}, "parties": [party.role for party in parties], "classes": [-1, 1],
        "thresholds": {"combined": arbiter.threshold}, "loss_curve": {party.role: party.facts["losses"] for party in parties},
        "n_iter": arbiter.n_iter, "validation_curve": None,
    }  # fmt: skip
