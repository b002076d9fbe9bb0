"""What an analyst reads when data or a job is wrong: the file, column and row, or the argument, and what was expected; never a cell."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.jobs import refused, succeeded, write_job

N_ROWS = 30
SECRET = "s3cret"

Change = Callable[[Path, dict[str, Any]], Any]


def write(folder: Path) -> dict[str, Any]:
    """A guest's and a host's tables that are right, and their job."""
    guest = ["id,y,age,job,since", *(f"c{k:02d},{k % 2},{20 + k},{'ab'[k % 3 % 2]},2020-01-{k % 28 + 1:02d}" for k in range(N_ROWS))]
    host = ["id,amount,city", *(f"c{k:02d},{k}.5,{'xy'[k % 2]}" for k in range(N_ROWS))]
    (folder / "guest.csv").write_text("\n".join(guest) + "\n")
    (folder / "host.csv").write_text("\n".join(host) + "\n")
    return {
        "guest": {"file": "guest.csv", "label_column": "y", "observation_date": "2021-01-01", "organisation": "bank"},
        "hosts": [{"file": "host.csv", "organisation": "partner"}],
        "ids": {"method": "hmac"},
        "settings": {"key_bits": 512, "test_key": True},
    }


def test_the_tables_and_the_job_are_right_before_they_are_changed(tmp_path: Path) -> None:
    assert "matched 30 customers" in succeeded("bins", write_job(tmp_path, write(tmp_path))).stdout


def cell(column: str, row: int, value: str, file: str = "guest") -> Change:
    """Put a value into a cell; row 1 is the first row of data."""

    def change(folder: Path, job: dict[str, Any]) -> None:
        path = folder / f"{file}.csv"
        lines = [line.split(",") for line in path.read_text().splitlines()]
        lines[row][lines[0].index(column)] = value
        path.write_text("\n".join(map(",".join, lines)) + "\n")

    return change


def column(name: str, value: str, file: str = "guest") -> Change:
    """Put a value into every cell of a column."""

    def change(folder: Path, job: dict[str, Any]) -> None:
        frame = pd.read_csv(folder / f"{file}.csv", dtype=str)
        frame[name] = value
        frame.to_csv(folder / f"{file}.csv", index=False)

    return change


def text(change: Callable[[str], str | bytes], file: str = "guest") -> Change:
    """Change a file's text."""

    def changed(folder: Path, job: dict[str, Any]) -> None:
        path = folder / f"{file}.csv"
        made = change(path.read_text())
        path.write_bytes(made if isinstance(made, bytes) else made.encode())

    return changed


def other(suffix: str, content: bytes) -> Change:
    """Give the host a file of another kind."""

    def change(folder: Path, job: dict[str, Any]) -> None:
        (folder / f"odd{suffix}").write_bytes(content)
        job["hosts"][0]["file"] = f"odd{suffix}"

    return change


def frame(**columns: Any) -> Change:
    """Give the host a Parquet file."""

    def change(folder: Path, job: dict[str, Any]) -> None:
        pd.DataFrame({"id": [f"c{k:02d}" for k in range(N_ROWS)], **columns}).to_parquet(folder / "odd.parquet")
        job["hosts"][0]["file"] = "odd.parquet"

    return change


def guest(**settings: Any) -> Change:
    return lambda folder, job: job["guest"].update(settings)


def host(**settings: Any) -> Change:
    return lambda folder, job: job["hosts"][0].update(settings)


def section(name: str, **settings: Any) -> Change:
    return lambda folder, job: job.setdefault(name, {}).update(settings)


CASES: dict[str, tuple[Change, list[str]]] = {
    # cells of the guest's and the host's files: file, column, row, what was expected
    "a label of another coding": (cell("y", 3, "2"), ["guest.csv", "y:", "row 3", "0/1, true/false nor -1/+1"]),
    "a label that is a word": (cell("y", 4, SECRET), ["guest.csv", "y:", "row 4", "0/1"]),
    "a label that is missing": (cell("y", 5, ""), ["guest.csv", "y:", "no label", "row 5"]),
    "two codings of labels": (cell("y", 1, "-1"), ["guest.csv", "y:", "mixes 0/1 with -1/+1", "use one of them"]),
    "positive customers only": (column("y", "1"), ["guest.csv", "y:", "one class only", "customers of both are needed"]),
    "no label at all": (column("y", ""), ["guest.csv", "y:", "no label", "(and 20 more)"]),
    "an infinite number": (cell("age", 2, "inf"), ["guest.csv", "age:", "row 2", "not a finite number", "leave missing cells empty"]),
    "a number called nan": (cell("amount", 7, "nan", "host"), ["host.csv", "amount:", "row 7", "leave missing cells empty"]),
    "a number too large": (cell("amount", 9, "1e999", "host"), ["host.csv", "amount:", "row 9", "not a finite number"]),
    "a word in a column of numbers": (
        lambda folder, job: (cell("amount", 6, SECRET, "host")(folder, job), host(kinds={"amount": "numeric"})(folder, job)),
        ["host.csv", "amount:", "not a number", "row 6"],
    ),
    "a decimal comma": (
        lambda folder, job: (cell("amount", 8, '"1', "host")(folder, job), cell("city", 8, '5"', "host")(folder, job)),
        ["host.csv", "row 8", "2 cells", "the header has 3"],
    ),
    "a number with a unit": (
        lambda folder, job: (cell("amount", 2, "12 €", "host")(folder, job), host(kinds={"amount": "numeric"})(folder, job)),
        ["host.csv", "amount:", "not a number", "row 2"],
    ),
    "a day after the observation date": (cell("since", 8, "2021-01-02"), ["guest.csv", "since:", "after the observation date", "row 8"]),
    "a day that does not exist": (
        lambda folder, job: (cell("since", 9, "2020-02-30")(folder, job), guest(kinds={"since": "date"})(folder, job)),
        ["guest.csv", "since:", "not a date of the form %Y-%m-%d", "row 9"],
    ),
    "days in another form": (
        guest(kinds={"since": "date"}, date_format="%d.%m.%Y"), ["guest.csv", "since:", "not a date of the form %d.%m.%Y", "(and 20 more)"],
    ),
    "a category as a date": (guest(kinds={"job": "date"}), ["guest.csv", "job:", "not a date of the form"]),
    "a category as a number": (guest(kinds={"job": "numeric"}), ["guest.csv", "job:", "not a number"]),
    "an infinite cell of a Parquet file": (frame(x=[1.0, float("-inf")] * 15), ["odd.parquet", "x:", "rows 2, 4", "not a finite number"]),
    "lists": (frame(x=[[1, 2]] * N_ROWS), ["odd.parquet", "x:", "neither text nor number"]),
    "times with a zone": (
        frame(x=pd.to_datetime(["2020-01-01T00:00Z"] * N_ROWS)), ["odd.parquet", "x:", "time zone", "time_zone = "],
    ),
    "dates as a category": (
        lambda folder, job: (frame(x=pd.to_datetime(["2020-01-01"] * N_ROWS))(folder, job), host(kinds={"x": "categorical"})(folder, job)),
        ["odd.parquet", "x:", "holds dates", "categorical"],
    ),
    # ids
    "an id twice": (cell("id", 4, "c00"), ["guest.csv", "id:", "more than once", "rows 1, 4"]),
    "an id twice at the host": (cell("id", 30, "c05", "host"), ["host.csv", "id:", "more than once", "rows 6, 30"]),
    "an id that is missing": (cell("id", 5, ""), ["guest.csv", "id:", "missing", "row 5"]),
    "an id with a space": (cell("id", 6, f" {SECRET}"), ["guest.csv", "id:", "outer spaces", "row 6"]),
    "an id with a zero byte": (cell("id", 6, f"{SECRET}\0"), ["guest.csv", "id:", "unprintable", "row 6"]),
    "two forms of one id": (
        lambda folder, job: (cell("id", 1, "é", "host")(folder, job), cell("id", 2, "e\u0301", "host")(folder, job)),
        ["host.csv", "id:", "more than once", "rows 1, 2"],
    ),
    "ids that are no phone numbers": (guest(id_format="phone"), ["guest.csv", "id:", "not 11 ASCII digits", "(and 20 more)"]),
    "one id that is no phone number": (
        lambda folder, job: (
            text(lambda all_: all_.replace("\nc", "\n138000000"))(folder, job), cell("id", 3, f"+86{SECRET}")(folder, job),
            guest(id_format="phone")(folder, job),
        ),
        ["guest.csv", "id:", "not 11 ASCII digits", "no +86", "row 3"],
    ),
    "ids that are no numbers with a country": (guest(id_format="phone-e164"), ["guest.csv", "id:", "+ and 8 to 15 ASCII digits"]),
    "nor with a country code": (guest(id_format="phone-e164:86"), ["guest.csv", "id:", "country 86 without its leading 0"]),
    "an id format that is none": (guest(id_format="mobile"), ["id_format:", "text, digits, phone, phone-e164"]),
    "ids as decimals": (frame(id=[k + 0.0 for k in range(N_ROWS)], x=1.0), ["odd.parquet", "id:", "text or integers, not float64"]),
    "ids that are true or false": (frame(id=[True, False] * 15, x=1.0), ["odd.parquet", "id:", "text or integers, not bool"]),
    "no id in common": (text(lambda all_: all_.replace("\nc", "\nd")), ["no id in common", "check the id format and the key"]),
    "too many ids": (section("ids", max_ids=29), ["guest ids:", "30 ids", "at most 29", "max_ids"]),
    # files
    "no such file": (guest(file="nowhere.csv"), ["nowhere.csv", "no such file"]),
    "a folder": (guest(file="."), ["no such file"]),
    "a spreadsheet": (other(".xlsx", b"PK"), ["odd.xlsx", "is no Excel workbook"]),
    "no suffix": (other("", b"id,x\n1,2\n"), ["odd", "must end in .csv, .csv.gz, .parquet or .xlsx"]),
    "an empty file": (text(lambda _: ""), ["guest.csv", "needs a header line"]),
    "a header alone": (text(lambda all_: all_.splitlines()[0] + "\n"), ["guest.csv", "id:", "no rows"]),
    "a header with a gap": (text(lambda all_: all_.replace("age", "", 1)), ["guest.csv", "column 3 has no name"]),
    "no feature": (
        text(lambda all_: "".join(line.split(",")[0] + "\n" for line in all_.splitlines()), "host"), ["host.csv", "has no feature column"],
    ),
    "one name twice": (text(lambda all_: all_.replace("age", "job", 1)), ["guest.csv", "job:", "two columns", "rename one"]),
    "a row too short": (text(lambda all_: all_ + "c99\n"), ["guest.csv", "row 31 has 1 cells", "the header has 5"]),
    "a row too long": (text(lambda all_: all_.replace("x\n", "x,\n", 1), "host"), ["host.csv", "row 1 has 4 cells", "the header has 3"]),
    "semicolons": (text(lambda all_: all_.replace(",", ";")), ["guest.csv", "id:", "no such column; there are id;y;age"]),
    "an open quote": (text(lambda all_: all_ + f'c99,1,"{SECRET}\n'), ["guest.csv", "a quote is not closed"]),
    "text after a quote": (text(lambda all_: all_ + f'"c99"{SECRET},1,1,a,\n'), ["guest.csv", "after its closing quote"]),
    "Latin-1": (text(lambda all_: all_.replace("c07", "c0é").encode("latin-1")), ["guest.csv", "not in UTF-8"]),
    "UTF-16": (text(lambda all_: all_.encode("utf-16")), ["guest.csv", "not in UTF-8"]),
    "no gzip": (other(".csv.gz", b"id,x\n1,2\n"), ["odd.csv.gz", "no gzip file"]),
    "half of a gzip": (other(".csv.gz", gzip.compress(b"id,x\n1,2\n" * 99, mtime=0)[:-12]), ["odd.csv.gz", "only a part of one"]),
    "no Parquet": (other(".parquet", b"id,x\n1,2\n"), ["odd.parquet", "is no Parquet file, or is damaged"]),
    "an empty Parquet": (other(".parquet", b""), ["odd.parquet", "is no Parquet file"]),
    # a party's section
    "another id column": (guest(id_column="phone"), ["guest.csv", "phone: no such column; there are id, y, age, job, since"]),
    "another id column at the host": (host(id_column="phone"), ["host.csv", "phone: no such column; there are id, amount, city"]),
    "another label column": (guest(label_column="bought"), ["guest.csv", "bought: no such column; there are id, y, age"]),
    "no label column": (lambda folder, job: job["guest"].pop("label_column"), ["label_column:", "the guest's section must name it"]),
    "the id as label": (guest(label_column="id"), ["label_column:", "other than the id column"]),
    "a label column at the host": (host(label_column="city"), ["host1.label_column:", "labels are the guest's"]),
    "a feature as label": (guest(label_column="job"), ["guest.csv", "job:", "neither 0/1"]),
    "no observation date": (
        lambda folder, job: job["guest"].pop("observation_date"), ["guest.csv", "observation_date:", "column 'since' holds dates"],
    ),
    "an observation date in another form": (guest(observation_date="1.1.2021"), ["observation_date:", "such as 2017-09-01"]),
    "an observation date with a zone": (guest(observation_date="2021-01-01T00:00+08:00"), ["observation_date:", "no time zone"]),
    "a date form with a zone": (guest(date_format="%Y-%m-%d %z"), ["date_format:", "without time zone"]),
    "a date form that is none": (guest(date_format="day"), ["date_format:", "such as %Y-%m-%d"]),
    "a kind that is none": (guest(kinds={"age": "integer"}), ["kinds:", "'age'", "numeric, categorical, date"]),
    "a kind of no column": (guest(kinds={"weight": "numeric"}), ["guest.csv", "kinds:", "'weight' is no feature column"]),
    "a kind of the label": (guest(kinds={"y": "numeric"}), ["guest.csv", "kinds:", "'y' is no feature column"]),
    "kinds that are no table": (guest(kinds="numeric"), ["kinds:", "map column names to kinds"]),
    "a rule that is none": (guest(overrides={"age": "quartiles"}), ["overrides:", "'age'", "five, zero, sign, missing, levels"]),
    "a rule for a category": (guest(overrides={"job": "five"}), ["overrides:", "'job' is no numeric or date feature"]),
    "a rule for no column": (host(overrides={"weight": "five"}), ["overrides:", "'weight' is no"]),
    "a coding that is none": (guest(numeric="deciles"), ["numeric:", "bins, five or levels"]),
    "an encoding that is none": (guest(encoding="dummy"), ["encoding:", "ordinal, onehot"]),
    "WOE at the host alone": (host(encoding="woe"), ["host1.encoding:", "host_woe = true in [settings]"]),
    "no levels": (guest(max_levels=0), ["max_levels:", "1..255"]),
    "levels as text": (guest(max_levels="all"), ["max_levels:", "integer"]),
    "classes of no size": (guest(min_class_size=0), ["min_class_size:", "1"]),
    "an unknown name": (guest(colunms=["age"]), ["colunms:", "is unknown in guest; there are"]),
    "no file": (lambda folder, job: job["guest"].pop("file"), ["guest.file:", "must name the party's table"]),
    "an organisation that is none": (host(organisation=""), ["host1.organisation:", "must be text"]),
    # the mart
    "a mart that is none": (lambda folder, job: job["hosts"].__setitem__(0, {"mart": "store"}), ["store", "is no mart"]),
    "a mart of the guest": (guest(mart="store"), ["guest.mart:", "is for hosts"]),
    "a mart and a file": (host(mart="store"), ["host1.file:", "belongs to a file"]),
    "names without a mart": (host(names="hidden"), ["host1.names:", "belongs to a mart"]),
    # the other sections
    "a method that is none": (section("ids", method="md5"), ["ids.method:", "ecdh, hmac, hash, sm3"]),
    "a key of another method": (section("ids", method="ecdh", key_file="guest.csv"), ["ids.key_file:", "belongs to method hmac"]),
    "a key that is missing": (section("ids", key_file="nothing"), ["ids.key_file:", "cannot be read", "No such file"]),
    "no ids allowed": (section("ids", max_ids=0), ["ids.max_ids:", "an integer from 1"]),
    "everyone kept out of training": (section("run", test_share=1), ["test_share:", "up to, not including, 1"]),
    "a share as text": (section("run", test_share="30%"), ["test_share:", "must be a number"]),
    "an unknown section": (section("host", file="x"), ["host:", "is unknown in job file; there are arbiter, guest, hosts"]),
    "no host": (lambda folder, job: job.pop("hosts"), ["hosts:", "is missing from the job file"]),
}


@pytest.mark.parametrize("case", CASES)
def test_the_message_says_where_and_what_is_expected(case: str, tmp_path: Path) -> None:
    change, told = CASES[case]
    job = write(tmp_path)
    change(tmp_path, job)
    line = refused("bins", write_job(tmp_path, job))
    for words in told:
        assert words in line, (words, line)
    assert SECRET not in line


def test_a_line_that_is_no_toml(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text("[guest\nfile = 'x'\n")
    line = refused("bins", tmp_path / "job.toml")
    assert "job.toml" in line
    assert "line 1" in line
