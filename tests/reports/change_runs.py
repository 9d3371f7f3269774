"""Folders of runs as `hale.apply` writes them: plan, journal, two audits of the recorded lab."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from hale.apply import journal
from hale.apply.journal import (
    Entry,
    HostFinished,
    HostState,
    Journal,
    RunApproval,
    RunFinished,
    RunHeader,
    RunState,
    StepDone,
    StepSkipped,
    StepStarted,
    StepState,
)
from hale.audit import results_file
from hale.model.change import (
    Action,
    AppendLine,
    FileEdit,
    Impact,
    KernelValueChange,
    ModuleChange,
    ReplaceLine,
    UnitAction,
    UnitChange,
)
from hale.model.results import Result, Results, RowKey
from hale.model.verdict import Verdict
from hale.plan import plan
from hale.plan.plan import HostPlan, ManualNote, Plan, Step
from hale.report.change.model import PlanSource

ONE, TWO, THREE = "k8s-master-03", "k8s-node-01", "k8s-node-02"
FORWARD = "SYS-IP-FORWARD"
_OLD = b"net.ipv4.ip_forward = 0\npassword = hunter2\n"
_NEW = b"# commented by Hale: net.ipv4.ip_forward = 0\npassword = hunter2\n"


def at(second: int) -> str:
    """A time of the run."""
    return f"2026-11-29T22:{second // 60:02}:{second % 60:02}.000Z"


def _step(change: Action, diff: str = "") -> Step:
    return Step((FORWARD,), change, "", diff)


STEPS = (
    _step(
        FileEdit(
            "/etc/sysctl.d/zz-old.conf",
            (ReplaceLine(1, "net.ipv4.ip_forward = 0", "# commented by Hale: {}"),),
            "/etc/sysctl.d/zz-old.conf:1 sets net.ipv4.ip_forward to 0.",
        ),
        plan.unified_diff("/etc/sysctl.d/zz-old.conf", _OLD, _NEW),
    ),
    _step(
        FileEdit(
            "/etc/sysctl.d/90-hale.conf", (AppendLine("net.ipv4.ip_forward = 1"),), "It lasts."
        ),
        plan.unified_diff("/etc/sysctl.d/90-hale.conf", None, b"net.ipv4.ip_forward = 1\n"),
    ),
    _step(
        KernelValueChange(
            "/proc/sys/net/ipv4/ip_forward",
            "0",
            "1",
            "net.ipv4.ip_forward is 0.",
            effects=(Impact.DISRUPTS_TRAFFIC,),
        )
    ),
    _step(
        UnitChange(
            "kubelet.service",
            UnitAction.RESTART,
            "active",
            "",
            "It has its limits from the start.",
            (Impact.RESTARTS_SERVICE,),
        )
    ),
)
MODULE = _step(ModuleChange("br_netfilter", "It is not loaded."))


def a_plan(*hosts: str, steps: tuple[Step, ...] = STEPS) -> Plan:
    """The same steps on each host; a manual step and an unknown result on the last."""
    plans = [HostPlan(name, "m", steps, (), ()) for name in hosts]
    plans[-1] = msgspec.structs.replace(
        plans[-1],
        manual_steps=(ManualNote("OS-RELEASE", "runtime", "install another system"),),
        unknown=(RowKey(hosts[-1], "SWAP-OFF", "runtime"),),
    )
    return plan.with_checksum(
        Plan(
            plan.SCHEMA,
            "alice",
            at(0),
            "/etc/hale/inventory.ini",
            "1" * 64,
            "2" * 64,
            "baseline",
            tuple(plans),
        )
    )


def header(made: Plan, kind: str = "fix", of: str = "") -> RunHeader:
    """Bob carries out what Carol approved."""
    return RunHeader(
        journal.SCHEMA,
        f"2026-11-29T221000Z-{kind}",
        kind,
        "bob",
        "bastion",
        made.inventory,
        made.sha256,
        at(600),
        of,
        "carol",
        "CHG-1",
    )


APPROVED = RunApproval(PlanSource.DIGEST, "Sunday 22:00 to 23:00", at(600))


def begin(host: str, number: int, second: int) -> StepStarted:
    """The entry before a step."""
    return StepStarted(host, number, STEPS[number - 1], "", (), at(second))


def done(host: str, number: int, second: int) -> StepDone:
    """The entry after a step that was applied."""
    return StepDone(host, number, (STEPS[number - 1].change,), at(second))


def complete(host: str, second: int) -> list[Entry]:
    """All steps of a host."""
    steps = [
        e for n in range(1, 5) for e in (begin(host, n, second + n), done(host, n, second + n))
    ]
    return [*steps, HostFinished(host, HostState.DONE, "", at(second + 5))]


def refused(host: str, second: int, why: str) -> list[Entry]:
    """The first step is refused, the second fails, and the others are not begun."""
    return [
        StepSkipped(host, 1, StepState.REFUSED, why, at(second)),
        begin(host, 2, second + 1),
        StepSkipped(host, 2, StepState.FAILED, "no space on the device", at(second + 1)),
        HostFinished(host, HostState.FAILED, "no space on the device", at(second + 2)),
    ]


def interrupted(host: str, second: int) -> list[Entry]:
    """As kill -9 leaves it: the first step is done, the second begun."""
    return [begin(host, 1, second), done(host, 1, second + 1), begin(host, 2, second + 2)]


def end(state: RunState, second: int) -> RunFinished:
    """The last entry."""
    return RunFinished(state, at(second))


def a_run(
    folder: Path,
    made: Plan,
    entries: Iterable[Entry],
    before: Results,
    after: Results | None,
    kind: str = "fix",
    of: str = "",
) -> Path:
    """The folder of a run, with a name as `hale.apply` gives it."""
    run = header(made, kind, of)
    path = folder / run.run
    path.mkdir(parents=True)
    plan.save_plan(made, path / "plan.json")
    book = Journal(path, run)
    for entry in (APPROVED, *entries):
        book.write(entry)
    book.close()
    for name, found in (("before", before), ("after", after)):
        if found is not None:
            (path / name).mkdir()
            results_file.save_results(found, path / name / "results.json")
    return path


def audits(recorded: Results, hosts: tuple[str, ...] = (ONE, TWO)) -> tuple[Results, Results]:
    """The recorded audit, and one afterwards: forwarding fixed, swap broken on one of the hosts."""

    def later(row: Result) -> Result:
        if row.host in hosts and row.requirement == FORWARD:
            return msgspec.structs.replace(row, verdict=Verdict.PASS, actual="it is 1")
        if (row.host, row.requirement, row.aspect) == (TWO, "SWAP-OFF", "runtime"):
            return msgspec.structs.replace(row, verdict=Verdict.FAIL, actual="/dev/sda2 is on")
        return row

    rows = [r for r in recorded.results if r.subject in ("sysctl", "swap", "os_release")]
    before = msgspec.structs.replace(recorded, results=rows)
    return before, msgspec.structs.replace(before, results=[later(row) for row in rows])
