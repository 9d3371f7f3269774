"""The commands of invoke; `invoke --list` lists them. Each is in hale/cli/ or lab/."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

# invoke lets no compiled Python be kept: each command would compile all that it imports again,
# which takes longer than an audit. From here on it is as Python was told.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)

from invoke.collection import Collection

from hale.cli.approve_command import approve
from hale.cli.confirm import confirm
from hale.cli.drill import drill_command
from hale.cli.federation import federation
from hale.cli.fix import fix, undo
from hale.cli.install import install, kubeconfig, reset
from hale.cli.record_commands import accept, check, explain, judge, report, runs
from hale.cli.waiver_commands import waive, waivers
from lab.demo import demo
from lab.tasks import lab

if TYPE_CHECKING:
    from lab.power import LabPower


def _power(inventory: Path) -> "LabPower | None":
    from lab.power import of_inventory

    return of_inventory(inventory)


namespace = Collection(
    demo,
    explain,
    fix,
    approve,
    undo,
    confirm,
    runs,
    check,
    judge,
    report,
    accept,
    waive,
    waivers,
    install,
    reset,
    kubeconfig,
    federation,
    drill_command(_power),
    lab,
)
