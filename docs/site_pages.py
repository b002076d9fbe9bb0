"""What the site has besides docs/: the README and its like as pages, and references from the code. A hook of MkDocs (mkdocs.yml)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "reporting.md",
    "csrc/README.md": "core.md", "examples/README.md": "examples.md",
}  # fmt: skip
PAGES |= {f"examples/{path.parent.name}/README.md": f"examples-{path.parent.name}.md" for path in ROOT.glob("examples/*/README.md")}
FILES = {"docs/example.ipynb": None, "Makefile": None}  # no pages: their names stay, without a link
EARLIER = {"CipherVector", "WireVector"}  # names of version 0.1, of the same classes
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not in docs/."""
    made = {target: (ROOT / source).read_text(encoding="utf-8") for source, target in PAGES.items()}
    made |= {"reference/python.md": python_page(), "reference/command-line.md": command_page(), "reference/errors.md": errors_page()}
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links between files of the repository to the pages that they are here."""
    sources = {target: source for source, target in PAGES.items()}
    source = Path(sources.get(page.file.src_uri, f"docs/{page.file.src_uri}"))

    def linked(found: re.Match[str]) -> str:
        target, anchor = found[1], found[2] or ""
        if "://" in target:
            return found[0]
        path = (ROOT / source.parent / target).resolve()
        if not path.is_relative_to(ROOT):
            return found[0]
        name = (path / "README.md" if path.is_dir() else path).relative_to(ROOT).as_posix()
        if name in FILES:
            return "]"
        if name in PAGES:
            return f"]({PAGES[name]}{anchor})"
        return f"]({name.removeprefix('docs/')}{anchor})" if name.startswith("docs/") else found[0]

    return LINK.sub(linked, markdown)


def python_page() -> str:
    """Return the public names of the package, each with its docstring."""
    import vflfast

    lines = ["# Python\n", "What `import vflfast` offers.\n"]
    for name in vflfast.__all__:
        module = vflfast._PUBLIC.get(name, "")
        if module and module != ".errors" and name not in EARLIER:
            whole = name == module.rsplit(".", 1)[-1]  # a module
            lines.append(f"::: vflfast{module}" + ("" if whole else f".{name}") + "\n")
    return "\n".join(lines)


def errors_page() -> str:
    """Return the tree of exceptions."""
    return "# Errors\n\n::: vflfast.errors\n    options:\n      show_root_heading: false\n      members_order: source\n"


def command_page() -> str:
    """Return every command with its help."""
    from vflfast.cli import main

    return "# Command line\n\n" + "\n".join(_command(main, "vflfast", 2))


def _command(command: click.Command, name: str, level: int) -> list[str]:
    with click.Context(command, info_name=name) as context:
        text = [f"{'#' * level} {name}\n", "```text", command.get_help(context), "```\n"]
    if isinstance(command, click.Group):
        for part in sorted(command.commands):
            text += _command(command.commands[part], f"{name} {part}", level + (level == 2))
    return text
