"""The options of `invoke drill`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hale.drill.fault import PowerSwitch
from hale.ssh.inventory_targets import LoginOptions


@dataclass(frozen=True)
class DrillOptions:
    """The options of the command line.

    faults: kinds of fault, comma-separated, or all. power: switches this inventory's hosts off
    and on; None if nothing can. member: the inventory of the federation's member to disconnect.
    """

    faults: str
    reports: Path
    inventory: Path
    host: str = ""
    allow_production: bool = False
    yes: bool = False
    force_unlock: bool = False
    power: PowerSwitch | None = None
    member: Path | None = None
    command: Sequence[str] = ()
    login: LoginOptions = field(default_factory=LoginOptions)
