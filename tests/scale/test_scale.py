"""The passes of a run over a Dask cluster: the same bits, also with a worker killed; what reaches a worker; what ends with an error."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.jobs import sections, write_tables
from support.runs import P, Parties, Q, elgamal_settings, parties, private_key, settings, train

from vflfast.crypto import engine, storage
from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import ClusterError, InputError
from vflfast.jobs import job as jobs
from vflfast.jobs.jobfile import job_from_mapping
from vflfast.jobs.progress import StageClock
from vflfast.learn import logistic
from vflfast.protocol import inline
from vflfast.scale import grid, tasks
from vflfast.scale.resources import Resources, read_resources, with_choice

distributed = pytest.importorskip("distributed")
cluster = pytest.importorskip("vflfast.scale.cluster")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two workers of one thread each, as a job gets them."""
    with Resources(workers=2).in_use():
        shared = engine.current()
        assert isinstance(shared, cluster.DaskEngine)
        yield shared._client


@pytest.fixture(autouse=True)
def _no_engine() -> Iterator[None]:
    with engine.use(None):
        yield


class Spy:
    """A client whose every argument on its way to the workers is kept."""

    def __init__(self, client: Any) -> None:
        self._client, self.leaves = client, []  # type: ignore[var-annotated]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def _keep(self, value: Any) -> None:
        if isinstance(value, list | tuple):
            for one in value:
                self._keep(one)
        elif not isinstance(value, distributed.Future):
            self.leaves.append(value)

    def scatter(self, data: Any, **options: Any) -> Any:
        self._keep(data)
        return self._client.scatter(data, **options)

    def submit(self, task: Any, *arguments: Any, **options: Any) -> Any:
        assert task.__module__ in (tasks.__name__, __name__)
        self._keep(arguments)
        return self._client.submit(task, *arguments, **options)


def made() -> Parties:
    return parties(400, (3, 24))


@pytest.fixture(scope="module")
def expected() -> str:
    return train(made(), settings()).weight_hash


def test_a_run_over_workers_has_the_same_bits_and_sends_them_numbers_only(client: Any, expected: str) -> None:
    spy = Spy(client)
    with engine.use(cluster.DaskEngine(spy, least_work=0)):
        assert train(made(), settings()).weight_hash == expected
    assert {type(leaf) for leaf in spy.leaves} <= {np.ndarray, int, float, type(None), str}
    assert {leaf for leaf in spy.leaves if isinstance(leaf, str)} == {"paillier"}
    numbers = {leaf for leaf in spy.leaves if isinstance(leaf, int)}
    assert P * Q in numbers
    assert not numbers & {P, Q, P - 1, Q - 1, (P - 1) * (Q - 1)}


def test_points_over_workers_have_the_same_bits(client: Any) -> None:
    agreed = elgamal_settings(max_iter=2)
    here = inline.train(made().guest, made().hosts, agreed).weight_hash
    spy = Spy(client)
    with engine.use(cluster.DaskEngine(spy, least_work=0)):
        assert inline.train(made().guest, made().hosts, agreed).weight_hash == here
    assert {leaf for leaf in spy.leaves if isinstance(leaf, str)} == {"elgamal"}


def test_out_of_core_and_over_workers(client: Any, expected: str, tmp_path: Path) -> None:
    with storage.use_scratch(tmp_path, least_bytes=1), engine.use(cluster.DaskEngine(client, least_work=0)):
        assert train(made(), settings()).weight_hash == expected


NEW = {"residual": "logistic", "solver": "lbfgs", "stop": "move", "max_iter": 4}


@pytest.mark.parametrize("columns", [(3, 24), (3, 12, 12)])
def test_the_logistic_residual_has_the_same_bits_everywhere(columns: tuple[int, ...], client: Any, tmp_path: Path) -> None:
    here = train(parties(400, columns), settings(**NEW), verify=True).weight_hash
    with storage.use_scratch(tmp_path, least_bytes=1), engine.use(cluster.DaskEngine(client, least_work=0)):
        assert train(parties(400, columns), settings(**NEW)).weight_hash == here


def dying(flag: Path, task: Callable[..., Any]) -> Callable[..., Any]:
    """The task, but the first worker that gets it dies of it."""

    def once(*arguments: Any) -> Any:
        try:
            os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return task(*arguments)
        return os.kill(os.getpid(), signal.SIGKILL)

    once.__module__ = __name__
    return once


SELDOM = [pytest.param(name, marks=pytest.mark.slow) for name in ("multiply", "linear_predictor", "gram")]


@pytest.mark.parametrize("name", ["class_sums", "encrypt", *SELDOM])
def test_a_run_outlives_a_worker(name: str, client: Any, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flag = tmp_path / "died"
    monkeypatch.setattr(tasks, name, dying(flag, getattr(tasks, name)))
    with engine.use(cluster.DaskEngine(client, least_work=0)):
        assert train(made(), settings()).weight_hash == expected
    assert flag.exists()


def test_a_worker_that_dies_between_two_products_loses_nothing(client: Any, expected: str) -> None:
    shared = cluster.DaskEngine(client, least_work=0)
    matrix, key = made().hosts[0].matrix, private_key()
    g = np.arange(400) - 200
    with engine.use(shared):
        for _ in range(2):
            columns, total = matrix.product(key.public.encrypt(g))
            assert key.decrypt(columns).tolist() == (matrix.codes.astype(int) @ g).tolist()
            assert key.decrypt(total).tolist() == [g.sum()]
            pids = client.run(os.getpid)
            os.kill(pids[min(pids)], signal.SIGKILL)


def failing(*_: Any) -> None:
    raise MemoryError("no room")


def test_workers_that_always_fail_end_the_run_with_their_reason(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "class_sums", failing)
    monkeypatch.setattr(cluster, "PAUSE", 0.0)
    with engine.use(cluster.DaskEngine(client, least_work=0)), pytest.raises(ClusterError, match="MemoryError: no room"):
        made().hosts[0].matrix.product(private_key().public.encrypt(np.arange(400)))


def test_without_workers_a_pass_ends() -> None:
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as empty, distributed.Client(empty, set_as_default=False) as lonely:
        shared = cluster.DaskEngine(lonely, least_work=0, patience=0.2)
        with engine.use(shared), pytest.raises(ClusterError, match=r"no worker within 0\.2 seconds"):
            private_key().public.encrypt([1, 2])


def test_small_work_stays_here() -> None:
    shared = cluster.DaskEngine(None)  # any use of the client would raise
    with engine.use(shared):
        assert train(parties(40, (2, 3)), settings(max_iter=1)).weight_hash


def test_shards_go_with_their_matrix(client: Any) -> None:
    shared = cluster.DaskEngine(client, least_work=0)
    with engine.use(shared):
        matrix = made().hosts[0].matrix
        matrix.product(private_key().public.encrypt(np.arange(400)))
        logistic.linear_predictor(matrix, np.ones(24))
    assert len(shared._grids) == len(shared._codes) == 1
    del matrix
    assert len(shared._grids) == len(shared._codes) == 0


def test_plaintext_passes_have_the_same_bits(client: Any) -> None:
    rng = np.random.default_rng(1)
    matrix = CodedMatrix(rng.integers(0, 5, (7, 101), dtype=np.uint8))
    weights, g, rows = rng.normal(size=7), rng.integers(-(1 << 40), 1 << 40, 101), rng.integers(1, 9, 101)

    def passes() -> list[bytes]:
        found = [logistic.linear_predictor(matrix, weights, 0.3), logistic.cross_product(matrix, g), logistic.gram(matrix)]
        return [one.tobytes() for one in (*found, logistic.gram(matrix, rows))]

    here = passes()
    with engine.use(cluster.DaskEngine(client, least_work=0)):
        assert passes() == here


@pytest.mark.parametrize(("n_rows", "n_features", "slots"), [(1, 1, 4), (3, 9, 4), (1000, 40, 3), (5000, 2, 8)])
def test_the_grid_covers_every_entry_once(n_rows: int, n_features: int, slots: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "ROWS_PER_PASS", 900)
    codes = np.random.default_rng(0).integers(0, 5, (n_features, n_rows), dtype=np.uint8)
    plan = CodedMatrix(codes).plan
    found = grid.choose(plan, slots)
    assert max(np.diff(found.rows)) <= 900
    cut = [found.cut(plan, cell) for cell in found.cells]
    assert sum(len(patterns) for shard in cut for _, patterns, _, _ in shard) == sum(len(block.patterns) for block in plan.blocks)
    assert all(shard and all(rows is not None or len(patterns) for _, patterns, rows, _ in shard) for shard in cut)


def test_long_tables_are_cut_by_rows_and_wide_ones_by_columns() -> None:
    long = CodedMatrix(np.random.default_rng(0).integers(0, 5, (4, 40_000), dtype=np.uint8))
    wide = CodedMatrix(np.random.default_rng(0).integers(0, 5, (400, 500), dtype=np.uint8))
    assert len(grid.choose(long.plan, 4).rows) > len(grid.choose(long.plan, 4).blocks)
    assert len(grid.choose(wide.plan, 4).rows) < len(grid.choose(wide.plan, 4).blocks)


# --- in a job ----------------------------------------------------------------------------------------------------


def test_a_job_file_with_resources_gives_the_same_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tables(tmp_path)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(cluster.DaskEngine.__init__, "__kwdefaults__", {"least_work": 0.0, "patience": 60.0})
    plain = job_from_mapping(sections(tmp_path), tmp_path)
    shared = job_from_mapping(sections(tmp_path, resources={"workers": 1, "scratch": "scratch"}), tmp_path)
    assert shared.resources == Resources(workers=1, scratch=tmp_path / "scratch")
    hashes = [jobs.train(job, StageClock()).result.weight_hash for job in (plain, shared)]
    assert hashes[0] == hashes[1]
    assert engine.current() is None


@pytest.fixture
def pem(tmp_path: Path) -> dict[str, str]:
    for name in ("ca", "certificate", "key"):
        (tmp_path / f"{name}.pem").write_text("-")
    return {name: f"{name}.pem" for name in ("ca", "certificate", "key")}


REFUSED = [
    ({"workers": -1}, "resources.workers"), ({"workers": True}, "resources.workers"), ({"worker": 2}, "worker"),
    ({"scheduler": "10.0.0.5:8786"}, "resources.scheduler"), ({"scheduler": "tls://nowhere"}, "resources.scheduler"),
    ({"scheduler": "tcp://127.0.0.1:8786"}, "resources.scheduler"), ({"scheduler": "tls://10.0.0.5:8786"}, "resources.ca"),
    ({"scheduler": "tcp://10.0.0.5:8786", "plaintext": True}, "resources.plaintext"), ({"plaintext": True}, "resources.plaintext"),
    ({"scheduler": "tls://10.0.0.5:8786", "workers": 2}, "resources.workers"), ({"key": "key.pem"}, "resources.key"),
    ({"plaintext": 1, "scheduler": "tcp://127.0.0.1:8786"}, "resources.plaintext"), ({"scratch": 3}, "resources.scratch"),
]  # fmt: skip


@pytest.mark.parametrize(("section", "argument"), REFUSED)
def test_resources_that_do_not_fit_are_refused(section: dict[str, Any], argument: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_resources(section, tmp_path)
    assert caught.value.argument == argument


def test_a_scheduler_with_certificates(pem: dict[str, str], tmp_path: Path) -> None:
    found = read_resources({"scheduler": "tls://10.0.0.5:8786", **pem}, tmp_path)
    assert found.ca == tmp_path / "ca.pem"
    assert with_choice(found, "tls://10.0.0.6:8786", None).key == tmp_path / "key.pem"
    assert with_choice(found, "3", tmp_path) == Resources(workers=3, scratch=tmp_path)
    assert with_choice(Resources(), "tcp://localhost:1", None) == Resources(scheduler="tcp://localhost:1", plaintext=True)


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vflfast.scale.resources.START_SECONDS", 0.3)
    with pytest.raises(ClusterError, match="cannot be reached"), Resources(scheduler="tcp://127.0.0.1:9", plaintext=True).in_use():
        pass
