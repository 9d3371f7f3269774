"""Swap devices: turned off and on."""

from collections.abc import Sequence

from hale.apply.handlers.handler import Handler, undo_reason
from hale.apply.prepared import PreparedStep
from hale.model.change import Remedy, SwapOff, SwapOn


class SwapOffHandler(Handler[SwapOff]):
    """Turns a device off, if memory has room for what is in it."""

    common = "swap.sh"
    backup = "swap_off.backup.sh"
    apply = "swap_off.apply.sh"
    timeout = 3600.0  # the device is read back page by page

    def variables(self, change: SwapOff, prepared: PreparedStep) -> dict[str, str]:
        """See swap.sh."""
        return {"device": change.device, "margin": str(change.margin_kib)}

    def inverse(
        self, change: SwapOff, prepared: PreparedStep, output: Sequence[str]
    ) -> tuple[Remedy, ...]:
        """The device, with its priority."""
        priority = int(next(prepared.noted("priority"), "-1"))
        return (SwapOn(change.device, priority, undo_reason(change), change.effects),)

    def needs_fresh_units(self, change: SwapOff) -> bool:
        """systemd turns a device of its units on again."""
        return True


class SwapOnHandler(Handler[SwapOn]):
    """Turns a device on."""

    common = "swap.sh"
    backup = "swap_on.backup.sh"
    apply = "swap_on.apply.sh"

    def variables(self, change: SwapOn, prepared: PreparedStep) -> dict[str, str]:
        """See swap.sh."""
        return {"device": change.device, "priority": str(change.priority)}

    def inverse(
        self, change: SwapOn, prepared: PreparedStep, output: Sequence[str]
    ) -> tuple[Remedy, ...]:
        """The device off again."""
        return (SwapOff(change.device, 0, undo_reason(change), effects=change.effects),)

    def needs_fresh_units(self, change: SwapOn) -> bool:
        """As SwapOffHandler."""
        return True


HANDLERS = {SwapOff: SwapOffHandler(), SwapOn: SwapOnHandler()}
