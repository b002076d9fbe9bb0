"""Made-up data: files that read back as declared, overlap, repeatability, a signal on both sides."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from support.bins import fit

from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import InputError
from vflfast.matching.ids import match, protect
from vflfast.samples import synthetic
from vflfast.samples.synthetic import DemoFiles, write_demo
from vflfast.tables.table import Table, read_table

KEY = b"k" * 16


def read(demo: DemoFiles) -> tuple[Table, list[Table]]:
    hosts = [read_table(path, **arguments) for path, arguments in zip(demo.hosts, demo.host_arguments, strict=True)]
    return read_table(demo.guest, **demo.guest_arguments), hosts


def digests(demo: DemoFiles) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in (demo.guest, *demo.hosts)]


def test_files_read_back_as_declared(tmp_path: Path) -> None:
    demo = write_demo(tmp_path / "made" / "here", n_rows=500, guest_columns=9, host_columns=25)
    guest, (host,) = read(demo)
    assert guest.features.shape == (500, 9)
    assert host.features.shape == (500, 25)
    assert guest.labels is not None
    assert (guest.labels == 1).sum() == 75  # 15 %
    assert host.labels is None
    for table in (guest, host):
        assert all(len(text) == 11 and text.startswith("12") and text.isdigit() for text in table.ids)
        assert set(table.kinds.values()) == {"numeric", "categorical", "date"}
        numbers = table.features.select_dtypes("number")
        assert (numbers < 0).any().any()
        assert (numbers == 0).any().any()
        assert numbers.isna().any().any()
        assert table.features[next(name for name in table.kinds if name.endswith("category_0001"))].isna().any()


def test_every_rule_occurs(tmp_path: Path) -> None:
    _, (host,) = read(write_demo(tmp_path, n_rows=400, guest_columns=1, host_columns=20))
    described = fit(host).describe()
    assert set(described["rule"]) == {"five", "zero", "sign", "missing", "categories"}
    assert described["n_classes"].max() == 52 - 1  # 50 levels, and one class for the rest of 80


def test_five_shape_is_five_classes_without_gaps(tmp_path: Path) -> None:
    guest, (host,) = read(write_demo(tmp_path, n_rows=400, guest_columns=7, host_columns=12, shape="five"))
    for table in (guest, host):
        assert not table.features.isna().any().any()
        rules = fit(table).rules
        assert {(rule.rule, rule.n_classes) for rule in rules} == {("five", 6)}


@pytest.mark.parametrize("n_hosts", [1, 3])
def test_overlap_and_orders(tmp_path: Path, n_hosts: int) -> None:
    demo = write_demo(tmp_path, n_rows=1000, guest_columns=3, host_columns=4, n_hosts=n_hosts)
    guest, hosts = read(demo)
    assert len({path.name for path in demo.hosts}) == n_hosts
    for host in hosts:
        common = set(guest.ids) & set(host.ids)
        assert len(common) == 970
        assert [text for text in guest.ids if text in common] != [text for text in host.ids if text in common]
    found = match(*[protect(table.ids, key=KEY) for table in (guest, *hosts)])
    aligned = [table.take(rows).ids.tolist() for table, rows in zip((guest, *hosts), found.positions, strict=True)]
    assert all(one == aligned[0] for one in aligned)
    assert found.n_matched == 970 if n_hosts == 1 else 900 < found.n_matched < 970


def test_same_seed_same_files_other_seed_other_files(tmp_path: Path) -> None:
    size: dict[str, Any] = {"n_rows": 60, "guest_columns": 10, "host_columns": 10}
    one, two = write_demo(tmp_path / "1", seed=5, **size), write_demo(tmp_path / "2", seed=5, **size)
    other = write_demo(tmp_path / "3", seed=6, **size)
    assert digests(one) == digests(two)
    assert all(a != b for a, b in zip(digests(one), digests(other), strict=True))


def test_writing_again_replaces_the_files(tmp_path: Path) -> None:
    size: dict[str, Any] = {"n_rows": 30, "guest_columns": 2, "host_columns": 2}
    before = digests(write_demo(tmp_path, **size))
    assert digests(write_demo(tmp_path, **size)) == before


def test_many_blocks_give_whole_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "BLOCK_CELLS", 700)  # 70 rows of 10 columns
    guest, (host,) = read(write_demo(tmp_path, n_rows=200, guest_columns=10, host_columns=10))
    assert guest.n_rows == host.n_rows == 200
    assert guest.features["g_amount_0000"].nunique() > 50
    assert len(set(guest.features["g_date_0003"].dropna())) > 100


def test_hosts_are_csv_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size: dict[str, Any] = {"n_rows": 50, "guest_columns": 10, "host_columns": 10}
    _, (columnar,) = read(write_demo(tmp_path / "p", **size))
    monkeypatch.setattr(synthetic.importlib.util, "find_spec", lambda name: None)
    demo = write_demo(tmp_path / "c", **size)
    assert demo.hosts[0].name == "host.csv"
    _, (plain,) = read(demo)
    assert plain.ids.tolist() == columnar.ids.tolist()
    pd.testing.assert_frame_equal(plain.features, columnar.features)


def test_settings_are_plain_values_that_read_the_files(tmp_path: Path) -> None:
    demo = write_demo(tmp_path, n_rows=40, guest_columns=4, host_columns=4, n_hosts=2)
    guest = dict(demo.settings["guest"])
    assert read_table(tmp_path / guest.pop("path"), **guest).n_rows == 40
    assert [section["path"].split(".")[0] for section in demo.settings["hosts"]] == ["host1", "host2"]
    lines = [f"{name} = {value!r}" for name, value in demo.settings["guest"].items() if isinstance(value, str)]
    assert tomllib.loads("\n".join(lines))["label_column"] == "y"


# --- the planted signal ------------------------------------------------------------------------------------------


def standardised(coded: CodedMatrix, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    columns = [coded.column_values[j][coded.codes[f]] for j, f in enumerate(coded.column_features)]
    dense = np.stack(columns, axis=1)[rows].astype(float)
    spread = dense.std(axis=0)
    return (dense - dense.mean(axis=0)) / np.where(spread > 0, spread, 1)


def test_auc_of_a_known_ranking() -> None:
    assert auc(np.array([1.0, 2.0, 3.0, 4.0]), np.array([-1, 1, -1, 1])) == 0.75


def auc(score: npt.NDArray[np.float64], labels: npt.NDArray[Any]) -> float:
    """Share of (positive, negative) pairs in the right order; scores without ties."""
    rank = score.argsort().argsort()
    positive = labels > 0
    n_positive = int(positive.sum())
    return float((rank[positive].sum() - n_positive * (n_positive - 1) / 2) / (n_positive * (~positive).sum()))


def held_out_auc(x: npt.NDArray[np.float64], labels: npt.NDArray[Any]) -> float:
    n_train = len(labels) * 7 // 10
    gram = x[:n_train].T @ x[:n_train] / n_train + 0.02 * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x[:n_train].T @ (labels[:n_train] - labels[:n_train].mean()) / n_train)
    return auc(x[n_train:] @ weights, labels[n_train:])


@pytest.mark.parametrize("shape", ["mixed", "five"])
def test_both_sides_together_rank_better_than_each_alone(tmp_path: Path, shape: str) -> None:
    guest, (host,) = read(write_demo(tmp_path, n_rows=6000, guest_columns=20, host_columns=40, shape=shape))
    found = match(protect(guest.ids, key=KEY), protect(host.ids, key=KEY))
    assert guest.labels is not None
    labels = guest.labels[found.positions[0]].astype(float)
    ours = standardised(fit(guest).transform(guest), found.positions[0])
    theirs = standardised(fit(host).transform(host), found.positions[1])
    alone = [held_out_auc(ours, labels), held_out_auc(theirs, labels)]
    together = held_out_auc(np.hstack([ours, theirs]), labels)
    assert min(alone) > 0.62
    assert together > max(alone) + 0.025


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        ({"n_rows": 19}, "n_rows"),
        ({"n_rows": 2**31}, "n_rows"),
        ({"n_rows": 100.0}, "n_rows"),
        ({"n_rows": None}, "n_rows"),
        ({"guest_columns": 0}, "guest_columns"),
        ({"guest_columns": True}, "guest_columns"),
        ({"host_columns": -1}, "host_columns"),
        ({"host_columns": "5"}, "host_columns"),
        ({"n_hosts": 0}, "n_hosts"),
        ({"n_hosts": 9}, "n_hosts"),
        ({"seed": -1}, "seed"),
        ({"seed": None}, "seed"),
        ({"shape": "six"}, "shape"),
        ({"shape": None}, "shape"),
        ({"folder": None}, "folder"),
    ],
)
def test_bad_size_is_refused_by_name(tmp_path: Path, change: dict[str, Any], culprit: str) -> None:
    call: Callable[..., DemoFiles] = write_demo
    with pytest.raises(InputError) as caught:
        call(**{"folder": tmp_path / "x", "n_rows": 50, "guest_columns": 2, "host_columns": 2, **change})
    assert caught.value.argument == culprit
    assert not (tmp_path / "x").exists()
