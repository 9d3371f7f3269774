"""A step whose original is kept, and where."""

from dataclasses import dataclass

from hale.model.change import FileEdit, RestoreFile, SwapOff, SwapOn, SymlinkChange, UnitChange
from hale.plan.plan import Step

HOME = "/var/lib/hale"
RUNS = f"{HOME}/runs"


@dataclass(frozen=True)
class PreparedStep:
    """What `keep` left and found: the step with its contents, ready to be done."""

    step: Step
    folder: str
    after: str  # SHA-256 of the file's bytes as the step leaves them; ABSENT for anything else
    # `folder PATH` that has to be made, `priority N` of a swap, `was PATH VALUE` of a value that
    # another leads.
    notes: tuple[str, ...]

    @property
    def before(self) -> str:
        """SHA-256 of the file's bytes as the step expects them; ABSENT for anything else."""
        change = self.step.change
        return change.precondition if isinstance(change, RestoreFile) else self.step.sha256

    @property
    def wants_daemon_reload(self) -> bool:
        """Whether it is done only once systemd has read its files anew: `Writer.reload`."""
        match self.step.change:
            case FileEdit(path=path) | RestoreFile(path=path) | SymlinkChange(path=path):
                return path == "/etc/fstab" or path.startswith("/etc/systemd/")
            case UnitChange(action=verb):
                return verb == "disable"
        return False

    @property
    def needs_fresh_units(self) -> bool:
        """Whether systemd must have read its files before: it acts on them."""
        match self.step.change:
            case UnitChange(action=verb):
                return verb in ("start", "restart")
            case SwapOff() | SwapOn():
                return True
        return False
