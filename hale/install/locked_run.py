"""A run of install or reset: every host reachable, the cluster locked, a journal.

The folder of a run is reports/<time>-install/ (or -reset): journal.jsonl records each step with its
duration; gate/ and the last <time>-audit/ are normal audits; change.html is the page of all that.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from hale.apply import cluster_lock, run_journals
from hale.apply.journal import Journal
from hale.apply.reporter import console_reporter
from hale.install import change_page
from hale.install.options import InstallOptions
from hale.inventory.ini import Inventory
from hale.model.errors import UserError
from hale.ssh import RemoteError, SessionPool


def check_reachable(sessions: SessionPool) -> None:
    """Log in to every host before any is changed. Raises UserError naming those that fail.

    Tries twice, because a busy host may miss the first login timeout.
    """
    for _ in range(2):
        if not (unreachable := _down(sessions)):
            return
        sessions.close()
    raise UserError("nothing was changed: " + "\n".join(unreachable))


def _down(sessions: SessionPool) -> list[str]:
    """Why hosts cannot be used as root; empty if all can."""
    sessions.start(sessions.targets)
    unreachable = []
    for name in sessions.targets:
        try:
            limit = 2 * sessions.target(name).connect_timeout
            if sessions.session(name).run("id -u", limit).stdout.strip() != b"0":
                unreachable.append(
                    f"{name}: root is needed: put ansible_become=true into the inventory"
                )
        except RemoteError as error:
            unreachable.append(str(error))
    return unreachable


@contextmanager
def locked_run(
    options: InstallOptions,
    inventory: Inventory,
    sessions: SessionPool,
    folder: Path,
    kind: str,
    plan_sha256: str = "",
) -> Iterator[Journal]:
    """Hold the cluster-wide lock and open the journal. Raises UserError if it is locked.

    plan_sha256: of the saved plan that is carried out.

    At the end the sessions are closed, so that what follows logs in again.
    """
    owner = run_journals.new_owner(folder.name)
    names = [h.name for h in inventory.hosts]
    report = console_reporter()
    try:
        with cluster_lock.locks_held(
            sessions,
            names,
            names,
            owner,
            stale=options.force_unlock,
            report=report,
        ):
            header = run_journals.journal_header(
                owner,
                kind,
                inventory.path.resolve(),  # as `fix` has it, which recovers runs by it
                approved_by=options.approved_by or options.origin.signer,
                ticket=options.ticket,
                plan_sha256=plan_sha256,
            )
            with closing(Journal(folder, header)) as journal:
                journal.write(run_journals.run_approval(options.origin, options.window))
                change_page.write_page(folder, report)
                yield journal
    finally:
        sessions.close()
        change_page.write_page(folder, report)
