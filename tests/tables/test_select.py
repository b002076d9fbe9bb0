"""Selection by SQL: what the query may see, what makes a label, what is refused ([0079], [0084]–[0086], [0089], [0090])."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.jobs import succeeded, vflfast
from support.selections import DAY, N, changed, run, spec

from vflfast.errors import VflError
from vflfast.jobs import jobfile
from vflfast.learn.separation import feature_auc
from vflfast.tables.select import open_selected, select
from vflfast.tables.selection import read_selection, selection_from_mapping
from vflfast.tables.table import read_table

# --- what comes out ----------------------------------------------------------------------------------------------


def test_0089_customers_are_selected_by_sql(folder: Path, tmp_path: Path) -> None:
    _, table = run(spec(), folder, tmp_path / "out.parquet")
    customers = pd.read_csv(folder / "customers.csv", dtype={"phone": str}).set_index("phone").sort_index()
    assert table["phone"].tolist() == customers.index.tolist()  # text with its zeros, in order
    assert table["age"].tolist() == pytest.approx(customers["age"].tolist(), nan_ok=True)
    assert table["region"].tolist() == customers["region"].tolist()
    assert table["opened"].tolist() == customers["opened"].tolist()
    assert table["vip"].tolist() == customers["vip"].astype(int).tolist()
    _, one = run(changed("query", "SELECT phone, age FROM customers WHERE age >= 50"), folder, tmp_path / "few.parquet")
    assert 0 < len(one) < N
    assert (one["age"] >= 50).all()


def test_0090_features_come_from_before_the_observation_date_and_labels_from_the_window(folder: Path, tmp_path: Path) -> None:
    _, table = run(spec(), folder, tmp_path / "out.parquet")
    rows = pd.read_parquet(folder / "transactions.parquet")
    before = rows[rows.day < pd.Timestamp(DAY)].groupby("phone").amount.agg(["count", "sum"])
    window = rows[(rows.day >= pd.Timestamp(DAY)) & (rows.day < pd.Timestamp(DAY) + pd.Timedelta(90, "D")) & (rows["product"] == "loan")]
    table = table.set_index("phone")
    assert table["payments"].tolist() == before["count"].reindex(table.index).fillna(0).tolist()
    assert table["paid"].tolist() == pytest.approx(before["sum"].reindex(table.index).tolist(), nan_ok=True)
    assert set(table.index[table["label"] == 1]) == set(window.phone)
    # the control: without the date column the query would see the rows after it too
    assert rows.groupby("phone").amount.count().sum() > before["count"].sum()


def test_0079_a_bought_product_makes_a_label_of_plus_one(folder: Path, tmp_path: Path) -> None:
    """The window's first and last day count; the days beside it do not."""
    selection, table = run(spec(), folder, tmp_path / "out.parquet")
    first_four = pd.read_csv(folder / "customers.csv", dtype=str)["phone"][:4].tolist()
    labels = table.set_index("phone")["label"]
    assert [labels[phone] for phone in first_four] == [0, 1, 1, 0]
    assert read_table(tmp_path / "out.parquet", **selection.reading()).labels is not None


@pytest.mark.parametrize("end", [";", "; -- all customers", ";\n-- 职员\n/* and so on */ ;\n", " -- no semicolon", ""])
def test_a_query_may_end_with_semicolons_and_comments(end: str, folder: Path, tmp_path: Path) -> None:
    _, whole = run(changed("query", "SELECT phone, age, '职;' AS job FROM customers"), folder, tmp_path / "whole.parquet")
    _, table = run(changed("query", f"SELECT phone, age, '职;' AS job FROM customers{end}"), folder, tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(table, whole)


def test_0084_a_label_that_exists_is_taken(folder: Path, tmp_path: Path) -> None:
    data = changed("label", {"column": "vip"})
    selection, table = run(data, folder, tmp_path / "out.parquet")
    assert "label" not in table
    read = read_table(tmp_path / "out.parquet", **selection.reading())
    assert read.labels is not None
    assert (read.labels > 0).tolist() == (table["vip"] == 1).tolist()


def test_0085_0086_missing_stays_missing_and_dates_are_days_before(folder: Path, tmp_path: Path) -> None:
    selection, table = run(spec(), folder, tmp_path / "out.parquet")
    read = read_table(tmp_path / "out.parquet", **selection.reading())
    numbers = dict.fromkeys(("age", "vip", "payments", "paid"), "numeric")
    assert read.kinds == {"region": "categorical", "opened": "date", **numbers}
    assert read.features["age"].isna().sum() == 5
    opened = pd.to_datetime(table["opened"])
    assert read.features["opened"].tolist() == (pd.Timestamp(DAY) - opened).dt.days.tolist()


def test_a_database_is_a_source_like_a_file(folder: Path, tmp_path: Path) -> None:
    _, expected = run(spec(), folder, tmp_path / "file.parquet")
    data = changed("sources/transactions", {"database": "core.duckdb", "table": "accounts", "date_column": "day"})
    _, table = run(data, folder, tmp_path / "base.parquet")
    pd.testing.assert_frame_equal(table, expected)


def test_a_time_with_a_zone_falls_on_the_day_of_the_specifications_zone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The evening of 31 December in London is 1 January in Shanghai, whatever the machine's own zone is."""
    phones = pd.read_csv(folder / "customers.csv", dtype=str)["phone"]
    stamps = pd.DataFrame({"phone": phones[:2], "day": pd.to_datetime(["2025-12-31 20:00", "2025-12-30 20:00"]).tz_localize("UTC")})
    stamps.assign(product="loan", amount=1.0).to_parquet(tmp_path / "zoned.parquet")
    data = changed("sources/transactions/file", str(tmp_path / "zoned.parquet"))
    for machine in ("UTC", "Asia/Tokyo"):
        monkeypatch.setenv("TZ", machine)
        time.tzset()
        counts = {}
        for zone in ("UTC", "Asia/Shanghai"):
            found = select(selection_from_mapping({**data, "time_zone": zone}, folder), tmp_path / "out.parquet")
            counts[zone] = (found.held_back["transactions"], found.n_positive)
        assert counts == {"UTC": (0, 0), "Asia/Shanghai": (1, 1)}
    monkeypatch.undo()
    time.tzset()


# --- CSV: no row is left out, none is read as something else ---------------------------------------------------------


def csv_of(folder: Path, text: str | bytes, **more: Any) -> dict[str, Any]:
    (folder / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return {"id_column": "phone", "query": "SELECT * FROM t", "sources": {"t": {"file": "t.csv"}}, **more}


@pytest.mark.parametrize(
    "text", ["phone,a\n#1,5\n#2,6\n03,7\n", "phone,a\n03,7\n\n#1,5\n#2,6\n", "\ufeffphone,a\r\n#1,5\r\n#2,6\r\n03,7\r\n"]
)
def test_every_row_of_a_csv_is_there(text: str, tmp_path: Path) -> None:
    _, table = run(csv_of(tmp_path, text), tmp_path, tmp_path / "out.parquet")
    assert dict(zip(table["phone"], table["a"], strict=True)) == {"#1": 5, "#2": 6, "03": 7}


@pytest.mark.parametrize("day", ["03/04/2025", "04.03.2025", "03/04/2025 10:00:00", "25-03-04"])
def test_no_order_of_day_and_month_is_guessed(day: str, tmp_path: Path) -> None:
    data = csv_of(tmp_path, f"phone,a,day\n01,1,{day}\n02,2,{day}\n", observation_date=DAY)
    data["sources"]["t"]["date_column"] = "day"
    with pytest.raises(VflError, match=r"^sources.t.day: 2 cells are no dates such as 2026-01-31$"):
        run(data, tmp_path, tmp_path / "out.parquet")


@pytest.mark.parametrize("day", ["2025-03-04", "2025-03-04 10:00:00", "2025-03-04T10:00:00.5", "2025-03-04T23:00:00Z"])
def test_iso_days_are_read(day: str, tmp_path: Path) -> None:
    data = csv_of(tmp_path, f"phone,a,day\n01,1,{day}\n02,2,2026-01-01\n03,3,\n", observation_date=DAY)
    data["sources"]["t"]["date_column"] = "day"
    found = select(selection_from_mapping(data, tmp_path), tmp_path / "out.parquet")
    assert (found.n_rows, found.held_back) == (1, {"t": 2})


MANY = "phone,a\n" + "".join(f"013{k:08d},{k}\n" for k in range(30_000))
FAULTS: list[tuple[str | bytes, str]] = [
    ("phone,a\n01300000000,1\n01300000001,2,3\n", "t.csv: is no CSV in UTF-8 with commas; every row needs as many cells as the header"),
    ("phone,a\n01300000000,5\n#1300000001\n01300000002,6\n", "t.csv: is no CSV in UTF-8 with commas"),  # no comment
    (MANY + "01300000000,1,2\n", "t.csv: line 30002: not as many cells as in the header"),
    (MANY + "01300000000,many\n", "t.csv: line 30002, column a: a cell cannot be converted; see the source's types"),
    ("phone,a\n01300000000,M\u00fcller\n".encode("latin-1"), "t.csv: line 2: its text is not in UTF-8"),
    ('phone,a\n01300000000,"1\n', "t.csv: "),
    ("", "phone: is no column of the query's result"),
    ("phone,a\n", "query: selects no customer"),
]


@pytest.mark.parametrize(("text", "told"), FAULTS, ids=lambda value: str(value)[-30:])
def test_a_csv_that_cannot_be_read_is_named_by_line(text: str | bytes, told: str, tmp_path: Path) -> None:
    with pytest.raises(VflError) as caught:
        run(csv_of(tmp_path, text), tmp_path, tmp_path / "out.parquet")
    assert str(caught.value).startswith(told)
    assert "0130" not in str(caught.value)


# --- labels that would be wrong unseen -------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "told"), [("int64", "BIGINT"), ("float64", "DOUBLE")])
def test_ids_of_the_label_source_are_of_the_querys_type(kind: str, told: str, folder: Path, tmp_path: Path) -> None:
    """Without their leading zeros no customer would be found, and every label would be 0."""
    rows = pd.read_parquet(folder / "transactions.parquet")
    rows.assign(phone=rows["phone"].astype(kind)).to_parquet(tmp_path / "numbers.parquet")
    with pytest.raises(VflError) as caught:
        run(changed("sources/transactions/file", str(tmp_path / "numbers.parquet")), folder, tmp_path / "out.parquet")
    problem = f"phone of sources.transactions is {told}, the query's id VARCHAR; both must be text, or both integers"
    assert str(caught.value) == f"label.id_column: {problem}"


def test_integer_ids_on_both_sides_meet(folder: Path, tmp_path: Path) -> None:
    rows = pd.read_parquet(folder / "transactions.parquet")
    rows.assign(phone=rows["phone"].astype("int64")).to_parquet(tmp_path / "numbers.parquet")
    data = changed("sources/transactions/file", str(tmp_path / "numbers.parquet"))
    _, table = run({**data, "query": "SELECT phone::BIGINT AS phone, age FROM customers"}, folder, tmp_path / "out.parquet")
    _, expected = run(spec(), folder, tmp_path / "text.parquet")
    labels = dict(zip(expected["phone"].astype(int), expected["label"], strict=True))
    assert {int(phone): label for phone, label in zip(table["phone"], table["label"], strict=True)} == labels


def test_a_label_date_that_cannot_be_read_is_no_label_of_0(folder: Path, tmp_path: Path) -> None:
    rows = pd.read_parquet(folder / "transactions.parquet")
    rows["booked"] = rows["day"].dt.strftime("%Y-%m-%d")
    rows.iloc[:7, rows.columns.get_loc("booked")] = "soon"
    rows.to_parquet(tmp_path / "words.parquet")
    data = changed("sources/transactions/file", str(tmp_path / "words.parquet"))
    data["label"]["date_column"] = "booked"
    with pytest.raises(VflError, match=r"^label.date_column, booked: 7 cells are no dates such as 2026-01-31$"):
        run(data, folder, tmp_path / "out.parquet")


def test_the_same_table_whatever_the_order_of_the_files(folder: Path, tmp_path: Path) -> None:
    _, expected = run(spec(), folder, tmp_path / "one.parquet")
    shuffled = tmp_path / "files"
    shuffled.mkdir()
    pd.read_csv(folder / "customers.csv", dtype=str).sample(frac=1, random_state=1).to_csv(shuffled / "customers.csv", index=False)
    pd.read_parquet(folder / "transactions.parquet").sample(frac=1, random_state=1).to_parquet(shuffled / "transactions.parquet")
    _, table = run(spec(), shuffled, tmp_path / "two.parquet")
    pd.testing.assert_frame_equal(table, expected)


def test_sums_of_floats_are_the_same_in_every_run(tmp_path: Path) -> None:
    rng, n = np.random.default_rng(0), 500_000
    frame = pd.DataFrame({"phone": rng.choice(["a", "b", "c"], n), "x": rng.normal(size=n) * 10.0 ** rng.integers(-8, 8, n)})
    frame.to_parquet(tmp_path / "big.parquet", row_group_size=20_000)
    query = "SELECT phone, sum(x) AS total, avg(x) AS mean FROM big GROUP BY phone"
    data = {"id_column": "phone", "query": query, "sources": {"big": {"file": "big.parquet"}}}
    tables = [run(data, tmp_path, tmp_path / "out.parquet")[1] for _ in range(4)]
    assert len({table[["total", "mean"]].to_numpy().tobytes() for table in tables}) == 1


def test_more_than_memory(tmp_path: Path) -> None:
    """A table of 160 MB, put in order by an engine that may hold 100 MB."""
    rng, n = np.random.default_rng(0), 400_000
    frame = pd.DataFrame(rng.normal(size=(n, 40)), columns=[f"x{j}" for j in range(40)])
    frame.insert(0, "phone", [f"{k:011d}" for k in rng.permutation(n)])
    frame.to_parquet(tmp_path / "big.parquet", row_group_size=20_000)
    columns = ", ".join(f"2 * x{j} AS x{j}" for j in range(40))
    query = f"SELECT phone, {columns} FROM big"
    data = {"id_column": "phone", "query": query, "sources": {"big": {"file": "big.parquet"}}, "memory_limit": "100MB"}
    found = select(selection_from_mapping(data, tmp_path), tmp_path / "out.parquet")
    assert found.n_rows == n
    selected = pd.read_parquet(tmp_path / "out.parquet", columns=["phone", "x7"])
    expected = frame.sort_values("phone")
    assert selected["phone"].tolist() == expected["phone"].tolist()
    assert selected["x7"].tolist() == (2 * expected["x7"]).tolist()


# --- leaks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.5])
def test_a_feature_that_is_nearly_the_label_stands_out(noise: float) -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(np.array([-1, 1], np.int8), 2000)
    codes = np.where(rng.random(2000) < noise, rng.integers(0, 2, 2000), labels > 0).astype(np.uint8)
    assert feature_auc(codes, labels) == pytest.approx(1 - noise / 2, abs=0.02)


def test_many_small_classes_are_no_leak() -> None:
    """Each row in a class of its own separates perfectly by chance; taken together they separate nothing."""
    rng = np.random.default_rng(0)
    labels = rng.choice(np.array([-1, 1], np.int8), 256)
    assert feature_auc(np.arange(256, dtype=np.uint8), labels) == 0.5


TOML = '''
id_column = "phone"
observation_date = 2026-01-01
query = "SELECT phone, age, region{extra} FROM customers"
[sources.customers]
file = "{folder}/customers.csv"
[sources.transactions]
file = "{folder}/transactions.parquet"
date_column = "day"
[label]
source = "transactions"
where = "amount > 0"
window_days = 90
'''
LEAK = ", CASE WHEN age > 30 THEN 1 ELSE 0 END AS harmless"


def test_the_command_line_writes_and_warns(folder: Path, tmp_path: Path) -> None:
    import json

    (tmp_path / "spec.toml").write_text(TOML.format(extra=LEAK, folder=folder))
    found = json.loads(succeeded("select", tmp_path / "spec.toml", "--out", tmp_path / "a.parquet", "--json").stdout)
    assert found["n_rows"] == N
    assert found["suspects"] == {}
    assert list(found["features"]) == ["age", "region", "harmless"]
    assert found["held_back"]["transactions"] > 0
    # a column that was made from the label
    table = pd.read_parquet(tmp_path / "a.parquet")
    leaky = pd.read_csv(folder / "customers.csv", dtype=str).merge(table[["phone", "label"]], on="phone")
    leaky.rename(columns={"label": "closed"}).to_csv(tmp_path / "leaky.csv", index=False)
    text = TOML.format(extra=", closed", folder=folder).replace(f"{folder}/customers.csv", "leaky.csv")
    (tmp_path / "leaky.toml").write_text(text)
    shown = succeeded("select", tmp_path / "leaky.toml", "--out", tmp_path / "b.parquet")
    assert "closed" in shown.stdout
    assert "separates the labels alone: AUC 1.000" in shown.stdout
    refused = vflfast("select", tmp_path / "nowhere.toml")
    assert refused.exit_code == 2


def test_one_job_file_from_databases_to_labels(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """select in place of file, for guest and host; the same weights as from the selected tables; scoring selects again."""
    (tmp_path / "guest.toml").write_text(TOML.format(extra="", folder=folder))
    host = 'id_column = "phone"\nquery = "SELECT phone, vip, length(opened::VARCHAR) + age % 7 AS a FROM c"\n'
    host += f'[sources.c]\nfile = "{folder}/customers.csv"\n'
    (tmp_path / "host.toml").write_text(host)
    settings = "[settings]\nkey_bits = 512\ntest_key = true\nmax_iter = 2\n[ids]\nmethod = \"hmac\"\n"
    selecting = f'[guest]\nselect = "guest.toml"\n[[hosts]]\nselect = "host.toml"\n{settings}'
    (tmp_path / "job.toml").write_text(selecting)
    first = succeeded("train", tmp_path / "job.toml", "--models", tmp_path / "models", "--json")
    for name in ("guest", "host"):
        select(read_selection(tmp_path / f"{name}.toml"), tmp_path / f"{name}.parquet")
    files = '[guest]\nfile = "guest.parquet"\nid_column = "phone"\nlabel_column = "label"\n'
    files += '[[hosts]]\nfile = "host.parquet"\nid_column = "phone"\n'
    (tmp_path / "files.toml").write_text(files + settings)
    second = succeeded("train", tmp_path / "files.toml", "--models", tmp_path / "again", "--json")
    assert hash_of(first) == hash_of(second)
    scored = succeeded("score", tmp_path / "job.toml", "--models", tmp_path / "models")
    assert scored.stdout.count("\n") >= N


def test_one_class_only_is_no_table_to_train_on(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text(TOML.format(extra="", folder=folder).replace("amount > 0", "product = 'none'"))
    refused = vflfast("select", tmp_path / "spec.toml", "--out", tmp_path / "a.parquet")
    assert refused.exit_code == 2
    assert "label: holds one class only; customers of both are needed" in refused.stderr


def hash_of(result: Any) -> str:
    import json

    return str(json.loads(result.stdout)["summary"]["weight_hash"])


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ('select = "guest.toml"\nfile = "x.csv"', "guest.file: belongs to a file"),
        ('select = "guest.toml"\nid_column = "phone"', "guest.id_column: belongs to a file"),
        ("select = 5", "guest.select: must be text"),
        ('select = "nowhere.toml"', "nowhere.toml: cannot be read"),
    ],
)
def test_bad_sections(section: str, told: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "guest.toml").write_text(TOML.format(extra="", folder=folder))
    (tmp_path / "job.toml").write_text(f'[guest]\n{section}\n[[hosts]]\nfile = "h.csv"\n')
    with pytest.raises(VflError) as caught:
        jobfile.read_job(tmp_path / "job.toml")
    assert told in str(caught.value)


def test_labels_are_the_guests(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "guest.toml").write_text(TOML.format(extra="", folder=folder))
    (tmp_path / "job.toml").write_text('[guest]\nselect = "guest.toml"\n[[hosts]]\nselect = "guest.toml"\n')
    with pytest.raises(VflError, match=r"host1.label_column: labels are the guest's"):
        jobfile.read_job(tmp_path / "job.toml")


def test_the_selected_file_has_no_name_once_it_is_open(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed leaves nobody's customers behind."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "spec.toml").write_text(TOML.format(extra="", folder=folder))
    table = open_selected(read_selection(tmp_path / "spec.toml"), {"id_column": "phone", "label_column": "label"})
    assert list((tmp_path / "scratch").rglob("*")) == []
    assert len(table.load().features) == table.n_rows > 0  # and is read all the same
