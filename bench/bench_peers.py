"""The same work on vflfast and on the libraries its users could take instead: one core, same key size, answers checked.

``make bench-peers`` installs the peers into an environment of their own. A peer that is not installed is skipped. Shortcuts that a
peer takes are in its `note` and stand in the table: they make it faster than the same work would be.
"""

from __future__ import annotations

import datetime
import json
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from machine import facts

KEY_BITS = 2048
COUNT = 256
CELL_ROWS, CELL_COLUMNS = 1024, 40  # of the product, for peers that pay per cell
OWN_ROWS, OWN_COLUMNS = 66_274, 3_000  # of vflfast's: the size of the task
RNG = np.random.default_rng(1)
NUMBERS = RNG.integers(-(2**28), 2**28, COUNT)
FACTORS = RNG.integers(1, 2**24, COUNT)
OPERATIONS = ("encrypt", "decrypt", "add", "multiply by 24 bits", "Zᵀ[[g]], per cell")


class Peer:
    """One library: its operations on COUNT numbers."""

    name = ""
    note = ""

    def encrypt(self, values: Any) -> Any: ...
    def decrypt(self, ciphertexts: Any) -> list[int]: ...
    def add(self, a: Any, b: Any) -> Any: ...
    def multiply(self, a: Any, factors: Any) -> Any: ...
    def product(self, codes: Any, ciphertexts: Any) -> Any: ...


class Vflfast(Peer):
    name = "vflfast"

    def __init__(self) -> None:
        from vflfast.crypto import backend
        from vflfast.crypto.coded import CodedMatrix
        from vflfast.crypto.paillier.private import generate_keypair

        self.note = f"{backend.current().name}, randomness of |n|/2 bits, decryption blinded and fault checked"
        self.key = generate_keypair(KEY_BITS)
        self.coded = CodedMatrix
        self.key.public.expect(1_000_000)  # as a party of a run says; the table is built once a key
        self.key.public.encrypt(np.zeros(1, dtype=np.int64))

    def encrypt(self, values: Any) -> Any:
        return self.key.public.encrypt(values, bound=2**32)

    def decrypt(self, ciphertexts: Any) -> list[int]:
        return self.key.decrypt(ciphertexts).tolist()

    def add(self, a: Any, b: Any) -> Any:
        return a + b

    def multiply(self, a: Any, factors: Any) -> Any:
        return a * factors

    def product(self, codes: Any, ciphertexts: Any) -> Any:
        return self.coded(codes).T @ ciphertexts


class VflfastElGamal(Vflfast):
    name = "vflfast ElGamal"

    def __init__(self) -> None:
        from vflfast.crypto import backend
        from vflfast.crypto.coded import CodedMatrix
        from vflfast.crypto.schemes import generate_keypair

        self.note = f"{backend.current().name}, another scheme; decrypts small numbers only, constant time in its key"
        self.key = generate_keypair(scheme="elgamal")
        self.coded = CodedMatrix
        self.key.decrypt(self.key.public.encrypt(np.zeros(COUNT, dtype=np.int64), bound=2**32))  # makes the table of logarithms


class Phe(Peer):
    name = "phe"
    note = "signed 64-bit numbers without exponent; randomness r^n of |n| bits"

    def __init__(self) -> None:
        from phe import paillier

        self.public, self.private = paillier.generate_paillier_keypair(n_length=KEY_BITS)

    def encrypt(self, values: Any) -> Any:
        return [self.public.encrypt(int(v)) for v in values]

    def decrypt(self, ciphertexts: Any) -> list[int]:
        return [self.private.decrypt(c) for c in ciphertexts]

    def add(self, a: Any, b: Any) -> Any:
        return [x + y for x, y in zip(a, b, strict=True)]

    def multiply(self, a: Any, factors: Any) -> Any:
        return [x * int(f) for x, f in zip(a, factors, strict=True)]

    def product(self, codes: Any, ciphertexts: Any) -> Any:
        return [sum((c * int(z) for z, c in zip(row, ciphertexts, strict=True) if z), start=ciphertexts[0] * 0) for row in codes]


class FateUtils(Peer):
    name = "fate-utils"
    note = "blinded encryption asked for; it does not blind by default"

    def __init__(self) -> None:
        from fate_utils import paillier

        self.private, self.public, self.coder = paillier.keygen(KEY_BITS)

    def encrypt(self, values: Any) -> Any:
        return self.public.encrypt_encoded(self.coder.encode_i64_vec(np.asarray(values, dtype=np.int64)), True)

    def decrypt(self, ciphertexts: Any) -> list[int]:
        return list(self.coder.decode_i64_vec(self.private.decrypt_to_encoded(ciphertexts)))

    def add(self, a: Any, b: Any) -> Any:
        return a.add(self.public, b)

    def multiply(self, a: Any, factors: Any) -> Any:
        return a.mul(self.public, self.coder.encode_i64_vec(np.asarray(factors, dtype=np.int64)))

    def product(self, codes: Any, ciphertexts: Any) -> Any:
        flat = self.coder.encode_i64_vec(np.ascontiguousarray(codes, dtype=np.int64).ravel())
        return ciphertexts.rmatmul(self.public, flat, [codes.shape[1], 1], list(codes.shape))


class Heu(Peer):
    """sf-heu; a scheme by name."""

    def __init__(self, scheme: str, note: str) -> None:
        from heu import numpy as hnp
        from heu import phe

        self.name, self.note = f"sf-heu {scheme}", note
        schema = getattr(phe.SchemaType, scheme)
        self.kit = hnp.setup(schema) if scheme == "ElGamal" else hnp.setup(schema, KEY_BITS)
        self.encryptor, self.decryptor, self.evaluator = self.kit.encryptor(), self.kit.decryptor(), self.kit.evaluator()
        self.encoder = self.kit.integer_encoder(1)

    def array(self, values: Any) -> Any:
        return self.kit.array(np.asarray(values, dtype=np.int64).astype(np.int32), self.encoder)

    def encrypt(self, values: Any) -> Any:
        return self.encryptor.encrypt(self.array(np.asarray(values)[:, None]))

    def decrypt(self, ciphertexts: Any) -> list[int]:
        return [int(v) for v in self.decryptor.decrypt(ciphertexts).to_numpy(self.encoder).ravel()]

    def add(self, a: Any, b: Any) -> Any:
        return self.evaluator.add(a, b)

    def multiply(self, a: Any, factors: Any) -> Any:
        return self.evaluator.mul(a, self.array(np.asarray(factors)[:, None]))

    def product(self, codes: Any, ciphertexts: Any) -> Any:
        return self.evaluator.matmul(self.array(codes), ciphertexts)


class GmpyBuckets(Peer):
    """What a careful user writes on gmpy2: r^n by powmod, CRT decryption, and buckets by class instead of powers."""

    name = "gmpy2 loop with buckets"
    note = "randomness h^alpha of |n|/2 bits by powmod; neither constant time nor fault checked"

    def __init__(self) -> None:
        import gmpy2

        self.gmpy2 = gmpy2
        seed = random.SystemRandom()
        half = KEY_BITS // 2
        p, q = (gmpy2.next_prime(seed.getrandbits(half) | 3 << (half - 2)) for _ in range(2))
        self.p, self.q, self.n, self.square = p, q, p * q, (p * q) ** 2
        self.h = gmpy2.powmod(seed.randrange(int(self.n)), self.n, self.square)
        self.hp, self.hq = gmpy2.invert(-q, p), gmpy2.invert(-p, q)
        self.random = seed

    def encrypt(self, values: Any) -> Any:
        alphas = [self.random.getrandbits(KEY_BITS // 2) for _ in values]
        masks = self.gmpy2.powmod_exp_list(self.h, alphas, self.square)
        return [(1 + int(v) * self.n) * r % self.square for v, r in zip(values, masks, strict=True)]

    def decrypt(self, ciphertexts: Any) -> list[int]:
        result = []
        for c in ciphertexts:
            a = (self.gmpy2.powmod(c, self.p - 1, self.p**2) // self.p) * self.hp % self.p
            b = (self.gmpy2.powmod(c, self.q - 1, self.q**2) // self.q) * self.hq % self.q
            m = int(b + self.q * ((a - b) * self.gmpy2.invert(self.q, self.p) % self.p))
            result.append(m - int(self.n) if m > self.n // 2 else m)
        return result

    def add(self, a: Any, b: Any) -> Any:
        return [x * y % self.square for x, y in zip(a, b, strict=True)]

    def multiply(self, a: Any, factors: Any) -> Any:
        return [self.gmpy2.powmod(x, int(f), self.square) for x, f in zip(a, factors, strict=True)]

    def product(self, codes: Any, ciphertexts: Any) -> Any:
        columns = []
        for row in codes.tolist():
            buckets = [self.gmpy2.mpz(1)] * 5
            for z, c in zip(row, ciphertexts, strict=True):
                if z:
                    buckets[z] = buckets[z] * c % self.square
            total = running = self.gmpy2.mpz(1)
            for bucket in buckets[:0:-1]:
                running = running * bucket % self.square
                total = total * running % self.square
            columns.append(total)
        return columns


PEERS: dict[str, Callable[[], Peer]] = {
    "vflfast": Vflfast,
    "vflfast ElGamal": VflfastElGamal,
    "phe": Phe,
    "fate-utils": FateUtils,
    "sf-heu Paillier": lambda: Heu("ZPaillier", "randomness of |n|/2 bits by a fixed-base table"),
    "sf-heu Okamoto-Uchiyama": lambda: Heu("OU", "another scheme; draws 110 bits of randomness"),
    "sf-heu EC-ElGamal": lambda: Heu("ElGamal", "another scheme; decrypts small numbers only"),
    "gmpy2 loop with buckets": GmpyBuckets,
}
OWN = ("vflfast", "vflfast ElGamal")
SMALL = ("vflfast ElGamal", "sf-heu EC-ElGamal")  # decrypt small numbers only
RESULTS: dict[tuple[str, str], float] = {}
NOTES: dict[str, str] = {}


@pytest.fixture(scope="module", autouse=True)
def one_core(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    os.environ["VFLFAST_THREADS"] = "1"
    yield
    os.sched_setaffinity(0, before)
    del os.environ["VFLFAST_THREADS"]
    print("\n" + table())
    if file := request.config.getoption("--keep-peers"):
        Path(file).write_text(json.dumps(kept(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@pytest.mark.parametrize("name", PEERS)
def test_peer(name: str) -> None:
    """Time one library on all operations and check its answers."""
    try:
        peer = PEERS[name]()
    except ImportError as error:
        pytest.skip(f"not installed: {error.name}")
    NOTES[name] = peer.note
    small = name in SMALL
    numbers = NUMBERS % 1000 if small else NUMBERS
    factors = FACTORS % 1000 if small else FACTORS
    seconds, ciphertexts = best(lambda: peer.encrypt(numbers))
    RESULTS[name, "encrypt"] = seconds / COUNT
    seconds, opened = best(lambda: peer.decrypt(ciphertexts))
    RESULTS[name, "decrypt"] = seconds / COUNT
    assert opened == numbers.tolist()
    repeat = 64 if name in OWN else 1  # long enough to time
    long = peer.encrypt(np.tile(numbers, repeat))
    seconds, summed = best(lambda: peer.add(long, long))
    RESULTS[name, "add"] = seconds / (COUNT * repeat)
    assert peer.decrypt(summed)[:COUNT] == (2 * numbers).tolist()
    seconds, scaled = best(lambda: peer.multiply(ciphertexts, factors))
    RESULTS[name, "multiply by 24 bits"] = seconds / COUNT
    if not small:  # its discrete logarithms would take a table of the products' size
        assert peer.decrypt(scaled) == (numbers.astype(object) * factors).tolist()
    time_product(name, peer, small)


def time_product(name: str, peer: Peer, small: bool) -> None:
    """Zᵀ[[g]] with five-class features."""
    fast = name in OWN
    n_rows, n_columns = (OWN_ROWS, OWN_COLUMNS) if fast else (CELL_ROWS, CELL_COLUMNS)
    codes = np.random.default_rng(2).integers(0, 5, (n_columns, n_rows), dtype=np.uint8)
    residual = np.random.default_rng(3).integers(-3 if small else -(2**20), 3 if small else 2**20, n_rows)
    ciphertexts = peer.encrypt(residual)
    seconds, columns = best(lambda: peer.product(codes, ciphertexts), 1)
    RESULTS[name, "Zᵀ[[g]], per cell"] = seconds / (n_rows * n_columns)
    assert peer.decrypt(columns) == (codes.astype(np.int64) @ residual).tolist()


def best(work: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """Return the least seconds of several runs, and the last answer."""
    least, answer = float("inf"), None
    for _ in range(repeats):
        start = time.perf_counter()
        answer = work()
        least = min(least, time.perf_counter() - start)
    return least, answer


def kept() -> dict[str, Any]:
    """The run as a file: microseconds of every library and operation, what it ran on, shortcuts."""
    here = Path(__file__).parent
    commit = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], cwd=here, capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True, text=True, check=False).stdout.strip()
    done = [name for name in PEERS if (name, OPERATIONS[-1]) in RESULTS]
    return {
        "peers": {name: {operation: round(RESULTS[name, operation] * 1e6, 4) for operation in OPERATIONS} for name in done},
        "notes": {name: NOTES[name] for name in done},
        "versions": {name: metadata.version(name) for name in ("phe", "fate-utils", "sf-heu", "gmpy2") if installed(name)},
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "commit": (commit or "unknown") + " and changes" * bool(changed),
        "machine": facts(),
    }


def installed(name: str) -> bool:
    """Whether a distribution is there."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def table() -> str:
    """Return microseconds and, behind them, how many times vflfast is faster."""
    lines = [f"{KEY_BITS}-bit keys, one core; microseconds (times vflfast)", f"{'':<26}" + "".join(f"{o:>24}" for o in OPERATIONS)]
    for name in PEERS:
        if (name, OPERATIONS[-1]) not in RESULTS:
            continue
        cells = []
        for operation in OPERATIONS:
            own = RESULTS[name, operation]
            ratio = own / RESULTS.get(("vflfast", operation), own)
            cells.append(f"{own * 1e6:>14.3f} ({ratio:>6.1f})")
        lines.append(f"{name:<26}" + "".join(f"{cell:>24}" for cell in cells))
    lines += [f"  {name}: {note}" for name, note in NOTES.items() if note]
    return "\n".join(lines)
