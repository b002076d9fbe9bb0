"""Row privacy on real tables: leverages before and after the guards, what they merge and leave out, and the AUC.

    python bench/row_privacy.py FOLDER [NAME …]

FOLDER holds the data sets, each a folder with guest.csv.gz, host.csv.gz and meta.json. The twin trains: the same weights as encrypted.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from vflfast.binning.binner import Binner
from vflfast.learn.leverage import Leverage
from vflfast.learn.logistic import linear_predictor
from vflfast.learn.metrics import roc_auc
from vflfast.params import MIN_CLASS_SIZE
from vflfast.protocol.block import PartyInputs
from vflfast.protocol.row_guard import guard_rows, mend
from vflfast.protocol.settings import Settings
from vflfast.protocol.twin import train_twin
from vflfast.tables.table import Table, read_table

TEST_SHARE = 0.3
MEASURE = Settings(max_leverage=1.0, allow_wide=True)
NUMERIC = {("womens_clothing", "host"): "levels"}  # tf-idf weights


def tables(folder: Path, name: str) -> tuple[Table, Table]:
    """Guest and host, matched by id."""
    meta = json.loads((folder / name / "meta.json").read_text())
    read = []
    for party in ("guest", "host"):
        kinds = {column["name"]: column["kind"] for column in meta[f"{party}_columns"] if column["name"] not in ("id", meta["label"])}
        label = meta["label"] if party == "guest" else None
        dates = {"date_format": meta["date_format"]} if meta["date_format"] else {}
        path = folder / name / f"{party}.csv.gz"
        read.append(read_table(path, label_column=label, kinds=kinds, observation_date=meta["observation_date"], **dates))
    places = {customer: row for row, customer in enumerate(read[1].ids)}
    kept = [row for row, customer in enumerate(read[0].ids) if customer in places]
    return read[0].take(np.array(kept)), read[1].take(np.array([places[read[0].ids[row]] for row in kept]))


def coded(folder: Path, name: str, least: int) -> tuple[list[PartyInputs], list[Any], Any]:
    """Each side's inputs on the training rows, its columns on the test rows, and the test labels."""
    sides = tables(folder, name)
    digests = [hashlib.sha256(f"vflfast-split-v1:{customer}".encode()).hexdigest()[:8] for customer in sides[0].ids]
    test = np.array([int(digest, 16) / 2**32 < TEST_SHARE for digest in digests])
    inputs, later = [], []
    for party, table in zip(("guest", "host"), sides, strict=True):
        binner, parts = Binner.fit_transform(
            table, np.flatnonzero(~test), np.flatnonzero(test), numeric=NUMERIC.get((name, party), "five"), min_class_size=least
        )
        labels = sides[0].labels
        assert labels is not None
        own = labels[~test] if party == "guest" else None
        inputs.append(PartyInputs(parts[0], bytes(32), party, own, features=tuple(binner.column_names)))
        later.append(parts[1])
    return inputs, later, labels[test]


def auc(inputs: list[PartyInputs], later: list[Any], truth: Any) -> float:
    """Of the joint score on the test rows."""
    blocks = train_twin(inputs[0], inputs[1:], MEASURE)
    halves = [linear_predictor(matrix, *block.coefficients()) for matrix, block in zip(later, blocks, strict=True)]
    return roc_auc(truth, np.sum(halves, axis=0))


def told(found: Leverage | None) -> str:
    """A line about leverages."""
    assert found is not None
    return f"largest {found.largest:.3f}, above 0.2/0.5/0.9: " + "/".join(map(str, found.counts))


def main(folder: Path, names: list[str]) -> None:
    """Print a paragraph for each set."""
    for name in names or sorted(path.parent.name for path in folder.glob("*/meta.json")):
        before, later, truth = coded(folder, name, 1)
        after, after_later, _ = coded(folder, name, MIN_CLASS_SIZE)
        limit = dataclasses.replace(MEASURE, max_leverage=None)
        kept = [mend(one.organisation, one, limit) for one in after]
        print(f"{name}: {before[0].matrix.n_rows:,} training rows, {float((truth > 0).mean()):.1%} positive")
        for party, one, merged, mended in zip(("guest", "host"), before, after, kept, strict=True):
            print(f"  {party}: {one.matrix.n_columns} columns, classes of 1 row: {told(guard_rows(party, one, MEASURE))}")
            print(f"  {party}: {merged.matrix.n_columns} columns, of {MIN_CLASS_SIZE}: {told(guard_rows(party, merged, MEASURE))}")
            out = [merged.features[column] for column in mended.left_out]
            print(f"  {party}: mended: {told(guard_rows(party, mended, MEASURE))}; left out {len(out)}: {', '.join(out[:8])}")
        figures = auc(before, later, truth), auc(after, after_later, truth), auc(kept, after_later, truth)
        print("  AUC: classes of 1 row {:.4f}, of 10 {:.4f}, mended {:.4f}".format(*figures), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
