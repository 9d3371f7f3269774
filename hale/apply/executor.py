"""One step on one host: back up what is there, then change it, completely or not at all.

First `prepare` checks the preconditions of all steps and backs up what they change, each into
RUNS/<run>/<step>/; all backups are on disk before it returns, and nothing is changed before. Then
each step is a command of its own, with the journal's entries around it: `apply` checks again,
changes, and checks the result. `recover` changes nothing and says which of the two states the host
is in, so a step that was interrupted is known to be applied or not.

A file is written beside its place, with the mode, owner, ACL, attributes and SELinux label of
the old one, fsync'ed and renamed over it: rename(2), fsync(2), cp(1) `--preserve`, sync(1).
Needed on the host: a POSIX sh, coreutils, findutils, grep, systemctl; no Python.
"""

import base64
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from hale.apply import backup, trial
from hale.apply.handlers import handler_of, inverse_changes
from hale.apply.journal import StepState
from hale.apply.prepared import (
    NOT_APPLIED,
    PRECONDITION_FAILED,
    RUNS,
    UNCHANGED,
    PreconditionFailed,
    PreparedStep,
    StepFailed,
    UndoUnknown,
    answers_parsed,
)
from hale.model.change import Remedy
from hale.plan import plan
from hale.plan.plan import ABSENT, Step
from hale.shell import variables
from hale.ssh import Session
from hale.ssh.remote.files import FileUnreadable, failure_text, read_files, stderr_text

TIMEOUT = 120.0  # seconds for a backup, a reload, or reading files
RELOAD = "systemctl daemon-reload\n"


class StepExecutor:
    """Prepares and applies the steps of one run on one host."""

    def __init__(self, session: Session, run: str, *, on_trial: bool = False) -> None:
        """on_trial: the host undoes the run by itself, so it records each step too."""
        self._session = session
        self._run = run
        self._on_trial = on_trial

    def prepare(
        self, steps: Mapping[int, Step]
    ) -> "dict[int, PreparedStep | PreconditionFailed | StepFailed | None]":
        """Back up what these steps change, in one go; None where the host is as wanted already.

        steps: by number, unique in the run and host. A step that fails here does not keep the
        others from being prepared. Raises StepFailed where none could be, and what Session.run
        raises.
        """
        contents = self._new_contents(steps)
        script: list[str] = []
        begun: dict[int, PreparedStep] = {}
        found: dict[int, PreparedStep | PreconditionFailed | StepFailed | None] = {}
        for number, step in steps.items():
            edited = contents.get(number)
            if isinstance(edited, PreconditionFailed | StepFailed):
                found[number] = edited
                continue
            content = edited.after if edited else None
            folder = f"{RUNS}/{self._run}/{number}"
            after = handler_of(step.change).sha256_after(step.change, content)
            begun[number] = PreparedStep(step, folder, after, ())
            script += backup.lines(begun[number], content)
        if not begun:
            return found
        script.insert(0, backup.begin(begun.values()))
        script.append(backup.end(f"{RUNS}/{self._run}"))
        done = self._session.run("exec /bin/sh", TIMEOUT, "".join(script).encode())
        if done.exit_status:
            raise StepFailed(failure_text(done.exit_status, done.stderr))
        with answers_parsed(self._session.target.name):
            *answers, (_, sums, _) = _parse_backup_output(
                done.stdout.decode(errors="surrogateescape").splitlines()
            )
            originals = {path: sha for sha, path in (line.split("  ", 1) for line in sums)}
            for (number, prepared), answer in zip(begun.items(), answers, strict=True):
                found[number] = _prepared(
                    prepared, *answer, originals.get(f"{prepared.folder}/original", ABSENT)
                )
                if isinstance(found[number], PreparedStep):
                    inverse_changes(replace(prepared, notes=answer[1]), ())  # the notes make sense
                    if why := _not_as_planned(prepared.step, contents.get(number)):
                        found[number] = StepFailed(why)
        return found

    def apply(self, prepared: PreparedStep) -> tuple[Remedy, ...]:
        """Change the host; returns the changes that undo it. Raises as `prepare` does.

        Raises UndoUnknown where the change was made, and the answer cannot be parsed.
        A step that wants a daemon-reload holds only after `reload`, which serves for all of them.
        """
        handler = handler_of(prepared.step.change)
        script = handler.apply_script(prepared)
        if self._on_trial:
            script = trial.step_script(self._run, script)
        _, output = self._run_script(prepared.folder, script, handler.timeout)
        return self._inverse(prepared, output)

    def _inverse(self, prepared: PreparedStep, output: str) -> tuple[Remedy, ...]:
        try:
            with answers_parsed(self._session.target.name):
                return inverse_changes(prepared, output.splitlines())
        except StepFailed as error:
            raise UndoUnknown(
                f"the change was made, and stays, but what undoes it is unknown: {error}; then "
                f"`invoke undo {self._run}`"
            ) from None

    def reload(self) -> None:
        """Let systemd read its files again. Raises as `prepare` does."""
        self._run_script("", RELOAD)

    def recover(self, prepared: PreparedStep) -> tuple[StepState, tuple[Remedy, ...]]:
        """Whether a step that was interrupted is applied, and what undoes it if it is.

        Raises as `apply` does.
        """
        change = prepared.step.change
        handler = handler_of(change)
        reload = RELOAD if handler.wants_daemon_reload(change) else ""
        script = f"checking=1\n{handler.apply_script(prepared)}{reload}"
        status, output = self._run_script(prepared.folder, script, handler.timeout)
        if status == NOT_APPLIED:
            return StepState.NOT_APPLIED, ()
        return StepState.DONE, self._inverse(prepared, output)

    def read(self, path: str) -> bytes | None:
        """A file's bytes now, None where there is none. Raises StepFailed."""
        try:
            found = read_files(self._session, [path])[path]
        except FileUnreadable as error:
            raise StepFailed(str(error)) from None
        if isinstance(found, FileUnreadable):
            raise StepFailed(str(found))
        return found

    def _new_contents(
        self, steps: Mapping[int, Step]
    ) -> "dict[int, _Edited | PreconditionFailed | StepFailed]":
        """The new content of each file that is edited, from what the host has now."""
        files = {n: handler_of(s.change).file_to_edit(s.change) for n, s in steps.items()}
        try:
            present = read_files(self._session, filter(None, files.values()))
        except FileUnreadable as error:
            raise StepFailed(str(error)) from None
        found: dict[int, _Edited | PreconditionFailed | StepFailed] = {}
        for number, path in files.items():
            if not path:
                continue
            before = present[path]
            change = steps[number].change
            if isinstance(before, FileUnreadable):
                found[number] = StepFailed(str(before))
                continue
            try:
                found[number] = _Edited(before, handler_of(change).new_content(change, before))
            except PreconditionFailed as error:
                found[number] = error
        return found

    def _run_script(self, folder: str, script: str, timeout: float = TIMEOUT) -> tuple[int, str]:
        complete = f"{backup.STEP_PRELUDE}{variables(step_dir=folder)}{script}"
        done = self._session.run(complete, timeout, simple=True)
        if done.exit_status == PRECONDITION_FAILED:
            raise PreconditionFailed(stderr_text(done.stderr))
        if done.exit_status not in (0, UNCHANGED, NOT_APPLIED):
            raise StepFailed(failure_text(done.exit_status, done.stderr))
        return done.exit_status, done.stdout.decode(errors="surrogateescape")


@dataclass(frozen=True)
class _Edited:
    """A file's bytes now (None for no file), and as the step leaves it."""

    before: bytes | None
    after: bytes


def _not_as_planned(step: Step, edited: "_Edited | PreconditionFailed | StepFailed | None") -> str:
    """Why an edit is not the one that was shown, whatever the plan's file says; empty if it is."""
    if not isinstance(edited, _Edited):
        return ""
    path = getattr(step.change, "path", "")
    if plan.sha256(edited.before) != step.sha256:
        return f"{path}: the bytes that the host sent are not those of its SHA-256"
    if plan.unified_diff(path, edited.before, edited.after) != step.diff:
        return f"{path}: the difference that the plan shows is not what it would write. Plan again"
    return ""


def _parse_backup_output(lines: Iterable[str]) -> Iterator[tuple[int, tuple[str, ...], bytes]]:
    """Of each step its exit status, its notes, and its standard error; at last the lines after
    all steps."""
    notes: list[str] = []
    for line in lines:
        if line.startswith("end "):
            _, status, stderr = line.split(" ")
            yield int(status), tuple(notes), base64.b64decode(stderr)
            notes = []
        elif line:
            notes.append(line)
    yield 0, tuple(notes), b""


def _prepared(
    prepared: PreparedStep, status: int, notes: tuple[str, ...], stderr: bytes, original: str
) -> "PreparedStep | PreconditionFailed | StepFailed | None":
    """How a step's backup ended. original: the SHA-256 of the file that was backed up."""
    if status == UNCHANGED:
        return None
    if status == PRECONDITION_FAILED:
        return PreconditionFailed(stderr_text(stderr))
    if status:
        return StepFailed(failure_text(status, stderr))
    change = prepared.step.change
    if original != handler_of(change).sha256_before(change, prepared.step):
        return PreconditionFailed(f"{getattr(change, 'path', '')} was changed this moment")
    return replace(prepared, notes=notes)


def backup_files(session: Session, run: str) -> Mapping[str, int]:
    """Sizes of what the host keeps for a run, by path; for people and tests."""
    done = session.run(f"find {shlex.quote(f'{RUNS}/{run}')} -type f -printf '%s %p\\n'", TIMEOUT)
    lines = (line.split(" ", 1) for line in done.stdout.decode().splitlines())
    return {path: int(size) for size, path in lines}
