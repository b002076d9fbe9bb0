"""A party's saved model: its own weights and bins, never the other side's, as JSON."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .data.binning import Binner
from .errors import InputError, ModelError
from .learn.scoring import Norm
from .params import MODEL_VERSION
from .protocol.arbiter import ArbiterModel
from .protocol.block import PartyModel, weight_hash
from .protocol.settings import Settings

FORMAT = "vflfast model"


@dataclass(frozen=True)
class SavedParty:
    """What guest or host needs to score: bins, weights over the binned columns, frozen normalisation, how to read its tables."""

    role: str
    session: str
    binner: Binner
    weights: np.ndarray
    intercept: float
    norm: Norm
    reading: dict[str, Any]
    facts: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {
            "format": FORMAT,
            "version": MODEL_VERSION,
            "role": self.role,
            "session": self.session,
            "reading": self.reading,
            "binner": self.binner.to_dict(),
            "columns": self.binner.column_names,
            "weights": self.weights.tolist(),
            "intercept": self.intercept,
            "weight_hash": weight_hash(self.weights, self.intercept),
            "norm": self.norm.to_dict(),
            "facts": self.facts,
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> SavedParty:
        """Rebuild what `to_dict` gave; ModelError names the field that is wrong."""
        _check_header(saved, None)
        for name in ("role", "session", "reading", "binner", "columns", "weights", "intercept", "weight_hash", "norm", "facts"):
            if name not in saved:
                raise ModelError(name, "is missing from the model file")
        binner = Binner.from_dict(saved["binner"])
        weights = _numbers("weights", saved["weights"])
        intercept = float(_numbers("intercept", [saved["intercept"]])[0])
        if list(saved["columns"]) != binner.column_names or len(weights) != len(binner.column_names):
            raise ModelError("columns", "do not fit the bins and weights")
        if weight_hash(weights, intercept) != saved["weight_hash"]:
            raise ModelError("weight_hash", "is not that of the weights: the file is damaged or edited")
        reading, facts = saved["reading"], saved["facts"]
        if not isinstance(reading, dict) or not isinstance(facts, dict):
            raise ModelError("reading", "must be a table of settings")
        return cls(str(saved["role"]), str(saved["session"]), binner, weights, intercept, Norm.from_dict(saved["norm"]), reading, facts)


def saved_party(model: PartyModel, binner: Binner, reading: dict[str, Any]) -> SavedParty:
    """Return a trained party's model in the form that is saved."""
    if model.norm is None:
        raise InputError("model", "has no normalisation")
    facts = {
        "n_iter": model.n_iter,
        "stopped_by_rule": model.stopped,
        "alpha": model.alpha,
        "losses": model.losses,
        "hashes": model.hashes,
        "ledger": model.ledger.to_list(),
        "settings": dataclasses.asdict(model.settings),
    }
    norm = Norm.from_dict(model.norm)
    return SavedParty(model.name, model.session, binner, model.weights, model.intercept, norm, reading, facts)


def arbiter_to_dict(model: ArbiterModel) -> dict[str, Any]:
    """Return the arbiter's part: powers and τ."""
    return {
        "format": FORMAT,
        "version": MODEL_VERSION,
        "role": "arbiter",
        "session": model.session,
        "powers": list(model.powers),
        "threshold": model.threshold,
        "n_iter": model.n_iter,
        "flagged_share": model.flagged_share,
        "settings": dataclasses.asdict(model.settings),
    }


def arbiter_from_dict(saved: Mapping[str, Any]) -> ArbiterModel:
    """Rebuild what `arbiter_to_dict` gave; ModelError names the field that is wrong."""
    _check_header(saved, "arbiter")
    for name in ("session", "powers", "threshold", "n_iter", "flagged_share", "settings"):
        if name not in saved:
            raise ModelError(name, "is missing from the model file")
    powers = _numbers("powers", saved["powers"])
    if len(powers) < 2 or (powers <= 0).any():
        raise ModelError("powers", "must be a positive number for each data party")
    try:
        settings = Settings.from_mapping(dict(saved["settings"]))
    except (InputError, TypeError, ValueError) as error:
        raise ModelError("settings", str(error)) from error
    threshold, share = _numbers("threshold", [saved["threshold"], saved["flagged_share"]])
    return ArbiterModel(tuple(powers.tolist()), float(threshold), int(saved["n_iter"]), float(share), str(saved["session"]), settings)


def write_json(path: str | os.PathLike[str], data: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    target = Path(path)
    temporary = target.with_name(target.name + ".new")
    temporary.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    temporary.replace(target)


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a JSON object; ModelError when it is none."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(str(path), f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(str(path), "is no JSON file") from error
    if not isinstance(data, dict):
        raise ModelError(str(path), "holds no JSON object")
    return data


def _check_header(saved: Mapping[str, Any], role: str | None) -> None:
    if not isinstance(saved, Mapping) or saved.get("format") != FORMAT:
        raise ModelError("format", f"must be {FORMAT!r}")
    if saved.get("version") != MODEL_VERSION:
        raise ModelError("version", f"must be {MODEL_VERSION}")
    if role is not None and saved.get("role") != role:
        raise ModelError("role", f"must be {role}")


def _numbers(name: str, values: object) -> np.ndarray:
    if not isinstance(values, list) or any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        raise ModelError(name, "must hold numbers")
    array = np.array(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ModelError(name, "must hold finite numbers")
    return array
