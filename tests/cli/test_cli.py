"""The command line: what goes to stdout and what to stderr, exit codes, train then score on real files."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.jobs import N_ROWS, SMALL_KEY, in_test_part, refused, sections, succeeded, vflfast, write_job, write_tables

import vflfast as package
from vflfast.cli import common
from vflfast.crypto import backend
from vflfast.crypto.paillier import keyfile
from vflfast.errors import BackendError, VflError
from vflfast.jobs.local import load_model

ROOT = str(Path(package.__file__).parents[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables, a job file, models trained from it, and new customers with a job file of their own."""
    target = tmp_path_factory.mktemp("case")
    write_tables(target)
    write_job(target, sections(target))
    succeeded("train", target / "job.toml", "--models", target / "models")
    write_tables(target / "new", seed=1, labels=False)
    data = sections(target / "new", run={})
    del data["guest"]["label_column"]
    write_job(target / "new", data)
    return target


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# --- train -------------------------------------------------------------------------------------------------------


def test_train_prints_the_figures_and_saves_the_models(folder: Path, tmp_path: Path) -> None:
    result = succeeded("train", folder / "job.toml", "--models", tmp_path / "deep" / "models", "--verify")
    assert f"matched {N_ROWS} customers of guest 250, host1 250 (hmac)" in result.stdout
    assert "2 rounds, stopped at max_iter" in result.stdout
    assert "verified: every weight of 2 rounds equals the plaintext twin's, bit for bit" in result.stdout
    assert "customers kept out of training" in result.stdout
    saved = sorted(path.name for path in (tmp_path / "deep" / "models").iterdir())
    assert saved == ["arbiter.json", "guest.json", "host1.json"]
    assert all(str(tmp_path / "deep" / "models" / name) in result.stdout for name in saved)


def test_train_prints_one_json_object(folder: Path, tmp_path: Path) -> None:
    result = succeeded("train", folder / "job.toml", "--models", tmp_path, "--json", "--verify")
    assert result.stdout.count("\n") == 1
    shown = json.loads(result.stdout)
    assert shown["models"] == [str(tmp_path / f"{role}.json") for role in ("guest", "host1", "arbiter")]
    summary = shown["summary"]
    assert (summary["rounds"], summary["verified_rounds"], summary["match"]["matched"]) == (2, 2, N_ROWS)
    assert sum(summary["seconds_by_stage"].values()) == pytest.approx(summary["seconds"])


def test_settings_of_the_command_line_win_over_the_files(folder: Path, tmp_path: Path) -> None:
    settings = ["--profile", "patent", "--max-iter", "1", "--set", "solver=gd", "--set", "step=0.25", "--set", "threshold=0.6"]
    result = succeeded("train", folder / "job.toml", "--models", tmp_path, "--json", *settings)
    assert json.loads(result.stdout)["summary"]["rounds"] == 1  # 2 in the file
    agreed = json.loads((tmp_path / "arbiter.json").read_text())["settings"]
    expected = {"profile": "patent", "max_iter": 1, "solver": "gd", "step": 0.25, "threshold": 0.6}
    assert {name: agreed[name] for name in expected} == expected
    assert agreed["key_bits"] == 512  # the file's, where the command line says nothing


def test_the_values_of_set_are_toml_or_text(folder: Path, tmp_path: Path) -> None:
    changes = ["--set", "scoring=combined", "--set", "powers=[1.5, 0.5]", "--set", "init=zeros", "--set", 'norm="rank"']
    succeeded("train", folder / "job.toml", "--models", tmp_path, *changes)
    agreed = json.loads((tmp_path / "arbiter.json").read_text())
    assert (agreed["powers"], agreed["settings"]["init"], agreed["settings"]["norm"]) == ([1.5, 0.5], "zeros", "rank")


def test_models_survive_an_evaluation_that_fails(folder: Path, tmp_path: Path) -> None:
    """One customer kept out has one label: no AUC. The models of the training are there all the same."""
    common = [row["customer"] for row in rows((folder / "guest.csv").read_text())]
    common = sorted(set(common) & {row["customer"] for row in rows((folder / "host1.csv").read_text())})
    share = next(step / 1e5 for step in range(1, 1000) if in_test_part(common, step / 1e5).sum() == 1)
    path = write_job(folder, sections(folder, run={"test_share": share}), "few.toml")
    result = vflfast("train", path, "--models", tmp_path)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("vflfast: y_true: ")
    assert (tmp_path / "guest.json").exists()


# --- score -------------------------------------------------------------------------------------------------------


def test_score_writes_labels_and_nothing_else_on_stdout(folder: Path) -> None:
    result = succeeded("score", folder / "new" / "job.toml", "--models", folder / "models")
    scored = rows(result.stdout)
    assert list(scored[0]) == ["id", "label"]
    assert len(scored) == N_ROWS
    assert {row["label"] for row in scored} == {"-1", "1"}
    assert all(row["id"].startswith("customer-1-") for row in scored)
    flagged = sum(row["label"] == "1" for row in scored)
    assert f"{N_ROWS} customers matched and scored, {flagged / N_ROWS:.1%} flagged\n" in result.stderr


def test_score_repeats_itself(folder: Path, tmp_path: Path) -> None:
    """Two sessions with fresh masks and keys: the same output, every digit."""
    outputs = []
    for name in ("first.csv", "second.csv"):
        result = succeeded(
            "score", folder / "new" / "job.toml", "--models", folder / "models", "--out", tmp_path / name, "--output", "probability"
        )
        assert result.stdout == ""
        outputs.append((tmp_path / name).read_text())
    assert outputs[0] == outputs[1]
    cut, scored = threshold(folder), rows(outputs[0])
    assert list(scored[0]) == ["id", "label", "joint_probability"]
    assert all((float(row["joint_probability"]) > cut) == (row["label"] == "1") for row in scored)
    assert all(0 < float(row["joint_probability"]) < 1 for row in scored)


def threshold(folder: Path) -> float:
    return load_model(folder / "models").threshold


def test_score_prints_one_json_object(folder: Path) -> None:
    plain = rows(succeeded("score", folder / "new" / "job.toml", "--models", folder / "models").stdout)
    result = succeeded("score", folder / "new" / "job.toml", "--models", folder / "models", "--json")
    assert result.stdout.count("\n") == 1
    shown = json.loads(result.stdout)
    assert shown["columns"]["id"] == [row["id"] for row in plain]
    assert shown["columns"]["label"] == [int(row["label"]) for row in plain]
    assert shown["match"]["matched"] == N_ROWS
    assert shown["threshold"] is None  # the arbiter keeps it
    opened = succeeded("score", folder / "new" / "job.toml", "--models", folder / "models", "--json", "--output", "probability")
    assert json.loads(opened.stdout)["threshold"] == threshold(folder)
    assert shown["flagged_share"] == sum(label > 0 for label in shown["columns"]["label"]) / N_ROWS


def test_train_and_score_as_processes(tmp_path: Path) -> None:
    """As a user runs them: python -m vflfast in the folder of the job, with default folders."""
    write_tables(tmp_path, 2)
    write_job(tmp_path, sections(tmp_path, 2))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "vflfast", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, "PYTHONPATH": ROOT}
        )

    trained = run("train", "job.toml", "--json", "--verify")
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["summary"]["verified_rounds"] == 2
    scored = run("score", "job.toml")
    assert scored.returncode == 0, scored.stderr
    assert len(rows(scored.stdout)) == N_ROWS
    (tmp_path / "models" / "host2.json").unlink()
    failed = run("score", "job.toml")
    assert failed.returncode == 2
    assert failed.stdout == ""
    assert failed.stderr.startswith("vflfast: models/host2.json: cannot be read")
    assert failed.stderr.count("\n") == 1


# --- what is refused ---------------------------------------------------------------------------------------------


Change = Callable[[dict[str, Any]], None]


def edited(section: str, **values: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        (data["hosts"][0] if section == "host" else data[section]).update(values)

    return change


BAD_FILES: list[tuple[str, Change]] = [
    ("fil", edited("guest", fil="x")),
    ("colour", edited("settings", colour="red")),
    ("max_iter", edited("settings", max_iter=-1)),
    ("tol", edited("settings", tol="small")),
    ("test_share", edited("run", test_share=2)),
    ("ids.method", edited("ids", method="md5")),
    ("guest.organisation", edited("guest", organisation=1)),
    ("sold", edited("guest", label_column="sold")),
    ("phone", edited("host", id_column="phone")),
    ("observation_date", edited("guest", observation_date="31.12.2025")),
    ("kinds", edited("host", kinds={"host1_amount": "text"})),
    ("path", edited("arbiter", key_file="none.key")),
    ("nothing.csv", edited("guest", file="nothing.csv")),
    ("job.toml", edited("guest", file="job.toml")),
]


@pytest.mark.parametrize(("culprit", "change"), BAD_FILES, ids=[case[0] for case in BAD_FILES])
def test_a_bad_job_is_one_line_and_exit_code_2(folder: Path, culprit: str, change: Change, tmp_path: Path) -> None:
    data = sections(folder)
    change(data)
    path = write_job(folder, data, "bad.toml")
    line = refused("train", path, "--models", tmp_path)
    assert any(place.endswith(culprit) for place in line.split(": ")[1:3])  # the file may come first


BAD_OPTIONS = [
    ("key_bits", ["--key-bits", "1000", "--set", "test_key=false"]),
    ("max_iter", ["--max-iter", "0"]),
    ("--set", ["--set", "max_iter"]),
    ("--set", ["--set", "max_iter=3\nkey_bits=128"]),
    ("speed", ["--set", "speed=9"]),
    ("tol", ["--set", "tol=nan"]),
    ("tol", ["--set", "tol=1e400"]),
    ("alpha", ["--set", "alpha=2026-01-01"]),
    ("powers", ["--set", "powers=[1, 2, 3]"]),
    ("powers", ["--set", "powers=" + "[" * 50_000]),
    ("epsilon", ["--set", "epsilon=-0.5"]),
    ("norm", ["--set", "norm=none"]),
]


@pytest.mark.parametrize(("culprit", "options"), BAD_OPTIONS, ids=[f"{k}-{case[0]}" for k, case in enumerate(BAD_OPTIONS)])
def test_a_bad_option_is_one_line_and_exit_code_2(folder: Path, culprit: str, options: list[str], tmp_path: Path) -> None:
    for command in (["train", folder / "job.toml", "--models", tmp_path], ["demo", "--folder", tmp_path]):
        small = ["--set", "test_key=true"] if command[0] == "demo" else []
        assert refused(*command, *small, *options).startswith(f"vflfast: {culprit}: ")


def test_files_that_are_none(folder: Path, tmp_path: Path) -> None:
    assert refused("train", tmp_path / "none.toml") == f"vflfast: {tmp_path / 'none.toml'}: cannot be read: No such file or directory"
    assert refused("train", tmp_path) == f"vflfast: {tmp_path}: cannot be read: Is a directory"
    (tmp_path / "bad.toml").write_text("[guest\n")
    assert refused("train", tmp_path / "bad.toml").startswith(f"vflfast: {tmp_path / 'bad.toml'}: is no TOML file")
    assert refused("score", tmp_path / "bad.toml").startswith(f"vflfast: {tmp_path / 'bad.toml'}: is no TOML file")
    missing = refused("score", folder / "new" / "job.toml", "--models", tmp_path)
    assert missing == f"vflfast: {tmp_path / 'guest.json'}: cannot be read: No such file or directory"


def test_places_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refused("train", folder / "job.toml", "--models", tmp_path / "file").startswith(f"vflfast: {tmp_path / 'file'}: ")
    out = tmp_path / "no" / "labels.csv"
    line = refused("score", folder / "new" / "job.toml", "--models", folder / "models", "--out", out)
    assert line == f"vflfast: {out}: No such file or directory"
    assert refused("demo", *SMALL_KEY, "--folder", tmp_path / "file").startswith(f"vflfast: {tmp_path / 'file'}: ")


def test_a_damaged_model_is_one_line(folder: Path, tmp_path: Path) -> None:
    for role in ("guest", "host1", "arbiter"):
        data = json.loads((folder / "models" / f"{role}.json").read_text())
        (tmp_path / f"{role}.json").write_text(json.dumps(data))
    data["threshold"] += 0.5
    (tmp_path / "arbiter.json").write_text(json.dumps(data))
    assert refused("score", folder / "new" / "job.toml", "--models", tmp_path).startswith("vflfast: digest: ")


def test_a_run_that_fails_has_exit_code_1(folder: Path, tmp_path: Path) -> None:
    """Two rows a batch: either party could solve for the other's numbers."""
    data = sections(folder)
    data["settings"]["n_batches"] = 100
    line = refused("train", write_job(folder, data, "batches.toml"), "--models", tmp_path, exit_code=1)
    assert line.startswith("vflfast: n_batches: ")
    assert not list(tmp_path.iterdir())


def test_no_error_says_an_id_a_label_or_a_cell(folder: Path, tmp_path: Path) -> None:
    for name, position, cell in (("id", 0, ""), ("amount", 1, "12x"), ("since", 5, "31.12.2025"), ("label", 6, "maybe")):
        lines = (folder / "guest.csv").read_text().splitlines()
        cells = lines[7].split(",")
        cells[position] = cell
        lines[7] = ",".join(cells)
        case = tmp_path / name
        case.mkdir()
        (case / "guest.csv").write_text("\n".join(lines))
        (case / "host1.csv").write_bytes((folder / "host1.csv").read_bytes())
        data = sections(case)
        data["guest"]["kinds"] = {"guest_amount": "numeric", "guest_since": "date"}
        line = refused("train", write_job(case, data), "--models", case / "models")
        assert "row" in line
        for secret in ("customer-", "12x", "31.12.2025", "maybe"):
            assert secret not in line


# --- progress ----------------------------------------------------------------------------------------------------


def test_progress_goes_to_stderr_with_rounds_and_time_left(tmp_path: Path) -> None:
    result = succeeded("demo", *SMALL_KEY, "--max-iter", "3", "--no-verify", "--json", "--folder", tmp_path)
    lines = result.stderr.splitlines()
    assert json.loads(result.stdout)["summary"]["rounds"] == 3
    assert lines[0].startswith("round 1 (stop rule: 2 or more, at most 3)")
    assert "s a round, " in lines[1]
    assert lines[1].endswith(" or more left")


# --- keygen and info ---------------------------------------------------------------------------------------------


def test_keygen_writes_a_file_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "arbiter.key"
    shown = json.loads(succeeded("keygen", "--out", path, "--json").stdout)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    p, q = keyfile.load_private_key(path)
    assert (p * q).bit_length() == shown["key_bits"] == 2048
    assert shown["file"] == str(path)
    before = path.read_bytes()
    assert refused("keygen", "--out", path).startswith("vflfast: path: exists already")
    assert path.read_bytes() == before
    assert f"{p:x}" not in json.dumps(shown)


def test_keygen_refuses_other_sizes_and_places(tmp_path: Path) -> None:
    assert refused("keygen", "--out", tmp_path / "a", "--key-bits", "512").startswith("vflfast: key_bits: ")
    assert refused("keygen", "--out", tmp_path / "no" / "a").startswith("vflfast: path: cannot be written")
    assert not list(tmp_path.iterdir())


def test_info_names_the_backend_and_why() -> None:
    shown = json.loads(succeeded("info", "--json").stdout)
    assert shown["backend"] == backend.current().name
    assert shown["because"] == backend.current().reason
    assert shown["available"] == backend.available()
    assert shown["threads"] == backend.threads()
    assert shown["vflfast"] == package.__version__
    text = succeeded("info").stdout
    for name, value in (("backend", shown["backend"]), ("because", shown["because"]), ("threads", shown["threads"])):
        assert f"{name:<10} {value}\n" in text
    assert f"numpy {shown['libraries']['numpy']}" in text


@pytest.mark.parametrize("name", backend.available())
def test_info_tells_which_backend_was_asked_for(name: str) -> None:
    with backend.use(name):
        shown = json.loads(succeeded("info", "--json").stdout)
    assert shown["backend"] == name
    assert shown["because"].startswith("asked for")


def test_a_backend_that_cannot_be_had_fails_loudly() -> None:
    environment = {**os.environ, "PYTHONPATH": ROOT, "VFLFAST_BACKEND": "abacus"}
    done = subprocess.run([sys.executable, "-m", "vflfast", "info"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("vflfast: VFLFAST_BACKEND: must be one of auto, ifma, portable, gmpy2")
    environment = {**os.environ, "PYTHONPATH": ROOT, "VFLFAST_THREADS": "0"}
    done = subprocess.run([sys.executable, "-m", "vflfast", "info"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("vflfast: VFLFAST_THREADS: ")


# --- help --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [[], ["demo"], ["train"], ["score"], ["keygen"], ["info"]])
def test_help_is_there(command: list[str]) -> None:
    short = succeeded(*command, "-h").stdout
    assert short == succeeded(*command, "--help").stdout
    assert short.startswith("Usage: ")
    assert not any("\b" in line or "noqa" in line for line in short.splitlines())


def test_the_job_file_of_the_help_is_one(tmp_path: Path) -> None:
    text = succeeded("train", "--help").stdout
    start, end = text.index("[guest]"), text.index("Options:")
    path = tmp_path / "job.toml"
    path.write_text("\n".join(line.strip() for line in text[start:end].splitlines()))
    from vflfast.jobs.jobfile import read_job

    job = read_job(path)
    assert (job.guest.file.name, job.hosts[0].file.name, job.test_share) == ("bank.csv", "partner.parquet", 0.3)


def test_version() -> None:
    assert succeeded("--version").stdout == f"vflfast, version {package.__version__}\n"


@pytest.mark.parametrize("arguments", [["train"], ["demo", "--hosts", "9"], ["demo", "--preset", "huge"], ["nothing"], ["keygen"]])
def test_wrong_usage_has_exit_code_2(arguments: list[str]) -> None:
    result = vflfast(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: " in result.stderr


def test_every_error_of_the_library_becomes_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    for error, code in ((VflError("a run"), 1), (BackendError("no core"), 1), (OSError(28, "No space left on device", "models"), 2)):

        @common.reports_errors
        def command(raised: Exception = error) -> None:
            raise raised

        with pytest.raises(SystemExit) as caught:
            command()
        assert caught.value.code == code
    assert capsys.readouterr().err.splitlines()[-1] == "vflfast: models: No space left on device"
