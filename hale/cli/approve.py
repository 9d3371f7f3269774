"""`invoke approve`: the approver's signature on a saved plan of a fix or an install."""

import os
from pathlib import Path

from hale.files import versioned
from hale.files.signature import KEY_VARIABLE
from hale.install import saved_plan
from hale.install.saved_plan import InstallPlan
from hale.model.errors import Location, UserError
from hale.plan import approval, plan
from hale.plan.approval import ApprovalState, PlanApproval, SavedPlan
from hale.plan.plan import Plan
from hale.report.text import escape_controls

NOT_APPROVED = 1  # exit status of a plan whose signature is not good


def approve(file: Path, key: str, inventory: Path | None) -> str:
    """Sign a plan; returns what to print. Raises UserError, and then nothing is written.

    inventory: who may approve stands beside it; None for the plan's own.
    """
    typed = key or os.environ.get(KEY_VARIABLE, "")
    if not typed.strip():
        raise UserError(f"name the ssh key: --key FILE, or the variable {KEY_VARIABLE}.")
    saved, lines, named = _load(file)
    allowed = approval.allowed_signers(inventory or named)
    made = approval.sign(saved, Path(typed).expanduser(), allowed)
    if made.state not in (ApprovalState.VALID, ApprovalState.NO_LIST):
        why = approval.refusal(saved, made, allowed)
        raise UserError(f"the signature is not written: {why}", Location(file))
    lines += [f"signature: {approval.signature_path(file)}", _line(saved, made, allowed)]
    return _text(lines)


def verify(file: Path, inventory: Path | None) -> tuple[str, int]:
    """What to print about a plan's signature, and the exit status. Raises UserError."""
    saved, lines, named = _load(file)
    allowed = approval.allowed_signers(inventory or named)
    found = approval.check(saved, allowed)
    good = found.state is ApprovalState.VALID
    return _text([*lines, _line(saved, found, allowed)]), 0 if good else NOT_APPROVED


def _load(file: Path) -> tuple[SavedPlan, list[str], Path]:
    """The plan, what it is in lines, and the path of its inventory. Raises UserError."""
    raw = versioned.read(file, "plan", plan.MOST)
    if versioned.schema_of(raw, file, "plan") == saved_plan.SCHEMA:
        of_install = saved_plan.load(file)
        steps = sum(len(phase.steps) for phase in of_install.phases)
        what = f"of an install: {steps} steps known so far"
        return _loaded(file, of_install, saved_plan.encoded(of_install), what)
    of_fix = plan.load_plan(file)
    hosts = [h for h in of_fix.hosts if h.steps]
    what = f"of a fix: {sum(len(h.steps) for h in hosts)} changes on {len(hosts)} hosts"
    return _loaded(file, of_fix, plan.encoded(of_fix), what)


def _loaded(
    file: Path, made: Plan | InstallPlan, content: bytes, what: str
) -> tuple[SavedPlan, list[str], Path]:
    lines = [
        f"plan {what}",
        f"by {made.author}, {made.created}, for {made.inventory}",
        f"SHA-256 {made.sha256}",
    ]
    return SavedPlan(file, content, made.author), lines, Path(made.inventory)


def _line(saved: SavedPlan, found: PlanApproval, allowed: Path) -> str:
    """What the signature is worth."""
    of = found.signature
    match found.state:
        case ApprovalState.VALID:
            return f"approved: signed by {of.signer} ({of.key})"
        case ApprovalState.MISSING:
            head = "NOT SIGNED"
        case ApprovalState.MISMATCH:
            head = "SIGNATURE OF ANOTHER PLAN"
        case ApprovalState.NOT_ALLOWED:
            head = "KEY NOT ALLOWED"
        case ApprovalState.NO_LIST:
            head = "KEY NOT KNOWN"
        case ApprovalState.BY_AUTHOR:
            head = "SIGNED BY ITS AUTHOR"
    return f"{head}: {approval.refusal(saved, found, allowed)}"


def _text(lines: list[str]) -> str:
    return "".join(f"{escape_controls(line)}\n" for line in lines)
