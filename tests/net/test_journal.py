"""The journal on disk: durable, two generations; it survives or names damage, full disks and crashes (assurance B1, B4, B6)."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.disk import CALLS, Disk

from vflfast.errors import InputError, JournalError
from vflfast.net import journal as module
from vflfast.net.journal import CURRENT, NEW, PREVIOUS, FileJournal
from vflfast.protocol.resume import Checkpoint

RUN = bytes(range(32))
INPUTS = bytes(32)


def checkpoint(round_: int, run: bytes = RUN, stopped: bool = False) -> Checkpoint:
    return Checkpoint(run, INPUTS, round_, stopped, {"block": {"theta": [0.1 * round_, -1e-300, 3.5]}})


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[FileJournal]:
    made = FileJournal(tmp_path / "j", "guest")
    yield made
    made.close()


def reopened(journal: FileJournal) -> FileJournal:
    """As after a restart of the process."""
    journal.close()
    return FileJournal(journal.folder, journal.role)


def test_an_empty_journal_holds_nothing(journal: FileJournal) -> None:
    assert journal.held() == ()
    assert not journal.finished()


def test_the_two_newest_rounds_are_held_bit_for_bit(journal: FileJournal) -> None:
    for round_ in range(1, 5):
        journal.commit(checkpoint(round_, stopped=round_ == 4))
    again = reopened(journal)
    assert again.held() == (checkpoint(4, stopped=True), checkpoint(3))
    again.close()


def test_a_repeated_round_keeps_the_one_before_it(journal: FileJournal) -> None:
    for round_ in (1, 2, 3, 3, 3):
        journal.commit(checkpoint(round_))
    assert [c.round for c in journal.held()] == [3, 2]


def test_a_new_run_does_not_bring_back_the_rounds_of_the_old_one(journal: FileJournal) -> None:
    for round_ in (1, 2, 3):
        journal.commit(checkpoint(round_))
    journal.commit(checkpoint(1, b"n" * 32))
    assert journal.held() == (checkpoint(1, b"n" * 32),)


def test_finished_belongs_to_the_run_and_round(journal: FileJournal) -> None:
    journal.mark_finished()
    assert not journal.finished()
    journal.commit(checkpoint(1))
    journal.mark_finished()
    assert reopened(journal).finished()
    journal.commit(checkpoint(2))
    assert not journal.finished()
    journal.mark_finished()
    journal.commit(checkpoint(2, b"n" * 32))
    assert not journal.finished()


def test_attempts_only_grow(journal: FileJournal) -> None:
    assert [journal.next_attempt() for _ in range(3)] == [1, 2, 3]
    journal.adopt_attempt(9)
    again = reopened(journal)
    assert again.next_attempt() == 10
    again.close()


def test_files_are_the_owners_alone(journal: FileJournal) -> None:
    journal.commit(checkpoint(1))
    journal.next_attempt()
    assert stat.S_IMODE(journal.folder.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in journal.folder.iterdir())


def test_two_processes_cannot_use_one_journal(journal: FileJournal) -> None:
    with pytest.raises(JournalError, match=f"process {os.getpid()} uses this journal"):
        FileJournal(journal.folder, "guest")


def test_a_process_that_is_about_to_end_is_waited_for(journal: FileJournal) -> None:
    threading.Timer(0.3, journal.close).start()
    FileJournal(journal.folder, "guest", patience=30.0).close()


def test_the_end_is_noted_with_its_attempt_and_what_came_of_it(journal: FileJournal) -> None:
    journal.adopt_attempt(7)
    journal.mark_finished({"rounds": 2})
    assert journal.outcome() is None  # nothing was committed
    journal.commit(checkpoint(1))
    journal.mark_finished({"rounds": 2})
    assert reopened(journal).outcome() == (7, {"rounds": 2})
    journal.unmark_finished()
    assert journal.outcome() is None
    journal.mark_finished()
    journal.commit(checkpoint(2))
    assert journal.outcome() is None


# --- damage ----------------------------------------------------------------------------------------------------------


def test_any_flipped_bit_is_seen_and_the_previous_copy_is_used(journal: FileJournal) -> None:
    journal.commit(checkpoint(1))
    journal.commit(checkpoint(2))
    path = journal.folder / CURRENT
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << position % 8]) + whole[position + 1 :])
        assert journal.held() == (checkpoint(1),), position


def test_any_truncation_is_seen_and_the_previous_copy_is_used(journal: FileJournal) -> None:
    journal.commit(checkpoint(1))
    journal.commit(checkpoint(2))
    path = journal.folder / CURRENT
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert journal.held() == (checkpoint(1),), length


def test_a_damaged_copy_does_not_take_the_place_of_the_whole_one(journal: FileJournal) -> None:
    journal.commit(checkpoint(1))
    journal.commit(checkpoint(2))
    (journal.folder / CURRENT).write_bytes(b"damaged")
    journal.commit(checkpoint(2))
    assert [c.round for c in journal.held()] == [2, 1]


def test_without_a_whole_copy_it_says_so(journal: FileJournal) -> None:
    journal.commit(checkpoint(1))
    journal.commit(checkpoint(2))
    for name in (CURRENT, PREVIOUS):
        (journal.folder / name).write_bytes(b"damaged")
    with pytest.raises(JournalError, match="no whole copy left"):
        journal.held()


def test_a_damaged_note_is_left_out(journal: FileJournal) -> None:
    journal.commit(checkpoint(1))
    journal.mark_finished()
    journal.next_attempt()
    for name in ("finished", "attempt"):
        (journal.folder / name).write_bytes(b"damaged")
    assert not journal.finished()
    assert journal.next_attempt() == 1


@pytest.mark.parametrize(("field", "value", "message"), [("version", 99, "version 99"), ("role", "host1", "belongs to host1")])
def test_a_copy_of_another_version_or_party_is_refused(journal: FileJournal, field: str, value: Any, message: str) -> None:
    journal.commit(checkpoint(1))
    rewrite(journal, **{field: value})
    with pytest.raises(JournalError, match=message):
        journal.held()


@pytest.mark.parametrize("fields", [{"run": "xyz"}, {"run": 5}, {"round": "x"}, {"round": None}, {"state": 5}, {"inputs": []}], ids=str)
def test_fields_of_the_wrong_kind_count_as_damage(journal: FileJournal, fields: dict[str, Any]) -> None:
    journal.commit(checkpoint(1))
    journal.commit(checkpoint(2))
    rewrite(journal, **fields)
    assert journal.held() == (checkpoint(1),)


def rewrite(journal: FileJournal, **fields: Any) -> None:
    path = journal.folder / CURRENT
    content = json.loads(path.read_bytes().partition(b"\n")[2])
    path.write_bytes(module._sealed(content | fields))


def test_a_symbolic_link_is_refused(journal: FileJournal) -> None:
    journal.commit(checkpoint(1))
    (journal.folder / CURRENT).rename(journal.folder / "elsewhere")
    (journal.folder / CURRENT).symlink_to(journal.folder / "elsewhere")
    with pytest.raises(JournalError, match="symbolic link"):
        journal.held()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="file"):
        FileJournal(tmp_path / "file" / "j", "guest")


# --- a disk that is full at the k-th call, a process that ends at the k-th call ---------------------------------------





class Killed(BaseException):
    """The process is gone."""


def commit_with(journal: FileJournal, monkeypatch: pytest.MonkeyPatch, fail_at: int, failure: BaseException, round_: int) -> bool:
    """Commit while the k-th call fails; whether it came to the end."""
    disk = Disk(fail_at, failure)
    with monkeypatch.context() as patch:
        patch.setattr(module, "os", disk)
        journal.commit(checkpoint(round_))
    return disk.left > 0


def two_rounds(journal: FileJournal) -> FileJournal:
    """The journal with rounds 1 and 2 and nothing else."""
    for path in journal.folder.glob("checkpoint*"):
        path.unlink()
    journal.commit(checkpoint(1))
    journal.commit(checkpoint(2))
    return journal


N_CALLS = 7  # open, write, fsync, two renamings, open and fsync of the folder


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("fail_at", range(1, N_CALLS + 1))
def test_a_full_disk_at_any_call_is_a_clean_error_and_loses_nothing(
    journal: FileJournal, monkeypatch: pytest.MonkeyPatch, fail_at: int, code: int
) -> None:
    with pytest.raises(JournalError, match=re.escape(os.strerror(code))):
        commit_with(two_rounds(journal), monkeypatch, fail_at, OSError(code, os.strerror(code)), 3)
    again = reopened(journal)
    assert any(c.round == 2 for c in again.held())
    again.commit(checkpoint(3))
    assert again.held() == (checkpoint(3), checkpoint(2))
    again.close()


def test_there_are_no_more_calls_than_those(journal: FileJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    assert commit_with(two_rounds(journal), monkeypatch, N_CALLS + 1, OSError(errno.EIO, "never"), 3)


def test_a_process_that_ends_at_any_call_leaves_a_whole_journal(journal: FileJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    for fail_at in range(1, N_CALLS + 1):
        with pytest.raises(Killed):
            commit_with(two_rounds(journal), monkeypatch, fail_at, Killed(), 3)
        journal = reopened(journal)
        assert any(c.round == 2 for c in journal.held()), fail_at
        journal.commit(checkpoint(3))
        assert journal.held() == (checkpoint(3), checkpoint(2)), fail_at


def test_control_without_a_second_generation_a_crash_between_the_renamings_would_lose_all(
    journal: FileJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.commit(checkpoint(1))
    journal.commit(checkpoint(2))
    with pytest.raises(Killed):
        commit_with(journal, monkeypatch, 5, Killed(), 3)
    assert not (journal.folder / CURRENT).exists()
    (journal.folder / PREVIOUS).unlink()
    assert journal.held() == ()


def test_a_commit_is_flushed_before_it_takes_its_place(journal: FileJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    class Noted:
        def __getattr__(self, name: str) -> Any:
            real = getattr(os, name)

            def call(*arguments: Any) -> Any:
                order.append(name)
                return real(*arguments)

            return call if name in CALLS else real

    monkeypatch.setattr(module, "os", Noted())
    journal.commit(checkpoint(1))
    assert order == ["open", "write", "fsync", "replace", "open", "fsync"]


def test_what_an_interrupted_write_left_is_in_nobodys_way(journal: FileJournal) -> None:
    (journal.folder / NEW).write_bytes(b"half a checkp")
    journal.commit(checkpoint(1))
    assert journal.held() == (checkpoint(1),)
    assert not (journal.folder / NEW).exists()


KILLED_WRITER = """
import sys
from vflfast.net.journal import FileJournal
from vflfast.protocol.resume import Checkpoint
journal = FileJournal(sys.argv[1], "guest")
held = journal.held()
round_ = held[0].round if held else 0
print("ready", flush=True)
while True:
    round_ += 1
    journal.commit(Checkpoint(bytes(range(32)), bytes(32), round_, False, {"theta": [0.5] * 20000}))
    print(round_, flush=True)
"""


def test_a_process_killed_in_the_middle_of_its_writes_loses_no_round_that_it_reported(tmp_path: Path) -> None:
    reported = 0
    for moment in range(6):
        process = subprocess.Popen([sys.executable, "-c", KILLED_WRITER, str(tmp_path / "j")], stdout=subprocess.PIPE, text=True)
        assert process.stdout
        for line in process.stdout:
            if line.strip().isdigit() and int(line) >= reported + 3 + moment:
                process.kill()  # SIGKILL, at whatever it is doing
                break
        rest = process.communicate()[0].split()
        reported = max(int(line), *(int(word) for word in rest if word.isdigit()), 0)
        journal = FileJournal(tmp_path / "j", "guest")
        newest = journal.held()[0].round
        journal.close()
        assert newest in (reported, reported + 1)


# --- all parties' journals in one place --------------------------------------------------------------------------


ROLES = ("arbiter", "guest")


def test_journals_go_when_the_run_ends_well_or_nothing_was_done(tmp_path: Path) -> None:
    with module.journals_of(tmp_path / "kept", ROLES) as made:
        made["guest"].commit(checkpoint(1))
    assert not (tmp_path / "kept").exists()
    with pytest.raises(KeyError), module.journals_of(tmp_path / "kept", ROLES):
        raise KeyError
    assert not (tmp_path / "kept").exists()


def test_journals_of_an_interrupted_run_stay_and_bar_a_new_one(tmp_path: Path) -> None:
    def stopped() -> None:
        with module.journals_of(tmp_path, ROLES) as made:
            made["guest"].commit(checkpoint(1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    with pytest.raises(InputError, match="--resume"):
        module.begin_anew(tmp_path, ROLES)
    with module.journals_of(tmp_path, ROLES) as made:
        assert [one.round for one in made["guest"].held()] == [1]


def test_nothing_else_in_the_folder_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "guest").mkdir()
    for place in (tmp_path / "table.csv", tmp_path / "guest" / "table.csv"):
        place.write_text("x")
    with module.journals_of(tmp_path, ROLES) as made:
        made["guest"].commit(checkpoint(1))
    module.begin_anew(tmp_path, ROLES)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == ["guest", "guest/table.csv", "table.csv"]
