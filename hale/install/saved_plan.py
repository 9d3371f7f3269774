"""A plan of an install in a file: what remained and its steps when it was made, to be approved.

`invoke install --apply FILE` does what such a plan has, or nothing: it is refused where the
inventory, a file that this names, the baseline, or a program file or the version of Hale is another
one, or where the hosts have changed, so that other steps remain. The steps of a phase that depends
on one that is not done are not known beforehand; they follow from these files.
"""

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from hale.files import atomic, provenance, regular, versioned
from hale.install.cluster_context import ClusterContext
from hale.install.options import InstallOptions
from hale.install.planning import PhaseStatus
from hale.model import results
from hale.model.errors import Location, UserError
from hale.redact import redact
from hale.standard.loader import Standard

SCHEMA = "hale.install-plan/1"
MOST = 16 * regular.MIB


class PlannedPhase(msgspec.Struct, frozen=True):
    """What remains of a phase, and its steps in words, redacted.

    content: SHA-256 of the steps as data. unknown: why steps are not known yet.
    """

    name: str
    remaining: tuple[str, ...]
    steps: tuple[str, ...]
    content: str
    unknown: str


class InstallPlan(msgspec.Struct, frozen=True):
    """The file. program_sha256: of Hale's own files. files: SHA-256 of those that the inventory
    names, by path. until, phase, ignored: the options as typed, ignored of
    --ignore-preflight-errors."""

    schema: str
    author: str
    created: str
    version: str
    program_sha256: str
    inventory: str
    inventory_sha256: str
    standard_sha256: str
    files: dict[str, str]
    until: str
    phase: str
    ignored: tuple[str, ...]
    phases: tuple[PlannedPhase, ...]
    sha256: str = ""


def build(
    options: InstallOptions,
    context: ClusterContext,
    standard: Standard,
    statuses: Iterable[PhaseStatus],
) -> InstallPlan:
    """The plan of what remains now, with the digests of what was read to determine it."""
    made = InstallPlan(
        schema=SCHEMA,
        author=provenance.operator(),
        created=results.utc(time.time()),
        version=provenance.version(),
        program_sha256=provenance.program_sha256(),
        inventory=str(context.inventory.path.resolve()),
        inventory_sha256=context.inventory.sha256,
        standard_sha256=standard.sha256,
        files=_digests(context),
        until=options.until,
        phase=options.phase,
        ignored=options.ignore_preflight_errors,
        phases=_phases(statuses),
    )
    return msgspec.structs.replace(made, sha256=_digest(made))


def save(made: InstallPlan, path: Path) -> None:
    """Write it atomically, readable by the operator alone."""
    atomic.write(path, encoded(made), mode=0o600)


def load(path: Path, approved_sha256: str = "") -> InstallPlan:
    """Read a plan. Raises UserError for one that was altered, or is not the one approved.

    approved_sha256: in hex; "" accepts any.
    """
    raw = versioned.read(path, "install plan", MOST)
    made = versioned.parse(raw, path, InstallPlan, SCHEMA, "install plan")
    if made.sha256 != _digest(made):
        raise UserError(
            "the plan was altered since it was made: its SHA-256 does not match. Plan again.",
            Location(path),
        )
    if raw != encoded(made):
        raise UserError(
            "the plan was altered since it was made, or was written by another program. "
            "Plan again.",
            Location(path),
        )
    if approved_sha256 and approved_sha256.lower() != made.sha256:
        raise UserError(
            f"this is not the plan that was approved: its SHA-256 is {made.sha256}, and --sha256 "
            f"is {approved_sha256}. Nothing was changed.",
            Location(path),
        )
    return made


def require_same_inputs(made: InstallPlan, context: ClusterContext, standard: Standard) -> None:
    """Raises UserError if the plan was made from other files, or by another Hale."""
    if Path(made.inventory) != context.inventory.path.resolve():
        raise UserError(
            f"the plan was made for the inventory {made.inventory}, and this one is "
            f"{context.inventory.path}. Plan again."
        )
    found = _digests(context)
    if made.files.keys() != found.keys():
        raise UserError("the inventory names other files than the plan was made from. Plan again.")
    for what, planned, now in (
        (f"the inventory {made.inventory}", made.inventory_sha256, context.inventory.sha256),
        ("the baseline", made.standard_sha256, standard.sha256),
        ("Hale's version", made.version, provenance.version()),
        ("one of Hale's program files", made.program_sha256, provenance.program_sha256()),
        *((path, made.files[path], found[path]) for path in found),
    ):
        if planned != now:
            raise UserError(f"{what} has changed since the plan was made. Plan again.")


def require_same_steps(made: InstallPlan, statuses: Iterable[PhaseStatus]) -> None:
    """Raises UserError, with the differences, if other steps remain now than the plan has."""
    planned = {phase.name: phase for phase in made.phases}
    changed: list[str] = []
    for now in _phases(statuses):
        then = planned.pop(now.name, None)
        if then == now:
            continue
        old = (*then.remaining, *then.steps, then.unknown) if then else ()
        new = (*now.remaining, *now.steps, now.unknown)
        lines = [f"- {s}" for s in old if s and s not in new]
        lines += [f"+ {s}" for s in new if s and s not in old]
        changed += (f"{now.name}: {line}" for line in lines or ["the content of its steps"])
    changed += (f"{name}: no phase of this run" for name in planned)
    if changed:
        text = "".join(f"\n  {line}" for line in changed)
        raise UserError(
            f"nothing was changed: other steps remain than the plan has. Plan again.{text}"
        )


def _phases(statuses: Iterable[PhaseStatus]) -> tuple[PlannedPhase, ...]:
    return tuple(
        PlannedPhase(
            status.name,
            tuple(redact(str(problem)) for problem in status.remaining),
            tuple(map(redact, status.steps)),
            status.content,
            redact(status.unknown),
        )
        for status in statuses
    )


def _digests(context: ClusterContext) -> dict[str, str]:
    return {str(path): hashlib.sha256(raw).hexdigest() for path, raw in context.files.items()}


def encoded(made: InstallPlan) -> bytes:
    """The bytes of the plan's file; `load` accepts no others."""
    return msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n"


def _digest(made: InstallPlan) -> str:
    bare = msgspec.structs.replace(made, sha256="")
    return hashlib.sha256(msgspec.json.encode(bare, order="deterministic")).hexdigest()
