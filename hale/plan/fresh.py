"""A plan of a file beside the plan that is made now, of the same requirements.

Only a step that both have is applied: what a step would do follows from the hosts, the baseline and
the remedies, never from a file alone.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from hale.model.change import Action, FileEdit
from hale.model.errors import UserError
from hale.plan.plan import HostPlan, Plan, Step
from hale.plan.scope import ScopeOf

# What tells a host's state, and nothing of what is done: the host compares it before it changes.
_STATE = {"reason": "", "precondition": "", "active": "", "enabled": "", "used_kib": 0}
WHY = "a plan that is made now does not have this step. Plan again"


def unplanned_steps(
    made: Plan, fresh: Mapping[str, HostPlan], scope_of: ScopeOf
) -> dict[tuple[str, int], str]:
    """Steps of a plan of a file, by host and number, that a plan made now does not have, and why.

    They are applied to no host; one whose host is as it wants already is none of them in effect.
    fresh: the plans of its hosts that are made now, of the requirements that its steps name. Raises
    UserError for a plan that was altered, or that other remedies made: it edits the same bytes in
    another way, shows another difference, or edits a file that no remedy edits.
    """
    found: dict[tuple[str, int], str] = {}
    for host in made.hosts:
        now = list(fresh[host.host].steps) if host.steps else []
        for number, step in enumerate(host.steps, 1):
            same = next((s for s in now if _same(step, s)), None)
            if same is not None:
                now.remove(same)  # a step is made once
            else:
                found[host.host, number] = WHY
            if isinstance(step.change, FileEdit):
                known = scope_of(host.host, step.requirements).has_file(step.change.path)
                for why in _altered(step, step.change, same, fresh[host.host].steps, known=known):
                    raise UserError(
                        f"step {number} of {host.host} ({', '.join(step.requirements)}) {why}: the "
                        "plan was altered or is of another version, or the host has changed. Plan "
                        "again."
                    )
    return found


def _same(step: Step, fresh: Step) -> bool:
    named = set(step.requirements) <= set(fresh.requirements)
    return named and _essence(step.change) == _essence(fresh.change)


def _essence(change: Action) -> Action:
    """The change without what tells the host's state."""
    fields = change.__struct_fields__
    return msgspec.structs.replace(change, **{k: v for k, v in _STATE.items() if k in fields})


def _altered(
    step: Step, change: FileEdit, same: Step | None, fresh: Sequence[Step], *, known: bool
) -> Iterator[str]:
    """Why the plan is not of these remedies, whatever has become of the file since."""
    others = [s for s in fresh if getattr(s.change, "path", "") == change.path]
    if not known and not others:
        yield f"would edit {change.path}, which no remedy edits"
    if same is None and any(s.sha256 == step.sha256 for s in others):
        yield f"would edit {change.path} in another way than a plan that is made now"
    if same is not None and same.sha256 == step.sha256 and same.diff != step.diff:
        yield f"shows a difference of {change.path} that is not what it would write"
