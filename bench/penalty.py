"""The search for the penalty on real tables: what it tries and takes, beside every value of its grid on all rows.

    python bench/penalty.py FOLDER [NAME …]

FOLDER is as for row_privacy.py. The twin trains: the same weights as encrypted.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
from logistic import NEW, log_loss
from row_privacy import coded

from vflfast.errors import BoundError
from vflfast.learn.logistic import linear_predictor
from vflfast.learn.metrics import roc_auc
from vflfast.learn.penalty import held_out, penalties
from vflfast.learn.solver import auto_alpha
from vflfast.params import MIN_CLASS_SIZE
from vflfast.protocol.block import Block, PartyInputs
from vflfast.protocol.settings import Settings
from vflfast.protocol.twin import train_twin

Figures = tuple[list[Block], float, float]


def main(folder: Path, names: list[str]) -> None:
    """Print a paragraph for each set; a penalty that the search takes must be within 2 % of the best of the grid."""
    for name in names or sorted(path.parent.name for path in folder.glob("*/meta.json")):
        inputs, later, truth = coded(folder, name, MIN_CLASS_SIZE)
        n_rows, labels = inputs[0].matrix.n_rows, inputs[0].labels
        assert labels is not None
        marked = dataclasses.replace(inputs[0], held_out=held_out([str(i) for i in range(n_rows)], labels))
        blocks, loss, auc = trained([marked, *inputs[1:]], dataclasses.replace(NEW, alpha="search"), later, truth)
        search = blocks[0].search
        assert search is not None
        print(f"{name}: alpha {blocks[0].alpha:.4g}, log loss {loss:.4f}, AUC {auc:.4f}, {len(blocks[0].losses)} rounds, "
              f"{search.rounds} of them searching", flush=True)  # fmt: skip
        print("  tried: " + ", ".join(f"{alpha:.4g}: {found:.4f}" for alpha, found in search.tried()), flush=True)
        best = [loss]
        for alpha in penalties(auto_alpha(sum(one.matrix.n_columns for one in inputs), n_rows)):
            try:
                blocks, found, auc = trained(inputs, dataclasses.replace(NEW, alpha=alpha), later, truth)
            except BoundError as error:
                print(f"  {alpha:<10.4g} {error.argument}: {error.problem[:60]}…", flush=True)
                continue
            best.append(found)
            print(f"  {alpha:<10.4g} log loss {found:.4f}, AUC {auc:.4f}, {len(blocks[0].losses)} rounds", flush=True)
        assert loss <= 1.02 * min(best), (name, loss, min(best))


def trained(inputs: list[PartyInputs], settings: Settings, later: list[Any], truth: Any) -> Figures:
    """Blocks, and log loss and AUC of later customers."""
    blocks = train_twin(inputs[0], inputs[1:], settings)
    u = np.sum([linear_predictor(m, *block.coefficients()) for m, block in zip(later, blocks, strict=True)], axis=0)
    return blocks, log_loss(truth, u), roc_auc(truth, u)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
