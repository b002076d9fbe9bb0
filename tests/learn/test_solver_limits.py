"""Solvers on real data, and what they refuse."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from support.solvers import DATA, FRAC_BITS, opened, two_blocks

from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import BoundError, InputError, ModelError
from vflfast.learn.logistic import linear_predictor
from vflfast.learn.metrics import roc_auc
from vflfast.learn.solver import BlockNewton, BlockSolver, GradientDescent, auto_alpha, local_start, taylor_optimum

# --- real data ---------------------------------------------------------------------------------------------------



def read_set(name: str) -> tuple[CodedMatrix, CodedMatrix, npt.NDArray[np.int8], npt.NDArray[np.bool_]]:
    """Coded as the data's README says (bin5): five classes by training order statistics, 50 most frequent levels."""
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"needs shared/data/{name} beside the checkout")
    meta = json.loads((folder / "meta.json").read_text())
    tables = [read_csv(folder / f"{side}.csv.gz") for side in ("guest", "host")]
    order = sorted(tables[0])
    fold = [int(hashlib.sha256(f"vflfast-split-v1:{i}".encode()).hexdigest()[:8], 16) / 2**32 for i in order]
    training = np.array(fold) >= 0.30
    y = np.array([int(tables[0][i]["y"]) for i in order], dtype=np.int8)
    blocks = [
        code_block([[table[i][c["name"]] for i in order] for c in meta[f"{side}_columns"]], meta[f"{side}_columns"], training)
        for side, table in zip(("guest", "host"), tables, strict=True)
    ]
    return blocks[0], blocks[1], y, training


def read_csv(path: Path) -> dict[str, dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        header, *lines = file.read().splitlines()
    names = header.split(",")
    return {cells[0]: dict(zip(names, cells, strict=True)) for cells in (line.split(",") for line in lines)}


def code_block(columns: list[list[str]], kinds: list[dict[str, str]], training: npt.NDArray[np.bool_]) -> CodedMatrix:
    codes, counts, features, values = [], [], [], []
    for k, (cells, kind) in enumerate(zip(columns, kinds, strict=True)):
        code, one_hot = code_cells(cells, kind["kind"], training)
        codes.append(code.astype(np.uint8))
        counts.append(int(code.max()) + 1)
        rows = np.eye(60, dtype=np.int64)[: counts[-1]] if one_hot else np.arange(60)[None]
        features += [k] * len(rows)
        values.append(rows)
    return CodedMatrix(np.array(codes), counts, features, np.concatenate(values))


def code_cells(cells: list[str], kind: str, training: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], bool]:
    text = np.array(cells)
    if kind == "categorical":
        levels, sizes = np.unique(text[training], return_counts=True)
        rank = {level: i for i, level in enumerate(levels[np.argsort(-sizes, kind="stable")][:50])}
        return np.array([rank.get(cell, 50) for cell in text]), True
    if kind == "date":
        text = np.where(text == "", "", np.where(text == "", "1970-01-01", text).astype("M8[D]").astype(int).astype(str))
        number = -np.where(text == "", "inf", text).astype(float)
    else:
        number = np.where(text == "", "-inf", text).astype(float)
    sample = np.sort(number[training])
    distinct = np.unique(sample)
    if distinct.size <= 5:
        return np.clip(np.searchsorted(distinct, number, side="right") - 1, 0, None), False
    cuts = np.unique(sample[[math.ceil(q * sample.size) - 1 for q in (0.2, 0.4, 0.6, 0.8)]])
    return np.searchsorted(cuts, number, side="left"), False


@pytest.mark.parametrize(("name", "bar", "near"), [("bank_marketing", 0.7739 - 0.006, 0.001), ("fate_breast", 0.9930 - 0.012, 0.003)])
def test_block_newton_on_real_data(name: str, bar: float, near: float) -> None:
    """Ten rounds of the defaults reach the bar on the test part and the AUC of the joint optimum."""
    *blocks, y, training = read_set(name)
    parts = [block.take_rows(training) for block in blocks]
    alpha = auto_alpha(sum(part.n_columns for part in parts), int(training.sum()))
    solvers: list[BlockSolver] = [BlockNewton(part, alpha=alpha, n_blocks=2) for part in parts]
    thetas = [local_start(solvers[0], parts[0], y[training])[0], np.zeros(parts[1].n_columns)]
    intercept = 2.0 * float(y[training].mean())
    for _ in range(10):
        models = [s.coefficients(t) for s, t in zip(solvers, thetas, strict=True)]
        u = sum(linear_predictor(p, w, shift) for p, (w, shift) in zip(parts, models, strict=True)) + intercept
        gradients = [opened(part, u - 2.0 * y[training]) for part in parts]
        thetas = [s.update(t, *g, FRAC_BITS) for s, t, g in zip(solvers, thetas, gradients, strict=True)]
    federated = sum(linear_predictor(b, s.coefficients(t)[0]) for b, s, t in zip(blocks, solvers, thetas, strict=True))
    weights, _ = taylor_optimum(parts, y[training], alpha)
    joint = sum(linear_predictor(b, w) for b, w in zip(blocks, weights, strict=True))
    auc = roc_auc(y[~training], federated[~training])
    assert auc >= bar
    assert auc >= roc_auc(y[~training], joint[~training]) - near


# --- bad input ---------------------------------------------------------------------------------------------------


G, H, Y = two_blocks(40)
NEWTON = BlockNewton(G, alpha=0.1, n_blocks=2)
BAD_NUMBERS = [None, "0.1", math.nan, math.inf, True, 1j, [0.1]]


@pytest.mark.parametrize("alpha", [*BAD_NUMBERS, -1e-9])
@pytest.mark.parametrize("kind", [BlockNewton, GradientDescent])
def test_alpha_is_refused(kind: type[BlockNewton] | type[GradientDescent], alpha: object) -> None:
    with pytest.raises(InputError) as error:
        kind(G, alpha=alpha, n_blocks=2)
    assert error.value.argument == "alpha"


@pytest.mark.parametrize("n_blocks", [0, -1, 1.0, True, None, "2"])
@pytest.mark.parametrize("kind", [BlockNewton, GradientDescent])
def test_n_blocks_is_refused(kind: type[BlockNewton] | type[GradientDescent], n_blocks: object) -> None:
    with pytest.raises(InputError) as error:
        kind(G, alpha=0.1, n_blocks=n_blocks)
    assert error.value.argument == "n_blocks"


@pytest.mark.parametrize(
    ("settings", "argument"),
    [({"step": bad}, "step") for bad in [b for b in BAD_NUMBERS if b != "0.1"] + [0.0, -0.1, "fast"]]
    + [({"momentum": bad}, "momentum") for bad in [*BAD_NUMBERS, -0.1, 1.0, 1.5]],
)
def test_descent_settings_are_refused(settings: dict[str, object], argument: str) -> None:
    with pytest.raises(InputError) as error:
        GradientDescent(G, alpha=0.1, n_blocks=2, **settings)
    assert error.value.argument == argument


@pytest.mark.parametrize("omega", [b for b in BAD_NUMBERS if b is not None] + [0.0, -0.5, 1.0, 3.0])
def test_omega_is_refused(omega: object) -> None:
    with pytest.raises(InputError) as error:
        BlockNewton(G, alpha=0.1, n_blocks=2, omega=omega)
    assert error.value.argument == "omega"


@pytest.mark.parametrize("matrix", [None, np.zeros((3, 3)), "Z"])
def test_matrix_is_refused(matrix: object) -> None:
    for call in (
        lambda: BlockNewton(matrix, alpha=0.1, n_blocks=2),
        lambda: GradientDescent(matrix, alpha=0.1, n_blocks=2),
        lambda: local_start(NEWTON, matrix, Y),
    ):
        with pytest.raises(InputError) as error:
            call()
        assert error.value.argument == "matrix"


@pytest.mark.parametrize(
    ("argument", "bad"),
    [("theta", bad) for bad in (None, [0.0] * 3, [math.nan] * 4, [math.inf, 0, 0, 0], "abcd", [[0.0] * 4], [True] * 4)]
    + [("gradient_sums", bad) for bad in (None, [1, 2, 3], [1.0] * 4, [True] * 4, ["1"] * 4, [[1] * 4], np.ones(4), [1, 2, 3, None])]
    + [("residual_sum", bad) for bad in (None, 1.0, True, "1", [1])]
    + [("frac_bits", bad) for bad in (None, -1, 129, 24.0, True, "24")]
    + [("batch_rows", bad) for bad in (0, -1, 41, 4.0, True, "4")],
)
def test_update_refuses(argument: str, bad: object) -> None:
    good: dict[str, object] = {"theta": [0.0] * 4, "gradient_sums": [1, 2, 3, 4], "residual_sum": 1, "frac_bits": 24}
    with pytest.raises(InputError) as error:
        NEWTON.update(**{**good, argument: bad})
    assert error.value.argument == argument


def test_overflow_is_refused_and_leaves_the_state() -> None:
    with pytest.raises(BoundError, match="gradient_sums"):
        NEWTON.update([0.0] * 4, [10**400] * 4, 0, 0)
    with pytest.raises(BoundError, match="residual_sum"):
        NEWTON.intercept_step(10**400, 0)
    descent = GradientDescent(G, alpha=0.1, n_blocks=2, step=1e300, momentum=0.5)
    with pytest.raises(BoundError, match="gradient_sums"):
        descent.update([0.0] * 4, [10**30, -(10**30)] * 2, 0, 0)
    assert descent.state() == {"velocity": [0.0] * 4}


@pytest.mark.parametrize("theta", [None, [0.0], [math.nan] * 4, "abcd"])
def test_coefficients_refuse(theta: object) -> None:
    with pytest.raises(InputError) as error:
        NEWTON.coefficients(theta)
    assert error.value.argument == "theta"


@pytest.mark.parametrize("state", [None, [], {"velocity": [0.0]}, {"velocity": [math.nan] * 4}, {}, {"velocity": [0.0] * 4, "more": 1}])
def test_damaged_solver_state_is_refused(state: object) -> None:
    with pytest.raises(ModelError):
        GradientDescent(G, alpha=0.1, n_blocks=2).restore(state)


@pytest.mark.parametrize("state", [None, {"velocity": [0.0] * 4}])
def test_newton_takes_no_state(state: object) -> None:
    with pytest.raises(ModelError):
        NEWTON.restore(state)


@pytest.mark.parametrize("y", [None, [1] * 40, [-1] * 40, [0, 1] * 20, [1, -1] * 19, [math.nan] * 40, [True, False] * 20, ["1"] * 40])
def test_labels_are_refused(y: object) -> None:
    for call in (lambda: local_start(NEWTON, G, y), lambda: taylor_optimum([G, H], y, 0.1)):
        with pytest.raises(InputError) as error:
            call()
        assert error.value.argument == "y"


def test_local_start_refuses_strangers() -> None:
    for solver, matrix, argument in ((None, G, "solver"), (NEWTON, H, "matrix"), (NEWTON, G.take_rows(np.arange(39)), "matrix")):
        with pytest.raises(InputError) as error:
            local_start(solver, matrix, Y)
        assert error.value.argument == argument


@pytest.mark.parametrize("matrices", [None, [], G, [G, None], [G, H.take_rows(np.arange(39))]])
def test_taylor_optimum_refuses_matrices(matrices: object) -> None:
    with pytest.raises(InputError) as error:
        taylor_optimum(matrices, Y, 0.1)
    assert error.value.argument == "matrices"


def test_dependent_columns_need_a_penalty() -> None:
    codes = np.array([[0, 1, 2, 3, 1]] * 2, dtype=np.uint8)
    with pytest.raises(InputError) as error:
        BlockNewton(CodedMatrix(codes), alpha=0.0, n_blocks=2)
    assert error.value.argument == "alpha"
    levels = CodedMatrix(codes[:1], [4], [0] * 4, np.eye(4, dtype=np.int64))  # one-hot columns sum to 1
    with pytest.raises(InputError, match="alpha"):
        BlockNewton(levels, alpha=0.0, n_blocks=2)
    assert np.isfinite(BlockNewton(levels, alpha=1e-3, n_blocks=2).update([0.0] * 4, [1, 2, 3, 4], 0, 0)).all()


def test_rounding_does_not_hide_dependent_columns() -> None:
    """The factorisation of a singular matrix often runs through, on a last pivot of pure rounding noise."""
    for seed in range(20):
        codes = np.random.default_rng(seed).integers(0, 5, (1, 97), dtype=np.uint8)
        with pytest.raises(InputError, match="alpha"):
            BlockNewton(CodedMatrix(codes, [5], [0] * 5, np.eye(5, dtype=np.int64)), alpha=0.0, n_blocks=2)


def test_constant_columns_alone() -> None:
    constant = CodedMatrix(np.full((2, 4), 3, dtype=np.uint8))
    assert BlockNewton(constant, alpha=0.0, n_blocks=2).update([1.0, 2.0], [5, 6], 7, 0).tolist() == [0.0, 0.0]
    with pytest.raises(InputError, match="step"):
        GradientDescent(constant, alpha=0.0, n_blocks=2)


@pytest.mark.parametrize(
    ("arguments", "argument"), [((0, 5), "n_total_columns"), ((5, 0), "n_rows"), ((5.0, 5), "n_total_columns"), ((5, True), "n_rows")]
)
def test_auto_alpha_refuses(arguments: tuple[object, object], argument: str) -> None:
    with pytest.raises(InputError) as error:
        auto_alpha(*arguments)
    assert error.value.argument == argument
