"""What install and reset share: their options, the lock and journal of a run, and Ctrl-C.

The folder of a run is reports/<time>-install/ (or -reset): journal.jsonl records each step with its
duration; gate/ and the last <time>-audit/ are normal audits.
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
    """The options of one run, as typed."""

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
        """The path of the inventory."""
        return self.inventory or ROOT / "inventory.ini"

    @property
    def resume_command(self) -> str:
        """The command that resumes this run."""
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


def load_cluster_context(inventory: Inventory) -> ClusterContext:
    """The cluster as the inventory and the standard describe it. Raises UserError."""
    return cluster_context.load_context(inventory, loader.load_standard(ROOT / "standard"))


def check_reachable(inventory: Inventory) -> None:
    """Log in to every host before any is changed. Raises UserError naming those that fail.

    Tries twice, because a busy host may miss the first login timeout.
    """
    preconnect.register_targets(inventory, preflight.LOGIN_TIMEOUT)
    for _ in range(2):
        if not (unreachable := _down(inventory)):
            return
        ssh.close_sessions()
    raise UserError("nothing was changed: " + "\n".join(unreachable))


def _down(inventory: Inventory) -> list[str]:
    """Why hosts cannot be used as root; empty if all can."""
    sessions = [ssh.session_for(h.name) for h in inventory.hosts]
    for session in sessions:
        session.start()
    unreachable = []
    for session in sessions:
        name = session.target.name
        try:
            if session.run("id -u", 2 * preflight.LOGIN_TIMEOUT).stdout.strip() != b"0":
                unreachable.append(
                    f"{name}: root is needed: put ansible_become=true into the inventory"
                )
        except runner.UNREACHABLE as error:
            unreachable.append(str(error))
    return unreachable


@contextmanager
def locked_run(
    options: InstallOptions, inventory: Inventory, folder: Path, kind: str
) -> Iterator[Journal]:
    """Hold the cluster-wide lock and open the journal. Raises UserError if it is locked."""
    preconnect.register_targets(inventory, preflight.LOGIN_TIMEOUT)
    owner = runner.new_owner(folder.name)
    names = [h.name for h in inventory.hosts]
    try:
        with runner.locks_held(
            names, names, owner, stale=options.force_unlock, report=apply.console_reporter()
        ):
            header = runner.journal_header(
                owner,
                kind,
                inventory.path,
                approved_by=options.approved_by,
                ticket=options.ticket,
            )
            with closing(Journal(folder, header)) as journal:
                yield journal
    finally:
        ssh.close_sessions()


@contextmanager
def interruptible(engine: Engine, progress: InstallProgress) -> Iterator[None]:
    """Let Ctrl-C stop the run after the current steps, and a second one cut the connections,
    which kills what runs on the hosts."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        if engine.stop.is_set():
            progress.notice("closing the connections, which kills the running steps")
            engine.disconnect()
            ssh.close_sessions()
            return
        engine.stop.set()
        progress.notice("stopping after the current steps (press Ctrl-C again to kill them)")

    with signals.signal_handler(on_signal, signal.SIGINT):
        yield


def headline(sign: str, name: str, title: str, detail: str) -> Text:
    """One line about a phase."""
    return Text(f"{sign} {name}: {title}{f'  {escape_controls(detail)}' if detail else ''}")


def escaped_lines(text: str) -> str:
    """A host's text, redacted and with terminal control sequences escaped."""
    lines = text.expandtabs(4).split("\n")
    return "\n".join(escape_controls(redact(line)) for line in lines)


def indented(text: str) -> str:
    """Indent each line by four spaces."""
    return "\n".join(f"    {line}" for line in text.split("\n"))
