"""Handing a trained model over: what each class of each feature adds, and that in other formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exports import lazily

if TYPE_CHECKING:
    from .classes import ClassModel as ClassModel
    from .classes import class_model as class_model
    from .drifts import drift as drift
    from .onnx import to_onnx as to_onnx
    from .pipeline import sklearn_pipeline as sklearn_pipeline
    from .pmml import to_pmml as to_pmml
    from .reasons import reason_codes as reason_codes
    from .scorecards import Scaling as Scaling
    from .scorecards import scorecard as scorecard

_PUBLIC = {
    "ClassModel": ".classes",
    "Scaling": ".scorecards",
    "class_model": ".classes",
    "drift": ".drifts",
    "reason_codes": ".reasons",
    "scorecard": ".scorecards",
    "sklearn_pipeline": ".pipeline",
    "to_onnx": ".onnx",
    "to_pmml": ".pmml",
}

__all__ = [*_PUBLIC]

__getattr__, __dir__ = lazily(__name__, _PUBLIC)
