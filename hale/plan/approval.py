"""The approver's signature on a saved plan, in FILE.sig beside it, as ssh-keygen(1) makes it.

By hand:

    ssh-keygen -Y verify -f allowed_signers -I WHO -n hale-plan -s fix.json.sig < fix.json

Who may approve stands in allowed_signers beside the inventory, for the namespace `hale-plan`. That
of runs is another one, so that a key which signs an operator's runs approves nothing. The author
whom a plan names cannot approve it.
"""

import fnmatch
import os
import shlex
from enum import Enum, auto
from pathlib import Path

from msgspec import Struct

from hale.files import atomic, signature, versioned
from hale.files.signature import ALLOWED_SIGNERS, MOST, Signature, SignatureState
from hale.inventory.ini import Inventory
from hale.model.errors import Location, UserError
from hale.report.change.model import PlanSource, SignatureCheck

NAMESPACE = "hale-plan"
SUFFIX = ".sig"
KEPT = "approved-plan.json"  # in the folder of the run that carries the plan out


class SavedPlan(Struct, frozen=True):
    """A plan in a file, of a fix or an install. content: the file's bytes. author: as in it."""

    path: Path
    content: bytes
    author: str


class ApprovalState(Enum):
    """What the signature of a plan is worth. BY_AUTHOR: the signer is the plan's author."""

    VALID = auto()
    MISSING = auto()
    MISMATCH = auto()
    NOT_ALLOWED = auto()
    NO_LIST = auto()
    BY_AUTHOR = auto()


class PlanApproval(Struct, frozen=True):
    """The signature of a plan that was checked. raw: the signature, b"" of none."""

    state: ApprovalState
    signature: Signature
    raw: bytes = b""


class PlanOrigin(Struct, frozen=True):
    """Where the plan of a run comes from, and who has approved it by a signature.

    signer: as allowed_signers has it, "" where that is not known. key: the fingerprint. plan, raw:
    the bytes of the saved plan and of its signature, b"" where there is none.
    """

    source: PlanSource = PlanSource.MADE_NOW
    check: SignatureCheck = SignatureCheck.UNRECORDED
    signer: str = ""
    key: str = ""
    plan: bytes = b""
    raw: bytes = b""

    def keep(self, folder: Path) -> None:
        """Keep a signed plan and its signature in the run's folder. Raises UserError."""
        if self.raw:
            atomic.write(folder / KEPT, self.plan)
            atomic.write(signature_path(folder / KEPT), self.raw)


MADE_NOW = PlanOrigin()
_CHECKS = {
    ApprovalState.VALID: SignatureCheck.VERIFIED,
    ApprovalState.MISSING: SignatureCheck.NOT_SIGNED,
    ApprovalState.NO_LIST: SignatureCheck.NOT_VERIFIED,
}


def signature_path(saved: Path) -> Path:
    """The file of a plan's signature."""
    return saved.with_name(saved.name + SUFFIX)


def command(saved: Path) -> str:
    """What the approver types to sign a plan."""
    return f"invoke approve {shlex.quote(str(saved))} --key KEY"


def void(saved: Path) -> None:
    """Remove the signature of a plan that is made again. Raises OSError."""
    signature_path(saved).unlink(missing_ok=True)


def allowed_signers(inventory: Path) -> Path:
    """The file that names who may approve."""
    return inventory.with_name(ALLOWED_SIGNERS)


def sign(saved: SavedPlan, key: Path, allowed: Path) -> PlanApproval:
    """Sign a plan, unless it would be refused.

    Returns what the signature is worth: VALID or NO_LIST; of another one nothing is written. Raises
    UserError without a key, and where ssh-keygen does not sign.
    """
    raw = signature.sign_content(saved.content, key, NAMESPACE, "plan")
    made = _judge(saved, signature.check_content(raw, saved.content, allowed, NAMESPACE), raw)
    if made.state in (ApprovalState.VALID, ApprovalState.NO_LIST):
        atomic.write(signature_path(saved.path), raw, 0o644)
    return made


def check(saved: SavedPlan, allowed: Path) -> PlanApproval:
    """What the signature beside a plan is worth. Raises UserError for what is no regular file."""
    path = signature_path(saved.path)
    if not os.path.lexists(path):
        return PlanApproval(ApprovalState.MISSING, Signature(SignatureState.MISSING))
    raw = versioned.read(path, "signature", MOST)
    found = signature.check_content(raw, saved.content, allowed, NAMESPACE)
    return _judge(saved, found, raw)


def _judge(saved: SavedPlan, found: Signature, raw: bytes) -> PlanApproval:
    state = ApprovalState[found.state.name]
    if state is ApprovalState.VALID and any(_is(saved.author, name) for name in found.signers):
        state = ApprovalState.BY_AUTHOR
    return PlanApproval(state, found, raw)


def _is(author: str, signer: str) -> bool:
    """Whether a signer may be the author: a name or an address with it; patterns count."""
    name, pattern = author.casefold(), signer.casefold()
    return any(fnmatch.fnmatchcase(name, one) for one in (pattern, pattern.partition("@")[0]))


def require_for_run(inventory: Inventory, how: str) -> None:
    """Raises UserError for a run without a saved plan where the inventory requires a signed one.

    how: what to do instead, in a sentence.
    """
    if where := inventory.signed_approvals:
        raise UserError(
            f"nothing was changed: hale_approvals=signed requires a signed plan. {how}", where
        )


def require(saved: SavedPlan, inventory: Inventory, *, named: bool) -> PlanOrigin:
    """The origin of a saved plan whose approval is as good as the site requires.

    named: its SHA-256 was named for the run. Raises UserError for a signature that proves nothing,
    and where the inventory requires one that is good.
    """
    allowed = allowed_signers(inventory.path)
    found = check(saved, allowed)
    demanded = inventory.signed_approvals
    if found.state not in _CHECKS or (demanded and found.state is not ApprovalState.VALID):
        rule = f" ({demanded} requires a signed plan)" if demanded else ""
        raise UserError(
            f"nothing was changed{rule}: {refusal(saved, found, allowed)}", Location(saved.path)
        )
    return PlanOrigin(
        PlanSource.DIGEST if named else PlanSource.FILE,
        _CHECKS[found.state],
        found.signature.signer,
        found.signature.key,
        saved.content,
        found.raw,
    )


def refusal(saved: SavedPlan, found: PlanApproval, allowed: Path) -> str:
    """Why a signature is not good enough, and the next step."""
    key, signer = found.signature.key, found.signature.signer
    again = f"Its approver signs it: {command(saved.path)}"
    match found.state:
        case ApprovalState.MISSING:
            return f"the plan is not signed. {again}"
        case ApprovalState.MISMATCH:
            return (
                f"{signature_path(saved.path)} is no signature of this plan: it is one of another "
                f"plan or for another purpose, or the plan was changed since. {again}"
            )
        case ApprovalState.BY_AUTHOR:
            return (
                f"{signer} is the plan's author, {saved.author}, and cannot approve it. "
                "Another one signs it: invoke approve."
            )
        case ApprovalState.NO_LIST:
            return (
                f"it is signed with the {key}, and there is no {allowed}, which names who may "
                "approve. Write it (ssh-keygen(1), ALLOWED SIGNERS)."
            )
        case ApprovalState.NOT_ALLOWED:
            reason = found.signature.reason
            return (
                f"it is signed with the {key}, which {allowed} does not allow"
                f"{f' ({reason})' if reason else ''}. One whom it allows signs the plan: "
                "invoke approve."
            )
        case ApprovalState.VALID:
            return ""
