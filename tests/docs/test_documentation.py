"""Every public name says what it is, and every public function what it raises."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vflfast

PACKAGE = Path(vflfast.__file__).parent
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

def public(tree: ast.Module, prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Public functions, classes and methods of a module, by dotted name."""
    waiting: list[tuple[str, Any]] = [(prefix, tree)]
    while waiting:
        prefix, node = waiting.pop()
        for child in node.body:
            if isinstance(child, Definition) and not child.name.startswith("_"):
                yield f"{prefix}{child.name}", child
                if isinstance(child, ast.ClassDef):
                    waiting.append((f"{prefix}{child.name}.", child))


def text_of(node: Definition) -> str:
    """The docstring, without indentation."""
    return ast.get_docstring(node) or ""


def raised(node: Definition) -> set[str]:
    """Names of the exceptions that the body raises itself, nested functions and caught ones apart."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(ast.iter_child_nodes(node))
    while waiting:
        child = waiting.pop()
        if isinstance(child, Definition | ast.Lambda):
            continue
        if isinstance(child, ast.Raise) and isinstance(child.exc, ast.Call):
            found.add(ast.unparse(child.exc.func))
        waiting.extend(ast.iter_child_nodes(child))
    return found


def is_overload(node: Definition) -> bool:
    """Whether it is a signature only: the definition after it has the docstring."""
    return any(ast.unparse(decorator) == "overload" for decorator in node.decorator_list)


def undocumented(tree: ast.Module) -> list[str]:
    names = [name for name, node in public(tree) if not text_of(node) and not is_overload(node)]
    return names if ast.get_docstring(tree) else ["(module)", *names]


def silent(tree: ast.Module) -> list[str]:
    """Functions that raise an error which their docstring does not speak of, and classes whose checks do."""
    found = []
    for name, node in public(tree):
        if isinstance(node, ast.ClassDef):
            checks = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name in ("__init__", "__post_init__")]
            errors = {error for part in checks for error in raised(part)}
        else:
            errors = raised(node)
        if errors and not ("Raises" in text_of(node) or any(error.split(".")[-1] in text_of(node) for error in errors)):
            found.append(f"{name}: {', '.join(sorted(errors))}")
    return found


FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES)
def test_every_public_name_has_a_docstring(file: str) -> None:
    assert undocumented(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("file", [file for file in FILES if not file.startswith("cli/")])
def test_every_error_that_is_raised_is_documented(file: str) -> None:
    assert silent(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))) == []


MADE_BY_OTHERS = {"CipherArray", "WireArray", "CipherVector", "WireVector"}  # not called by users: encrypt, arithmetic and parse make them


@pytest.mark.parametrize("name", sorted(set(vflfast._PUBLIC) - MADE_BY_OTHERS))
def test_the_front_door_names_every_parameter(name: str) -> None:
    """Every public name's docstring starts with a sentence and speaks of every parameter of the call."""
    value = getattr(vflfast, name)
    text = inspect.getdoc(value) or ""
    assert text.split("\n\n")[0].endswith((".", ":"))
    nothing_to_call = inspect.ismodule(value) or (inspect.isclass(value) and issubclass(value, Exception))
    parameters = [] if nothing_to_call else list(inspect.signature(value).parameters)
    assert [one for one in parameters if not re.search(rf"\b{one}\b", text)] == []


PLANTED = {
    "def f():\n    pass\n": ["(module)", "f"],
    '"""M."""\nclass C:\n    """C."""\n    def m(self):\n        pass\n    def _n(self):\n        pass\n': ["C.m"],
    '"""M."""\ndef f():\n    """F."""\n    def g():\n        pass\n': [],
}


@pytest.mark.parametrize("source", PLANTED)
def test_a_missing_docstring_is_found(source: str) -> None:
    assert undocumented(ast.parse(source)) == PLANTED[source]


def test_a_silent_error_is_found() -> None:
    silent_one = 'def f(x):\n    """F."""\n    if x:\n        raise InputError("x", "is wrong")\n'
    assert silent(ast.parse(silent_one)) == ["f: InputError"]
    assert silent(ast.parse(silent_one.replace("F.", "F; InputError otherwise."))) == []
    assert silent(ast.parse("class C:\n    'C.'\n    def __init__(self):\n        raise ValueError()\n")) == ["C: ValueError"]
    assert silent(ast.parse("def f():\n    'F.'\n    def g():\n        raise ValueError()\n")) == []
