"""scikit-learn's conventions for estimators, kept without importing scikit-learn."""

from __future__ import annotations

import inspect
from typing import Any, Self

from ..errors import InputError, ModelError


class Estimator:
    """Parameters by name, as scikit-learn's tools expect them: stored by `__init__` as they are given, checked in `fit`.

    A subclass names every parameter in its `__init__` and stores it under that name. Names that end in an underscore hold what `fit` found.
    """

    @classmethod
    def _parameter_names(cls) -> list[str]:
        names = inspect.signature(cls.__init__).parameters
        return sorted(name for name in names if name != "self")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; no parameter is an estimator itself, so `deep` changes nothing."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name.

        Raises
        ------
        InputError
            A name that is no parameter.
        """
        known = self._parameter_names()
        for name in params:
            if name not in known:
                raise InputError(name, f"is no parameter; there are {', '.join(known)}")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __sklearn_clone__(self) -> Self:
        return type(self)(**self.get_params())

    def __sklearn_is_fitted__(self) -> bool:
        return any(name.endswith("_") and not name.endswith("__") for name in vars(self))

    def __repr__(self) -> str:
        defaults = {name: p.default for name, p in inspect.signature(type(self).__init__).parameters.items()}
        changed = [f"{name}={value!r}" for name, value in self.get_params().items() if value != defaults[name]]
        return f"{type(self).__name__}({', '.join(changed)})"

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise ModelError(type(self).__name__, "is not fitted yet; call fit first")
