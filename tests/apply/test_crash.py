"""A run that is cut off at any moment: old bytes or new, never half; and it goes on, or back.

For each of ten plans and each entry of its journal the operator's process is killed (SIGKILL)
right before, and right after, the entry is on disk; and at each step the host loses its power
while the step is done. Then: every file has its old bytes or its new ones, what is changed has
its original on the host, the lock that is left is explained and taken only when told to, the
steps that were cut off are settled; after that either a new plan makes all green and both runs
are taken back, or the run is taken back at once: the host is as it was.

`make soak` does all of it, `make test` a fifth, drawn by HALE_SEED (printed; random if unset).
"""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hale.apply import journal, lock, recovery
from hale.apply.executor import StepExecutor
from hale.apply.lock import LockHeld, Owner
from hale.apply.prepared import RUNS, PreparedStep
from hale.model.change import FileEdit, Remedy
from hale.paths import ROOT
from hale.plan import line_edit, plan, planner
from hale.plan.plan import Plan
from lab.faults.table import FAULTS
from tests.apply.compliant_lab import Ready
from tests.faults.fault_context import injected

pytestmark = pytest.mark.lab

SEED = os.environ.get("HALE_SEED") or str(random.randrange(10**6))
SOAK = bool(os.environ.get("HALE_SOAK"))
SHARE = 5
# Faults of one host each; together all kinds of change that a lab's host can bear.
PLANS = {
    "hosts, hostname, module": (
        "VIP's name leads to one master",
        "no valid name in /etc/hostname",
        "module blacklisted",
    ),
    "hostname now": ("hostname transient only",),
    "firewalld": ("firewalld enabled and running, as Debian leaves it",),
    "firewalld's other name": ("firewalld disabled but D-Bus may start it",),
    "SELinux, cloud-init": (
        "SELinux without a configuration",
        "cloud-init rewrites /etc/hosts at boot",
    ),
    "fstab": ("fstab swap line with tabs",),
    "swap unit": ("a .swap unit that a target wants",),
    "zram generator": ("a zram generator and its file",),
    "sysctl, limits": (
        "sysctl won by a later file",
        "limit overridden in limits.d",
        "forwarding switched off until the next boot",
    ),
    "bridge": (
        "bridge's values switched off until the next boot",
        "SELinux twice, the first counts",
    ),
}


def drawn(name: str, points: list[Any]) -> list[Any]:
    """All points in a soak, else a fifth of them, and one at least."""
    if SOAK:
        return points
    count = max(1, len(points) // SHARE)
    return sorted(random.Random(f"{SEED} {name}").sample(points, count))


@dataclass
class Harmed:
    """A host with the faults of one plan in it."""

    ready: Ready
    host: str
    made: Plan
    listing: list[str]
    before: dict[str, str]  # SHA-256 of every file that the plan edits
    after: dict[str, str]
    folder: Path
    runs: int = 0

    def next_folder(self) -> Path:
        self.runs += 1
        folder = self.folder / f"crash-{self.runs:04}"
        folder.mkdir()
        return folder


@pytest.fixture(params=PLANS, ids=lambda name: name.replace(" ", "-").replace(",", ""))
def harmed(request: pytest.FixtureRequest, ready: Ready, tmp_path: Path) -> Iterator[Harmed]:
    faults = [next(f for f in FAULTS if f.name == name) for name in PLANS[request.param]]
    (host,) = {fault.host for fault in faults}
    with ExitStack() as stack:
        for fault in faults:
            stack.enter_context(injected(ready.lab, fault))
        listing = ready.listing(host)
        made = ready.plan([host])
        before, after = {}, {}
        reader = planner.file_reader(ready.sessions, host)
        for step in made.hosts[0].steps:
            if isinstance(step.change, FileEdit):
                content = reader([step.change.path])[step.change.path]
                before[step.change.path] = plan.sha256(content)
                new = line_edit.apply_edits(content or b"", step.change.edits)
                after[step.change.path] = plan.sha256(new)
        yield Harmed(ready, host, made, listing, before, after, tmp_path)
        ready.sessions.close()
        ready.lab[host].run("rm -rf /var/lib/hale")


def test_the_operator_is_killed(harmed: Harmed, request: pytest.FixtureRequest) -> None:
    entries = 2 * len(harmed.made.hosts[0].steps) + 3  # the run, two a step, the host, the end
    points = [(n, side) for n in range(1, entries + 1) for side in ("before", "after")]
    for entry, side in drawn(request.node.name, points):
        where = f"{side} entry {entry} of {entries}, HALE_SEED={SEED}"
        folder = harmed.next_folder()
        saved = folder / "approved.json"
        plan.save_plan(harmed.made, saved)
        child = subprocess.run(
            [
                sys.executable, "-m", "tests.apply.crash_at_entry", str(harmed.ready.inventory),
                str(saved), str(folder), side, str(entry),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
        )  # fmt: skip
        assert child.returncode == -9, f"{where}: {child.stderr[-2000:]}"
        _stale_and_whole(harmed, folder, where)
        _goes_on_or_back(harmed, folder, on=entry % 2 == 0, where=where)


def test_the_host_loses_its_power(
    harmed: Harmed, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = len(harmed.made.hosts[0].steps)
    dice = random.Random(SEED)
    delays = [0.0, 0.01, 0.03, 0.06] if SOAK else [dice.choice((0.0, 0.01, 0.03, 0.06))]
    points = [(n, delay) for n in range(1, steps + 1) for delay in delays]
    do = StepExecutor.apply
    for number, delay in drawn(request.node.name, points):
        where = f"{delay} s into step {number} of {steps}, HALE_SEED={SEED}"
        folder = harmed.next_folder()

        def cut(
            self: StepExecutor, kept: PreparedStep, number: int = number, delay: float = delay
        ) -> tuple[Remedy, ...]:
            if not kept.folder.endswith(f"/{number}"):
                return do(self, kept)

            def off() -> None:
                time.sleep(delay)
                harmed.ready.lab[harmed.host].power_off()

            power = threading.Thread(target=off)
            power.start()
            try:
                return do(self, kept)
            finally:
                power.join()

        monkeypatch.setattr(StepExecutor, "apply", cut)
        harmed.ready.carry_out_in(harmed.made, folder)
        monkeypatch.setattr(StepExecutor, "apply", do)
        harmed.ready.sessions.close()
        harmed.ready.lab[harmed.host].power_on()
        _stale_and_whole(harmed, folder, where)
        _goes_on_or_back(harmed, folder, on=number % 2 == 0, where=where)


def _stale_and_whole(harmed: Harmed, folder: Path, where: str) -> None:
    """What a crash leaves: a lock that says whose, whole files, and their originals."""
    host = harmed.ready.lab[harmed.host]
    mine = Owner("next", "here", "next", journal.now())
    session = harmed.ready.sessions.session(harmed.host)
    held = host.run("cat /var/lib/hale/lock 2>/dev/null || true").stdout
    if held:
        until = time.monotonic() + 240
        while True:  # sshd sees the end of the connection a moment later
            with pytest.raises(LockHeld) as refused:
                lock.acquire(session, mine, stale=False)
            if "the lock is stale" in str(refused.value) or time.monotonic() > until:
                break
            time.sleep(0.1)
        assert f"run {folder.parent.name}-{folder.name}" in str(refused.value), where
        assert "the lock is stale" in str(refused.value), where
    lock.acquire(session, mine, stale=True)
    history = _history(folder)
    for path, old in harmed.before.items():
        now = plan.sha256(planner.file_reader(harmed.ready.sessions, harmed.host)([path])[path])
        assert now in (old, harmed.after[path]), f"{where}: {path} is half-written"
        if now != old and old:
            kept = host.run(
                f"sha256sum {RUNS}/{folder.parent.name}-{folder.name}/*/original"
            ).stdout.decode()
            assert old in kept, f"{where}: the original of {path} is lost"
    if history is not None:
        recovery.recover_run(history, harmed.ready.sessions, [], lambda host, output: None)
        assert not journal.load_run(folder).open
    lock.release(session, mine)
    remaining = host.run("find /etc -name '.hale-new*'").stdout.decode()
    assert not remaining, f"{where}: {remaining}"


def _history(folder: Path) -> journal.RunHistory | None:
    """The journal, if the run came so far that it has a first line."""
    path = folder / journal.NAME
    if not path.exists() or b"\n" not in path.read_bytes():
        return None
    return journal.load_run(folder)


def _goes_on_or_back(harmed: Harmed, folder: Path, *, on: bool, where: str) -> None:
    ready, host = harmed.ready, harmed.host
    runs = [history] if (history := _history(folder)) else []
    if on:
        made = ready.plan([host])
        history, leader = ready.apply(made)
        assert not leader.failed, where
        runs.append(history)
        assert not ready.red(ready.rows(host)), where
    for history in reversed(runs):
        back, moved = ready.take_back(history)
        assert not moved, where
        _, leader = ready.apply(back, "undo", history.header.run)
        assert not leader.failed, where
    assert ready.listing(host) == harmed.listing, where
