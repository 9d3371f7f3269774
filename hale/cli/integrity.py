"""`invoke report verify | sign`: whether a run's files are those that it wrote, and who signed."""

import os
from pathlib import Path

from hale.cli import run_folder
from hale.files import manifest, signature
from hale.files.manifest import FileDifference, FileState
from hale.files.signature import KEY_VARIABLE, Signature, SignatureState
from hale.model.errors import UserError
from hale.report.text import escape_controls

VERIFY, SIGN = "verify", "sign"  # the words in place of a run
TAMPERED = 1  # exit status of a run that is not verified
_MAX_LINES = 50  # of files that differ

_STATES = {
    FileState.CHANGED: "changed",
    FileState.MISSING: "missing",
    FileState.ADDED: "added",
    FileState.UNFIT: "refused",
}


def verify(run: str, reports: Path, inventory: Path) -> tuple[str, int]:
    """What to print about a run, and the exit status. Raises UserError.

    run: a folder of `reports`, or a path. inventory: who may sign stands beside it. The run's own
    record is not used for that: whoever changes a run could name another inventory there.
    """
    folder = run_folder.find_folder(run, reports)
    content = _manifest(folder)
    differ = manifest.differences(folder, content)
    allowed = inventory.with_name(signature.ALLOWED_SIGNERS)
    signed = signature.check(folder, content, allowed)
    line, accepted = _signature_line(signed, allowed)
    if differ:
        lines = [f"TAMPERED: {len(differ)} files are not as {manifest.NAME} has them"]
        lines += _difference_lines(differ)
    else:
        lines = [f"{manifest.count(content)} files are as {manifest.NAME} has them"]
    text = "".join(f"{escape_controls(each)}\n" for each in [*lines, line])
    return text, 0 if accepted and not differ else TAMPERED


def sign(run: str, reports: Path, key: str) -> str:
    """Sign the manifest of a run; returns what to print.

    Raises UserError for a run that is not as its manifest has it, and without a key.
    """
    typed = key or os.environ.get(KEY_VARIABLE, "")
    if not typed.strip():
        raise UserError(f"name the ssh key: --key FILE, or the variable {KEY_VARIABLE}.")
    folder = run_folder.find_folder(run, reports)
    differ = manifest.differences(folder, _manifest(folder))
    if differ:
        lines = "\n".join(_difference_lines(differ))
        raise UserError(f"nothing is signed: {folder.name} is not as it was written:\n{lines}")
    signature.sign(folder, Path(typed).expanduser())
    return escape_controls(f"signed: {folder / manifest.SIGNATURE}") + "\n"


def _manifest(folder: Path) -> bytes:
    """Raises UserError for a run without one."""
    if not os.path.lexists(folder / manifest.NAME):
        raise UserError(
            f"{folder.name} has no {manifest.NAME}: it was interrupted, still runs, or "
            "an earlier version made it. Nothing proves what its files were."
        )
    return manifest.read(folder)


def _difference_lines(differ: list[FileDifference]) -> list[str]:
    lines = [
        f"  {_STATES[one.state]}: {one.path}" + (f" ({one.kind})" if one.kind else "")
        for one in differ[:_MAX_LINES]
    ]
    more = len(differ) - _MAX_LINES
    return [*lines, f"  and {more} more"] if more > 0 else lines


def _signature_line(signed: Signature, allowed: Path) -> tuple[str, bool]:
    """The line about the signature, and whether it is as good as the site requires."""
    match signed.state:
        case SignatureState.VALID:
            return f"signed by {signed.signer} ({signed.key})", True
        case SignatureState.MISSING if signature.has_list(allowed):
            return f"NOT SIGNED, and {allowed} names who must", False
        case SignatureState.MISSING:
            return f"not signed: whoever could change a file could change {manifest.NAME} too", True
        case SignatureState.NOT_ALLOWED:
            return f"KEY NOT ALLOWED: {allowed} does not have the signature's {signed.key}", False
        case SignatureState.NO_LIST:
            return f"KEY NOT KNOWN: signed with the {signed.key}, and there is no {allowed}", False
        case SignatureState.MISMATCH:
            return (
                f"SIGNATURE OF ANOTHER RUN, or {manifest.NAME} was changed after it was signed",
                False,
            )
