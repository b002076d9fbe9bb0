"""Scores of a trained model, per side and joint, with all sides in this process."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..crypto.coded import CodedMatrix
from ..errors import DataError, InputError, ModelError
from ..jobs.model import SavedParty
from ..learn.logistic import linear_predictor, sigmoid
from ..learn.scoring import calibrate, combine
from ..protocol.arbiter import ArbiterModel
from ..protocol.scores import required
from .conventions import Estimator
from .frame import VerticalFrame, feature_table
from .labels import aligned_labels, check_frame

Floats = npt.NDArray[np.float64]


class Scores(Estimator):
    """What an estimator can say once the parties' models are there."""

    as_frame: bool
    classes_: npt.NDArray[Any]
    parties_: dict[str, SavedParty]
    arbiter_: ArbiterModel
    thresholds_: dict[str, float]

    def decision_function(self, X: VerticalFrame | pd.DataFrame, side: str = "joint") -> Any:
        """Return u = u′ + Σu″, or one side's own u, shape (n_rows,) ([0075]).

        Parameters
        ----------
        X
            Both sides' features; for one party's side its DataFrame will do.
        side
            "joint", "guest", "host" (all hosts together) or a host's name.

        Raises
        ------
        InputError, DataError
            An unknown side; a feature missing, unknown or of another kind.
        ModelError
            Not fitted yet.
        """
        predictors, index = self._predictors(X, side)
        return self._series(side_sum(predictors, side), index, "decision_function")

    def predict_proba(self, X: VerticalFrame | pd.DataFrame, side: str = "joint") -> Any:
        """Return 1 − σ(u) and σ(u), shape (n_rows, 2), in the order of ``classes_`` ([0075]).

        Raises
        ------
        InputError, DataError, ModelError
            As `decision_function`.
        """
        predictors, index = self._predictors(X, side)
        chance = sigmoid(side_sum(predictors, side))
        both = np.stack([1.0 - chance, chance], axis=1)
        return pd.DataFrame(both, index=index, columns=self.classes_) if self.as_frame else both

    def combined_score(self, X: VerticalFrame) -> Any:
        """Return F, the weighted mean of the sides' normalised probabilities, shape (n_rows,) ([0148]).

        Raises
        ------
        InputError, DataError, ModelError
            As `decision_function`.
        """
        predictors, index = self._predictors(X, "combined")
        return self._series(self._side_score(predictors, "combined"), index, "combined_score")

    def predict(self, X: VerticalFrame | pd.DataFrame, side: str = "joint") -> Any:
        """Return the positive class where the side's probability is above ``thresholds_[side]``, else the negative one; shape (n_rows,).

        Parameters
        ----------
        X
            As in `decision_function`.
        side
            As there, or "combined": the patent's rule F > τ ([0150]).

        Raises
        ------
        InputError, DataError, ModelError
            As `decision_function`; a threshold that was not reached in training.
        """
        predictors, index = self._predictors(X, side)
        threshold = self.thresholds_.get(side, math.nan)
        if math.isnan(threshold):
            raise ModelError("thresholds_", f"has none for {side}: it could not be reached on the training rows; call calibrate")
        flagged = self._side_score(predictors, side) > threshold
        return self._series(self.classes_[flagged.astype(int)], index, "predict")

    def calibrate(self, X: VerticalFrame, y: Any, *, by: str = "quota", value: float | None = None, side: str = "joint") -> float:
        """Set ``thresholds_[side]`` on the customers of X, and return it.

        Parameters
        ----------
        X, y
            Customers and their labels.
        by, value
            "quota" with the largest share to flag, "precision" with the least precision, or "ks" without a value
            (`vflfast.learn.scoring.calibrate`).
        side
            As in `predict`.

        Raises
        ------
        InputError
            A setting out of range, or a precision that no threshold reaches.
        DataError, ModelError
            As `decision_function`.
        """
        frame = check_frame("X", X)
        predictors, _ = self._predictors(frame, side)
        labels = aligned_labels("y", y, frame)[1]
        self.thresholds_[side] = calibrate(self._side_score(predictors, side), labels, by=by, value=value)
        return self.thresholds_[side]

    def score(self, X: VerticalFrame, y: Any) -> float:
        """Return the share of customers whose class `predict` finds, from 0 to 1.

        Raises
        ------
        InputError, DataError, ModelError
            As `predict`, and labels that cannot be used.
        """
        frame = check_frame("X", X)
        found = np.asarray(self.predict(frame))
        labels = aligned_labels("y", y, frame)[1]
        return float((found == self.classes_[(labels > 0).astype(int)]).mean())

    def _predictors(self, X: object, side: str) -> tuple[dict[str, Floats], pd.Index[Any]]:
        """Linear predictors of the parties that the side needs."""
        self._check_fitted()
        names = list(self.parties_)
        groups = {"joint": names, "combined": names, "host": names[1:], **{name: [name] for name in names}}
        if not isinstance(side, str) or side not in groups:
            raise InputError("side", f"must be one of {', '.join(groups)}")
        needed = groups[side]
        parts = {needed[0]: X} if isinstance(X, pd.DataFrame) and len(needed) == 1 else check_frame("X", X).parts
        for name in needed:
            if name not in parts:
                raise DataError(name, "the party's columns are missing from X")
        return {name: self._predictor(name, self._coded(name, parts[name])) for name in needed}, parts[needed[0]].index

    def _coded(self, name: str, part: pd.DataFrame) -> CodedMatrix:
        party = self.parties_[name]
        kinds = {column: kind for column, kind in party.binner.kinds.items() if column in part.columns}
        return party.binner.transform(feature_table(part, name, {**_date_reading(party), "kinds": kinds}))

    def _predictor(self, name: str, matrix: CodedMatrix) -> Floats:
        return linear_predictor(matrix, self.parties_[name].weights, self.parties_[name].intercept)

    def _side_score(self, predictors: dict[str, Floats], side: str) -> Floats:
        """F for "combined", else the side's probability."""
        if side != "combined":
            return sigmoid(side_sum(predictors, side))
        norms = [required("norm", self.parties_[name].norm).apply(sigmoid(u)) for name, u in predictors.items()]
        return combine(norms, list(self.arbiter_.powers))

    def _series(self, values: npt.NDArray[Any], index: pd.Index[Any], name: str) -> Any:
        return pd.Series(values, index=index, name=name) if self.as_frame else values


def side_sum(predictors: dict[str, Floats], side: str) -> Floats:
    """Return the sum over a side's parties: all that are given, for "host" without the guest."""
    wanted = [u for name, u in predictors.items() if side in ("joint", name) or (side == "host" and name != "guest")]
    total: Floats = np.sum(wanted, axis=0)
    return total


def _date_reading(party: SavedParty) -> dict[str, Any]:
    return {name: party.reading[name] for name in ("date_format", "observation_date") if name in party.reading}
