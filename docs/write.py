"""Write the parts of docs/ that follow from the code: ``python docs/write.py``, or ``make docs``. Tests tell when they are out of date."""

from __future__ import annotations

from pathlib import Path

import growth
import picture
import sequence

DOCS = Path(__file__).parent


def pages() -> dict[str, str]:
    """Return every generated file by its name in docs/, and the pages of which a part is generated."""
    security = (DOCS / "security.md").read_text(encoding="utf-8")
    return {
        "picture.svg": picture.picture(),
        "protocol-hardened.svg": sequence.diagram("hardened"),
        "protocol-patent.svg": sequence.diagram("patent"),
        "scale.svg": growth.picture(),
        "scale.md": with_part((DOCS / "scale.md").read_text(encoding="utf-8"), "growth", growth.table()),
        "security.md": with_part(security, "messages", sequence.table()),
    }


def with_part(page: str, name: str, part: str) -> str:
    """Return a page with the text between ``<!-- name -->`` and ``<!-- end of name -->`` replaced; ValueError if they are not there."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"the page needs one {begin} and one {end}")
    return f"{page[: page.index(begin)]}{begin}\n\n{part}\n\n{page[page.index(end) :]}"


if __name__ == "__main__":
    for file, text in pages().items():
        (DOCS / file).write_text(text, encoding="utf-8")
