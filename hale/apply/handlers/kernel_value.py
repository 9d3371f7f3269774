"""Kernel values below /proc/sys and /sys."""

from collections.abc import Sequence

import msgspec

from hale.apply.handlers.handler import Handler, undo_reason
from hale.apply.prepared import PreparedStep
from hale.model.change import KernelValueChange, Remedy


class KernelValueHandler(Handler[KernelValueChange]):
    """Writes a value, and puts back those that the kernel changes with it."""

    backup = "kernel_value.backup.sh"
    apply = "kernel_value.apply.sh"

    def variables(self, change: KernelValueChange, prepared: PreparedStep) -> dict[str, str]:
        """See kernel_value.apply.sh."""
        return {
            "path": change.path,
            "before": change.precondition,
            "after": change.value,
            "preserve": " ".join(p for p in change.preserve if p != change.path),
            "cascades_to": " ".join(change.cascades_to),
            "write_after": " ".join(word for pair in change.write_after for word in pair),
        }

    def inverse(
        self, change: KernelValueChange, prepared: PreparedStep, output: Sequence[str]
    ) -> tuple[Remedy, ...]:
        """The old value, then the values that the write overrode as a side effect."""
        overridden = (note.partition(" ") for note in prepared.noted("was"))
        return (
            msgspec.structs.replace(
                change,
                precondition=change.value,
                value=change.precondition,
                reason=undo_reason(change),
                write_after=tuple((path, value) for path, _, value in overridden),
            ),
        )


HANDLERS = {KernelValueChange: KernelValueHandler()}
