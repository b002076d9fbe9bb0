"""Rows that a party's own columns set apart: measured, refused or mended by each data party before anything of it is encrypted.

Whoever gets Zᵀg opened learns of row i's residual the share h_i, its leverage (learn/leverage.py). With several rows in a ciphertext the
columns are those of every digit of the products; with host_woe a host's are its classes, whose sums the values come from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..crypto.coded import CodedMatrix
from ..errors import LeakageGuardError
from ..learn.checks import Ints
from ..learn.leverage import EXACT_COLUMNS, LIMITS, Leverage, leverages, reductions
from ..params import MAX_GRAM_COLUMNS
from . import woe
from .block import PartyInputs, partition
from .leakage import guard_batches
from .packing import RowPacking
from .settings import Settings

SHOWN = 5  # rows and features that an error names
MOST_ROWS = 1024  # above the limit, the highest, that say which column is to blame
AT_ONCE = 50  # of a table too wide to be measured for each column that is left out, a fiftieth goes at once
MOST_TRIED_AGAIN = 50  # features left out that are tried again, each with a measurement of all rows
EVERYTHING = 1.0  # as limit: rows may be given away whole


def guard_rows(party: str, inputs: PartyInputs, settings: Settings) -> Leverage | None:
    """Return what the party's sums can tell of single rows, over all batches; None of a table too wide to be measured, if all rows may be.

    Raises
    ------
    LeakageGuardError
        Rows above the agreed limit; it names them, the features whose class there is smallest, and the way on. More columns than the
        rows allow, or than can be measured.
    """
    limit, found = settings.leverage_limit, []
    n_rows, n_columns = inputs.matrix.shape
    guard_batches(n_rows, n_columns, settings.n_batches, settings.row_packing, allow_wide=settings.allow_wide)
    for where, rows, batch in _parts(inputs, inputs.matrix, settings):
        columns = _equations(party, batch, settings)[0]
        if columns.n_columns > MAX_GRAM_COLUMNS:
            if limit < EVERYTHING:
                raise LeakageGuardError(
                    f"max_leverage: {columns.n_columns} columns of {party} are more than can be measured, {MAX_GRAM_COLUMNS}; "
                    f"leave columns out, or set max_leverage = 1 at all parties"
                )
            return None
        one = leverages(columns, limit)
        if one.rows:
            told = _refusal(party, inputs, batch, one, np.arange(inputs.matrix.n_rows)[rows], settings)
            raise LeakageGuardError(f"max_leverage: the columns of {party} set {len(one.rows)} rows{where} apart: {told}")
        found.append(one)
    above = {at: sum(one.above[at] for one in found) for at in LIMITS}
    return Leverage(max(one.largest for one in found), above, [])


def mend(party: str, inputs: PartyInputs, settings: Settings) -> PartyInputs:
    """Leave out as few features or columns as it takes for every row to be within the agreed limit.

    Again and again the column that sets most rows apart is left out; then each is tried again. A column that is left out is 0 in every
    row, so its opened sum is 0 and its weight 0; with host_woe a feature that is left out has one class.

    Returns
    -------
    PartyInputs
        `left_out` holds the numbers of the columns, ascending.

    Raises
    ------
    LeakageGuardError
        Nothing would be left: the table has too many columns for its rows.
    """
    out: list[int] = []
    while blamed := _to_blame(party, inputs, _without(inputs, out, party, settings), settings):
        if set(blamed) <= set(out) or len(set(out + blamed)) == inputs.matrix.n_columns:
            raise LeakageGuardError(
                f"fix_leverage: no column of {party} can be kept: {inputs.matrix.n_columns} columns for {inputs.matrix.n_rows} rows; the "
                f"limit is {settings.leverage_limit:g}. Bring more rows"
            )
        out = sorted({*out, *blamed})
    for column in list(out) if inputs.matrix.n_columns <= EXACT_COLUMNS and len(out) <= MOST_TRIED_AGAIN else ():
        rest = [other for other in out if other != column]
        if not _to_blame(party, inputs, _without(inputs, rest, party, settings), settings):
            out = rest
    return dataclasses.replace(inputs, matrix=_without(inputs, out, party, settings), left_out=tuple(out))


def _to_blame(party: str, inputs: PartyInputs, matrix: CodedMatrix, settings: Settings) -> list[int]:
    """Of the first batch with rows above the limit the column that sets them apart most, of a wide table several; else []."""
    limit = settings.leverage_limit
    for _, _, batch in _parts(inputs, matrix, settings):
        columns, owners = _equations(party, batch, settings)
        rows = np.array(leverages(columns, limit).rows[:MOST_ROWS], dtype=np.int64)
        if rows.size:
            shares = np.zeros((matrix.n_columns, rows.size))
            np.add.at(shares, owners[owners >= 0], reductions(columns, rows)[owners >= 0])
            most = max(1, columns.n_columns // AT_ONCE) if columns.n_columns > EXACT_COLUMNS else 1
            worst = np.unique(shares.argmax(axis=0))
            order = np.argsort(-shares.sum(axis=1)[worst], kind="stable")
            return [int(column) for column in worst[order[:most]]]
    return []


def _parts(inputs: PartyInputs, matrix: CodedMatrix, settings: Settings) -> Iterator[tuple[str, Any, CodedMatrix]]:
    """The rows that sums run over: all of every batch; and where the guest holds rows out, the others, and by difference those."""
    for number, (rows, batch) in enumerate(partition(matrix, settings.n_batches), start=1):
        yield f" of batch {number}" if settings.n_batches > 1 else "", rows, batch
    if inputs.held_out is not None:
        for where, own in ((" of those that are not held out", ~inputs.held_out), (" of those held out", inputs.held_out)):
            rows = np.flatnonzero(own)
            yield f'{where} (alpha = "search")', rows, matrix.take_rows(rows)


def _equations(party: str, batch: CodedMatrix, settings: Settings) -> tuple[CodedMatrix, Ints]:
    """Return the columns whose sums a batch opens, and for each of them the party's column that it comes from, -1 for one of ones."""
    if settings.host_woe and party != "guest":
        return woe.indicators(batch), np.repeat(np.arange(batch.n_features), batch.class_counts)
    columns = RowPacking(settings.row_packing).equations(batch)
    owners = np.arange(columns.n_columns) % batch.n_columns
    owners[(2 * settings.row_packing - 1) * batch.n_columns :] = -1
    return columns, owners


def _without(inputs: PartyInputs, columns: Sequence[int], party: str, settings: Settings) -> CodedMatrix:
    """The party's matrix with the value 0 in these columns; with host_woe, in which a column is a feature, with one class in them."""
    matrix = inputs.matrix
    if not columns:
        return matrix
    if settings.host_woe and party != "guest":
        codes = matrix.codes.copy()
        codes[list(columns)] = 0
        return CodedMatrix(codes, matrix.class_counts, matrix.column_features, matrix.column_values)
    values = matrix.column_values.copy()
    values[list(columns)] = 0
    return CodedMatrix(matrix.codes, matrix.class_counts, matrix.column_features, values)


def _refusal(party: str, inputs: PartyInputs, batch: CodedMatrix, found: Leverage, numbers: Ints, settings: Settings) -> str:
    """Name the rows, and of the first one the features that set it apart: without one of them its leverage would fall most."""
    first = found.rows[0]
    sizes = batch.class_rows[np.arange(batch.n_features), batch.codes[:, first].astype(np.int64)]
    shares = np.zeros(batch.n_features)
    columns, owners = _equations(party, batch, settings)
    by_classes = settings.host_woe and party != "guest"
    features = owners[owners >= 0] if by_classes else batch.column_features[owners[owners >= 0]]
    np.maximum.at(shares, features, reductions(columns, np.array([first]))[owners >= 0, 0])
    blamed = [k for k in np.argsort(-shares, kind="stable")[:SHOWN].tolist() if shares[k] >= shares.max() / 10]
    names = inputs.features or tuple(map(str, range(batch.n_features)))
    told = ", ".join(f"{names[feature]} (class of {sizes[feature]})" for feature in blamed)
    rows = ", ".join([*map(str, numbers[found.rows[:SHOWN]].tolist()), *(["…"] if len(found.rows) > SHOWN else [])])
    return (
        f"its sums give up to {found.largest:.2f} of a row's residual away; the limit is {settings.leverage_limit:g}. Rows {rows}; in the "
        f"first of them it is the features {told}: small classes, or columns that are equal but for a few rows. Merge classes "
        f"(min_class_size), leave features out, or set fix_leverage = true to have as few as possible left out"
    )
