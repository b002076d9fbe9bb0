"""Charts as inline SVG: Okabe–Ito colours with line styles and markers beside them, text and axes in the page's own colour."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

# Okabe and Ito, Color Universal Design (2008), without black and yellow, which one of the two page colours would swallow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
INK, GRID = "#010203", "#040506"  # stand for the page's text and line colours until the drawing is done
SIZE = (4.6, 3.1)  # inches; small, so that letters stay readable when the drawing shrinks to a phone
PALE = 0.85

Row = Sequence[object]


@dataclass(frozen=True)
class Chart:
    """A drawing, its title, a sentence for those who cannot see it, and its numbers as a table."""

    name: str
    title: str
    description: str
    svg: str
    headers: tuple[str, ...]
    rows: tuple[Row, ...]


def require() -> None:
    """Raise InputError when matplotlib is not installed: better before hours of work than after."""
    if find_spec("matplotlib") is None:
        raise InputError("report", "needs matplotlib: pip install 'vflfast[report]'")


def chart(
    name: str,
    title: str,
    description: str,
    headers: Sequence[str],
    rows: Sequence[Row],
    draw: Callable[[Any], None],
    height: float = SIZE[1],
) -> Chart:
    """Draw a chart; `draw` gets the axes.

    Raises
    ------
    InputError
        matplotlib is not installed.
    """
    with _style(name) as figure_class:
        figure = figure_class(figsize=(SIZE[0], height), layout="constrained")
        axes = figure.add_subplot()
        axes.grid(visible=True, color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = _inline(stream.getvalue(), name, title, description)
    return Chart(name, title, description, svg, tuple(headers), tuple(tuple(row) for row in rows))


@contextmanager
def _style(name: str) -> Iterator[Any]:
    require()
    import matplotlib
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif", "font.size": 10.0, "text.color": INK,
        "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK, "legend.frameon": False,
        "legend.fontsize": 9.0, "lines.linewidth": 1.8, "hatch.linewidth": 0.6, "axes.unicode_minus": True,
    }  # fmt: skip
    with matplotlib.rc_context(settings):
        yield Figure


def _inline(svg: str, name: str, title: str, description: str) -> str:
    """Return the drawing for use inside a page: ids of its own, no namespaces or sizes, the page's colours, a title and a sentence."""
    text = svg[svg.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sid="([^"]+)"', rf' id="{name}-\1"', text)
    text = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    view = re.search(r'viewBox="[^"]+"', text)
    head = f'<svg {view[0] if view else ""} role="img" aria-labelledby="{name}-t {name}-d" class="chart">'
    head += f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(description)}</desc>'
    text = head + text[text.index(">") + 1 :]
    return text.replace(INK, "currentColor").replace(GRID, "var(--line)").strip()


# --- kinds of charts ---------------------------------------------------------------------------------------------


def lines(axes: Axes, series: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, markers: bool = False) -> None:
    """Draw (x, y) of every series, each with a colour, a style and perhaps a marker of its own."""
    for i, (label, (x, y)) in enumerate(series.items()):
        axes.plot(
            x, y, color=COLOURS[i % len(COLOURS)], linestyle=STYLES[i % len(STYLES)], label=label,
            marker=MARKERS[i % len(MARKERS)] if markers else None, markersize=4,
        )  # fmt: skip
    _legend(axes)


def bars(axes: Axes, labels: Sequence[str], groups: dict[str, Sequence[float]]) -> None:
    """Draw horizontal bars, first label on top; groups side by side differ by colour and hatch."""
    thickness = 0.8 / len(groups)
    hatches = ("", "///", "...", "xx")
    for g, (name, values) in enumerate(groups.items()):
        places = [i + (g - (len(groups) - 1) / 2) * thickness for i in range(len(labels))]
        axes.barh(places, values, thickness, color=COLOURS[g], alpha=PALE, hatch=hatches[g % 4], edgecolor=INK, linewidth=0.4, label=name)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    if len(groups) > 1:
        _legend(axes)


def _legend(axes: Axes) -> None:
    """Above the drawing, where it hides nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
