"""Two operators at the same hosts: every pair of commands, and what becomes of the second one.

The first command is stopped once it has the locks (paused_with_locks.py), so that no pair depends
on which is faster.
"""

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path
from typing import NamedTuple

from hale.files import provenance
from hale.paths import ROOT
from hale.polling import wait_until
from lab.machine import LabHost
from tests.apply.invoke_cli import INVOKE, PATIENCE
from tests.engine.pytest_cli import PYTEST, environment


class Command(StrEnum):
    """A command that contacts hosts."""

    AUDIT = "audit"
    PLAN = "plan"
    INSTALL_PLAN = "install-plan"
    FIX = "fix"
    UNDO = "undo"
    CONFIRM = "confirm"
    INSTALL = "install"
    RESET = "reset"
    DRILL = "drill"


class Outcome(Enum):
    """What becomes of a command that is typed while another one holds the hosts' locks.

    The value is a regular expression of what it prints, if it is refused.
    """

    BESIDE = ""  # it reads only, and ends as it does alone
    NOT_CHANGED = "nothing was changed: {host} is locked by {owner} since .*, run {run}"
    NOT_CONFIRMED = "nothing was confirmed: {host} is locked by {owner} since .*, run {run}"
    NO_FAULT = "no fault was injected: {host} is locked by {owner} since .*, run {run}"
    ON_TRIAL = "nothing was changed: {host} has {trial} on trial"


class Pair(NamedTuple):
    """Two commands: what has the locks, and what is typed then."""

    first: Command
    second: Command


READ = (Command.AUDIT, Command.PLAN, Command.INSTALL_PLAN)
LOCK = (Command.FIX, Command.UNDO, Command.INSTALL, Command.RESET, Command.DRILL)
_LOCKED = {
    **dict.fromkeys(READ, Outcome.BESIDE),
    **dict.fromkeys(LOCK, Outcome.NOT_CHANGED),
    Command.DRILL: Outcome.NO_FAULT,
}
#: By what has the locks: what becomes of each other command. While a run is on trial none but its
#: own gets the locks of its hosts, so a confirm is never typed while another command has them.
EXPECTED: dict[Command, dict[Command, Outcome]] = {
    **dict.fromkeys(LOCK, _LOCKED),
    Command.CONFIRM: {**_LOCKED, Command.CONFIRM: Outcome.NOT_CONFIRMED},
}
#: Pairs of which neither takes a lock.
READERS = [Pair(*pair) for pair in itertools.combinations_with_replacement(READ, 2)]
PAIRS = [Pair(first, second) for first, row in EXPECTED.items() for second in row]
SYSCTL, BLACKLIST = "/etc/sysctl.d/zz-site.conf", "/etc/modprobe.d/site.conf"
# What the commands change here.
_CHANGED = "/etc/fstab /etc/sysctl.d /etc/modules-load.d /etc/modprobe.d /var/lib/hale"
_KEEP = f"""
set --
for path in {_CHANGED}; do [ ! -e "$path" ] || set -- "$@" "$path"; done
tar -Pcf /root/kept.tar "$@"
"""
_CLEAN = f"""
systemctl stop 'hale-try-*'; find /etc/systemd -name '*hale-try*' -delete
rm -rf {_CHANGED} && tar -Pxf /root/kept.tar && rm /root/kept.tar && systemctl daemon-reload
"""


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    output: str


def ended(process: "subprocess.Popen[str]") -> Ended:
    """Wait for its end, and end it where that takes too long."""
    try:
        output, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    return Ended(process.returncode, output)


@dataclass
class Desk:
    """An operator with an inventory, and the host on which the commands have something to do.

    drill: the fault that `invoke drill` injects.
    """

    reports: Path
    inventory: Path
    host: LabHost
    drill: str = "vip"
    undone: str = ""
    trial: str = ""

    def run(self, script: str) -> str:
        """Run a script on the host; returns what it prints."""
        return self.host.run(script).stdout.decode()

    def configuration(self) -> str:
        """The digests of the files in /etc."""
        return self.run("find /etc -xdev -type f -exec sha256sum {} + | sort")

    @contextmanager
    def prepared(self, *commands: Command) -> Iterator[None]:
        """Each command has something to do. A trial begins last: it keeps all others out."""
        self.run(_KEEP)
        try:
            if {Command.FIX, Command.PLAN} & {*commands}:
                self.run(f"echo net.ipv4.ip_forward=0 >{SYSCTL}")
            if Command.UNDO in commands:
                self.run("echo '/dev/sdb1 none swap sw 0 0' >>/etc/fstab")
                self.undone = self._applied("--only=SWAP-OFF")
            if Command.CONFIRM in commands:
                self.run(f"echo 'blacklist br_netfilter' >{BLACKLIST}")
                self.trial = self._applied("--only=MOD-BR-NETFILTER", "--try=30m")
            yield
        finally:
            self.run(_CLEAN)

    def _applied(self, *words: str) -> str:
        """The name of the run of a fix."""
        before = self.runs()
        typed = ("fix", *words, f"--hosts={self.host.name}", "--apply", "--yes")
        where = (f"--inventory={self.inventory}", f"--reports={self.reports}")
        done = ended(_started([INVOKE, *typed, *where]))
        assert done.status == 0, done.output
        (run,) = self.runs() - before
        return run

    def runs(self) -> set[str]:
        """The names of all runs that have begun to change hosts."""
        paths = (p for n in ("journal", "drill") for p in self.reports.glob(f"*/{n}.jsonl"))
        return {path.parent.name for path in paths}

    def words(self, command: Command) -> list[str]:
        """The command line without its program."""
        mine, reports = f"--inventory={self.inventory}", f"--reports={self.reports}"
        forward = ["--only=SYS-IP-FORWARD", f"--hosts={self.host.name}"]
        match command:
            case Command.AUDIT:
                chosen = ["-k", "SYS-IP-FORWARD", f"--hosts={self.host.name}"]
                return ["-p", "no:cacheprovider", "-q", *chosen, mine, reports]
            case Command.PLAN:
                return ["fix", *forward, mine, reports]
            case Command.FIX:
                return ["fix", *forward, "--apply", "--yes", mine, reports]
            case Command.UNDO:
                return ["undo", self.undone, "--yes", reports]
            case Command.CONFIRM:
                return ["confirm", self.trial, reports]
            case Command.INSTALL_PLAN:
                return ["install", "--plan", "--phase=packages", mine]
            case Command.INSTALL:
                return ["install", "--phase=runtime", "--yes", mine, reports]
            case Command.RESET:
                return ["reset", "--cluster-name=kubernetes", "--yes", mine, reports]
            case Command.DRILL:
                return ["drill", self.drill, "--yes", mine, reports]

    def start(self, command: Command) -> "subprocess.Popen[str]":
        """Begin it."""
        program = str(PYTEST) if command is Command.AUDIT else INVOKE
        return _started([program, *self.words(command)])

    def type(self, *words: str) -> "subprocess.Popen[str]":
        """Begin `invoke words`."""
        return _started([INVOKE, *words])

    @contextmanager
    def holding(self, command: Command) -> Iterator["subprocess.Popen[str]"]:
        """Begin it, and go on when it has the locks; it waits until the context is left."""
        file = self.reports.with_name("held")
        launcher = [sys.executable, "-m", "tests.apply.paused_with_locks", str(file)]
        process = _started([*launcher, *self.words(command)])
        try:
            wait_until(lambda: not file.exists() and process.poll() is None, PATIENCE, 0.05)
            if not file.exists():
                process.kill()
                raise AssertionError(f"it has no locks: {process.communicate()[0]}")
            yield process
            file.unlink()
            process.wait(PATIENCE)
        finally:
            file.unlink(missing_ok=True)
            process.kill()
            process.wait()

    def try_second(
        self, pair: Pair, running: "subprocess.Popen[str]", *, first_host: str, alone: int
    ) -> None:
        """Type the second command while the first one holds the locks; assert its outcome.

        first_host: of the inventory. alone: the exit status of the second one by itself.
        """
        first, second = pair
        outcome = EXPECTED[first][second]
        begun = self.runs()
        tried = ended(self.start(second))
        assert "Traceback" not in tried.output
        assert running.poll() is None
        if outcome is Outcome.BESIDE:
            assert tried.status == alone, tried.output
        else:
            assert tried.status == 1, tried.output
            assert re.search(self.refusal(outcome, first, first_host), tried.output), tried.output
            assert not self.is_done(second) or second is first
        assert self.runs() == begun

    def is_done(self, command: Command) -> bool:
        """Whether the host, or the reports, show that the command was carried out."""
        match command:
            case Command.FIX:
                return "# commented by Hale" in self.run(f"cat {SYSCTL}")
            case Command.UNDO:
                return "\n/dev/sdb1 none swap" in self.run("cat /etc/fstab")
            case Command.CONFIRM:
                return not self.run("cat /var/lib/hale/trial 2>/dev/null || :")
            case Command.INSTALL | Command.RESET | Command.DRILL:
                return any(run.endswith(f"-{command}") for run in self.runs())
        return True

    def refusal(self, outcome: Outcome, first: Command, lock_holder: str) -> str:
        """The regular expression of a refusal; lock_holder: the first host of the inventory."""
        owner = f"{provenance.operator()} on {provenance.control_host()}"
        return outcome.value.format(
            host=self.host.name if outcome is Outcome.ON_TRIAL else lock_holder,
            owner=owner,
            run=rf"\S+-{first}" if first is not Command.CONFIRM else self.trial,
            trial=self.trial,
        )


def _started(words: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        words,
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
