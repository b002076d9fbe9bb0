"""The front door: light to import, and every name behind it is there."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import vflfast
from vflfast import handover, samples

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
    is_found(vflfast, name)
    assert vflfast.__dict__[name] is getattr(vflfast, name)  # loaded once


@pytest.mark.parametrize("package", [handover, samples], ids=lambda package: package.__name__)
def test_every_name_of_a_public_package_is_there(package: Any) -> None:
    for name in package.__all__:
        is_found(package, name)
    with pytest.raises(AttributeError, match="no_such_name"):
        package.no_such_name  # noqa: B018


EARLIER = {"CipherVector": "CipherArray", "WireVector": "WireArray"}  # names of version 0.1 that go on


def is_found(package: Any, name: str) -> None:
    value, place = getattr(package, name), package.__name__ + package._PUBLIC[name]
    name = EARLIER.get(name, name)
    assert place in (value.__name__, getattr(value, "__module__", None))
    assert value.__name__ in (name, place)
    assert name in dir(package)


def test_the_order_of_imports_does_not_change_a_name() -> None:
    script = "import vflfast.handover.drifts, vflfast.learn.metrics; from vflfast import metrics; from vflfast.handover import drift; "
    script += "print(callable(drift), metrics.__name__)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(vflfast.__file__).parents[1])
    assert done.stdout.split() == ["True", "vflfast.learn.metrics"]


def test_type_checkers_see_the_same_names() -> None:
    for package in (vflfast, handover, samples):
        tree = ast.parse(Path(str(package.__file__)).read_text())
        block = next(node for node in tree.body if isinstance(node, ast.If))
        seen = {alias.asname: f".{node.module}" for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert {name: f"{place}.{name}" if name == "metrics" else place for name, place in seen.items()} == package._PUBLIC


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        vflfast.no_such_name  # noqa: B018
