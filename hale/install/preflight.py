"""Preflight: the host requirements, judged by a normal audit before the cluster is installed.

Which requirements these are is in the standard: `preflight = true`.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from hale.audit.recorder import create_run_dir
from hale.audit.run import AuditResult
from hale.inventory.ini import Inventory
from hale.model.results import Result
from hale.model.verdict import Verdict
from hale.plan import planner
from hale.plan.plan import Plan
from hale.report.audits import audit
from hale.ssh import SessionPool
from hale.standard.loader import Standard

PROFILE = "extended"
CLOCK, RETRIES = "CLOCK-SKEW", 3


@dataclass(frozen=True)
class PreflightResult:
    """Failed and unknown results. fixable: `invoke fix` has a remedy; blocking: it has none;
    ignored: of the requirements in --ignore-preflight-errors, and of hosts that are left alone;
    postponed: judged again once the fixable ones are fixed, which may be their cause."""

    folder: Path
    plan: Plan | None
    fixable: tuple[Result, ...]
    blocking: tuple[Result, ...]
    ignored: tuple[Result, ...]
    postponed: tuple[Result, ...] = ()

    @property
    def open(self) -> bool:
        """Whether the install may start."""
        return not self.fixable and not self.blocking


def run_preflight(
    inventory: Inventory,
    standard: Standard,
    sessions: SessionPool,
    reports: Path,
    ignored: Collection[str],
    exempt: Collection[str] = (),
) -> PreflightResult:
    """Audit the hosts and sort the failed results. Raises UserError if the audit cannot run.

    exempt: hosts that the run leaves as they are; their failed results are ignored.
    """
    required = [r.id for r in standard.preflight]
    first = _audit(inventory, standard, sessions, reports, required)
    failed = _failed(first)
    for _ in range(RETRIES):
        # A busy host's answer comes late, and its clock looks as late; a wrong clock stays so.
        late = {
            r.requirement for r in failed if r.requirement == CLOCK or r.verdict is Verdict.UNKNOWN
        }
        if late:
            again = _failed(_audit(inventory, standard, sessions, reports, late))
            failed = [r for r in failed if r.requirement not in late] + again
    accepted = tuple(r for r in failed if r.requirement in ignored or r.host in exempt)
    failed = [r for r in failed if r not in accepted]
    ids = sorted({r.requirement for r in failed})
    made = planner.build_plan(first, sessions, ids) if ids else None
    remediated = _remediated(made) if made else frozenset()
    fixable = tuple(r for r in failed if (r.host, r.requirement) in remediated)
    causes = {r.requirement for r in fixable}
    later = {r.id for r in standard.preflight if causes & set(r.preflight_after)}
    postponed = tuple(r for r in failed if r.requirement in later and r not in fixable)
    stuck = tuple(r for r in failed if r not in fixable and r not in postponed)
    return PreflightResult(first.folder, made, fixable, stuck, accepted, postponed)


def _audit(
    inventory: Inventory,
    standard: Standard,
    sessions: SessionPool,
    reports: Path,
    requirements: Collection[str],
) -> AuditResult:
    folder = create_run_dir(reports, "audit")
    return audit(folder, inventory, standard, PROFILE, requirements=requirements, sessions=sessions)


def _failed(audited: AuditResult) -> list[Result]:
    return [r for r in audited.results.results if r.verdict.failed]


def _remediated(made: Plan) -> frozenset[tuple[str, str]]:
    """(host, requirement) of the results that the plan fixes without a manual step."""
    steps = {(h.host, r) for h in made.hosts for s in h.steps for r in s.requirements}
    by_hand = {(h.host, n.requirement) for h in made.hosts for n in h.manual_steps}
    return frozenset(steps - by_hand)


def render(rows: Iterable[Result]) -> list[str]:
    """Failed results as lines of text, one for all hosts with the same result."""
    hosts_of: dict[tuple[str, str, str, str], list[str]] = {}
    for r in rows:
        key = (r.requirement, r.aspect, r.verdict.value, r.actual)
        hosts_of.setdefault(key, []).append(r.host)
    return [
        f"{requirement} {aspect} on {', '.join(hosts)}: {verdict}: {actual}"
        for (requirement, aspect, verdict, actual), hosts in hosts_of.items()
    ]
