"""What a kind of change has to say for itself: its scripts, their variables, and its inverse."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

from hale.apply.prepared import PreparedStep
from hale.model.change import Action, Remedy
from hale.plan.plan import ABSENT, Step
from hale.shell import load_script, variables

HERE = Path(__file__).parent
C = TypeVar("C", bound=Action)


class Handler(ABC, Generic[C]):
    """Backs up, applies and undoes one kind of change.

    Both scripts start with the variables and the `common` script, and use the functions of
    ../step.sh. backup: checks the precondition, copies what is there into step_dir, and prints
    the notes of PreparedStep. apply: checks again, changes, and checks the result. timeout: of
    apply, seconds.
    """

    common = ""
    backup: str
    apply: str
    timeout = 120.0

    @abstractmethod
    def variables(self, change: C, prepared: PreparedStep) -> dict[str, str]:
        """The scripts' variables."""

    @abstractmethod
    def inverse(
        self, change: C, prepared: PreparedStep, output: Sequence[str]
    ) -> tuple[Remedy, ...]:
        """The changes that undo it. output: lines that `apply` printed."""

    def backup_script(self, prepared: PreparedStep) -> str:
        """The script that checks the precondition and keeps what is there."""
        return self._script(prepared, self.backup)

    def apply_script(self, prepared: PreparedStep) -> str:
        """The script that makes the change."""
        return self._script(prepared, self.apply)

    def _script(self, prepared: PreparedStep, name: str) -> str:
        change: C = prepared.step.change  # type: ignore[assignment]
        return variables(**self.variables(change, prepared)) + self.script_body(name)

    def script_body(self, name: str) -> str:
        """`backup` or `apply` without the variables that it is given."""
        names = (self.common, name) if self.common else (name,)
        return "".join(load_script(HERE / each) for each in names)

    def prints_removed_links(self, change: C) -> bool:
        """Whether `apply` prints links that it removed, which is all that there is to undo.

        Other inverses need no output, so a host on trial can have them before the change is made.
        """
        return False

    # --- of files only ---

    def file_to_edit(self, change: C) -> str:
        """The path of the file whose content `new_content` needs; empty for none."""
        return ""

    def new_content(self, change: C, before: bytes | None) -> bytes:
        """The file's content after the edit. Raises PreconditionFailed."""
        raise NotImplementedError

    def files_to_hash(self, change: C) -> tuple[str, ...]:
        """Files whose checksums and attributes the backup reads, for all steps at once."""
        return ()

    def sha256_before(self, change: C, step: Step) -> str:
        """SHA-256 of the file's content as the step expects it; ABSENT for anything else."""
        return ABSENT

    def sha256_after(self, change: C, content: bytes | None) -> str:
        """SHA-256 of the file's content after the step. content: of `new_content`."""
        return ABSENT

    # --- systemd ---

    def wants_daemon_reload(self, change: C) -> bool:
        """Whether the change holds only after `systemctl daemon-reload`."""
        return False

    def needs_fresh_units(self, change: C) -> bool:
        """Whether systemd must have read its files before, because the change acts on them."""
        return False


def undo_reason(change: Action) -> str:
    """The reason of a change that undoes this one."""
    return f"undoes: {change.reason}"


def is_unit_source(path: str) -> bool:
    """Whether systemd reads that file: its own, and fstab, of which it makes units."""
    return path == "/etc/fstab" or path.startswith("/etc/systemd/")
