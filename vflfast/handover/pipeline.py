"""The model as a scikit-learn pipeline: class codes of the features, then scikit-learn's own LogisticRegression."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError, InputError
from ..estimator.conventions import Estimator
from ..estimator.frame import feature_table
from ..jobs.model import SavedParty
from ..tables.plan import SPECIAL
from .classes import class_model

# settings of a table that say what its cells mean, not how a file is written
CELLS = (
    "kinds", "date_format", "observation_date", "decimal", "thousands", "units", "missing", "special_values", "bad_cells", "time_zone",
)  # fmt: skip


class ClassCoder(Estimator):
    """Raw features → the integer columns Z of saved parties ([0085], [0091]); the models have the rules, `fit` changes nothing.

    Parameters
    ----------
    parties
        Saved models; their columns stand side by side.
    """

    def __init__(self, parties: tuple[SavedParty, ...]) -> None:
        self.parties = parties

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:
        """Return itself."""
        return self

    def transform(self, X: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Return Z, float64 of shape (n_rows, n_columns).

        Parameters
        ----------
        X
            Raw features under the names of `feature_names_in_`, in any order; other columns are ignored.

        Raises
        ------
        InputError, DataError
            No DataFrame, a feature that is missing, a cell that cannot be read as in training.
        """
        if not isinstance(X, pd.DataFrame):
            raise InputError("X", f"must be a pandas DataFrame, not {type(X).__name__}")
        names = iter(self.feature_names_in_)
        return np.concatenate([self._columns(X, party, [next(names) for _ in _raw_features(party)]) for party in self.parties], axis=1)

    def _columns(self, X: pd.DataFrame, party: SavedParty, names: list[str]) -> npt.NDArray[np.float64]:
        for name in names:
            if name not in X.columns:
                raise DataError(name, "is missing from the table")
        own = X[names].set_axis(_raw_features(party), axis=1)
        settings: dict[str, Any] = {key: party.reading[key] for key in CELLS if key in party.reading}
        matrix = party.binner.transform(feature_table(own, "X", settings))
        columns = [matrix.column_values[j][matrix.codes[k]] for j, k in enumerate(matrix.column_features)]
        return np.array(columns, dtype=np.float64).T

    @property
    def feature_names_in_(self) -> npt.NDArray[np.object_]:
        """Names of the raw features; two parties' features of one name get the party's in front."""
        raw = [feature in _raw_features(party) for party in self.parties for feature in party.binner.feature_names]
        features = class_model(*self.parties).features
        return np.array([feature.name for feature, given in zip(features, raw, strict=True) if given], dtype=object)

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[np.object_]:
        """Return the names of the integer columns."""
        several = len(self.parties) > 1
        names = [f"{party.role}__{name}" if several else name for party in self.parties for name in party.binner.column_names]
        return np.array(names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="transformer", target_tags=TargetTags(required=False), transformer_tags=TransformerTags(),
            input_tags=InputTags(string=True, categorical=True, allow_nan=True), requires_fit=False,
        )  # fmt: skip


def _raw_features(party: SavedParty) -> list[str]:
    """The features that a table has; those of special values are made of them (tables/plan.py)."""
    made = {name + SPECIAL for name in party.reading.get("special_values", ())}
    return [name for name in party.binner.feature_names if name not in made]


def sklearn_pipeline(*parties: SavedParty) -> Any:
    """Return a fitted ``Pipeline`` whose ``decision_function`` is u = Z·w + b of one party, or the joint logit of several ([0075]).

    Its classes are −1 and +1. It is a Python object: write the JSON model and make the pipeline where it is used.

    Raises
    ------
    InputError, ModelError
        scikit-learn is not installed; as `class_model`.
    """
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import Pipeline
    except ImportError as error:
        raise InputError("scikit-learn", "is not installed; pip install 'vflfast[sklearn]'") from error
    intercept = class_model(*parties).intercept
    coder, model = ClassCoder(parties), LogisticRegression()
    model.classes_ = np.array([-1, 1])
    model.coef_ = np.concatenate([party.weights for party in parties])[None, :]
    model.intercept_ = np.array([intercept])
    model.n_features_in_ = model.coef_.shape[1]
    model.n_iter_ = np.array([int(parties[0].facts.get("n_iter", 0))], dtype=np.int32)
    return Pipeline([("classes", coder), ("model", model)])
