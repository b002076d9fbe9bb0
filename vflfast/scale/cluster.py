"""DaskEngine: the heavy passes of one party's process over a Dask cluster of its own.

Shards of codes stay on the workers as long as their matrix; ciphertexts are sent once a product; sums are multiplied in a tree on the
workers. The client holds what every shard is made from: a lost worker's shards are sent to another one, and only what it had not handed
on is computed again.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..crypto.blocks import BlockPlan
from ..crypto.context import Context, Seconds, Vector
from ..crypto.engine import Columns
from ..crypto.limbs import Limbs
from ..crypto.storage import concatenate
from ..errors import ClusterError
from . import tasks
from .grid import Grid, bounds, choose
from .shards import Sent, send

log = logging.getLogger("vflfast")

LEAST_WORK = 0.05  # seconds of one core; what is smaller is not worth a message
ENTRY, ENCRYPTION, CELL = 4e-7, 3e-4, 1e-9  # seconds of an insertion, an encryption, a cell of a plaintext pass
ATTEMPTS = 5  # of a pass, each after the loss of a worker
PATIENCE = 60.0  # seconds without any worker
POLL = 2.0
PAUSE = 0.2  # seconds after a loss, times the attempt: what else is lost becomes known
GONE = ("error", "lost", "cancelled")


class DaskEngine:
    """The passes of `crypto.engine.Engine` over the workers of a Dask client.

    Parameters
    ----------
    client
        distributed.Client that reaches the workers directly.
    least_work
        Seconds of one core below which a pass is left to the caller.
    patience
        Seconds without any worker after which a pass ends with an error.
    """

    def __init__(self, client: Any, *, least_work: float = LEAST_WORK, patience: float = PATIENCE) -> None:
        self._client, self._least_work, self._patience = client, least_work, patience
        self._grids: dict[int, tuple[Grid, dict[tuple[int, int], Sent]]] = {}
        self._codes: dict[int, tuple[tuple[int, ...], list[Sent]]] = {}

    # --- passes with ciphertexts ---------------------------------------------------------------------------------

    def class_sums(self, context: Context, plan: BlockPlan, vector: Vector, spent: Seconds) -> Vector | None:
        """Return the product of the rows of every class, in the order of `plan`; `spent` gets the time by phase."""
        if sum(len(block.patterns) for block in plan.blocks) * ENTRY < self._least_work:
            return None
        start = time.monotonic()
        grid, shards = self._plan_shards(plan)
        everywhere, key = len(grid.blocks) > 2, context.key
        wires = [
            Sent(partial(_wire_of, context, vector, grid.row_slice(r)), home=r, everywhere=everywhere) for r in range(len(grid.rows) - 1)
        ]
        jobs = {cell: (tasks.class_sums, (key, shard, wires[cell[0]])) for cell, shard in shards.items()}
        groups = [[cell for cell in grid.cells if cell[1] == c] for c in range(len(grid.blocks) - 1)]
        sums = self._run(jobs, groups, lambda a, b: (tasks.multiply, (key, a, b)))
        spent.update(logarithms=0.0, bucket=time.monotonic() - start, collapse=0.0)  # the workers' phases run at the same time
        return concatenate([context.load(part) for part in sums])

    def encrypt(self, context: Context, start: Vector | None, plain: Limbs | None, count: int, alpha_bits: int) -> Vector | None:
        """Return start · (1 + n)^plain under randomness of `alpha_bits` bits that the workers draw themselves."""
        if count * ENCRYPTION < self._least_work:
            return None
        edges = bounds(count, self._slots())
        jobs: dict[Any, Any] = {}
        for piece, (first, last) in enumerate(pairwise(edges)):
            rows = slice(first, last)
            wire = None if start is None else Sent(partial(_wire_of, context, start, rows), home=piece)
            added = None if plain is None else Sent(partial(_piece, plain, rows), home=piece)
            jobs[piece] = tasks.encrypt, (context.key, wire, added, last - first, alpha_bits)
        return concatenate([context.load(part) for part in self._run(jobs, [[piece] for piece in jobs])])

    # --- plaintext passes ----------------------------------------------------------------------------------------

    def linear_predictor(
        self, matrix: Columns, weights: npt.NDArray[np.float64], intercept: float
    ) -> npt.NDArray[np.float64] | None:
        """Return u of every row; each row adds its features in the same order as anywhere."""
        if self._is_small(matrix):
            return None
        _, shards = self._code_shards(matrix)
        jobs = {i: (tasks.linear_predictor, (shard, weights, intercept)) for i, shard in enumerate(shards)}
        return concatenate(self._run(jobs, [[i] for i in jobs]))

    def cross_product(self, matrix: Columns, g: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
        """Return Zᵀg, the exact sum of the shards' parts."""
        return self._summed(matrix, tasks.cross_product, g)

    def gram(self, matrix: Columns, row_weights: npt.NDArray[np.int64] | None) -> npt.NDArray[np.float64] | None:
        """Return ZᵀDZ, the exact sum of the shards' parts."""
        return self._summed(matrix, tasks.gram, row_weights)

    def _summed(self, matrix: Columns, task: Callable[..., Any], by_row: npt.NDArray[np.int64] | None) -> npt.NDArray[Any] | None:
        if self._is_small(matrix):
            return None
        edges, shards = self._code_shards(matrix)
        jobs: dict[Any, Any] = {}
        for i, shard in enumerate(shards):
            part = None if by_row is None else Sent(partial(_piece, by_row, slice(edges[i], edges[i + 1])), home=i)
            jobs[i] = task, (shard, part)
        result: npt.NDArray[Any] = self._run(jobs, [list(jobs)], lambda a, b: (tasks.add, (a, b)))[0]
        return result

    def _is_small(self, matrix: Columns) -> bool:
        return matrix.codes.size * CELL < self._least_work

    # --- what stays on the workers -------------------------------------------------------------------------------

    def _plan_shards(self, plan: BlockPlan) -> tuple[Grid, dict[tuple[int, int], Sent]]:
        if id(plan) not in self._grids:
            grid = choose(plan, self._slots())
            owner = weakref.ref(plan)
            homes = {cell: cell[0] if len(grid.blocks) == 2 else i for i, cell in enumerate(grid.cells)}
            shards = {cell: Sent(partial(_cut, grid, owner, cell), home=homes[cell]) for cell in grid.cells}
            self._grids[id(plan)] = grid, shards
            weakref.finalize(plan, self._grids.pop, id(plan), None)
        return self._grids[id(plan)]

    def _code_shards(self, matrix: Columns) -> tuple[tuple[int, ...], list[Sent]]:
        if id(matrix) not in self._codes:
            edges, owner = bounds(matrix.codes.shape[1], self._slots()), weakref.ref(matrix)
            shards = [Sent(partial(_rows_of, owner, slice(*pair)), home=i) for i, pair in enumerate(pairwise(edges))]
            self._codes[id(matrix)] = edges, shards
            weakref.finalize(matrix, self._codes.pop, id(matrix), None)
        return self._codes[id(matrix)]

    # --- running -------------------------------------------------------------------------------------------------

    def _slots(self) -> int:
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    def _run(
        self, jobs: dict[Any, tuple[Callable[..., Any], tuple[Any, ...]]], groups: Sequence[Sequence[Any]],
        join: Callable[[Any, Any], tuple[Callable[..., Any], tuple[Any, ...]]] | None = None,
    ) -> list[Any]:  # fmt: skip
        """Return the results of each group of jobs joined in a tree; what a lost worker had is done again."""
        done: dict[Any, Any] = {}
        problem = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                log.warning("cluster: a pass is repeated in part: %s", problem)
                time.sleep(PAUSE * attempt)
            try:
                self._wait_for_workers()
                for key, (task, arguments) in jobs.items():
                    if key not in done or done[key].status in GONE:
                        done[key] = self._submit(task, arguments)
                tops = [self._tree([done[key] for key in group], join) for group in groups]
                self._settle(tops)
                return list(self._client.gather(tops))
            except ClusterError:
                raise
            except Exception as error:  # whatever the engine reports of a worker that is gone; the last one is told
                problem = f"{type(error).__name__}: {error}"
        raise ClusterError(f"the workers failed {ATTEMPTS} times; the last time: {problem}")

    def _submit(self, task: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        ready = [send(self._client, one) if isinstance(one, Sent) else one for one in arguments]
        return self._client.submit(task, *ready, pure=False)

    def _tree(self, futures: list[Any], join: Callable[[Any, Any], tuple[Callable[..., Any], tuple[Any, ...]]] | None) -> Any:
        while len(futures) > 1:
            assert join is not None  # noqa: S101  (groups of several have one)
            pairs = [self._submit(*join(*pair)) for pair in zip(futures[::2], futures[1::2], strict=False)]
            futures = pairs + futures[2 * len(pairs) :]
        return futures[0]

    def _settle(self, futures: list[Any]) -> None:
        """Wait until all are done or one is lost; ClusterError when there is no worker for too long."""
        from distributed import wait

        while pending := [future for future in futures if future.status == "pending"]:
            if any(future.status in GONE for future in futures):
                return  # gather says which
            try:
                with self._client.as_current():
                    wait(pending, timeout=POLL, return_when="FIRST_COMPLETED")  # type: ignore[no-untyped-call]
            except TimeoutError:
                self._wait_for_workers()

    def _wait_for_workers(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=self._patience)
        except Exception as error:  # a timeout, or the scheduler is gone
            raise ClusterError(f"no worker within {self._patience:g} seconds") from error


# --- what is sent: made from what the client holds; its engine drops a shard with its owner -----------------------


def _wire_of(context: Context, vector: Vector, rows: slice) -> Limbs:
    return context.store(vector[rows])


def _piece(values: npt.NDArray[Any], rows: slice) -> npt.NDArray[Any]:
    return np.ascontiguousarray(values[rows])


def _cut(grid: Grid, owner: weakref.ref[BlockPlan], cell: tuple[int, int]) -> tasks.BlockRows:
    plan = owner()
    assert plan is not None  # noqa: S101
    return grid.cut(plan, cell)


def _rows_of(owner: weakref.ref[Columns], rows: slice) -> tasks.CodeRows:
    matrix = owner()
    assert matrix is not None  # noqa: S101
    return np.ascontiguousarray(matrix.codes[:, rows]), matrix.class_counts, matrix.column_features, matrix.column_values
