"""The README's picture: who sends what to whom in a round, from the table of messages, and what it is good for, from a run of the demo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sequence
import svg

from vflfast.learn.residual import LARGEST_SCALE, LEAST_SCALE, tables

DEMO = Path(__file__).parent / "demo.json"
WIDTH, HEIGHT = 980, 372
BOX = (176, 84)  # width and height of a party
PLACES = {"arbiter": (210, 40), "guest": (24, 250), "host": (396, 250)}  # top left corners
HOLDS = {
    "arbiter": ("arbiter", "the private key;", "sees masked numbers"),
    "guest": ("guest: the bank", "its columns, the labels,", "its half of the model"),
    "host": ("host: a partner", "its columns,", "its half of the model"),
}
SHOWN = {
    "HalfRange": "range of u", "Predictor": "[[φ(u″)]]", "Residual": "[[g]]", "InnerProducts": "products",
    "MaskedGradient": "masked gradient",
    "Vote": "vote", "OpenedGradient": "opened, still masked", "Verdict": "stop or go on",
}  # fmt: skip
DEFAULTS = ("", "residual logistic", "solver lbfgs")  # the conditions that hold when nothing is set
CURVES = {"guest alone": ("b", "bank alone"), "host1 alone": ("c", "partner alone"), "joint": ("a", "together")}
ROC = (664, 40, 276)  # left, top, side


def picture() -> str:
    """Return the picture as SVG."""
    parts = [part for role, (x, y) in PLACES.items() for part in _party(role, x, y)]
    parts += _between_data_parties() + _to_and_from_arbiter("guest") + _to_and_from_arbiter("host") + _roc()
    described = "; ".join(f"{sender} to {recipient}: {', '.join(words)}" for (sender, recipient), words in flows().items())
    return svg.page(WIDTH, HEIGHT, "What travels in a round, and what it is good for", described, parts)


def flows() -> dict[sequence.Link, list[str]]:
    """Return what travels on every link in each round."""
    found: dict[sequence.Link, list[str]] = {}
    for step in sequence.sequence("hardened"):
        for link in step.links if step.kind.phase in sequence.EVERY_ROUND and step.condition in DEFAULTS else ():
            found.setdefault(link, []).append(SHOWN[step.name])
    return found


def read_demo() -> dict[str, Any]:
    """Return the curves and figures of the demo's run: name → auc, false and true positive rates."""
    found: dict[str, Any] = json.loads(DEMO.read_text(encoding="utf-8"))
    return found


def _party(role: str, x: float, y: float) -> list[str]:
    middle, lines = x + BOX[0] / 2, HOLDS[role]
    words = [svg.text(middle, y + 26, lines[0], "large strong", "middle")]
    return [svg.box(x, y, *BOX), *words, *(svg.text(middle, y + 48 + 18 * k, line, "soft", "middle") for k, line in enumerate(lines[1:]))]


def _between_data_parties() -> list[str]:
    left, right = PLACES["guest"][0] + BOX[0] + 6, PLACES["host"][0] - 6
    y = PLACES["guest"][1] + 30
    middle = (left + right) / 2
    few, many = (len(tables((0.0, s), (0.0, s)).phi) for s in (LEAST_SCALE, LARGEST_SCALE))
    there, back = flows()["host", "guest"], flows()["guest", "host"]
    return [
        svg.arrow([(right, y), (left, y)]), svg.text(middle, y - 7, ", ".join(there), "strong", "middle"),
        svg.arrow([(left, y + 34), (right, y + 34)]), svg.text(middle, y + 27, ", ".join(back), "strong", "middle"),
        svg.text(middle, y + 76, f"{few} to {many} ciphertexts a customer, one back", "small soft", "middle"),
    ]  # fmt: skip


def _to_and_from_arbiter(role: str) -> list[str]:
    """Two arrows beside each other, with their words on the outer side."""
    side = -1 if role == "guest" else 1
    foot = PLACES[role][0] + BOX[0] / 2
    edge = PLACES["arbiter"][0] + (0 if side < 0 else BOX[0])
    top, bottom = PLACES["arbiter"][1], PLACES[role][1]
    up = [(foot + 14 * side, bottom - 6), (foot + 14 * side, top + 26), (edge + 6 * side, top + 26)]
    down = [(edge + 6 * side, top + 56), (foot - 14 * side, top + 56), (foot - 14 * side, bottom - 6)]
    anchor = "end" if side > 0 else "start"
    x = foot + (86 if side > 0 else -86)
    words = [svg.text(x, top + 12, ", ".join(flows()[role, "arbiter"]), "strong", anchor)]
    inner = foot - 22 * side
    for k, line in enumerate(flows()["arbiter", role]):
        words.append(svg.text(inner, top + 110 + 18 * k, line, "strong", "end" if side > 0 else "start"))
    return [svg.arrow(up), svg.arrow(down), *words]


def _roc() -> list[str]:
    left, top, side = ROC
    parts = [svg.box(left, top, side, side), svg.path([(left, top + side), (left + side, top)], "line dashed")]
    parts.append(svg.text(left, top - 14, "Share of the buyers that are found", "strong"))
    runs = read_demo()
    for k, (name, (colour, words)) in enumerate(CURVES.items()):
        run = runs[name]
        rates = zip(run["false_positive_rate"], run["true_positive_rate"], strict=True)
        points = [(left + side * x, top + side * (1 - y)) for x, y in rates]
        parts.append(svg.path(points, f"{colour} wide"))
        parts.append(svg.text(left + side - 14, top + side - 56 + 20 * k, f"{words}: AUC {run['auc']:.3f}", f"strong {colour}", "end"))
    parts += [svg.text(left, top + side + 18, "0", "small soft"), svg.text(left + side, top + side + 18, "1", "small soft", "end")]
    parts.append(svg.text(left + side / 2, top + side + 18, "false positive rate", "small soft", "middle"))
    parts.append(svg.text(left + side / 2, top + side + 38, "vflfast demo: customers kept out of training", "small soft", "middle"))
    return parts
