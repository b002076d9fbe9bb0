"""Calls every entry of the core with arrays of all shapes, types, strides and values, in a process of its own; made for a sanitized build.

`python core_fuzz.py SECONDS SEED` prints the calls made and those accepted, as JSON. A call either returns or raises ValueError, TypeError
or MemoryError; every other outcome ends the process. What a call would take for ever or all memory for (a slot of 2^31 bits) is left out.
"""

from __future__ import annotations

import faulthandler
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from vflfast.crypto import backend as be
from vflfast.crypto.backend import NativePrivate

P, Q = 308403573104543909093236866064764297963, 305204914217541148219330823174303655499
MODULI = (7 * 11, 2**61 - 1, P, P * Q, (P * Q) ** 2 | 1)
TYPES = (np.uint8, np.int64, np.uint32, np.float64, np.bool_, ">u8", object, np.complex128)
WORDS = (0, 1, 2, 2**52 - 1, 2**52, 2**63, 2**64 - 1)
SECONDS_OF_ONE = 20  # longer is a hang


def values(shape: tuple[int, ...], rng: random.Random) -> np.ndarray:
    kind = rng.random()
    if kind < 0.3:
        return np.full(shape, rng.choice(WORDS), dtype=np.uint64)
    made = np.frombuffer(rng.randbytes(8 * int(np.prod(shape))), dtype=np.uint64).reshape(shape).copy()
    return made >> np.uint64(rng.choice((1, 12, 32))) if kind < 0.7 else made


def signed(made: Any) -> Any:
    """The same words as signed ones, where they are words."""
    return made.view(np.int64) if isinstance(made, np.ndarray) and made.dtype == np.uint64 and made.flags.c_contiguous else made


def array(rng: random.Random, *shape: int) -> Any:
    """Mostly of that shape; else of another, of another type, strided, unaligned, or not an array at all."""
    kind = rng.random()
    if kind < 0.1:
        wrong = [*shape]
        wrong[rng.randrange(len(wrong))] = rng.choice((0, 1, 2, 3, 5, 17))
        return values(tuple(wrong), rng)
    if kind < 0.14:
        return values(shape[1:] if rng.random() < 0.5 else (1, *shape), rng)
    made = values(shape, rng)
    if kind < 0.2:
        with np.errstate(all="ignore"):
            return made.astype(rng.choice(TYPES))  # type: ignore[arg-type]
    if kind < 0.26:
        wide = np.repeat(made, 2, axis=-1)
        return rng.choice((made[::-1], made.T, wide[..., ::2], made[..., :-1], np.broadcast_to(made, (2, *made.shape))))
    if kind < 0.29:
        return np.frombuffer(b"\0" + made.tobytes(), dtype=np.uint8)[1:].view(np.uint64).reshape(made.shape)
    if kind < 0.31:
        made.setflags(write=False)
        return made
    return rng.choice((None, [], "x", made.tolist(), 5)) if kind < 0.33 else made


def number(rng: random.Random, *usual: int) -> Any:
    return rng.choice((0, -1, 2**31, 2**63, 2**64, None, 1.5)) if rng.random() < 0.08 else rng.choice(usual)


def threads(rng: random.Random) -> Any:
    return rng.choice((1, 1, 2, 3, 0, -5))


class Entries:
    """The core's objects for one modulus, and a call of each of their methods with what `rng` makes."""

    def __init__(self, backend: be.NativeBackend, n: int) -> None:
        self.backend, self.n = backend, n
        self.constants = backend.constants(n, 2)
        self.modulus = backend.core.Modulus(*self.constants)
        self.digits, self.limbs = self.modulus.digits, self.constants[1]
        self.table = backend.core.BaseTable(self.modulus, values((1, 2, self.digits), random.Random(0)) >> np.uint64(12), 40, 4, 1)
        self.decryptor = NativePrivate(backend, P, Q).decryptor if n == P * Q else None

    def rows(self, rng: random.Random, count: int) -> Any:
        return array(rng, count, 2, self.digits)

    def numbers(self, rng: random.Random, count: int, width: int) -> Any:
        return array(rng, count, width)

    def call(self, name: str, rng: random.Random) -> object:
        m, count, digits, limbs = self.modulus, rng.choice((0, 1, 2, 3, 7, 8, 9, 17)), self.digits, self.limbs
        rows, arrays = self.rows(rng, count), lambda width, c=count: self.numbers(rng, c, width)
        chain = number(rng, 1, 2, 3, 5)
        n_chains = -(-count // chain) if isinstance(chain, int) and chain > 0 else 1
        calls: dict[str, Callable[[], object]] = {
            "import_rows": lambda: m.import_rows(arrays(rng.choice((1, limbs, 2 * limbs))), threads(rng)),
            "export_rows": lambda: m.export_rows(rows, threads(rng)),
            "multiply": lambda: m.multiply(rows, self.rows(rng, rng.choice((count, count, 1))), threads(rng)),
            "add_plain": lambda: m.add_plain(rows, arrays(limbs), threads(rng)),
            "add_small": lambda: m.add_small(rows, signed(array(rng, count)), threads(rng)),
            "power": lambda: m.power(rows, arrays(rng.choice((1, 2)), rng.choice((count, 1))), threads(rng)),
            "product": lambda: m.product(rows, threads(rng)),
            "chain": lambda: m.chain(rows, chain, threads(rng)),
            "repeat": lambda: m.repeat(
                rng.choice(("mul", "sqr", "mul_residue", "mul_factor", "mul_factor_broadcast", "redc_mul", "", "x")),
                array(rng, self.backend.lanes, 2, digits), array(rng, self.backend.lanes, 2, digits), number(rng, 0, 1, 2, 7)),
            "unchain": lambda: m.unchain(arrays(digits), arrays(limbs, n_chains), rows, chain, threads(rng)),
            "factors": lambda: m.factors(rows, arrays(digits), threads(rng)),
            "invert": lambda: m.invert(rows, arrays(digits), threads(rng)),
            "pack": lambda: m.pack(rows, number(rng, 1, 2, 3, 5), rng.choice((1, 2, 17, 64, 0, -1, 2**40)), threads(rng)),
            "class_sums": lambda: m.class_sums(
                rows, array(rng, count, 3, digits), self.blocks(rng, count), rng.choice((1, 1, 2, 3, 0, -1)), threads(rng)),
            "combine": lambda: self.combine(rows, count, rng),
            "entries": lambda: self.backend.core.BaseTable(m, self.rows(rng, 1), number(rng, 1, 8, 64), number(rng, 1, 2, 4), 1).entries(),
            "encrypt": lambda: self.table.encrypt(
                rng.choice((None, rows)), rng.choice((None, arrays(limbs))), arrays(1), threads(rng)),
            "decrypt": lambda: self.decryptor and self.decryptor.decrypt(arrays(2 * limbs), threads(rng)),
            "Modulus": lambda: self.changed_modulus(rng),
        }  # fmt: skip
        return calls[name]()

    def blocks(self, rng: random.Random, n_rows: int) -> list[Any]:
        made = []
        for _ in range(rng.choice((0, 1, 1, 2, 9))):
            counts = [rng.choice((1, 2, 3, 5)) for _ in range(rng.randrange(1, 4))]
            if rng.random() < 0.06:
                counts = rng.choice(([], [0], [-1], [65536, 65536], [256, 256, 2], [2**31], [2**16] * 4, [-1, -1], [2**31 - 1] * 3))
            patterns = np.array([rng.randrange(max(1, abs(int(np.prod(counts[:3])))) + (rng.random() < 0.01)) % 65536
                                 for _ in range(n_rows)], dtype=np.uint16)  # fmt: skip
            listed: Any = None
            if rng.random() < 0.5:
                kept = sorted(rng.sample(range(n_rows), rng.randrange(n_rows + 1)))
                listed, patterns = np.array(kept, dtype=np.uint32), patterns[: len(kept)]
                if rng.random() < 0.06:
                    listed = rng.choice((listed[::-1], listed + np.uint32(1), listed.astype(np.int64), "x", listed.reshape(-1, 1)))
            made.append((counts, patterns if rng.random() < 0.95 else array(rng, n_rows), listed, rng.choice((-1, 0, 1, 5))))
        return made

    def combine(self, rows: Any, count: int, rng: random.Random) -> object:
        n_columns = rng.choice((0, 1, 2, 33))
        first = np.array([rng.randrange(-1 if rng.random() < 0.03 else 0, count + 1) for _ in range(n_columns)], dtype=np.int64)
        classes = np.array([rng.choice((1, 1, 2, 0, 2**62)) if rng.random() < 0.1 else 1 for _ in range(n_columns)], dtype=np.int64)
        exponents = np.array([[rng.choice((0, 1, -1, 5, -(2**63), 2**63 - 1)) for _ in range(3)] for _ in range(n_columns)], dtype=np.int64)
        return self.modulus.combine(rows, first, classes, exponents.reshape(n_columns, 3), threads(rng))

    def changed_modulus(self, rng: random.Random) -> object:
        """The constructor with one constant of another kind, and one product with what it made."""
        parts = list(self.constants)
        k = rng.randrange(len(parts))
        if isinstance(parts[k], np.ndarray):
            parts[k] = array(rng, *parts[k].shape) if rng.random() < 0.7 else np.resize(parts[k], rng.choice((0, 1, 2, 80, 81, 200)))
        else:
            parts[k] = rng.choice((0, 1, -1, 79, 80, 2**31, 2**63, "ifma", "portable", None))
        made = self.backend.core.Modulus(*parts)
        return made.multiply(values((2, 2, made.digits), rng), values((2, 2, made.digits), rng), 1)


NAMES = (
    "import_rows", "export_rows", "multiply", "add_plain", "add_small", "power", "product", "repeat", "chain", "unchain",
    "factors", "invert", "pack", "class_sums", "combine", "entries", "encrypt", "decrypt", "Modulus",
)  # fmt: skip


def main(seconds: float, seed: int) -> None:
    made, accepted = Counter[str](), Counter[str]()
    entries = [
        Entries(backend, n)
        for kernel in be.available() if kernel != "gmpy2" and isinstance(backend := be.select(kernel), be.NativeBackend)
        for n in MODULI
    ]  # fmt: skip
    end, number_of_call = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        rng = random.Random(seed * 2**40 + number_of_call)
        entry, name = rng.choice(entries), rng.choice(NAMES)
        number_of_call += 1
        made[name] += 1
        faulthandler.dump_traceback_later(SECONDS_OF_ONE, exit=True)
        try:
            entry.call(name, rng)
        except (ValueError, TypeError, MemoryError):
            continue
        except BaseException:
            print(f"seed {seed}, call {number_of_call - 1}: {name}", file=sys.stderr)
            raise
        finally:
            faulthandler.cancel_dump_traceback_later()
        accepted[name] += 1
    print(json.dumps({"calls": made, "accepted": accepted}))


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
