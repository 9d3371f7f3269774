"""Files: edited, or restored from a backup."""

import shlex
from collections.abc import Sequence

from hale.apply.handlers.handler import Handler, is_unit_source, undo_reason
from hale.apply.prepared import PreconditionFailed, PreparedStep
from hale.model.change import AppendLine, FileEdit, Remedy, RestoreFile
from hale.plan import line_edit, plan
from hale.plan.plan import ABSENT, Step


class _FileHandler:
    common = "file.sh"
    backup = "file.backup.sh"
    apply = "file.apply.sh"

    def files_to_hash(self, change: FileEdit | RestoreFile) -> tuple[str, ...]:
        return (change.path,)

    def wants_daemon_reload(self, change: FileEdit | RestoreFile) -> bool:
        return is_unit_source(change.path)

    def inverse(
        self, change: FileEdit | RestoreFile, prepared: PreparedStep, output: Sequence[str]
    ) -> tuple[Remedy, ...]:
        original = f"{prepared.folder}/original"
        before = self.sha256_before(change, prepared.step)
        folders = tuple(prepared.noted("folder"))
        reason = undo_reason(change)
        return (
            RestoreFile(
                change.path, original, prepared.after, before, reason, folders, change.effects
            ),
        )

    def sha256_before(self, change: FileEdit | RestoreFile, step: Step) -> str:
        return change.precondition if isinstance(change, RestoreFile) else step.sha256


class FileEditHandler(_FileHandler, Handler[FileEdit]):
    """Edits lines: the new content is made here, from what the host has now."""

    def variables(self, change: FileEdit, prepared: PreparedStep) -> dict[str, str]:
        """See file.sh and file.apply.sh."""
        return {
            "path": change.path,
            "before": prepared.step.sha256,
            "after": prepared.after,
            "source": "",
            "folders": "",
        }

    def file_to_edit(self, change: FileEdit) -> str:
        """The file itself."""
        return change.path

    def new_content(self, change: FileEdit, before: bytes | None) -> bytes:
        """The edited content; the old one where each edit is there already."""
        try:
            return line_edit.apply_edits(before or b"", change.edits)
        except line_edit.LineMismatch as error:
            if before is not None and all(
                isinstance(e, AppendLine) or e.new.encode() in before for e in change.edits
            ):
                return before
            raise PreconditionFailed(f"{change.path}: {error}") from None

    def sha256_after(self, change: FileEdit, content: bytes | None) -> str:
        """Of the edited content."""
        return ABSENT if content is None else plan.sha256(content)


class RestoreFileHandler(_FileHandler, Handler[RestoreFile]):
    """Puts a backup back; removes the file where there was none."""

    def variables(self, change: RestoreFile, prepared: PreparedStep) -> dict[str, str]:
        """See file.sh and file.apply.sh."""
        return {
            "path": change.path,
            "before": change.precondition,
            "after": prepared.after,
            "source": change.backup_path,
            "folders": " ".join(map(shlex.quote, change.folders)),
        }

    def sha256_after(self, change: RestoreFile, content: bytes | None) -> str:
        """Of the original."""
        return change.sha256


HANDLERS = {FileEdit: FileEditHandler(), RestoreFile: RestoreFileHandler()}
