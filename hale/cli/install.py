"""The cluster's commands: `invoke install | reset | kubeconfig`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from hale.cli import options
from hale.model.errors import UserError
from hale.paths import ROOT

if TYPE_CHECKING:
    from hale.ssh.inventory_targets import LoginOptions

_RESUME = "interrupted; run the command again to resume"
_COMMON = {
    "inventory": options.INVENTORY,
    "yes": options.YES,
    "force-unlock": options.FORCE_UNLOCK,
    "reports": options.REPORTS,
    "approved-by": options.APPROVED_BY,
    "ticket": options.TICKET,
    "window": options.WINDOW,
}


@task(
    klass=options.Command,
    interrupted=_RESUME,
    help={
        **_COMMON,
        "plan": "show the status of each phase and what it would do; change nothing",
        "out": "with --plan: save the plan to this file, with a SHA-256 over its content",
        "apply": "carry out exactly this saved plan; a signature in FILE.sig is verified",
        "sha256": "with --apply: refuse a plan with another SHA-256 than this one, of the approval",
        "until": "up to and including this phase",
        "phase": "run this phase alone, even if it is done",
        "fix": "remediate failed host requirements first, as `invoke fix --apply` does",
        "ignore-preflight-errors": "comma-separated requirements that may fail",
        "no-drain": options.NO_DRAIN,
        "drain-timeout": options.DRAIN_TIMEOUT,
    },
)
def install(
    _: Context,
    inventory: str = "",
    plan: bool = False,
    out: str | None = None,
    apply: str | None = None,
    sha256: str | None = None,
    until: str | None = None,
    phase: str | None = None,
    fix: bool = False,
    ignore_preflight_errors: str = "",
    no_drain: bool = False,
    drain_timeout: int = 300,
    yes: bool = False,
    force_unlock: bool = False,
    reports: str = "",
    approved_by: str = "",
    ticket: str = "",
    window: str = "",
    *,
    login: LoginOptions,
) -> None:
    """Build the HA cluster with kubeadm, phase by phase. A second run resumes where it stopped."""
    from hale.install import options as install_options
    from hale.install import plan_view, workflow
    from hale.plan import planner as planner

    options.require_values(out=out, apply=apply, until=until, phase=phase)
    typed = plan or until or phase or fix or ignore_preflight_errors
    if (out and not plan) or (apply and typed):
        raise UserError(
            "--out requires --plan. A saved plan has its own phases and ignored requirements, so "
            "--apply excludes --plan, --until, --phase, --fix and --ignore-preflight-errors."
        )
    if sha256 is not None and not (apply and re.fullmatch("[0-9a-fA-F]{64}", sha256)):
        raise UserError("--sha256 requires --apply, and the 64 hexadecimal digits of its SHA-256.")
    run_options = install_options.InstallOptions(
        options.reports(reports),
        Path(inventory) if inventory else None,
        fix=fix,
        ignore_preflight_errors=tuple(planner.parse_only(ignore_preflight_errors))
        if ignore_preflight_errors
        else (),
        until=until or "",
        phase=phase or "",
        yes=yes,
        force_unlock=force_unlock,
        approved_by=approved_by,
        ticket=ticket,
        window=window,
        drain=not no_drain,
        drain_timeout=drain_timeout,
        login=login,
        out=Path(out) if out else None,
        apply=Path(apply) if apply else None,
        plan_sha256=sha256 or "",
    )
    if plan:
        plan_view.print_plan(run_options)
    elif not workflow.install_cluster(run_options):
        raise Exit(code=1)


@task(
    klass=options.Command,
    interrupted=_RESUME,
    help={
        **_COMMON,
        "cluster-name": "confirm the cluster by its name (inventory: cluster_name)",
        "hosts": options.HOSTS,
        "packages": "remove the packages that Hale installed too",
        "disable-eviction": "delete the pods of hosts that leave, also where a PodDisruptionBudget "
        "refuses their eviction, as kubectl drain's option",
        "gone": "a host that no longer exists: the cluster forgets it and its etcd member",
        "allow-quorum-loss": "reset even if etcd loses its quorum, or no other master answers",
    },
)
def reset(
    _: Context,
    inventory: str = "",
    cluster_name: str = "",
    hosts: str = "all",
    packages: bool = False,
    allow_quorum_loss: bool = False,
    disable_eviction: bool = False,
    gone: str = "",
    yes: bool = False,
    force_unlock: bool = False,
    reports: str = "",
    approved_by: str = "",
    ticket: str = "",
    window: str = "",
    *,
    login: LoginOptions,
) -> None:
    """Remove the cluster from the hosts; the settings of the host requirements stay."""
    from hale.install import options as install_options
    from hale.install import reset as off

    run_options = install_options.InstallOptions(
        options.reports(reports),
        Path(inventory) if inventory else None,
        yes=yes,
        force_unlock=force_unlock,
        approved_by=approved_by,
        ticket=ticket,
        window=window,
        login=login,
    )
    wanted = off.Reset(cluster_name, hosts, packages, allow_quorum_loss, disable_eviction, gone)
    if not off.reset_cluster(run_options, wanted):
        raise Exit(code=1)


@task(
    klass=options.Command,
    interrupted=_RESUME,
    help={
        "inventory": _COMMON["inventory"],
        "out": "the file to write, mode 0600 (default: kubeconfig-NAME)",
    },
)
def kubeconfig(_: Context, inventory: str = "", out: str = "", *, login: LoginOptions) -> None:
    """Fetch the cluster's admin.conf to a file that only you can read; it is never printed."""
    from hale.install import kubeconfig as fetched
    from hale.inventory import ini as inventories

    path = Path(inventory) if inventory else ROOT / "inventory.ini"
    name = inventories.load_inventory(path).cluster.name
    fetched.kubeconfig(path, Path(out or f"kubeconfig-{name}").absolute(), login)
