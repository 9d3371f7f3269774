"""The power switch of a lab's hosts, found by the lab's inventory."""

from __future__ import annotations

from pathlib import Path

from hale.drill.fault import PowerError
from lab.errors import LabError
from lab.machine import Lab


class LabPower:
    """The power of one lab's hosts."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def off(self, host: str) -> None:
        """Cut the host's power. Raises PowerError on failure."""
        try:
            self._lab[host].power_off()
        except LabError as error:
            raise PowerError(str(error)) from None

    def on(self, host: str) -> None:
        """Switch the host on, unless it is on, and wait until it accepts logins.

        Raises PowerError if it does not boot.
        """
        try:
            self._lab[host].power_on()
        except LabError as error:
            raise PowerError(str(error)) from None


def of_inventory(path: Path) -> LabPower | None:
    """The power switch of the lab with this inventory; None if no lab of this machine has it.

    It is the lab's own inventory, or one that uses the lab's ssh_config.
    """
    try:
        text = path.read_text(errors="replace")
        for name in Lab.existing():
            lab = Lab(name)
            if lab.is_up and (path.resolve() == lab.inventory or str(lab.ssh_config) in text):
                return LabPower(lab)
    except (OSError, LabError):
        pass
    return None
