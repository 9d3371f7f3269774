"""Drills whose process has ended before they did: what they left is reverted under their locks."""

from collections.abc import Mapping
from pathlib import Path

from hale.apply.cluster_lock import locks_held
from hale.apply.journal import now
from hale.drill import change_page, journal, revert
from hale.drill.journal import DrillEnd, DrillHistory, DrillJournal, DrillState
from hale.drill.live_view import LiveView
from hale.drill.options import DrillOptions
from hale.drill.sealing import seal_drill
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model.errors import UserError
from hale.ssh import SessionPool, Target
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
            with (
                SessionPool(targets) as own,
                # Its locks are stale now, and taken over. A host without power is locked later.
                locks_held(
                    own,
                    list(targets),
                    (),
                    history.header.owner,
                    stale=options.force_unlock,
                    report=screen.log,
                    nothing=f"nothing of {history.folder.name} was reverted",
                ) as locks,
            ):
                wrong = revert.revert_all(history, locks, options.power, book.write, screen.log)
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
