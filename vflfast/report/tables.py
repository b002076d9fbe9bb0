"""Tables of the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 99) -> str:
    """A table of HTML cells; from column `numbers` on they are set as numbers."""
    def cell(i: int, text: str, tag: str, extra: str = "") -> str:
        return f"<{tag}{extra}{' class=n' if i >= numbers else ''}>{text}</{tag}>"

    head = "".join(cell(i, escape(h), "th", ' scope="col"') for i, h in enumerate(headers))
    body = "".join(f"<tr>{''.join(cell(i, c, 'td') for i, c in enumerate(row))}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
