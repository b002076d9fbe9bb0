"""One exception tree.

Every message names the argument, or the party and the step, says what was wrong and gives the limit; it never
contains a secret value.
"""

from __future__ import annotations


class VflError(Exception):
    """Root of every error that vflfast raises on purpose.

    Attributes
    ----------
    place
        Where it came up, said before the message: the file; party, round and step of the run that it ended ("host1, round 3, update").
    """

    place = ""

    def __str__(self) -> str:
        said = f"{self.place}: {self._what()}" if self.place else super().__str__()
        # names come from files and peers: what a terminal would obey, and half characters that nothing can write, are shown escaped
        return said if said.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in said)

    def _what(self) -> str:
        """What is said after the place."""
        return super().__str__()


class InputError(VflError, ValueError):
    """An argument of a public function is unusable.

    Parameters
    ----------
    argument
        Name of the offending argument, setting, column or file.
    problem
        What was wrong and what would be accepted.
    """

    def __init__(self, argument: str, problem: str) -> None:
        super().__init__(f"{argument}: {problem}")
        self.argument = argument
        self.problem = problem


class PrecisionWarning(UserWarning):
    """Numbers that a fixed-point scale is too coarse for: they lose a part of their value."""


class InvalidKeyError(InputError):
    """A public or private key that must not be used."""


class CiphertextError(InputError):
    """A ciphertext outside the group, of another key, or of the wrong count."""


class BoundError(InputError):
    """A number above its agreed bound, or a plan that cannot prove there is no overflow."""


class DataError(InputError):
    """A table, column, id or cell that cannot be read as declared."""


class ModelError(InputError):
    """A saved model that is damaged, of another version, or of another session."""


class JournalError(VflError):
    """A party's journal that cannot be read, written or locked; the run can go on once the cause is gone."""


class CheckError(VflError):
    """A result failed its integrity check (check column, CRT fault check, declared bound)."""


class BackendError(VflError):
    """The requested arithmetic backend cannot be had on this machine."""


class ClusterError(VflError):
    """The workers of a party's own cluster are gone or fail; the run can go on with others."""


class LeakageGuardError(VflError):
    """The settings would let one party solve for another's data."""


class ProtocolError(VflError):
    """A peer broke the protocol.

    Parameters
    ----------
    party
        The party at fault, as this party sees it.
    step
        The protocol step at which it happened.
    problem
        What was wrong.
    """

    def __init__(self, party: str, step: str, problem: str) -> None:
        super().__init__(f"{party}, {step}: {problem}")
        self.party = party
        self.step = step
        self.problem = problem

    def _what(self) -> str:
        return self.problem  # the place names party and step


class PeerTimeoutError(ProtocolError):
    """A peer that is needed was not heard of for too long; the journals are whole and the run can go on."""


class PeerAbortError(ProtocolError):
    """Another party, the teller, ended the run; party, step, problem and round are those that it told."""

    def __init__(self, party: str, step: str, problem: str, *, round_: int = 0, teller: str = "") -> None:
        super().__init__(party, step, problem)
        self.round = round_
        self._told = f" (as {teller} told)" if teller not in ("", party) else ""

    def _what(self) -> str:
        return super()._what() + self._told


class DeadlockError(ProtocolError):
    """Every party waits for another one."""
