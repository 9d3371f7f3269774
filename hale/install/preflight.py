"""The gate: the host requirements, judged by the same audit as always, before anything is built.

Which requirements these are is in the standard: `preflight = true`.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from hale.model import results
from hale.model.results import Result
from hale.paths import ROOT
from hale.plan import planner
from hale.plan.plan import Plan
from hale.standard import loader

PROFILE = "extended"
# Seconds for a login: hosts that build a cluster are busy, and a run is not to end by it.
LOGIN_TIMEOUT = 20.0
CLOCK, CLOCK_RETRIES = "CLOCK-SKEW", 3


@dataclass(frozen=True)
class PreflightResult:
    """What stands in the way. fixable: red rows that `invoke fix` mends; stuck: those that it
    does not; accepted: those that the operator said to go on despite."""

    folder: Path
    plan: Plan | None
    fixable: tuple[Result, ...]
    blocking: tuple[Result, ...]
    ignored: tuple[Result, ...]

    @property
    def open(self) -> bool:
        """Whether the install may begin."""
        return not self.fixable and not self.blocking


def run_preflight(path: Path, reports: Path, ignored: Collection[str]) -> PreflightResult:
    """Audit the hosts and sort what is red. Raises HaleError where that cannot be done."""
    required = loader.load_standard(ROOT / "standard").preflight
    marker = " or ".join(sorted({f"({r.subject} and {r.profile})" for r in required}))
    folder = planner.run_audit(
        path, "all", PROFILE, reports, marker, say=False, timeout=LOGIN_TIMEOUT
    )
    red = _red(folder)
    for _ in range(CLOCK_RETRIES):
        if any(r.requirement == CLOCK for r in red):
            # A busy host's answer comes late, and its clock looks as late; a wrong clock stays so.
            again = _red(
                planner.run_audit(
                    path, "all", PROFILE, reports, "clock", say=False, timeout=LOGIN_TIMEOUT
                )
            )
            red = [r for r in red if r.requirement != CLOCK] + again
    accepted = tuple(r for r in red if r.requirement in ignored)
    red = [r for r in red if r.requirement not in ignored]
    made = planner.build_plan(folder, sorted({r.requirement for r in red})) if red else None
    mended = _mended(made) if made else frozenset()
    fixable = tuple(r for r in red if (r.host, r.requirement) in mended)
    stuck = tuple(r for r in red if (r.host, r.requirement) not in mended)
    return PreflightResult(folder, made, fixable, stuck, accepted)


def _red(folder: Path) -> list[Result]:
    return [r for r in results.load_results(folder / "results.json").results if r.verdict.failed]


def _mended(made: Plan) -> frozenset[tuple[str, str]]:
    """Host and requirement of every row that the plan's steps are for, and of no note."""
    steps = {(h.host, r) for h in made.hosts for s in h.steps for r in s.requirements}
    by_hand = {(h.host, n.requirement) for h in made.hosts for n in h.manual_steps}
    return frozenset(steps - by_hand)


def render(rows: Iterable[Result]) -> list[str]:
    """Red rows for people: hosts that say the same together."""
    told: dict[tuple[str, str, str, str], list[str]] = {}
    for r in rows:
        said = (r.requirement, r.aspect, r.verdict.value, r.actual)
        told.setdefault(said, []).append(r.host)
    return [
        f"{requirement} {aspect} on {', '.join(hosts)}: {verdict}: {actual}"
        for (requirement, aspect, verdict, actual), hosts in told.items()
    ]
