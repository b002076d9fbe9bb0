"""The patent's paragraphs on ids and the mart, [0088], [0092] and [0095] to [0098], one test each (I1 to I3)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vflfast.binning.binner import Binner
from vflfast.mart.store import build
from vflfast.mart.table import open_mart, rows_of
from vflfast.matching import ids
from vflfast.matching.match import ID_METHODS, match_parties
from vflfast.tables import id_forms
from vflfast.tables.table import read_table

PHONES = [f"138{k:08d}" for k in range(40)]
KEY = bytes(32)


# --- I1, [0088]: customers are told apart by their phone number ------------------------------------------------------


def test_0088_a_phone_number_is_the_id_and_stays_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("phone,x\n01234567890,1\n13800000000,2\n")
    assert read_table(tmp_path / "t.csv", id_column="phone", id_format="phone").ids.tolist() == ["01234567890", "13800000000"]


def test_0088_the_same_number_in_both_spellings_is_one_customer() -> None:
    written = id_forms.normalise(["+8613800000000", "13900000000"], "phone-e164:86")
    assert written.tolist() == ["+8613800000000", "+8613900000000"]


# --- I2, [0092]: the table is split by id, and the id leaves in encrypted form only -----------------------------------


def test_0092_the_patents_hash_is_sha256_of_the_number() -> None:
    assert ids.protect(PHONES[:1], method="hash")[0].tobytes() == hashlib.sha256(PHONES[0].encode()).digest()


@pytest.mark.parametrize("method", ID_METHODS)
def test_0092_ids_are_no_feature(method: str, tmp_path: Path) -> None:
    pd.DataFrame({"phone": PHONES, "x": range(40)}).to_csv(tmp_path / "t.csv", index=False)
    table = read_table(tmp_path / "t.csv", id_column="phone", id_format="phone")
    assert table.feature_names == ["x"]
    _, tokens, _ = match_parties([table.ids, table.ids], method=method, key=KEY if method == "hmac" else None)
    assert not any(phone.encode() in tokens.tobytes() for phone in PHONES)


# --- I3, [0095]–[0098]: the mart matches the guest's ids against its classes and hands the host the aligned columns ----


@pytest.mark.parametrize("method", ID_METHODS)
def test_0095_to_0098_the_mart_gives_the_host_its_aligned_coded_columns(method: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.permutation(PHONES)[:30], rng.permutation(PHONES)[:35]
    worth = {phone: float(k) for k, phone in enumerate(PHONES)}
    for name, people in (("first", first), ("second", second)):
        frame = pd.DataFrame({"phone": people, name: [worth[phone] for phone in people], "city": rng.choice(["a", "b"], len(people))})
        frame.to_parquet(tmp_path / f"{name}.parquet")
    reading = {"id_column": "phone", "id_format": "phone"}
    build({name: {"file": tmp_path / f"{name}.parquet", **reading} for name in ("first", "second")}, tmp_path / "store")

    mart = open_mart(tmp_path / "store", names="hidden")
    guest_ids = id_forms.normalise([*PHONES[:20], "99999999999"], "phone")
    positions, _, report = match_parties([guest_ids, mart.ids], method=method, key=KEY if method == "hmac" else None)
    expected = set(PHONES[:20]) & {*first, *second}
    assert report["matched"] == len(expected)  # partial overlap, no customer but the common ones

    ((aligned, rows),) = rows_of([mart], positions[1:])
    assert aligned.ids[rows].tolist() == guest_ids[positions[0]].tolist()
    kinds = {name: aligned.column(name)[0] for name in aligned.feature_names}
    assert kinds == {"f0001": "numeric", "f0002": "categorical", "f0003": "numeric", "f0004": "categorical"}
    assert not {"a", "b"} & set(aligned.column("f0002")[1])  # codes, whose meaning nobody knows
    for name, people in (("f0001", first), ("f0003", second)):
        cells = aligned.column(name)[1].tolist()
        for phone, cell in zip(aligned.ids, cells, strict=True):
            assert cell == worth[phone] if phone in people else np.isnan(cell)

    _, (coded,) = Binner.fit_transform(aligned, rows)
    assert coded.n_rows == len(expected)
