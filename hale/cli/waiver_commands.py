"""`invoke waive | waivers`: accept a failed requirement until a day, and list what is accepted."""

from __future__ import annotations

import sys
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from hale.cli import options
from hale.paths import ROOT


@task(
    klass=options.Command,
    positional=["requirement"],
    help={
        "requirement": "its id, such as LIM-NOFILE",
        "aspect": "runtime, persisted or inventory: which of its rows",
        "hosts": "the hosts, as in pytest --hosts; or cluster, for what is read from several",
        "accepts": "the value that is accepted, a shell pattern; or unknown",
        "run": "an audit in reports/, instead of --accepts: the value that it found",
        "owner": "who answers for it",
        "approver": "who approved it, and is not the owner",
        "reason": "why it cannot be as required",
        "compensation": "what is done instead",
        "ticket": "where that was decided",
        "expires": "the last day on which it holds, such as 2027-03-01",
        "inventory": options.INVENTORY,
        "reports": options.REPORTS,
    },
)
def waive(
    _: Context,
    requirement: str,
    aspect: str = "",
    hosts: str = "",
    owner: str = "",
    approver: str = "",
    reason: str = "",
    compensation: str = "",
    ticket: str = "",
    expires: str = "",
    accepts: str = "",
    run: str = "",
    inventory: str = "",
    reports: str = "",
) -> None:
    """Accept a failed requirement until a day: writes waivers.toml beside the inventory."""
    from hale.cli import run_folder
    from hale.cli import waivers as written

    print(
        written.waive(
            written.WaiveOptions(
                requirement,
                Path(inventory) if inventory else ROOT / "inventory.ini",
                hosts,
                aspect,
                owner,
                approver,
                reason,
                compensation,
                ticket,
                expires,
                accepts,
                run_folder.find_folder(run, options.reports(reports)) if run else None,
            )
        ),
        end="",
    )


@task(klass=options.Command, help={"inventory": options.INVENTORY})
def waivers(_: Context, inventory: str = "") -> None:
    """List the waivers beside the inventory, the first to expire first."""
    from rich.console import Console

    from hale.cli import waivers as written

    width = None if sys.stdout.isatty() else 1000
    written.print_waivers(
        Console(highlight=False, width=width),
        Path(inventory) if inventory else ROOT / "inventory.ini",
    )
