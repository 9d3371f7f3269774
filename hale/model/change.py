"""What a remedy may want of a host. A change is data: only the engine's apply writes.

A module of remediate/ has, for each aspect it can mend, a pure function of that name,
`runtime(fact, case)` or `persisted(fact, case)`, which is called when the verdict is FAIL and
returns a tuple of changes. What no change can mend is said by `ByHand`.
"""

from enum import StrEnum

import msgspec


class Impact(StrEnum):
    """What a change costs besides itself."""

    RESTARTS_SERVICE = "restarts a service"
    NEEDS_REBOOT = "needs a reboot to take effect"
    DISRUPTS_TRAFFIC = "interrupts traffic"
    IRREVERSIBLE = "cannot be undone"


class UnitAction(StrEnum):
    """What `systemctl` is to do with a unit."""

    STOP = "stop"
    DISABLE = "disable"
    START = "start"
    RESTART = "restart"


# Fields as plans and journals have them in hale.plan/1 and hale.journal/1.
_SAVED_NAMES = {
    "reason": "why",
    "backup_path": "kept",
    "precondition": "expect",
    "preserve": "keep",
    "cascades_to": "follow",
    "write_after": "then",
    "action": "verb",
    "instructions": "what",
}


class ReplaceLine(msgspec.Struct, frozen=True, tag="Replace"):
    """Replace a line. `old` is its text as the fact read it (blanks around it do not count, and
    secrets are masked): where the line differs, nothing is done. `{}` in `new` stands for the
    line as it is, so that a secret in it, or a byte that is no text, survives being commented.
    A newline in `new` begins another line.
    """

    line: int  # from 1
    old: str
    new: str


class AppendLine(msgspec.Struct, frozen=True, tag="Append"):
    """Add a line at the end, once; a missing last newline is added before it."""

    text: str


LineEdit = ReplaceLine | AppendLine

# How a line that must not count any more is kept, as `new` of its Replace.
COMMENTED = "# commented by Hale: {}"


class FileEdit(msgspec.Struct, frozen=True, tag="FileChange", rename=_SAVED_NAMES):
    """Edit a text file, keeping all other bytes, mode, owner and label; made if it is not there.

    Edits of several requirements to one file become one write.
    """

    path: str
    edits: tuple[LineEdit, ...]
    reason: str
    effects: tuple[Impact, ...] = ()


class RestoreFile(msgspec.Struct, frozen=True, tag="Restore", rename=_SAVED_NAMES):
    """Put a file back as a run kept it: bytes, mode, owner, times, label.

    kept: the kept original on the host. expect: SHA-256 of the bytes that are there now, as the
    run left them. sha256: of the original; empty where there was no file, which then is removed,
    with `folders`, the empty ones that the run had made for it.
    """

    path: str
    backup_path: str
    precondition: str
    sha256: str
    reason: str
    folders: tuple[str, ...] = ()
    effects: tuple[Impact, ...] = ()


class SymlinkChange(msgspec.Struct, frozen=True, tag="LinkChange", rename=_SAVED_NAMES):
    """Make `path` a symbolic link, as `systemctl mask` does with /dev/null, or remove it where
    `target` is None; `expect`: the target of the link that is there now, or None for nothing;
    `folders`: as of Restore."""

    path: str
    target: str | None
    precondition: str | None
    reason: str
    effects: tuple[Impact, ...] = ()
    folders: tuple[str, ...] = ()


class KernelValueChange(msgspec.Struct, frozen=True, tag="ValueChange", rename=_SAVED_NAMES):
    """Write a kernel value, in /proc/sys or /sys, that reads `expect` now.

    `keep`: patterns of values that the kernel changes along and that are put back at once.
    `follow`: patterns of values that the kernel makes the same, which is wanted; only what takes
    the step back puts them back, by `then`: paths and values that are written afterwards.
    """

    path: str
    precondition: str
    value: str
    reason: str
    preserve: tuple[str, ...] = ()
    effects: tuple[Impact, ...] = ()
    cascades_to: tuple[str, ...] = ()
    write_after: tuple[tuple[str, str], ...] = ()


class UnitChange(msgspec.Struct, frozen=True, tag="UnitChange", rename=_SAVED_NAMES):
    """Stop, disable, start or restart a systemd unit.

    active, enabled: what `systemctl` says of it now; empty where that does not matter.
    """

    unit: str
    action: UnitAction
    active: str
    enabled: str
    reason: str
    effects: tuple[Impact, ...] = ()


class SwapOff(msgspec.Struct, frozen=True, tag="SwapChange", rename=_SAVED_NAMES):
    """Turn a swap device off, if memory that is available exceeds what is in it by `margin_kib`."""

    device: str
    used_kib: int
    reason: str
    margin_kib: int = 0
    effects: tuple[Impact, ...] = ()


class SwapOn(msgspec.Struct, frozen=True, tag="SwapOn", rename=_SAVED_NAMES):
    """Turn a swap device on again; a negative priority is the kernel's own choice (swapon(8))."""

    device: str
    priority: int
    reason: str
    effects: tuple[Impact, ...] = ()


class ModuleChange(msgspec.Struct, frozen=True, tag="ModuleChange", rename=_SAVED_NAMES):
    """Load a kernel module; or unload it, which the kernel refuses while it is in use."""

    name: str
    reason: str
    load: bool = True
    effects: tuple[Impact, ...] = ()


class ManualStep(msgspec.Struct, frozen=True, tag="ByHand", rename=_SAVED_NAMES):
    """What only a person can do, and how; or why Hale refuses to do it."""

    instructions: str


Action = (
    FileEdit
    | RestoreFile
    | SymlinkChange
    | UnitChange
    | ModuleChange
    | KernelValueChange
    | SwapOff
    | SwapOn
)
Remedy = Action | ManualStep
