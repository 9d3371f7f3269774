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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from difflib import unified_diff
from pathlib import Path

import msgspec
import pytest

from hale.model.change import Impact
from hale.model.results import RowKey
from hale.plan import plan
from hale.plan.plan import HostPlan, Plan
from lab.faults import hosts, kernel, limits, security, swap, table, time_sync
from lab.faults.fault import HostFault, slug
from tests.apply.compliant_lab import Ready, plan_text
from tests.faults import audit
from tests.faults.batches import Batch, Batched, batches, selected
from tests.faults.fault_context import injected
from tests.faults.spread import spread

PLANS = Path(__file__).parent / "plans"
SEED = os.environ.get("HALE_SEED") or os.environ["HALE_DAY"]
# Where the lab cannot follow, and why.
NOT_HERE = {
    "limits of root forgotten": "the document's nproc is below sshd's here, and without "
    "CAP_SYS_RESOURCE root's audit cannot go back up",
}
FAULTS = [
    spread(fault)
    for module in (hosts, security, swap, kernel, limits, time_sync)
    for fault in module.FAULTS
    if any(turn.verdict == "FAIL" for turn in fault.turns.values()) and fault.name not in NOT_HERE
]
# The hosts of the plans that are written.
HOMES = {fault.name: fault.host for fault in table.FAULTS}
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


def goes_all_the_way(fault: HostFault) -> bool:
    """Whether the plan is applied too, and undone."""
    return fault.name in DRAWN and mendable(fault)


@pytest.fixture(scope="module")
def batched(request: pytest.FixtureRequest) -> Batched:
    """The faults of the tests that are selected, in batches: those that go all the way together."""
    return Batched(batches(selected(request), goes_all_the_way))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: slug(f.name))
def test_there_and_back(fault: HostFault, ready: Ready, batched: Batched) -> None:
    """Of a batch (tests/faults/batches.py) the first test proves all faults. Where anything in it
    is wrong, that test fails, and each is proven by itself in its own test and second try.
    """
    if batched.is_proven(fault):
        return
    batch = batched.take(fault)
    try:
        with injected(ready.lab, *batch):
            Trip(ready, batch).there_and_back()
    except Exception:
        ready.remake()  # a plan that was not undone would hide the next fault
        raise
    batched.proven(batch)


class Trip:
    """Hosts with a fault each, there and back side by side."""

    def __init__(self, ready: Ready, batch: Batch) -> None:
        self.ready = ready
        self.fault = {fault.host: fault for fault in batch}
        self.harmed, self.made = ready.rows_and_plan(list(self.fault))

    def there_and_back(self) -> None:
        """The plans are as written; then those that go all the way are applied and undone."""
        for host in self.made.hosts:
            fault = self.fault[host.host]
            harmed = audit.of_host(self.ready.red(self.harmed), host.host)
            assert harmed, f"the fault turns no row: {fault.name}"
            _as_written(fault, plan_text(_plan_of(self.made, [host])))
        going = [h for h in self.made.hosts if h.steps and self.fault[h.host].name in DRAWN]
        if going:
            self._apply_and_undo(going)

    def _apply_and_undo(self, going: Sequence[HostPlan]) -> None:
        ready, names = self.ready, [host.host for host in going]
        listings, units = self._on_each(ready.listing, names), self._on_each(ready.units, names)
        history, run = ready.apply(_plan_of(self.made, going))
        assert not run.failed
        rows, again = ready.rows_and_plan(names)
        assert not self._remaining(rows, going), "the plan leaves it"
        assert not any(host.steps for host in again.hosts), plan_text(again)
        ready.power_cycle(names)
        rows = ready.rows(",".join(names))
        assert not self._remaining(rows, going), "a boot undid it"
        back, moved = ready.take_back(history)
        assert not moved
        _, run = ready.apply(back, "undo", history.header.run)
        assert not run.failed
        assert not changes(listings, self._on_each(ready.listing, names))
        restored = [host.host for host in going if self._is_restored(host)]
        if restored:
            before = {name: units[name] for name in restored}
            assert not changes(before, self._on_each(ready.units, restored))
            now = ready.rows(",".join(restored))
            assert _verdicts(now) == {row: self.harmed[row].verdict for row in now}

    def _remaining(self, rows: audit.Rows, hosts: Sequence[HostPlan]) -> audit.Rows:
        """What only a person can do stays red; there must be nothing else."""
        by_hand = {
            RowKey(host.host, note.requirement, note.aspect)
            for host in hosts
            for note in host.manual_steps
        }
        return {row: s for row, s in self.ready.red(rows).items() if row not in by_hand}

    def _is_restored(self, host: HostPlan) -> bool:
        """Not where the boot has emptied /run, or where the plan said that it cannot be undone."""
        volatile = any(path.startswith("/run/") for path in self.fault[host.host].files)
        final = any(Impact.IRREVERSIBLE in step.change.effects for step in host.steps)
        return not volatile and not final

    @staticmethod
    def _on_each(look: Callable[[str], list[str]], names: Sequence[str]) -> dict[str, list[str]]:
        """What is found on each of the hosts, without what a boot of systemd's writes again."""
        with ThreadPoolExecutor(len(names)) as side_by_side:
            found = dict(zip(names, side_by_side.map(look, names), strict=True))
        return {
            name: [x for x in lines if "etc/resolv.conf" not in x] for name, lines in found.items()
        }


def changes(
    before: Mapping[str, list[str]], after: Mapping[str, list[str]]
) -> dict[str, list[str]]:
    """The hosts whose lines are not as before, and which lines."""
    return {
        name: [*unified_diff(lines, after[name], n=0, lineterm="")]
        for name, lines in before.items()
        if lines != after[name]
    }


def _verdicts(rows: audit.Rows) -> dict[RowKey, str]:
    return {row: output.verdict for row, output in rows.items()}


def _plan_of(made: Plan, hosts: Sequence[HostPlan]) -> Plan:
    """The plan of these hosts alone."""
    return plan.with_checksum(msgspec.structs.replace(made, hosts=tuple(hosts)))


def _as_written(fault: HostFault, text: str) -> None:
    path = PLANS / f"{slug(fault.name)}.txt"
    text = text.replace(fault.host, HOMES[fault.name])
    text = re.sub(r"(process |/proc/|pid,ppid,lstart,args -p )\d+( \d+)*", r"\1PID", text)
    if os.environ.get("HALE_WRITE_PLANS"):
        path.write_text(text)
    assert text == path.read_text()
