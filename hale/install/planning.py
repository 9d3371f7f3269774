"""The status of each phase and the steps of its next run, without running anything."""

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from hale.install.cluster_context import ClusterContext
from hale.install.observe import ObservationRequest, observe
from hale.install.phase import Batch, Observations, Problems, RunScript
from hale.install.scheduler import load_phase, required_phases
from hale.model.errors import UserError
from hale.model.evidence import Unreadable
from hale.ssh import SessionPool

# (phase, host): what a run leaves alone (hale/install/joined.py).
Exempt = frozenset[tuple[str, str]]
_NOT_TOUCHED = "left as it is, because this run only adds workers"


@dataclass(frozen=True)
class PhaseStatus:
    """The status of a phase for `install --plan`.

    problems: its preflight's. differences: what stays as it is although it differs. steps: those of
    the next run, in words; content: SHA-256 of them as data. unknown: why something cannot be
    determined yet.
    """

    name: str
    title: str
    remaining: Problems = ()
    problems: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    unknown: str = ""
    skip_reason: str = ""
    differences: Problems = ()
    content: str = ""


def split(problems: Problems, phase: str, exempt: Exempt) -> tuple[Problems, Problems]:
    """What remains of a phase, and what of it is left alone in this run."""
    if not exempt:
        return problems, ()
    kept = tuple(p for p in problems if (phase, p.host) in exempt)
    return (
        tuple(p for p in problems if p not in kept),
        tuple(p._replace(detail=f"{p.detail}; {_NOT_TOUCHED}") for p in kept),
    )


def phase_statuses(
    site: ClusterContext,
    sessions: SessionPool,
    names: Iterable[str],
    exempt: Exempt = frozenset(),
    *,
    again: bool = False,
) -> list[PhaseStatus]:
    """The status of each phase. Changes nothing. Raises HostsUnreachable.

    again: with the steps of a phase that is done too, as `--phase` runs it.
    """
    names = tuple(names)
    observed = observe(
        [ObservationRequest(load_phase(n), site, with_preflight=True) for n in names],
        sessions.session,
    )
    found: dict[str, PhaseStatus] = {}
    for name, own in zip(names, observed, strict=True):
        waits = [n for n in required_phases(name) if n in found and found[n].remaining]
        found[name] = _phase_status(site, name, own, waits, exempt, again=again)
    return list(found.values())


def _phase_status(
    site: ClusterContext,
    name: str,
    observed: Observations,
    waits: Sequence[str],
    exempt: Exempt,
    *,
    again: bool,
) -> PhaseStatus:
    phase = load_phase(name)
    if why := phase.skip_reason(site):
        return PhaseStatus(name, phase.title, skip_reason=why)
    try:
        remaining, kept = split(phase.remaining(site, observed), name, exempt)
    except Unreadable as error:
        return PhaseStatus(name, phase.title, unknown=str(error))
    with suppress(Unreadable, UserError):
        kept = (*kept, *phase.differences(site, observed))
    if not remaining and not again:
        return PhaseStatus(name, phase.title, differences=kept)
    after = f"depends on {' and '.join(waits)}" if waits else ""
    try:
        # The phases before it may resolve what its preflight would report now.
        problems = () if waits else phase.preflight(site, observed)
        batches = tuple(
            replace(b, steps=tuple(s for s in b.steps if (name, s.host) not in exempt))
            for b in (*phase.prepare(site, observed), *phase.batches(site, observed))
        )
        steps = tuple(_steps(batches))
    except (Unreadable, UserError) as error:
        return PhaseStatus(
            name, phase.title, remaining, unknown=after or str(error), differences=kept
        )
    return PhaseStatus(
        name,
        phase.title,
        remaining,
        problems,
        steps,
        unknown=after,
        differences=kept,
        content=_content(batches),
    )


def _content(batches: Iterable[Batch]) -> str:
    """SHA-256 of what the steps do. Standard input that is secret differs in each run, and is not
    in it."""
    digest = hashlib.sha256()
    for step in (step for batch in batches for step in batch.steps):
        fields: tuple[str, ...]
        if isinstance(step, RunScript):
            given = step.stdin if isinstance(step.stdin, str) else ""
            fields = (step.host, step.title, step.script, given)
        else:
            text = step.content if isinstance(step.content, str) else step.content.hex()
            fields = (step.host, step.path, f"{step.mode:o}", text, step.check, step.then)
        digest.update(repr(fields).encode())
    return digest.hexdigest()


def _steps(batches: Iterable[Batch]) -> Iterable[str]:
    """The steps in words, one line for hosts that get the same."""
    for batch in batches:
        hosts_of: dict[str, list[str]] = {}
        for step in batch.steps:
            verb = "write" if not isinstance(step, RunScript) else "run"
            title = step.title if isinstance(step, RunScript) else getattr(step, "path", step.title)
            hosts_of.setdefault(f"{verb} {title}", []).append(step.host)
        for what, hosts in hosts_of.items():
            yield f"{', '.join(dict.fromkeys(hosts))}: {what}"
        if batch.wait_for is not None:
            yield f"wait until {batch.wait_for.title}"
