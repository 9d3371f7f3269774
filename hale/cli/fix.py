"""`invoke fix | undo`: remediate hosts, and take a run back."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from hale.cli import options
from hale.model.errors import UserError

if TYPE_CHECKING:
    from hale.ssh.inventory_targets import LoginOptions

SEE_RUNS = "interrupted; `invoke runs` lists what was done"
MAX_FAIL = "stop a group after this many of its hosts have failed (default: 1)"
# How workers of a living cluster are changed.
_WORKERS = {
    "batch": "workers of a cluster that are changed at the same time after the first one, a number "
    "or a percentage, as Ansible's serial (default: 10%)",
    "no-drain": options.NO_DRAIN,
    "drain-timeout": options.DRAIN_TIMEOUT,
}
TRY = (
    "with --apply: each host undoes the run by itself after this time (10m; 1m to 24h) unless "
    "`invoke confirm RUN` comes before"
)


@task(
    klass=options.Command,
    interrupted=SEE_RUNS,
    help={
        "hosts": options.HOSTS,
        "inventory": options.INVENTORY,
        "only": "comma-separated requirement IDs (default: all that failed)",
        "profile": "baseline (default) or extended",
        "out": "save the plan to this file, with a SHA-256 over its content",
        "apply": "make the changes, and audit again",
        "plan": "with --apply: apply exactly this saved plan",
        "sha256": "with --plan: refuse a plan with another SHA-256 than this one, of the approval",
        "yes": options.YES,
        "approved-by": options.APPROVED_BY,
        "ticket": options.TICKET,
        "window": options.WINDOW,
        "max-fail": MAX_FAIL,
        **_WORKERS,
        "force-unlock": options.FORCE_UNLOCK,
        "reports": options.REPORTS,
        "try_": TRY,
    },
)
def fix(
    _: Context,
    hosts: str = "all",
    inventory: str = "",
    only: str = "",
    profile: str = "baseline",
    out: str | None = None,
    apply: bool = False,
    plan: str | None = None,
    sha256: str | None = None,
    yes: bool = False,
    approved_by: str = "",
    ticket: str = "",
    window: str = "",
    max_fail: int = 1,
    batch: str = "10%",
    no_drain: bool = False,
    drain_timeout: int = 300,
    force_unlock: bool = False,
    reports: str = "",
    try_: str | None = None,
    *,
    login: LoginOptions,
) -> None:
    """Show a remediation plan: diffs, impact, manual steps. --apply carries it out."""
    options.require_values(out=out, plan=plan)
    path = Path(inventory) if inventory else None
    folder = options.reports(reports)
    if (
        plan or yes or ticket or approved_by or window or force_unlock or try_ is not None
    ) and not apply:
        raise UserError(
            "--plan, --yes, --ticket, --approved-by, --window, --force-unlock and --try require "
            "--apply."
        )
    if (apply and out) or (plan and (only or inventory)):
        raise UserError(
            "--out only saves a plan, without --apply; a saved plan has its own inventory and "
            "requirements, so --plan excludes --inventory and --only."
        )
    if sha256 is not None and not (plan and re.fullmatch("[0-9a-fA-F]{64}", sha256)):
        raise UserError("--sha256 requires --plan, and the 64 hexadecimal digits of its SHA-256.")
    from hale.apply import trial, workflow
    from hale.apply.gates import BatchSize
    from hale.plan import planner

    wanted = planner.parse_only(only)
    chosen = workflow.ApplyOptions(
        folder,
        path,
        hosts,
        profile,
        yes=yes,
        force_unlock=force_unlock,
        max_fail=max_fail,
        batch=BatchSize.parse(batch),
        drain=not no_drain,
        drain_timeout=drain_timeout,
        approved_by=approved_by,
        ticket=ticket,
        window=window,
        login=login,
        plan_sha256=sha256 or "",
        trial_seconds=trial.parse_window(try_) if try_ is not None else 0,
    )
    if apply:
        complete = workflow.apply_fix(chosen, wanted, Path(plan) if plan else None)
        raise Exit(code=0 if complete else 1)
    made = workflow.plan_fix(chosen, wanted)
    if not out:
        print("\nNothing was changed. --apply applies the plan, --out FILE saves it.")
        return
    saved_page = made.save(Path(out))
    print(
        f"\nSaved to {out}, with its page for the approval: {saved_page}\n"
        "This applies it, and refuses any other plan:\n"
        f"    invoke fix --apply --plan {shlex.quote(out)} --sha256 {made.plan.sha256}"
    )


@task(
    klass=options.Command,
    interrupted=SEE_RUNS,
    help={
        "run": "the run to undo, as listed by `invoke runs`",
        "hosts": "only these hosts (default: all that the run changed)",
        "force": "also restore files that were changed after the run",
        "yes": options.YES,
        "approved-by": options.APPROVED_BY,
        "ticket": options.TICKET,
        "window": options.WINDOW,
        "max-fail": MAX_FAIL,
        **_WORKERS,
        "force-unlock": options.FORCE_UNLOCK,
        "reports": options.REPORTS,
    },
)
def undo(
    _: Context,
    run: str,
    hosts: str = "all",
    force: bool = False,
    yes: bool = False,
    approved_by: str = "",
    ticket: str = "",
    window: str = "",
    max_fail: int = 1,
    batch: str = "10%",
    no_drain: bool = False,
    drain_timeout: int = 300,
    force_unlock: bool = False,
    reports: str = "",
    *,
    login: LoginOptions,
) -> None:
    """Undo a run: restore content, modes, owners, units and kernel values, newest first."""
    from hale.apply import workflow
    from hale.apply.gates import BatchSize

    chosen = workflow.ApplyOptions(
        options.reports(reports),
        hosts=hosts,
        yes=yes,
        force_unlock=force_unlock,
        max_fail=max_fail,
        batch=BatchSize.parse(batch),
        drain=not no_drain,
        drain_timeout=drain_timeout,
        approved_by=approved_by,
        ticket=ticket,
        window=window,
        force=force,
        login=login,
    )
    complete = workflow.undo_run(chosen, run)
    raise Exit(code=0 if complete else 1)
