"""A host whose programs answer with garbage while it is changed: the host has failed, says why, and
the run goes on to its end."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hale.apply.executor import StepExecutor
from hale.apply.journal import HostState, RunState, load_run
from hale.apply.prepared import StepFailed
from hale.apply.recovery import recover_run
from hale.model.change import SwapOff
from hale.plan.plan import Step
from hale.ssh.remote.files import FileUnreadable, read_files
from tests.hostile.local_host import LocalHost, local_host
from tests.hostile.plan_runs import NAME, appended, plan_runner, planned, pool_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the scripts are root's")

NONSENSE = "#!/bin/sh\ncat >/dev/null\necho '%%% no base64: \342\202'\n"
GARBAGE = {
    "base64: letters of no alphabet": ("base64", NONSENSE),
    "base64: bytes that are no text": ("base64", "#!/bin/sh\nprintf '+\\377\\376\\n'\n"),
    "base64: one digit too few": ("base64", "#!/bin/sh\necho QUJDR\n"),
    "base64: lines": ("base64", "#!/bin/sh\necho QUJD; echo QUJD\n"),
    "base64: nothing": ("base64", "#!/bin/sh\n"),
    "sha256sum: no sum": ("sha256sum", "#!/bin/sh\ncat >/dev/null\necho nonsense\n"),
    "sha256sum: no file": ("sha256sum", "#!/bin/sh\ncat >/dev/null\necho 00  x\n"),
    "sha256sum: steps that ended": ("sha256sum", "#!/bin/sh\necho end x y z\n"),
    "sync: it fails": ("sync", "#!/bin/sh\necho no >&2\nexit 1\n"),
    "stat: nothing": ("stat", "#!/bin/sh\n"),
}


@pytest.fixture
def host() -> Iterator[LocalHost]:
    with local_host() as made:
        (made.top / "tools").mkdir()
        made.session.tools = made.top / "tools"
        yield made


def spoil(host: LocalHost, program: str, script: str) -> None:
    path: Path = host.session.tools / program
    path.write_text(script)
    path.chmod(0o755)


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage(host: LocalHost, tmp_path: Path, name: str) -> None:
    path = host.etc / "hosts"
    path.write_text("127.0.0.1 localhost\n")
    made = planned(appended(path, "10.0.0.1 vip", path.read_bytes()))
    spoil(host, *GARBAGE[name])
    run, journal = plan_runner(host, tmp_path, made)
    assert not run.run()
    journal.close()
    found = load_run(tmp_path)
    assert found.state is RunState.FAILED
    assert found.hosts[NAME].state in (HostState.FAILED, HostState.REFUSED)
    assert found.hosts[NAME].reason
    assert path.read_text() == "127.0.0.1 localhost\n"
    assert [p.name for p in host.etc.iterdir()] == ["hosts"]


def test_reading_files(host: LocalHost) -> None:
    (host.etc / "f").write_text("a\n")
    spoil(host, "base64", NONSENSE)
    with pytest.raises(FileUnreadable, match="here did not answer with the bytes of files"):
        read_files(host.session, [str(host.etc / "f")])


def test_a_note_that_is_no_number(host: LocalHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "hale.apply.executor._parse_backup_output",
        lambda lines: iter([(0, ("priority much",), b""), (0, (), b"")]),
    )
    step = Step(("X",), SwapOff("/dev/x", 0, "why"))
    with pytest.raises(StepFailed, match="gave an answer that is not one"):
        StepExecutor(host.session, "run").prepare({1: step})


def test_an_answer_after_the_change_keeps_the_step_open(
    host: LocalHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was applied: neither the run nor its recovery may journal that nothing undoes it."""
    path = host.etc / "hosts"
    path.write_text("127.0.0.1 localhost\n")
    before = path.read_bytes()
    run, journal = plan_runner(host, tmp_path, planned(appended(path, "10.0.0.1 vip", before)))
    events: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr("hale.apply.executor.inverse_changes", _garbled_once_applied(path, before))
        assert not run.run()
        journal.close()
        history = load_run(tmp_path)
        assert "the change was made, and stays" in history.hosts[NAME].reason
        assert history.hosts[NAME].state is HostState.FAILED
        assert (history.skipped, len(history.open)) == ([], 1)
        recover_run(load_run(tmp_path), pool_of(host), [], lambda h, t: events.append(t))
    assert "the change was made" in events[0]
    assert len(load_run(tmp_path).open) == 1
    recover_run(load_run(tmp_path), pool_of(host), [], lambda h, t: None)
    assert load_run(tmp_path).done[NAME, 1].undo


def _garbled_once_applied(path: Path, before: bytes) -> Callable[..., tuple[()]]:
    def inverse(*_: object) -> tuple[()]:
        if path.read_bytes() != before:
            raise ValueError("nonsense")
        return ()

    return inverse
