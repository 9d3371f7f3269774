"""The change page of a plan, for its approval: fix.html beside fix.json."""

import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hale.model import results
from hale.model.change import FileEdit, KernelValueChange, RestoreFile
from hale.model.results import Results
from hale.plan import approval
from hale.plan.plan import HostPlan, Plan, Step
from hale.report.change import page
from hale.report.change.comparison import forecast
from hale.report.change.model import (
    Approval,
    ChangeAction,
    ChangeReport,
    ChangeState,
    HostChange,
    ManualTask,
    Operation,
    Outcome,
    Rehearsal,
)


def save_page(
    made: Plan,
    saved: Path,
    before: Results,
    order: Sequence[str],
    rehearsal: Rehearsal | None = None,
) -> Path:
    """Write the page beside the plan's file; returns its path. Raises UserError.

    before: the audit that the plan was made from. order: the batches, as gates.render_batches.
    """
    path = page.beside(saved)
    planned = planned_change(made, saved, before, order)
    page.save(replace(planned, rehearsal=rehearsal), path)
    return path


def planned_change(
    made: Plan, saved: Path, before: Results, order: Sequence[str] = ()
) -> ChangeReport:
    """What the plan would change."""
    targets = {(h.host, r) for h in made.hosts for s in h.steps for r in s.requirements}
    return ChangeReport(
        kind=Operation.FIX,
        state=ChangeState.PLANNED,
        made_at=results.utc(time.time()),
        inventory=made.inventory,
        approval=replace(plan_approval(made), sign=approval.command(saved)),
        profile=made.profile,
        hosts=tuple(
            host_change(h, [StepEnding(Outcome.PLANNED)] * len(h.steps)) for h in made.hosts
        ),
        comparison=forecast(before, targets),
        apply=f"invoke fix --apply --plan {shlex.quote(str(saved))} --sha256 {made.sha256}",
        order=tuple(order),
    )


def plan_approval(made: Plan) -> Approval:
    """The plan's part of the approval."""
    return Approval(plan_sha256=made.sha256, author=made.author, planned_at=made.created)


class StepEnding(NamedTuple):
    """What became of a step: why, if it was not done, and how many seconds it took."""

    outcome: Outcome
    detail: str = ""
    seconds: float | None = None


def host_change(
    host: HostPlan, endings: Iterable[StepEnding], state: str = "", detail: str = ""
) -> HostChange:
    """What the plan does on a host. endings: of its steps, in order."""
    return HostChange(
        host.host,
        tuple(step_action(s, e) for s, e in zip(host.steps, endings, strict=True)),
        tuple(ManualTask(f"{m.requirement} {m.aspect}", m.instructions) for m in host.manual_steps),
        tuple(f"{row.requirement} {row.aspect}" for row in host.unknown),
        state,
        detail,
    )


def step_action(step: Step, ending: StepEnding) -> ChangeAction:
    """A step, and what became of it."""
    change = step.change
    title = change.describe()
    if isinstance(change, KernelValueChange):
        title += "".join(f", then {path}: {value}" for path, value in change.write_after)
    return ChangeAction(
        title=title,
        outcome=ending.outcome,
        requirements=step.requirements,
        reason=change.reason,
        effects=change.effects,
        diff=step.diff if isinstance(change, FileEdit | RestoreFile) else "",
        detail=ending.detail,
        seconds=ending.seconds,
    )
