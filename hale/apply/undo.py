"""The way back: a run's journal turned into a plan, made of changes like any other.

Each step that was done said what takes it back; here that becomes a step of its own, with a
precondition: the bytes or the value that the run left. What somebody has changed since is
refused, unless forced.
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
from hale.ssh import session_for
from hale.ssh.remote.files import FileUnreadable, read_files


def build_undo_plan(
    story: RunHistory, hosts: list[str], profile: str, machine_ids: dict[str, str]
) -> Plan:
    """The plan that takes the run back on these hosts. The run must be settled."""
    made = []
    for host in hosts:
        steps = [
            Step(story.begun[key].step.requirements, change)
            for key, done in sorted(story.done.items(), reverse=True)
            if key[0] == host
            for change in done.undo
            if not isinstance(change, ManualStep)
        ]
        steps.sort(key=lambda s: s.change.undo_stage)
        made.append(HostPlan(host, machine_ids.get(host, ""), tuple(steps), (), ()))
    header = story.header
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


def with_diffs(made: Plan, story: RunHistory, *, force: bool) -> tuple[Plan, list[str]]:
    """The plan with diffs of what it puts back, and what somebody has changed since.

    force: a file that was changed since is put back all the same; its bytes are kept as those
    of every step. Raises Failed, and what Session.run raises.
    """
    moved: list[str] = []
    hosts = []
    for host in made.hosts:
        restores = [s.change for s in host.steps if isinstance(s.change, RestoreFile)]
        there = _read_files(
            host.host, [p for c in restores for p in (c.path, c.backup_path, _staged(c))]
        )
        steps = []
        for step in host.steps:
            change = step.change
            if isinstance(change, RestoreFile):
                present = there[change.path]
                original = there[change.backup_path] if change.sha256 else b""
                found = plan.sha256(present)
                if found not in (change.precondition, change.sha256):
                    told = plan.unified_diff(change.path, there[_staged(change)], present or b"")
                    moved.append(f"{host.host}: {change.path} was changed since:\n{told}")
                    if force:
                        change = msgspec.structs.replace(change, precondition=found)
                diff = plan.unified_diff(change.path, present, original or b"")
                step = msgspec.structs.replace(step, change=change, diff=diff)
            steps.append(step)
        hosts.append(msgspec.structs.replace(host, steps=tuple(steps)))
    return plan.with_checksum(msgspec.structs.replace(made, hosts=tuple(hosts))), moved


def _staged(change: RestoreFile) -> str:
    """Where the run kept the bytes that it wrote."""
    return f"{change.backup_path.rpartition('/')[0]}/new"


def _read_files(host: str, paths: list[str]) -> dict[str, bytes | None]:
    """The bytes of these files on the host, None for no file. Raises Failed."""
    found: dict[str, bytes | None] = {}
    try:
        contents = read_files(session_for(host), paths)
    except FileUnreadable as error:
        raise StepFailed(str(error)) from None
    for path, content in contents.items():
        if isinstance(content, FileUnreadable):
            raise StepFailed(str(content))
        found[path] = content
    return found
