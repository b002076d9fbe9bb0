"""What docs/ says is so: its snippets print what stands below them, the names in its tables are there."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import shutil
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.network import run_all
from support.pages import DOCS, Page, blocks, read

import vflfast
from vflfast import Settings, VerticalLogisticRegression
from vflfast.crypto.arrays import CipherArray, WireArray
from vflfast.jobs import party, preflight
from vflfast.net.transport import free_ports
from vflfast.samples.bank import write_bank

ARRAYS, COMING = read("arrays.md"), read("coming-from.md")
SNIPPETS = [
    (page, *snippet)
    for page, text in (("arrays.md", ARRAYS), ("coming-from.md", COMING))
    for snippet in re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
]


def test_every_snippet_has_its_output() -> None:
    assert len(SNIPPETS) == (ARRAYS + COMING).count("```python") == 8
    assert (ARRAYS + COMING).count("```") == 4 * len(SNIPPETS)


@pytest.mark.parametrize("number", range(8))
def test_a_snippet_prints_what_is_shown(
    number: int, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key of the size that the page has, where it takes part; a fingerprint is shown as …"""
    monkeypatch.chdir(tmp_path)
    page, source, shown = SNIPPETS[number]
    assert source.count("generate_keypair(2048)") == 1
    exec(compile(source, f"docs/{page}", "exec"), {})
    assert re.sub(r"key=[0-9a-f]{16}", "key=…", capsys.readouterr().out) == shown


def column(heading: str, place: int, page: str = ARRAYS) -> list[str]:
    """The cells of one column of the table under `heading`."""
    part = page[page.index(heading) :]
    rows = [line for line in part.split("\n## ")[0].split("\n### ")[0].splitlines() if line.startswith("|")][2:]
    return [row.strip("|").split("|")[place].strip() for row in rows]


def test_the_names_are_there() -> None:
    """Every call in the table of names exists, with the arguments that it names."""
    owners: dict[str, Any] = {"public": vflfast.PublicKey, "private": vflfast.PrivateKey, "CipherArray": CipherArray, "wire": WireArray,
                              "WireArray": WireArray,
                              "a": CipherArray, "vflfast": vflfast}  # fmt: skip
    seen = 0
    for owner, name, arguments in re.findall(r"`?\b(\w+)\.(\w+)(?:\(([^)`]*)\))?", " ".join(column("## Names", 0))):
        if owner not in owners or (owner, name) in {("vflfast", "crypto"), ("wire", "limbs")}:
            continue
        found = getattr(owners[owner], name)
        for argument in re.findall(r"(\w+)=", arguments):
            assert argument in inspect.signature(found).parameters, (name, argument)
        seen += 1
    assert seen >= 30
    for module in ("vflfast.crypto.paillier.keyfile", "vflfast.crypto.paillier.keys"):
        row = next(line for line in ARRAYS.splitlines() if line.startswith(f"| `{module}`"))
        names = re.findall(r"`(\w+)`", row)
        assert names
        assert all(hasattr(importlib.import_module(module), name) for name in names)


def test_our_settings_in_the_migration_table_are_ours() -> None:
    known = set(VerticalLogisticRegression().get_params()) | {field.name for field in dataclasses.fields(Settings)}
    for cell in column("### Logistic regression", 1, COMING):
        for name in re.findall(r"`(\w+)`", cell):
            assert name in known | {"partial_fit"}, name
        for name, value in re.findall(r"`(\w+)` = (\d[\d.]*)", cell):
            assert getattr(Settings(), name) == float(value)


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_no_path_of_a_machine(path: Path) -> None:
    assert not re.search(r"/(work|home|root|tmp|usr)/", path.read_text(encoding="utf-8"))


# --- the other pages ---------------------------------------------------------------------------------------------


def test_the_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From made-up files to a scorecard, on the command line and in Python; every figure that it shows is printed."""
    monkeypatch.chdir(tmp_path)
    page = Page("tutorial.md", tmp_path)
    page.run()
    assert page.n_texts == 7
    assert (tmp_path / "labels.csv").read_text().startswith("id,label\n")
    assert (tmp_path / "report.html").stat().st_size > 10_000
    card, reasons = (pd.read_csv(tmp_path / name) for name in ("card.csv", "reasons.csv"))
    shown = rows_under(read("tutorial.md"), "| feature | class | points |")
    assert [[f, c, int(p)] for f, c, p in shown[1:]] == [
        [f, c, int(card.set_index(["feature", "class"]).loc[(f, c), "points"])] for f, c, _ in shown[1:]
    ]
    for customer, rank, feature, class_, effect in rows_under(read("tutorial.md"), "| id | rank |"):
        row = reasons[(reasons["id"] == int(customer)) & (reasons["rank"] == int(rank))].iloc[0]
        assert [row["feature"], row["class"], f"{row['effect']:.3f}"] == [feature, class_, effect]


def rows_under(page: str, heading: str) -> list[list[str]]:
    """The cells of the table whose header starts so."""
    lines = page[page.index(heading) :].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in takewhile(lambda line: line.startswith("|"), lines)]


def test_three_organisations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands, certificates and settings: the three parties check each other and train, on loopback in place of its addresses."""
    monkeypatch.chdir(tmp_path)
    page = Page("three-organisations.md", tmp_path)
    page.run()
    assert page.n_texts == 1
    roles = {"guest": "bank", "host1": "partner", "arbiter": "notary"}
    ports = iter(free_ports(len(roles)))
    addresses = {f"{name}.example:7001": f"127.0.0.1:{next(ports)}" for name in roles.values()}
    for path, name in zip(write_bank(tmp_path, n_rows=200), ("bank", "partner"), strict=True):
        path.rename(tmp_path / name / path.name)
    for role, name in roles.items():
        folder = tmp_path / name / "certificates"
        folder.mkdir()
        for file in ("ca.pem", f"{role}.pem", f"{role}.key"):
            shutil.copy(tmp_path / "certificates" / file, folder / file)
        config = tmp_path / name / "fed.toml"
        text = config.read_text()
        assert all(address in text for address in addresses)
        for given, here in addresses.items():
            text = text.replace(given, here)
        config.write_text(text)
    read = {role: party.read_party(tmp_path / name / "fed.toml", role, {"max_iter": 2}) for role, name in roles.items()}
    assert not any(one.settings.simulation for one in read.values())
    found = run_all({role: partial(preflight.check, one, 30.0) for role, one in read.items()})
    assert [finding for findings in found.values() for finding in findings if not finding.good] == []
    done = run_all({role: partial(party.run_party, one, lambda *_: None) for role, one in read.items()})
    assert {role: result.path for role, result in done.items()} == {
        role: tmp_path / name / "models" / f"{role}.json" for role, name in roles.items()
    }
    assert done["guest"].facts["rounds"] == 2
    labels = tmp_path / "bank" / "labels.csv"
    scoring = {
        role: party.read_party(tmp_path / name / "fed.toml", role, {"max_iter": 2}, task="score", out=labels if role == "guest" else None)
        for role, name in roles.items()
    }
    scored = run_all({role: partial(party.run_party, one, lambda *_: None) for role, one in scoring.items()})
    assert scored["arbiter"].facts["customers"] == len(labels.read_text().splitlines()) - 1
    assert party.read_party(tmp_path / "mart" / "fed.toml", "mart").config.peers == ("guest", "mart", "arbiter")[::2]


def test_the_errors_that_are_explained_are_those_of_the_code() -> None:
    """What three-organisations.md shows of an error is in the sources, but for the parts that are filled in."""
    sources = "".join(path.read_text(encoding="utf-8") for path in Path(vflfast.__file__).parent.rglob("*.py"))
    plain = re.sub(r"\{[^{}]*\}", "…", sources).replace('"\n', '"')
    for shown, _, _ in rows_under(read("three-organisations.md"), "| what is printed |"):
        for quoted in re.findall(r"`([^`]+)`", shown):
            for piece in re.split(r"\s*(?:…|\bca\.pem|600 s|/)\s*", quoted):
                if len(piece) > 3 and piece != "in `check`":
                    assert piece.strip("():, ") in plain, piece


def test_a_line_that_was_not_printed_is_found(tmp_path: Path) -> None:
    page = Page("", tmp_path, printed="one\ntwo\nthree\n")
    page.compare("one\nthree\n")
    for wrong in ("two\none\n", "four\n"):
        with pytest.raises(AssertionError):
            page.compare(wrong)


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_every_block_is_of_a_kind_that_is_tested(path: Path) -> None:
    assert all(text.strip() for _, text in blocks(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", text):
        linked = path if not target else path.parent / target
        assert linked.exists(), target
        if anchor:
            headings = {re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in linked.read_text().splitlines()
                        if line.startswith("#")}  # fmt: skip
            assert anchor in headings, f"{target}#{anchor}"
    for name in re.findall(r"`((?:csrc|vflfast|tests|docs|bench)/[\w./-]+)`", text):
        assert (DOCS.parent / name).exists(), name
    for name in re.findall(r"`(attacks/[\w.]+)`", text):
        assert (DOCS.parent / "tests" / name).exists(), name
