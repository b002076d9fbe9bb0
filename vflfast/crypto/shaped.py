"""Shaped: the shape of an encrypted array, and what encrypted numbers refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from . import shapes
from .context import Vector


class Shaped:
    """Ciphertexts in the shape of a numpy array, which never change."""

    __array_ufunc__ = None  # else numpy would build object arrays from `array + c`
    __pandas_priority__ = 5000  # else a Series would look for an array in c
    __hash__ = None  # type: ignore[assignment]
    vector: Vector
    shape: tuple[int, ...]

    def _chosen(self, rows: Any, shape: tuple[int, ...] | None) -> Self:
        """Return some of the ciphertexts, by a slice or positions, in a shape; None: one dimension."""
        raise NotImplementedError

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a single encrypted number")
        return self.shape[0]

    def __iter__(self) -> Any:
        if not self.shape:
            raise TypeError("iteration over a single encrypted number")
        return (self[i] for i in range(self.shape[0]))

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of encrypted numbers."""
        return len(self.vector)

    def __getitem__(self, index: Any) -> Self:
        """Return the numbers that numpy's rules of indexing choose; IndexError as numpy."""
        if isinstance(index, slice) and self.ndim == 1:
            return self._chosen(index, None)
        return self.at(np.asarray(shapes.places(self.shape)[index]))

    def reshape(self, *shape: Any) -> Self:
        """Return the same numbers in another shape of the same size; InputError for another size."""
        return self._rearranged(lambda places: places.reshape(*shape), "shape")

    def ravel(self) -> Self:
        """Return the numbers in C order, shape (size,)."""
        return self.reshape(self.size)

    flatten = ravel

    def transpose(self, *axes: Any) -> Self:
        """Return the array with its axes in another order, the reverse one by default; InputError for no permutation of them."""
        return self._rearranged(lambda places: places.transpose(*axes), "axes")

    @property
    def T(self) -> Self:
        """The transpose."""
        return self.transpose()

    def squeeze(self, axis: Any = None) -> Self:
        """Return the array without axes of length 1; InputError as numpy's ValueError."""
        return self._rearranged(lambda places: places.squeeze(axis), "axis")

    def copy(self) -> Self:
        """Return the array itself: it never changes."""
        return self

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def _rearranged(self, how: Callable[[Any], Any], argument: str) -> Self:
        return self.at(shapes.tried(argument, how, shapes.places(self.shape)))

    def at(self, places: npt.NDArray[np.intp]) -> Self:
        """Return the numbers at positions of C order, in the shape of `places`."""
        return self._chosen(places.ravel(), places.shape)

    # --- what encrypted numbers do not have ----------------------------------------------------------------------

    def __bool__(self) -> bool:
        raise TypeError("the truth of encrypted numbers is not known to their holder")

    def __array__(self, *_: object, **__: object) -> npt.NDArray[Any]:
        raise TypeError("encrypted numbers do not become an array; decrypt them, or re-randomise them and take .limbs")

    def __float__(self) -> float:
        raise TypeError("an encrypted number has no float value; decrypt it with the private key")

    def __eq__(self, other: object) -> bool:
        raise TypeError("encrypted numbers cannot be compared; equal numbers have different ciphertexts")

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return shapes.numpy_function(func, args, kwargs)
