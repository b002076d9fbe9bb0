"""What holds for every command: --json, an example and the exit codes in its help, a light --help, completion."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from support.jobs import sections, succeeded, vflfast, write_job, write_tables

import vflfast as package
from vflfast.cli import common, main

ROOT = str(Path(package.__file__).parents[1])


def walk(command: click.Command = main, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it, groups before their members."""
    yield path, command
    if isinstance(command, click.Group):
        for name, member in sorted(command.commands.items()):
            yield from walk(member, (*path, name))


ALL = dict(walk())
LEAVES = [path for path, command in ALL.items() if not isinstance(command, click.Group)]


def test_the_walk_finds_every_command() -> None:
    assert {path[0] for path in LEAVES} == set(main.commands)
    assert ("mart", "build") in LEAVES


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_has_an_example_and_the_exit_codes(path: tuple[str, ...]) -> None:
    text = succeeded(*path, "--help").stdout
    example = " ".join(("vflfast", *path))
    lines = [line.strip() for line in text.splitlines()]
    assert any(line.startswith(f"{example} ") or line == example for line in lines), "no example"
    assert common.EXIT_CODES in " ".join(text.split())


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_can_print_json(path: tuple[str, ...]) -> None:
    assert "--json" in {name for option in ALL[path].params for name in option.opts}


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_option_is_explained(path: tuple[str, ...]) -> None:
    assert [option.name for option in ALL[path].params if isinstance(option, click.Option) and not option.help] == []


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_a_wrong_option_is_exit_code_2(path: tuple[str, ...]) -> None:
    result = vflfast(*path, "--no-such-option")
    assert (result.exit_code, result.stdout) == (common.EXIT_INPUT, "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("commands")
    write_tables(made)
    job = write_job(made, sections(made, run={}))
    (made / "run.json").write_text(succeeded("train", job, "--models", made / "models", "--json").stdout)
    return made


# party, launch, check and status need other processes, demo makes its own tables, select needs others: their own tests read their JSON
ARGUMENTS = {
    "train": "{0}/job.toml --models {0}/again", "score": "{0}/job.toml --models {0}/models", "bins": "{0}/job.toml",
    "inspect": "{0}/job.toml", "validate": "{0}/job.toml --folds 2 --max-iter 2",
    "plan": "--rows 1000 --guest-columns 5 --host-columns 7 --key-bits 512 --set test_key=true",
    "report": "{0}/run.json --out {0}/run.html", "keygen": "--out {0}/new.key", "info": "", "completion": "bash",
    "export": "--model {0}/models/guest.json --format scorecard --out {0}/card.csv",
    "drift": "--model {0}/models/guest.json --table {0}/guest.csv --label-column bought",
    "eliminate": "{0}/job.toml --models {0}/fewer --max-missing 0.5",
    "coefficients": "{0}/models/guest.json",
    "reasons": "--model {0}/models/guest.json --table {0}/guest.csv --label-column bought --out {0}/reasons.csv",
    "certs": "--out {0}/certificates", "mart build": "{0}/host1.csv --out {0}/store --id-column customer --observation-date 2026-01-01",
    "mart info": "{0}/store",
}  # fmt: skip


@pytest.mark.parametrize("command", ARGUMENTS)
def test_json_is_one_line_and_all_of_stdout(command: str, folder: Path) -> None:
    if command == "report":
        pytest.importorskip("matplotlib", reason="the report needs matplotlib")
    if command == "mart info":
        succeeded("mart", "build", *ARGUMENTS["mart build"].format(folder).split())
    arguments = ["--key-bits", "2048"] if command == "keygen" else []
    result = succeeded(*command.split(), *ARGUMENTS[command].format(folder).split(), *arguments, "--json")
    assert result.stdout.count("\n") == 1
    json.loads(result.stdout)


def test_the_others_are_the_ones_named_above() -> None:
    assert {" ".join(path) for path in LEAVES} - set(ARGUMENTS) == {"party", "launch", "check", "status", "demo", "select", "ledger"}


def in_a_process(script: str, **variables: str) -> str:
    """What a fresh interpreter prints."""
    environment = {**os.environ, "PYTHONPATH": ROOT, **variables}
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment).stdout


# --- completion --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_calls_the_program_back(shell: str) -> None:
    script = json.loads(succeeded("completion", shell, "--json").stdout)["script"]
    assert f"_VFLFAST_COMPLETE={shell}_complete" in script
    assert succeeded("completion", shell).stdout.strip() == script.strip()


def test_what_bash_is_told() -> None:
    """As bash asks: the words so far, and which of them is being completed."""
    def told(words: str, place: int) -> set[str]:
        script = "import sys; sys.argv = ['vflfast']; from vflfast.cli import main; main(prog_name='vflfast')"
        said = in_a_process(script, _VFLFAST_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(place))
        return {line.split(",")[-1] for line in said.splitlines()}

    assert told("vflfast re", 1) == {"reasons", "report"}
    assert told("vflfast train --profile ", 3) == {"hardened", "patent"}
    assert "--resume" in told("vflfast train --", 2)


# --- what help must not load -----------------------------------------------------------------------------------------

HEAVY = {"numpy", "numba", "pandas", "pyarrow", "gmpy2", "scipy", "sklearn", "grpc", "matplotlib", "duckdb", "onnx", "rich", "cryptography",
         "nacl", "vflfast._core"}  # fmt: skip


def test_help_loads_nothing_heavy() -> None:
    script = "import sys\nfrom vflfast.cli import main\ntry:\n    main(['--help'])\nfinally:\n    print('modules', *sys.modules)"
    loaded = in_a_process(script).split("modules ")[-1].split()
    assert "click" in loaded
    assert HEAVY.isdisjoint(loaded)
