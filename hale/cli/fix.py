"""`invoke fix | undo`: remediate hosts, and take a run back."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from hale.cli import options
from hale.model.errors import UserError

if TYPE_CHECKING:
    from hale.apply.options import ApplyOptions
    from hale.ssh.inventory_targets import LoginOptions

SEE_RUNS = "interrupted; `invoke runs` lists what was done"
TRY = (
    "with --apply: each host undoes the run by itself after this time (10m; 1m to 24h) unless "
    "`invoke confirm RUN` comes before"
)


def _apply_options(change: options.ChangeArguments, login: LoginOptions) -> ApplyOptions:
    """What a fix and an undo have in common. Raises UserError."""
    from hale.apply.gates import BatchSize
    from hale.apply.options import ApplyOptions

    return ApplyOptions(
        options.reports(change.reports),
        yes=change.yes,
        force_unlock=change.force_unlock,
        max_fail=change.max_fail,
        batch=BatchSize.parse(change.batch),
        drain=not change.no_drain,
        drain_timeout=change.drain_timeout,
        approved_by=change.approved_by,
        ticket=change.ticket,
        window=change.window,
        login=login,
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
        "plan": "with --apply: apply exactly this saved plan; a signature in FILE.sig is verified",
        "sha256": "with --plan: refuse a plan with another SHA-256 than this one, of the approval",
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
    try_: str | None = None,
    *,
    change: options.ChangeArguments,
    login: LoginOptions,
) -> None:
    """Show a remediation plan: diffs, impact, manual steps. --apply carries it out."""
    options.require_values(out=out, plan=plan)
    of_apply = change.yes or change.ticket or change.approved_by or change.window
    if (plan or of_apply or change.force_unlock or try_ is not None) and not apply:
        raise UserError(
            "--plan, --yes, --ticket, --approved-by, --window, --force-unlock and --try require "
            "--apply."
        )
    if (apply and out) or (plan and only):
        raise UserError(
            "--out only saves a plan, without --apply; a saved plan has its own requirements, so "
            "--plan excludes --only."
        )
    if sha256 is not None and not (plan and re.fullmatch("[0-9a-fA-F]{64}", sha256)):
        raise UserError("--sha256 requires --plan, and the 64 hexadecimal digits of its SHA-256.")
    from hale.apply import trial, workflow
    from hale.plan import approval, planner

    wanted = planner.parse_only(only)
    chosen = replace(
        _apply_options(change, login),
        inventory=Path(inventory) if inventory else None,
        hosts=hosts,
        profile=profile,
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
        f"    invoke fix --apply --plan {shlex.quote(out)} --sha256 {made.plan.sha256}\n"
        "Before that, its approver can sign it with an ssh key:\n"
        f"    {approval.command(Path(out))}"
    )


@task(
    klass=options.Command,
    interrupted=SEE_RUNS,
    help={
        "run": "the run to undo, as listed by `invoke runs`",
        "hosts": "only these hosts (default: all that the run changed)",
        "force": "also restore files that were changed after the run",
    },
)
def undo(
    _: Context,
    run: str,
    hosts: str = "all",
    force: bool = False,
    *,
    change: options.ChangeArguments,
    login: LoginOptions,
) -> None:
    """Undo a run: restore content, modes, owners, units and kernel values, newest first."""
    from hale.apply import undo_workflow

    chosen = replace(_apply_options(change, login), hosts=hosts, force=force)
    complete = undo_workflow.undo_run(chosen, run)
    raise Exit(code=0 if complete else 1)
