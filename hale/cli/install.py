"""The cluster's commands: `invoke install | reset | kubeconfig`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from hale.cli import options
from hale.model.errors import UserError
from hale.paths import ROOT

_COMMON = {
    "inventory": options.INVENTORY,
    "yes": options.YES,
    "take-lock": options.TAKE_LOCK,
    "reports": options.REPORTS,
    "approved-by": options.APPROVED_BY,
    "ticket": options.TICKET,
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
    from hale.install import plan_view, running, workflow
    from hale.plan import planner as planner

    with _plainly("install"):
        asked = running.InstallOptions(
            options.reports(reports),
            Path(inventory) if inventory else None,
            fix=fix,
            despite=tuple(planner.parse_only(despite)) if despite else (),
            to=to,
            only=only,
            yes=yes,
            take_lock=take_lock,
            approved_by=approved_by,
            ticket=ticket,
        )
        if plan:
            plan_view.print_plan(asked)
        elif not workflow.install_cluster(asked):
            raise Exit(code=1)


@task(
    help={
        **_COMMON,
        "cluster-name": "the name of the cluster that goes (inventory: cluster_name)",
        "hosts": options.HOSTS,
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
        asked = running.InstallOptions(
            options.reports(reports),
            Path(inventory) if inventory else None,
            yes=yes,
            take_lock=take_lock,
            approved_by=approved_by,
            ticket=ticket,
        )
        wanted = off.Reset(cluster_name, hosts, packages, i_accept_losing_quorum)
        if not off.reset_cluster(asked, wanted):
            raise Exit(code=1)


@task(
    help={
        "inventory": _COMMON["inventory"],
        "out": "the file to write, for you alone (default: kubeconfig-NAME)",
    }
)
def kubeconfig(_: Context, inventory: str = "", out: str = "") -> None:
    """Fetch the cluster's admin.conf to a file that only you can read; never printed."""
    from hale.install import kubeconfig as fetched
    from hale.inventory import ini as inventories

    with _plainly("kubeconfig"):
        path = Path(inventory) if inventory else ROOT / "inventory.ini"
        name = inventories.load_inventory(path).cluster.name
        fetched.kubeconfig(path, Path(out or f"kubeconfig-{name}").absolute())


@contextmanager
def _plainly(what: str) -> Iterator[None]:
    """Errors as messages, and Ctrl-C as an end."""
    try:
        yield
    except UserError as error:
        raise Exit(f"{what}: {error}", code=1) from None
    except KeyboardInterrupt:
        raise Exit("interrupted; say it again to go on", code=130) from None
