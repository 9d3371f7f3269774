"""`invoke drill`: a fault, its downtime, and the way back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task, task

from hale.cli import options
from hale.paths import ROOT

if TYPE_CHECKING:
    from hale.drill.fault import PowerSwitch
    from hale.ssh.inventory_targets import LoginOptions


def drill_command(power: Callable[[Path], PowerSwitch | None]) -> Task[Any]:
    """The command. power: what can cut the power of the hosts of an inventory; None: nothing."""

    @task(
        klass=options.Command,
        interrupted="interrupted; run `invoke drill --revert`",
        positional=["part"],
        without_positional="revert",
        help={
            "part": "which fault to inject: vip, apiserver, etcd, worker, master, ingress, "
            "dashboard, member, several separated by commas, or all (the first five)",
            "inventory": options.INVENTORY,
            "host": "the host to inject it on (default: the one with the largest effect)",
            "member-inventory": "for member: the inventory of the member to disconnect",
            "allow-production": "run on hosts that are not a lab; read docs/drills.md first",
            "yes": options.YES,
            "force-unlock": options.FORCE_UNLOCK,
            "reports": options.REPORTS,
            "revert": "inject nothing; revert the faults that an interrupted drill left behind",
        },
    )
    def drill(
        _: Context,
        part: str = "",
        inventory: str = "",
        host: str = "",
        member_inventory: str = "",
        allow_production: bool = False,
        yes: bool = False,
        force_unlock: bool = False,
        reports: str = "",
        revert: bool = False,
        *,
        login: LoginOptions,
    ) -> None:
        """Inject a fault into the cluster, measure the downtime, and revert the fault."""
        from hale.drill import workflow
        from hale.drill.options import DrillOptions

        if part == "restore":
            options.warn_renamed("drill restore", "drill --revert")
            revert = True
        path = Path(inventory) if inventory else ROOT / "inventory.ini"
        chosen = DrillOptions(
            faults=part,
            reports=options.reports(reports),
            inventory=path,
            host=host,
            allow_production=allow_production,
            yes=yes,
            force_unlock=force_unlock,
            power=power(path),
            member=Path(member_inventory) if member_inventory else None,
            command=[Path(sys.argv[0]).name, *sys.argv[1:]],
            login=login,
        )
        complete = workflow.revert_only(chosen) if revert else workflow.run_drills(chosen)
        raise Exit(code=0 if complete else 1)

    command: Task[Any] = drill
    return command
