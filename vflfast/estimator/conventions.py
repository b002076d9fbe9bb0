"""scikit-learn's conventions for estimators, kept without importing scikit-learn."""

from __future__ import annotations

import dataclasses
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
        """Return the parameters by name; with `deep` also the fields of one that is a dataclass, as parameter__field."""
        own = {name: getattr(self, name) for name in self._parameter_names()}
        return own | (_inner_values(own) if deep else {})

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, fields of one that is a dataclass as parameter__field: it is replaced by a changed copy.

        Raises
        ------
        InputError
            A name that is no parameter or field.
        """
        known, inner = self._parameter_names(), {name: value for name, value in params.items() if "__" in name}
        for name in params:
            if name.partition("__")[0] not in known:
                raise InputError(name, f"is no parameter; there are {', '.join(known)}")
        for name in params.keys() - inner.keys():
            setattr(self, name, params[name])
        for outer in dict.fromkeys(name.partition("__")[0] for name in inner):
            changes = {name.partition("__")[2]: value for name, value in inner.items() if name.startswith(f"{outer}__")}
            setattr(self, outer, self._changed(outer, changes))
        return self

    def _changed(self, outer: str, changes: dict[str, Any]) -> Any:
        """Return a parameter that is a dataclass with other values of some fields; InputError."""
        value = getattr(self, outer)
        value = self._empty(outer) if value is None else value
        if not dataclasses.is_dataclass(value) or isinstance(value, type):
            raise InputError(outer, "has no parameters of its own")
        known = [field.name for field in dataclasses.fields(value)]
        for name in changes:
            if name not in known:
                raise InputError(f"{outer}__{name}", f"is no parameter; there are {', '.join(known)}")
        changed = getattr(value, "changed", None)  # of settings, some of which follow from others
        return dataclasses.replace(value, **changes) if changed is None else changed(**changes)

    def _empty(self, outer: str) -> Any:
        """Return what None stands for in a parameter that is a dataclass."""

    def __sklearn_clone__(self) -> Self:
        return type(self)(**self.get_params(deep=False))

    def __sklearn_is_fitted__(self) -> bool:
        return any(name.endswith("_") and not name.endswith("__") for name in vars(self))

    def __repr__(self) -> str:
        defaults = {name: p.default for name, p in inspect.signature(type(self).__init__).parameters.items()}
        changed = [f"{name}={value!r}" for name, value in self.get_params(deep=False).items() if value != defaults[name]]
        return f"{type(self).__name__}({', '.join(changed)})"

    def _check_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise ModelError(type(self).__name__, "is not fitted yet; call fit first")


def _inner_values(params: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of parameters that are dataclasses, as parameter__field."""
    return {
        f"{name}__{field.name}": getattr(value, field.name)
        for name, value in params.items()
        if dataclasses.is_dataclass(value)
        for field in dataclasses.fields(value)
    }
