"""A run of install or reset: every host reachable, the cluster locked, a journal.

The folder of a run is reports/<time>-install/ (or -reset): journal.jsonl records each step with its
duration; gate/ and the last <time>-audit/ are normal audits.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from hale import ssh
from hale.apply import runner
from hale.apply import workflow as apply
from hale.apply.journal import Journal
from hale.install import preflight
from hale.install.options import InstallOptions
from hale.inventory.ini import Inventory
from hale.model.errors import UserError
from hale.ssh import preconnect


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
        except ssh.RemoteError as error:
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
            ssh.SHARED,
            names,
            names,
            owner,
            stale=options.force_unlock,
            report=apply.console_reporter(),
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
