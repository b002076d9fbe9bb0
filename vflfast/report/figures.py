"""The charts of a report, each from its part of the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .charts import COLOURS, INK, Chart, bars, chart, lines

Data = Mapping[str, Any]

SHARES = (0.05, 0.1, 0.2, 0.5)  # false positive rates whose true positive rates are written out
MIN_SHARE = 0.01  # of all bytes or seconds: below, a bar would not be seen
STAGE_GROUPS = {
    "reading and matching": {"read tables", "match ids", "bin", "write raw tables", "measure rates", "predict"},
    "key": {"key", "key proof", "key check"},
    "encrypt": {"encrypt", "vote", "calibrate", "score"},
    "re-randomise": {"rerandomize"},
    "coded product": {"logarithms", "bucket", "collapse", "combine"},
    "masks and decryption": {"pack and mask", "decrypt", "unmask", "check ciphertexts", "joint score"},
}
OTHER = "everything else"


def run_figures(report: Data) -> list[Chart]:
    """Return the charts of a trial; those whose data the run did not leave are left out."""
    summary = report["summary"]
    charts = [match(summary["match"]), losses(summary["losses"])]
    charts += [bins(report["parties"])] if report["parties"] else []
    if summary["evaluation"]:
        charts += [separation(summary["evaluation"]["scores"])]
        rounds = summary["evaluation"].get("rounds")
        charts += by_round(rounds["scores"], rounds["first"]) if rounds else []
        curves = summary["evaluation"].get("curves")
        charts += evaluation_figures(curves, summary["threshold"]) if curves else []
    if summary.get("timeline"):
        charts.append(timeline(summary["timeline"]))
    charts += [stages(summary["seconds_by_stage"]), messages(summary["bytes_by_message"])]
    if summary.get("plan"):
        charts.append(prediction(summary["plan"]["compared_stages"]))
    return charts


def party_figures(report: Data) -> list[Chart]:
    """Return the charts of one party's own model."""
    return [losses(report["party"]["losses"]), bins(report["parties"])]


def evaluation_figures(curves: Data, threshold: float) -> list[Chart]:
    """Return what shows how well the scores separate the customers kept out of training."""
    return [roc(curves), ks(curves), gains(curves), lift(curves), calibration(curves), distribution(curves, threshold)]


def match(found: Data) -> Chart:
    """Rows of each party, and those that all have."""
    rows = [(party, n, found["matched"], share) for party, n, share in zip(found["parties"], found["rows"], found["share"], strict=True)]

    def draw(axes: Any) -> None:
        bars(axes, found["parties"], {"rows": found["rows"], "matched": [found["matched"]] * len(rows)})
        axes.set_xlabel("customers")

    words = ", ".join(f"{share:.1%} of {party}'s" for party, _, _, share in rows)
    text = f"{found['matched']:,} customers are common: {words}."
    return chart("match", "Match", text, ("party", "rows", "matched", "share"), rows, draw)


def bins(parties: list[Data]) -> Chart:
    """Features by binning rule."""
    rules = sorted({rule for party in parties for rule in party["rules"]})
    rows = [(rule, *(party["rules"].get(rule, 0) for party in parties)) for rule in rules]

    def draw(axes: Any) -> None:
        bars(axes, rules, {party["role"]: [party["rules"].get(rule, 0) for rule in rules] for party in parties})
        axes.set_xlabel("features")

    roles = [party["role"] for party in parties]
    words = "; ".join(f"{party['role']}: " + ", ".join(f"{n} {rule}" for rule, n in party["rules"].items()) for party in parties)
    return chart("bins", "Bins by rule", f"Number of features under each rule. {words}.", ("rule", *roles), rows, draw)


def losses(by_party: Data) -> Chart:
    """The guest's loss, and the mean change of a party without labels, by round."""
    most = max((len(values) for values in by_party.values()), default=0)
    rows = [(r + 1, *(values[r] if r < len(values) else "" for values in by_party.values())) for r in range(most)]

    def draw(axes: Any) -> None:
        lines(axes, {party: (range(1, len(values) + 1), values) for party, values in by_party.items()}, markers=True)
        axes.set_yscale("log")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("round")
        axes.set_ylabel("loss, or mean |Δu|")

    words = ", ".join(f"{party} ends at {values[-1]:.6g}" for party, values in by_party.items() if values)
    text = f"Cross-entropy of a party that has labels, mean change of the linear predictor of one that has none; {words}."
    return chart("losses", "Loss by round", text, ("round", *by_party), rows, draw)


def separation(scores: Data) -> Chart:
    """AUC and KS of every side and of both together."""
    rows = [(name, score["auc"], score["ks"], score["lift_10"]) for name, score in scores.items()]

    def draw(axes: Any) -> None:
        bars(axes, list(scores), {key.upper(): [score[key] for score in scores.values()] for key in ("auc", "ks")})
        axes.set_xlim(0, 1)

    words = ", ".join(f"{name} {score['auc']:.4f}" for name, score in scores.items())
    return chart("separation", "AUC and KS by side", f"AUC: {words}.", ("score", "AUC", "KS", "lift at 10 %"), rows, draw)


def by_round(scores: Data, first: int) -> list[Chart]:
    """Loss and AUC of every side's half and of their sum on customers kept out, after each round; KS is in the second one's table."""
    loss = _by_round("loss-kept-out", "Loss on customers kept out", "Cross-entropy", ("loss",), scores, first)
    return [loss, _by_round("auc-by-round", "AUC by round", "AUC", ("auc", "ks"), scores, first)]


def _by_round(name: str, title: str, label: str, keys: tuple[str, ...], scores: Data, first: int) -> Chart:
    key = keys[0]
    numbers = range(first, first + len(next(iter(scores.values()))[key]))
    rows = [(n, *(score[k][i] for k in keys for score in scores.values())) for i, n in enumerate(numbers)]
    headers = ("round", *(f"{score} {k.upper() if len(keys) > 1 else k}" for k in keys for score in scores))

    def draw(axes: Any) -> None:
        lines(axes, {side: (numbers, score[key]) for side, score in scores.items()}, markers=True)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("round")
        axes.set_ylabel(label)

    words = ", ".join(f"{side} {score[key][0]:.4f} to {score[key][-1]:.4f}" for side, score in scores.items() if score[key])
    before = f" The models of the rounds before {first}, from before a stop, are not known any more." if first > 1 else ""
    text = f"{label} on customers kept out of training, first round to last: {words}. Only a trial knows the joint one.{before}"
    return chart(name, title, text, headers, rows, draw)


def roc(curves: Data) -> Chart:
    """True against false positive rate."""
    series = {name: (c["roc"]["false_positive_rate"], c["roc"]["true_positive_rate"]) for name, c in curves.items()}

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        lines(axes, series)
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("true positive rate")

    rows = [(name, *(round(at, 4) for at in _at(x, y))) for name, (x, y) in series.items()]
    headers = ("score", *(f"at {share:.0%} false positives" for share in SHARES))
    text = "True positive rate against false positive rate; higher is better, the dotted line is chance."
    return chart("roc", "ROC", text, headers, rows, draw)


def _at(x: list[float], y: list[float]) -> list[float]:
    return [float(np.interp(share, x, y)) for share in SHARES]


def ks(curves: Data) -> Chart:
    """Both rates against the share flagged, of the joint score, and the widest gap between them."""
    name = list(curves)[-1]
    curve = curves[name]["ks"]
    gaps = [p - n for p, n in zip(curve["positive"], curve["negative"], strict=True)]
    widest = max(range(len(gaps)), key=lambda i: abs(gaps[i]))

    def draw(axes: Any) -> None:
        lines(axes, {"positive": (curve["flagged"], curve["positive"]), "negative": (curve["flagged"], curve["negative"])})
        axes.vlines(curve["flagged"][widest], curve["negative"][widest], curve["positive"][widest], color=INK, linewidth=1)
        axes.set_xlabel("share of customers flagged")
        axes.set_ylabel("share of the class")

    at = curve["flagged"][widest]
    text = f"Score {name}: the gap between positives and negatives is widest, {gaps[widest]:.4f}, at {at:.1%} flagged."
    row = (name, at, curve["positive"][widest], curve["negative"][widest], gaps[widest])
    return chart("ks", "KS curve", text, ("score", "flagged", "positives caught", "negatives caught", "gap"), [row], draw)


def gains(curves: Data) -> Chart:
    """Share of all positives in the best tenths."""
    return _deciles("gains", "Gain by decile", curves, "captured", "share of positives caught")


def lift(curves: Data) -> Chart:
    """Rate of positives of every tenth over that of all."""
    return _deciles("lift", "Lift by decile", curves, "lift", "lift")


def _deciles(name: str, title: str, curves: Data, key: str, label: str) -> Chart:
    series = {score: ([row["bin"] for row in c["gains"]], [row[key] for row in c["gains"]]) for score, c in curves.items()}
    tenths = next(iter(series.values()))[0]
    rows = [(tenth, *(values[i] for _, values in series.values())) for i, tenth in enumerate(tenths)]

    def draw(axes: Any) -> None:
        lines(axes, series, markers=True)
        axes.set_xticks(tenths)
        axes.set_xlabel("tenth of the customers, best scores first")
        axes.set_ylabel(label)

    words = ", ".join(f"{score} {values[0]:.3g}" for score, (_, values) in series.items())
    return chart(name, title, f"{label.capitalize()}; in the first tenth: {words}.", ("decile", *series), rows, draw)


def calibration(curves: Data) -> Chart:
    """Observed rate against mean score by tenth."""
    series = {name: ([b["mean_score"] for b in c["calibration"]], [b["rate"] for b in c["calibration"]]) for name, c in curves.items()}
    groups = curves["joint"]["calibration"] if "joint" in curves else []
    spread = [(b["mean_score"], b["rate_low"], b["rate_high"]) for b in groups if "rate_low" in b]  # not in reports of earlier versions

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        lines(axes, series, markers=True)
        axes.vlines(*zip(*spread, strict=True), color=INK, linewidth=1) if spread else None
        axes.set_xlabel("mean score of the tenth")
        axes.set_ylabel("rate of positives")

    rows = [(name, b["rows"], b["mean_score"], b["rate"]) for name, c in curves.items() for b in c["calibration"]]
    text = "Rate of positives against mean score, by tenth; on the dotted line a score is a probability. Upright lines: 95 % intervals."
    return chart("calibration", "Calibration", text, ("score", "rows", "mean score", "rate"), rows, draw)


def distribution(curves: Data, threshold: float) -> Chart:
    """Rows of each class by the score that labels come from, with τ."""
    name = "combined F" if "combined F" in curves else "joint"
    found = curves[name]["distribution"]
    edges = found["edges"]
    totals = {kind: max(1, sum(found[kind])) for kind in ("negative", "positive")}

    def draw(axes: Any) -> None:
        for i, kind in enumerate(totals):
            shares = [n / totals[kind] for n in found[kind]]
            axes.stairs(shares, edges, color=COLOURS[i], fill=i == 0, alpha=0.5 if i == 0 else 1.0, linewidth=1.8, label=kind)
        axes.axvline(threshold, color=INK, linestyle="--", linewidth=1, label=f"τ = {threshold:.4g}")
        axes.set_xlabel(name)
        axes.set_ylabel("share of the class")
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3)

    rows = [(f"{edges[i]:.2f} … {edges[i + 1]:.2f}", found["negative"][i], found["positive"][i]) for i in range(len(edges) - 1)]
    text = f"Distribution of {name} in both classes; customers above τ = {threshold:.6g} are flagged."
    return chart("distribution", "Score distribution", text, (name, "negative", "positive"), rows, draw)


def timeline(spans: list[Data]) -> Chart:
    """Who worked when: the start, and every round, by party and group of stages."""
    parties = sorted({span["party"] for span in spans})
    groups = [*STAGE_GROUPS, OTHER]
    totals = {(party, group): 0.0 for party in parties for group in groups}
    for span in spans:
        totals[span["party"], _group(span["stage"])] += span["end"] - span["start"]

    def draw(axes: Any) -> None:
        for g, group in enumerate(groups):
            for i, party in enumerate(parties):
                pieces = _joined([(s["start"], s["end"]) for s in spans if s["party"] == party and _group(s["stage"]) == group])
                colour = COLOURS[g] if g < len(COLOURS) else INK
                axes.broken_barh([(a, b - a) for a, b in pieces], (i - 0.4, 0.8), color=colour, label=group if i == 0 else None)
        axes.set_yticks(range(len(parties)), parties)
        axes.invert_yaxis()
        axes.set_xlabel("seconds since the start")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, fontsize=8)

    rows = [(party, *(round(totals[party, group], 3) for group in groups)) for party in parties]
    words = ", ".join(f"{party} {sum(row):.1f} s" for party, *row in rows)
    text = f"When each party worked, by kind of work; in all: {words}."
    return chart("timeline", "Time by party", text, ("party", *groups), rows, draw, 4.2)


def _group(stage: str) -> str:
    return next((group for group, members in STAGE_GROUPS.items() if stage in members), OTHER)


def _joined(pieces: list[tuple[float, float]], gap: float = 0.002) -> list[tuple[float, float]]:
    """Join pieces that almost touch: a long run would draw thousands."""
    joined: list[tuple[float, float]] = []
    for start, end in sorted(pieces):
        if joined and start - joined[-1][1] <= gap:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def stages(seconds: Data) -> Chart:
    """Seconds by stage; they add up to the wall time."""
    total = sum(seconds.values())
    shown = {stage: s for stage, s in seconds.items() if s >= MIN_SHARE * total}

    def draw(axes: Any) -> None:
        bars(axes, list(shown), {"seconds": list(shown.values())})
        axes.set_xlabel("seconds")

    rows = [(stage, s, s / total if total else 0.0) for stage, s in seconds.items()]
    words = ", ".join(f"{stage} {s / total:.0%}" for stage, s in list(shown.items())[:3])
    return chart("stages", "Time by stage", f"{total:.1f} seconds in all: {words}.", ("stage", "seconds", "share"), rows, draw, 4.0)


def messages(n_bytes: Data) -> Chart:
    """Bytes by message."""
    total = sum(n_bytes.values())
    rows = sorted(n_bytes.items(), key=lambda item: -item[1])
    shown = [row for row in rows if row[1] >= MIN_SHARE / 100 * total]

    def draw(axes: Any) -> None:
        bars(axes, [name for name, _ in shown], {"MB": [size / 1e6 for _, size in shown]})
        axes.set_xscale("log")
        axes.set_xlabel("MB (logarithmic)")
        axes.tick_params(axis="y", labelsize=8)

    text = f"{total / 1e6:.1f} MB in all; the largest: {rows[0][0]}, {rows[0][1] / 1e6:.1f} MB." if rows else "No message."
    return chart("messages", "Bytes by message", text, ("message", "bytes"), rows, draw, 4.0)


def prediction(compared: list[Data]) -> Chart:
    """Predicted and actual seconds of the largest stages."""
    total = sum(row["actual"] for row in compared)
    shown = [row for row in compared if max(row["predicted"], row["actual"]) >= MIN_SHARE * total]

    def draw(axes: Any) -> None:
        bars(axes, [row["what"] for row in shown], {key: [row[key] for row in shown] for key in ("predicted", "actual")})
        axes.set_xlabel("seconds")

    rows = [(row["what"], row["predicted"], row["actual"]) for row in compared]
    guess = sum(row["predicted"] for row in compared)
    text = f"Predicted {guess:.1f} seconds before the start, the run took {total:.1f}."
    return chart("prediction", "Prediction against truth", text, ("stage", "predicted s", "actual s"), rows, draw, 4.2)
