"""The model as an ONNX graph: one input a feature, classes by comparison, one table lookup a feature, all in double precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import __version__
from ..errors import InputError
from .classes import ClassModel, Feature

OPSET, ML_OPSET, IR_VERSION = 17, 2, 8


def to_onnx(model: ClassModel) -> Any:
    """Return an ``onnx.ModelProto`` with the outputs ``logit`` u and ``probability`` σ(u), double of shape (n_rows, 1) ([0075]).

    Inputs are the features by name, shape (n_rows, 1): numbers and dates (as days before the observation date, [0086]) double with NaN for
    missing, categories string with "" for missing. An output whose name a feature has gets an underscore at its end.

    Raises
    ------
    InputError
        The package ``onnx`` is not installed.
    """
    onnx = _onnx()
    helper, double = onnx.helper, onnx.TensorProto.DOUBLE
    names = {feature.name for feature in model.features}
    logit, probability = _unused("logit", names), _unused("probability", names)
    graph = _Graph(onnx, _unused("vflfast", {name.split("/")[0] for name in names}))
    parts = [graph.contribution(k, feature) for k, feature in enumerate(model.features)]
    rows = graph.node("Concat", parts, "contributions", axis=1)
    total = graph.node("ReduceSum", [rows, graph.constant("axis", np.array([1], dtype=np.int64))], "total", keepdims=1)
    graph.nodes.append(helper.make_node("Add", [total, graph.constant("intercept", np.array([model.intercept]))], [logit]))
    graph.nodes.append(helper.make_node("Sigmoid", [logit], [probability]))
    kinds = [onnx.TensorProto.STRING if feature.kind == "categorical" else double for feature in model.features]
    inputs = [helper.make_tensor_value_info(f.name, kind, [None, 1]) for f, kind in zip(model.features, kinds, strict=True)]
    outputs = [helper.make_tensor_value_info(name, double, [None, 1]) for name in (logit, probability)]
    made = helper.make_model(
        helper.make_graph(graph.nodes, "vflfast", inputs, outputs, graph.constants),
        producer_name="vflfast", producer_version=__version__, ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
    )  # fmt: skip
    helper.set_model_props(made, {"parties": ",".join(model.parties), "session": model.session})
    onnx.checker.check_model(made)
    return made


class _Graph:
    """Nodes and constants under one prefix that no feature's name has."""

    def __init__(self, onnx: Any, prefix: str) -> None:
        self.onnx, self.prefix = onnx, prefix
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        full = f"{self.prefix}/{name}"
        self.constants.append(self.onnx.numpy_helper.from_array(value, full))
        return full

    def node(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        full = f"{self.prefix}/{name}"
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [full], **attributes))
        return full

    def contribution(self, k: int, feature: Feature) -> str:
        """Contribution of one feature, shape (n_rows, 1)."""
        place = self._category(k, feature) if feature.kind == "categorical" else self._number(k, feature)
        table = feature.contributions if feature.kind == "categorical" else _by_piece(feature)
        return self.node("Gather", [self.constant(f"{k}/table", table), place], f"{k}/contribution")

    def _category(self, k: int, feature: Feature) -> str:
        known = {text: one.code for one in feature.classes for text in (*one.levels, *[""] * one.missing)}
        rest = next(one.code for one in feature.classes if one.rest)
        return self.node(
            "LabelEncoder", [feature.name], f"{k}/class", domain="ai.onnx.ml",
            keys_strings=list(known), values_int64s=list(known.values()), default_int64=rest,
        )  # fmt: skip

    def _number(self, k: int, feature: Feature) -> str:
        """Number of piece starts at or below x; one past the last piece where x is missing."""
        starts = np.array([start for start, _ in _pieces(feature)[1:]])
        cells = feature.name
        unknown = self.node("Or", [self.node("IsNaN", [cells], f"{k}/nan"), self.node("IsInf", [cells], f"{k}/inf")], f"{k}/missing")
        if starts.size:
            above = self.node("GreaterOrEqual", [cells, self.constant(f"{k}/starts", starts)], f"{k}/above")
            ones = self.node("Cast", [above], f"{k}/ones", to=self.onnx.TensorProto.INT64)
            place = self.node("ReduceSum", [ones, self.constant(f"{k}/axis", np.array([1]))], f"{k}/piece", keepdims=1)
        else:
            place = self.constant(f"{k}/piece", np.array([[0]]))
        return self.node("Where", [unknown, self.constant(f"{k}/last", np.array([[len(starts) + 1]])), place], f"{k}/place")


def _pieces(feature: Feature) -> list[tuple[float, float]]:
    """(Smallest number, contribution) of each piece of the line, from the lowest."""
    return sorted(
        (i.low if i.low_closed or i.low == -math.inf else math.nextafter(i.low, math.inf), one.contribution)
        for one in feature.classes
        for i in one.intervals
    )


def _by_piece(feature: Feature) -> np.ndarray:
    missing = next(one.contribution for one in feature.classes if one.missing)
    return np.array([contribution for _, contribution in _pieces(feature)] + [missing])


def _unused(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _onnx() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.numpy_helper
    except ImportError as error:
        raise InputError("onnx", "is not installed; pip install 'vflfast[onnx]'") from error
    return onnx
