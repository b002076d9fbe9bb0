"""The protocol's settings of a trial: parameters that a person sets, over a `Settings` with all the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from ..protocol.settings import Settings

SHARED = ("alpha", "tol", "n_iter_no_change", "max_iter", "threshold")  # parameters of the estimator that are settings too
OF_THE_RUN = ("output", "max_weight", "weight_unit")  # a trial has all scores; the weights' size follows from the weights
DEFAULTS = {field.name: field.default for field in dataclasses.fields(Settings)}


def trial_settings(given: Mapping[str, Any], settings: Settings | None) -> Settings:
    """Return the settings of a trial.

    Parameters
    ----------
    given
        The estimator's own values of `SHARED`; one that differs from its default wins over `settings`.
    settings
        All other settings; None: the defaults.

    Raises
    ------
    InputError
        A value out of range, one that a trial cannot use, or two values for one setting; `argument` is its name.
    """
    base = Settings() if settings is None else settings
    if not isinstance(base, Settings):
        raise InputError("settings", f"must be a vflfast.Settings, not {type(base).__name__}")
    for name in OF_THE_RUN:
        if getattr(base, name) != DEFAULTS[name]:
            raise InputError(f"settings.{name}", "does not belong to a trial: leave it out")
    chosen = {name: value for name, value in given.items() if _differs(value, DEFAULTS[name])}
    for name, value in chosen.items():
        other = getattr(base, name)
        if name not in base.followed and _differs(other, DEFAULTS[name]) and _differs(other, value):
            raise InputError(name, f"is {value!r} here and {other!r} in settings.{name}: leave one of them out")
    return Settings.from_mapping({**base.given, **chosen, "simulation": True})


def _differs(one: object, other: object) -> bool:
    """Whether two parameters differ; an unusual type, which validation refuses later, is no error here."""
    return type(one) is not type(other) or one != other
