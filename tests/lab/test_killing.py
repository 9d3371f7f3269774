"""What the lab kills: its own processes, and not whoever has got the number of one since."""

import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from lab import cgroups
from lab.subprocesses import kill_process

Sleeper = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        started.append(subprocess.Popen(["sleep", "600"]))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_process_that_is_ours_is_killed(sleeper: Sleeper) -> None:
    process = sleeper()
    kill_process(process.pid, lambda: True)
    assert process.wait(60) == -signal.SIGKILL
    kill_process(process.pid, lambda: True)  # it is no more


def test_a_process_that_dies_while_it_is_looked_at(sleeper: Sleeper) -> None:
    process = sleeper()

    def dies() -> bool:
        process.kill()
        process.wait()
        return True

    kill_process(process.pid, dies)


def test_a_number_that_another_program_has_got_is_left_alone(
    sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group named it; by now it is in none of the lab's."""
    other = sleeper()
    listed = iter([{other.pid}])
    monkeypatch.setattr(cgroups, "processes", lambda *of: next(listed, set()))
    monkeypatch.setattr(cgroups, "hierarchies", lambda: ())
    cgroups.kill("no-such-lab")
    assert next(listed, None) is None, "it was listed"
    assert other.poll() is None
