"""Shapes of encrypted arrays by numpy's own rules: what moves numbers is done on their positions, and numpy does it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from . import codec

Places = npt.NDArray[np.intp]
Shape = tuple[int, ...]


def places(shape: Shape) -> Places:
    """Return the position of every number of an array in C order, in its shape."""
    return np.arange(math.prod(shape), dtype=np.intp).reshape(shape)


def tried(argument: str, how: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a rule of numpy's gives; InputError with numpy's words where it refuses."""
    try:
        return how(*arguments)
    except (ValueError, TypeError) as error:
        raise InputError(argument, str(error)) from None


def plain(name: str, value: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return plain numbers as an array; a mask of booleans counts as 0 and 1; InputError for what is no array."""
    array = codec.as_array(name, value)
    return array.astype(np.uint8) if array.dtype == bool and array.ndim else array


def broadcast(name: str, shape: Shape, other: Shape) -> Shape:
    """Return the common shape; InputError names the other argument."""
    try:
        return np.broadcast_shapes(shape, other)
    except ValueError:
        raise InputError(name, f"has shape {other}, which does not broadcast with {shape}") from None


def summed(shape: Shape, axis: int | Iterable[int] | None, keepdims: bool) -> tuple[Places, Shape]:
    """Return the positions of the numbers that are summed, shape (terms, sums), and the shape of the sums; InputError for no such axis."""
    given = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int | np.integer) else tuple(axis)
    axes = [_axis(len(shape), a) for a in given]
    if len(set(axes)) < len(axes):
        raise InputError("axis", "names one axis twice")
    rest = tuple(1 if a in axes else n for a, n in enumerate(shape) if keepdims or a not in axes)
    terms = math.prod(shape[a] for a in axes)
    return np.moveaxis(places(shape), axes, range(len(axes))).reshape(terms, math.prod(rest)), rest


def _axis(ndim: int, axis: Any) -> int:
    place = int(tried("axis", operator.index, axis))
    if not -ndim <= place < ndim:
        raise InputError("axis", f"{place} of an array of {ndim} dimensions")
    return place % ndim


def joined(shapes: Sequence[Shape], axis: int) -> Places:
    """Return the positions of arrays that lie one after the other, joined along an axis; InputError where they do not fit."""
    starts = np.cumsum([0, *(math.prod(shape) for shape in shapes)])
    parts = [places(shape) + start for shape, start in zip(shapes, starts[:-1], strict=True)]
    return np.asarray(tried("arrays", np.concatenate, parts, axis))


# --- numpy's functions ---------------------------------------------------------------------------------------------

MOVE_ONLY = (
    "array_split", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_to", "diagonal", "expand_dims", "flip", "fliplr", "flipud",
    "hsplit", "moveaxis", "ravel", "repeat", "reshape", "roll", "rot90", "split", "squeeze", "swapaxes", "take", "tile", "transpose",
    "vsplit",
)  # fmt: skip


def moved(func: Callable[..., Any], array: Any, *arguments: Any, **options: Any) -> Any:
    """Return what a function that only moves numbers makes of an encrypted array, or of several parts of it."""
    found = tried("array", lambda: func(places(array.shape), *arguments, **options))
    return [array.at(part) for part in found] if isinstance(found, list | tuple) else array.at(found)


def dot(left: Any, right: Any) -> Any:
    """Return left @ right, or the multiple by a single number."""
    single = any(getattr(side, "shape", None) == () or isinstance(side, int | float) for side in (left, right))
    return left * right if single else left @ right


def vstack(arrays: Sequence[Any], **_: Any) -> Any:
    """Return rows below each other."""
    return np.concatenate([np.atleast_2d(array) for array in arrays])


def hstack(arrays: Sequence[Any], **_: Any) -> Any:
    """Return arrays side by side."""
    return np.concatenate(arrays, axis=0 if len(np.shape(arrays[0])) <= 1 else 1)


NUMPY_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "dot": dot,
    "vstack": vstack,
    "hstack": hstack,
    "sum": lambda array, *arguments, **options: array.sum(*arguments, **options),
    "mean": lambda array, *arguments, **options: array.mean(*arguments, **options),
    "shape": lambda array: array.shape,
    "ndim": lambda array: array.ndim,
    "size": lambda array: array.size,
    "concatenate": lambda arrays, axis=0: _class_of(arrays).concatenate(arrays, axis),
    "stack": lambda arrays, axis=0: _class_of(arrays).stack(arrays, axis),
}


def numpy_function(func: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Return what a function of numpy's makes of encrypted arrays; TypeError for one that has no form for them."""
    name = func.__name__
    if name in MOVE_ONLY:
        return moved(func, *arguments, **options)
    if name not in NUMPY_FUNCTIONS:
        known = ", ".join(sorted({*NUMPY_FUNCTIONS, *MOVE_ONLY}))
        raise TypeError(f"numpy.{name} has no form for encrypted numbers; these have: {known}")
    return NUMPY_FUNCTIONS[name](*arguments, **options)


def _class_of(arrays: Sequence[Any]) -> Any:
    return next(type(array) for array in arrays if hasattr(array, "each_column"))
