"""Drills whose process has ended before they did: what they left is reverted, and unlocked."""

from collections.abc import Mapping
from pathlib import Path

from hale.apply import lock
from hale.apply.journal import now
from hale.drill import change_page, journal, revert
from hale.drill.journal import DrillEnd, DrillHistory, DrillJournal, DrillState
from hale.drill.live_view import LiveView
from hale.drill.options import DrillOptions
from hale.drill.sealing import seal_drill
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model.errors import UserError
from hale.ssh import RemoteError, SessionPool, Target
from hale.ssh.inventory_targets import targets_of


def recover_interrupted(
    options: DrillOptions, known: Inventory, sessions: SessionPool, screen: LiveView
) -> bool:
    """Revert what interrupted drills left; False if there was none. Raises UserError."""
    found = journal.unfinished(options.reports, str(known.path.resolve()))
    if not found:
        return False
    for history in found:
        screen.log("", f"{history.folder.name} was interrupted; reverting what it left")
        book = DrillJournal(history.folder, None)
        try:
            targets = {**sessions.targets, **_member_targets(options, history)}
            _release_locks(targets, history, screen)
            with SessionPool(targets) as own:
                wrong = revert.revert_all(history, own, options.power, book.write, screen.log)
            if wrong:
                raise UserError(
                    f"{history.folder.name} is not fully reverted: {'; '.join(wrong)}. Fix that as "
                    "described in docs/drills.md, then run `invoke drill --revert` again."
                )
            book.write(DrillEnd(DrillState.REVERTED, now()))
        finally:
            book.close()
            change_page.write_page(history.folder, screen.log)
            seal_drill(history.folder, screen.log)
    return True


def _member_targets(options: DrillOptions, history: DrillHistory) -> Mapping[str, Target]:
    """How the hosts of the member are reached that a drill has disconnected. Raises UserError."""
    if not history.header.member_inventory:
        return {}
    known = ini.load_inventory(Path(history.header.member_inventory))
    return targets_of(known, options.login)


def _release_locks(targets: Mapping[str, Target], history: DrillHistory, screen: LiveView) -> None:
    """Release the locks of a drill whose process has ended."""
    with SessionPool(targets) as own:  # a host that does not answer now may do so later
        for host in targets:
            try:
                lock.release(own.session(host), history.header.owner)
            except RemoteError as error:
                screen.log(host, f"unreachable, so its lock stays: {error}")
