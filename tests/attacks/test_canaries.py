"""D7: planted ids, labels, feature values and weights are found nowhere but with their owner: not in logs, errors or messages."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.runs import Parties, listen, private_key, scoring_programs, settings, train, training_programs

from vflfast.binning.binner import Binner
from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.paillier.opening import MaskedOpening
from vflfast.errors import VflError
from vflfast.learn.logistic import linear_predictor, sigmoid
from vflfast.matching import ids
from vflfast.protocol import inline
from vflfast.protocol import messages as ms
from vflfast.protocol.block import Block, PartyInputs
from vflfast.protocol.settings import Settings
from vflfast.tables.table import Table, table_from_frame

N_ROWS = 120
ID = "CANARY-1380013"
LEVEL = "CANARY-LEVEL"
VALUE = 98765.4321
KEY = b"a key that guest and host share"


def frame(seed: int, names: list[str], *, labels: bool) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {"id": [f"{ID}{row:04d}" for row in range(N_ROWS)]}
    if labels:
        columns["y"] = rng.permutation([1] * 40 + [-1] * 80)
    columns |= {name: np.where(rng.random(N_ROWS) < 0.1, VALUE, rng.normal(size=N_ROWS)) for name in names}
    columns[f"{names[0]}_level"] = rng.choice([LEVEL, "other", "third"], N_ROWS)
    return pd.DataFrame(columns)


def table(party: str) -> Table:
    if party == "guest":
        return table_from_frame(frame(1, ["a", "b", "c"], labels=True), label_column="y")
    return table_from_frame(frame(2, ["d", "e", "f", "g"], labels=False))


@dataclass
class Planted:
    """The parties' inputs, made from tables through ids, matching and binning; and their tokens."""

    made: Parties
    tokens: np.ndarray


@pytest.fixture(scope="module")
def planted() -> Planted:
    guest, host = table("guest"), table("host")
    tokens = [ids.protect(t.ids, key=KEY) for t in (guest, host)]
    match = ids.match(*tokens)
    guest, host = (t.take(rows) for t, rows in zip((guest, host), match.positions, strict=True))
    order = tokens[0][match.positions[0]]
    commitment = ids.commitment(order)
    matrices = [Binner.fit(t).transform(t) for t in (guest, host)]
    inputs = [PartyInputs(matrices[0], commitment, "bank", guest.labels), PartyInputs(matrices[1], commitment, "partner")]
    return Planted(Parties(inputs[0], inputs[1:]), order)


# --- what must not be found ------------------------------------------------------------------------------------------


def label_patterns(labels: np.ndarray) -> dict[str, bytes]:
    flags = labels > 0
    texts = {"0/1": flags.tobytes(), "±1": labels.astype(np.int8).tobytes(), "reversed": flags[::-1].tobytes()}
    bits = {"bits": np.packbits(flags).tobytes(), "bits, little": np.packbits(flags, bitorder="little").tobytes()}
    wide = {f"int{8 * size}": labels[:16].astype(f"<i{size}").tobytes() for size in (2, 4, 8)}
    return texts | bits | wide | {"float64": labels[:16].astype("<f8").tobytes(), "text": b"-1, 1"}


def id_patterns(tokens: np.ndarray) -> dict[str, bytes]:
    """The ids themselves, and the tokens, which any party that knows the key recognises."""
    found = {"id": ID.encode(), "level": LEVEL.encode(), "key": KEY, "value": struct.pack("<d", VALUE), "value as text": b"98765"}
    return found | {f"token {row}": bytes(tokens[row]) for row in range(0, N_ROWS, 7)}


def feature_patterns(made: Parties) -> dict[str, bytes]:
    """Rows and columns of every party's codes."""
    found = {}
    for name, inputs in (("guest", made.guest), ("host1", made.hosts[0])):
        codes = inputs.matrix.codes
        found |= {f"{name}'s feature {k}": codes[k][:24].tobytes() for k in range(len(codes))}
        found |= {f"{name}'s rows": np.ascontiguousarray(codes[:, :6].T).tobytes()}
    return found


def number_patterns(name: str, values: np.ndarray) -> dict[str, bytes]:
    """float64 in either order of bytes; and fixed point where it is long enough not to be met by chance."""
    found = {f"{name} {i}": struct.pack("<d", value) for i, value in enumerate(values) if value}
    found |= {f"{name} {i}, big-endian": struct.pack(">d", value) for i, value in enumerate(values) if value}
    fixed = np.rint(np.asarray(values) * (1 << 24)).astype("<i8")
    return found | {f"{name} {i}, fixed point": v.tobytes() for i, v in enumerate(fixed) if abs(v) > 1 << 20}


def weight_patterns(made: Parties, agreed: Settings) -> dict[str, bytes]:
    """Weights, intercepts, linear predictors and half scores after every round, by the twin's reckoning."""
    found = {}
    for n_rounds in range(agreed.max_iter + 1):
        blocks = inline.train_twin(made.guest, made.hosts, agreed, n_rounds=n_rounds)
        for block, name in zip(blocks, ("guest", "host1"), strict=True):
            weights, intercept = block.coefficients()
            predictor = linear_predictor(block.matrix, weights, intercept)
            found |= number_patterns(f"{name}'s weight, round {n_rounds},", np.append(weights, intercept))
            found |= number_patterns(f"{name}'s theta, round {n_rounds},", block.theta)
            found |= number_patterns(f"{name}'s predictor, round {n_rounds},", predictor[:20])
            found |= number_patterns(f"{name}'s half score, round {n_rounds},", sigmoid(predictor)[:20])
    return found


def hits(patterns: dict[str, bytes], wire: list[bytes]) -> list[str]:
    whole = b"|".join(wire)
    return [name for name, pattern in patterns.items() if pattern in whole]


def every_pattern(planted: Planted, agreed: Settings) -> dict[str, bytes]:
    made = planted.made
    return label_patterns(made.labels) | id_patterns(planted.tokens) | feature_patterns(made) | weight_patterns(made, agreed)


# --- wire ------------------------------------------------------------------------------------------------------------


def wire_of(programs: dict[str, inline.Program]) -> list[bytes]:
    return [data for _, _, data in listen(programs)[1]]


JOINTLY: dict[str, Any] = {"scoring": "joint", "residual": None, "solver": None}  # as it ships


@pytest.mark.parametrize("changes", [{}, {"threshold": "ks"}, {"solver": "gd"}, {"norm": "zscore"}, JOINTLY], ids=str)
def test_nothing_planted_travels_in_a_hardened_run(changes: dict[str, Any], planted: Planted) -> None:
    agreed = settings(**changes)
    patterns = every_pattern(planted, agreed)
    assert len(patterns) > 300
    assert hits(patterns, wire_of(training_programs(planted.made, agreed))) == []


@pytest.mark.parametrize("changes", [{"output": "scores"}, {"output": "probability"}, JOINTLY | {"output": "probability"}], ids=str)
def test_nothing_planted_travels_in_a_hardened_scoring(changes: dict[str, Any], planted: Planted) -> None:
    agreed = settings(**changes)
    trained = train(planted.made, agreed)
    labels = {f"predicted {name}": p for name, p in label_patterns(trained.guest.train_labels).items() if name != "text"}
    wire = wire_of(scoring_programs(planted.made, trained, agreed))
    assert hits(every_pattern(planted, agreed) | labels, wire) == []


def test_the_patents_labels_are_found(planted: Planted) -> None:
    """The control: the same search finds the labels, and only those, where the protocol does send them."""
    agreed = settings(profile="patent")
    found = hits(every_pattern(planted, agreed), wire_of(training_programs(planted.made, agreed)))
    assert found == ["0/1"]


def wire_form(message: ms.Message) -> list[bytes]:
    return [ms.to_bytes(message, ms.Envelope(bytes(32), 0, 0, "guest", "host1"))]


def test_every_kind_of_leak_would_be_found(planted: Planted) -> None:
    """The controls: weights, predictors, codes, ids and labels, each put into a message as a mistake would."""
    made, agreed = planted.made, settings()
    n_columns = made.guest.matrix.n_columns + made.hosts[0].matrix.n_columns
    block = Block(made.guest, agreed, n_columns, 2, has_intercept=True)
    weights, _ = block.coefficients()
    table_ids = table("guest").ids
    leaks: dict[str, ms.Message] = {
        "guest's weight, round 0, 0": ms.CombinedScores(weights),
        "guest's predictor, round 0, 0, fixed point": ms.Predictor(block.fixed_predictor(slice(None)).view(np.uint64).reshape(-1, 1)),
        "guest's feature 0": ms.TrainingLabels(made.guest.matrix.codes[0].tobytes()),
        "±1": ms.TrainingLabels(made.labels.tobytes()),
        "bits": ms.TrainingLabels(np.packbits(made.labels > 0).tobytes()),
        "id": ms.Hello(str(table_ids[3]), b"", "", 1),
        "token 7": ms.RowCommitment(1, planted.tokens[7].tobytes()),
        "guest's half score, round 0, 0": ms.CombinedScores(sigmoid(block.predictor)),
    }
    patterns = every_pattern(planted, agreed)
    for name, message in leaks.items():
        assert name in hits(patterns, wire_form(message)), name


# --- logs ------------------------------------------------------------------------------------------------------------


def words_of(record: logging.LogRecord) -> str:
    return f"{record.getMessage()} {record.args} {record.exc_text or ''}"


def decimal_patterns(planted: Planted, agreed: Settings) -> list[str]:
    block = inline.train_twin(planted.made.guest, planted.made.hosts, agreed, n_rounds=1)[0]
    numbers = [*block.coefficients()[0], block.coefficients()[1], *block.predictor[:20], *block.theta]
    return [f"{abs(number):.6f}"[:7] for number in numbers if abs(number) > 1e-3]


@pytest.mark.parametrize("changes", [{"output": "scores"}, JOINTLY | {"output": "probability"}], ids=str)
def test_nothing_planted_is_logged(changes: dict[str, Any], planted: Planted, caplog: pytest.LogCaptureFixture) -> None:
    agreed = settings(**changes)
    with caplog.at_level(logging.DEBUG):
        for party in ("guest", "host"):
            made = table(party)
            ids.protect(made.ids, method="hash")  # this one does log: a warning
            Binner.fit(made).transform(made)
        trained = train(planted.made, agreed, verify=True)
        listen(scoring_programs(planted.made, trained, agreed))
        logging.getLogger("vflfast.test").warning("the control: %s", ID)
    said = [words_of(record) for record in caplog.records if record.name.startswith("vflfast")]
    assert len(said) >= 3
    assert ID in said.pop()
    for forbidden in ("CANARY", "98765", *decimal_patterns(planted, agreed)):
        assert not any(forbidden in text for text in said)


def test_inputs_do_not_show_labels(planted: Planted) -> None:
    assert "labels" not in repr(planted.made.guest)
    assert "array" not in repr(planted.made.guest)


# --- errors ----------------------------------------------------------------------------------------------------------


def broken(**columns: Any) -> pd.DataFrame:
    made = frame(1, ["a", "b", "c"], labels=True)
    for name, cells in columns.items():
        made[name] = cells
    return made


def repeated(values: pd.Series, row: int, value: Any) -> list[Any]:
    cells = values.tolist()
    cells[row] = value
    return cells


WHOLE = frame(1, ["a", "b", "c"], labels=True)


def with_cell(column: str, row: int, value: Any) -> pd.DataFrame:
    return broken(**{column: repeated(WHOLE[column], row, value)})


def zero_one(planted: Planted) -> PartyInputs:
    return PartyInputs(planted.made.guest.matrix, b"", "bank", (planted.made.labels > 0).astype(np.int8))


def class_counts(planted: Planted) -> CodedMatrix:
    codes = planted.made.guest.matrix.codes
    return CodedMatrix(codes, np.ones(len(codes), dtype=int))


def failing_opening(_: Planted) -> Any:
    return MaskedOpening(private_key().public, private_key().public.encrypt([1, 2], bound=9)).open(np.zeros((1, 8), dtype=np.uint64))


MISTAKES: dict[str, Callable[[Planted], Any]] = {
    "id twice": lambda _: table_from_frame(with_cell("id", 5, f"{ID}0004")),
    "id with a space": lambda _: table_from_frame(with_cell("id", 5, f" {ID}")),
    "id no number": lambda _: table_from_frame(WHOLE, id_format="phone"),
    "id not text": lambda _: ids.protect([ID, 3], key=KEY),  # type: ignore[list-item]
    "id not Unicode": lambda _: ids.protect([ID, f"{ID}\ud800"], key=KEY),
    "short key": lambda _: ids.protect([ID], key=KEY[:8]),
    "no id in common": lambda _: ids.match(ids.protect([ID], key=KEY), ids.protect([f"{ID}1"], key=KEY)),
    "text among labels": lambda _: table_from_frame(with_cell("y", 7, LEVEL), label_column="y"),
    "third label": lambda _: table_from_frame(with_cell("y", 7, 98765), label_column="y"),
    "text among numbers": lambda _: table_from_frame(with_cell("a", 7, LEVEL), kinds={"a": "numeric"}),
    "infinite cell": lambda _: table_from_frame(with_cell("a", 7, np.inf)),
    "bad date": lambda _: table_from_frame(broken(a=LEVEL), kinds={"a": "date"}, observation_date="2020-01-01"),
    "other kind in scoring": lambda _: Binner.fit(table("guest")).transform(table_from_frame(broken(a=LEVEL), label_column="y")),
    "labels of 0 and 1": lambda planted: Block(zero_one(planted), settings(), 9, 2, has_intercept=True),
    "predictor above its bound": lambda planted: train(planted.made, settings(predictor_bound=0.01)),
    "class counts too small": class_counts,
    "plaintext above its bound": lambda _: private_key().public.encrypt([VALUE], bound=1.0),
    "an opening that fails": failing_opening,
}


@pytest.mark.parametrize("name", MISTAKES)
def test_nothing_planted_is_in_an_error(name: str, planted: Planted, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(VflError) as caught:
        MISTAKES[name](planted)
    said = " ".join([*chain(caught.value), *(words_of(record) for record in caplog.records)])
    for forbidden in ("CANARY", "98765", KEY.decode(), *decimal_patterns(planted, settings())):
        assert forbidden not in said


def chain(error: BaseException) -> Iterator[str]:
    """What a traceback prints of an error and of those it came from."""
    while True:
        yield f"{error!r} {error}"
        following = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if following is None:
            return
        error = following
