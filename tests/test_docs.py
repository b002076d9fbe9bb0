"""What docs/ says is so: its snippets print what stands below them, the names in its tables are there."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import vflfast
from vflfast import Settings, VerticalLogisticRegression
from vflfast.crypto.vector import CipherVector, WireVector

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAILLIER = (DOCS / "paillier.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", PAILLIER, re.MULTILINE | re.DOTALL)


def test_every_snippet_has_its_output() -> None:
    assert len(SNIPPETS) == PAILLIER.count("```python") == 3
    assert PAILLIER.count("```") == 4 * len(SNIPPETS)


@pytest.mark.parametrize("number", range(3))
def test_a_snippet_prints_what_is_shown(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    source, shown = SNIPPETS[number]
    assert source.count("generate_keypair(2048)") == 1
    small = source.replace("(2048)", "(512, test_sizes=True)").replace(".public.n)", ".public.n, test_sizes=True)")
    exec(compile(small, "docs/paillier.md", "exec"), {})
    assert capsys.readouterr().out == shown


def column(heading: str, place: int) -> list[str]:
    """The cells of one column of the table under `heading`."""
    part = PAILLIER[PAILLIER.index(heading) :]
    rows = [line for line in part.split("\n## ")[0].split("\n### ")[0].splitlines() if line.startswith("|")][2:]
    return [row.strip("|").split("|")[place].strip() for row in rows]


def test_the_names_are_there() -> None:
    """Every call in the table of names exists, with the arguments that it names."""
    owners: dict[str, Any] = {"public": vflfast.PublicKey, "private": vflfast.PrivateKey, "CipherVector": CipherVector, "wire": WireVector,
                              "a": CipherVector, "vflfast": vflfast}  # fmt: skip
    seen = 0
    for owner, name, arguments in re.findall(r"`?\b(\w+)\.(\w+)(?:\(([^)`]*)\))?", " ".join(column("## Names", 0))):
        if owner not in owners or (owner, name) in {("vflfast", "crypto"), ("wire", "limbs")}:
            continue
        found = getattr(owners[owner], name)
        for argument in re.findall(r"(\w+)=", arguments):
            assert argument in inspect.signature(found).parameters, (name, argument)
        seen += 1
    assert seen >= 10
    for module in ("vflfast.crypto.keyfile", "vflfast.crypto.keys"):
        row = next(line for line in PAILLIER.splitlines() if line.startswith(f"| `{module}`"))
        names = re.findall(r"`(\w+)`", row)
        assert names
        assert all(hasattr(importlib.import_module(module), name) for name in names)


def test_our_settings_in_the_migration_table_are_ours() -> None:
    known = set(VerticalLogisticRegression().get_params())
    for cell in column("### Logistic regression", 1):
        for name in re.findall(r"`(\w+)`", cell):
            assert name in known | {"partial_fit"}, name
        for name, value in re.findall(r"`(\w+)` = (\d[\d.]*)", cell):
            assert getattr(Settings(), name) == float(value)


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_no_path_of_a_machine(path: Path) -> None:
    assert not re.search(r"/(work|home|root|tmp|usr)/", path.read_text(encoding="utf-8"))
