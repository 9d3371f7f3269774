"""What the cluster's commands share: what the operator typed, the hosts that must answer, the lock
and the journal of a run, Ctrl-C.

A run's folder is reports/<time>-install/ (or -reset): journal.jsonl is what was done, with the
seconds of each step and of kubeadm itself; gate/ and the last <time>-audit/ are audits like any
other.
"""

import shlex
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.text import Text

from hale import ssh
from hale.apply import runner
from hale.apply import workflow as apply
from hale.apply.journal import Journal
from hale.files import signals
from hale.install import cluster_context, preflight
from hale.install.cluster_context import ClusterContext
from hale.install.engine import Engine
from hale.install.progress import InstallProgress
from hale.inventory.ini import Inventory
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.redact import redact
from hale.report.text import escape_controls
from hale.ssh import preconnect
from hale.standard import loader


@dataclass(frozen=True)
class InstallOptions:
    """How a run is to be made, as the operator typed it."""

    reports: Path
    inventory: Path | None = None
    fix: bool = False
    ignore_preflight_errors: tuple[str, ...] = ()
    until: str = ""
    phase: str = ""
    yes: bool = False
    force_unlock: bool = False
    approved_by: str = ""
    ticket: str = ""

    @property
    def path(self) -> Path:
        """The inventory's file."""
        return self.inventory or ROOT / "inventory.ini"

    @property
    def resume_command(self) -> str:
        """The command that goes on where this one ended."""
        words = [".venv/bin/invoke", "install"]
        if self.inventory:
            words += ["--inventory", str(self.inventory)]
        if self.ignore_preflight_errors:
            words += ["--ignore-preflight-errors", ",".join(self.ignore_preflight_errors)]
        if self.fix:
            words.append("--fix")
        if self.yes:
            words.append("--yes")
        return shlex.join(words)


def load_cluster_context(known: Inventory) -> ClusterContext:
    """What the inventory and the standard say of the cluster. Raises HaleError."""
    return cluster_context.load_context(known, loader.load_standard(ROOT / "standard"))


def check_reachable(known: Inventory) -> None:
    """Every host, before anything is done to any. Raises HaleError naming those that are not.

    Asked twice: a host that is only busy lets people in the second time.
    """
    preconnect.register_targets(known, preflight.LOGIN_TIMEOUT)
    for _ in range(2):
        if not (down := _down(known)):
            return
        ssh.close_sessions()
    raise UserError("nothing was changed: " + "\n".join(down))


def _down(known: Inventory) -> list[str]:
    """Who cannot be asked as root, and why."""
    sessions = [ssh.session_for(h.name) for h in known.hosts]
    for session in sessions:
        session.start()
    down = []
    for session in sessions:
        name = session.target.name
        try:
            if session.run("id -u", 2 * preflight.LOGIN_TIMEOUT).stdout.strip() != b"0":
                down.append(f"{name}: root is needed: put ansible_become=true into the inventory")
        except runner.UNREACHABLE as error:
            down.append(str(error))
    return down


@contextmanager
def locked_run(
    asked: InstallOptions, known: Inventory, folder: Path, kind: str
) -> Iterator[Journal]:
    """The cluster-wide lock and the journal. Raises HaleError where somebody else has it."""
    preconnect.register_targets(known, preflight.LOGIN_TIMEOUT)
    owner = runner.new_owner(folder.name)
    every = [h.name for h in known.hosts]
    try:
        with runner.locks_held(
            every, every, owner, stale=asked.force_unlock, report=apply.console_reporter()
        ):
            header = runner.journal_header(
                owner,
                kind,
                known.path,
                approved_by=asked.approved_by,
                ticket=asked.ticket,
            )
            with closing(Journal(folder, header)) as book:
                yield book
    finally:
        ssh.close_sessions()


@contextmanager
def interruptible(engine: Engine, shown: InstallProgress) -> Iterator[None]:
    """Ctrl-C lets the steps end that were begun; a second one cuts the connections, and with
    them what runs on the hosts."""

    def asked_to(number: int, frame: FrameType | None) -> None:
        if engine.stop.is_set():
            shown.notice("cutting the connections: what runs on the hosts is killed")
            engine.disconnect()
            ssh.close_sessions()
            return
        engine.stop.set()
        shown.notice("stopping: steps that were begun are ended (once more: cut them off)")

    with signals.signal_handler(asked_to, signal.SIGINT):
        yield


def headline(sign: str, name: str, title: str, said: str) -> Text:
    """How it stands with one phase."""
    return Text(f"{sign} {name}: {title}{f'  {escape_controls(said)}' if said else ''}")


def escaped_lines(text: str) -> str:
    """Several lines of a host's text, each without what drives a terminal."""
    lines = text.expandtabs(4).split("\n")
    return "\n".join(escape_controls(redact(line)) for line in lines)


def indented(text: str) -> str:
    """Each line a bit to the right."""
    return "\n".join(f"    {line}" for line in text.split("\n"))
