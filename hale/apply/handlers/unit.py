"""systemd units: stopped, disabled, started or restarted."""

from collections.abc import Sequence

from hale.apply.handlers.handler import Handler, undo_reason
from hale.apply.prepared import PreparedStep
from hale.model.change import Remedy, SymlinkChange, UnitAction, UnitChange

_OPPOSITE = {UnitAction.STOP: UnitAction.START, UnitAction.START: UnitAction.STOP}


class UnitHandler(Handler[UnitChange]):
    """Calls systemctl. `disable` prints the links that it removed."""

    common = "unit.sh"
    backup = "unit.backup.sh"
    apply = "unit.apply.sh"

    def variables(self, change: UnitChange, prepared: PreparedStep) -> dict[str, str]:
        """See unit.sh."""
        wanted = change.enabled if change.action is UnitAction.DISABLE else change.active
        return {"unit": change.unit, "action": change.action, "wanted": wanted}

    def inverse(
        self, change: UnitChange, prepared: PreparedStep, output: Sequence[str]
    ) -> tuple[Remedy, ...]:
        """The opposite action; of `disable`, the links as they were."""
        reason = undo_reason(change)
        if change.action is UnitAction.DISABLE:
            links = (line.split("\t") for line in output if "\t" in line)
            return tuple(SymlinkChange(p, to, None, reason, change.effects) for p, to in links)
        action = _OPPOSITE.get(change.action, change.action)
        return (UnitChange(change.unit, action, "", "", reason, change.effects),)

    def prints_removed_links(self, change: UnitChange) -> bool:
        """`disable` does."""
        return change.action is UnitAction.DISABLE

    def wants_daemon_reload(self, change: UnitChange) -> bool:
        """`disable` removes links, with --no-reload."""
        return change.action is UnitAction.DISABLE

    def needs_fresh_units(self, change: UnitChange) -> bool:
        """What is started is started as its files are now."""
        return change.action in (UnitAction.START, UnitAction.RESTART)


HANDLERS = {UnitChange: UnitHandler()}
