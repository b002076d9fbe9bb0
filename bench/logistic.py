"""Logistic accuracy on real tables: AUC and log loss by round beside scikit-learn's logistic regression on the joined columns, and Taylor.

    python bench/logistic.py FOLDER [NAME …]

FOLDER is as for row_privacy.py. The twin trains: the same weights as encrypted. The penalty is the same for all.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from row_privacy import MEASURE, coded
from sklearn.linear_model import LogisticRegression

from vflfast.learn.logistic import linear_predictor
from vflfast.learn.metrics import roc_auc
from vflfast.learn.solver import auto_alpha
from vflfast.params import MIN_CLASS_SIZE
from vflfast.protocol.twin import train_twin

TAYLOR = dataclasses.replace(MEASURE, residual="taylor", solver="block-newton", stop="loss", max_iter=50)
NEW = dataclasses.replace(MEASURE, residual="logistic", solver="lbfgs", stop="move", max_iter=30)
ROUNDS = (5, 8, None)  # None: until the stop rule


def dense(matrix: Any) -> Any:
    """Columns, n_rows × n_columns."""
    parts = [matrix.column_values[j][matrix.codes[f]] for j, f in enumerate(matrix.column_features)]
    return np.stack(parts, axis=1).astype(np.float64)


def log_loss(labels: Any, u: Any) -> float:
    """Mean of log(1 + e^(−yu))."""
    return float(np.logaddexp(0.0, -labels * u).mean())


def main(folder: Path, names: list[str]) -> None:
    """Print a paragraph for each set."""
    for name in names or sorted(path.parent.name for path in folder.glob("*/meta.json")):
        inputs, later, truth = coded(folder, name, MIN_CLASS_SIZE)
        columns = np.hstack([dense(one.matrix) for one in inputs])
        mean, deviation = columns.mean(axis=0), columns.std(axis=0)
        deviation[deviation == 0] = 1.0
        alpha = auto_alpha(columns.shape[1], len(columns))
        reference = LogisticRegression(C=1 / (alpha * len(columns)), max_iter=5000, tol=1e-7)
        reference.fit((columns - mean) / deviation, inputs[0].labels)
        best = reference.decision_function((np.hstack([dense(matrix) for matrix in later]) - mean) / deviation)
        print(f"{name}: {columns.shape[0]:,} rows, {columns.shape[1]:,} columns, alpha {alpha:.4g}")
        print(f"  logistic regression          AUC {roc_auc(truth, best):.4f}  log loss {log_loss(truth, best):.4f}", flush=True)
        for label, settings, n_rounds in [("taylor, block-newton", TAYLOR, None), *(("logistic, lbfgs", NEW, n) for n in ROUNDS)]:
            start = time.perf_counter()
            blocks = train_twin(inputs[0], inputs[1:], settings, n_rounds=n_rounds)
            u = np.sum([linear_predictor(m, *block.coefficients()) for m, block in zip(later, blocks, strict=True)], axis=0)
            rounds, off = len(blocks[0].losses), float(np.sqrt(((u - best) ** 2).mean()))
            print(f"  {label:<21} {rounds:2d} rounds AUC {roc_auc(truth, u):.4f}  log loss {log_loss(truth, u):.4f} "
                  f"({log_loss(truth, u) / log_loss(truth, best) - 1:+.1%})  predictors off by {off:.3f}  "
                  f"{time.perf_counter() - start:.0f} s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
