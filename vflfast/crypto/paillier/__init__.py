"""The Paillier scheme: keys and their files, encryption with precomputed powers, opening under masks."""
