"""What a report's page holds, as an independent parser finds it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

VOID = {"meta", "link", "br", "img", "path", "use", "rect", "line"}


@dataclass
class Seen:
    """What a page holds, as an independent parser finds it."""

    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    values: list[tuple[str, str, str]] = field(default_factory=list)  # pointer, value, text
    ids: list[str] = field(default_factory=list)
    anchors: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)


class Reader(HTMLParser):
    """Collects what `Seen` has, and checks that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen()
        self.stack: list[str] = []
        self.figure: dict[str, Any] | None = None
        self.target: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in VOID:
            self.stack.append(tag)
        if "id" in given:
            self.seen.ids.append(given["id"])
        for name in ("src", "href", "srcset", "action", "data", "poster", "background"):
            if name in given:
                (self.seen.anchors if given[name].startswith("#") else self.seen.loads).append(given[name])
        if tag == "figure":
            self.figure = {"title": "", "desc": "", "cells": 0, "role": ""}
            self.seen.figures[given["id"].removeprefix("figure-")] = self.figure
        if tag == "svg" and self.figure is not None:
            self.figure["role"] = given.get("role", "")
        if tag == "td" and self.figure is not None:
            self.figure["cells"] += 1
        if tag == "data":
            self.seen.values.append((given["data-path"], given["value"], ""))
        if tag == "script":
            assert given.get("type") == "application/json"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.stack.pop() == tag
        if tag == "figure":
            self.figure = None

    def handle_data(self, text: str) -> None:
        inside = self.stack[-1] if self.stack else ""
        if inside in ("title", "desc") and self.figure is not None:
            self.figure[inside] += text
        elif inside == "data":
            pointer, value, shown = self.seen.values[-1]
            self.seen.values[-1] = pointer, value, shown + text
        elif inside == "h2":
            self.seen.headings.append(text)
        elif inside == "script":
            self.seen.data = json.loads(text)


def read(path: Path) -> Seen:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert reader.stack == []
    return reader.seen


def at(report: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        report = report[int(key)] if isinstance(report, list) else report[key]
    return report
