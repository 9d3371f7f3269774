"""SHA256SUMS.sig: the manifest signed with an ssh key, as ssh-keygen(1) does with -Y.

By hand, in the run's folder:

    ssh-keygen -Y verify -f allowed_signers -I WHO -n hale -s SHA256SUMS.sig < SHA256SUMS

Who may sign stands in allowed_signers (ssh-keygen(1), ALLOWED SIGNERS), never in the run itself.
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

NAMESPACE = "hale"
ALLOWED_SIGNERS = "allowed_signers"  # beside the inventory
KEY_VARIABLE = "HALE_SIGN_KEY"  # the key that signs every run at its end
MOST = regular.MIB  # of a signature, and of allowed_signers
_TIMEOUT = 300.0  # seconds for ssh-keygen, which may wait for a passphrase or a touch of the key

_Ran = subprocess.CompletedProcess[bytes]


class SignatureState(Enum):
    """What a signature is worth.

    MISMATCH: it was not made over this manifest. NOT_ALLOWED: of a key that allowed_signers does
    not have for the namespace, or no longer has. NO_LIST: there is no allowed_signers.
    """

    VALID = auto()
    MISSING = auto()
    MISMATCH = auto()
    NOT_ALLOWED = auto()
    NO_LIST = auto()


class Signature(Struct, frozen=True):
    """A signature that was checked. signer: as allowed_signers has it. key: its fingerprint."""

    state: SignatureState
    signer: str = ""
    key: str = ""


def seal(folder: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Write the manifest of a run that has ended, and sign it if HALE_SIGN_KEY names a key.

    A signature of an earlier manifest is removed. Raises UserError.
    """
    (folder / manifest.SIGNATURE).unlink(missing_ok=True)
    manifest.write(folder)
    if key := environment.get(KEY_VARIABLE, "").strip():
        sign(folder, Path(key).expanduser())


def sign(folder: Path, key: Path) -> None:
    """Sign the manifest. Raises UserError, with the reason that ssh-keygen gives.

    key: a private key, or the public key of one that ssh-agent has. ssh-keygen asks for a
    passphrase on the terminal.
    """
    content = manifest.read(folder)
    if not key.is_file():
        raise UserError("there is no such key: name an ssh key, or its .pub.", Location(key))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, manifest.NAME)
        path.write_bytes(content)
        ran = _keygen(["-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(path)], None)
        if ran.returncode != 0:
            raise UserError(
                f"the run is not signed: {_reason(ran)}. Load the key with ssh-add, or name "
                "another one.",
                Location(key),
            )
        signed = path.with_name(manifest.SIGNATURE).read_bytes()
    atomic.write(folder / manifest.SIGNATURE, signed)


def check(folder: Path, content: bytes, allowed: Path) -> Signature:
    """What the folder's signature is worth. Raises UserError for files that are no regular ones.

    content: of the manifest. allowed: the file of allowed signers.
    """
    path = folder / manifest.SIGNATURE
    if not os.path.lexists(path):
        return Signature(SignatureState.MISSING)
    raw = versioned.read(path, "signature", MOST)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, manifest.SIGNATURE)
        copy.write_bytes(raw)
        made = _keygen(["-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(copy)], content)
        if made.returncode != 0:
            return Signature(SignatureState.MISMATCH)
        found = re.search(rb"\bwith (\S+ key SHA256:\S+)", made.stdout)
        key = found[1].decode(errors="replace") if found else ""
        if not allowed.exists():
            return Signature(SignatureState.NO_LIST, key=key)
        known = Path(scratch, ALLOWED_SIGNERS)
        known.write_bytes(versioned.read(allowed, "list of signers", MOST))
        options = ["-s", str(copy), "-f", str(known)]
        named = _keygen(["-Y", "find-principals", *options], b"")
        for name in named.stdout.decode(errors="replace").splitlines():
            verify = ["-Y", "verify", "-n", NAMESPACE, "-I", name, *options]
            if _keygen(verify, content).returncode == 0:
                return Signature(SignatureState.VALID, name, key)
    return Signature(SignatureState.NOT_ALLOWED, key=key)


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
