"""A cluster that stands, what audits it again and again, and proves a fault on it.

A living cluster takes its time: what a fault has turned is looked at until it is as the table
says, or time is up; so is the way back. Of rows that turn with no fault only the verdict counts,
because who leads and who holds the VIP moves about.
"""

import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from hale.model.requirement import Profile
from hale.model.results import RowKey
from lab.errors import LabError
from lab.machine import Lab
from tests.cluster.faults.fault import ClusterFault, Steps
from tests.faults import audit
from tests.faults.audit import Rows

# Measured since a process started, which any fault may restart: it counts where a fault names it.
MEASURED = ("ETCD-FSYNC",)
HELLO = ("OS-RELEASE", "runtime")  # a row that every host has that answers at all
# Seconds for a fault to show everywhere, and for the cluster to be whole again after it: a kubelet
# whose apiserver hangs without its etcd starts that late (docs/drills.md, "Runbook: etcd").
SHOWS, MENDS = 180.0, 400.0
LATER = 30.0  # seconds, before the next fault, for what an undo had not restored in time
PAUSE = 2.0  # seconds between two looks: an audit takes what an etcd on the same cores needs
STEP = 600.0  # seconds for one step of it


@dataclass
class Standing:
    """The cluster's lab, the engine that audits it, and its rows without faults."""

    lab: Lab
    engine: audit.Engine
    before: Rows = field(default_factory=dict)
    not_undone: list[str] = field(default_factory=list)  # rows that the last undo did not restore
    silent: frozenset[str] = frozenset()  # hosts that gave no answer at the last look

    def look(self) -> Rows:
        """Every row, over the connections of the last look; those that broke are made anew."""
        rows = self.engine.audit(anew=self.silent)
        self.silent = frozenset(
            host for host in self.engine.targets if rows[RowKey(host, *HELLO)].verdict == "UNKNOWN"
        )
        return rows

    def begin(self) -> None:
        """Look until no row of the baseline or of the cluster as a unit fails, and every row is
        known: the tests before may have left the cluster at work, and a row that is red before a
        fault would be missed after each of them. An answer that was late once (UNKNOWN) is not how
        the cluster is.
        """
        baseline = {r.id for r in self.engine.standard.of_profile(Profile.BASELINE)}

        def unhealthy() -> list[str]:
            self.before = self.look()
            return [
                f"{_named(key)} is {row}"
                for key, row in self.before.items()
                if row.verdict == "UNKNOWN"
                or (
                    row.verdict == "FAIL" and (key.requirement in baseline or key.host == "cluster")
                )
            ]

        if found := until(MENDS, unhealthy):
            raise AssertionError(f"unhealthy without any fault: {'; '.join(found)}")

    def prove(self, fault: ClusterFault) -> None:
        """Bring it about and take it back: its rows turn, and all is as before.

        On a cluster that an earlier undo did not restore, nothing is proven and little waited for.
        """
        nothing = ClusterFault("nothing", fault.host, (), ())
        if self.not_undone:
            self.not_undone = until(LATER, lambda: trouble(nothing, self.before, self.look()))
        assert not self.not_undone, f"an earlier undo left: {'; '.join(self.not_undone)}"
        try:
            wrong = self._done(fault.inject)
            if not wrong:
                wrong = until(SHOWS, lambda: trouble(fault, self.before, self.look()))
        finally:
            self.not_undone = self._done(fault.undo)
        self.not_undone += until(MENDS, lambda: trouble(nothing, self.before, self.look()))
        assert not wrong, "\n".join(wrong)
        assert not self.not_undone, "the undo left\n" + "\n".join(self.not_undone)

    def _done(self, steps: Steps) -> list[str]:
        """Do them all, whatever one of them says; returns what went wrong."""
        wrong = []
        for host, script in steps:
            try:
                self.lab[host].run(script, timeout=STEP)
            except (LabError, subprocess.TimeoutExpired) as error:
                wrong.append(f"{host}: {error}")
        return wrong


def until(patience: float, wrong: Callable[[], Iterable[str]]) -> list[str]:
    """Look until nothing is wrong, or time is up; returns what was wrong at the last look."""
    end = time.monotonic() + patience
    while True:
        found = list(wrong())
        if not found or time.monotonic() > end:
            return found
        time.sleep(PAUSE)


def trouble(fault: ClusterFault, before: Rows, after: Rows) -> list[str]:
    """What is not as the fault's table says."""
    found = [f"the audit has no {row}" for row in fault.rows if row not in before]
    for row, result in after.items():
        turn = fault.rows.get(row)
        if turn is None:
            same = result.verdict == before[row].verdict or row.requirement in MEASURED
            if not same and row not in fault.may_turn:
                found.append(f"{_named(row)} was {before[row]} and is {result}")
        elif turn.verdict != result.verdict or turn.says not in result.actual:
            found.append(f"{_named(row)} should be {turn.verdict} {turn.says!r} and is {result}")
        elif before[row] == result:
            found.append(f"{_named(row)} says what it said without the fault: {result}")
    return found


def _named(row: RowKey) -> str:
    return f"{row.requirement} {row.aspect} of {row.host}"
