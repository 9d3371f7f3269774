"""A sampler's loop on this machine: it is ended by what it is, and not by its number alone."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hale.drill import sampler
from hale.drill.sampler import RemoteSampler, SamplerStopped
from hale.polling import wait_until
from hale.ssh import Target
from tests.hostile.local_host import LocalSession


class ClosingSession(LocalSession):
    def close(self) -> None:
        pass


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteSampler]:
    """A loop that has begun to write, on this machine."""
    monkeypatch.setattr(sampler, "FOLDER", str(tmp_path / "run"))
    monkeypatch.setattr(sampler, "Session", lambda _: ClosingSession(tmp_path))
    made = RemoteSampler(Target("here"), "client", "while :; do echo line; sleep 0.05; done")
    made.start()
    pid = made._pid
    yield made
    made._pid = pid
    made.stop()


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """Another program, which was started later."""
    time.sleep(2 / os.sysconf("SC_CLK_TCK"))  # start times are in ticks of the clock
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def running(pid: int) -> list[str]:
    """The process, if it runs and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return []
    return [] if state == "Z" else [f"process {pid}"]


def test_a_loop_is_read_and_ended(loop: RemoteSampler) -> None:
    assert not wait_until(lambda: [] if loop.read() else ["no line yet"], 10, 0.05)
    assert loop.record.startswith(b"line\n")
    loop.stop()
    assert not wait_until(lambda: running(loop._pid), 10, 0.05)
    assert not list(Path(sampler.FOLDER).iterdir())


def test_another_program_with_the_loops_number_is_not_killed(
    loop: RemoteSampler, bystander: subprocess.Popen[Any]
) -> None:
    loop._pid = bystander.pid  # the number was free, and was given to it
    loop.stop()
    with pytest.raises(subprocess.TimeoutExpired):
        bystander.wait(0.2)


def test_another_program_with_the_loops_number_is_no_loop(
    loop: RemoteSampler, bystander: subprocess.Popen[Any]
) -> None:
    loop.read()
    loop._pid = bystander.pid
    with pytest.raises(SamplerStopped, match="client ended"):
        loop.read()


def test_a_loop_that_ends_at_once_is_reported(loop: RemoteSampler) -> None:
    failed = RemoteSampler(Target("here"), "etcd", "echo no etcdctl >&2; exit 1")
    failed.start()
    assert not wait_until(lambda: running(failed._pid), 10, 0.05)
    with pytest.raises(SamplerStopped, match="here: etcd ended: no etcdctl"):
        failed.read()
