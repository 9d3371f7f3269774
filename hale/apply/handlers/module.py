"""Kernel modules."""

from collections.abc import Sequence

import msgspec

from hale.apply.handlers.handler import Handler, undo_reason
from hale.apply.prepared import PreparedStep
from hale.model.change import ModuleChange, Remedy


class ModuleHandler(Handler[ModuleChange]):
    """Loads a module, or unloads it."""

    backup = "module.backup.sh"
    apply = "module.apply.sh"

    def variables(self, change: ModuleChange, prepared: PreparedStep) -> dict[str, str]:
        """See module.apply.sh."""
        return {"name": change.name, "load": "1" if change.load else "0"}

    def inverse(
        self, change: ModuleChange, prepared: PreparedStep, output: Sequence[str]
    ) -> tuple[Remedy, ...]:
        """Unloads what was loaded, and the other way round."""
        reason = undo_reason(change)
        return (msgspec.structs.replace(change, reason=reason, load=not change.load),)


HANDLERS = {ModuleChange: ModuleHandler()}
