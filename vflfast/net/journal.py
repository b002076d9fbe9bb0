"""FileJournal: a party's checkpoints on disk, so that a crash at any moment costs at most one round (protocol §7).

A checkpoint is written beside the last one, flushed, and takes its place by renaming; the folder is flushed too. The one before it is
kept. Each file carries a SHA-256 of its content: a damaged one is passed over and the other is used.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import InputError, JournalError
from ..params import JOURNAL_VERSION, MAX_COUNT
from ..protocol.resume import Checkpoint
from .descriptors import with_descriptor

MAGIC = b"vflfast journal "
MAX_FILE_BYTES = 1 << 30
LOCK_PAUSE = 0.05  # seconds between two tries for a lock
CURRENT, PREVIOUS, NEW = "checkpoint", "checkpoint.previous", "checkpoint.new"
ID_KEY = "ids.key"  # of a run in one process whose job brings none
FILES = (CURRENT, PREVIOUS, NEW, ID_KEY, "finished", "finished.new", "attempt", "attempt.new", "lock")
log = logging.getLogger("vflfast")


class FileJournal:
    """Durable memory of one party's rounds in a folder of its own.

    Parameters
    ----------
    folder
        Made if it is not there, readable by its owner only.
    role
        The party's name; a journal of another party is refused.
    patience
        Seconds to wait for a process that still uses it: one that is about to end.

    Raises
    ------
    JournalError
        The folder cannot be used, another process uses it (the error names the process), or every copy in it is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str], role: str, *, patience: float = 0.0) -> None:
        self.folder, self.role = Path(folder), role
        with _named(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _lock(self.folder / "lock", patience)

    def close(self) -> None:
        """Let another process use the folder."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def held(self) -> tuple[Checkpoint, ...]:
        """Return the newest checkpoint and, if it is whole and of the same run, the one before it; newest first.

        Raises
        ------
        JournalError
            If it cannot be read.
        """
        found: list[Checkpoint] = []
        damaged = []
        for name in (CURRENT, PREVIOUS):
            try:
                checkpoint = self._read(name)
            except _DamagedError as error:
                log.warning("journal of %s: %s is damaged (%s); the other copy is used", self.role, name, error)
                damaged.append(name)
                continue
            if checkpoint and (not found or checkpoint.run == found[0].run):
                found.append(checkpoint)
        if damaged and not found:
            names = " and ".join(damaged)
            raise JournalError(f"journal of {self.role}: {names} damaged, no whole copy left: start all parties with empty ones")
        return tuple(found)

    def commit(self, checkpoint: Checkpoint) -> None:
        """Return when the checkpoint is durable; on an error the last one still stands."""
        data = _sealed({
            "version": JOURNAL_VERSION,
            "role": self.role,
            "run": checkpoint.run.hex(),
            "inputs": checkpoint.inputs.hex(),
            "round": checkpoint.round,
            "stopped": checkpoint.stopped,
            "state": checkpoint.state,
        })  # fmt: skip
        with _named(self.folder):
            _write_durably(self.folder / NEW, data)
            if self._makes_way(checkpoint):
                os.replace(self.folder / CURRENT, self.folder / PREVIOUS)
            os.replace(self.folder / NEW, self.folder / CURRENT)
            _flush_folder(self.folder)

    def finished(self) -> bool:
        """Return whether the run that is held was brought to its end here."""
        held = self.held()
        mark = self._note("finished") or {}
        return bool(held) and (mark.get("run"), mark.get("round")) == (held[0].run.hex(), held[0].round)

    def mark_finished(self, outcome: Mapping[str, Any] | None = None) -> None:
        """Note durably that the party has all it wanted of the run; `outcome`, ready for JSON, is what it had of it."""
        held = self.held()
        if held:
            attempt = (self._note("attempt") or {}).get("number", 0)
            mark = {"run": held[0].run.hex(), "round": held[0].round}
            self._put_note("finished", {**mark, "attempt": attempt, "outcome": dict(outcome or {})})

    def unmark_finished(self) -> None:
        """Forget that the run came to its end here: its last steps are taken once more."""
        with _named(self.folder):
            (self.folder / "finished").unlink(missing_ok=True)
            _flush_folder(self.folder)

    def outcome(self) -> tuple[int, dict[str, Any]] | None:
        """Return (attempt, outcome) of the run that came to its end here; None where it did not."""
        mark = self._note("finished") if self.finished() else None
        if mark is None or type(mark.get("attempt")) is not int or not isinstance(mark.get("outcome"), dict):
            return None
        return mark["attempt"], mark["outcome"]

    def next_attempt(self) -> int:
        """Return the number after the last attempt that was begun or adopted here, noted durably before its first message."""
        number = (self._note("attempt") or {}).get("number", 0)
        attempt = number + 1 if type(number) is int and 0 <= number < MAX_COUNT else 1
        self.adopt_attempt(attempt)
        return attempt

    def adopt_attempt(self, attempt: int) -> None:
        """Note durably that `attempt` has begun."""
        self._put_note("attempt", {"number": attempt})

    def _read(self, name: str) -> Checkpoint | None:
        saved = self._load(name)
        if saved is None:
            return None
        try:
            if saved["version"] != JOURNAL_VERSION:
                raise JournalError(f"journal of {self.role}: {name} has version {saved['version']}, this is {JOURNAL_VERSION}")
            if saved["role"] != self.role:
                raise JournalError(f"journal of {self.role}: {name} belongs to {saved['role']}")
            run, inputs = bytes.fromhex(saved["run"]), bytes.fromhex(saved["inputs"])
            return Checkpoint(run, inputs, int(saved["round"]), bool(saved["stopped"]), dict(saved["state"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise _DamagedError(f"a field: {type(error).__name__}") from None

    def _makes_way(self, checkpoint: Checkpoint) -> bool:
        """Whether the current copy becomes the previous one: not if it is damaged, nor if it is of the round that is repeated."""
        try:
            current = self._read(CURRENT)
        except _DamagedError:
            return False
        return current is not None and (current.run, current.round) != (checkpoint.run, checkpoint.round)

    def _note(self, name: str) -> dict[str, Any] | None:
        """Return a small note, None when there is none or it is damaged: what it says can be learnt again."""
        try:
            return self._load(name)
        except _DamagedError as error:
            log.warning("journal of %s: %s is damaged (%s) and left out", self.role, name, error)
            return None

    def _put_note(self, name: str, content: dict[str, Any]) -> None:
        with _named(self.folder):
            _write_durably(self.folder / f"{name}.new", _sealed(content))
            os.replace(self.folder / f"{name}.new", self.folder / name)
            _flush_folder(self.folder)

    def _load(self, name: str) -> dict[str, Any] | None:
        path = self.folder / name
        with _named(path):
            if path.is_symlink():
                raise JournalError(f"{path}: is a symbolic link; a journal's files are plain files")
            if not path.exists():
                return None
            if path.stat().st_size > MAX_FILE_BYTES:
                raise _DamagedError("larger than any checkpoint")
            return _unsealed(with_descriptor(path.read_bytes))


def begin_anew(folder: Path, roles: Sequence[str]) -> None:
    """Take away the journals of a run that came to its end, a folder a role; InputError for one that did not."""
    for role in roles:
        if (folder / role).exists():
            journal = FileJournal(folder / role, role)
            unfinished = bool(journal.held()) and not journal.finished()
            journal.close()
            if unfinished:
                raise InputError("folder", f"{folder} holds an unfinished run: go on with it by --resume, or remove that folder")
    take_away(folder, roles)


def take_away(folder: Path, roles: Sequence[str]) -> None:
    """Remove what journals wrote to a folder a role, and the folders where nothing else is in them."""
    for place in (*(folder / role for role in roles), folder):
        for name in FILES if place != folder else ():
            (place / name).unlink(missing_ok=True)
        with suppress(OSError):  # not there, or something else is in it
            place.rmdir()


@contextmanager
def journals_of(folder: Path, roles: Sequence[str]) -> Iterator[dict[str, FileJournal]]:
    """Open the journals of all roles in one process; they are taken away when the block ends well, or nothing was committed in it."""
    with ExitStack() as stack:
        journals = {}
        for role in roles:
            journals[role] = FileJournal(folder / role, role)
            stack.callback(journals[role].close)
        ended = False
        try:
            yield journals
            ended = True
        finally:
            if ended or not any(journal.held() for journal in journals.values()):
                take_away(folder, roles)


class _DamagedError(Exception):
    """A file that is not what was written."""


def _sealed(content: dict[str, Any]) -> bytes:
    body = json.dumps(content, allow_nan=False).encode()
    return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _unsealed(data: bytes) -> dict[str, Any]:
    head, separator, body = data.partition(b"\n")
    if not separator or head != MAGIC + hashlib.sha256(body).hexdigest().encode():
        raise _DamagedError("its checksum is not that of its content")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise _DamagedError("its content is no JSON") from None
    if not isinstance(content, dict):
        raise _DamagedError("no table of fields")
    return content


def _write_durably(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)  # what an interrupted write left
    descriptor = with_descriptor(lambda: os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    descriptor = with_descriptor(lambda: os.open(folder, os.O_RDONLY))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(path: Path, patience: float) -> int:
    """Take the lock and leave this process's number in it."""
    import fcntl

    descriptor, end = with_descriptor(lambda: os.open(path, os.O_RDWR | os.O_CREAT, 0o600)), time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() < end:
                time.sleep(LOCK_PAUSE)
                continue
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            who = f"process {holder}" if holder.isdigit() else "another process"
            raise JournalError(f"{path.parent}: {who} uses this journal; wait for its end, or end it") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return descriptor


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn the system's errors into one that names the journal."""
    try:
        yield
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror or type(error).__name__}") from error
