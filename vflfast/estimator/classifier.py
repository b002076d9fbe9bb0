"""VerticalLogisticRegression: the protocol as a scikit-learn classifier, with all parties in this process."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..binning.binner import Binner
from ..crypto.coded import CodedMatrix
from ..errors import InputError, ModelError
from ..jobs import model as saved
from ..jobs.job import mended
from ..jobs.local import host_binning
from ..learn.watch import JOINT, RoundWatch
from ..learn.weights import combined_weights, in_units, natural_unit
from ..params import DEFAULT_N_ITER_NO_CHANGE, DEFAULT_TOL, MAX_LEVELS, MIN_CLASS_SIZE
from ..protocol.arbiter import readable_threshold
from ..protocol.block import PartyInputs
from ..protocol.settings import Settings
from ..tables.table import Table
from . import files, trial
from .frame import VerticalFrame, feature_table
from .labels import aligned_labels, check_frame, coded_class_weight, curve_frame
from .parameters import SHARED, trial_settings
from .scores import Scores


class VerticalLogisticRegression(Scores):
    """p = σ(u′ + Σu″), trained by the three-party protocol on the columns of several parties ([0075]).

    A facade for trials: guest, hosts and arbiter all run in this process, which therefore sees everything. Between organisations use the
    command line, which trains the same model; a folder of models that it wrote can be loaded here.

    Parameters
    ----------
    alpha
        L2 penalty on standardised columns; None: all parties' columns over the rows, at least 10⁻³; "search": the best of five values by
        the log loss of a fifth of the rows held out.
    max_iter, tol, n_iter_no_change
        The stop rule: at most so many rounds (None: 30, or 50 where the loss decides); fewer once nobody's predictor moves by more than
        `tol`, or, by the loss [0145], once that has stood still, within `tol`, for `n_iter_no_change` rounds.
    threshold
        τ as a number, or how to calibrate it on the training rows: "quota", "precision" or "ks" (`Settings.threshold_value` is which).
    class_weight
        None, "balanced", or a dict from labels, as they are in y, to weights. Weights that are no whole numbers are kept to 1/64.
    numeric, max_levels, overrides, min_class_size, encoding
        Binning (`vflfast.Binner.fit`); an override counts for every party that has a feature of that name. With
        ``Settings(host_woe=True)`` the hosts' encoding is "woe", and their classes have at least 50 rows.
    fix_leverage
        Leave out the columns that set single rows apart, and say which in a warning, instead of refusing to train.
    kinds, date_format, observation_date
        Reading of the columns (`vflfast.table_from_frame`); a kind counts for every party that has a feature of that name.
    warm_start
        `fit` goes on from the weights and with the bins of the fit before.
    encrypted
        Train with real encryption. False: the plaintext twin, which gives the same weights bit for bit and suits searches over parameters.
    verify
        Compare every weight of every round of the encrypted run with the twin's.
    as_frame
        Results carry the index of X. False: plain arrays, for tools that slice them.
    settings
        `vflfast.Settings` with everything else of the protocol, such as ``Settings(profile="patent", key_bits=3072)``; None: the defaults.
        `get_params` and `set_params` know its fields as ``settings__key_bits``. A parameter above may be given there instead, not in both.

    Attributes
    ----------
    classes_
        The two labels as they were given, the negative one first.
    coef_
        Weights over the party's integer columns, a Series by column name, for every party by name.
    intercept_
        Intercept by party; that of the whole model is their sum.
    loss_curve_
        By party after each round: cross-entropy of the own half, or mean |Δu| where the party has no labels.
    validation_curve_
        DataFrame by round with `auc` and `ks` of the joint score on the validation data; None without.
    n_iter_
        Rounds in all.
    n_features_in_, feature_names_in_
        Features of all parties, as "party__feature".
    thresholds_
        τ by side, calibrated on the training rows as `threshold` says; NaN where it cannot be reached.
    parties_, arbiter_
        What every data party, by name, and the arbiter would keep; `vflfast.handover` turns it into other formats.
    verified_rounds_
        Rounds that were compared with the twin; None without `verify`.
    """

    loss_curve_: dict[str, list[float]]
    validation_curve_: pd.DataFrame | None
    n_iter_: int
    verified_rounds_: int | None

    def __init__(
        self, *, alpha: float | str | None = None, max_iter: int | None = None, tol: float = DEFAULT_TOL,
        n_iter_no_change: int = DEFAULT_N_ITER_NO_CHANGE, class_weight: str | dict[Any, float] | None = None,
        threshold: float | str = "quota", numeric: str = "bins", max_levels: int = MAX_LEVELS, overrides: dict[str, str] | None = None,
        min_class_size: int = MIN_CLASS_SIZE, encoding: str = "ordinal", fix_leverage: bool = False,
        kinds: dict[str, str] | None = None, date_format: str = "%Y-%m-%d",
        observation_date: str | None = None, warm_start: bool = False, encrypted: bool = True, verify: bool = False, as_frame: bool = True,
        settings: Settings | None = None,
    ) -> None:  # fmt: skip
        self.alpha, self.max_iter, self.tol, self.n_iter_no_change = alpha, max_iter, tol, n_iter_no_change
        self.class_weight, self.threshold = class_weight, threshold
        self.numeric, self.max_levels, self.overrides = numeric, max_levels, overrides
        self.min_class_size, self.encoding, self.fix_leverage = min_class_size, encoding, fix_leverage
        self.kinds, self.date_format, self.observation_date = kinds, date_format, observation_date
        self.warm_start, self.encrypted, self.verify, self.as_frame = warm_start, encrypted, verify, as_frame
        self.settings = settings

    def fit(
        self, X: VerticalFrame, y: Any, X_val: VerticalFrame | None = None, y_val: Any = None, *, sample_weight: Any = None
    ) -> Self:
        """Bin both sides' features and train.

        Parameters
        ----------
        X
            Both sides' features, n_rows customers.
        y
            Labels {0, 1}, booleans or ±1: a Series whose index holds every customer of X, or n_rows of them in X's order.
        X_val, y_val
            Customers for `validation_curve_`; training does not see them.
        sample_weight
            Integers from 1, n_rows of them in X's order; they multiply the class weights.

        Raises
        ------
        InputError
            An unusable parameter or argument; `argument` is its name.
        DataError
            A column or label that cannot be used; `argument` is the column.
        VflError
            Whatever the protocol raises.
        """
        going_on = self.warm_start and self.__sklearn_is_fitted__()
        return self._fit(X, y, X_val, y_val, self.protocol_settings(), sample_weight, going_on=going_on)

    def partial_fit(self, X: VerticalFrame, y: Any, *, n_rounds: int = 1, sample_weight: Any = None) -> Self:
        """Train `n_rounds` rounds on X, from the weights and with the bins of the fit before; the first call begins a model.

        Raises
        ------
        InputError, DataError, VflError
            As `fit`.
        """
        settings = self.protocol_settings().changed(max_iter=n_rounds)
        return self._fit(X, y, None, None, settings, sample_weight, going_on=self.__sklearn_is_fitted__())

    def protocol_settings(self) -> Settings:
        """Return the settings that all parties of the trial agree on.

        Raises
        ------
        InputError
            A parameter out of range, or a setting that is given in two ways; `argument` is its name.
        """
        for name in ("fix_leverage", "warm_start", "encrypted", "verify", "as_frame"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(name, "must be true or false")
        return trial_settings({name: getattr(self, name) for name in SHARED}, self.settings)

    def save(self, folder: str | Path) -> list[Path]:
        """Write each party's model as JSON, as the command line does, and the rest to estimator.json; return the paths.

        Raises
        ------
        ModelError
            Not fitted yet.
        """
        self._check_fitted()
        params = self.get_params(deep=False)
        if self.settings is not None:
            params["settings"] = self.settings.given
        fitted = files.Fitted(
            params, self.parties_, self.arbiter_, self.classes_, self.thresholds_, self.loss_curve_, self.n_iter_, self.validation_curve_
        )
        return files.save(fitted, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Return the estimator of a folder that `save`, or training by the command line, wrote.

        Raises
        ------
        ModelError
            A file missing or damaged, or files of different training runs; `argument` is the field or the file.
        """
        found = files.load(Path(folder), cls._parameter_names())
        made = cls(**found.params)
        with files.named_params():
            made.protocol_settings()
        made.parties_, made.arbiter_, made.classes_, made.thresholds_ = found.parties, found.arbiter, found.classes, found.thresholds
        made.loss_curve_, made.n_iter_, made.validation_curve_ = found.loss_curve, found.n_iter, found.validation_curve
        made.verified_rounds_ = None
        made._describe()
        return made

    def _fit(
        self, X: VerticalFrame, y: Any, X_val: VerticalFrame | None, y_val: Any, settings: Settings, sample_weight: Any, *, going_on: bool
    ) -> Self:
        frame = check_frame("X", X)
        classes, labels = aligned_labels("y", y, frame)
        row_weights, settings = self._weights(classes, labels, sample_weight, settings)
        if (X_val is None) != (y_val is None):
            raise InputError("y_val" if y_val is None else "X_val", "is needed beside the other part of the validation data")
        held = None if X_val is None else (check_frame("X_val", X_val), aligned_labels("y_val", y_val, X_val)[1])
        self._check_parties(frame, held[0] if held else None, going_on=going_on)
        tables = {
            name: feature_table(part, name, self._reading(part), labels if name == "guest" else None) for name, part in frame.parts.items()
        }
        coded = {
            name: self._recoded(name, table) if going_on else self._binned(name, table, settings)
            for name, table in tables.items()
        }
        binners = {name: binner for name, (binner, _) in coded.items()}
        matrices = {name: matrix for name, (_, matrix) in coded.items()}
        watch = RoundWatch(list(tables))
        digest = hashlib.sha256(repr(frame.index.tolist()).encode()).digest()
        inputs = [
            mended(name, PartyInputs(
                matrix, digest, name, labels if name == "guest" else None, row_weights=row_weights if name == "guest" else None,
                start=(self.parties_[name].weights, self.parties_[name].intercept) if going_on else None,
                after_round=watch.of(name) if held else None,
            ), binners[name], settings, frame.index, fix=self.fix_leverage)
            for name, matrix in matrices.items()
        ]  # fmt: skip
        done = trial.run(inputs, settings, encrypted=self.encrypted, verify=self.verify)
        self._keep(frame, binners, done, going_on=going_on)
        self.classes_ = classes
        self.validation_curve_ = None
        if held:
            curves = watch.curves({name: self._coded(name, part) for name, part in held[0].parts.items()}, held[1])
            self.validation_curve_ = curve_frame(curves[JOINT]["auc"], curves[JOINT]["ks"])
        self._calibrate_sides({name: self.parties_[name].binner.recode(matrix) for name, matrix in matrices.items()}, labels, settings)
        return self

    def _weights(
        self, classes: npt.NDArray[Any], labels: npt.NDArray[np.int8], sample_weight: Any, settings: Settings
    ) -> tuple[npt.NDArray[np.int64] | None, Settings]:
        """The rows' weights, and the settings that agree on their size."""
        if self.class_weight is None and sample_weight is None:
            return None, settings
        weights = combined_weights(labels, coded_class_weight(self.class_weight, classes), sample_weight)
        unit = natural_unit(weights)
        units = in_units(weights, unit)
        return units, settings.changed(max_weight=max(int(units.max()), unit), weight_unit=unit)

    def _keep(self, frame: VerticalFrame, binners: dict[str, Binner], done: trial.Trial, *, going_on: bool) -> None:
        """Take over what the parties keep."""
        losses = self.loss_curve_ if going_on else {name: [] for name in binners}
        rounds = self.n_iter_ if going_on else 0
        self.parties_ = {
            name: saved.saved_party(model, binner, {**self._reading(frame.parts[name]), "kinds": binner.kinds})
            for (name, binner), model in zip(binners.items(), done.models, strict=True)
        }
        self.arbiter_, self.verified_rounds_ = done.arbiter, done.verified_rounds
        self.loss_curve_ = {name: [*losses[name], *model.losses] for name, model in zip(binners, done.models, strict=True)}
        self.n_iter_ = rounds + done.models[0].n_iter
        self._describe()

    def _describe(self) -> None:
        """Set the attributes that follow from the parties' models."""
        parties = self.parties_.items()
        self.coef_ = {name: pd.Series(party.weights, index=party.binner.column_names, name=name) for name, party in parties}
        self.intercept_ = {name: party.intercept for name, party in parties}
        names = [f"{name}__{feature}" for name, party in parties for feature in party.binner.feature_names]
        self.feature_names_in_, self.n_features_in_ = np.array(names, dtype=object), len(names)

    def _calibrate_sides(self, matrices: dict[str, CodedMatrix], labels: npt.NDArray[np.int8], settings: Settings) -> None:
        predictors = {name: self._predictor(name, matrix) for name, matrix in matrices.items()}
        self.thresholds_ = {settings.scoring: readable_threshold(self.arbiter_, self.parties_["guest"].scale)}
        for side in [side for side in ("combined", "joint", "host", *predictors) if side != settings.scoring]:
            try:
                self.thresholds_[side] = trial.training_threshold(self._side_score(predictors, side), labels, settings)
            except (InputError, ModelError):  # one side alone may not reach the precision that all together do, nor be spread for F
                self.thresholds_[side] = math.nan

    def _recoded(self, name: str, table: Table) -> tuple[Binner, CodedMatrix]:
        binner = self.parties_[name].binner
        return binner, binner.transform(table)

    def _binned(self, name: str, table: Table, settings: Settings) -> tuple[Binner, CodedMatrix]:
        own = {feature: rule for feature, rule in (self.overrides or {}).items() if feature in table.kinds}
        given = {name: getattr(self, name) for name in ("numeric", "max_levels", "min_class_size", "encoding")} | {"overrides": own}
        binner, (matrix,) = Binner.fit_transform(table, **(given if name == "guest" else host_binning(given, settings)))
        return binner, matrix

    def _reading(self, part: pd.DataFrame) -> dict[str, Any]:
        kinds = {name: kind for name, kind in (self.kinds or {}).items() if name in part.columns}
        reading: dict[str, Any] = {"kinds": kinds, "date_format": self.date_format}
        return reading if self.observation_date is None else {**reading, "observation_date": self.observation_date}

    def _check_parties(self, frame: VerticalFrame, held: VerticalFrame | None, *, going_on: bool) -> None:
        """The same parties everywhere; kinds and overrides of features that some party has."""
        if going_on and list(self.parties_) != list(frame.parts):
            raise InputError("X", f"has the parties {', '.join(frame.parts)}; the model has {', '.join(self.parties_)}")
        if held and list(held.parts) != list(frame.parts):
            raise InputError("X_val", f"must have the parties {', '.join(frame.parts)}")
        known = {name for part in frame.parts.values() for name in part.columns}
        for argument in ("kinds", "overrides"):
            value = getattr(self, argument)
            if not isinstance(value, dict | None):
                raise InputError(argument, "must be a dict by feature")
            for name in value or {}:
                if name not in known:
                    raise InputError(argument, f"{name!r} is no feature of any party")

    def _empty(self, outer: str) -> Any:
        return Settings() if outer == "settings" else None

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier", target_tags=TargetTags(required=True), classifier_tags=ClassifierTags(multi_class=False),
            input_tags=InputTags(two_d_array=False, string=True, categorical=True, allow_nan=True),
        )  # fmt: skip
