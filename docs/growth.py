"""The picture of docs/scale.md: seconds of a round by rows and by columns, as kept in scale.json, beside what `plan` said."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import svg

KEPT = Path(__file__).parent / "scale.json"
WIDTH, HEIGHT = 980, 380
SIDE, TOP, LOW = 340, 46, 318  # width of a chart, its top and bottom
LEFTS = {"rows": 70, "columns": 560}


def read_points() -> list[dict[str, Any]]:
    """Return the kept points: rows, columns, seconds, predicted."""
    found: list[dict[str, Any]] = json.loads(KEPT.read_text(encoding="utf-8"))["points"]
    return found


def curve(points: list[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    """Return the points where only `by` grows, in its order; the other size is that which most points have."""
    other = "columns" if by == "rows" else "rows"
    sizes = [point[other] for point in points]
    middle = max(set(sizes), key=sizes.count)
    return sorted((point for point in points if point[other] == middle), key=lambda point: point[by])


def exponent(points: list[dict[str, Any]], by: str) -> float:
    """Return the slope of log seconds over log size, by least squares: 1 is linear growth."""
    x, y = [math.log(point[by]) for point in points], [math.log(point["seconds"]) for point in points]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)


def picture() -> str:
    """Return the picture as SVG."""
    points = read_points()
    curves = {by: curve(points, by) for by in LEFTS}
    reach = [point[name] for found in curves.values() for point in found for name in ("seconds", "predicted")]
    decades = math.floor(math.log10(min(reach))), math.ceil(math.log10(max(reach)))
    parts = [part for by, found in curves.items() for part in _chart(by, found, decades)]
    told = "; ".join(f"by {by}: " + ", ".join(f"{p[by]:,} {p['seconds']:.2f} s" for p in found) for by, found in curves.items())
    return svg.page(WIDTH, HEIGHT, "Seconds of a round by rows and by columns", told, parts)


def table() -> str:
    """Return the points as a table in Markdown."""
    head = "| rows | host's columns | a round | `plan` | plan / round |\n|---:|---:|---:|---:|---:|\n"
    points = {(p["rows"], p["columns"]): p for p in read_points()}
    return head + "\n".join(
        f"| {rows:,} | {columns:,} | {p['seconds']:.2f} s | {p['predicted']:.2f} s | {p['predicted'] / p['seconds']:.2f} |"
        for (rows, columns), p in sorted(points.items())
    )


def _chart(by: str, points: list[dict[str, Any]], decades: tuple[int, int]) -> list[str]:
    left, low, high = LEFTS[by], *decades
    first, last = math.log10(points[0][by]), math.log10(points[-1][by])

    def place(size: float, seconds: float) -> tuple[float, float]:
        return left + SIDE * (math.log10(size) - first) / (last - first), LOW - (LOW - TOP) * (math.log10(seconds) - low) / (high - low)

    other = "columns" if by == "rows" else "rows"
    parts = [svg.text(left, 26, f"by {by}, at {points[0][other]:,} {other}: grows as {by}^{exponent(points, by):.2f}", "strong")]
    for decade in range(low, high + 1):
        y = place(points[0][by], 10.0**decade)[1]
        parts += [svg.path([(left, y), (left + SIDE, y)], "line"), svg.text(left - 8, y + 4, f"{10.0**decade:g} s", "soft small", "end")]
    for point in points:
        x, y = place(point[by], point["seconds"])
        parts += [svg.box(x - 3.5, y - 3.5, 7, 7, "a"), svg.text(x, LOW + 20, f"{point[by]:,}", "soft small", "middle")]
    parts.append(svg.path([place(point[by], point["seconds"]) for point in points], "a wide"))
    parts.append(svg.path([place(point[by], point["predicted"]) for point in points], "b dashed"))
    legend = LOW + 46
    parts += [svg.path([(left, legend - 4), (left + 24, legend - 4)], "a wide"), svg.text(left + 30, legend, "measured", "small")]
    parts += [svg.path([(left + 120, legend - 4), (left + 144, legend - 4)], "b dashed"), svg.text(left + 150, legend, "plan", "small")]
    return parts
