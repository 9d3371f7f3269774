"""A disk that fills while hosts are changed: the run stops, and no change is without its entry.

The kernel limits the size of the journal (setrlimit(2), RLIMIT_FSIZE), as a full disk does.
"""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from hale.apply.executor import StepExecutor
from hale.apply.handlers import handler_of
from hale.apply.journal import NAME as JOURNAL
from hale.apply.journal import Journal, RunState, load_run
from hale.apply.runner import PlanRunner
from hale.model.change import FileEdit
from hale.model.errors import UserError
from tests.hostile.local_host import LocalHost, local_host
from tests.hostile.plan_runs import NAME, appended, plan_runner, planned

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the scripts are root's")

OLD, NEW = b"127.0.0.1 localhost\n", b"127.0.0.1 localhost\n10.0.0.1 vip\n"
FILES = ("a", "b", "c")


@pytest.fixture
def host() -> Iterator[LocalHost]:
    with local_host() as made:
        for name in FILES:
            (made.etc / name).write_bytes(OLD)
        yield made


def runner_of(host: LocalHost, folder: Path) -> tuple[PlanRunner, Journal]:
    steps = [appended(host.etc / name, "10.0.0.1 vip", OLD) for name in FILES]
    return plan_runner(host, folder, planned(*steps))


@pytest.mark.parametrize("part", range(12))
def test_it_fills(host: LocalHost, tmp_path: Path, part: int) -> None:
    (tmp_path / "complete").mkdir()
    with local_host() as other:
        for name in FILES:
            (other.etc / name).write_bytes(OLD)
        run, book = runner_of(other, tmp_path / "complete")
        assert run.run()
        book.close()
    total = (tmp_path / "complete" / JOURNAL).stat().st_size

    folder = tmp_path / "full"
    folder.mkdir()
    run, book = runner_of(host, folder)
    begun = book.path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (begun + (total - begun) * part // 12, hard))
    try:
        with pytest.raises(UserError, match="cannot write the journal, so the run stops here"):
            run.run()
        book.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    history = load_run(folder)
    assert book.path.read_bytes().endswith(b"}\n")
    assert history.state in (RunState.INTERRUPTED, RunState.FAILED)
    changed = {n for n, name in enumerate(FILES, 1) if (host.etc / name).read_bytes() == NEW}
    same = {n for n, name in enumerate(FILES, 1) if (host.etc / name).read_bytes() == OLD}
    assert changed | same == {1, 2, 3}
    assert {(NAME, n) for n in changed} <= set(history.begun)
    if part == 0:
        assert not changed


def test_units_that_were_changed_are_loaded_all_the_same(
    host: LocalHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reloads: list[StepExecutor] = []
    edit = FileEdit("/etc/x", (), "why")
    monkeypatch.setattr(type(handler_of(edit)), "wants_daemon_reload", lambda self, change: True)
    monkeypatch.setattr(StepExecutor, "reload", lambda self: reloads.append(self))
    run, book = runner_of(host, tmp_path)
    write, written = book.write, []

    def fills(entry: object) -> None:
        written.append(entry)
        if len(written) > 1:
            raise UserError("No space left on device")
        write(entry)  # type: ignore[arg-type]

    monkeypatch.setattr(book, "write", fills)
    with pytest.raises(UserError, match="No space left"):
        run.run()
    book.close()
    assert (host.etc / "a").read_bytes() == NEW
    assert (host.etc / "b").read_bytes() == OLD
    assert reloads
