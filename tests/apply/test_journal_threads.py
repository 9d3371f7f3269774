"""The journal when several hosts are changed at the same time: their entries share an fsync."""

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hale.apply import journal
from hale.apply.journal import Journal
from hale.model.errors import UserError
from hale.polling import wait_until
from tests.apply.test_journal import BEGIN, HEADER, written

HOSTS = 5


class Disk:
    """os.fsync of a test: counts its calls, and lets the first one wait, or fail."""

    def __init__(self, at_first: Callable[[], None]) -> None:
        self.calls = 0
        self._at_first = at_first
        self._fsync = os.fsync

    def __call__(self, handle: int) -> None:
        self.calls += 1
        if self.calls == 1:
            self._at_first()
        self._fsync(handle)


def fail() -> None:
    raise OSError(errno.EIO, "Input/output error")


def until_it_has(path: Path, lines: int) -> None:
    assert not wait_until(lambda: path.read_bytes().count(b"\n") != lines, 60, 0.01)


def test_entries_of_threads_share_an_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = Journal(tmp_path, HEADER)
    returned: list[int] = []
    at_second: list[int] = []

    def write(number: int) -> None:
        book.write(BEGIN)
        returned.append(number)

    def at_first() -> None:
        until_it_has(book.path, 1 + HOSTS)
        assert not returned, "an entry that is on no disk yet was taken for written"

    disk = Disk(at_first)

    def fsync(handle: int) -> None:
        if disk.calls == 1:
            at_second.extend(returned)
        disk(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with ThreadPoolExecutor(HOSTS) as pool:
        list(pool.map(write, range(HOSTS)))
    assert len(at_second) <= 1, "the first fsync began before the other entries were there"
    assert disk.calls == 2
    book.close()
    assert len(journal.load_run(tmp_path).begun) == 1  # of one step
    assert book.path.read_bytes().count(b'"begin"') == HOSTS


def test_an_fsync_that_fails_fails_for_all_that_it_was_to_cover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Journal(tmp_path, HEADER)
    header = book.path.read_bytes()

    def at_first() -> None:
        until_it_has(book.path, 1 + HOSTS)
        fail()

    monkeypatch.setattr(os, "fsync", Disk(at_first))
    with ThreadPoolExecutor(HOSTS) as pool:
        tries = [pool.submit(book.write, BEGIN) for _ in range(HOSTS)]
    for one in tries:
        with pytest.raises(UserError, match=r"cannot write the journal.*: Input/output error"):
            one.result()
    assert book.path.read_bytes() == header
    with pytest.raises(UserError, match="cannot write the journal, so the run stops here"):
        book.write(BEGIN)
    assert book.path.read_bytes() == header
    book.close()


def test_what_was_on_disk_before_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = written(tmp_path).read_bytes()
    book = Journal(tmp_path, None)
    monkeypatch.setattr(os, "fsync", Disk(fail))
    with pytest.raises(UserError, match="cannot write the journal"):
        book.write(BEGIN)
    book.close()
    assert book.path.read_bytes() == before
