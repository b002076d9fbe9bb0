"""The modules that mutation testing changes, and the tests that must notice."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Target:
    """A module, the functions of it that validate (all where none is named), and the files of their tests."""

    path: str
    tests: tuple[str, ...]
    functions: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").replace("/", ".")


TARGETS = {
    "keys": Target("vflfast/crypto/paillier/keys.py", (
        "crypto/paillier/test_keys.py", "crypto/paillier/test_key_proof.py", "crypto/paillier/test_keyfile.py",
        "attacks/test_bad_keys.py")),
    "ciphertexts": Target("vflfast/crypto/paillier/public.py", (
        "crypto/paillier/test_paillier.py", "crypto/paillier/test_randomness.py", "crypto/paillier/test_pool.py",
        "crypto/test_refusals.py"), (
        "parse", "check_bound", "_alpha_bits", "encrypt", "_encrypt_integers", "encrypt_encoded", "encrypt_with")),
    "received": Target("vflfast/crypto/paillier/ranges.py", ("crypto/paillier/test_paillier.py", "crypto/test_refusals.py")),
    "decryption": Target("vflfast/crypto/paillier/private.py", (
        "crypto/paillier/test_paillier.py", "crypto/paillier/test_randomness.py", "crypto/test_refusals.py"), (
        "_open", "_randomness", "blinding_factors")),
    "announcements": Target("vflfast/crypto/paillier/scheme.py", ("protocol/test_session.py", "attacks/test_bad_keys.py"), ("receive",)),
    "plans": Target("vflfast/crypto/slots.py", ("crypto/test_codec.py", "crypto/paillier/test_opening.py", "crypto/test_refusals.py")),
    "fixed point": Target("vflfast/crypto/codec.py", ("crypto/test_codec.py", "crypto/test_arrays.py", "crypto/test_refusals.py")),
    "array bytes": Target("vflfast/crypto/serial.py", ("crypto/test_serial.py",)),
    "messages": Target("vflfast/protocol/messages.py", (
        "protocol/test_messages.py", "protocol/test_link.py", "protocol/test_transcript.py")),
    "fields": Target("vflfast/protocol/fields.py", ("protocol/test_messages.py", "protocol/test_link.py", "protocol/test_transcript.py")),
    "leakage": Target("vflfast/protocol/leakage.py", ("protocol/test_leakage.py",)),
    "settings": Target("vflfast/protocol/settings.py", ("protocol/test_settings.py", "protocol/test_session.py")),
    "session": Target("vflfast/protocol/session.py", (
        "protocol/test_session.py", "attacks/test_bad_keys.py", "protocol/test_transcript.py")),
}  # fmt: skip
