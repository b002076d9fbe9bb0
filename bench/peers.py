"""The libraries of `bench_peers`, each behind the same operations. What a library does not have stays as it is in `Peer`."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np

KEY_BITS = 2048
COUNT = 256
SIDE = 16  # of a square of COUNT numbers


class Peer:
    """One library: its operations on COUNT numbers."""

    name = ""
    note = ""
    tolerance = 0.0  # of an answer, as a share of the largest

    def encrypt(self, values: Any) -> Any: ...
    def decrypt(self, ciphertexts: Any) -> list[int]: ...
    def add(self, a: Any, b: Any) -> Any: ...
    def multiply(self, a: Any, factors: Any) -> Any: ...
    def product(self, codes: Any, ciphertexts: Any) -> Any: ...
    def square(self, ciphertexts: Any) -> Any: ...
    def flat(self, square: Any) -> Any: ...
    def matrix(self, matrix: Any, ciphertexts: Any) -> Any: ...
    def through_bytes(self, ciphertexts: Any) -> Any: ...


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

    def square(self, ciphertexts: Any) -> Any:
        return ciphertexts.reshape(SIDE, SIDE)

    def flat(self, square: Any) -> Any:
        return square.ravel()

    def matrix(self, matrix: Any, ciphertexts: Any) -> Any:
        return matrix @ ciphertexts

    def through_bytes(self, ciphertexts: Any) -> Any:
        return type(ciphertexts).from_bytes(ciphertexts.to_bytes(), self.key.public)


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

    def square(self, ciphertexts: Any) -> Any:
        return np.array(ciphertexts, dtype=object).reshape(SIDE, SIDE)

    def flat(self, square: Any) -> Any:
        return square.ravel().tolist()

    def matrix(self, matrix: Any, ciphertexts: Any) -> Any:
        return self.product(matrix, ciphertexts)

    def through_bytes(self, ciphertexts: Any) -> Any:
        from phe import paillier

        sent = json.dumps([(str(c.ciphertext(be_secure=False)), c.exponent) for c in ciphertexts])
        return [paillier.EncryptedNumber(self.public, int(c), e) for c, e in json.loads(sent)]


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

    def matrix(self, matrix: Any, ciphertexts: Any) -> Any:
        return self.product(matrix, ciphertexts)

    def through_bytes(self, ciphertexts: Any) -> Any:
        return pickle.loads(pickle.dumps(ciphertexts))


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

    def square(self, ciphertexts: Any) -> Any:
        return self.encryptor.encrypt(self.array(np.asarray(self.decrypt(ciphertexts)).reshape(SIDE, SIDE)))  # it has no reshape

    def flat(self, square: Any) -> Any:
        return square

    def matrix(self, matrix: Any, ciphertexts: Any) -> Any:
        return self.product(matrix, ciphertexts)

    def through_bytes(self, ciphertexts: Any) -> Any:
        return pickle.loads(pickle.dumps(ciphertexts))


class TenSeal(Peer):
    """CKKS: up to 4,096 approximate numbers in one ciphertext."""

    name = "TenSEAL CKKS"
    note = "another scheme, packed: a figure is a share of one ciphertext's; its answers are approximate, about one part in a million"
    tolerance = 1e-4

    def __init__(self) -> None:
        import tenseal

        self.tenseal = tenseal
        self.context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=8192, coeff_mod_bit_sizes=[60, 40, 40, 60])
        self.context.generate_galois_keys()
        self.context.global_scale = 2**40

    def encrypt(self, values: Any) -> Any:
        parts = np.array_split(np.asarray(values, dtype=np.float64), -(-len(values) // 4096))
        made = [self.tenseal.ckks_vector(self.context, part.tolist()) for part in parts]
        return made[0] if len(made) == 1 else made

    def decrypt(self, ciphertexts: Any) -> list[Any]:
        return [number for part in (ciphertexts if isinstance(ciphertexts, list) else [ciphertexts]) for number in part.decrypt()]

    def add(self, a: Any, b: Any) -> Any:
        return a + b

    def multiply(self, a: Any, factors: Any) -> Any:
        return a * np.asarray(factors, dtype=np.float64).tolist()

    def product(self, codes: Any, ciphertexts: Any) -> Any:
        return ciphertexts.matmul(np.asarray(codes, dtype=np.float64).T.tolist())

    def matrix(self, matrix: Any, ciphertexts: Any) -> Any:
        return self.product(matrix, ciphertexts)

    def through_bytes(self, ciphertexts: Any) -> Any:
        return self.tenseal.ckks_vector_from(self.context, ciphertexts.serialize())


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
        self.p, self.q, self.n, self.square_of_n = p, q, p * q, (p * q) ** 2
        self.h = gmpy2.powmod(seed.randrange(int(self.n)), self.n, self.square_of_n)
        self.hp, self.hq = gmpy2.invert(-q, p), gmpy2.invert(-p, q)
        self.random = seed

    def encrypt(self, values: Any) -> Any:
        alphas = [self.random.getrandbits(KEY_BITS // 2) for _ in values]
        masks = self.gmpy2.powmod_exp_list(self.h, alphas, self.square_of_n)
        return [(1 + int(v) * self.n) * r % self.square_of_n for v, r in zip(values, masks, strict=True)]

    def decrypt(self, ciphertexts: Any) -> list[int]:
        result = []
        for c in ciphertexts:
            a = (self.gmpy2.powmod(c, self.p - 1, self.p**2) // self.p) * self.hp % self.p
            b = (self.gmpy2.powmod(c, self.q - 1, self.q**2) // self.q) * self.hq % self.q
            m = int(b + self.q * ((a - b) * self.gmpy2.invert(self.q, self.p) % self.p))
            result.append(m - int(self.n) if m > self.n // 2 else m)
        return result

    def add(self, a: Any, b: Any) -> Any:
        return [x * y % self.square_of_n for x, y in zip(a, b, strict=True)]

    def multiply(self, a: Any, factors: Any) -> Any:
        return [self.gmpy2.powmod(x, int(f), self.square_of_n) for x, f in zip(a, factors, strict=True)]

    def product(self, codes: Any, ciphertexts: Any) -> Any:
        columns = []
        for row in codes.tolist():
            buckets = [self.gmpy2.mpz(1)] * 5
            for z, c in zip(row, ciphertexts, strict=True):
                if z:
                    buckets[z] = buckets[z] * c % self.square_of_n
            total = running = self.gmpy2.mpz(1)
            for bucket in buckets[:0:-1]:
                running = running * bucket % self.square_of_n
                total = total * running % self.square_of_n
            columns.append(total)
        return columns

    def matrix(self, matrix: Any, ciphertexts: Any) -> Any:
        products = []
        for row in matrix.tolist():
            total = self.gmpy2.mpz(1)
            for factor, c in zip(row, ciphertexts, strict=True):
                total = total * self.gmpy2.powmod(c, factor, self.square_of_n) % self.square_of_n
            products.append(total)
        return products

    def through_bytes(self, ciphertexts: Any) -> Any:
        return [self.gmpy2.from_binary(data) for data in [self.gmpy2.to_binary(c) for c in ciphertexts]]


PEERS: dict[str, Callable[[], Peer]] = {
    "vflfast": Vflfast,
    "vflfast ElGamal": VflfastElGamal,
    "phe": Phe,
    "fate-utils": FateUtils,
    "sf-heu Paillier": lambda: Heu("ZPaillier", "randomness of |n|/2 bits by a fixed-base table"),
    "sf-heu Okamoto-Uchiyama": lambda: Heu("OU", "another scheme; draws 110 bits of randomness"),
    "sf-heu EC-ElGamal": lambda: Heu("ElGamal", "another scheme; decrypts small numbers only"),
    "TenSEAL CKKS": TenSeal,
    "gmpy2 loop with buckets": GmpyBuckets,
}
OWN = ("vflfast", "vflfast ElGamal")
SMALL = ("vflfast ElGamal", "sf-heu EC-ElGamal", "TenSEAL CKKS")  # of small numbers only
