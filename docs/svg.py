"""A few shapes of SVG as text, in colours for a light and for a dark page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

STYLE = """<style>
svg { --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --page: #ffffff; --card: #f6f8fa; --a: #0969da; --b: #bc4c00; --c: #1a7f37 }
@media (prefers-color-scheme: dark) {
svg { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --page: #0d1117; --card: #151b23; --a: #4493f8; --b: #f0883e; --c: #3fb950 } }
text { font-family: -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; fill: var(--ink); font-size: 13px }
.soft { fill: var(--soft) } .small { font-size: 11.5px } .strong { font-weight: 600 } .large { font-size: 15px }
.a { fill: var(--a) } .b { fill: var(--b) } .c { fill: var(--c) }
rect { fill: var(--card); stroke: var(--line) } .page { fill: var(--page); stroke: none } .clear { fill: none }
path { fill: none; stroke: var(--soft); stroke-width: 1.4 } .line { stroke: var(--line) } .dashed { stroke-dasharray: 5 4 }
path.a { fill: none; stroke: var(--a) } path.b { fill: none; stroke: var(--b) } path.c { fill: none; stroke: var(--c) }
.wide { stroke-width: 2.2 } .head { fill: var(--soft); stroke: none }
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse"
markerUnits="userSpaceOnUse"><path class="head" d="M0 0 8 4 0 8z"/></marker></defs>
"""


def page(width: int, height: int, title: str, description: str, parts: Sequence[str]) -> str:
    """Return a whole picture on a ground of its own."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">\n'
        f"<title>{escape(title)}</title>\n<desc>{escape(description)}</desc>\n{STYLE}"
        f'<rect class="page" width="{width}" height="{height}"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def text(x: float, y: float, words: str, css: str = "", anchor: str = "start") -> str:
    """Return one line of text; `anchor` says what of it stands at x."""
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:g}" y="{y:g}"{_css(css)}{place}>{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, css: str = "") -> str:
    """Return a rectangle with round corners."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"{_css(css)}/>'


def path(points: Sequence[tuple[float, float]], css: str = "") -> str:
    """Return a line through the points."""
    return f'<path d="{_route(points)}"{_css(css)}/>'


def arrow(points: Sequence[tuple[float, float]], css: str = "", *, both: bool = False) -> str:
    """Return a line with a head at its end, or at `both` ends."""
    start = ' marker-start="url(#head)"' if both else ""
    return f'<path d="{_route(points)}"{_css(css)} marker-end="url(#head)"{start}/>'


def _route(points: Sequence[tuple[float, float]]) -> str:
    return "M" + " ".join(f"{round(x, 1):g} {round(y, 1):g}" for x, y in points)


def _css(names: str) -> str:
    return f' class="{names}"' if names else ""
