"""Paillier keys: generation, validation, the proof that a modulus is square-free, the base of the randomness.

Integers only. Sources: crypto-core.md §3, assurance.md rules 6 and 7, FIPS 186-5 A.1.3, Goldberg, Reyzin, Sagga and
Baldimtsi 2018 (proof), Damgård, Jurik and Nielsen 2010 (subgroup base).
"""

from __future__ import annotations

import hashlib
import math
import secrets
from functools import lru_cache

import gmpy2

from ...errors import CheckError, InputError, InvalidKeyError
from ...params import (
    CHALLENGE_EXTRA_BITS,
    KEY_BITS,
    MILLER_RABIN_ROUNDS,
    MIN_PRIME_GAP_BITS,
    MIN_TEST_KEY_BITS,
    PROOF_CHALLENGES,
    SMALL_FACTOR_BOUND,
)

_PROOF_DOMAIN = b"vflfast square-free proof v1"


def generate_primes(key_bits: int, *, test_sizes: bool = False) -> tuple[int, int]:
    """Return random primes p ≡ q ≡ 3 (mod 4) of equal length with gcd(p−1, q−1) = 2 and n = p·q of exactly `key_bits` bits.

    Parameters
    ----------
    key_bits
        Bits of n: 2048, 3072 or 4096.
    test_sizes
        Also allow every even size from 128 to 4096 bits; such keys are for tests.

    Raises
    ------
    InvalidKeyError
        A size that is not offered.

    Notes
    -----
    Source: crypto-core.md §3; FIPS 186-5 A.1.3. All randomness is the operating system's.
    """
    _check_key_bits("key_bits", key_bits, test_sizes)
    p = _random_prime(key_bits // 2)
    while True:
        q = _random_prime(key_bits // 2)
        if math.gcd(p - 1, q - 1) == 2 and abs(p - q) > _min_gap(key_bits // 2):
            return p, q


def check_modulus(n: int, *, subgroup: bool = True, test_sizes: bool = False) -> None:
    """Check what can be seen of a public modulus: odd, exact size, composite, no perfect power, no prime factor below 2^20.

    Parameters
    ----------
    n
        The modulus, as an int.
    subgroup
        The key serves subgroup encryption, so n must also be ≡ 1 (mod 4), as every product of two primes ≡ 3 (mod 4) is.
    test_sizes
        Also accept the sizes of test keys.

    Raises
    ------
    InvalidKeyError
        Names the argument ``n``. Source: assurance.md rule 6.
    """
    _check_int("n", n)
    if n <= 0 or n % 2 == 0:
        raise InvalidKeyError("n", "must be a positive odd number")
    _check_key_bits("n", n.bit_length(), test_sizes)
    if subgroup and n % 4 != 1:
        raise InvalidKeyError("n", "is not a product of two primes that are 3 modulo 4")
    if _has_small_factor(n):
        raise InvalidKeyError("n", f"has a prime factor below {SMALL_FACTOR_BOUND}")
    if gmpy2.is_power(n):
        raise InvalidKeyError("n", "is a perfect power")
    if gmpy2.is_prime(n):
        raise InvalidKeyError("n", "is a prime")


def check_primes(p: int, q: int, *, subgroup: bool = True, test_sizes: bool = False) -> None:
    """Check that (p, q) is a private key: distinct primes of equal length, far apart, with gcd(n, (p−1)(q−1)) = 1.

    Parameters
    ----------
    p, q
        The primes, as ints.
    subgroup
        The key serves subgroup encryption, so p ≡ q ≡ 3 (mod 4) and gcd(p−1, q−1) = 2 are needed too.
    test_sizes
        Also accept the sizes of test keys.

    Raises
    ------
    InvalidKeyError
        Names ``p`` or ``q``; a relation between both names ``q``. Source: assurance.md rule 6.
    """
    for name, prime in (("p", p), ("q", q)):
        _check_int(name, prime)
        if prime < 3:
            raise InvalidKeyError(name, "must be an odd prime")
    if p.bit_length() != q.bit_length():
        raise InvalidKeyError("q", f"must have as many bits as p: {q.bit_length()} against {p.bit_length()}")
    _check_key_bits("q", (p * q).bit_length(), test_sizes)
    if p == q:
        raise InvalidKeyError("q", "must differ from p")
    if abs(p - q) <= _min_gap(p.bit_length()):
        raise InvalidKeyError("q", "is too close to p")
    for name, prime in (("p", p), ("q", q)):
        if not _is_prime(prime):
            raise InvalidKeyError(name, "is not a prime")
        if subgroup and prime % 4 != 3:
            raise InvalidKeyError(name, "must be 3 modulo 4 for subgroup encryption")
    # gcd(n, (p-1)(q-1)) = 1 follows: p | q-1 would need q >= 2p + 1, which has more bits than p.
    if subgroup and math.gcd(p - 1, q - 1) != 2:
        raise InvalidKeyError("q", "makes gcd(p-1, q-1) differ from 2, which subgroup encryption needs")


def prove_square_free(p: int, q: int, context: bytes) -> list[int]:
    """Return the n-th roots modulo n = p·q of challenges hashed from (context, n): they exist for all iff gcd(n, φ(n)) = 1.

    Parameters
    ----------
    p, q
        The private primes.
    context
        Session and role that the proof is bound to; not empty.

    Raises
    ------
    InvalidKeyError
        gcd(n, φ(n)) ≠ 1, so there is nothing to prove.
    CheckError
        A root failed its check (a computation fault; publishing it could give the factorisation away).

    Notes
    -----
    Source: Goldberg et al. 2018; assurance.md rule 6. Roots by CRT, with exponentiations in constant time.
    """
    _check_context(context)
    check_primes(p, q, subgroup=False, test_sizes=True)
    n = p * q
    exponent_p, exponent_q = gmpy2.invert(n, p - 1), gmpy2.invert(n, q - 1)
    q_inverse = gmpy2.invert(q, p)
    proof = []
    for index in range(PROOF_CHALLENGES):
        challenge = _challenge(n, context, index)
        root_p = gmpy2.powmod_sec(challenge % p, exponent_p, p)
        root_q = gmpy2.powmod_sec(challenge % q, exponent_q, q)
        root = int(root_q + q * ((root_p - root_q) * q_inverse % p))
        if gmpy2.powmod(root, n, n) != challenge:
            raise CheckError("square-free proof: a root failed its check")
        proof.append(root)
    return proof


def verify_square_free(n: int, proof: list[int], context: bytes) -> None:
    """Check root_i^n ≡ challenge_i (mod n) for each i and that n has no prime factor below 2^20.

    A modulus with gcd(n, φ(n)) ≠ 1, so each that is not square-free, passes with probability at most 2^(−20·PROOF_CHALLENGES).

    Parameters
    ----------
    n
        The modulus of the peer's public key.
    proof
        The roots, as ints.
    context
        Session and role, as the prover must have used them.

    Raises
    ------
    InvalidKeyError
        Names ``proof``, or ``n`` where it is no modulus at all. Source: Goldberg et al. 2018.
    """
    _check_context(context)
    _check_int("n", n)
    if n.bit_length() < MIN_TEST_KEY_BITS:
        raise InvalidKeyError("n", f"has fewer than {MIN_TEST_KEY_BITS} bits")
    if not isinstance(proof, list) or len(proof) != PROOF_CHALLENGES:
        raise InvalidKeyError("proof", f"must be a list of {PROOF_CHALLENGES} roots")
    if n < 0 or _has_small_factor(n):
        raise InvalidKeyError("proof", f"proves nothing: n is negative or has a prime factor below {SMALL_FACTOR_BOUND}")
    for index, root in enumerate(proof):
        _check_int("proof", root)
        if not 0 < root < n:
            raise InvalidKeyError("proof", f"root {index} is outside 1..n-1")
        if gmpy2.powmod(root, n, n) != _challenge(n, context, index):
            raise InvalidKeyError("proof", f"root {index} does not belong to this key, session and role")


def subgroup_base(n: int) -> int:
    """Return h_s = (−x² mod n)^n mod n² for a fresh random unit x: its powers are the randomness of ciphertexts.

    Each encrypting party draws its own. Source: Damgård, Jurik and Nielsen 2010; crypto-core.md §3.

    Raises
    ------
    InvalidKeyError
        n is not an odd int of at least 128 bits.
    """
    _check_int("n", n)
    if n.bit_length() < MIN_TEST_KEY_BITS or n < 0 or n % 2 == 0:
        raise InvalidKeyError("n", f"must be odd and of at least {MIN_TEST_KEY_BITS} bits")
    x = secrets.randbelow(n)
    while math.gcd(x, n) != 1:
        x = secrets.randbelow(n)
    return int(gmpy2.powmod(-x * x % n, n, n * n))


def fingerprint(n: int) -> str:
    """Return the first 16 hex digits of SHA-256 over the big-endian bytes of n.

    Raises
    ------
    InvalidKeyError
        n is not a positive int.
    """
    _check_int("n", n)
    if n <= 0:
        raise InvalidKeyError("n", "must be positive")
    return hashlib.sha256(_to_bytes(n)).hexdigest()[:16]


def _check_int(name: str, value: object) -> None:
    if type(value) is not int:
        raise InvalidKeyError(name, f"must be an int, not {type(value).__name__}")


def _check_key_bits(name: str, key_bits: int, test_sizes: bool) -> None:
    _check_int(name, key_bits)
    is_test_size = key_bits % 2 == 0 and MIN_TEST_KEY_BITS <= key_bits <= max(KEY_BITS)
    if key_bits not in KEY_BITS and not (test_sizes and is_test_size):
        raise InvalidKeyError(name, f"{key_bits}-bit keys are not offered; choose from {', '.join(map(str, KEY_BITS))}")


def _check_context(context: object) -> None:
    if not isinstance(context, bytes) or not context:
        raise InputError("context", "must be non-empty bytes that name the session and the role")


def _min_gap(prime_bits: int) -> int:
    return 1 << max(prime_bits - MIN_PRIME_GAP_BITS, 0)


def _random_prime(bits: int) -> int:
    # Uniform over the primes ≡ 3 (mod 4) in [√2·2^(bits−1), 2^bits): two of them make a product of exactly 2·bits bits.
    least = math.isqrt(1 << (2 * bits - 1)) + 1
    while True:
        candidate = secrets.randbits(bits) | 3
        if candidate >= least and _is_prime(candidate):
            return candidate


def _is_prime(x: int) -> bool:
    # Trial division and Baillie-PSW first: composites mostly leave here. Callers have x >= 2^63.
    if not gmpy2.is_prime(x):
        return False
    return all(gmpy2.is_strong_prp(x, 2 + secrets.randbelow(x - 3)) for _ in range(MILLER_RABIN_ROUNDS))


@lru_cache(maxsize=1)
def _small_primes_product() -> gmpy2.mpz:
    return gmpy2.primorial(SMALL_FACTOR_BOUND)


def _has_small_factor(n: int) -> bool:
    return bool(gmpy2.gcd(n, _small_primes_product()) != 1)


def _to_bytes(n: int) -> bytes:
    return n.to_bytes((n.bit_length() + 7) // 8, "big")


def _challenge(n: int, context: bytes, index: int) -> int:
    # SHA-256 in counter mode over length-prefixed parts, so that no two inputs share an encoding.
    n_bytes = _to_bytes(n)
    parts = b"".join(len(part).to_bytes(8, "big") + part for part in (_PROOF_DOMAIN, context, n_bytes))
    length = len(n_bytes) + CHALLENGE_EXTRA_BITS // 8
    blocks = (parts + index.to_bytes(4, "big") + counter.to_bytes(4, "big") for counter in range(-(-length // 32)))
    stream = b"".join(hashlib.sha256(block).digest() for block in blocks)
    challenge = int.from_bytes(stream[:length], "big") % n
    if math.gcd(challenge, n) != 1:  # never for an honest key: it would be a factor of n
        raise InvalidKeyError("n", "shares a factor with a hashed challenge")
    return challenge
