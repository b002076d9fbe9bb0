"""Job files: every unusable name and value is refused by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.jobs import SETTINGS, sections, write_job

from vflfast.errors import DataError, InputError, InvalidKeyError, VflError
from vflfast.jobs import job as jobs
from vflfast.jobs import jobfile
from vflfast.jobs.progress import StageClock
from vflfast.protocol.settings import Settings

# --- job files ---------------------------------------------------------------------------------------------------


def test_a_job_file_says_the_same_as_its_mapping(folder: Path) -> None:
    data = sections(folder)
    read = jobfile.read_job(write_job(folder, data))
    assert read == jobfile.job_from_mapping(data, folder)
    assert read.guest.file == folder / "guest.csv"
    assert read.guest.organisation == "bank"
    assert read.guest.reading == {"id_column": "customer", "label_column": "bought", "observation_date": "2026-01-01"}
    assert read.id_key == bytes(range(32))
    assert read.key_file == folder / "arbiter.key"
    assert read.settings == Settings(simulation=True, test_share=0.3, **SETTINGS)


def test_changes_win_over_the_settings_section(folder: Path) -> None:
    read = jobfile.read_job(write_job(folder, sections(folder)), {"max_iter": 7, "tol": 0.25})
    assert (read.settings.max_iter, read.settings.tol, read.settings.key_bits) == (7, 0.25, 512)


def test_what_a_short_job_file_leaves_open(tmp_path: Path) -> None:
    path = write_job(tmp_path, {"guest": {"file": "g.csv"}, "hosts": [{"file": "a.csv"}, {"file": "b.csv"}]})
    first = jobfile.read_job(path)
    assert [host.name for host in first.hosts] == ["host1", "host2"]
    assert first.settings == Settings(simulation=True)
    assert (first.test_share, first.key_file, first.id_method, first.id_key) == (0.0, None, "ecdh", None)


def test_hmac_without_a_key_file_gets_a_fresh_key(folder: Path) -> None:
    path = write_job(folder, sections(folder, ids={"method": "hmac"}), "hmac.toml")
    first, second = jobfile.read_job(path), jobfile.read_job(path)
    assert first.id_key is second.id_key is None  # a fresh one at every match


def test_a_toml_date_is_an_observation_date(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text('[guest]\nfile = "g.csv"\nobservation_date = 2026-01-01\n[[hosts]]\nfile = "h.csv"\nobservation_date = 2026-01-01\n')
    assert jobfile.read_job(path).guest.reading == {"observation_date": "2026-01-01"}


Change = Callable[[dict[str, Any]], None]


def changed(section: str, **values: Any) -> Change:
    """Set names of a section; ... takes a name away."""

    def change(data: dict[str, Any]) -> None:
        target = data["hosts"][0] if section == "host" else data[section]
        for name, value in values.items():
            if value is ...:
                del target[name]
            else:
                target[name] = value

    return change


def replaced(**values: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        for name, value in values.items():
            if value is ...:
                del data[name]
            else:
                data[name] = value

    return change


BAD_JOBS: list[tuple[str, Change]] = [
    # sections
    ("guests", replaced(guests={})),
    ("guest", replaced(guest=...)),
    ("hosts", replaced(hosts=...)),
    ("hosts", replaced(hosts=[])),
    ("hosts", replaced(hosts={"file": "host1.csv"})),
    ("guest", replaced(guest=[{"file": "guest.csv"}])),
    ("host1", replaced(hosts=["host1.csv"])),
    ("settings", replaced(settings=5)),
    ("ids", replaced(ids="hmac")),
    ("run", replaced(run=[1])),
    ("arbiter", replaced(arbiter="notary")),
    # names
    ("fil", changed("guest", fil="guest.csv")),
    ("weights", changed("host", weights=[1])),
    ("salt", changed("ids", salt="x")),
    ("seed", changed("run", seed=1)),
    ("key", changed("arbiter", key="x")),
    ("max_itr", changed("settings", max_itr=5)),
    # values
    ("guest.file", changed("guest", file=...)),
    ("guest.file", changed("guest", file=5)),
    ("host1.file", changed("host", file=["host1.csv"])),
    ("host1.label_column", changed("host", label_column="host1_flag")),
    ("guest.organisation", changed("guest", organisation=5)),
    ("host1.organisation", changed("host", organisation="")),
    ("arbiter.organisation", changed("arbiter", organisation=["notary"])),
    ("arbiter.key_file", changed("arbiter", key_file=5)),
    ("ids.method", changed("ids", method="plain")),
    ("ids.method", changed("ids", method=["hmac"])),
    ("ids.max_ids", changed("ids", max_ids=0)),
    ("ids.max_ids", changed("ids", max_ids=True)),
    ("ids.max_ids", changed("ids", max_ids="many")),
    ("ids.key_file", replaced(ids={"key_file": "ids.key"})),
    ("ids.key_file", changed("ids", key_file=5)),
    ("ids.key_file", changed("ids", key_file="nowhere.key")),
    ("ids.key_file", changed("ids", key_file="a\0b")),
    ("ids.key_file", changed("ids", key_file="short.key")),
    ("ids.key_file", changed("ids", method="hash")),
    ("test_share", changed("run", test_share=1.0)),
    ("test_share", changed("run", test_share=-0.1)),
    ("test_share", changed("run", test_share="0.3")),
    ("test_share", changed("run", test_share=True)),
    ("test_share", changed("run", test_share=float("nan"))),
    ("test_share", changed("settings", simulation=False)),
    # settings
    ("profile", changed("settings", profile="open")),
    ("key_bits", changed("settings", key_bits=1000, test_key=False)),
    ("key_bits", changed("settings", key_bits="2048")),
    ("test_key", changed("settings", test_key=1)),
    ("max_iter", changed("settings", max_iter=0)),
    ("max_iter", changed("settings", max_iter=2.5)),
    ("n_iter_no_change", changed("settings", n_iter_no_change=0)),
    ("tol", changed("settings", tol=-1.0)),
    ("tol", changed("settings", tol=float("inf"))),
    ("alpha", changed("settings", alpha=-0.5)),
    ("alpha", changed("settings", alpha=10**400)),
    ("solver", changed("settings", solver="newton")),
    ("step", changed("settings", step=0.1)),
    ("step", changed("settings", solver="gd", step=0.0)),
    ("momentum", changed("settings", solver="gd", momentum=1.0)),
    ("frac_bits", changed("settings", frac_bits=64)),
    ("predictor_bound", changed("settings", predictor_bound=0.0)),
    ("n_batches", changed("settings", n_batches=0)),
    ("norm", changed("settings", norm="none")),
    ("epsilon", changed("settings", scoring="combined", norm="rank", epsilon=0.1)),
    ("threshold", changed("settings", threshold="best")),
    ("threshold_value", changed("settings", threshold="precision")),
    ("powers", changed("settings", powers=[1.0])),
    ("powers", changed("settings", powers=[1.0, -1.0])),
    ("powers", changed("settings", powers=[1.0, 1.0, 1.0])),
    ("output", changed("settings", output="all")),
]


@pytest.mark.parametrize(("argument", "change"), BAD_JOBS, ids=[f"{k}-{argument}" for k, (argument, _) in enumerate(BAD_JOBS)])
def test_bad_jobs_are_refused_before_any_work(folder: Path, argument: str, change: Change) -> None:
    data = sections(folder)
    (folder / "short.key").write_bytes(b"too short")
    change(data)
    with pytest.raises(InputError) as caught:
        jobfile.job_from_mapping(data, folder)
    assert caught.value.argument == argument


BAD_RUNS: list[tuple[str, type[VflError], Change]] = [
    ("label_column", InputError, changed("guest", label_column=...)),
    ("label_column", InputError, changed("guest", label_column=5)),
    ("sold", DataError, changed("guest", label_column="sold")),
    ("guest_trade", DataError, changed("guest", label_column="guest_trade")),
    ("id_column", InputError, changed("guest", id_column=5)),
    ("phone", DataError, changed("host", id_column="phone")),
    ("id_format", InputError, changed("guest", id_format="email")),
    ("customer", DataError, changed("guest", id_format="phone")),
    ("kinds", InputError, changed("host", kinds={"host1_amount": "number"})),
    ("kinds", InputError, changed("host", kinds={"host1_amount": ["numeric"]})),
    ("kinds", InputError, changed("host", kinds={"age": "numeric"})),
    ("kinds", InputError, changed("host", kinds="numeric")),
    ("host1_trade", DataError, changed("host", kinds={"host1_trade": "numeric"})),
    ("date_format", InputError, changed("guest", date_format="day")),
    ("observation_date", InputError, changed("guest", observation_date="yesterday")),
    ("observation_date", InputError, changed("guest", observation_date=...)),
    ("numeric", InputError, changed("guest", numeric="deciles")),
    ("max_levels", InputError, changed("guest", max_levels=0)),
    ("max_levels", InputError, changed("guest", max_levels=2.5)),
    ("overrides", InputError, changed("guest", overrides={"guest_trade": "five"})),
    ("overrides", InputError, changed("guest", overrides={"guest_amount": ["five"]})),
    ("overrides", InputError, changed("guest", overrides=["guest_amount"])),
    ("path", InvalidKeyError, changed("arbiter", key_file="nowhere.key")),
    ("key_bits", InputError, changed("settings", key_bits=1024)),
    ("q", InvalidKeyError, changed("settings", key_bits=2048, test_key=False)),  # the file holds a test key
    ("tokens", DataError, changed("host", file="other.csv")),
]


@pytest.mark.parametrize(("argument", "kind", "change"), BAD_RUNS, ids=[f"{k}-{case[0]}" for k, case in enumerate(BAD_RUNS)])
def test_bad_tables_and_keys_are_refused(folder: Path, argument: str, kind: type[VflError], change: Change) -> None:
    data = sections(folder)
    pd.DataFrame({"customer": ["nobody"], "host1_amount": [1.0]}).to_csv(folder / "other.csv", index=False)
    change(data)
    with pytest.raises(kind) as caught:
        jobs.train(jobfile.job_from_mapping(data, folder), StageClock())
    assert caught.value.argument == argument


@pytest.mark.parametrize("name", ["guest.csv", "nothing.csv", "guest.txt", "a\0.csv"])
def test_a_table_that_is_none_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    data = sections(folder)
    data["guest"]["file"] = str(tmp_path / name)
    (tmp_path / "guest.csv").write_bytes(b"\xff\xfe not a table")
    (tmp_path / "guest.txt").write_text("customer\n1\n")
    with pytest.raises(DataError) as caught:
        jobs.train(jobfile.job_from_mapping(data, folder), StageClock())
    assert caught.value.argument == str(tmp_path / name)


NO_TOML = [
    b"[guest\n", b"guest = \xff\n", b"[guest]\nfile = 1\nfile = 2\n", b"x = " + b"[" * 100_000, b"x = " + b"9" * 9_999,
]  # fmt: skip


@pytest.mark.parametrize("content", NO_TOML, ids=range(len(NO_TOML)))
def test_what_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "job.toml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        jobfile.read_job(path)
    assert caught.value.argument == str(path)
