"""Pictures and tables of docs/ that are made from the code: up to date, and true to what real sessions send."""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from support.pages import DOCS
from support.runs import listen, parties, scoring_programs, settings, train, training_programs

from vflfast.protocol import messages as ms
from vflfast.protocol import steps

sys.path.insert(0, str(DOCS))

import picture
import sequence
import svg
import write

Heard = list[tuple[str, str, type[ms.Message]]]


@pytest.mark.parametrize("name", sorted(write.pages()))
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == write.pages()[name], "run: make docs"


@pytest.mark.parametrize("name", [name for name in write.pages() if name.endswith(".svg")])
def test_a_picture_can_be_read_and_stays_inside(name: str) -> None:
    root = ElementTree.fromstring((DOCS / name).read_text(encoding="utf-8"))
    width, height = (float(x) for x in root.attrib["viewBox"].split()[2:])
    for element in root.iter("{http://www.w3.org/2000/svg}text"):
        assert 0 < float(element.attrib["x"]) < width
        assert 0 < float(element.attrib["y"]) < height
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert "prefers-color-scheme: dark" in svg.STYLE


# --- the sequence against real sessions --------------------------------------------------------------------------


def heard(changes: dict[str, Any]) -> tuple[Heard, Heard]:
    """(from role, to role, kind) of a training session and of a scoring session, in the order of sending."""
    made, agreed = parties(24, (2, 3)), settings(**changes)
    _, training = listen(training_programs(made, agreed))
    _, scoring = listen(scoring_programs(made, train(made, agreed), agreed))
    return tuple(  # type: ignore[return-value]
        [(steps.role_of(e.sender), steps.role_of(e.recipient), type(m)) for m, e, _ in session] for session in (training, scoring)
    )


OPENED = "threshold ks, precision; output scores, probability"
SHARED = ["solver lbfgs; scoring joint", "scoring joint: training; combined: output probability", "scoring joint; output probability"]
JOINT: dict[str, Any] = {"scoring": "joint"}
CASES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("hardened", {}, ["training", "scoring combined"]),
    ("hardened", JOINT, ["training", *SHARED]),
    ("patent", {}, ["training", "scoring combined", "profile patent"]),
    ("hardened", {"threshold": "ks"}, ["training", "scoring combined", OPENED]),
    ("hardened", JOINT | {"threshold": "ks"}, ["training", *SHARED, OPENED]),
    ("hardened", {"output": "scores"}, ["training", "scoring combined", OPENED]),
    ("hardened", JOINT | {"output": "probability"}, ["training", *SHARED, OPENED]),
]


@pytest.mark.parametrize(("profile", "changes", "conditions"), CASES, ids=str)
def test_the_sequence_is_what_sessions_send(profile: str, changes: dict[str, Any], conditions: list[str]) -> None:
    """Every message under its conditions, on its links, and no other."""
    training, scoring = heard({"profile": profile, **changes})
    due = {
        (sender, recipient, step.kind) for step in sequence.sequence(profile) for sender, recipient in step.links
        if step.kind.phase != "match" and (not step.condition or step.condition in conditions) and (sender, recipient) != ("host", "host")
    }  # fmt: skip
    assert {*training, *scoring} == due


@pytest.mark.parametrize(("profile", "changes", "conditions"), CASES, ids=str)
def test_the_order_of_first_messages_is_that_of_every_link(profile: str, changes: dict[str, Any], conditions: list[str]) -> None:
    places = {step.kind: k for k, step in enumerate(sequence.sequence(profile))}
    training, _ = heard({"profile": profile, **changes})
    for link in steps.TABLE:
        order = list(dict.fromkeys(places[kind] for sender, recipient, kind in training if (sender, recipient) == link))
        assert order == sorted(order), link
    if changes.get("threshold") == "ks":
        assert places[ms.CombinedScores] < places[ms.ThresholdChoice]


def test_weights_of_evidence_come_before_the_rounds() -> None:
    kinds = [step.kind for step in sequence.sequence("hardened")]
    woe = [kinds.index(kind) for kind, when in sequence.WHEN.items() if when == "host_woe"]
    assert sorted(woe) == list(range(min(woe), max(woe) + 1))
    assert kinds.index(ms.OrderSeed) < min(woe)
    assert max(woe) < kinds.index(ms.Quota) < kinds.index(ms.Predictor)


def test_every_message_is_there_once_and_says_who_learns_what() -> None:
    kinds = [step.kind for step in sequence.sequence("patent")]
    assert len(set(kinds)) == len(kinds)
    assert set(ms.KINDS.values()) <= set(kinds)
    assert set(sequence.LEARNS) == set(kinds)
    assert set(sequence.WHEN) <= set(kinds)
    only = set(kinds) - {step.kind for step in sequence.sequence("hardened")}
    assert only == {ms.TrainingLabels}


def test_a_table_that_changes_changes_the_diagram(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sequence.diagram("hardened")
    table = {link: dict(followers) for link, followers in steps.TABLE.items()}
    table["arbiter", "host"][ms.KeyAnnouncement] = (ms.OpenedGradient, ms.ScoreLabels, ms.CombinedScores)
    monkeypatch.setattr(steps, "TABLE", table)
    assert sequence.diagram("hardened") != before
    assert "arbiter → guest, arbiter → host | threshold ks" in sequence.table()


# --- the README's picture ----------------------------------------------------------------------------------------


def test_the_picture_shows_every_message_of_a_round() -> None:
    shown = [word for words in picture.flows().values() for word in words]
    assert set(shown) == set(picture.SHOWN.values())
    assert set(picture.SHOWN) == {kind.__name__ for kind in steps.ROUND_KINDS if sequence.WHEN.get(kind, "") in picture.DEFAULTS}


def test_the_pictures_figures_are_the_manuals() -> None:
    """And those are what the demo prints: test_manual.py."""
    text = (DOCS / "manual.md").read_text(encoding="utf-8")
    for name, run in picture.read_demo().items():
        assert f"  {name:<14}{run['auc']:>8.4f}" in text


def test_the_pictures_curves_are_those_of_their_areas() -> None:
    """The area under a drawn curve is the AUC beside it, but for the points that were left out."""
    for run in picture.read_demo().values():
        points = list(zip(run["false_positive_rate"], run["true_positive_rate"], strict=True))
        assert points[0] == (0, 0)
        assert points[-1] == (1, 1)
        area = sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairwise(points))
        assert area == pytest.approx(run["auc"], abs=0.003)
