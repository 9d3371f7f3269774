"""The plan: the changes that fix failed results, in one file that can be approved.

Pure: facts and the hosts' files in, a plan out. Edits of several requirements to one file become
one step. Each step has a precondition of its own, and is refused if that no longer holds; the plan
has a SHA-256 of its content.
"""

import difflib
import hashlib
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from hale.files import atomic, regular, versioned
from hale.model.change import (
    Action,
    FileEdit,
    Impact,
    LineEdit,
    ManualStep,
    Remedy,
)
from hale.model.errors import Location, UserError
from hale.model.evidence import Fact
from hale.model.requirement import Case
from hale.model.results import RowKey
from hale.plan import line_edit
from hale.redact import redact

SCHEMA = "hale.plan/1"
PACKAGE = "remediate"
MOST = 64 * regular.MIB
ABSENT = ""  # the SHA-256 that is expected of a file that is not there


class Step(msgspec.Struct, frozen=True):
    """One change of one host. sha256: of the file's content before, for a FileEdit only."""

    requirements: tuple[str, ...]
    change: Action
    sha256: str = ABSENT
    diff: str = ""  # unified, secrets masked


class ManualNote(msgspec.Struct, frozen=True, rename={"instructions": "what"}):
    """A failed result that no change fixes, with what a person must do."""

    requirement: str
    aspect: str
    instructions: str


class HostPlan(msgspec.Struct, frozen=True, rename={"manual_steps": "by_hand"}):
    """The steps of one host, in order, and what they leave to a person."""

    host: str
    machine_id: str
    steps: tuple[Step, ...]
    manual_steps: tuple[ManualNote, ...]
    unknown: tuple[RowKey, ...]  # results without a verdict: nothing is planned for them


class Plan(msgspec.Struct, frozen=True):
    """The file."""

    schema: str
    author: str
    created: str
    inventory: str
    inventory_sha256: str
    standard_sha256: str
    profile: str
    hosts: tuple[HostPlan, ...]
    sha256: str = ""


class FailedCase(msgspec.Struct, frozen=True):
    """A case whose verdict is FAIL, and the fact that it was judged by."""

    case: Any
    fact: Any


# Files' bytes as they are now, None for no file.
FileReader = Callable[[Sequence[str]], Mapping[str, bytes | None]]


def plan_remedy(case: Case[Any], fact: Fact) -> tuple[Remedy, ...]:
    """What fixes this case on this host: changes, or manual steps where Hale makes none.

    remediate/<subject>.py computes changes from the fact; remediate/<subject>.md has manual steps.
    """
    name = f"{PACKAGE}.{case.requirement.subject}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        module = None
    fix = getattr(module, f"fix_{case.aspect}", None)
    if fix is not None:
        changes: tuple[Remedy, ...] = fix(fact, case)
        return changes
    # Imported where it is needed: a plan without manual steps does without jinja2.
    page = importlib.import_module("hale.standard.remedy_page")
    steps: tuple[Remedy, ...] | None = page.manual_steps(case, fact)
    if steps is None:
        return (ManualStep("there is no automatic remedy: fix it manually and audit again"),)
    return steps


def build_host_plan(
    host: str,
    machine_id: str,
    failed: Sequence[FailedCase],
    unknown: Iterable[RowKey],
    read: FileReader,
) -> HostPlan:
    """One host's plan.

    failed: the results to remediate. unknown: results for which nothing is planned. read: called
    once, for all files to edit. Raises LineMismatch if a file differs from the facts.
    """
    files: dict[str, list[FileEdit]] = {}
    order: list[Action] = []
    requirements_of: dict[Any, list[str]] = {}
    by_hand: list[ManualNote] = []
    for one in failed:
        requirement = one.case.requirement.id
        for change in plan_remedy(one.case, one.fact):
            if isinstance(change, ManualStep):
                by_hand.append(ManualNote(requirement, one.case.aspect, change.instructions))
                continue
            key = _dedupe_key(change)
            if key not in requirements_of:
                order.append(change)
            requirements_of.setdefault(key, []).append(requirement)
            if isinstance(change, FileEdit):
                files.setdefault(change.path, []).append(change)
    steps = []
    present = read(list(files)) if files else {}
    for change in sorted(order, key=lambda change: change.apply_order):
        if isinstance(change, FileEdit):
            wanted = tuple(dict.fromkeys(requirements_of[_dedupe_key(change)]))
            steps.append(_file_step(wanted, files[change.path], present[change.path]))
        else:
            steps.append(Step(tuple(dict.fromkeys(requirements_of[_dedupe_key(change)])), change))
    notes = tuple(dict.fromkeys(by_hand))
    return HostPlan(host, machine_id, tuple(steps), notes, tuple(unknown))


def _dedupe_key(change: Action) -> object:
    """The change without its reason: several requirements can want the same change."""
    if isinstance(change, FileEdit):
        return change.path
    return msgspec.structs.replace(change, reason="")


def _file_step(
    requirements: tuple[str, ...], changes: Sequence[FileEdit], before: bytes | None
) -> Step:
    edits: dict[LineEdit, None] = {e: None for change in changes for e in change.edits}
    effects: dict[Impact, None] = {e: None for change in changes for e in change.effects}
    why = " ".join(dict.fromkeys(change.reason for change in changes))
    path = changes[0].path
    try:
        after = line_edit.apply_edits(before or b"", edits)
    except line_edit.LineMismatch as error:
        raise line_edit.LineMismatch(f"{path}: {error}") from None
    merged = FileEdit(path, tuple(edits), why, tuple(effects))
    return Step(requirements, merged, sha256(before), unified_diff(path, before, after))


def sha256(content: bytes | None) -> str:
    """The digest of a file's bytes; ABSENT for no file."""
    return ABSENT if content is None else hashlib.sha256(content).hexdigest()


def unified_diff(path: str, before: bytes | None, after: bytes) -> str:
    """A unified diff for people: secrets masked, odd bytes spelled out."""
    old, new = (
        redact(raw.decode(errors="backslashreplace")).split("\n") for raw in (before or b"", after)
    )
    # A last newline ends a line and begins none.
    old, new = (lines[:-1] if lines[-1] == "" else lines for lines in (old, new))
    name = "/dev/null" if before is None else path
    return "\n".join(difflib.unified_diff(old, new, name, path, lineterm="", n=2))


# --- the file ---


def with_checksum(plan: Plan) -> Plan:
    """The plan with the SHA-256 over everything else in it."""
    return msgspec.structs.replace(plan, sha256=_digest(plan))


def _digest(plan: Plan) -> str:
    bare = msgspec.structs.replace(plan, sha256="")
    return hashlib.sha256(msgspec.json.encode(bare, order="deterministic")).hexdigest()


def save_plan(plan: Plan, path: Path) -> None:
    """Write it atomically, readable by the operator alone."""
    atomic.write(path, encoded(plan), mode=0o600)


def encoded(plan: Plan) -> bytes:
    """The bytes of the plan's file; `load_plan` accepts no others."""
    return msgspec.json.format(msgspec.json.encode(plan), indent=1) + b"\n"


def load_plan(path: Path, approved_sha256: str = "") -> Plan:
    """Read a plan. Raises UserError for a file that is not a plan, or was altered.

    approved_sha256: the digest of the plan that was approved, in hex: another plan is refused; ""
    accepts any.
    """
    raw = versioned.read(path, "plan", MOST)
    plan = versioned.parse(raw, path, Plan, SCHEMA, "plan")
    if plan.sha256 != _digest(plan):
        raise UserError(
            "the plan was altered since it was made: its SHA-256 does not match. Plan again.",
            Location(path),
        )
    if raw != encoded(plan):
        raise UserError(
            "the plan was written by another program, or has fields that its SHA-256 does not "
            "cover. Plan again.",
            Location(path),
        )
    if approved_sha256 and approved_sha256.strip().lower() != plan.sha256:
        raise UserError(
            f"this is not the plan that was approved: its SHA-256 is {plan.sha256}, and --sha256 "
            f"is {approved_sha256}. Nothing was changed.",
            Location(path),
        )
    return plan
