"""Primes and moduli for the tests of keys."""

from __future__ import annotations

import gmpy2
import numpy as np

CONTEXT = b"session 5f1d, arbiter"


def prime_near(start: int, residue: int = 3) -> int:
    """The first prime ≡ residue (mod 4) above start."""
    prime = int(gmpy2.next_prime(start))
    while prime % 4 != residue:
        prime = int(gmpy2.next_prime(prime))
    return prime


HALF = 1 << 255  # primes just above make moduli of 511 or 512 bits
P, Q = prime_near(3 * HALF // 2), prime_near(7 * HALF // 4)
SMALL = [3, 5, 7, 11, 13, 101, 997, 65537, 1048573]


def with_factor(factor: int) -> int:
    """A 512-bit n ≡ 1 (mod 4) = factor · prime."""
    start = (3 << 510) // factor
    return factor * prime_near(start, residue=factor % 4)


BAD_MODULI: dict[str, object] = {
    "none": None,
    "bool": True,
    "float": float(2**511),
    "text": str(P * Q),
    "bytes": b"\x01" * 64,
    "mpz": gmpy2.mpz(P * Q),
    "numpy": np.int64(2**61 - 1),
    "list": [P * Q],
    "zero": 0,
    "one": 1,
    "minus one": -1,
    "negative": -P * Q,
    "even": P * Q + 1,
    "twice": 2 * P * prime_near(3 * HALF // 4),
    "power of two": 1 << 511,
    "511 bits": prime_near(HALF) * prime_near(HALF + (1 << 250)),
    "513 bits": P * Q + (1 << 512),
    "126 bits": prime_near(3 << 61) * prime_near(7 << 60),
    "4098 bits": (1 << 4097) + 1,
    "prime": int(gmpy2.next_prime(3 << 510)),
    "prime 1 mod 4": prime_near(3 << 510, residue=1),
    "square": P * P,
    "fourth power": prime_near(15 << 124) ** 4,
    "cube": prime_near(3 << 169) ** 3,
    "not 1 modulo 4": P * prime_near(Q, residue=1),
} | {f"factor {f}": with_factor(f) for f in SMALL}


def pair_with_common_factor(factor: int) -> tuple[int, int]:
    """Primes ≡ 3 (mod 4) whose predecessors share the odd prime `factor`."""
    found: list[int] = []
    start = 3 * HALF // 2 // factor
    while len(found) < 2:
        start += 1 << 200
        k = next(k for k in range(start, start + 10**6) if (k * factor + 1) % 4 == 3 and gmpy2.is_prime(k * factor + 1))
        found.append(k * factor + 1)
    return found[0], found[1]


def carmichael_near(start: int) -> int:
    """A Carmichael number (6k+1)(12k+1)(18k+1) of three primes above start: it passes Fermat's test for every base."""
    k = int(gmpy2.iroot(gmpy2.mpz(start // 1296), 3)[0]) + 1
    while not all(gmpy2.is_prime(c * k + 1) for c in (6, 12, 18)):
        k += 1
    return (6 * k + 1) * (12 * k + 1) * (18 * k + 1)


CARMICHAEL = carmichael_near(13 << 252)
BAD_PRIMES: dict[str, tuple[object, object]] = {
    "p none": (None, Q),
    "q none": (P, None),
    "p bool": (True, Q),
    "q bool": (P, False),
    "p text": (hex(P), Q),
    "q float": (P, float(Q)),
    "p mpz": (gmpy2.mpz(P), Q),
    "p zero": (0, Q),
    "p one": (1, Q),
    "p two": (2, Q),
    "q minus": (P, -Q),
    "p even": (P + 1, Q),
    "q even": (P, Q - 1),
    "equal": (P, P),
    "too close": (P, prime_near(P)),
    "too close by the limit": (P, prime_near(P + (1 << 150))),
    "three and q": (3, Q),
    "shorter p": (prime_near(1 << 253), Q),
    "longer q": (P, prime_near(3 << 256)),
    "p composite": (prime_near(3 << 126) * prime_near(1 << 128), Q),
    "q composite": (P, prime_near(7 << 125) * prime_near(1 << 128)),
    "p square": (prime_near(7 << 125) ** 2, Q),
    "q next odd": (P, Q + 2 if not gmpy2.is_prime(Q + 2) else Q + 4),
    "p carmichael": (CARMICHAEL, Q),
    "q carmichael": (P, CARMICHAEL),
    "p not blum": (prime_near(3 * HALF // 2, residue=1), Q),
    "q not blum": (P, prime_near(7 * HALF // 4, residue=1)),
    "neither blum": (prime_near(3 * HALF // 2, residue=1), prime_near(7 * HALF // 4, residue=1)),
    "common factor 3": pair_with_common_factor(3),
    "common factor 5": pair_with_common_factor(5),
    "common factor 65537": pair_with_common_factor(65537),
    "too small": (prime_near(3 << 60), prime_near(7 << 59)),
    "odd number of bits": (prime_near(HALF), prime_near(HALF + (1 << 250))),
    "too large": ((3 << 2048) + 1, (7 << 2047) + 1),
}
