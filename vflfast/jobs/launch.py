"""All parties of a job as processes of this machine, to train or to score: certificates, fed.toml with a party's own data, supervision."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError, VflError
from ..net.journal import begin_anew
from ..net.transport import free_ports
from ..protocol.block import joint_hash
from ..tables.toml import read_toml
from ..tables.writing import written_whole
from . import jobfile
from . import model as saved
from .leash import Leash
from .programs import EVALUATE, SCORE, TRAIN

MAX_RESTARTS = 3  # of one party that ended by a signal
LAST_WORDS = 30.0  # seconds for the others to end once one party has failed
Show = Callable[[str, str], None]  # (party, line)


@dataclass
class _Process:
    role: str
    command: list[str]
    show: Show
    leash: Leash
    restarts: int = 0
    last_line: str = ""
    output: list[str] = field(default_factory=list)

    def start(self) -> None:
        # a session of its own: Ctrl-C reaches the launcher only, which ends the parties in order
        self.process = subprocess.Popen(  # noqa: S603
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            pass_fds=self.leash.descriptors, env=self.leash.environment,
        )  # fmt: skip
        self.output.clear()
        self.readers = [threading.Thread(target=self._read_errors, daemon=True), threading.Thread(target=self._read_output, daemon=True)]
        for reader in self.readers:
            reader.start()

    def ended(self) -> int | None:
        """Return the exit code; None while it runs. One that ended by a signal is started again a few times."""
        code = self.process.poll()
        if code is not None and code < 0 and self.restarts < MAX_RESTARTS:
            self.restarts += 1
            self.show(self.role, f"ended by {signal.Signals(-code).name}; started again")
            self.start()
            return None
        return code

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for reader in self.readers:
            reader.join(1)

    def _read_errors(self) -> None:
        for line in self.process.stderr or ():
            self.last_line = line.rstrip()
            self.show(self.role, self.last_line)

    def _read_output(self) -> None:
        for line in self.process.stdout or ():
            self.output.append(line)


def launch(
    job_file: str | Path, folder: str | Path, changes: Mapping[str, Any], show: Show, *,
    plaintext: bool = False, resume: bool = False, task: str = TRAIN,
) -> dict[str, Any]:  # fmt: skip
    """Train a job with one process a party on loopback, under mutual TLS, or use what training left; return the summary.

    Parameters
    ----------
    folder
        Gets the parties' settings, journals, models and labels.
    changes
        To the job's ``[settings]``.
    show
        Gets what the parties say, line by line.
    plaintext
        No TLS.
    resume
        Go on with the run in `folder`.
    task
        "train"; "score", each party with its own model in `folder`: the recipients' labels go to ``labels/<role>.csv`` there; or
        "evaluate", the same with the customers kept out of training, whose figures the guest returns.

    Raises
    ------
    InputError
        The job cannot be read, or `folder` holds an unfinished run and `resume` is not set; or `resume` in another task than training,
        which has nothing to go on with.
    VflError
        A party ended with an error; the message is its own.
    """
    target = Path(folder).resolve()
    data, job_folder = read_toml(job_file), Path(job_file).parent
    job = jobfile.job_from_mapping(data, job_folder, changes)
    if task != TRAIN and resume:
        raise InputError("--resume", "belongs to training; scoring starts anew")
    roles = ("arbiter", "guest", *(host.name for host in job.hosts))
    labels = {role: target / "labels" / f"{role}.csv" for role in _recipients(job)}
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    if task == SCORE:
        (target / "labels").mkdir(mode=0o700, exist_ok=True)
    elif task == TRAIN and not resume:
        begin_anew(target / "journal", roles)
    kept_out = {} if task == SCORE else {"test_share": job.test_share}  # new customers are scored all
    with _certificates(target, roles, plaintext=plaintext) as certificates:
        addresses = {role: f"127.0.0.1:{port}" for role, port in zip(roles, free_ports(len(roles)), strict=True)}
        network = {"certificates": str(certificates), "plaintext": plaintext}
        leash, processes = Leash(), []
        for role in roles:
            sections = _sections(data, job_folder.resolve(), role, addresses, target)
            sections["settings"] = {"simulation": True, **sections.get("settings", {}), **changes, **kept_out}
            sections["network"] = network
            path = target / f"{role}.toml"
            with written_whole(path) as stream:
                stream.write(_toml(sections))
            command = [sys.executable, "-m", "vflfast", "party", "--role", role, "--config", str(path), "--json"]
            processes.append(_Process(role, command + _task(role, labels, task), show, leash))
        start = time.monotonic()
        try:
            outputs = _supervise(processes)
        finally:
            leash.close()
    ran = {"seconds": time.monotonic() - start, "restarts": {p.role: p.restarts for p in processes}}
    if task == EVALUATE:
        return {**outputs["guest"], **ran}
    return {**(_scored(outputs, labels) if task == SCORE else _trained(outputs, roles, target)), **ran}


def _recipients(job: jobfile.Job) -> tuple[str, ...]:
    return ("guest", *(host.name for host in job.hosts if job.settings.profile == "patent"))


def _task(role: str, labels: Mapping[str, Path], task: str) -> list[str]:
    """Return what a party's command has besides in another task than training."""
    if task == EVALUATE:
        return ["--evaluate"]
    return ["--score", *(["--out", str(labels[role])] if role in labels else [])] if task == SCORE else []


def _scored(outputs: dict[str, dict[str, Any]], labels: Mapping[str, Path]) -> dict[str, Any]:
    guest = outputs["guest"]
    return {
        **{name: guest[name] for name in ("match", "customers", "threshold", "flagged_share")},
        "labels": {role: str(path) for role, path in labels.items()},
    }


def _supervise(processes: list[_Process]) -> dict[str, dict[str, Any]]:
    """Run all to their ends; return what each said."""
    try:
        for process in processes:
            process.start()
        failed_at: float | None = None
        while True:
            codes = {process.role: process.ended() for process in processes}
            if any(codes.values()) and failed_at is None:
                failed_at = time.monotonic()
            if None not in codes.values() or (failed_at is not None and time.monotonic() > failed_at + LAST_WORDS):
                break
            time.sleep(0.02)
    finally:
        for process in processes:
            if hasattr(process, "process"):
                process.stop()
    failed = [process for process in processes if codes[process.role] != 0]
    if failed:
        first = next((p for p in failed if codes[p.role]), failed[0])
        raise VflError(f"{first.role} ended: {first.last_line.removeprefix('vflfast: ') or 'without a word'}")
    return {process.role: json.loads("".join(process.output)) for process in processes}


def _trained(outputs: dict[str, dict[str, Any]], roles: tuple[str, ...], folder: Path) -> dict[str, Any]:
    models = {role: folder / "models" / f"{role}.json" for role in roles}
    hashes = [saved.read_json(path)["weight_hash"] for role, path in models.items() if role != "arbiter"]
    guest = outputs["guest"]
    return {
        "match": guest["match"],
        "training_rows": guest["training_rows"],
        "columns": {role: outputs[role]["columns"] for role in roles if role != "arbiter"},
        "rounds": guest["rounds"],
        "threshold": outputs["arbiter"]["threshold"],
        "weight_hash": joint_hash(hashes),
        "models": [str(path) for path in models.values()],
    }


@contextmanager
def _certificates(folder: Path, roles: tuple[str, ...], *, plaintext: bool) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="certificates-", dir=folder) as temporary:
        if not plaintext:
            from ..net.certs import write_certificates

            write_certificates(temporary, roles)
        yield Path(temporary)


def _sections(data: Mapping[str, Any], job_folder: Path, role: str, addresses: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Return one party's fed.toml: its own data, of the others the address."""
    arbiter = {"organisation": "arbiter", **data.get("arbiter", {})}
    named = {"guest": data["guest"], **{f"host{i + 1}": host for i, host in enumerate(data["hosts"])}, "arbiter": arbiter}
    own = _with_whole_paths(named[role], job_folder)
    made = {name: {**(own if name == role else {}), "address": addresses[name]} for name in named}
    sections: dict[str, Any] = {
        "guest": made["guest"],
        "hosts": [section for name, section in made.items() if name.startswith("host")],
        "arbiter": made["arbiter"],
        "settings": dict(data.get("settings", {})),
    }
    if role != "arbiter":
        sections["ids"] = _ids(data.get("ids", {}), job_folder, folder)
    return sections


def _with_whole_paths(section: Mapping[str, Any], job_folder: Path) -> dict[str, Any]:
    paths = {key: str(job_folder / section[key]) for key in ("file", "select", "mart", "key_file", "ledger") if key in section}
    return {**section, **paths}


def _ids(section: Mapping[str, Any], job_folder: Path, folder: Path) -> dict[str, Any]:
    """Return the ids section; without a key of the job's own, `hmac` gets a fresh one that guest and hosts share."""
    made = dict(section)
    if "key_file" in made:
        made["key_file"] = str(job_folder / made["key_file"])
    elif made.get("method", jobfile.Job.id_method) == "hmac":
        path = folder / "ids.key"
        jobfile.kept_id_key(path)
        made["key_file"] = str(path)
    return made


def _toml(sections: Mapping[str, Any]) -> str:
    try:
        import tomli_w
    except ImportError as error:
        raise InputError("launch", "needs the package tomli-w: pip install 'vflfast[net]'") from error
    return tomli_w.dumps(sections)
