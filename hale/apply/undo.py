"""The way back: a run's journal turned into a plan, made of changes like any other.

Each step that was done said what takes it back; here that becomes a step of its own, with a
precondition: the bytes or the value that the run left. What somebody has changed since is
refused, unless forced.
"""

import time

import msgspec

from hale import plan, provenance, results
from hale.apply.journal import Story
from hale.apply.writer import Failed, read
from hale.change import ByHand, Restore
from hale.connection import session_for
from hale.plan import HostPlan, Plan, Step


def make(story: Story, hosts: list[str], profile: str, machine_ids: dict[str, str]) -> Plan:
    """The plan that takes the run back on these hosts. The run must be settled."""
    made = []
    for host in hosts:
        steps = [
            Step(story.begun[key].step.requirements, change)
            for key, done in sorted(story.done.items(), reverse=True)
            if key[0] == host
            for change in done.undo
            if not isinstance(change, ByHand)
        ]
        steps.sort(key=lambda s: plan.undo_order(s.change))
        made.append(HostPlan(host, machine_ids.get(host, ""), tuple(steps), (), ()))
    header = story.header
    return plan.sealed(
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


def shown(made: Plan, story: Story, *, force: bool) -> tuple[Plan, list[str]]:
    """The plan with diffs of what it puts back, and what somebody has changed since.

    force: a file that was changed since is put back all the same; its bytes are kept as those
    of every step. Raises Failed, and what Session.run raises.
    """
    moved: list[str] = []
    hosts = []
    for host in made.hosts:
        restores = [s.change for s in host.steps if isinstance(s.change, Restore)]
        there = _there(host.host, [p for c in restores for p in (c.path, c.kept, _staged(c))])
        steps = []
        for step in host.steps:
            change = step.change
            if isinstance(change, Restore):
                present = there[change.path]
                original = there[change.kept] if change.sha256 else b""
                found = plan.sha256(present)
                if found not in (change.expect, change.sha256):
                    told = plan.diff(change.path, there[_staged(change)], present or b"")
                    moved.append(f"{host.host}: {change.path} was changed since:\n{told}")
                    if force:
                        change = msgspec.structs.replace(change, expect=found)
                diff = plan.diff(change.path, present, original or b"")
                step = msgspec.structs.replace(step, change=change, diff=diff)
            steps.append(step)
        hosts.append(msgspec.structs.replace(host, steps=tuple(steps)))
    return plan.sealed(msgspec.structs.replace(made, hosts=tuple(hosts))), moved


def _staged(change: Restore) -> str:
    """Where the run kept the bytes that it wrote."""
    return f"{change.kept.rpartition('/')[0]}/new"


def _there(host: str, paths: list[str]) -> dict[str, bytes | None]:
    """The bytes of these files on the host, None for no file. Raises Failed."""
    found: dict[str, bytes | None] = {}
    for path, content in read(session_for(host), paths).items():
        if isinstance(content, Failed):
            raise content
        found[path] = content
    return found
