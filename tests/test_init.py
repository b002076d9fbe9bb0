"""The front door: light to import, and every name behind it is there."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vflfast

HEAVY = {
    "numpy", "numba", "pandas", "pyarrow", "gmpy2", "scipy", "rich", "click", "grpc", "matplotlib", "sklearn", "duckdb", "vflfast._core",
}  # fmt: skip


def test_import_loads_nothing_heavy() -> None:
    script = "import sys, vflfast; dir(vflfast); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(vflfast.__file__).parents[1])
    assert "vflfast" in done.stdout.split()
    assert HEAVY.isdisjoint(done.stdout.split())


@pytest.mark.parametrize("name", sorted(vflfast._PUBLIC))
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(vflfast, name)
    assert value.__name__ == name
    assert value.__module__ == "vflfast" + vflfast._PUBLIC[name]
    assert vflfast.__dict__[name] is value  # loaded once
    assert name in dir(vflfast)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(vflfast.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname: f".{node.module}" for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == vflfast._PUBLIC


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        vflfast.no_such_name  # noqa: B018
