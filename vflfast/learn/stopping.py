"""The stop rule: a flag that is 1 once the loss has stood still for enough rounds in a row."""

from __future__ import annotations

from typing import Any

from ..errors import InputError, ModelError
from ..params import DEFAULT_N_ITER_NO_CHANGE, DEFAULT_TOL
from . import checks


class StopRule:
    """Flag = 1 when |Loss_t − Loss_(t−1)| ≤ tol in n_iter_no_change rounds in a row ([0131]–[0135], [0145]).

    Parameters
    ----------
    tol
        Largest change that counts as none, ≥ 0; 0.005 in the patent.
    n_iter_no_change
        Rounds in a row, ≥ 1; 15, up to 20, in the patent.

    Raises
    ------
    InputError
        Setting out of range.
    """

    def __init__(self, tol: float = DEFAULT_TOL, n_iter_no_change: int = DEFAULT_N_ITER_NO_CHANGE) -> None:
        self.tol = checks.number("tol", tol, least=0.0)
        self.n_iter_no_change = checks.count("n_iter_no_change", n_iter_no_change)
        self._still = 0
        self._loss: float | None = None

    @property
    def flag(self) -> bool:
        """The vote as it stands after the last observation."""
        return self._still >= self.n_iter_no_change

    def observe(self, loss: float) -> bool:
        """Take the loss of a round and return the flag; the first loss has no predecessor and counts as a change."""
        now = checks.number("loss", loss)
        previous, self._loss = self._loss, now
        return self._count(previous is not None and abs(now - previous) <= self.tol)

    def observe_change(self, mean_abs_change: float) -> bool:
        """Take mean|Δu″| of a round and return the flag (hardened profile).

        log(1 + e^(−y·u)) is 1-Lipschitz in u, so mean|Δu″| ≤ tol implies |ΔLoss| ≤ tol for every labelling.
        """
        return self._count(checks.number("mean_abs_change", mean_abs_change, least=0.0) <= self.tol)

    def observe_move(self, mean_abs_change: float, n_parties: int) -> bool:
        """Take mean|Δu| of a round of one of `n_parties` and return the flag: all together moved by `tol` at most."""
        return self._count(checks.number("mean_abs_change", mean_abs_change, least=0.0) * n_parties <= self.tol)

    def to_dict(self) -> dict[str, Any]:
        """Return settings and state, ready for JSON."""
        return {"tol": self.tol, "n_iter_no_change": self.n_iter_no_change, "still": self._still, "loss": self._loss}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> StopRule:
        """Rebuild a rule from `to_dict`; ModelError names the entry that is missing or wrong."""
        if not isinstance(saved, dict) or set(saved) != {"tol", "n_iter_no_change", "still", "loss"}:
            raise ModelError("stop rule", "must hold tol, n_iter_no_change, still, loss and nothing else")
        try:
            rule = cls(saved["tol"], saved["n_iter_no_change"])
            rule._still = checks.count("still", saved["still"], least=0)
            rule._loss = None if saved["loss"] is None else checks.number("loss", saved["loss"])
        except InputError as error:
            raise ModelError(error.argument, error.problem) from None
        return rule

    def _count(self, unchanged: bool) -> bool:
        self._still = self._still + 1 if unchanged else 0
        return self.flag
