"""The changes that a remedy can plan for a host. A change is data: only hale/apply makes it.

A module of remediate/ has a pure function for each aspect that it can fix,
`fix_runtime(fact, case)` or `fix_persisted(fact, case)`. It is called when the verdict is FAIL and
returns a tuple of changes, and a `ManualStep` for what no change can fix.
"""

from enum import IntEnum, StrEnum
from typing import ClassVar

import msgspec


class Impact(StrEnum):
    """The side effects of a change."""

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


class ApplyStage(IntEnum):
    """The order in which a host's changes are applied: what lasts before what holds now.

    A masked unit cannot be disabled, so units come before symlinks; one that is started or
    restarted, after all files.
    """

    FILES = 1
    UNITS = 2
    SYMLINKS = 3
    MODULES = 4
    KERNEL_VALUES = 5
    SWAP = 6
    UNIT_STARTS = 7


class UndoStage(IntEnum):
    """The order in which they are undone.

    A unit can be started only once it is not masked any more, and a module is unloaded after the
    values that came with it are put back.
    """

    FILES = 1
    SYMLINKS = 2
    UNITS = 3
    KERNEL_VALUES = 4
    MODULES = 5
    SWAP = 6


class Change(msgspec.Struct, frozen=True, rename=_SAVED_NAMES):
    """What all kinds of change have in common.

    summary: what a remedy with such a change does, for docs/requirements; empty where no remedy
    makes one.
    """

    summary: ClassVar[str] = ""
    stage: ClassVar[ApplyStage]
    undo_stage: ClassVar[UndoStage]

    @property
    def apply_order(self) -> int:
        """Where it comes among a host's changes."""
        return self.stage

    def describe(self) -> str:
        """The change in one line, as a command would make it."""
        raise NotImplementedError


class ReplaceLine(msgspec.Struct, frozen=True, tag="Replace"):
    """Replace a line. `old` is its text as the fact read it (leading and trailing blanks are
    ignored, secrets are masked): where the line differs, nothing is changed. `{}` in `new` stands
    for the current line, so that a secret in it, or a byte that is not text, survives being
    commented out. A newline in `new` begins another line.
    """

    line: int  # from 1
    old: str
    new: str


class AppendLine(msgspec.Struct, frozen=True, tag="Append"):
    """Add a line at the end, unless it is there; a missing last newline is added before it."""

    text: str


LineEdit = ReplaceLine | AppendLine

# `new` of a ReplaceLine that disables a line.
COMMENTED = "# commented by Hale: {}"


class FileEdit(Change, frozen=True, tag="FileChange"):
    """Edit a text file, keeping all other bytes, mode, owner and label; created if missing.

    Edits of several requirements to one file become one write.
    """

    summary = "edits files: each is written beside its place and renamed over it"
    stage = ApplyStage.FILES
    undo_stage = UndoStage.FILES

    path: str
    edits: tuple[LineEdit, ...]
    reason: str
    effects: tuple[Impact, ...] = ()

    def describe(self) -> str:
        """See Change."""
        return f"edit {self.path}"


class RestoreFile(Change, frozen=True, tag="Restore"):
    """Restore a file from the backup of a run: content, mode, owner, times, label.

    backup_path: the backup on the host. precondition: SHA-256 of the current content, which the run
    wrote. sha256: of the original; empty where there was no file: then the file is removed, with
    `folders`, those that the run created for it, if they are empty.
    """

    stage = ApplyStage.FILES
    undo_stage = UndoStage.FILES

    path: str
    backup_path: str
    precondition: str
    sha256: str
    reason: str
    folders: tuple[str, ...] = ()
    effects: tuple[Impact, ...] = ()

    def describe(self) -> str:
        """See Change."""
        return f"restore {self.path}" if self.sha256 else f"remove {self.path}"


class SymlinkChange(Change, frozen=True, tag="LinkChange"):
    """Make `path` a symbolic link, as `systemctl mask` does with /dev/null, or remove it.

    target: None to remove it. precondition: the current target, None where there is nothing.
    folders: as of RestoreFile.
    """

    summary = "makes, turns or removes symbolic links, as `systemctl mask` does"
    stage = ApplyStage.SYMLINKS
    undo_stage = UndoStage.SYMLINKS

    path: str
    target: str | None
    precondition: str | None
    reason: str
    effects: tuple[Impact, ...] = ()
    folders: tuple[str, ...] = ()

    def describe(self) -> str:
        """See Change."""
        if self.target is None:
            return f"remove the link {self.path}"
        return f"{self.path} -> {self.target}"


class KernelValueChange(Change, frozen=True, tag="ValueChange"):
    """Write a kernel value, in /proc/sys or /sys, that reads `precondition` now.

    preserve: patterns of values that the kernel changes as a side effect; they are restored at
    once. cascades_to: patterns of values that the kernel sets to the same, which is wanted. Only
    undo restores them, with write_after: paths and values that are written after the value.
    """

    summary = "writes values of the running kernel"
    stage = ApplyStage.KERNEL_VALUES
    undo_stage = UndoStage.KERNEL_VALUES

    path: str
    precondition: str
    value: str
    reason: str
    preserve: tuple[str, ...] = ()
    effects: tuple[Impact, ...] = ()
    cascades_to: tuple[str, ...] = ()
    write_after: tuple[tuple[str, str], ...] = ()

    def describe(self) -> str:
        """See Change."""
        return f"{self.path}: {self.precondition} -> {self.value}"


class UnitChange(Change, frozen=True, tag="UnitChange"):
    """Stop, disable, start or restart a systemd unit.

    active, enabled: its state now, as systemctl has it; empty where it does not matter.
    """

    summary = "stops, disables, starts or restarts systemd units"
    stage = ApplyStage.UNITS
    undo_stage = UndoStage.UNITS

    unit: str
    action: UnitAction
    active: str
    enabled: str
    reason: str
    effects: tuple[Impact, ...] = ()

    @property
    def apply_order(self) -> int:
        """Starts and restarts come last."""
        starts = self.action in (UnitAction.START, UnitAction.RESTART)
        return ApplyStage.UNIT_STARTS if starts else self.stage

    def describe(self) -> str:
        """See Change."""
        return f"systemctl {self.action} {self.unit}"


class SwapOff(Change, frozen=True, tag="SwapChange"):
    """Turn a swap device off, if the available memory exceeds its use by `margin_kib`."""

    summary = "turns swap devices off, one at a time, if memory has room for them"
    stage = ApplyStage.SWAP
    undo_stage = UndoStage.SWAP

    device: str
    used_kib: int
    reason: str
    margin_kib: int = 0
    effects: tuple[Impact, ...] = ()

    def describe(self) -> str:
        """See Change."""
        return f"swapoff {self.device}"


class SwapOn(Change, frozen=True, tag="SwapOn"):
    """Turn a swap device on again; a negative priority is the kernel's own choice (swapon(8))."""

    stage = ApplyStage.SWAP
    undo_stage = UndoStage.SWAP

    device: str
    priority: int
    reason: str
    effects: tuple[Impact, ...] = ()

    def describe(self) -> str:
        """See Change."""
        return f"swapon {self.device}"


class ModuleChange(Change, frozen=True, tag="ModuleChange"):
    """Load a kernel module; or unload it, which the kernel refuses while it is in use."""

    summary = "loads a kernel module"
    stage = ApplyStage.MODULES
    undo_stage = UndoStage.MODULES

    name: str
    reason: str
    load: bool = True
    effects: tuple[Impact, ...] = ()

    def describe(self) -> str:
        """See Change."""
        return f"modprobe {'' if self.load else '-r '}{self.name}"


class ManualStep(msgspec.Struct, frozen=True, tag="ByHand", rename=_SAVED_NAMES):
    """What only a person can do, with instructions; or why Hale refuses to do it."""

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
