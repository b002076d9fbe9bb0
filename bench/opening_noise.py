"""What `opening_noise` hides of a customer who is alone in a column, and what it costs in AUC, on real tables.

    python bench/opening_noise.py FOLDER NAME …

FOLDER is as for row_privacy.py. The rounds are the twin's, with the arbiter's noise on every opened sum.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from row_privacy import MEASURE, coded

from vflfast.learn.logistic import cross_product, linear_predictor, residual_offset
from vflfast.learn.metrics import roc_auc
from vflfast.params import MIN_CLASS_SIZE
from vflfast.protocol.block import Block, PartyInputs
from vflfast.protocol.noise import Noise

C = (0.0, 0.05, 0.1, 0.25)
SEEDS = 3
ALONE = 2000  # customers with a column of their own, each read by itself


def train(inputs: list[PartyInputs], c: float, seed: int) -> tuple[list[Block], Any]:
    """Train with noise; return the blocks, and 4g of some customers in each round, shape (rounds, ALONE)."""
    settings = dataclasses.replace(MEASURE, opening_noise=c)
    total = sum(one.matrix.n_columns for one in inputs)
    blocks = [Block(one, settings, total, len(inputs), has_intercept=i == 0) for i, one in enumerate(inputs)]
    n_rows = inputs[0].matrix.n_rows
    noise, secret, seen = Noise.agreed(settings, n_rows, len(inputs)), seed.to_bytes(32, "big"), []
    alone = np.random.default_rng(seed).choice(n_rows, min(ALONE, n_rows), replace=False)
    for round_ in range(1, settings.max_iter + 1):
        residual = residual_offset(blocks[0].fixed_predictor(slice(None)), blocks[0].own_labels(), settings.frac_bits)
        residual = residual + sum(block.fixed_predictor(slice(None)) for block in blocks[1:])
        seen.append(residual[alone] / 2.0**settings.frac_bits)
        for i, block in enumerate(blocks):
            added = np.array(noise.draw(secret, b"", round_, str(i), block.matrix.n_columns + 1) or [0] * (block.matrix.n_columns + 1))
            sums = cross_product(block.matrix, residual) + added[:-1]
            block.update(sums.tolist(), int(residual.sum()) + int(added[-1]), n_rows)
        if all(block.flag for block in blocks):
            break
    return blocks, (np.array(seen), blocks[0].own_labels()[alone])


def reads(seen: Any, labels: Any, c: float, n_rows: int, rounds: int) -> float:
    """Share of customers read right from their own column, by the mean over the first rounds."""
    deviation = c * math.sqrt(n_rows)
    noisy = seen[:rounds] + deviation * np.random.default_rng(1).standard_normal((rounds, seen.shape[1]))
    return float((np.where(noisy.mean(axis=0) < 0, 1, -1) == labels).mean())


def main(folder: Path, names: list[str]) -> None:
    """Print a table for each set."""
    for name in names:
        inputs, later, truth = coded(folder, name, MIN_CLASS_SIZE)
        n_rows = inputs[0].matrix.n_rows
        print(f"{name}: {n_rows:,} training rows")
        print("    c  noise    one round: computed, measured   all rounds: measured   rounds    AUC")
        for c in C:
            aucs, rounds, one, every = [], [], [], []
            for seed in range(SEEDS if c else 1):
                blocks, (seen, labels) = train(inputs, c, seed)
                halves = [linear_predictor(matrix, *block.coefficients()) for matrix, block in zip(later, blocks, strict=True)]
                aucs.append(roc_auc(truth, np.sum(halves, axis=0)))
                rounds.append(len(seen))
                one.append(reads(seen, labels, c, n_rows, 1))
                every.append(reads(seen, labels, c, n_rows, len(seen)))
            computed = NormalDist().cdf(2 / (c * math.sqrt(n_rows))) if c else 1.0
            told = f"{computed:21.2f}, {np.mean(one):8.2f} {np.mean(every):22.2f} {np.mean(rounds):8.0f} {np.mean(aucs):6.4f}"
            print(f"{c:5.2f} {c * math.sqrt(n_rows):6.1f} {told}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
