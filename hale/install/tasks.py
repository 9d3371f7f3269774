"""The cluster's commands: `invoke install | reset | kubeconfig`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from hale import typed
from hale.errors import HaleError
from hale.provenance import ROOT

_COMMON = {
    "inventory": typed.INVENTORY,
    "yes": typed.YES,
    "take-lock": typed.TAKE_LOCK,
    "reports": typed.REPORTS,
    "approved-by": typed.APPROVED_BY,
    "ticket": typed.TICKET,
}


@task(
    help={
        **_COMMON,
        "plan": "say of each phase whether it is done and what it would do; change nothing",
        "to": "up to this phase, and with it",
        "only": "this phase alone, also where it is done",
        "fix": "mend red host requirements first, as `invoke fix --apply` does",
        "despite": "requirements, by commas, that may be red all the same",
    }
)
def install(
    _: Context,
    inventory: str = "",
    plan: bool = False,
    to: str = "",
    only: str = "",
    fix: bool = False,
    despite: str = "",
    yes: bool = False,
    take_lock: bool = False,
    reports: str = "",
    approved_by: str = "",
    ticket: str = "",
) -> None:
    """Build the HA cluster with kubeadm, phase by phase; said again, it goes on where it was."""
    from hale import fix as planner
    from hale.install import command, planned, running

    with _plainly("install"):
        asked = running.Asked(
            typed.reports(reports),
            Path(inventory) if inventory else None,
            fix=fix,
            despite=tuple(planner.requirements(despite)) if despite else (),
            to=to,
            only=only,
            yes=yes,
            take_lock=take_lock,
            approved_by=approved_by,
            ticket=ticket,
        )
        if plan:
            planned.plan(asked)
        elif not command.install(asked):
            raise Exit(code=1)


@task(
    help={
        **_COMMON,
        "cluster-name": "the name of the cluster that goes (inventory: cluster_name)",
        "hosts": typed.HOSTS,
        "packages": "take the packages off too",
        "i-accept-losing-quorum": "reset so many masters that etcd may stand still",
    }
)
def reset(
    _: Context,
    inventory: str = "",
    cluster_name: str = "",
    hosts: str = "all",
    packages: bool = False,
    i_accept_losing_quorum: bool = False,
    yes: bool = False,
    take_lock: bool = False,
    reports: str = "",
    approved_by: str = "",
    ticket: str = "",
) -> None:
    """Take the cluster off the hosts; what the host requirements put there stays."""
    from hale.install import reset as off
    from hale.install import running

    with _plainly("reset"):
        asked = running.Asked(
            typed.reports(reports),
            Path(inventory) if inventory else None,
            yes=yes,
            take_lock=take_lock,
            approved_by=approved_by,
            ticket=ticket,
        )
        wanted = off.Reset(cluster_name, hosts, packages, i_accept_losing_quorum)
        if not off.reset(asked, wanted):
            raise Exit(code=1)


@task(
    help={
        "inventory": _COMMON["inventory"],
        "out": "the file to write, for you alone (default: kubeconfig-NAME)",
    }
)
def kubeconfig(_: Context, inventory: str = "", out: str = "") -> None:
    """Fetch the cluster's admin.conf to a file that only you can read; never printed."""
    from hale import inventory as inventories
    from hale.install import kubeconfig as fetched

    with _plainly("kubeconfig"):
        path = Path(inventory) if inventory else ROOT / "inventory.ini"
        name = inventories.load(path).cluster.name
        fetched.kubeconfig(path, Path(out or f"kubeconfig-{name}").absolute())


@contextmanager
def _plainly(what: str) -> Iterator[None]:
    """Errors as messages, and Ctrl-C as an end."""
    try:
        yield
    except HaleError as error:
        raise Exit(f"{what}: {error}", code=1) from None
    except KeyboardInterrupt:
        raise Exit("interrupted; say it again to go on", code=130) from None
