"""How far an AUC from few customers can be trusted."""

from __future__ import annotations

import math

USUAL_AUC = 0.75
FEW_LABELS = 30  # of one kind, below which a run warns


def auc_standard_error(n_positive: int, n_negative: int, auc: float = USUAL_AUC) -> float:
    """Return the standard error of an AUC over so many customers of both kinds (Hanley & McNeil 1982).

    Parameters
    ----------
    n_positive, n_negative
        Customers, at least 1 each.
    auc
        About what it is.
    """
    both_positive, both_negative = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    spread = auc * (1 - auc) + (n_positive - 1) * (both_positive - auc * auc) + (n_negative - 1) * (both_negative - auc * auc)
    return math.sqrt(max(spread, 0.0) / (n_positive * n_negative))


def few_labels(n_positive: int, n_rows: int, where: str) -> str | None:
    """Return a warning about too few customers of one kind, None where there are enough.

    Parameters
    ----------
    where
        What the customers are for, such as "in training".
    """
    n_negative = n_rows - n_positive
    if min(n_positive, n_negative) >= FEW_LABELS:
        return None
    rarer = "positive" if n_positive <= n_negative else "negative"
    text = f"only {min(n_positive, n_negative)} of {n_rows} customers {where} are {rarer}"
    if not min(n_positive, n_negative):
        return f"{text}: there is no AUC"
    return f"{text}: an AUC of {USUAL_AUC:g} from so few has a standard error of {auc_standard_error(n_positive, n_negative):.2f}"
