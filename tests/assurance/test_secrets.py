"""D5: no branch and no address of the portable kernel's decryption depends on the key, as valgrind's memcheck sees it (ctgrind).

The key's constants are undefined memory to memcheck, which follows them through every instruction. What the check cannot see is the time of
an instruction itself, and other kernels; `test_timing.py` measures both.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from assurance.figures import Figure

from vflfast.crypto import backend as be
from vflfast.crypto import limbs as lm
from vflfast.crypto.backend import NativePrivate
from vflfast.crypto.paillier.private import PrivateKey

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("paillier/decrypt.cpp", "paillier/fixed_base.cpp", "paillier/pair_portable.cpp")
COMPILER = shutil.which("c++") or shutil.which("g++")
# Whether all branches gave 1 is told to the caller; the plaintexts are wiped when not. The one branch on it is meant.
SUPPRESSION = "{\n the outcome of the fault check\n Memcheck:Cond\n fun:_ZN3vfl13decrypt_limbsERKNS_10PrivateKeyEPmPKmmi\n}\n"
N_CIPHERTEXTS = 3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not COMPILER or not shutil.which("valgrind"), reason="needs valgrind and a C++ compiler"),
    pytest.mark.skipif(not Path("/usr/include/valgrind/memcheck.h").exists(), reason="needs valgrind's headers"),
    pytest.mark.skipif("portable" not in be.available(), reason="this build has no native core"),
]


def words(values: Any) -> str:
    flat = np.asarray(values, dtype=np.uint64).ravel().tolist()
    return " ".join(map(str, [len(flat), *flat]))


def branch(backend: be.NativeBackend, prime: int, other: int, n_limbs: int) -> list[str]:
    chunks = -(-2 * n_limbs // lm.limb_count(prime.bit_length()))
    _, limbs, n, limbs_of_n, neg_inv, *constants, exponent, scale = NativePrivate._branch(backend, prime, other, chunks)
    return [f"{limbs} {neg_inv}", *map(words, (n, limbs_of_n, *constants, exponent, scale))]


def key_file(path: Path, private: PrivateKey) -> list[int]:
    """Write the constants and some ciphertexts as secrets.cpp reads them; return what the ciphertexts hold."""
    backend = be.select("portable")
    assert isinstance(backend, be.NativeBackend)
    p, q = private.primes
    n_limbs = private.public.context.limbs
    numbers = [random.Random(k).randrange(p * q) for k in range(N_CIPHERTEXTS)]
    cipher = private.public.encrypt_with(numbers, [random.Random(-1 - k).randrange(2, p) for k in range(N_CIPHERTEXTS)])
    digits = backend.core.digits("portable", p.bit_length())
    q_inverse = backend.digit_row(pow(q, -1, p) * (1 << backend.radix * digits) % p, digits)
    parts = [str(n_limbs), *branch(backend, p, q, n_limbs), *branch(backend, q, p, n_limbs), words(q_inverse), words(cipher.limbs)]
    path.write_text("\n".join(parts) + "\n")
    return numbers


@pytest.fixture(scope="module", params=["gmp", "no gmp"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kernel as it is shipped, in a program of its own."""
    made = tmp_path_factory.mktemp("secrets") / "secrets"
    gmp = (["-DVFL_HAVE_GMP=1"], ["-lgmp"]) if request.param == "gmp" else ([], [])
    sources = [str(ROOT / "csrc" / name) for name in SOURCES]
    here = str(Path(__file__).with_name("secrets.cpp"))
    flags = ["-std=c++17", "-O3", "-g", "-pthread", "-I", str(ROOT / "csrc"), *gmp[0]]
    done = subprocess.run(
        [str(COMPILER), *flags, here, *sources, *gmp[1], "-o", str(made)], capture_output=True, text=True, check=False
    )
    if done.returncode and request.param == "gmp" and "gmp.h" in done.stderr:
        pytest.skip("no GMP here")
    assert done.returncode == 0, done.stderr
    return made


def watched(program: Path, private: PrivateKey, what: str) -> tuple[int, str, list[int]]:
    """How many places memcheck reports, what it says, and what the program prints."""
    key, suppression = program.with_name("key"), program.with_name("suppression")
    numbers = key_file(key, private)
    suppression.write_text(SUPPRESSION)
    command = ["valgrind", "--error-limit=no", f"--suppressions={suppression}", str(program), str(key), what]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"ERROR SUMMARY: \d+ errors from (\d+) contexts", done.stderr)
    assert found, done.stderr
    verdict, hidden, *plain = done.stdout.split()
    size = private.public.context.limbs
    opened = lm.to_ints(np.array(plain, dtype=np.uint64).reshape(N_CIPHERTEXTS, size))
    if what != "leaky":
        assert (verdict, opened) == ("sound", numbers)
        assert bool(int(hidden)) == (what == "marked"), "the plaintexts must have come from what was marked"
    return int(found.group(1)), done.stderr, opened


@pytest.mark.parametrize("bits", [256, 512, 1024])
def test_decryption_does_not_branch_on_the_key(program: Path, bits: int, key_of: Any, figure: Figure) -> None:
    with be.use("portable"):
        places, report, _ = watched(program, key_of(bits), "marked")
    assert places == 0, report[-6000:]
    figure("D5", "places that depend on the key", places)


def test_nothing_is_reported_of_a_key_that_is_not_marked(program: Path, key_of: Any) -> None:
    with be.use("portable"):
        assert watched(program, key_of(256), "unmarked")[0] == 0


def test_control_a_power_for_public_exponents_is_reported(program: Path, key_of: Any, figure: Figure) -> None:
    with be.use("portable"):
        places, _, _ = watched(program, key_of(256), "leaky")
    assert places > 0
    figure("D5", "places of the control", places)
