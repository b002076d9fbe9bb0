"""Saved rules, checked entry by entry before use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from ..errors import ModelError
from ..params import BINNER_VERSION, MAX_CLASSES
from .rules import ENCODINGS, MAX_STEPS, RULES, CategoryRule, NumericRule, n_ranks
from .woe import LARGEST_WOE

_BOTH = {"feature", "kind", "rule", "counts", "n_missing", "encoding", "woe", "iv"}
_NUMERIC = _BOTH | {"edges", "n_steps", "has_missing", "fallback", "groups"}
_CATEGORY = _BOTH | {"levels", "has_rest"}


def rules_from_dict(saved: object) -> tuple[NumericRule | CategoryRule, ...]:
    """Return the rules that `Binner.to_dict` saved.

    Raises
    ------
    ModelError
        Another version or a damaged entry; `argument` is its place.
    """
    if not isinstance(saved, Mapping) or set(saved) != {"version", "rules"}:
        raise ModelError("binner", "must hold version and rules")
    version, entries = saved["version"], saved["rules"]
    if type(version) is not int or version != BINNER_VERSION:
        raise ModelError("version", f"must be {BINNER_VERSION}; bins of another version cannot be read, train again")
    if not isinstance(entries, list) or not entries:
        raise ModelError("rules", "must be a list of at least one rule")
    rules = tuple(_one_rule(f"rules[{k}]", entry) for k, entry in enumerate(entries))
    _check_names(rules)
    return rules


def _one_rule(place: str, entry: object) -> NumericRule | CategoryRule:
    if not isinstance(entry, dict):
        raise ModelError(place, "must be an object")
    category = entry.get("rule") == "categories"
    wanted = _CATEGORY if category else _NUMERIC
    if set(entry) != wanted:
        raise ModelError(place, f"must hold exactly {', '.join(sorted(wanted))}")
    _need(isinstance(entry["feature"], str) and entry["feature"] != "", place, "feature", "must be text")
    _need(_is_count(entry["n_missing"]), place, "n_missing", "must be a count")
    _need(entry["encoding"] in ENCODINGS, place, "encoding", f"must be one of {', '.join(ENCODINGS)}")
    _need(entry["iv"] is None or _is_information(entry["iv"]), place, "iv", "must be null or a number from 0")
    rule = _category(place, entry) if category else _numeric(place, entry)
    n_woe = rule.n_classes if rule.encoding == "woe" else 0
    _need(_are_woe(entry["woe"], n_woe), place, "woe", f"must be {n_woe} integers up to {LARGEST_WOE}")
    _need(_are_counts(entry["counts"], rule.n_classes), place, "counts", f"must be {rule.n_classes} counts, not all 0")
    _need(not category or entry["has_rest"] == (entry["counts"][-1] > 0), place, "has_rest", "contradicts the counts")
    _need(rule.n_missing <= sum(rule.counts), place, "n_missing", "is more than the rows")
    return rule


def _category(place: str, entry: dict[str, Any]) -> CategoryRule:
    levels = entry["levels"]
    _need(entry["kind"] == "categorical", place, "kind", "must be categorical")
    _need(isinstance(levels, list) and len(levels) < MAX_CLASSES, place, "levels", f"must be a list of at most {MAX_CLASSES - 1} levels")
    _need(all(level is None or isinstance(level, str) for level in levels), place, "levels", "must be text or null")
    _need(len(set(levels)) == len(levels), place, "levels", "holds a level twice")
    _need(isinstance(entry["has_rest"], bool), place, "has_rest", "must be true or false")
    _need(len(levels) > 0 or entry["has_rest"], place, "levels", "may be empty only if there is a rest")
    return CategoryRule(**_tuples(place, entry, "levels", "counts", "woe"))


def _numeric(place: str, entry: dict[str, Any]) -> NumericRule:
    rule, n_steps = entry["rule"], entry["n_steps"]
    _need(entry["kind"] in ("numeric", "date"), place, "kind", "must be numeric or date")
    _need(rule in RULES, place, "rule", f"must be one of {', '.join(RULES)} or categories")
    n_edges = _check_edges(place, rule, entry["edges"])
    low, high = (1, MAX_STEPS) if rule == "levels" else (0, 0)
    _need(_is_count(n_steps) and low <= n_steps <= high, place, "n_steps", f"must be {low}..{high}")
    _need(isinstance(entry["has_missing"], bool), place, "has_missing", "must be true or false")
    _need(entry["has_missing"] or rule != "missing", place, "has_missing", "must be true for the rule missing")
    _need(rule != "levels" or entry["encoding"] == "ordinal", place, "encoding", "must be ordinal for levels")
    last = _last_class(place, entry, n_ranks(rule, n_edges, n_steps) + 1)
    _need(_is_count(entry["fallback"]) and entry["fallback"] <= last, place, "fallback", f"must be a class, 0..{last}")
    return NumericRule(**_tuples(place, entry, "edges", "counts", "groups", "woe"))


def _last_class(place: str, entry: dict[str, Any], n_unmerged: int) -> int:
    """Return the last class, after a look at the groups of merged ones."""
    groups = entry["groups"]
    if groups == []:
        return n_unmerged - 1
    fits = isinstance(groups, list) and len(groups) == n_unmerged and all(_is_count(group) and group < n_unmerged for group in groups)
    _need(fits and entry["rule"] != "levels", place, "groups", f"must be empty or {n_unmerged} classes")
    last: int = max(groups)
    _need(set(groups) == set(range(last + 1)), place, "groups", "must be 0, 1, … without a gap")
    alone = groups[-1] == last and groups.count(last) == 1
    _need(entry["has_missing"] or alone, place, "groups", "must leave the last class, of cells that are missing later, alone")
    return last


def _check_edges(place: str, rule: str, edges: object) -> int:
    if not isinstance(edges, list) or not all(type(edge) is float and math.isfinite(edge) for edge in edges):
        raise ModelError(f"{place}.edges", "must be a list of finite numbers")
    _need(all(a < b for a, b in pairwise(edges)), place, "edges", "must increase")
    fits = {"five": len(edges) < MAX_STEPS, "levels": len(edges) == 2}.get(rule, not edges)
    _need(fits, place, "edges", f"has the wrong length for the rule {rule}")
    _need(rule != "levels" or math.isfinite(edges[1] - edges[0]), place, "edges", "are too far apart")
    return len(edges)


def _tuples(place: str, entry: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        _need(isinstance(entry[name], list), place, name, "must be a list")
    return {**entry, **{name: tuple(entry[name]) for name in names}}


def _check_names(rules: tuple[NumericRule | CategoryRule, ...]) -> None:
    features = [rule.feature for rule in rules]
    columns = [name for rule in rules for name in rule.column_names()]
    if len(set(features)) < len(features) or len(set(columns)) < len(columns):
        raise ModelError("rules", "two features or two columns have the same name")


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _are_counts(value: object, length: int) -> bool:
    return isinstance(value, list) and len(value) == length and all(_is_count(count) for count in value) and any(value)


def _is_information(value: object) -> bool:
    return type(value) is float and 0 <= value < math.inf


def _are_woe(value: object, length: int) -> bool:
    return isinstance(value, list) and len(value) == length and all(type(v) is int and abs(v) <= LARGEST_WOE for v in value)


def _need(holds: bool, place: str, name: str, problem: str) -> None:
    if not holds:
        raise ModelError(f"{place}.{name}", problem)
