"""Lifted ElGamal over ristretto255: keys, encryption, openings without masks, key files."""
