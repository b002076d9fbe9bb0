"""The made-up bank: readable tables, a label that both sides know something of, later customers that differ where it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from vflfast import InputError, read_table
from vflfast.samples.bank import OBSERVATION_DATE, POSITIVE_SHARE, write_bank


def frames(folder: Path, **options: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    bank, partner = (pd.read_csv(path, dtype={"phone": str}) for path in write_bank(folder, **options))
    return bank, partner


def test_the_files_are_those_of_a_bank_and_a_partner(tmp_path: Path) -> None:
    bank, partner = frames(tmp_path, n_rows=1000)
    assert len(bank) == len(partner) == 1000
    assert len(set(bank["phone"]) & set(partner["phone"])) == 960
    assert bank["phone"].is_unique
    assert bank["phone"].str.fullmatch(r"12\d{9}").all()
    assert bank["phone"].tolist() != partner["phone"].tolist()
    assert "bought" in bank
    assert "bought" not in partner
    assert abs(bank["bought"].mean() - POSITIVE_SHARE) < 0.03
    assert bank["card_since"].isna().mean() == pytest.approx(0.2, abs=0.05)


def test_every_column_can_be_read(tmp_path: Path) -> None:
    for path, label in zip(write_bank(tmp_path, n_rows=500), ("bought", None), strict=True):
        table = read_table(path, id_column="phone", id_format="phone", label_column=label, observation_date=OBSERVATION_DATE)
        assert {kind for name, kind in table.kinds.items() if name.endswith("since")} == {"date"}
        assert table.n_rows == 500


def test_both_sides_tell_something_of_the_label(tmp_path: Path) -> None:
    bank, partner = frames(tmp_path)
    rates = bank.groupby("housing_loan")["bought"].mean()
    assert rates[0] > 1.5 * rates[1]
    both = bank.merge(partner, on="phone")
    rates = both.groupby("last_campaign")["bought"].mean()
    assert rates["accepted"] > 2 * rates["none"] > 2 * rates["refused"]


def test_later_customers_are_others_and_have_no_labels(tmp_path: Path) -> None:
    before, now = frames(tmp_path / "a"), frames(tmp_path / "b", later=True)
    assert not set(before[0]["phone"]) & set(now[0]["phone"])
    assert "bought" not in now[0]
    assert now[0]["age"].mean() - before[0]["age"].mean() == pytest.approx(6, abs=1)
    assert now[1]["data_gb"].mean() / before[1]["data_gb"].mean() == pytest.approx(0.4, abs=0.05)
    assert now[1]["monthly_bill"].mean() / before[1]["monthly_bill"].mean() == pytest.approx(1, abs=0.05)


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    one, other, third = (write_bank(tmp_path / name, n_rows=100, seed=seed) for name, seed in (("a", 5), ("b", 5), ("c", 6)))
    for a, b, c in zip(one, other, third, strict=True):
        assert a.read_bytes() == b.read_bytes() != c.read_bytes()


@pytest.mark.parametrize(("argument", "value"), [("folder", 3), ("n_rows", 49), ("n_rows", True), ("n_rows", 1e3), ("seed", -1)])
def test_bad_arguments(argument: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        write_bank(**{"folder": tmp_path, argument: value})
    assert caught.value.argument == argument
