"""The estimator searches for its penalty."""

from __future__ import annotations

import numpy as np
import pytest
from support.estimators import estimator
from support.trials import X, Y


@pytest.mark.parametrize("encrypted", [True, False])
def test_the_penalty_may_be_searched_for(encrypted: bool) -> None:
    """The same one, encrypted and on plain numbers, and whatever the order of the customers."""
    searching = {"residual": "logistic", "solver": "lbfgs", "stop": "move", "alpha": "search", "max_leverage": 1.0}
    found = estimator(encrypted=encrypted, **searching).fit(X, Y).parties_["guest"]
    order = np.random.default_rng(0).permutation(len(X))
    other = estimator(encrypted=False, **searching).fit(X[order], Y.iloc[order]).parties_["guest"]
    assert found.facts["alpha"] == other.facts["alpha"]
    np.testing.assert_array_equal(found.weights, other.weights)
