"""What the package brings along, and that it is what its sources make: licences, pinned versions, parts, reproducible builds."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from assurance import supply

ROOT = Path(__file__).resolve().parents[2]
PINNED = ROOT / f"constraints-{sys.version_info.major}.{sys.version_info.minor}.txt"
EPOCH = "1700000000"


def test_every_licence_is_a_permissive_one() -> None:
    found = {name: supply.problem(supply.licence(one)) for name, one in supply.parts(supply.all_extras()).items()}
    assert len(found) > 40
    assert {name: text for name, text in found.items() if text} == {}


@pytest.mark.parametrize(("text", "fine"), [
    ("MIT", True), ("Apache-2.0 OR BSD-3-Clause", True), ("LGPL-3.0-or-later", True), ("GPL-3.0-only", False), ("AGPL-3.0", False),
    ("GNU Affero", False), ("Proprietary", False), ("", False), ("see the website", False), ("MIT AND GPL-2.0-only", False),
])  # fmt: skip
def test_the_check_of_licences_can_fail(text: str, fine: bool) -> None:
    assert (supply.problem(text) is None) == fine


@pytest.mark.parametrize(("text", "fine"), [("\n   Apache License\n", True), ("GNU GENERAL PUBLIC LICENSE\n", False), ("", False)])
def test_a_licence_that_is_only_a_file_is_read(text: str, fine: bool, tmp_path: Path) -> None:
    (tmp_path / "x.dist-info" / "licenses").mkdir(parents=True)
    (tmp_path / "x.dist-info" / "METADATA").write_text("Metadata-Version: 2.4\nName: x\nVersion: 1\nLicense-File: COPYING\n")
    (tmp_path / "x.dist-info" / "licenses" / "COPYING").write_text(text)
    assert (supply.problem(supply.licence(Distribution.at(tmp_path / "x.dist-info"))) is None) == fine


def test_the_requirements_are_followed() -> None:
    core, whole = supply.parts(frozenset()), supply.parts(supply.all_extras())
    assert {"numpy", "gmpy2", "llvmlite"} <= core.keys() < whole.keys()  # llvmlite comes with numba
    assert {"pytest", "grpcio", "scikit-learn"} <= whole.keys() - core.keys()
    assert "phe" not in whole


def test_the_bill_of_materials_lists_every_part_once() -> None:
    made = json.loads(subprocess.run([sys.executable, supply.__file__, "bom"], capture_output=True, text=True, check=True).stdout)
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    names = [component["purl"] for component in made["components"]]
    assert len(set(names)) == len(names) == len(supply.parts(supply.all_extras()))
    assert all(re.fullmatch(r"pkg:pypi/[a-z0-9.-]+@[0-9][\w.+!-]*", name) for name in names)
    assert {c["scope"] for c in made["components"]} == {"required", "optional"}


@pytest.mark.skipif(not PINNED.exists(), reason="versions are pinned for another Python")
def test_every_version_is_pinned_and_no_source_is_named() -> None:
    lines = PINNED.read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*==[0-9][\w.+!-]*", line) for line in lines)
    assert {line.split("==")[0] for line in lines} >= supply.parts(frozenset()).keys()


# --- two builds ------------------------------------------------------------------------------------------------------

BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, "build_" + sys.argv[1])(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with nothing but what pyproject.toml asks for to build."""
    folder = tmp_path_factory.mktemp("builder")
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    made = subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", *wanted, "wheel"], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("the build's requirements cannot be had here")
    return folder / "bin" / "python"


def build(builder: Path, kind: str, source: Path, folder: Path) -> Path:
    folder.mkdir(parents=True)
    env = os.environ | {"SOURCE_DATE_EPOCH": EPOCH, "VFLFAST_NO_NATIVE": "1"}
    command = [str(builder), "-c", BUILD, kind, str(folder)]
    done = subprocess.run(command, cwd=source, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / done.stdout.splitlines()[-1]


def copy_of_the_sources(folder: Path) -> Path:
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no list of the sources")
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_two_builds_are_the_same_bytes(kind: str, builder: Path, tmp_path: Path) -> None:
    """From two folders, at two times; the wheel is the one without a native core, whose bytes are the compiler's affair."""
    made = [build(builder, kind, copy_of_the_sources(tmp_path / f"source {k}"), tmp_path / f"built {k}") for k in range(2)]
    assert made[0].name == made[1].name
    first, second = (hashlib.sha256(path.read_bytes()).hexdigest() for path in made)
    assert first == second
    if kind == "wheel":
        assert "vflfast/crypto/paillier/keys.py" in zipfile.ZipFile(made[0]).namelist()
