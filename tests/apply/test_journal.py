"""The journal: what a crash, a full disk or a careless hand makes of it."""

import resource
import signal
from pathlib import Path

import pytest

from hale.apply import journal
from hale.apply.journal import (
    Journal,
    RunFinished,
    RunHeader,
    RunState,
    StepDone,
    StepSkipped,
    StepStarted,
    StepState,
    now,
)
from hale.model.change import KernelValueChange
from hale.model.errors import UserError
from hale.plan.plan import Step

HEADER = RunHeader(journal.SCHEMA, "a-run", "fix", "me", "here", "inventory.ini", "", now())
STEP = Step(("A",), KernelValueChange("/proc/sys/x", "0", "1", "why"))
BEGIN = StepStarted("one", 1, STEP, "", (), now())


def written(folder: Path) -> Path:
    book = Journal(folder, HEADER)
    for entry in (
        BEGIN,
        StepDone("one", 1, (STEP.change,), now()),
        StepStarted("one", 2, STEP, "", (), ""),
    ):
        book.write(entry)
    book.close()
    return folder / journal.NAME


def test_a_journal_tells_what_was_done(tmp_path: Path) -> None:
    path = written(tmp_path)
    history = journal.load_run(tmp_path)
    assert history.header == HEADER
    assert [b.number for b in history.open] == [2]
    assert history.done["one", 1].undo == (STEP.change,)
    assert history.state == "interrupted"
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_states_of_a_run(tmp_path: Path) -> None:
    book = Journal(tmp_path, HEADER)
    assert journal.load_run(tmp_path).state == "running"
    with pytest.raises(UserError, match="still in progress"):
        Journal(tmp_path, None)
    book.write(StepSkipped("one", 1, StepState.REFUSED, "moved", now()))
    book.write(RunFinished(RunState.FAILED, now()))
    book.close()
    assert journal.load_run(tmp_path).state == "failed"


def test_a_line_that_was_cut_off_counts_as_not_written(tmp_path: Path) -> None:
    path = written(tmp_path)
    complete = path.read_bytes()
    path.write_bytes(complete + b'{"type":"done","host":"one","nu')
    assert [b.number for b in journal.load_run(tmp_path).open] == [2]
    book = Journal(tmp_path, None)  # who settles it takes the piece away
    book.write(RunFinished(RunState.INTERRUPTED, now()))
    book.close()
    assert path.read_bytes().startswith(complete)
    assert journal.load_run(tmp_path).state == "interrupted"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"\n", ":1: not a line of a journal"),
        (b"garbage\n", ":1: not a line of a journal"),
        (b"\xff\xfe\n", ":1: not a line of a journal"),
        (b'{"type":"end","state":"finished","at":""}\n', "the first line must name the run"),
        (b'{"type":"unheard","at":""}\n', ":1: not a line of a journal"),
    ],
)
def test_what_is_no_journal(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / journal.NAME).write_bytes(text)
    with pytest.raises(UserError, match=message):
        journal.load_run(tmp_path)


def test_garbage_in_the_middle_is_reported_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_bytes().split(b"\n")
    lines[2] = b"<script>"
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(UserError, match=f"{journal.NAME}:3: not a line of a journal"):
        journal.load_run(tmp_path)


def test_another_version(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"hale.journal/1", b"hale.journal/9"))
    with pytest.raises(
        UserError, match=r"schema hale\.journal/9; this version reads hale\.journal/1"
    ):
        journal.load_run(tmp_path)


def test_a_disk_that_is_full_stops_the_run(tmp_path: Path) -> None:
    book = Journal(tmp_path, HEADER)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (book.path.stat().st_size, hard))
        with pytest.raises(UserError, match="cannot write the journal, so the run stops here"):
            book.write(BEGIN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (book.path.stat().st_size + 9, hard))
        with pytest.raises(UserError, match="cannot write the journal, so the run stops here"):
            book.write(BEGIN)  # a part of it fits, and would join the next entry
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert b"begin" not in book.path.read_bytes()
    assert book.path.read_bytes().endswith(b"\n")
    book.write(BEGIN)
    book.close()
    assert len(journal.load_run(tmp_path).begun) == 1
