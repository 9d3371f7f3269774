"""Two ways to audit, and what is different between two audits.

`typed` runs `pytest --hosts=…` as an operator does, in about 2 s. `Engine` asks the same
questions of the same hosts over connections of its own and lets the same facts and checks
judge, in about 0.4 s, which is what a table of faults can afford. That both come to the same
rows is tested with faults of every check.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hale import ssh
from hale.audit import evidence_file, results_file
from hale.audit.audit import Audit
from hale.audit.evidence_file import EvidenceFile
from hale.files import provenance
from hale.gather import Transport, transports
from hale.inventory import ini, selection
from hale.model.requirement import Case
from hale.model.results import Results, RowKey
from hale.paths import ROOT
from hale.ssh.inventory_targets import LoginOptions, targets_of
from hale.standard import loader
from lab.faults import baseline
from lab.faults.fault import ExpectedResult

# Every requirement: those of the document are a part of it.
PROFILE = "extended"
# Seconds for a login to a host, and for all of its answers: on a machine with a load of 40 they are
# many. pytest's own limit for a login is 5 s.
LOGIN, ANSWERS = 60.0, 240.0


class JudgedRow(NamedTuple):
    """A row's verdict, and its `actual`."""

    verdict: str
    actual: str

    def __str__(self) -> str:
        return f"{self.verdict} ({self.actual})"


Rows = Mapping[RowKey, JudgedRow]


def typed(reports: Path, *arguments: str) -> Results:
    """Run `pytest --profile=extended <arguments>` and read its results.json.

    Raises AssertionError with what it printed if it ended without whole results.
    """
    reports.mkdir(parents=True, exist_ok=True)
    before = set(reports.iterdir())
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--quiet",
            f"--profile={PROFILE}", f"--reports={reports}",
            f"--connect-timeout={LOGIN:g}", f"--gather-timeout={ANSWERS:g}", *arguments,
        ],
        cwd=ROOT,
        # Not ours: what pytest says to its own children, and options meant for this run.
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    made = sorted(set(reports.iterdir()) - before)
    output = f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
    assert len(made) == 1, f"the audit kept no results (exit status {done.returncode}):\n{output}"
    found = results_file.load_results(made[0] / "results.json")
    assert found.run.state == "finished", f"the audit did not finish:\n{output}"
    assert not found.run.incomplete, f"the audit is incomplete: {found.run.incomplete}"
    return found


class Engine:
    """Audits all hosts of an inventory without a new pytest."""

    def __init__(self, path: Path, connect_timeout: float = LOGIN) -> None:
        """connect_timeout: seconds that a login may take, which on a busy machine are many."""
        self.inventory = ini.load_inventory(path)
        self.standard = loader.load_standard(ROOT / "standard")
        loader.check_overrides(self.standard, self.inventory)
        self.sessions: dict[str, ssh.Session] = {}
        self.targets = targets_of(self.inventory, LoginOptions(connect_timeout=connect_timeout))

    def audit(
        self, hosts: str = "all", reconnect: Collection[str] | None = None
    ) -> dict[RowKey, JudgedRow]:
        """Every row of the profile for these hosts.

        anew: hosts that are logged into anew, as every run does it everywhere; without it all of
        them. Over the others' connections of the last audit, hosts that nobody touched tell the
        same in half the time.
        """
        return self.rows(self._asked(hosts, reconnect))

    def asked(self, hosts: str) -> Audit:
        """An audit with these hosts' answers, over new connections."""
        return self._asked(hosts, None)

    def evidence(self) -> EvidenceFile:
        """What all hosts answer, as a run saves it."""
        path = self.inventory.path.resolve()
        answered = dict(self._asked("all", None).hosts)
        return EvidenceFile(
            evidence_file.SCHEMA, str(path), provenance.sha256(path), PROFILE, answered
        )

    def close(self) -> None:
        """End the connections of the last audit."""
        self._close(self.targets)

    def judge(self, saved: EvidenceFile) -> dict[RowKey, JudgedRow]:
        """The rows of evidence that was saved before."""
        audit = self._audit("all")
        audit.hosts = saved.hosts
        return self.rows(audit)

    def _asked(self, hosts: str, reconnect: Collection[str] | None) -> Audit:
        self._close(self.targets if reconnect is None else reconnect)
        audit = self._audit(hosts)
        audit.gather(audit.cases, lambda answered: None)
        return audit

    def _close(self, names: Collection[str]) -> None:
        for name in names:
            if session := self.sessions.pop(name, None):
                session.close()

    def _audit(self, hosts: str) -> Audit:
        chosen = selection.select_hosts(hosts, self.inventory, lambda uri: ())
        return Audit(
            self.inventory, self.standard, PROFILE, chosen, self._transport, gather_timeout=ANSWERS
        )

    def _transport(self, chosen: selection.SelectedHost) -> Transport:
        target = self.targets[chosen.host.name]
        return transports.SshTransport(self.sessions.setdefault(target.name, ssh.Session(target)))

    def rows(self, audit: Audit) -> dict[RowKey, JudgedRow]:
        """Every row of these answers."""
        return {
            RowKey(case.host_name, case.requirement.id, case.aspect): judged(audit, case)
            for case in audit.cases
        }


def judged(audit: Audit, case: Case[Any]) -> JudgedRow:
    """The verdict of the judge, and what the fact says or why there is none."""
    result = audit.judge(case).result
    return JudgedRow(result.verdict.value, result.actual)


def rows(found: Results) -> dict[RowKey, JudgedRow]:
    """Every row's verdict and `actual`, by the row's name."""
    return {
        RowKey(r.host, r.requirement, r.aspect): JudgedRow(r.verdict.value, r.actual)
        for r in found.results
    }


def answered(
    look: Callable[[], dict[RowKey, JudgedRow]], before: Rows, turns: Collection[RowKey]
) -> dict[RowKey, JudgedRow]:
    """A look in which no row is unknown that was known before and is not to turn; of three looks
    the last. A busy machine's host may be late with an answer; what fails or passes stays.
    """
    for _ in range(3):
        after = look()
        late = [
            row
            for row, judged_row in after.items()
            if judged_row.verdict == "UNKNOWN"
            and row not in turns
            and (row not in before or before[row].verdict != "UNKNOWN")
        ]
        if not late:
            break
    return after


def not_compliant(found: Rows) -> list[str]:
    """The rows that are not as those of compliant hosts without a cluster."""
    expected = dict.fromkeys(found, ("PASS", "")) | baseline.NOT_GREEN
    return [
        f"{row} should be {verdict} {reason!r} and is {found.get(row)}"
        for row, (verdict, reason) in expected.items()
        if row not in found or found[row].verdict != verdict or reason not in found[row].actual
    ]


def of_host(found: Rows, *hosts: str) -> dict[RowKey, JudgedRow]:
    """The rows of these hosts."""
    return {row: result for row, result in found.items() if row.host in hosts}


def trouble(
    before: Rows, after: Rows, turns: Mapping[RowKey, ExpectedResult], *touched: str
) -> list[str]:
    """All that is not as a fault's table says: rows that do not turn, and those that do.

    Rows of untouched hosts must say the same as before, word for word. Of the touched hosts and
    the cluster the verdict counts alone: there, `actual` may tell of what was done.
    """
    found = [f"{row} is gone" for row in before if row not in after]
    found += [f"{row} is new" for row in after if row not in before]
    found += [f"the audit has no {row}" for row in turns if row not in before]
    for row in (r for r in before if r in after):
        old, new = before[row], after[row]
        turn = turns.get(row)
        if turn is None:
            verdict_alone = row.host in (*touched, "cluster")
            same = old.verdict == new.verdict if verdict_alone else old == new
            if not same:
                found.append(f"{row} was {old} and is {new}")
        elif turn.verdict != new.verdict:
            found.append(f"{row} should be {turn.verdict} and is {new}")
        elif turn.reason not in new.actual:
            found.append(f"{row} should say {turn.reason!r} and says {new.actual!r}")
        elif old == new:
            found.append(f"{row} says what it said without the fault: {new}")
    return found
