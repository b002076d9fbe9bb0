"""What this machine needs for each step of the arithmetic: measured once in about a second, kept in the user's cache folder.

Plans and predictions read these rates; no weight depends on them, because all that affects weights is exact integer arithmetic.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TypeVar

import gmpy2
import numpy as np
import numpy.typing as npt

from .. import __version__
from . import backend as be
from . import limbs as lm
from .blocks import BlockCosts
from .context import Block, Context, PublicContext, Seconds, Vector

RATES_VERSION = 3
MOST_MICROSECONDS = 1e12  # of any step: no machine takes longer
SAMPLE_SECONDS = 0.02  # of one sample of one kernel
PRIMES_BELOW = {2048: (105, 1397), 3072: (3453, 4977), 4096: (1557, 7437)}  # 2^(bits/2) minus each is a prime that is 3 modulo 4
ROWS = 256  # random ciphertexts
SAMPLES = 3  # the least of so many: other work and memory touched for the first time only add
DRIFT = 0.2  # of the logarithm of a rate, within which kept rates hold
TABLE_BITS, TABLE_WINDOW = 512, 8  # the smallest fixed-base table that leaves the second-level cache as the real ones do
NEAR_CLASSES, FAR_CLASSES = (4,) * 5, (4,) * 6  # block shapes on either side of blocks.CACHED_BUCKETS
ROWS_A_BUCKET = 8  # while insertions are measured: few of them then touch memory for the first time


@dataclass(frozen=True)
class Rates:
    """Wall time in microseconds, with `threads` threads at work on many numbers at once.

    Attributes
    ----------
    table_entry
        One entry of a fixed-base table, its logarithm included; 0 where the arithmetic keeps no table.
    encrypt_bit
        An encryption by bit of its exponent, at a window of `TABLE_WINDOW` bits.
    load, store, add_plain, multiply, logarithm
        Per ciphertext or product of two.
    insert_near, insert_far
        A row into a bucket tensor that the second-level cache holds, and into one that it does not.
    collapse
        A used bucket's way to the class sums.
    decrypt
        A decryption by CRT.
    digest
        A byte hashed and copied, as every message is.
    flop
        A term of a large symmetric product ZZᵀ in single precision.
    """

    kernel: str
    key_bits: int
    threads: int
    lanes: int
    table_entry: float
    encrypt_bit: float
    load: float
    store: float
    add_plain: float
    multiply: float
    logarithm: float
    insert_near: float
    insert_far: float
    collapse: float
    decrypt: float
    digest: float
    flop: float

    def block_costs(self) -> BlockCosts:
        """Return the block planner's ratios, held near what the operation counts say: a disturbed measurement must not choose the plan."""
        return BlockCosts(
            collapse=float(np.clip(self.collapse / self.insert_near, 2.0, 5.0)),
            clear=0.02,
            far=float(np.clip(self.insert_far / self.insert_near, 1.0, 1.15)),
        )


Kind = TypeVar("Kind", bound=Rates)


def rates(key_bits: int) -> Rates:
    """Return this machine's rates for the kernel in use: from the cache folder, else measured now and kept there.

    A file that cannot be read or is not of this kernel, processor, thread count and version counts as none, and so do rates of a time
    when the machine was faster or slower than it is now, as it is when other work shares it.
    """
    return kept(key_bits, "paillier", Rates, lambda: measure(key_bits), lambda: _insertion(key_bits))


def kept(key_bits: int, scheme: str, kind: type[Kind], measured: Callable[[], Kind], insertion: Callable[[], float]) -> Kind:
    """Return the rates of a scheme that are kept, or measured now and kept: `rates` says when; `insertion` is the step that is compared."""
    machine = _machine(key_bits, scheme)
    path = _cache_file(machine)
    found = _read(path, machine, kind)
    if found is None or abs(math.log(insertion() / found.insert_near)) > DRIFT:
        found = measured()
        _write(path, machine, found)
    return found


def cache_folder() -> Path:
    """Return the folder for measured rates: ``$XDG_CACHE_HOME/vflfast``, else ``~/.cache/vflfast``."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if os.path.isabs(given) else Path.home() / ".cache") / "vflfast"


def measure(key_bits: int) -> Rates:
    """Measure every rate now, on random numbers modulo the square of a fixed n; nothing secret is involved."""
    backend = be.current()
    context, wire = _random_ciphertexts(key_bits)
    rows = context.load(wire)
    private = backend.private(*_primes(key_bits))
    few = wire[: 4 * be.threads() * backend.lanes]
    plain = lm.random_limbs(len(rows), key_bits - 1)
    logarithm, insert_near, insert_far, collapse = _product_rates(context, rows, backend.lanes)
    entry, bit = _encryption_rates(context, rows)
    digest, flop = machine_rates()
    return Rates(
        backend.name, key_bits, be.threads(), backend.lanes, entry, bit,
        load=each(lambda: context.load(wire), len(wire)),
        store=each(lambda: context.store(rows), len(rows)),
        add_plain=each(lambda: context.add_plain(rows, plain), len(rows)),
        multiply=each(lambda: context.multiply(rows, rows), len(rows)),
        logarithm=logarithm, insert_near=insert_near, insert_far=insert_far, collapse=collapse,
        decrypt=each(lambda: private.decrypt(few), len(few)),
        digest=digest, flop=flop,
    )  # fmt: skip


def machine_rates() -> tuple[float, float]:
    """Return what no scheme has a part in: `Rates.digest` and `Rates.flop`."""
    message, block = bytes(1 << 20), np.ones((512, 2048), dtype=np.float32)
    digest = each(lambda: hashlib.sha256(bytearray(message)).digest(), len(message))
    return digest, each(lambda: block @ block.T, 2048 * 512**2)


def each(call: Callable[[], object], items: int, repeats: int | None = None) -> float:
    """Return the least microseconds an item, over samples of `SAMPLE_SECONDS` each, or of so many calls."""
    start = time.perf_counter()
    call()
    repeats = repeats or max(1, math.ceil(SAMPLE_SECONDS / max(time.perf_counter() - start, 1e-7)))
    samples = []
    for _ in range(SAMPLES):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        samples.append((time.perf_counter() - start) / repeats)
    return min(samples) / items * 1e6


def _encryption_rates(context: PublicContext, rows: Vector) -> tuple[float, float]:
    """A table's entry, and an encryption by bit of its exponent."""
    tabled = be.current().name != "gmpy2"
    base = lm.to_ints(context.store(rows[:1]))[0]
    start = time.perf_counter()
    table = context.fixed_base(base, TABLE_BITS, TABLE_WINDOW)
    entry = (time.perf_counter() - start) / (TABLE_BITS // TABLE_WINDOW * ((1 << TABLE_WINDOW) - 1)) * 1e6
    some = rows[: ROWS // 2 if tabled else ROWS // 16]
    exponents = lm.random_limbs(len(some), TABLE_BITS)
    return entry if tabled else 0.0, each(lambda: table.encrypt(some, None, exponents), len(some)) / TABLE_BITS


def _insertion(key_bits: int) -> float:
    """Microseconds of an insertion, as `Rates.insert_near`."""
    context, wire = _random_ciphertexts(key_bits)
    return one_product(context, context.load(wire), NEAR_CLASSES, be.current().lanes)[1]


def _random_ciphertexts(key_bits: int) -> tuple[PublicContext, lm.Limbs]:
    """The fixed key's context, and numbers below n^2 in the form of the wire."""
    p, q = _primes(key_bits)
    context = be.current().public(p * q)
    return context, lm.from_ints(lm.random_below((p * q) ** 2, ROWS), 2 * context.limbs)


def _product_rates(context: PublicContext, rows: Vector, lanes: int) -> tuple[float, float, float, float]:
    """A logarithm, an insertion near and far, a used bucket's collapse."""
    logarithm, near, collapse = one_product(context, rows, NEAR_CLASSES, lanes)
    _, far, _ = one_product(context, rows, FAR_CLASSES, lanes)
    return logarithm, near, far, collapse


def one_product(context: Context, rows: Vector, classes: tuple[int, ...], lanes: int) -> tuple[float, float, float]:
    """Return the logarithm, insertion and collapse in products of as many dense blocks as keep every thread and lane busy."""
    buckets = math.prod(classes)
    n_rows = buckets * ROWS_A_BUCKET
    n_blocks = lanes * be.threads() if be.current().name != "gmpy2" else 1
    many = rows[np.arange(n_rows) % len(rows)]
    blocks = [Block(classes, _patterns(n_rows, buckets, b), None, -1) for b in range(n_blocks)]
    used = sum(len(np.unique(block.patterns)) for block in blocks)
    samples: list[Seconds] = []
    for _ in range(SAMPLES):
        samples.append({})
        context.class_sums(many, blocks, 1, samples[-1])
    logarithms, bucket, collapse = (
        min(sample.get(phase, 0.0) for sample in samples) for phase in ("logarithms", "bucket", "collapse")
    )
    return logarithms / n_rows * 1e6, bucket / (n_blocks * n_rows) * 1e6, collapse / used * 1e6


def _patterns(n_rows: int, buckets: int, shift: int) -> npt.NDArray[np.uint16]:
    """Patterns over all buckets in an order that no prefetcher foresees (multiplicative hashing, Knuth 6.4)."""
    hashed = (np.arange(n_rows, dtype=np.uint64) + np.uint64(shift * n_rows)) * np.uint64(2654435761) % np.uint64(1 << 32)
    return np.asarray((hashed >> np.uint64(16)) % np.uint64(buckets), dtype=np.uint16)


def _primes(key_bits: int) -> tuple[int, int]:
    """Two fixed primes of half the size: the arithmetic takes the same time for all."""
    top = 1 << (key_bits // 2)
    if key_bits in PRIMES_BELOW:
        first, second = PRIMES_BELOW[key_bits]
        return top - first, top - second
    first = int(gmpy2.next_prime(3 * top // 4))
    return first, int(gmpy2.next_prime(first))


def _machine(key_bits: int, scheme: str) -> dict[str, object]:
    """What rates hold for; a file about anything else is none."""
    return {
        "format": "vflfast rates",
        "rates_version": RATES_VERSION,
        "vflfast": __version__,
        "processor": _processor(),
        "kernel": be.current().name,
        "threads": be.threads(),
        "scheme": scheme,
        "key_bits": key_bits,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{platform.machine()} {names[0] if names else platform.processor()}"


def _cache_file(machine: dict[str, object]) -> Path:
    digest = hashlib.sha256(json.dumps(machine, sort_keys=True).encode()).hexdigest()[:16]
    return cache_folder() / f"rates-{machine['kernel']}-{machine['key_bits']}-{digest}.json"


def _read(path: Path, machine: dict[str, object], kind: type[Kind]) -> Kind | None:
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        if saved["machine"] != machine or set(saved["rates"]) != {field.name for field in fields(kind)}:
            return None
        found = kind(**saved["rates"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return found if _plausible(found, machine["key_bits"]) else None


def _plausible(found: Rates, key_bits: object) -> bool:
    known = (found.kernel, found.key_bits, found.threads, found.lanes)
    if known != (be.current().name, key_bits, be.threads(), be.current().lanes):
        return False
    measured = [getattr(found, field.name) for field in fields(found)][len(known) :]
    if any(isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < MOST_MICROSECONDS for rate in measured):
        return False
    return min(found.insert_near, found.insert_far, found.multiply, found.decrypt) > 0


def _write(path: Path, machine: dict[str, object], found: Rates) -> None:
    """Keep the rates, whole or not at all; a folder that cannot be written only means measuring again."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({"machine": machine, "rates": asdict(found)}, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError:
        return
