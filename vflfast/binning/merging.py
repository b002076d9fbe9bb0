"""Classes below a minimum size join their neighbours."""

from __future__ import annotations

from collections.abc import Sequence


def merge_neighbours(counts: Sequence[int], least: int) -> list[int]:
    """Return the group 0, 1, … of every ordered class: the smallest class joins its smaller neighbour until all have `least` rows.

    Of classes or neighbours of one size the first is taken, so equal counts give equal groups.
    """
    sizes, members = list(counts), [[k] for k in range(len(counts))]
    while len(sizes) > 1 and min(sizes) < least:
        k = sizes.index(min(sizes))
        to_left = k > 0 and (k + 1 == len(sizes) or sizes[k - 1] <= sizes[k + 1])
        pair = slice(k - 1, k + 1) if to_left else slice(k, k + 2)
        sizes[pair], members[pair] = [sum(sizes[pair])], [[k for part in members[pair] for k in part]]
    return [group for group, classes in enumerate(members) for _ in classes]


def merge_ranks(counts: Sequence[int], n_missing: int, has_missing: bool, least: int) -> tuple[int, ...]:
    """Return the group of every class of a `NumericRule`; empty when no class is merged.

    Parameters
    ----------
    counts
        Training rows per class of finite values.
    n_missing, has_missing
        Training rows that are missing, and whether class 0 is theirs. They have no neighbour: too few of them join the largest group.
    """
    ranks = merge_neighbours(counts, least)
    sizes = [sum(count for count, group in zip(counts, ranks, strict=True) if group == k) for k in range(ranks[-1] + 1)]
    if not has_missing:
        groups = (*ranks, len(sizes))
    elif 0 < n_missing < least or (len(sizes) == 1 and 0 < sizes[0] < least):
        groups = (sizes.index(max(sizes)), *ranks)
    else:
        groups = (0, *(group + 1 for group in ranks))
    return () if groups == tuple(range(len(groups))) else groups


def kept_levels(counts: Sequence[int], rest: int, least: int) -> int:
    """Return how many of the levels, in falling order of `counts`, keep a class; the others join the `rest` rows' class."""
    kept = sum(count >= least for count in counts)
    rest += sum(counts[kept:])
    while kept and 0 < rest < least:
        kept -= 1
        rest += counts[kept]
    return kept
