"""Saved models: a party's own half and nothing else; damage of any field is refused by its name."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.jobs import sections, write_tables

from vflfast.errors import ModelError
from vflfast.jobs import job as jobs
from vflfast.jobs import jobfile
from vflfast.jobs import model as saved
from vflfast.jobs.progress import StageClock
from vflfast.tables.seal import sealed

Document = dict[str, Any]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> jobs.TrainedJob:
    folder = tmp_path_factory.mktemp("tables")
    write_tables(folder, 2)
    return jobs.train(jobfile.job_from_mapping(sections(folder, 2), folder), StageClock())


@pytest.fixture(scope="module")
def files(trained: jobs.TrainedJob, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {path.stem: path for path in jobs.save_models(trained, tmp_path_factory.mktemp("models"))}


def document(path: Path) -> Document:
    data: Document = json.loads(path.read_text())
    return data


def parse(data: Document) -> object:
    return saved.arbiter_from_dict(data) if data.get("role") == "arbiter" else saved.SavedParty.from_dict(data)


# --- round trip --------------------------------------------------------------------------------------------------


def test_one_file_for_each_party(files: dict[str, Path]) -> None:
    assert list(files) == ["guest", "host1", "host2", "arbiter"]
    assert sorted(path.name for path in files["guest"].parent.iterdir()) == ["arbiter.json", "guest.json", "host1.json", "host2.json"]


@pytest.mark.parametrize("role", ["guest", "host1", "host2"])
def test_a_partys_model_survives_the_disk_bit_for_bit(trained: jobs.TrainedJob, files: dict[str, Path], role: str) -> None:
    party = next(one for one in trained.parties if one.role == role)
    loaded = saved.SavedParty.from_dict(saved.read_json(files[role]), role)
    assert loaded.weights.tobytes() == party.weights.tobytes()
    assert (loaded.intercept, loaded.session, loaded.role) == (party.intercept, party.session, role)
    assert loaded.binner == party.binner
    assert loaded.norm.statistics.tobytes() == party.norm.statistics.tobytes()
    assert loaded.to_dict() == party.to_dict()


def test_the_arbiters_model_survives_the_disk(trained: jobs.TrainedJob, files: dict[str, Path]) -> None:
    assert saved.arbiter_from_dict(saved.read_json(files["arbiter"])) == trained.result.arbiter


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    saved.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        saved.write_json(path, {"a": object()})
    assert saved.read_json(path) == {"a": 1}


# --- whose is what -----------------------------------------------------------------------------------------------


def texts_and_numbers(value: object) -> set[object]:
    """Every text and every number in a document, keys included."""
    if isinstance(value, dict):
        return set(value) | {found for one in value.values() for found in texts_and_numbers(one)}
    if isinstance(value, list):
        return {found for one in value for found in texts_and_numbers(one)}
    return {value}


def test_a_file_holds_its_own_partys_half_only(trained: jobs.TrainedJob, files: dict[str, Path]) -> None:
    documents = {role: document(path) for role, path in files.items()}
    everything = {role: texts_and_numbers(data) for role, data in documents.items()}
    for party in trained.parties:
        own = {weight for weight in party.weights.tolist() if weight}
        features = set(party.binner.feature_names)
        edges = {edge for rule in documents[party.role]["binner"]["rules"] for edge in rule.get("edges", [])}
        assert own <= everything[party.role]
        assert features <= everything[party.role]
        assert len(edges) >= 8
        for role in set(files) - {party.role}:
            assert not own & everything[role]
            assert not features & everything[role]
            assert not {edge for edge in edges if edge != round(edge)} & everything[role]
            assert f"{party.role}_" not in files[role].read_text()  # part of any column's name
            assert f"{party.role} smith" not in files[role].read_text()  # a level of a category


def test_no_file_holds_customers_or_labels(trained: jobs.TrainedJob, files: dict[str, Path]) -> None:
    for path in files.values():
        data = document(path)
        assert "customer-" not in path.read_text()
        lengths = [len(value) for value in lists_in(data)]
        assert not {trained.n_train, 240, 250} & set(lengths)  # nothing has an entry a row
    assert "bought" in files["guest"].read_text()  # its own column's name, to read later files the same way
    assert not any("bought" in files[role].read_text() for role in ("host1", "host2", "arbiter"))


def lists_in(value: object) -> list[list[Any]]:
    if isinstance(value, dict):
        return [found for one in value.values() for found in lists_in(one)]
    if isinstance(value, list):
        return [value, *(found for one in value for found in lists_in(one))]
    return []


# --- damage ------------------------------------------------------------------------------------------------------


def at(*path: Any, value: Any) -> Callable[[Document], None]:
    """Set the value at a path of keys and positions; ... takes it away."""

    def change(data: Document) -> None:
        target: Any = data
        for key in path[:-1]:
            target = target[key]
        if value is ...:
            del target[path[-1]]
        else:
            target[path[-1]] = value(target[path[-1]]) if callable(value) else value

    return change


PARTY_FIELDS = [
    "format", "version", "role", "session", "reading", "binner", "columns", "weights", "intercept", "weight_hash", "norm", "scale",
    "facts", "digest",
]  # fmt: skip
ARBITER_FIELDS = ["format", "version", "role", "session", "powers", "threshold", "n_iter", "flagged_share", "settings", "digest"]


def test_the_lists_of_fields_are_complete(files: dict[str, Path]) -> None:
    assert sorted(PARTY_FIELDS) == sorted(document(files["guest"]))
    assert sorted(ARBITER_FIELDS) == sorted(document(files["arbiter"]))


# wrong values that could be right, which only a digest can tell
POSSIBLE = {
    ("role", "'x'"): "digest", ("facts", "{}"): "digest", ("settings", "{}"): "digest", ("threshold", "-1"): "digest",
    ("intercept", "-1"): "weight_hash", ("norm", "None"): "digest", ("scale", "None"): "digest",  # either is enough to score
}  # fmt: skip
MISSING = [("host1", name) for name in PARTY_FIELDS] + [("arbiter", name) for name in ARBITER_FIELDS if name != "role"]


@pytest.mark.parametrize(("role", "name"), MISSING, ids=[f"{role}-{name}" for role, name in MISSING])
def test_a_missing_field_is_named(files: dict[str, Path], role: str, name: str) -> None:
    data = document(files[role])
    del data[name]
    with pytest.raises(ModelError) as caught:
        parse(data)
    assert caught.value.argument == ("digest" if name == "scale" else name)  # older models have none


@pytest.mark.parametrize("value", [None, True, [], "x", -1, {}], ids=["null", "true", "list", "text", "number", "object"])
@pytest.mark.parametrize(("role", "name"), MISSING, ids=[f"{role}-{name}" for role, name in MISSING])
def test_a_field_of_the_wrong_type_is_refused(files: dict[str, Path], role: str, name: str, value: Any) -> None:
    data = document(files[role])
    data[name] = value
    with pytest.raises(ModelError) as caught:
        parse(data)
    assert caught.value.argument.split(".")[0] == POSSIBLE.get((name, repr(value)), name)
    assert "\n" not in str(caught.value)


WRONG: list[tuple[str, str, Callable[[Document], None]]] = [
    ("guest", "version", at("version", value=3)),
    ("guest", "version", at("version", value=0)),
    ("guest", "version", at("version", value=True)),
    ("guest", "format", at("format", value="pickle")),
    ("guest", "session", at("session", value="0" * 63)),
    ("guest", "session", at("session", value="G" * 64)),
    ("guest", "digest", at("session", value="0" * 64)),
    ("guest", "digest", at("digest", value="0" * 64)),
    ("guest", "digest", at("role", value="host1")),
    ("guest", "weights", at("weights", value=lambda weights: weights[:-1])),
    ("guest", "weights", at("weights", 0, value=float("nan"))),
    ("guest", "weights", at("weights", 0, value="0.5")),
    ("guest", "weights", at("weights", 0, value=None)),
    ("guest", "weights", at("weights", 0, value=10**400)),
    ("guest", "weight_hash", at("weights", 0, value=lambda weight: float(np.nextafter(weight, 9)))),
    ("guest", "weight_hash", at("intercept", value=lambda weight: -weight)),
    ("guest", "weight_hash", at("weight_hash", value="0" * 64)),
    ("guest", "intercept", at("intercept", value=float("inf"))),
    ("guest", "columns", at("columns", value=lambda names: names[::-1])),
    ("guest", "columns", at("columns", 0, value="age")),
    ("guest", "binner.version", at("binner", "version", value=7)),
    ("guest", "binner.rules", at("binner", "rules", value=[])),
    ("guest", "binner.rules[0]", at("binner", "rules", 0, value=None)),
    ("guest", "binner.rules[0].edges", at("binner", "rules", 0, "edges", value=lambda edges: edges[::-1])),
    ("guest", "binner.rules[0].counts", at("binner", "rules", 0, "counts", value=lambda counts: counts[:-1])),
    ("guest", "digest", at("binner", "rules", 0, "edges", 0, value=lambda edge: float(np.nextafter(edge, -9e9)))),
    ("guest", "norm.method", at("norm", "method", value="median")),
    ("guest", "norm.epsilon", at("norm", "epsilon", value=-1.0)),
    ("guest", "norm.statistics", at("norm", "statistics", value=[0.5, 0.25])),
    ("guest", "norm", at("norm", "mean", value=0.5)),
    ("guest", "scale.factor", at("scale", "factor", value=-1.0)),
    ("guest", "scale.shift", at("scale", "shift", value="0")),
    ("guest", "scale", at("scale", "more", value=0.0)),
    ("guest", "digest", at("scale", "shift", value=lambda shift: shift + 1)),
    ("guest", "digest", at("norm", "statistics", 1, value=lambda high: high + 1e-9)),
    ("guest", "reading", at("reading", "path", value="elsewhere.csv")),
    ("guest", "reading.kinds", at("reading", "kinds", value={})),
    ("guest", "reading.id_column", at("reading", "id_column", value=5)),
    ("guest", "facts", at("facts", value=[1])),
    ("guest", "digest", at("facts", "n_iter", value=99)),
    ("guest", "digest", at("more", value=1)),
    ("arbiter", "powers", at("powers", value=[1.0])),
    ("arbiter", "powers", at("powers", 0, value=0.0)),
    ("arbiter", "powers", at("powers", 0, value=True)),
    ("arbiter", "digest", at("powers", 0, value=2.0)),
    ("arbiter", "threshold", at("threshold", value="0.5")),
    ("arbiter", "digest", at("threshold", value=lambda threshold: float(np.nextafter(threshold, 9)))),
    ("arbiter", "n_iter", at("n_iter", value=0)),
    ("arbiter", "n_iter", at("n_iter", value=2.0)),
    ("arbiter", "flagged_share", at("flagged_share", value=1.5)),
    ("arbiter", "settings.tol", at("settings", "tol", value=-1.0)),
    ("arbiter", "settings.colour", at("settings", "colour", value=1)),
    ("arbiter", "digest", at("settings", "tol", value=0.5)),
]


@pytest.mark.parametrize(("role", "argument", "change"), WRONG, ids=[f"{k}-{case[0]}-{case[1]}" for k, case in enumerate(WRONG)])
def test_a_wrong_field_is_named(files: dict[str, Path], role: str, argument: str, change: Callable[[Document], None]) -> None:
    data = document(files[role])
    before = copy.deepcopy(data)
    parse(data)
    change(data)
    assert repr(data) != repr(before)
    with pytest.raises(ModelError) as caught:
        parse(data)
    assert caught.value.argument == argument


def test_a_model_of_another_role_is_refused(files: dict[str, Path]) -> None:
    for role, other in (("guest", "host1"), ("host1", "host2"), ("arbiter", "guest")):
        with pytest.raises(ModelError) as caught:
            saved.SavedParty.from_dict(document(files[role]), other)
        assert caught.value.argument == "role"
    with pytest.raises(ModelError, match="arbiter"):
        saved.arbiter_from_dict(document(files["guest"]))


def test_a_truncated_file_is_named(files: dict[str, Path], tmp_path: Path) -> None:
    text = files["host1"].read_text()
    path = tmp_path / "host1.json"
    for length in [*range(0, len(text) - 2, 97), len(text) - 3]:
        path.write_text(text[:length])
        with pytest.raises(ModelError) as caught:
            saved.read_json(path)
        assert caught.value.argument == str(path)


@pytest.mark.parametrize("content", [b"[1, 2]", b"5", b"null", b"\xff\xfe", b"{'format': 1}", b"[" * 100_000])
def test_what_is_no_json_object_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "guest.json"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        saved.read_json(path)
    assert caught.value.argument == str(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "guest.json", tmp_path):
        with pytest.raises(ModelError) as caught:
            saved.read_json(path)
        assert caught.value.argument == str(path)


def test_a_flipped_bit_anywhere_is_refused(files: dict[str, Path]) -> None:
    """Every value of the file, one flipped bit of its text at a time: refused, or the same numbers as before."""
    text = files["host2"].read_bytes()
    original = parse(document(files["host2"]))
    assert isinstance(original, saved.SavedParty)
    rng = np.random.default_rng(5)
    refused = 0
    for position, bit in zip(rng.integers(0, len(text), 300).tolist(), rng.integers(0, 8, 300).tolist(), strict=True):
        damaged = bytearray(text)
        damaged[position] ^= 1 << bit
        try:
            party = parse(json.loads(damaged.decode()))
        except (ModelError, ValueError):  # ValueError: no JSON any more, which read_json turns into a ModelError
            refused += 1
            continue
        assert isinstance(party, saved.SavedParty)  # a blank that became another blank, or 1e5 → 1E5
        assert party.to_dict() == original.to_dict()
    assert refused > 200


def test_a_model_that_cannot_score_is_refused(files: dict[str, Path]) -> None:
    data = {name: value for name, value in document(files["guest"]).items() if name != "digest"}
    with pytest.raises(ModelError, match="nothing to score with"):
        parse(sealed(data | {"norm": None, "scale": None}))
    for kept in ("norm", "scale"):
        assert getattr(parse(sealed(data | {name: None for name in ("norm", "scale") if name != kept})), kept) is not None


def test_models_of_the_first_version_are_read(files: dict[str, Path]) -> None:
    """They label by F, have no scale, and a setting of their own for the probability."""
    guest, arbiter = (document(files[role]) for role in ("guest", "arbiter"))
    del guest["scale"], guest["digest"], arbiter["digest"], arbiter["settings"]["scoring"]
    arbiter["settings"] |= {"joint": True, "max_iter": 50, "solver": "block-newton", "residual": "taylor", "stop": "loss"}
    old = parse(sealed(guest | {"version": 1}))
    assert isinstance(old, saved.SavedParty)
    assert (old.scale, old.norm is None) == (None, False)
    rule = parse(sealed(arbiter | {"version": 1}))
    assert isinstance(rule, saved.ArbiterModel)
    assert rule.settings.scoring == "combined"
    with pytest.raises(ModelError, match="joint"):
        parse(sealed(arbiter))
