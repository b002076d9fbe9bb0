"""Proofs of the key holder: that it knows its key, and that it opened a batch with it. Non-interactive by SHA-512 (Fiat and Shamir).

Sources: Schnorr 1991; Chaum and Pedersen 1992, batched by a random linear combination (Bellare, Garay and Rabin 1998).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from ...errors import CheckError, InvalidKeyError
from .. import backend as be
from .. import engine
from .. import limbs as lm
from ..coded import CodedMatrix
from ..context import BaseTerm, CurveContext, Vector
from ..curve import CODE_LIMBS, GENERATOR, HALF, ORDER, ORDER_BITS, random_scalars
from ..limbs import Limbs

PROOF_ROWS = 2  # challenge and response, a row of limbs each
WEIGHT_BYTES = 16  # a false batch passes with probability 2^-128
_KEY_DOMAIN, _OPENING_DOMAIN, _WEIGHT_DOMAIN = (b"vflfast elgamal " + name for name in (b"key v1", b"opening v1", b"weights v1"))


class Generator:
    """The group of single points with tables of the generator and of half of it."""

    def __init__(self, curve: CurveContext, code: Limbs) -> None:
        self.curve = curve
        self.point = curve.load(code)
        self.table = curve.base(self.point)
        self.half_table = curve.base(self.times(_scalar(HALF)))

    @classmethod
    def of_backend(cls) -> Generator:
        """Return the generator in the arithmetic in use."""
        return cls(be.current().curve(1), np.frombuffer(GENERATOR, dtype="<u8").reshape(1, CODE_LIMBS).astype(np.uint64))

    def times(self, scalars: Limbs) -> Vector:
        """Return scalar · G in constant time."""
        return self.curve.add_terms(None, len(scalars), [BaseTerm(0, self.table, scalars, ORDER_BITS)])


def prove_key(generator: Generator, secret: Limbs, public: Limbs, context: bytes) -> Limbs:
    """Return a proof of knowledge of s with H = s·G, bound to `context`, shape (2, 4)."""
    k = random_scalars(1)
    challenge = _challenge(_KEY_DOMAIN, context, [public, generator.curve.store(generator.times(k))])
    return _response(challenge, secret, k)


def verify_key(generator: Generator, public: Limbs, proof: Limbs, context: bytes) -> None:
    """Check a proof of `prove_key`; InvalidKeyError."""
    curve = generator.curve
    try:
        challenge, response = _parts(proof)
    except CheckError:
        raise InvalidKeyError("h", "comes without a proof that its sender knows the private key") from None
    commitment = _difference(curve, generator.times(_scalar(response)), curve.load(public), challenge)
    if _challenge(_KEY_DOMAIN, context, [public, curve.store(commitment)]) != challenge:
        raise InvalidKeyError("h", "its proof of the private key does not hold for this session")


def prove_opening(generator: Generator, secret: Limbs, public: Limbs, points: tuple[Vector, Limbs], opened: tuple[Vector, Limbs]) -> Limbs:
    """Return a proof that every opened point is s times its request, for H = s·G, shape (2, 4); pairs of points and their encodings."""
    curve, k = generator.curve, random_scalars(1)
    statement = [public, points[1], opened[1]]
    (request, _), codes = _joined(curve, points[0], opened[0], statement)
    commitments = curve.store(np.concatenate([generator.times(k), curve.scale(request, k)]))
    return _response(_challenge(_OPENING_DOMAIN, b"", [*statement, codes, commitments]), secret, k)


def verify_opening(generator: Generator, public: Limbs, points: tuple[Vector, Limbs], opened: tuple[Vector, Limbs], proof: Limbs) -> None:
    """Check a proof of `prove_opening`; CheckError."""
    curve = generator.curve
    challenge, response = _parts(proof)
    statement = [public, points[1], opened[1]]
    (request, answer), codes = _joined(curve, points[0], opened[0], statement)
    held = _difference(curve, generator.times(_scalar(response)), curve.load(public), challenge)
    other = _difference(curve, curve.scale(request, _scalar(response)), answer, challenge)
    commitments = curve.store(np.concatenate([held, other]))
    if _challenge(_OPENING_DOMAIN, b"", [*statement, codes, commitments]) != challenge:
        raise CheckError("opening: the key holder's proof does not hold; corruption or tampering")


def _joined(curve: CurveContext, points: Vector, opened: Vector, statement: list[Limbs]) -> tuple[tuple[Vector, Vector], Limbs]:
    """Return Σ w_i·P_i and Σ w_i·D_i with weights that the whole statement decides, and their encodings."""
    seed = hashlib.sha512(_framed(_WEIGHT_DOMAIN, statement)).digest()
    stream = hashlib.shake_256(seed).digest(WEIGHT_BYTES * len(points))
    digits = np.ascontiguousarray(np.frombuffer(stream, dtype=np.uint8).reshape(len(points), WEIGHT_BYTES).T)
    columns = CodedMatrix(digits, np.full(WEIGHT_BYTES, 256))  # a column a byte: weights and points are no secrets
    with engine.use(None):  # a thousand points are not worth sharing out, and single points have no key that a worker could make
        sums = [_by_horner(curve, columns.product(_Points(curve, vector))[0].vector) for vector in (points, opened)]
    return (sums[0], sums[1]), curve.store(np.concatenate(sums))


def _by_horner(curve: CurveContext, digits: Vector) -> Vector:
    """Return Σ_k 256^k · digit sum k."""
    total = digits[-1:]
    for k in range(len(digits) - 2, -1, -1):
        total = curve.multiply(curve.power(total, _scalar(256)), digits[k : k + 1])
    return total


@dataclass
class _Points:
    """Points as a coded product takes ciphertexts, without bounds: what they hold is a group element."""

    context: CurveContext
    vector: Vector
    bound: int = 0

    @property
    def public(self) -> _Points:
        return self

    def check_bound(self, bound: int) -> None:
        """Nothing can wrap around."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(count,)."""
        return (len(self.vector),)

    def like(self, vector: Vector, bound: int) -> _Points:
        """Return other points of the group."""
        return _Points(self.context, vector)


def _difference(curve: CurveContext, left: Vector, point: Vector, factor: int) -> Vector:
    """Return left − factor · point."""
    return curve.multiply(left, curve.invert(curve.power(point, _scalar(factor))))


def _response(challenge: int, secret: Limbs, k: Limbs) -> Limbs:
    response = (lm.to_ints(k)[0] + challenge * lm.to_ints(secret)[0]) % ORDER
    lm.wipe(k)
    return lm.from_ints([challenge, response], CODE_LIMBS)


def _parts(proof: Limbs) -> tuple[int, int]:
    if not isinstance(proof, np.ndarray) or proof.dtype != np.uint64 or proof.shape != (PROOF_ROWS, CODE_LIMBS):
        raise CheckError("opening: a proof has two numbers")
    challenge, response = lm.to_ints(proof)
    if challenge >= ORDER or response >= ORDER:
        raise CheckError("opening: a proof's numbers are below the group order")
    return challenge, response


def _scalar(value: int) -> Limbs:
    return lm.from_ints([value], CODE_LIMBS)


def _challenge(domain: bytes, context: bytes, parts: list[Limbs]) -> int:
    framed = _framed(domain + len(context).to_bytes(8, "big") + context, parts)
    return int.from_bytes(hashlib.sha512(framed).digest(), "little") % ORDER


def _framed(prefix: bytes, parts: list[Limbs]) -> bytes:
    pieces = [prefix]
    for part in parts:
        data = np.ascontiguousarray(part, dtype="<u8").tobytes()
        pieces += [len(data).to_bytes(8, "big"), data]
    return b"".join(pieces)
