"""The manual says what is so: its Python and shell snippets run, its tables are the code's, its links lead somewhere."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.bank_tables import write_tables
from support.jobs import SMALL_KEY, succeeded
from support.pages import SERVED_ELSEWHERE, options_exist

import vflfast
from vflfast import cli
from vflfast.crypto import backend
from vflfast.jobs import jobfile, model
from vflfast.params import KEY_BITS
from vflfast.protocol import settings as agreed
from vflfast.protocol.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
MANUAL = (ROOT / "docs" / "manual.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)


def rows_of(heading: str) -> list[list[str]]:
    """The rows of the table whose header starts with `heading`, cell by cell."""
    lines = MANUAL.splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    table: list[list[str]] = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return table
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    raise AssertionError(heading)


# --- snippets ----------------------------------------------------------------------------------------------------


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    languages = re.findall(r"^```(\w+)$", MANUAL, re.MULTILINE)
    assert set(languages) <= {"python", "sh", "toml", "text"}
    assert len(languages) == MANUAL.count("```") / 2
    assert (len(blocks("python")), len(blocks("sh")), len(blocks("toml"))) == (2, 3, 2)


def test_the_library_snippet(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(blocks("python")[0], "docs/manual.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    x, matrix = np.array([[0.5, -1.25], [3.0, 2.0]]), np.array([[0.25, 2.0], [-1.5, 0.0], [4.0, 1.0]])
    shown = [*str(x * 0.5 + 1).splitlines(), str(x.mean(axis=0)), *2 * str(matrix @ x).splitlines()]
    assert printed == shown


def test_the_training_snippet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write_tables(tmp_path)
    monkeypatch.chdir(tmp_path)
    source = blocks("python")[1]
    assert source.count("verify=True") == 1
    small = source.replace("verify=True", "verify=True, settings=vflfast.Settings(key_bits=512, test_key=True, max_iter=2)")
    names: dict[str, Any] = {}
    exec(compile(small, "docs/manual.md", "exec"), names)
    shown, verified, auc = capsys.readouterr().out.splitlines()
    assert shown.startswith("TrainedModel(n_iter=2, columns={'guest': 4, 'host1': 4}, weight_hash=")
    assert verified == "2 rounds equal the plaintext twin's bit for bit"
    assert 0.5 < float(auc) < 1
    assert vflfast.load_model("models").weight_hash == names["model"].weight_hash


def commands() -> list[str]:
    """Every command line of the shell blocks."""
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
    return [line.split("#")[0].strip() for line in lines]


def test_the_make_targets_exist() -> None:
    targets = [command.split()[1] for command in commands() if command.startswith("make ")]
    assert set(targets) == {"install"}
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_job_file_and_every_shell_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the manual, in one folder, with a small key and two rounds."""
    monkeypatch.chdir(tmp_path)
    text = blocks("toml")[0]
    assert text.count("key_bits = 2048\nmax_iter = 30") == 1
    small = text.replace("key_bits = 2048\nmax_iter = 30", "key_bits = 512\ntest_key = true\nmax_iter = 2")
    write_tables(tmp_path)
    (tmp_path / "job.toml").write_text(small)
    (tmp_path / "new_customers.toml").write_text(small.replace('label_column = "bought"\n', "").replace('file = "', 'file = "new/'))
    (tmp_path / "new").mkdir()
    write_tables(tmp_path / "new", labels=False)
    ran = []
    for command in commands():
        words = shlex.split(command)
        if words[0] == "make":
            continue
        assert words[0] == "vflfast", command
        ran.append(words[1])
        if words[1] in SERVED_ELSEWHERE:
            options_exist(words)
            continue
        extra = [*SMALL_KEY, "--max-iter", "1"] if words[1] == "demo" else []
        succeeded(*words[1:], *extra)
    assert sorted({*ran, "mart", "select"}) == sorted(cli.main.commands)  # test_mart.py runs the mart; the selection follows
    assert (tmp_path / "labels.csv").read_text().startswith("id,label\n")
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["arbiter.json", "guest.json", "host1.json"]


def test_the_selection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.toml").write_text(blocks("toml")[1])
    pd.DataFrame({"phone": ["13000000001", "13000000002"], "age": [40, 50]}).to_csv("customers.csv", index=False)
    with duckdb.connect("bank.duckdb") as bank:
        bank.execute("CREATE TABLE transactions AS SELECT '13000000002' AS phone, 'loan' AS product, DATE '2026-02-01' AS day")
    shown = succeeded("select", "spec.toml", "--out", "bank.parquet").stdout
    assert shown.startswith("2 customers, 1 labelled 1 (50.0%); 2 features; written to bank.parquet\n")


@pytest.mark.skipif(backend.current().name == "gmpy2", reason="nineteen rounds take a minute without the core")
def test_the_demo_prints_what_is_shown() -> None:
    """The weights do not depend on the key, so a small one shows the same figures."""
    shown = blocks("text")[0]
    printed = succeeded("demo", *SMALL_KEY).stdout
    assert len(shown.splitlines()) == 12
    assert printed.startswith(shown)


def test_the_full_job_file_is_read_as_written(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(blocks("toml")[0])
    read = jobfile.read_job(tmp_path / "job.toml")
    assert read.settings == Settings(simulation=True, test_share=0.3)  # the other settings that it spells out are the defaults
    assert (read.test_share, read.id_method, read.guest.organisation) == (0.3, "ecdh", "bank")


# --- tables ------------------------------------------------------------------------------------------------------


def test_the_settings_table_is_complete_and_its_defaults_are_right() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(Settings)}
    shown = {name.strip("`"): default.strip("`") for name, default, _ in rows_of("setting")}
    assert list(shown) == list(fields)
    assert {name: text.replace('"', "'") for name, text in shown.items()} == {name: repr(value) for name, value in fields.items()}


def test_every_choice_of_a_setting_is_named() -> None:
    meanings = {name.strip("`"): f"{default} {meaning}" for name, default, meaning in rows_of("setting")}
    choices = {
        "profile": agreed.PROFILES, "solver": agreed.SOLVERS, "init": agreed.INITS, "norm": agreed.NORMS,
        "threshold": agreed.THRESHOLDS, "output": agreed.OUTPUTS, "key_bits": KEY_BITS,
    }  # fmt: skip
    for name, allowed in choices.items():
        named = meanings[name] + (" patent" if name == "profile" else "") + (" gd" if name == "solver" else "")
        assert all(str(choice) in named for choice in allowed), name


def test_the_backends_and_switches_are_those_of_the_code() -> None:
    assert [name.strip("`") for name, _, _ in rows_of("backend")] == [name for name in backend.NAMES if name != "auto"]
    switches = {name.strip("`").split("=")[0] for name, _ in rows_of("environment variable")}
    sources = "".join((ROOT / name).read_text() for name in ("setup.py", "vflfast/crypto/backend.py"))
    found = set(re.findall(r"\"(VFL[A-Z_]+)\"", sources)) - {"VFLFAST_BUILD_JOBS", "VFL_HAVE_GMP"}
    assert switches == found


def test_the_names_of_a_job_file_are_those_of_the_code() -> None:
    flat = " ".join(MANUAL.split())
    section = flat[flat.index("Names of a party's section") : flat.index("Settings on the command line win")]
    assert set(re.findall(r"`(\w+)`", section)) >= jobfile.PARTY_SETTINGS | set(model.READING)
    assert {f"[{name}]" for name in jobfile.SECTIONS - {"guest", "hosts"}} <= set(re.findall(r"\[\w+\]", section))


def test_what_the_manual_imports_is_public() -> None:
    used = set(re.findall(r"vflfast\.([A-Za-z_]+)", "".join(blocks("python"))))
    assert used
    assert used <= set(vflfast.__all__)
    for name in ("table_from_frame", "WireArray"):
        assert name in MANUAL
        assert name in vflfast.__all__


# --- manners -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["docs/manual.md", "csrc/README.md"])
def test_files_and_links_that_are_named_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for path in re.findall(r"`((?:csrc|vflfast|tests)/[\w./]+|LICENSE|pyproject\.toml|(?:\w+/)*[\w]+\.(?:h|cpp))`", text):
        assert any((folder / path).exists() for folder in (ROOT, ROOT / "csrc")), path
    headings = {re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.splitlines() if line.startswith("#")}
    assert set(re.findall(r"\]\(#([\w-]+)\)", text)) <= headings


@pytest.mark.parametrize("name", ["docs/manual.md", "csrc/README.md"])
def test_no_path_of_a_machine(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"/(work|home|root|tmp|usr)/", text)


def test_the_core_readme_gives_the_digits_of_every_key_size() -> None:
    text = (ROOT / "csrc" / "README.md").read_text(encoding="utf-8")
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if re.match(r"\| \d{4} \|", line)]
    assert [int(row[0]) for row in shown] == [1024, *KEY_BITS]
    for name, column in (("portable", 1), ("ifma", 2)):
        if name not in backend.available():
            continue
        native: Any = backend.select(name)
        for row in shown:
            digits = native.core.digits(name, int(row[0]))
            assert digits == int(row[column].split(",")[0])
            room = re.search(r"2\^(\d+)·n", row[column])
            assert room is None or native.radix * digits - int(row[0]) == int(room[1])
