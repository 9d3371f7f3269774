"""Symbolic links, as `systemctl mask` and `systemctl enable` make them."""

import shlex
from collections.abc import Sequence

from hale.apply.handlers.handler import Handler, is_unit_source, undo_reason
from hale.apply.prepared import PreparedStep
from hale.model.change import Remedy, SymlinkChange


class SymlinkHandler(Handler[SymlinkChange]):
    """Makes, changes or removes a symbolic link."""

    common = "symlink.sh"
    backup = "symlink.backup.sh"
    apply = "symlink.apply.sh"

    def variables(self, change: SymlinkChange, prepared: PreparedStep) -> dict[str, str]:
        """See symlink.sh."""
        before, after = (
            "nothing" if target is None else f"link {target}"
            for target in (change.precondition, change.target)
        )
        folders = " ".join(map(shlex.quote, change.folders))
        return {"path": change.path, "before": before, "after": after, "folders": folders}

    def inverse(
        self, change: SymlinkChange, prepared: PreparedStep, output: Sequence[str]
    ) -> tuple[Remedy, ...]:
        """The link that was there, or none."""
        folders = tuple(prepared.noted("folder"))
        before, after = change.precondition, change.target
        reason = undo_reason(change)
        return (SymlinkChange(change.path, before, after, reason, change.effects, folders),)

    def wants_daemon_reload(self, change: SymlinkChange) -> bool:
        """Links below /etc/systemd mask and enable units."""
        return is_unit_source(change.path)


HANDLERS = {SymlinkChange: SymlinkHandler()}
