"""A party's saved model: its own weights and bins, never the other side's, as JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..binning.binner import Binner
from ..errors import InputError, ModelError
from ..learn.scoring import Norm
from ..params import MODEL_VERSION
from ..protocol.arbiter import ArbiterModel
from ..protocol.block import PartyInputs, weight_hash
from ..protocol.guest import ScoringInputs
from ..protocol.joint import ScoreScale
from ..protocol.party_model import PartyModel
from ..protocol.settings import Settings
from ..tables.forms import FORMS, Forms
from ..tables.seal import seal_holds, sealed
from ..tables.writing import written_whole

FORMAT = "vflfast model"
READING = ("id_column", "label_column", "kinds", "date_format", "observation_date", "id_format", *FORMS)  # of a table, as in a job file
_SESSION = re.compile("[0-9a-f]{64}")

Floats = npt.NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True)
class SavedParty:
    """What guest or host needs to score: bins, weights over the binned columns, frozen normalisation, how to read its tables."""

    role: str
    session: str
    binner: Binner
    weights: Floats
    intercept: float
    norm: Norm | None
    reading: dict[str, Any]
    facts: dict[str, Any]
    scale: ScoreScale | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form, with a digest of the whole."""
        return sealed({
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
            "norm": None if self.norm is None else self.norm.to_dict(),
            "scale": None if self.scale is None else self.scale.to_dict(),
            "facts": self.facts,
        })  # fmt: skip

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any], role: str | None = None) -> SavedParty:
        """Rebuild what `to_dict` gave.

        Parameters
        ----------
        saved
            The content of a model file.
        role
            Whose model it must be, such as "guest" or "host1"; ``None``: any data party's.

        Raises
        ------
        ModelError
            A field that is missing or wrong; `argument` is its name, such as "norm.statistics" or "binner.rules[2].edges".
        """
        _check_header(saved, role)
        _check_fields(saved, ("reading", "binner", "columns", "weights", "intercept", "weight_hash", "norm", "facts"))
        binner = _part("binner", Binner.from_dict, saved["binner"])
        weights = _numbers("weights", saved["weights"])
        intercept = _number("intercept", saved["intercept"])
        if saved["columns"] != binner.column_names:
            raise ModelError("columns", "are not those of the bins")
        if len(weights) != len(binner.column_names):
            raise ModelError("weights", f"must be {len(binner.column_names)} numbers, one a column")
        if weight_hash(weights, intercept) != saved["weight_hash"]:
            raise ModelError("weight_hash", "is not that of the weights: the file is damaged or edited")
        norm = None if saved["norm"] is None else _part("norm", Norm.from_dict, saved["norm"])
        found = saved.get("scale")  # models of version 1 have none
        scale = None if found is None else _part("scale", ScoreScale.from_dict, found)
        if not (norm or scale):
            raise ModelError("norm", "is missing, and so is the scale of the joint score: there is nothing to score with")
        reading = _reading(saved["reading"], binner)
        if not isinstance(saved["facts"], dict):
            raise ModelError("facts", "must be a table")
        _check_digest(saved)
        return cls(saved["role"], saved["session"], binner, weights, intercept, norm, reading, saved["facts"], scale)

    def to_score(self, inputs: PartyInputs) -> ScoringInputs:
        """Return what the party brings to a scoring session over the rows of `inputs`."""
        return ScoringInputs(inputs, self.weights, self.intercept, self.norm, self.session, self.scale)


def saved_party(model: PartyModel, binner: Binner, reading: dict[str, Any]) -> SavedParty:
    """Return a trained party's model in the form that is saved; the binner gets the WOE values that training brought."""
    facts = {
        "n_iter": model.n_iter,
        "stopped_by_rule": model.stopped,
        "alpha": model.alpha,
        "losses": model.losses,
        "hashes": model.hashes,
        "ledger": model.ledger.to_list(),
        "left_out": [binner.column_names[column] for column in model.left_out],
        "settings": dataclasses.asdict(model.settings),
        **({} if model.inference is None else {"inference": model.inference.to_dict()}),
    }
    norm = None if model.norm is None else Norm.from_dict(model.norm)
    if model.woe is not None:
        binner = binner.with_woe(model.woe)
    return SavedParty(model.name, model.session, binner, model.weights, model.intercept, norm, reading, facts, model.scale)


def arbiter_to_dict(model: ArbiterModel) -> dict[str, Any]:
    """Return the arbiter's part: powers and τ."""
    return sealed({
        "format": FORMAT,
        "version": MODEL_VERSION,
        "role": "arbiter",
        "session": model.session,
        "powers": list(model.powers),
        "threshold": model.threshold,
        "n_iter": model.n_iter,
        "flagged_share": model.flagged_share,
        "settings": dataclasses.asdict(model.settings),
    })  # fmt: skip


def arbiter_from_dict(saved: Mapping[str, Any]) -> ArbiterModel:
    """Rebuild what `arbiter_to_dict` gave; ModelError names the field that is wrong."""
    _check_header(saved, "arbiter")
    _check_fields(saved, ("powers", "threshold", "n_iter", "flagged_share", "settings"))
    powers = _numbers("powers", saved["powers"])
    if len(powers) < 2 or (powers <= 0).any():
        raise ModelError("powers", "must be a positive number for each data party")
    threshold, share = _number("threshold", saved["threshold"]), _number("flagged_share", saved["flagged_share"])
    if not 0 <= share <= 1:
        raise ModelError("flagged_share", "must be from 0 to 1")
    n_iter = saved["n_iter"]
    if type(n_iter) is not int or n_iter < 1:
        raise ModelError("n_iter", "must be a count of rounds")
    if not isinstance(saved["settings"], dict):
        raise ModelError("settings", "must be a table of settings")
    try:
        settings = Settings.from_mapping(_settings_now(saved))
    except InputError as error:
        raise ModelError(f"settings.{error.argument}", error.problem) from None
    _check_digest(saved)
    return ArbiterModel(tuple(powers.tolist()), threshold, n_iter, share, saved["session"], settings)


def _settings_now(saved: Mapping[str, Any]) -> dict[str, object]:
    """Settings in today's words: a model of version 1 labels by F, and had a flag of its own for the probability."""
    settings = dict(saved["settings"])
    if saved["version"] == 1:
        settings["scoring"] = "combined"
        settings.pop("joint", None)
    return settings


def write_models(folder: Path, parties: Sequence[SavedParty], arbiter: ArbiterModel) -> list[Path]:
    """Write each party's model as its own JSON file; return the paths, the arbiter's last."""
    models = {**{party.role: party.to_dict() for party in parties}, "arbiter": arbiter_to_dict(arbiter)}
    paths = [folder / f"{role}.json" for role in models]
    for path, model in zip(paths, models.values(), strict=True):
        write_json(path, model)
    return paths


def read_models(folder: Path) -> tuple[list[SavedParty], ArbiterModel]:
    """Return what `write_models` wrote; ModelError for files of different training runs."""
    arbiter = arbiter_from_dict(read_json(folder / "arbiter.json"))
    roles = ["guest", *(f"host{k + 1}" for k in range(len(arbiter.powers) - 1))]
    parties = [SavedParty.from_dict(read_json(folder / f"{role}.json"), role) for role in roles]
    if {party.session for party in parties} != {arbiter.session}:
        raise ModelError("session", "the models come from different training runs")
    return parties, arbiter


def write_json(path: str | os.PathLike[str], data: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all, for its owner to read."""
    text = json.dumps(data, indent=1) + "\n"
    with written_whole(path) as stream:
        stream.write(text)


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a JSON object; ModelError when it is none."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(str(path), f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(str(path), "is no JSON file") from error
    if not isinstance(data, dict):
        raise ModelError(str(path), "holds no JSON object")
    return data


def _check_digest(saved: Mapping[str, Any]) -> None:
    if not seal_holds(saved):
        raise ModelError("digest", "is not that of the other fields: the file is damaged or edited")


def _check_header(saved: Mapping[str, Any], role: str | None) -> None:
    if not isinstance(saved, Mapping) or saved.get("format") != FORMAT:
        raise ModelError("format", f"must be {FORMAT!r}")
    if type(saved.get("version")) is not int or not 1 <= saved["version"] <= MODEL_VERSION:
        raise ModelError("version", f"must be from 1 to {MODEL_VERSION}")
    _check_fields(saved, ("role", "session", "digest"))
    if not isinstance(saved["role"], str) or saved["role"] != (role or saved["role"]):
        raise ModelError("role", f"must be {role or 'the name of a party'}")
    if not isinstance(saved["session"], str) or not _SESSION.fullmatch(saved["session"]):
        raise ModelError("session", "must be the 64 hex digits of a training run")


def _check_fields(saved: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if name not in saved:
            raise ModelError(name, "is missing from the model file")


def _part(name: str, parse: Callable[[Any], T], value: object) -> T:
    """Parse a part that has fields of its own; its errors name the place in the whole."""
    try:
        return parse(value)
    except ModelError as error:
        raise ModelError(name if error.argument == name else f"{name}.{error.argument}", error.problem) from None


def _reading(value: object, binner: Binner) -> dict[str, Any]:
    if not isinstance(value, dict) or not set(value) <= set(READING):
        raise ModelError("reading", f"must hold settings of tables: {', '.join(READING)}")
    if value.get("kinds") != binner.kinds:
        raise ModelError("reading.kinds", "are not those of the bins")
    for name, setting in value.items():
        if name in ("id_column", "label_column", "observation_date", "id_format") and not isinstance(setting, str):
            raise ModelError(f"reading.{name}", "must be text")
    try:
        Forms.of({name: value[name] for name in FORMS if name in value})
    except InputError as error:
        raise ModelError(f"reading.{error.argument}", error.problem) from None
    return value


def _number(name: str, value: object) -> float:
    return float(_numbers(name, [value])[0])


def _numbers(name: str, values: object) -> Floats:
    if not isinstance(values, list) or any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        raise ModelError(name, "must hold numbers")
    try:
        array = np.array(values, dtype=np.float64)
    except OverflowError:  # a whole number beyond the range of float64
        array = np.array([np.inf])
    if not np.isfinite(array).all():
        raise ModelError(name, "must hold finite numbers")
    return array
