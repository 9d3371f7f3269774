"""`invoke federation`: a cluster joins, or leaves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from hale.cli import options
from hale.model.errors import UserError
from hale.paths import ROOT

if TYPE_CHECKING:
    from hale.ssh.inventory_targets import LoginOptions


@task(
    klass=options.Command,
    interrupted="interrupted; run the command again to resume",
    positional=["action"],
    help={
        "action": "join or leave",
        "inventory": "the inventory of the cluster that joins or leaves",
        "host-inventory": "that of the cluster with Karmada (default: inventory.ini)",
        "name": "the member's name (default: cluster_name of its inventory)",
        "plan": "show what would be done, or why it is refused; change nothing",
        "yes": options.YES,
        "force-unlock": options.FORCE_UNLOCK,
        "reports": options.REPORTS,
        "approved-by": options.APPROVED_BY,
        "ticket": options.TICKET,
        "window": options.WINDOW,
    },
)
def federation(
    _: Context,
    action: str,
    inventory: str = "",
    host_inventory: str = "",
    name: str = "",
    plan: bool = False,
    yes: bool = False,
    force_unlock: bool = False,
    reports: str = "",
    approved_by: str = "",
    ticket: str = "",
    window: str = "",
    *,
    login: LoginOptions,
) -> None:
    """Make a cluster a member of the federation, or take it out again."""
    from hale.install.federation import membership

    if action not in ("join", "leave"):
        raise UserError(f"use join or leave, not {action!r}.")
    if not inventory:
        raise UserError("name the cluster that joins or leaves: --inventory FILE.")
    chosen = membership.FederationOptions(
        Path(host_inventory) if host_inventory else ROOT / "inventory.ini",
        Path(inventory),
        name,
        plan=plan,
        yes=yes,
        force_unlock=force_unlock,
        login=login,
        reports=options.reports(reports),
        approved_by=approved_by,
        ticket=ticket,
        window=window,
    )
    if action == "join":
        membership.join(chosen)
    else:
        membership.leave(chosen)
