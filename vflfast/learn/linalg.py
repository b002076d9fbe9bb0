"""Linear algebra in one fixed order of operations, so that its bits are the same on every machine.

BLAS and LAPACK choose their kernels by the processor, and with them the order of sums; a fused multiply-add leaves out a rounding. Here
every number is made by the same additions, multiplications, divisions and square roots in the same order: what runs side by side are
independent numbers, and nothing is contracted (numba compiles without fast-math; tests look at the machine code).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .checks import Floats

PANEL = 64  # columns factored before what is right of them is updated
TILE = 64  # columns updated at a time: four rows of them and a panel's stay in the cache
STEPS = 8  # columns of the panel that one pass over a tile takes off


def cholesky(matrix: Floats) -> bool:
    """Overwrite the lower triangle with the Cholesky factor L, H = L·Lᵀ; what is above the diagonal is left as it is.

    a_ij − l_i0·l_j0 − l_i1·l_j1 − … − l_i,j−1·l_j,j−1, from left to right, over l_jj, or the square root of it where i = j.

    Parameters
    ----------
    matrix
        H, float64, shape (d, d), C-contiguous; its lower triangle is read.

    Returns
    -------
    Whether H is positive definite as far as rounding shows; if not, the matrix is of no use.
    """
    rows = np.zeros((PANEL, len(matrix)))
    for start in range(0, len(matrix), PANEL):
        stop = min(start + PANEL, len(matrix))
        panel = rows[:, : len(matrix) - start]
        panel[stop - start :] = 0.0  # of a last, narrower panel
        if not _factor_panel(matrix, start, stop, panel):
            return False
        _update(matrix, start, stop, panel)
    return True


@njit(cache=True, nogil=True)
def _factor_panel(matrix: Floats, start: int, stop: int, panel: Floats) -> bool:
    """Factor columns start … stop − 1, rows `start` and below; panel[k, i] gets l_(start + i),(start + k)."""
    n, width = matrix.shape[0] - start, stop - start
    for i in range(n):
        for k in range(width):
            panel[k, i] = matrix[start + i, start + k]
    for k in range(width):
        column = panel[k]
        for m in range(k):
            factor, other = panel[m, k], panel[m]
            for i in range(k, n):
                column[i] -= factor * other[i]
        if not 0.0 < column[k] < np.inf:
            return False
        column[k] = np.sqrt(column[k])
        for i in range(k + 1, n):
            column[i] /= column[k]
    for i in range(n):
        for k in range(min(width, i + 1)):
            matrix[start + i, start + k] = panel[k, i]
    return True

@njit(cache=True, nogil=True, inline="always")
def _take_off(row: Floats, panel: Floats, i: int, k: int, operands: Floats) -> None:
    """row_j −= l_ik·l_jk, then k + 1, … k + 7: all of a tile's columns j side by side."""
    f0, f1, f2, f3 = panel[k, i], panel[k + 1, i], panel[k + 2, i], panel[k + 3, i]
    f4, f5, f6, f7 = panel[k + 4, i], panel[k + 5, i], panel[k + 6, i], panel[k + 7, i]
    o0, o1, o2, o3 = _operand(operands, k), _operand(operands, k + 1), _operand(operands, k + 2), _operand(operands, k + 3)
    o4, o5, o6, o7 = _operand(operands, k + 4), _operand(operands, k + 5), _operand(operands, k + 6), _operand(operands, k + 7)
    for j in range(TILE):
        half = (((row[j] - f0 * o0[j]) - f1 * o1[j]) - f2 * o2[j]) - f3 * o3[j]
        row[j] = (((half - f4 * o4[j]) - f5 * o5[j]) - f6 * o6[j]) - f7 * o7[j]


@njit(cache=True, nogil=True, inline="always")
def _operand(operands: Floats, k: int) -> Floats:
    return operands[k * TILE : (k + 1) * TILE]


@njit(cache=True, nogil=True)
def _update(matrix: Floats, start: int, stop: int, panel: Floats) -> None:
    """Take Σ_k l_ik·l_jk over the panel's columns off everything right of it, four rows and a tile of columns at a time.

    Rows and operands are copied to arrays of their own: the compiler then sees that nothing overlaps, and works side by side.
    """
    n = matrix.shape[0]
    rows, operands = np.zeros(4 * TILE), np.zeros(PANEL * TILE)
    r0, r1, r2, r3 = rows[:TILE], rows[TILE : 2 * TILE], rows[2 * TILE : 3 * TILE], rows[3 * TILE :]
    for left in range(stop, n, TILE):
        width = min(TILE, n - left)
        for k in range(PANEL):
            operands[k * TILE : k * TILE + width] = panel[k, left - start : left - start + width]
        for top in range(left, n, 4):
            height = min(4, n - top)
            for r in range(height):
                rows[r * TILE : r * TILE + width] = matrix[top + r, left : left + width]
            i0 = top - start
            i1, i2, i3 = i0 + min(1, height - 1), i0 + min(2, height - 1), i0 + height - 1
            for k in range(0, PANEL, STEPS):
                _take_off(r0, panel, i0, k, operands)
                _take_off(r1, panel, i1, k, operands)
                _take_off(r2, panel, i2, k, operands)
                _take_off(r3, panel, i3, k, operands)
            for r in range(height):
                for j in range(min(width, top + r - left + 1)):
                    matrix[top + r, left + j] = rows[r * TILE + j]


@njit(cache=True, nogil=True)
def solve(lower: Floats, x: Floats) -> Floats:
    """Solve L·Lᵀ·x = b in place, b in x, shape (d,); return x."""
    for i in range(x.size):
        for k in range(i):
            x[i] -= lower[i, k] * x[k]
        x[i] /= lower[i, i]
    for i in range(x.size - 1, -1, -1):
        x[i] /= lower[i, i]
        for k in range(i):
            x[k] -= lower[i, k] * x[i]
    return x


@njit(cache=True, nogil=True)
def forward(lower: Floats, columns: Floats) -> None:
    """Overwrite X with L⁻¹X, all its columns side by side; shapes (d, d) and (d, k)."""
    for j in range(columns.shape[0]):
        own = columns[j]
        for k in range(j):
            weight, other = lower[j, k], columns[k]
            for i in range(own.size):
                own[i] -= weight * other[i]
        for i in range(own.size):
            own[i] /= lower[j, j]


@njit(cache=True, nogil=True)
def backward(lower: Floats, columns: Floats) -> Floats:
    """Overwrite X with L⁻ᵀX, as `forward`; return it."""
    for j in range(columns.shape[0] - 1, -1, -1):
        own = columns[j]
        for i in range(own.size):
            own[i] /= lower[j, j]
        for k in range(j):
            weight, other = lower[j, k], columns[k]
            for i in range(own.size):
                other[i] -= weight * own[i]
    return columns


@njit(cache=True, nogil=True)
def product(matrix: Floats, vector: Floats) -> Floats:
    """Return matrix·vector, shape (rows,): each row from left to right."""
    result = np.zeros(matrix.shape[0])
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            result[i] += matrix[i, j] * vector[j]
    return result
