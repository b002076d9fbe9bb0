"""The built extension: vector instructions only where the processor was asked first, and the same wheel on an older processor."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache

import pytest

core = pytest.importorskip("vflfast._core", reason="this build has no native core")

CHILD = """
import numpy as np
from vflfast.crypto import backend
from vflfast.crypto.paillier.private import generate_keypair
assert backend.current().name == "portable", backend.current().name
assert "ifma" in backend.current().reason
key = generate_keypair(256, test_sizes=True)
c = key.public.encrypt([1, -2, 3])
assert key.decrypt(2 * c + 5).tolist() == [7, 1, 11]
assert key.decrypt(np.array([[1, 0, 2]]) @ c).tolist() == [7]
print("same answers")
"""


@cache
def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def functions_of(source: str) -> list[tuple[int, int]]:
    """Address ranges of the local functions that the symbol table lists under a source file."""
    ranges, current = [], ""
    for line in run("readelf", "-sW", core.__file__).splitlines():
        field = line.split()
        if len(field) >= 8 and field[3] == "FILE":
            current = field[7]
        elif len(field) >= 8 and field[3] == "FUNC" and field[4] == "LOCAL" and current == source:
            size = int(field[2], 0)
            ranges.append((int(field[1], 16), int(field[1], 16) + size))
    return ranges


def lines_with(pattern: str) -> list[tuple[int, str]]:
    """Address and text of the instructions that match."""
    found = []
    for line in run("objdump", "-d", "--no-show-raw-insn", core.__file__).splitlines():
        address, separator, text = line.partition(":")
        if separator and re.search(pattern, text):
            found.append((int(address, 16), text.strip()))
    return found


def within(address: int, ranges: list[tuple[int, int]]) -> bool:
    return any(start <= address < end for start, end in ranges)


@pytest.mark.skipif(not shutil.which("objdump") or not shutil.which("readelf"), reason="needs binutils")
@pytest.mark.skipif("ifma" not in [kernel[0] for kernel in core.kernels()], reason="this build has no IFMA kernel")
def test_vector_instructions_stay_in_the_ifma_file() -> None:
    ranges = functions_of("pair_ifma.cpp") + functions_of("curve_ifma.cpp")
    if not ranges:
        pytest.skip("the extension is stripped")
    wide = lines_with(r"%zmm|%k[1-7]|%[xyz]mm(1[6-9]|2\d|3[01])")
    outside = [text for address, text in wide if not within(address, ranges)]
    assert len(wide) > 1000
    assert not outside, outside[:5]
    # the control: the multiply-add instruction is found, and only there
    multiply_adds = lines_with(r"vpmadd52[lh]uq")
    assert len(multiply_adds) > 500
    assert all(within(address, ranges) for address, _ in multiply_adds)
    portable = functions_of("pair_portable.cpp") + functions_of("curve_portable.cpp")
    assert portable
    assert not any(within(address, portable) for address, _ in multiply_adds)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="needs the user-mode emulator (Debian: qemu-user)")
def test_an_older_processor_runs_the_same_build() -> None:
    """Haswell has no AVX-512: the emulator raises an illegal instruction if any is reached."""
    assert "same answers" in run("qemu-x86_64", "-cpu", "Haswell", sys.executable, "-c", CHILD)
