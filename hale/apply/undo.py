"""The undo plan: a run's journal turned into a plan of ordinary changes.

The journal has the changes that undo each applied step; here each becomes a step of its own, whose
precondition is the content or the value that the run left. What was changed since is refused,
unless forced.
"""

import time

import msgspec

from hale.apply.journal import RunHistory
from hale.apply.prepared import StepFailed
from hale.files import provenance
from hale.model import results
from hale.model.change import ManualStep, RestoreFile
from hale.plan import plan
from hale.plan.plan import HostPlan, Plan, Step
from hale.ssh import Session, SessionPool
from hale.ssh.remote.files import FileUnreadable, read_files


def build_undo_plan(
    history: RunHistory, hosts: list[str], profile: str, machine_ids: dict[str, str]
) -> Plan:
    """The plan that undoes the run on these hosts. The run must have been recovered."""
    made = []
    for host in hosts:
        steps = [
            Step(history.begun[key].step.requirements, change)
            for key, done in sorted(history.done.items(), reverse=True)
            if key[0] == host
            for change in done.undo
            if not isinstance(change, ManualStep)
        ]
        steps.sort(key=lambda s: s.change.undo_stage)
        made.append(HostPlan(host, machine_ids.get(host, ""), tuple(steps), (), ()))
    header = history.header
    return plan.with_checksum(
        Plan(
            schema=plan.SCHEMA,
            author=provenance.operator(),
            created=results.utc(time.time()),
            inventory=header.inventory,
            inventory_sha256="",
            standard_sha256="",
            profile=profile,
            hosts=tuple(made),
        )
    )


def with_diffs(
    made: Plan, history: RunHistory, sessions: SessionPool, *, force: bool
) -> tuple[Plan, list[str]]:
    """The plan with diffs of what it restores, and descriptions of what was changed since the run.

    force: a file that was changed since is restored all the same; like any other, its content is
    backed up first. Raises StepFailed, and what Session.run raises.
    """
    changed_since: list[str] = []
    hosts = []
    for host in made.hosts:
        restores = [s.change for s in host.steps if isinstance(s.change, RestoreFile)]
        there = _read_files(
            sessions.session(host.host),
            [p for c in restores for p in (c.path, c.backup_path, _staged(c))],
        )
        steps = []
        for step in host.steps:
            change = step.change
            if isinstance(change, RestoreFile):
                present = there[change.path]
                original = there[change.backup_path] if change.sha256 else b""
                found = plan.sha256(present)
                if found not in (change.precondition, change.sha256):
                    changes = plan.unified_diff(change.path, there[_staged(change)], present or b"")
                    changed_since.append(
                        f"{host.host}: {change.path} was changed since:\n{changes}"
                    )
                    if force:
                        change = msgspec.structs.replace(change, precondition=found)
                diff = plan.unified_diff(change.path, present, original or b"")
                step = msgspec.structs.replace(step, change=change, diff=diff)
            steps.append(step)
        hosts.append(msgspec.structs.replace(host, steps=tuple(steps)))
    return plan.with_checksum(msgspec.structs.replace(made, hosts=tuple(hosts))), changed_since


def noted(session: Session, file: str) -> str:
    """The text of a file of a run's backups; empty if there is none. Raises StepFailed."""
    return (_read_files(session, [file])[file] or b"").decode(errors="surrogateescape")


def _staged(change: RestoreFile) -> str:
    """The backup's copy of the content that the run wrote."""
    return f"{change.backup_path.rpartition('/')[0]}/new"


def _read_files(session: Session, paths: list[str]) -> dict[str, bytes | None]:
    """The bytes of these files on the host, None for no file. Raises StepFailed."""
    found: dict[str, bytes | None] = {}
    try:
        contents = read_files(session, paths)
    except FileUnreadable as error:
        raise StepFailed(str(error)) from None
    for path, content in contents.items():
        if isinstance(content, FileUnreadable):
            raise StepFailed(str(content))
        found[path] = content
    return found
