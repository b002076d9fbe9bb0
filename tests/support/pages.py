"""Pages of documentation as their blocks, run in order in one folder, with small keys."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from support.jobs import succeeded

from vflfast import cli

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SMALLER = {"key_bits = 2048": "key_bits = 512\ntest_key = true", "key_bits=2048": "key_bits=512, test_key=True"}
SERVED_ELSEWHERE = {"launch", "party", "check", "status", "ledger"}  # processes, certificates, runs before: they have tests of their own
LANGUAGES = {"python", "sh", "toml", "text"}
Block = tuple[str, str]  # language, text


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(page: str) -> Iterator[Block]:
    """Every fenced block, in order; one of an unknown kind is an error."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert 2 * len(found) == page.count("```"), "a block without a language, or one that is not closed"
    assert {language for language, _ in found} <= LANGUAGES
    yield from found


def small(text: str) -> str:
    for large, smaller in SMALLER.items():
        text = text.replace(large, smaller)
    return text


@dataclass
class Page:
    """Runs a page's blocks: toml blocks become the files that their first lines name, texts must be among what was printed last."""

    name: str
    folder: Path
    printed: str = ""
    n_texts: int = 0

    def run(self) -> None:
        names: dict[str, Any] = {"__name__": self.name}
        for (language, text), (following, _) in pairwise([*blocks(read(self.name)), ("", "")]):
            if language == "toml":
                self.write(text)
            elif language == "python":
                self.printed = self.execute(small(text), names)
            elif language == "sh":
                lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
                self.printed = "".join(self.command(line, shown=following == "text") for line in lines)
            else:
                self.compare(text)

    def write(self, text: str) -> None:
        named = re.match(r"# ([\w./-]+\.toml)\n", text)
        assert named, "a toml block says its file's name in its first line"
        path = self.folder / named[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(small(text), encoding="utf-8")

    def execute(self, source: str, names: dict[str, Any]) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as stream:
            exec(compile(source, self.name, "exec"), names)
        return stream.getvalue()

    def command(self, line: str, *, shown: bool) -> str:
        words = shlex.split(line, comments=True)
        assert words[0] == "vflfast", line
        if words[1] in SERVED_ELSEWHERE:
            options_exist(words)
            return ""
        short = ["--max-iter", "1"] if words[1] == "train" and not shown else []
        return succeeded(*words[1:], *short).output

    def compare(self, shown: str) -> None:
        """Every line that is shown was printed, in that order."""
        self.n_texts += 1
        printed = iter([line.rstrip() for line in self.printed.splitlines()])
        for line in shown.splitlines():
            assert line.rstrip() in printed, f"not printed, or not there: {line!r}"


def options_exist(words: list[str]) -> None:
    """A command line's options are those of the command."""
    options = {option for parameter in cli.main.commands[words[1]].params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options, words
