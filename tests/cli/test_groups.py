"""--help: every command under one heading, in a few words that fit a narrow terminal."""

from __future__ import annotations

from support.jobs import succeeded

from vflfast import cli
from vflfast.cli.groups import SECTIONS


def test_every_command_has_one_heading() -> None:
    named = [name for commands in SECTIONS.values() for name in commands]
    assert sorted(named) == sorted(cli.main.commands)


def test_the_help_shows_all_of_it() -> None:
    shown = succeeded("--help").output
    for title, commands in SECTIONS.items():
        assert f"\n{title}:\n" in shown
        for name, text in commands.items():
            assert f"  {name:<12}  {text}\n" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_headings_are_in_the_order_of_work() -> None:
    shown = succeeded("--help").output
    places = [shown.index(f"\n{title}:") for title in SECTIONS]
    assert places == sorted(places)
