"""The mean salary of four departments: one party encrypts, another computes, the first one decrypts."""

import numpy as np

import vflfast

salaries = np.array([[3100.50, 2950.25, 4100.00], [2800.00, 3300.75, 3900.50]])
weights = np.array([[0.5, 0.5], [1.0, -1.0]])  # means of both rows, and their difference

for scheme in ("paillier", "elgamal"):
    key = vflfast.generate_keypair(scheme=scheme)

    # whoever has the public key encrypts, and sends bytes
    sent = key.public.encrypt(salaries).to_bytes()

    # whoever computes has the public key only
    public = vflfast.public_key_from_bytes(key.public.to_bytes())
    received = vflfast.CipherArray.from_bytes(public, sent)
    found = weights @ received + 10
    answer = public.rerandomize(found).to_bytes()

    # the holder of the key reads the result
    opened = key.decrypt(vflfast.CipherArray.from_bytes(key.public, answer))
    assert np.allclose(opened, weights @ salaries + 10)
    print(scheme, opened.round(2).tolist())
