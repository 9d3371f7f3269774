"""Every fault that a remedy can mend, on a real host: there and back again.

Inject; the plan is exactly tests/apply/plans/<slug>.txt; apply; every row of the host is
green; a second plan is empty; the power is cut, and all is still green; undo; bytes, modes,
owners, times and units are as before, and the same rows are red as before.

A plan file is what `invoke fix` prints. `HALE_WRITE_PLANS=1 pytest …` writes them anew, to be
read before they are committed.

Without HALE_SOAK half of the faults end after their plan, drawn by HALE_SEED or the day.
"""

import os
import random
import re
from pathlib import Path

import pytest

from hale.model.change import Impact
from lab.faults import hosts, kernel, limits, security, swap, time_sync
from lab.faults.fault import HostFault, slug
from tests.apply.compliant_lab import Ready, plan_text
from tests.faults.fault_context import injected

PLANS = Path(__file__).parent / "plans"
SEED = os.environ.get("HALE_SEED") or os.environ["HALE_DAY"]
# Where the lab cannot follow, and why.
NOT_HERE = {
    "limits of root forgotten": "the document's nproc is below sshd's here, and without "
    "CAP_SYS_RESOURCE root's audit cannot go back up",
}
FAULTS = [
    fault
    for module in (hosts, security, swap, kernel, limits, time_sync)
    for fault in module.FAULTS
    if any(turn.verdict == "FAIL" for turn in fault.turns.values()) and fault.name not in NOT_HERE
]
# Those that make the round trip, by name; the others end after their plan.
DRAWN = frozenset(
    fault.name
    for fault in random.Random(SEED).sample(
        FAULTS, len(FAULTS) if os.environ.get("HALE_SOAK") else len(FAULTS) // 2
    )
)


def mendable(fault: HostFault) -> bool:
    """Whether the plan has a step: a line of a change that is no `by hand`."""
    path = PLANS / f"{slug(fault.name)}.txt"
    return not path.exists() or any(
        line.startswith("     ") for line in path.read_text().splitlines()
    )


def test_sixty_faults_go_there_and_back() -> None:
    assert sum(mendable(fault) for fault in FAULTS) >= 60
    unused = {p.stem for p in PLANS.glob("*.txt")} - {slug(fault.name) for fault in FAULTS}
    assert not unused


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: slug(f.name))
def test_there_and_back(fault: HostFault, ready: Ready) -> None:
    host = fault.host
    volatile = any(path.startswith("/run/") for path in fault.files)
    with injected(ready.lab, fault):
        listing, units = ready.listing(host), ready.units(host)
        harmed, made = ready.rows_and_plan(host)
        assert ready.red(harmed), "the fault turns no row"
        _as_written(fault, plan_text(made))
        if not made.hosts[0].steps or fault.name not in DRAWN:
            return
        story, run = ready.apply(made)
        assert not run.failed
        # What only a person can do stays red; there must be nothing else.
        by_hand = {(note.requirement, note.aspect) for note in made.hosts[0].manual_steps}
        rows, again = ready.rows_and_plan(host)
        remaining = {
            r: s for r, s in ready.red(rows).items() if (r.requirement, r.aspect) not in by_hand
        }
        assert not remaining
        assert not again.hosts[0].steps, plan_text(again)
        ready.power_cycle(host)
        remaining = {
            r: s
            for r, s in ready.red(ready.rows(host)).items()
            if (r.requirement, r.aspect) not in by_hand
        }
        assert not remaining, "a boot undid it"
        back, moved = ready.take_back(story)
        assert not moved
        _, run = ready.apply(back, "undo", story.header.run)
        assert not run.failed
        assert _without_run(ready.listing(host)) == _without_run(listing)
        final = any(Impact.IRREVERSIBLE in step.change.effects for step in made.hosts[0].steps)
        if volatile or final:
            return  # the boot has emptied /run; or the plan said that it cannot be undone
        assert ready.units(host) == units
        now = {row: output.verdict for row, output in ready.rows(host).items()}
        assert now == {row: output.verdict for row, output in harmed.items()}


def _without_run(listing: list[str]) -> list[str]:
    """Without what a boot of systemd's writes anew."""
    return [line for line in listing if "etc/resolv.conf" not in line]


def _as_written(fault: HostFault, plan: str) -> None:
    path = PLANS / f"{slug(fault.name)}.txt"
    plan = re.sub(r"(process |/proc/|pid,ppid,lstart,args -p )\d+( \d+)*", r"\1PID", plan)
    if os.environ.get("HALE_WRITE_PLANS"):
        path.write_text(plan)
    assert plan == path.read_text()
