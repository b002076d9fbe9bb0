"""Paillier on vectors: keys, ciphertext vectors, fixed point, packing, the coded product."""
