"""Mutants of a source: one operator, constant, condition or raise changed at a time."""

from __future__ import annotations

import ast
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change: where, what stood there, what stands there now.

    `patch` is the function that it is in, if any; `place` the number of the node and of its change.
    """

    function: str
    patch: str
    lines: frozenset[int]
    before: str
    after: str
    source: str
    place: tuple[int, int] | None

    @property
    def name(self) -> str:
        return f"{self.function}: {self.before} → {self.after}"

    @property
    def tree(self) -> ast.Module:
        """The whole module with the change; as it is where there is no place."""
        made = ast.parse(self.source)
        if self.place:
            number, change = self.place
            *_, node = next(itertools.islice(code_nodes(made), number, None))
            changes(node)[change][0]()
        return made


def mutants(source: str, functions: Sequence[str] = ()) -> Iterator[Mutant]:
    tree = ast.parse(source)
    around = statements(tree)
    for number, (function, patch, node) in enumerate([*code_nodes(tree)]):
        made = changes(node)
        if not made or (functions and function.rpartition(".")[2] not in functions):
            continue
        statement = around[node]
        lines = {getattr(statement, "lineno", 1), *range(getattr(node, "lineno", 1), (getattr(node, "end_lineno", 1) or 1) + 1)}
        before = ast.unparse(statement)
        for k, (apply, shown) in enumerate(made):
            kept = node.__class__, dict(node.__dict__)
            apply()
            after = ast.unparse(statement)
            node.__class__ = kept[0]  # type: ignore[assignment]
            node.__dict__.clear()
            node.__dict__.update(kept[1])
            yield Mutant(function, patch, frozenset(lines), shown, short(before, after), source, (number, k))


def short(before: str, after: str) -> str:
    """The lines of a statement that changed."""
    lines = [new for old, new in zip(before.splitlines(), after.splitlines(), strict=False) if old != new]
    return lines[0].strip() if lines else after.splitlines()[0].strip()


def statements(tree: ast.Module) -> dict[ast.AST, ast.AST]:
    """The innermost statement around every node, itself included."""
    found: dict[ast.AST, ast.AST] = {}
    for one in ast.walk(tree):  # outer ones first
        if isinstance(one, ast.stmt):
            found.update(dict.fromkeys(ast.walk(one), one))
    return found


def code_nodes(tree: ast.Module) -> Iterator[tuple[str, str, ast.AST]]:
    """Every node that runs, with its name and that of the outermost function around it; no annotations, no texts of errors."""

    def visit(node: ast.AST, name: str, function: str) -> Iterator[tuple[str, str, ast.AST]]:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inner = f"{name}.{node.name}".lstrip(".")
            if not isinstance(node, ast.ClassDef):
                for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
                    yield from visit(default, inner, function)
                function = function or inner
            for part in node.body:
                yield from visit(part, inner, function)
            return
        yield name or "module", function, node
        if isinstance(node, (ast.Raise, ast.JoinedStr)):
            return
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "decorator_list", "returns"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from visit(child, name, function)

    yield from visit(tree, "", "")


Change = tuple[Any, str]


def changes(node: ast.AST) -> list[Change]:
    """What can be done to a node: a call that does it, and how the node reads before."""
    shown = ast.unparse(node).splitlines()[0] if isinstance(node, (ast.expr, ast.stmt)) else ""
    made: list[Change] = []

    def set_(owner: Any, name: str, value: Any) -> None:
        made.append((lambda: setattr(owner, name, value), shown))

    if isinstance(node, ast.Compare):
        for k, op in enumerate(node.ops):
            set_(node, "ops", [*node.ops[:k], COMPARISONS[type(op)](), *node.ops[k + 1 :]])
    elif isinstance(node, ast.BoolOp):
        set_(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in OPERATORS:
        set_(node, "op", OPERATORS[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        set_(node, "op", ast.UAdd() if isinstance(node.op, ast.USub) else ast.Not())
        if isinstance(node.op, ast.Not):
            made[-1] = (lambda: setattr(node, "operand", ast.UnaryOp(ast.Not(), node.operand)), shown)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        set_(node, "value", not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        for step in (1, -1):
            set_(node, "value", node.value + step)
    elif isinstance(node, ast.Raise) and node.exc is not None:
        made.append((lambda: pass_over(node), shown))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        set_(node, "value", ast.Constant(None))  # a check that is not called
    return made


def pass_over(node: ast.Raise) -> None:
    node.__class__ = ast.Pass  # type: ignore[assignment]
    node._fields = ()  # type: ignore[misc]
