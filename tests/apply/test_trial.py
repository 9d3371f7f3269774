"""Runs on trial: the host undoes them by itself, to the byte, with nothing of the operator's.

The operator is cut off by the host's network going, by SIGKILL in the middle of the run, and by a
power cut of the host. A window that has to be over is made a short one on the host, where the test
does not wait for its real end.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from hale.apply import trial
from hale.apply.prepared import RUNS
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.plan import plan
from hale.plan.plan import Plan
from hale.polling import wait_until
from lab import network
from lab.faults.table import FAULTS
from lab.machine import Lab, LabHost
from tests.apply.compliant_lab import Ready
from tests.apply.invoke_cli import Operator
from tests.faults.fault_context import injected

pytestmark = pytest.mark.lab
HOST = "k8s-node-02"
PATIENCE = 240.0  # seconds
FIREWALL = "firewalld enabled and running, as Debian leaves it"
SITE = "/etc/sysctl.d/zz-site.conf"
APPLY = ("fix", "--only=SYS-IP-FORWARD", f"--hosts={HOST}", "--apply", "--yes")
_VALUES = """
grep -rs '' /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/default/forwarding \
  /proc/sys/kernel/hostname
systemctl is-active firewalld || :
"""
_LEFT = """
find /etc/systemd /run/systemd/transient -name '*hale*'
systemctl list-units --all --plain --no-legend | grep hale-try || :
[ ! -e /var/lib/hale/trial ] || echo the mark
"""


@pytest.fixture
def host(ready: Ready) -> Iterator[LabHost]:
    """A host that does not forward: a value of the kernel, and a line in a file of the site's."""
    found = ready.lab[HOST]
    found.run(f"echo net.ipv4.ip_forward=0 >{SITE}; sysctl -qw net.ipv4.ip_forward=0")
    yield found
    ready.sessions.close()
    found.run(
        f"rm -rf {SITE} /var/lib/hale; sysctl -qw net.ipv4.ip_forward=1; "
        "systemctl stop 'hale-try-*'; find /etc/systemd -name '*hale-try*' -delete"
    )


@dataclass
class Trial:
    """A host with every kind of fault, the plan for it, and how it is before."""

    ready: Ready
    host: LabHost
    made: Plan
    listing: list[str]
    values: list[str]

    def check_undone(self) -> None:
        """The host has undone the run: bytes, links, units and values are as before."""
        assert not wait_until(
            lambda: state(self.host) not in ("undone", "incomplete"), PATIENCE, 0.1
        )
        assert state(self.host) == "undone", outcome(self.host)
        assert self.bytes_now() == self.listing
        assert values(self.host) == self.values
        assert not wait_until(lambda: trial_leftovers(self.host), PATIENCE, 0.1)

    def bytes_now(self) -> list[str]:
        """The listing, without what a boot writes again."""
        return [x for x in self.ready.listing(HOST) if "etc/resolv.conf" not in x]


@pytest.fixture
def harmed(ready: Ready, host: LabHost) -> Iterator[Trial]:
    """Units that run, links of an enabled unit, a file, and a value."""
    with ExitStack() as stack:
        stack.enter_context(injected(ready.lab, next(f for f in FAULTS if f.name == FIREWALL)))
        made = ready.plan([HOST], ["FW-FIREWALLD", "SYS-IP-FORWARD"])
        made_trial = Trial(ready, host, made, [], values(host))
        made_trial.listing = made_trial.bytes_now()
        yield made_trial
        link(ready.lab, "up")
        ready.sessions.close()


def state(host: LabHost) -> str:
    """The word that the host has of its trial; empty without one."""
    return host.run(f"cut -d' ' -f1 {RUNS}/*/trial/state 2>/dev/null || :").stdout.decode().strip()


def outcome(host: LabHost) -> str:
    """What the host has recorded of its undo."""
    loop = "while read -r kind n text; do echo $kind $n $(echo $text | base64 -d); done <outcome"
    return host.run(f"cd {RUNS}/*/trial && {loop}").stdout.decode()


def link(lab: Lab, state: str) -> None:
    """Plug the host's cable in (up), or pull it (down)."""
    subprocess.run(
        ["ip", "-netns", network.operator(lab.name), "link", "set", HOST, state], check=True
    )


def values(host: LabHost) -> list[str]:
    return host.run(_VALUES).stdout.decode().splitlines()


def trial_leftovers(host: LabHost) -> str:
    """What is left of a trial: units, their files, the mark."""
    return host.run(_LEFT).stdout.decode()


def end_window(host: LabHost) -> None:
    """The window is over in a moment."""
    host.run(
        "sed -i 's/^OnActiveSec=.*/OnActiveSec=0/' /etc/systemd/system/hale-try-*.timer;"
        " systemctl daemon-reload; systemctl restart 'hale-try-*.timer'"
    )


def test_the_network_goes(harmed: Trial) -> None:
    _, run = harmed.ready.apply(harmed.made, trial=600)
    assert not run.failed
    assert values(harmed.host) != harmed.values
    assert harmed.bytes_now() != harmed.listing
    link(harmed.ready.lab, "down")
    end_window(harmed.host)
    harmed.check_undone()
    undone = outcome(harmed.host)
    for part in ("restore /etc", "firewalld.service ->", "start firewalld", "ip_forward: 1 -> 0"):
        assert part in undone, undone


def test_the_window_ends(harmed: Trial) -> None:
    """A timer of seconds, also in the middle of the run."""
    harmed.ready.apply(harmed.made, trial=3)
    harmed.check_undone()


def test_the_host_loses_its_power(harmed: Trial) -> None:
    _, run = harmed.ready.apply(harmed.made, trial=600)
    assert not run.failed
    assert state(harmed.host) == "pending"
    harmed.ready.sessions.close()
    harmed.host.power_off()
    (timer,) = (harmed.host.root / "etc/systemd/system").glob("hale-try-*.timer")
    timer.write_text(timer.read_text().replace("OnActiveSec=600", "OnActiveSec=1"))
    harmed.host.power_on()
    harmed.check_undone()


@pytest.mark.parametrize(
    ("side", "entry"), [("after", 5), ("before", 8)], ids=["stop begun", "links removed"]
)
def test_the_operator_is_killed(harmed: Trial, tmp_path: Path, side: str, entry: int) -> None:
    """Entries: the run, the trial, two for the file, two for the stop, the begin of `disable`."""
    saved, folder = tmp_path / "approved.json", tmp_path / "crash"
    folder.mkdir()
    plan.save_plan(harmed.made, saved)
    child = subprocess.run(
        [
            sys.executable, "-m", "tests.apply.crash_at_entry", str(harmed.ready.inventory),
            str(saved), str(folder), side, str(entry), "600",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )  # fmt: skip
    assert child.returncode == -9, child.stderr[-2000:]
    end_window(harmed.host)
    harmed.check_undone()
    assert outcome(harmed.host), "the run was killed before its first step"


def test_confirmed_in_time(operator: Operator, host: LabHost) -> None:
    """And no other run changes the host while the trial goes on."""
    status, output = operator.type(*APPLY, "--try=10m")
    assert status == 0, output
    run = operator.last.name
    assert f"invoke confirm {run}" in output
    assert "ON TRIAL" in (operator.last / "change.html").read_text()
    assert trial_leftovers(host)
    status, output = operator.type("runs")
    assert "on trial until" in output
    host.run(f"echo net.ipv4.ip_forward=0 >>{SITE}")
    status, output = operator.type(*APPLY, "--force-unlock")
    assert status == 1
    assert f"{HOST} has {run} on trial. `invoke confirm {run}`" in output
    host.run(f"sed -i '$d' {SITE}")
    status, output = operator.type("confirm", run)
    assert status == 0, output
    assert f"confirmed: {HOST}" in output
    assert not wait_until(lambda: trial_leftovers(host), PATIENCE, 0.1)
    assert "# commented by Hale" in host.run(f"cat {SITE}").stdout.decode()
    assert "confirmed on" in operator.type("runs")[1]
    status, output = operator.type("undo", run, "--yes")
    assert status == 0, output
    assert host.run(f"cat {SITE}").stdout == b"net.ipv4.ip_forward=0\n"


def test_confirmed_too_late(operator: Operator, host: LabHost) -> None:
    status, output = operator.type(*APPLY, "--try=10m")
    assert status == 0, output
    end_window(host)
    assert not wait_until(lambda: state(host) != "undone", PATIENCE, 0.1)
    status, output = operator.type("confirm", operator.last.name)
    assert status == 1
    assert f"{operator.last.name}: undone by the host at " in output
    assert host.run(f"cat {SITE}").stdout == b"net.ipv4.ip_forward=0\n"
    assert "NOT CONFIRMED" in (operator.last / "change.html").read_text()
    assert "undone by the hosts: k8s-node-02" in operator.type("runs")[1]


def test_undone_in_time(operator: Operator, host: LabHost) -> None:
    status, output = operator.type(*APPLY, "--try=10m")
    assert status == 0, output
    run = operator.last.name
    status, output = operator.type("undo", run, "--yes")
    assert status == 0, output
    assert host.run(f"cat {SITE}").stdout == b"net.ipv4.ip_forward=0\n"
    assert not wait_until(lambda: trial_leftovers(host), PATIENCE, 0.1)
    assert state(host) == "cancelled"
    status, output = operator.type("confirm", run)
    assert (status, f"cancelled: {HOST}" in output) == (1, True), output


def test_a_host_without_systemctl_is_refused(ready: Ready, host: LabHost) -> None:
    trial.require_support(ready.sessions, [HOST])
    host.run("mv /usr/bin/systemctl /usr/bin/systemctl.away")
    try:
        with pytest.raises(UserError, match=f"nothing was changed: .* {HOST} lacks systemctl"):
            trial.require_support(ready.sessions, [HOST])
    finally:
        host.run("mv /usr/bin/systemctl.away /usr/bin/systemctl")
