"""Sums over the salaries of two departments: one party encrypts, another computes, the first one decrypts."""

import numpy as np

import vflfast

cents = np.array([[310_050, 295_025, 410_000], [280_000, 330_075, 390_050]])
matrix = np.array([[1, 1], [1, -1]])  # the sum of both departments, and their difference

for scheme in ("paillier", "elgamal"):
    key = vflfast.generate_keypair(scheme=scheme)

    # whoever has the public key encrypts, and sends bytes
    sent = key.public.encrypt(cents).to_bytes()

    # whoever computes has the public key only; what leaves is put under fresh randomness
    public = vflfast.public_key_from_bytes(key.public.to_bytes())
    received = vflfast.WireArray.from_bytes(sent, public)
    answer = public.rerandomize(matrix @ received + 10_000).to_bytes()

    # the holder of the key reads the result
    opened = key.decrypt(vflfast.WireArray.from_bytes(answer, key.public))
    assert (opened == matrix @ cents + 10_000).all()
    print(scheme, (opened / 100).tolist())
