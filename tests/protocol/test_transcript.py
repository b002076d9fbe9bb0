"""One whole protocol transcript as a known answer: 8 rows, 3 + 4 columns, 3 rounds (assurance.md §2).

The expected numbers come from the plain Python below, which shares nothing with the library but the formulas of protocol.md §3 and
§5: Python integers for everything that is encrypted, Python floats (each operation correctly rounded) for gradient descent, fractions
for Newton steps. They are pinned in vectors/transcript.json; ciphertexts are random and are not. `python test_transcript.py` writes it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.runs import P, Parties, Q, listen, parties, settings, train, training_programs

from vflfast.crypto import backend as be
from vflfast.crypto.coded import CodedMatrix
from vflfast.params import RELAXATION
from vflfast.protocol import messages as ms
from vflfast.protocol.twin import train_twin

PINNED = Path(__file__).parents[1] / "vectors" / "transcript.json"
FRAC_BITS = 24
UNIT = 1 << FRAC_BITS
GUEST = [[0, 1, 2, 3, 4, 0, 1, 2], [4, 0, 3, 1, 2, 2, 0, 4], [1, 1, 0, 2, 0, 2, 1, 0]]
HOST = [[3, 0, 4, 1, 1, 2, 0, 4], [0, 0, 1, 1, 0, 1, 0, 1], [2, 4, 0, 3, 1, 1, 4, 0], [1, 0, 2, 0, 1, 0, 2, 2]]
LABELS = [1, -1, 1, -1, 1, -1, -1, -1]
DESCENT = {"solver": "gd", "step": 0.25, "momentum": 0.5, "alpha": 0.125, "init": "zeros", "tol": 0.0, "max_iter": 3}
N_ROWS = len(LABELS)


# --- what the parties exchange, in plain integers ------------------------------------------------------------------------


def opened_sums(columns: list[list[int]], residual: list[int]) -> tuple[list[int], int]:
    """(Zᵀ4g, Σ4g)."""
    return [sum(z * g for z, g in zip(column, residual, strict=True)) for column in columns], sum(residual)


def four_g(guest_u: list[float], host_u: list[float]) -> list[int]:
    """4g = u″ + u′ − 2y in fixed point."""
    return [round(a * UNIT) + round(b * UNIT) - 2 * y * UNIT for a, b, y in zip(guest_u, host_u, LABELS, strict=True)]


class Descent:
    """Gradient descent with momentum on standardised columns, for one party."""

    def __init__(self, columns: list[list[int]], has_intercept: bool) -> None:
        self.columns, self.has_intercept = columns, has_intercept
        self.sums = [sum(column) for column in columns]
        squares = [sum(z * z for z in column) for column in columns]
        self.scale = [math.sqrt(N_ROWS * q - s * s) / N_ROWS for s, q in zip(self.sums, squares, strict=True)]
        self.theta, self.velocity = [0.0] * len(columns), [0.0] * len(columns)
        self.intercept = 0.0

    def weights(self) -> tuple[list[float], float]:
        weights = [t / s for t, s in zip(self.theta, self.scale, strict=True)]
        shift = -math.fsum(w * (s / N_ROWS) for w, s in zip(weights, self.sums, strict=True))
        return weights, shift + self.intercept

    def predictor(self) -> list[float]:
        weights, start = self.weights()
        values = [start] * N_ROWS
        for weight, column in zip(weights, self.columns, strict=True):
            values = [u + weight * z for u, z in zip(values, column, strict=True)]
        return values

    def update(self, gradient: list[int], total: int) -> None:
        below = N_ROWS * N_ROWS << (FRAC_BITS + 2)
        for j, (g, s) in enumerate(zip(gradient, self.sums, strict=True)):
            slope = (N_ROWS * g - s * total) / below / self.scale[j]
            self.velocity[j] = DESCENT["momentum"] * self.velocity[j] - DESCENT["step"] * (slope + DESCENT["alpha"] * self.theta[j])
            self.theta[j] += self.velocity[j]
        if self.has_intercept:
            self.intercept += -total / (N_ROWS << FRAC_BITS)


def weight_hash(weights: list[float], intercept: float) -> str:
    return hashlib.sha256(struct.pack(f"<{len(weights) + 1}d", *weights, intercept)).hexdigest()


def half_scores(predictor: list[float]) -> list[float]:
    """min–max of σ(u) at 40 fraction bits."""
    fixed = [round(2**40 / (1 + math.exp(-u))) for u in predictor]
    return [(s - min(fixed)) / (max(fixed) - min(fixed)) for s in fixed]


def transcript() -> dict[str, Any]:
    """Everything of the run that is not random."""
    blocks = {"guest": Descent(GUEST, True), "host1": Descent(HOST, False)}
    rounds = []
    for _ in range(DESCENT["max_iter"]):
        residual = four_g(blocks["guest"].predictor(), blocks["host1"].predictor())
        opened = {name: opened_sums(block.columns, residual) for name, block in blocks.items()}
        for name, block in blocks.items():
            block.update(*opened[name])
        rounds.append({
            "4g": residual,
            "opened": {name: [*sums, total] for name, (sums, total) in opened.items()},
            "weights": {name: [w.hex() for w in (*block.weights()[0], block.weights()[1])] for name, block in blocks.items()},
            "hash": {name: weight_hash(*block.weights()) for name, block in blocks.items()},
        })  # fmt: skip
    norms = [half_scores(block.predictor()) for block in blocks.values()]
    combined = [(a + b) / 2 for a, b in zip(*norms, strict=True)]
    falling = sorted(combined, reverse=True)
    last, first_out = falling[LABELS.count(1) - 1 : LABELS.count(1) + 1]  # base rate: as many flagged as are positive
    cut = (last + first_out) / 2
    return {
        "source": "tests/protocol/test_transcript.py, plain Python",
        "p": hex(P), "q": hex(Q), "guest": GUEST, "host1": HOST, "labels": LABELS,
        "settings": DESCENT, "rounds": rounds, "threshold": cut.hex(), "training_labels": [1 if f > cut else -1 for f in combined],
    }  # fmt: skip


# --- the known answer --------------------------------------------------------------------------------------------------


def made() -> Parties:
    blank = parties(N_ROWS)
    guest, host = (CodedMatrix(np.array(columns, dtype=np.uint8), [5] * len(columns)) for columns in (GUEST, HOST))
    labels = np.array(LABELS, dtype=np.int8)
    return Parties(dataclasses.replace(blank.guest, matrix=guest, labels=labels), [dataclasses.replace(blank.hosts[0], matrix=host)])


@pytest.fixture(scope="module")
def pinned() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(PINNED.read_text())
    return found


SAID = ["Hello", "Quota", *["MaskedGradient", "Vote"] * 3, "ScoreShare", "ThresholdChoice", "Transcripts"]  # by the guest to the arbiter


def test_plain_python_still_gives_the_pinned_transcript(pinned: dict[str, Any]) -> None:
    assert json.loads(json.dumps(transcript())) == pinned


def test_the_pinned_transcript_is_worth_pinning(pinned: dict[str, Any]) -> None:
    assert len(pinned["rounds"]) == 3
    assert len({entry["hash"][name] for entry in pinned["rounds"] for name in ("guest", "host1")}) == 6
    assert pinned["rounds"][0]["4g"] == [-2 * y * UNIT for y in LABELS]
    assert sorted(set(pinned["training_labels"])) == [-1, 1]


@pytest.mark.parametrize("profile", ["hardened", "patent"])
@pytest.mark.parametrize("backend", be.available())
def test_the_encrypted_run_gives_the_pinned_transcript(backend: str, profile: str, pinned: dict[str, Any]) -> None:
    agreed = settings(**DESCENT, profile=profile, powers=(1.0, 1.0))
    with be.use(backend):
        results, heard = listen(training_programs(made(), agreed))
    for name in ("guest", "host1"):
        model = results[name]
        assert model.hashes == [entry["hash"][name] for entry in pinned["rounds"]]
        assert [float(w).hex() for w in (*model.weights, model.intercept)] == pinned["rounds"][-1]["weights"][name]
    assert results["guest"].train_labels.tolist() == pinned["training_labels"]
    assert results["arbiter"].threshold == pytest.approx(float.fromhex(pinned["threshold"]), abs=1e-11)  # scores have 40 bits
    assert [type(m).__name__ for m, e, _ in heard if (e.sender, e.recipient) == ("guest", "arbiter")] == SAID
    assert sum(isinstance(m, ms.Verdict) and bool(m.stop) for m, _, _ in heard) == 2


def test_the_twin_gives_the_pinned_transcript(pinned: dict[str, Any]) -> None:
    inputs = made()
    blocks = train_twin(inputs.guest, inputs.hosts, settings(**DESCENT))
    for block, name in zip(blocks, ("guest", "host1"), strict=True):
        assert block.hashes == [entry["hash"][name] for entry in pinned["rounds"]]


def test_another_label_or_cell_gives_another_transcript(pinned: dict[str, Any]) -> None:
    inputs = made()
    labels = inputs.labels.copy()
    labels[5] = 1
    changed = [Parties(dataclasses.replace(inputs.guest, labels=labels), inputs.hosts)]
    codes = np.array(HOST, dtype=np.uint8)
    codes[3, 7] = 1
    changed.append(Parties(inputs.guest, [dataclasses.replace(inputs.hosts[0], matrix=CodedMatrix(codes, [5] * 4))]))
    for other in changed:
        result = train(other, settings(**DESCENT))
        assert result.hosts[0].hashes[0] != pinned["rounds"][0]["hash"]["host1"]


# --- Newton steps, in fractions ------------------------------------------------------------------------------------------


OMEGA = Fraction(RELAXATION) / 2  # two parties


class Newton:
    """w ← w − ω·H⁻¹·(gradient + λ·D·w), H = Cov/4 + λ·D, D = diag(Var): rational in w, unlike in θ."""

    def __init__(self, columns: list[list[int]], alpha: Fraction, has_intercept: bool) -> None:
        self.columns, self.alpha, self.has_intercept = columns, alpha, has_intercept
        n, m = N_ROWS, len(columns)
        self.sums = [sum(c) for c in columns]
        products = [[sum(a * b for a, b in zip(one, other, strict=True)) for other in columns] for one in columns]
        self.covariance = [[Fraction(n * products[i][j] - self.sums[i] * self.sums[j], n * n) for j in range(m)] for i in range(m)]
        self.hessian = [[self.covariance[i][j] / 4 + (alpha * self.covariance[i][i] if i == j else 0) for j in range(m)] for i in range(m)]
        self.w, self.intercept = [Fraction(0)] * m, Fraction(0)
        self.labels_sum = sum(LABELS)

    def start(self) -> None:
        """Half of the own Taylor minimum; the whole intercept ([0066], [0067])."""
        step = self.solve(self.slope(*opened_sums(self.columns, [-2 * y for y in LABELS]), bits=0))
        self.w = [-s / 2 for s in step]
        self.intercept = Fraction(2 * self.labels_sum, N_ROWS)

    def slope(self, gradient: list[int], total: int, bits: int) -> list[Fraction]:
        below = 4 * N_ROWS * N_ROWS << bits
        slopes = [Fraction(N_ROWS * g - s * total, below) for g, s in zip(gradient, self.sums, strict=True)]
        return [g + self.alpha * self.covariance[j][j] * w for j, (g, w) in enumerate(zip(slopes, self.w, strict=True))]

    def solve(self, right: list[Fraction]) -> list[Fraction]:
        """Gauss–Jordan elimination."""
        rows = [[*row, r] for row, r in zip(self.hessian, right, strict=True)]
        for i in range(len(rows)):
            pivot = [v / rows[i][i] for v in rows[i]]
            rows = [pivot if k == i else [a - row[i] * b for a, b in zip(row, pivot, strict=True)] for k, row in enumerate(rows)]
        return [row[-1] for row in rows]

    def total_intercept(self) -> Fraction:
        return self.intercept - sum(w * Fraction(s, N_ROWS) for w, s in zip(self.w, self.sums, strict=True))

    def predictor(self) -> list[float]:
        return [float(self.total_intercept() + sum(w * c[i] for w, c in zip(self.w, self.columns, strict=True))) for i in range(N_ROWS)]

    def update(self, gradient: list[int], total: int) -> None:
        self.w = [w - OMEGA * s for w, s in zip(self.w, self.solve(self.slope(gradient, total, FRAC_BITS)), strict=True)]
        if self.has_intercept:
            self.intercept -= Fraction(total, N_ROWS << FRAC_BITS)


@pytest.mark.parametrize("init", ["local", "zeros"])
def test_newton_rounds_are_what_fractions_say(init: str) -> None:
    """Default solver, λ = 7/8 (seven columns, eight rows)."""
    guest, host = Newton(GUEST, Fraction(7, N_ROWS), True), Newton(HOST, Fraction(7, N_ROWS), False)
    if init == "local":
        guest.start()
    for _ in range(3):
        residual = four_g(guest.predictor(), host.predictor())
        for block in (guest, host):
            block.update(*opened_sums(block.columns, residual))
    result = train(made(), settings(init=init, max_iter=3, tol=0.0), verify=True)
    for model, block in ((result.guest, guest), (result.hosts[0], host)):
        assert model.alpha == 7 / 8
        np.testing.assert_allclose(model.weights, [float(w) for w in block.w], rtol=0, atol=1e-12)
        assert model.intercept == pytest.approx(float(block.total_intercept()), abs=1e-12)


if __name__ == "__main__":
    PINNED.write_text(json.dumps(transcript(), indent=1) + "\n")
