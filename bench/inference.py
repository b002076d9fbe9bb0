"""Standard errors beside statsmodels on the joined columns, in plaintext: the same numbers as encrypted.

    python bench/inference.py FOLDER [NAME …]

FOLDER is as for row_privacy.py; statsmodels must be installed. Every feature loses one level, so that columns are independent, and
columns are left out until `MOST` are left at the host. Two penalties: the default, beside the sandwich of statsmodels' own second
derivative at the same weights; and almost none, beside its fit without a penalty, where that exists.
"""

from __future__ import annotations

import dataclasses
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import statsmodels.api as sm
from logistic import NEW, dense
from row_privacy import coded

from vflfast.crypto.coded import CodedMatrix
from vflfast.learn.solver import auto_alpha
from vflfast.learn.uncertainty import Coefficient
from vflfast.params import MIN_CLASS_SIZE
from vflfast.protocol import inference
from vflfast.protocol.block import Block
from vflfast.protocol.twin import train_twin

MOST, LEAST_SHARE = 100, 1e-4
NO_PENALTY = 1e-7


def independent(matrix: CodedMatrix, positive: Any) -> CodedMatrix:
    """The columns without the first of every feature that has several, and of these the first `MOST` whose values all have both labels."""
    features = matrix.column_features
    first = np.concatenate([[True], features[1:] != features[:-1]])
    several = np.bincount(features)[features] > 1
    mixed = [column.std() > 0 and least_of_both(column, positive) >= LEAST_SHARE * len(positive) for column in dense(matrix).T]
    kept = np.flatnonzero(~(first & several) & np.array(mixed))[:MOST]
    used = np.unique(features[kept])
    places = np.searchsorted(used, features[kept])
    return CodedMatrix(matrix.codes[used].copy(), matrix.class_counts[used], places, matrix.column_values[kept])


def least_of_both(column: Any, positive: Any) -> int:
    """Rows of the rarer label at the value of a column that has fewest: with none, a fit without a penalty does not exist."""
    return min(min(int((positive[column == value]).sum()), int((~positive[column == value]).sum())) for value in np.unique(column))


def main(folder: Path, names: list[str]) -> None:
    """Print a paragraph for each set."""
    for name in names or ["bank_marketing", "hotel_bookings", "fate_breast"]:
        given = coded(folder, name, MIN_CLASS_SIZE)[0]
        inputs = [dataclasses.replace(one, matrix=independent(one.matrix, given[0].labels > 0)) for one in given]
        columns = np.hstack([dense(one.matrix) for one in inputs])
        n_rows, n_columns = columns.shape
        print(f"{name}: {n_rows:,} rows, {inputs[0].matrix.n_columns} + {inputs[1].matrix.n_columns} columns")
        for alpha in (auto_alpha(n_columns, n_rows), NO_PENALTY):
            report(inputs, columns, alpha)


def report(inputs: list[Any], columns: Any, alpha: float) -> None:
    """Print how far standard errors, p and variance inflation are off."""
    settings = dataclasses.replace(NEW, alpha=alpha, inference=True, max_iter=60, tol=1e-4)
    try:
        blocks = train_twin(inputs[0], inputs[1:], settings)
    except Exception as error:
        print(f"  alpha {alpha:.2g}: {error}")
        return
    start = time.perf_counter()
    told = inference.plain(blocks)
    took = time.perf_counter() - start
    weights = np.concatenate([block.coefficients()[0] for block in blocks])
    errors = np.concatenate([one.errors for one in told])
    expected, reference = peer(inputs[0].labels > 0, columns, blocks, alpha)
    off = np.abs(errors / expected - 1)
    values = zip(weights, errors, strict=True), zip(reference, expected, strict=True)
    ours, theirs = ([Coefficient.of(*pair).p < 0.05 for pair in pairs] for pairs in values)
    same = np.mean([a == b for a, b in zip(ours, theirs, strict=True)])
    inflated = inflation_of(columns, np.concatenate([2 * one.matrix.column_features + k for k, one in enumerate(inputs)]))
    mine = np.concatenate([one.inflation for one in told])
    print(f"  alpha {alpha:.2g}: standard errors off by {off.max():.2%} at most, {off.mean():.2%} on average; p on the same side of 0.05 "
          f"{same:.1%} of {len(off)}; variance inflation (up to {inflated.max():.3g}) off by {np.abs(mine / inflated - 1).max():.1e}; "
          f"{took:.1f} s", flush=True)  # fmt: skip


def inflation_of(columns: Any, features: Any) -> Any:
    """1/(1 − R²) of every column beside those of all other features, from numpy's correlations."""
    correlated, found = np.corrcoef(columns.T), []
    for column, feature in enumerate(features):
        beside = np.concatenate([[column], np.flatnonzero(features != feature)])
        found.append(np.linalg.inv(correlated[np.ix_(beside, beside)])[0, 0])
    return np.array(found)


def peer(positive: Any, columns: Any, blocks: list[Block], alpha: float) -> tuple[Any, Any]:
    """Standard errors and weights by statsmodels: of its fit, or with a penalty of the sandwich at the same weights."""
    n_rows, n_columns = columns.shape
    mean, scale = columns.mean(axis=0), columns.std(axis=0)
    design = np.hstack([np.ones((n_rows, 1)), (columns - mean) / scale])
    model = sm.Logit(positive.astype(float), design)
    weights = np.concatenate([block.coefficients()[0] for block in blocks])
    intercept = sum(block.coefficients()[1] for block in blocks) + weights @ mean
    if alpha <= NO_PENALTY:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = model.fit(disp=0, maxiter=200)
        return fitted.bse[1:] / scale, fitted.params[1:] / scale
    information = -model.hessian(np.concatenate([[intercept], weights * scale]))
    inverse = np.linalg.inv(information + alpha * n_rows * np.diag([0.0] + [1.0] * n_columns))
    return np.sqrt(np.diag(inverse @ information @ inverse))[1:] / scale, weights


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
