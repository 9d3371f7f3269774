"""Signatures with an ssh key, as ssh-keygen(1) makes them with -Y: SHA256SUMS.sig of a run.

By hand, in the run's folder:

    ssh-keygen -Y verify -f allowed_signers -I WHO -n hale -s SHA256SUMS.sig < SHA256SUMS

Who may sign stands in allowed_signers (ssh-keygen(1), ALLOWED SIGNERS), never in the run itself.
The namespace keeps a signature of a run from being taken for one of a plan.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from pathlib import Path

from msgspec import Struct

from hale.files import atomic, manifest, regular, versioned
from hale.model.errors import Location, UserError

NAMESPACE = "hale"  # of runs
ALLOWED_SIGNERS = "allowed_signers"  # beside the inventory
KEY_VARIABLE = "HALE_SIGN_KEY"  # the key that signs every run at its end
MOST = regular.MIB  # of a signature, and of allowed_signers
_TIMEOUT = 300.0  # seconds for ssh-keygen, which may wait for a passphrase or a touch of the key

_Ran = subprocess.CompletedProcess[bytes]


class SignatureState(Enum):
    """What a signature is worth.

    MISMATCH: it was not made over this content. NOT_ALLOWED: of a key that allowed_signers does
    not have for the namespace, or no longer has. NO_LIST: there is no allowed_signers.
    """

    VALID = auto()
    MISSING = auto()
    MISMATCH = auto()
    NOT_ALLOWED = auto()
    NO_LIST = auto()


class Signature(Struct, frozen=True):
    """A signature that was checked.

    signer: as allowed_signers has it, and `signers` all its names there. key: its fingerprint.
    reason: why the key is not allowed, in the words of ssh-keygen, "" where it has none.
    """

    state: SignatureState
    signer: str = ""
    key: str = ""
    signers: tuple[str, ...] = ()
    reason: str = ""


def seal(folder: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Write the manifest of a run that has ended, and sign it if HALE_SIGN_KEY names a key.

    A signature of an earlier manifest is removed. Raises UserError.
    """
    (folder / manifest.SIGNATURE).unlink(missing_ok=True)
    manifest.write(folder)
    if key := environment.get(KEY_VARIABLE, "").strip():
        sign(folder, Path(key).expanduser())


def sign(folder: Path, key: Path) -> None:
    """Sign the manifest, as `sign_content` does. Raises UserError."""
    signed = sign_content(manifest.read(folder), key, NAMESPACE, "run")
    atomic.write(folder / manifest.SIGNATURE, signed)


def sign_content(content: bytes, key: Path, namespace: str, name: str) -> bytes:
    """The signature over that content. Raises UserError, with the reason that ssh-keygen gives.

    key: a private key, or the public key of one that ssh-agent has. ssh-keygen asks for a
    passphrase on the terminal. name: what is signed, for messages.
    """
    if not key.is_file():
        raise UserError("there is no such key: name an ssh key, or its .pub.", Location(key))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "content")
        path.write_bytes(content)
        ran = _keygen(["-Y", "sign", "-f", str(key), "-n", namespace, str(path)], None)
        if ran.returncode != 0:
            raise UserError(
                f"the {name} is not signed: {_reason(ran)}. Load the key with ssh-add, or name "
                "another one.",
                Location(key),
            )
        return path.with_name("content.sig").read_bytes()


def check(folder: Path, content: bytes, allowed: Path) -> Signature:
    """What the folder's signature is worth. Raises UserError for files that are no regular ones.

    content: of the manifest. allowed: the file of allowed signers.
    """
    path = folder / manifest.SIGNATURE
    if not os.path.lexists(path):
        return Signature(SignatureState.MISSING)
    return check_content(versioned.read(path, "signature", MOST), content, allowed, NAMESPACE)


def has_list(allowed: Path) -> bool:
    """Whether there is a list of signers, if only a link that leads nowhere: a list that cannot be
    read must not count as none, where no signature is required. Raises UserError."""
    try:
        allowed.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}.", Location(allowed)) from None
    return True


def check_content(raw: bytes, content: bytes, allowed: Path, namespace: str) -> Signature:
    """What a signature is worth for that content. Raises UserError as `check` does."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, "signature")
        copy.write_bytes(raw)
        made = _keygen(["-Y", "check-novalidate", "-n", namespace, "-s", str(copy)], content)
        if made.returncode != 0:
            return Signature(SignatureState.MISMATCH)
        found = re.search(rb"\bwith (\S+ key SHA256:\S+)", made.stdout)
        key = found[1].decode(errors="replace") if found else ""
        if not has_list(allowed):
            return Signature(SignatureState.NO_LIST, key=key)
        known = Path(scratch, ALLOWED_SIGNERS)
        known.write_bytes(versioned.read(allowed, "list of signers", MOST))
        return _by_whom(copy, known, content, namespace, key)


def _by_whom(copy: Path, known: Path, content: bytes, namespace: str, key: str) -> Signature:
    options = ["-s", str(copy), "-f", str(known)]
    named = _keygen(["-Y", "find-principals", *options], b"")
    ran, signers = named, []
    for name in named.stdout.decode(errors="replace").splitlines():
        ran = _keygen(["-Y", "verify", "-n", namespace, "-I", name, *options], content)
        if ran.returncode == 0:
            signers.append(name)
    if signers:
        return Signature(SignatureState.VALID, signers[0], key, tuple(signers))
    return Signature(SignatureState.NOT_ALLOWED, key=key, reason=_rejection(ran, known))


def _rejection(ran: _Ran, known: Path) -> str:
    """What ssh-keygen has against the line of a key, such as that it has expired; "" if nothing."""
    for line in ran.stderr.decode(errors="replace").splitlines():
        if found := re.fullmatch(rf"{re.escape(str(known))}:(\d+): (.+)", line):
            return f"line {found[1]}: {found[2]}"
    return ""


def _keygen(arguments: Sequence[str], content: bytes | None) -> _Ran:
    """Run ssh-keygen. content: its standard input; None for that of Hale itself."""
    try:
        return subprocess.run(
            ["ssh-keygen", *arguments],
            input=content,
            capture_output=True,
            check=False,
            timeout=_TIMEOUT,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise UserError("there is no ssh-keygen here: install OpenSSH's client.") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"ssh-keygen did not answer in {_TIMEOUT:.0f} seconds.") from None


def _reason(ran: _Ran) -> str:
    lines = ran.stderr.decode(errors="replace").splitlines()
    return next((line.strip().rstrip(".") for line in reversed(lines) if line.strip()), "no reason")
