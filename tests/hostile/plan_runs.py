"""Plans that are applied on this machine, by Hale's own runner and in folders of the test's."""

from collections.abc import Iterable
from pathlib import Path
from typing import cast

from hale.apply import gates
from hale.apply.journal import Journal
from hale.apply.reporter import Reporter
from hale.apply.run_journals import journal_header, new_owner
from hale.apply.runner import PlanRunner
from hale.model.change import AppendLine, FileEdit
from hale.plan import fresh, plan
from hale.plan.plan import HostPlan, Plan, Step
from hale.ssh import SessionPool
from tests.hostile.local_host import LocalHost

NAME = "h"  # of the host, in its plan


class Pool:
    """The sessions of a run on one host."""

    def __init__(self, host: LocalHost) -> None:
        self._host = host

    def session(self, name: str) -> object:
        return self._host.session


def pool_of(host: LocalHost) -> SessionPool:
    return cast("SessionPool", Pool(host))


def appended(path: Path, line: str, before: bytes = b"") -> Step:
    """A step that appends the line to the file with that content."""
    diff = plan.unified_diff(str(path), before, before + f"{line}\n".encode())
    change = FileEdit(str(path), (AppendLine(line),), "why")
    return Step(("X",), change, plan.sha256(before), diff)


def planned(*steps: Step) -> Plan:
    """A plan with these steps on the host."""
    hosts = (HostPlan(NAME, "m", steps, (), ()),)
    return plan.with_checksum(Plan(plan.SCHEMA, "me", "t", "i", "", "", "baseline", hosts))


def plan_runner(
    host: LocalHost,
    folder: Path,
    made: Plan,
    *,
    unplanned: Iterable[int] = (),
    report: Reporter = lambda host, text: None,
) -> tuple[PlanRunner, Journal]:
    """The runner of a plan, and its journal in the folder.

    unplanned: the numbers of steps that a plan made now does not have.
    """
    owner = new_owner("2026-01-01T000000Z-fix")
    journal = Journal(folder, journal_header(owner, "fix", folder, approved_by="", ticket=""))
    runner = PlanRunner(
        plan=made,
        sessions=pool_of(host),
        folder=folder,
        journal=journal,
        owner=owner,
        membership={NAME: gates.NodeStatus(False, "")},
        group={NAME: "workers"},
        health_problems=lambda hosts: [],
        report=report,
        unplanned={(NAME, number): fresh.WHY for number in unplanned},
    )
    return runner, journal
