"""Who can switch a lab's hosts off and on, for those who know only its inventory."""

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
        """Cut the host's power. Raises NoPower where that does not work."""
        try:
            self._lab[host].power_off()
        except LabError as error:
            raise PowerError(str(error)) from None

    def on(self, host: str) -> None:
        """Switch it on, and return when it lets people log in; on already is fine.

        Raises NoPower where it does not get there.
        """
        try:
            self._lab[host].power_on()
        except LabError as error:
            raise PowerError(str(error)) from None


def of_inventory(path: Path) -> LabPower | None:
    """The power of the lab that uses this inventory; None where no lab of this machine does.

    A lab's own inventory tells it, and so does one that reaches its hosts by the lab's
    ssh_config.
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
