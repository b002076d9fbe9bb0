"""Runs over the network while a disk is full, a port is taken, settings differ or a process stands still for too long (assurance B6, B8,
B11), each with the error that every party ends in, and the run that goes on from there.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from assurance.figures import Figure
from support import parties as party_folders
from support.disk import Disk
from support.jobs import refused, sections, succeeded, write_job, write_tables
from support.network import configs, connected, run_all, run_party
from support.runs import parties, private_key, settings, train

from vflfast.errors import JournalError, PeerAbortError, ProtocolError, VflError
from vflfast.jobs import model, programs
from vflfast.jobs.party import read_party
from vflfast.jobs.party import run_party as run_files
from vflfast.net import journal as journal_module
from vflfast.net.config import NetConfig
from vflfast.net.journal import FileJournal
from vflfast.protocol import arbiter, guest, host
from vflfast.protocol.arbiter import ArbiterInputs
from vflfast.tables.toml import read_toml

ROLES = party_folders.ROLES
AGREED = {"key_bits": 512, "test_key": True, "max_iter": 2, "simulation": True}


def quiet(party: str, round_: int, stage: str) -> None:
    pass


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write_tables(folder)
    return folder


def edit(home: Path, role: str, section: str, **values: Any) -> None:
    path = home / role / "fed.toml"
    data = read_toml(path)
    data[section] |= values
    path.write_text(tomli_w.dumps(data), encoding="utf-8")


def run_from_files(home: Path) -> dict[str, Any]:
    """Run every party of `home` in a thread of this process."""
    return run_all({role: lambda role=role: run_files(read_party(home / role / "fed.toml", role), quiet) for role in ROLES})


def weights(source: Path, models: Path, agreed: dict[str, Any]) -> dict[str, str]:
    """Each data party's weight hash after an inline run."""
    succeeded("train", write_job(source, sections(source, run={}, settings=agreed)), "--models", models)
    return {role: model.read_json(models / f"{role}.json")["weight_hash"] for role in ("guest", "host1")}


def saved_weights(home: Path) -> dict[str, str]:
    return {role: model.read_json(home / role / "models" / f"{role}.json")["weight_hash"] for role in ("guest", "host1")}


# --- B6: one party's disk ------------------------------------------------------------------------------------------


class DiskOf(Disk):
    """The disk of one thread: its k-th call fails, those of the other threads do not."""

    thread = 0

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name) if threading.get_ident() == self.thread else getattr(os, name)


def run_journaled(folder: Path, victim: str = "", disk: DiskOf | None = None) -> dict[str, Any]:
    """Train over loopback with journals in `folder`."""
    made, agreed = parties(60, (3, 4)), settings()
    made_configs = configs(plaintext=True)
    journals = {role: FileJournal(folder / role, role) for role in ROLES}
    ran = {
        "arbiter": lambda link: arbiter.train(link, ArbiterInputs("arbiter", private_key()), agreed, journals["arbiter"]),
        "guest": lambda link: guest.train(link, made.guest, agreed, journals["guest"]),
        "host1": lambda link: host.train(link, made.hosts[0], agreed, journals["host1"]),
    }

    def one(role: str) -> Any:
        if disk is not None and role == victim:
            disk.thread = threading.get_ident()
        return run_party(made_configs[role], ran[role], journals[role])  # type: ignore[arg-type]

    try:
        return run_all({role: lambda role=role: one(role) for role in ran})
    finally:
        for journal in journals.values():
            journal.close()


def hashes(results: dict[str, Any]) -> list[list[str]]:
    return [results[role].hashes for role in ("guest", "host1")]


def fault_free() -> list[list[str]]:
    result = train(parties(60, (3, 4)), settings())
    return [result.guest.hashes, result.hosts[0].hashes]


def a_disk_that_fails(folder: Path, victim: str, fail_at: int, code: int = errno.ENOSPC) -> bool:
    """One run with the failure and one after it; whether there was a k-th call."""
    disk = DiskOf(fail_at, OSError(code, os.strerror(code)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "os", disk)
        results = run_journaled(folder, victim, disk)
    if disk.left > 0:
        assert hashes(results) == fault_free()
        return False
    own = results[victim]
    assert isinstance(own, JournalError), own
    assert str(own).startswith(f"{victim}, round ")
    assert str(own).endswith(f"{folder / victim}: {os.strerror(code)}")
    for role in set(ROLES) - {victim}:
        error = results[role]
        if not isinstance(error, VflError):
            continue  # it had come to its end
        assert isinstance(error, PeerAbortError), error
        assert error.party == victim
        assert str(error).partition(" (as ")[0] == str(own)
    assert hashes(run_journaled(folder)) == fault_free()
    return True


@pytest.mark.parametrize(("victim", "fail_at"), [("arbiter", 2), ("guest", 8), ("host1", 16), ("arbiter", 15), ("guest", 21)])
def test_a_full_disk_of_one_party_is_told_by_all_and_the_run_goes_on(victim: str, fail_at: int, tmp_path: Path) -> None:
    """Calls 1 to 6 note the attempt, 7 to 12 and 13 to 19 commit two rounds, 20 to 25 note the end."""
    assert a_disk_that_fails(tmp_path, victim, fail_at)


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("victim", ROLES)
def test_a_disk_that_fails_at_any_call_of_a_run(victim: str, code: int, tmp_path: Path, figure: Figure) -> None:
    fail_at = 1
    while a_disk_that_fails(tmp_path / str(fail_at), victim, fail_at, code):
        fail_at += 1
    assert fail_at == 26
    figure("B6", "failures in whole runs", fail_at - 1)


def test_control_a_failure_that_is_swallowed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def swallowed(path: Path) -> Iterator[None]:
        with suppress(OSError):
            yield

    monkeypatch.setattr(journal_module, "_named", swallowed)
    with pytest.raises(AssertionError):
        a_disk_that_fails(tmp_path, "guest", 8)


def test_a_disk_that_is_full_when_the_model_is_saved(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = party_folders.set_up(tmp_path, source, plaintext=True, settings=AGREED)
    real = model.write_json

    def full(path: Path, data: Any) -> None:
        if path.name == "host1.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(programs.saved, "write_json", full)
        results = run_from_files(home)
    assert isinstance(results["host1"], VflError)
    assert str(results["host1"]) == f"host1, round 2, save: {home / 'host1' / 'models' / 'host1.json'}: {os.strerror(errno.ENOSPC)}"
    assert not (home / "host1" / "models" / "host1.json").exists()
    again = run_from_files(home)
    assert [again[role].facts["rounds"] for role in ROLES] == [2, 2, 2]
    assert saved_weights(home) == weights(source, tmp_path / "inline", AGREED)


# --- what keeps a run from its beginning ---------------------------------------------------------------------------


def test_settings_that_differ_are_told_by_every_party(source: Path, tmp_path: Path) -> None:
    home = party_folders.set_up(tmp_path, source, plaintext=True, settings=AGREED)
    edit(home, "host1", "settings", tol=0.25, max_iter=7)
    for role in ROLES:
        edit(home, role, "network", heartbeat=2.0, linger=30.0)  # who ends first stays for those that begin late
    for role, error in run_from_files(home).items():
        assert isinstance(error, ProtocolError), (role, error)
        said = str(error)
        assert "round 0, Hello: settings differ: " in said
        assert "tol: " in said
        assert "max_iter: " in said
        assert "0.25" in said
        assert "7" in said
    assert not list(home.rglob("checkpoint"))


def test_a_port_in_use_is_one_line(source: Path, tmp_path: Path) -> None:
    home = party_folders.set_up(tmp_path, source, plaintext=True, settings=AGREED)
    taken = read_party(home / "guest" / "fed.toml", "guest").config
    with connected(taken):
        line = refused("party", "--role", "guest", "--config", home / "guest" / "fed.toml")
    assert line == f"vflfast: listen: {taken.listen} cannot be had: in use, or not an address of this machine"


@pytest.mark.parametrize("host_part", ["0.0.0.0", "[::]", "10.1.2.3", "127.0.0.1.example", "localhost.example", "bank.example"])
@pytest.mark.parametrize("name", ["listen", "arbiter"])
def test_without_tls_nothing_but_loopback(name: str, host_part: str) -> None:
    made = configs(plaintext=True)["guest"]
    fields = {"role": "guest", "addresses": made.addresses, "listen": made.listen, "plaintext": True}
    nowhere = Path("nowhere")
    NetConfig(**fields, certificates=nowhere, journal=nowhere, models=nowhere)  # type: ignore[arg-type]  # the control
    if name == "listen":
        fields["listen"] = f"{host_part}:7001"
    else:
        fields["addresses"] = {**made.addresses, "arbiter": f"{host_part}:7001"}
    with pytest.raises(VflError, match=f"plaintext: is for loopback addresses only; {name} is at "):
        NetConfig(**fields, certificates=nowhere, journal=nowhere, models=nowhere)  # type: ignore[arg-type]


# --- processes -----------------------------------------------------------------------------------------------------


def started(home: Path) -> dict[str, subprocess.Popen[str]]:
    processes = {}
    for role in ROLES:
        command = [sys.executable, "-m", "vflfast", "party", "--role", role, "--config", str(home / role / "fed.toml"), "--json"]
        processes[role] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return processes


def committed(home: Path, role: str) -> int:
    """The newest round of a party's journal, 0 where there is none."""
    try:
        return int(json.loads((home / role / "journal" / role / "checkpoint").read_bytes().partition(b"\n")[2])["round"])
    except (OSError, ValueError):
        return 0


@pytest.mark.slow
@pytest.mark.parametrize("victim", ROLES)
def test_a_process_stopped_beyond_the_deadline_is_named_and_the_run_goes_on(victim: str, source: Path, tmp_path: Path) -> None:
    agreed = {**AGREED, "max_iter": 30, "tol": 0.0}
    home = party_folders.set_up(tmp_path, source, settings=agreed)
    for role in ROLES:
        edit(home, role, "network", peer_timeout=4.0)
    processes = started(home)
    end = time.monotonic() + 60
    while committed(home, victim) < 2:
        assert time.monotonic() < end
        time.sleep(0.01)
    processes[victim].send_signal(signal.SIGSTOP)
    others = [role for role in ROLES if role != victim]
    said = {role: processes[role].communicate(timeout=60)[1] for role in others}
    assert processes[victim].poll() is None
    processes[victim].send_signal(signal.SIGCONT)
    said[victim] = processes[victim].communicate(timeout=60)[1]
    assert all(process.returncode == 1 for process in processes.values()), said
    for role in others:
        line = said[role].splitlines()[-1]
        assert line.startswith(f"vflfast: {victim}, round "), line
        assert "not heard of for 4 s" in line
        assert "start again to go on" in line
    assert "Traceback" not in "".join(said.values())
    again = party_folders.run(home, {role: [] for role in ROLES})
    assert all(one.returncode == 0 for one in again.values()), [one.stderr for one in again.values()]
    assert saved_weights(home) == weights(source, tmp_path / "inline", agreed)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_two_hundred_rounds_take_no_more_memory_and_no_more_files_in_any_process(source: Path, tmp_path: Path, figure: Figure) -> None:
    home = party_folders.set_up(tmp_path, source, settings={**AGREED, "max_iter": 200, "tol": 0.0})
    processes = started(home)
    seen: dict[str, dict[int, tuple[int, int]]] = {role: {} for role in ROLES}
    while any(process.poll() is None for process in processes.values()):
        for role, process in processes.items():
            place = Path(f"/proc/{process.pid}")
            try:
                resident = int((place / "statm").read_text().split()[1])
                seen[role].setdefault(committed(home, role), (resident, len(os.listdir(place / "fd"))))
            except OSError:  # it has ended
                continue
        time.sleep(0.02)
    ended = {role: process.communicate(timeout=60) for role, process in processes.items()}
    assert all(process.returncode == 0 for process in processes.values()), ended
    for role, by_round in seen.items():
        at = sorted(round_ for round_, (resident, _) in by_round.items() if resident)
        first, last = next(round_ for round_ in at if round_ >= 20), at[-1]
        assert last >= 195, (role, at)
        (memory, files), (later, files_later) = by_round[first], by_round[last]
        assert later < 1.01 * memory, f"{role}: {later - memory} pages more than {memory}"
        assert abs(files_later - files) <= 2, (role, files, files_later)  # a connection may be made again, a file may be open
        figure("B11", "percent of memory more, a process", round(100 * (later - memory) / memory, 2))
