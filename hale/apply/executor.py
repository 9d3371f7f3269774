"""One step on one host: keep what is there, then change it, whole or not at all.

First `keep` looks at the preconditions of all steps and keeps their originals, those of a step in
RUNS/<run>/<step>/; all are on disk before it returns, and nothing is changed before. Then each
step is a command of its own, with the journal's entries around it: `do` looks again, changes, and
looks whether the change is there. Asked to `settle`, it changes nothing and says which of the two
states the host is in: so a step that was cut off is known to be done or not done.

A file is written beside its place, with the mode, owner, ACL, attributes and SELinux label of
the old one, fsync'ed and renamed over it: rename(2), fsync(2), cp(1) `--preserve`, sync(1).
Needed on the host: a POSIX sh, coreutils, findutils, grep, systemctl; no Python.
"""

import base64
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from enum import Enum

from hale.apply import doing, inverse, keeping
from hale.apply.prepared import RUNS, PreparedStep
from hale.apply.shell import ALREADY, MOVED, NOT_DONE, PRELUDE
from hale.model.change import AppendLine, FileEdit, Remedy
from hale.plan import line_edit
from hale.plan.plan import ABSENT, Step
from hale.ssh import Session

# Seconds that a step may take. A swap device is read back page by page.
TIMEOUT, SWAP_TIMEOUT = 120.0, 3600.0


class StepState(Enum):
    """How a step is, or has ended."""

    DONE = "done"
    UNCHANGED = "already so"
    NOT_APPLIED = "not done"


class PreconditionFailed(Exception):
    """The precondition does not hold any more; says what moved. Nothing is changed."""


class StepFailed(Exception):
    """The host could not do it; in its own words. The old state is there, whole."""


class StepExecutor:
    """Does the steps of one run on one host. `number`: the step's, unique in the run and host."""

    def __init__(self, session: Session, run: str) -> None:
        self._session = session
        self._run = run

    def prepare(
        self, steps: Mapping[int, Step]
    ) -> dict[int, "PreparedStep | PreconditionFailed | StepFailed | None"]:
        """Keep the originals of these steps, in one go; None where the host is already so.

        A step that is refused or cannot be kept does not keep the others from it. Raises Failed
        where none could be, and what Session.run raises.
        """
        contents = self._contents(steps)
        script: list[str] = []
        asked: dict[int, PreparedStep] = {}
        found: dict[int, PreparedStep | PreconditionFailed | StepFailed | None] = {}
        for number, step in steps.items():
            content = contents.get(number)
            if isinstance(content, PreconditionFailed | StepFailed):
                found[number] = content
                continue
            folder = f"{RUNS}/{self._run}/{number}"
            asked[number] = PreparedStep(step, folder, keeping.after(step.change, content), ())
            script += keeping.lines(asked[number], content)
        if not asked:
            return found
        script.insert(0, keeping.begin(asked.values()))
        script.append(keeping.end(f"{RUNS}/{self._run}"))
        done = self._session.run("exec /bin/sh", TIMEOUT, "".join(script).encode())
        if done.exit_status:
            raise StepFailed(
                _stderr_text(done.stderr) or f"exit status {done.exit_status}, and not a word"
            )
        *answers, (_, sums, _) = _parse_backup_output(
            done.stdout.decode(errors="surrogateescape").splitlines()
        )
        originals = {path: sha for sha, path in (line.split("  ", 1) for line in sums)}
        for (number, kept), answer in zip(asked.items(), answers, strict=True):
            found[number] = _prepared(
                kept, *answer, originals.get(f"{kept.folder}/original", ABSENT)
            )
        return found

    def apply(self, kept: PreparedStep) -> tuple[Remedy, ...]:
        """Change the host; returns what takes it back. Raises as `keep` does.

        A step that `reloads` is done after `reload` only, which serves for all of them.
        """
        _, said = self._do(kept.folder, doing.apply_script(kept))
        return inverse.inverse_changes(kept, said.splitlines())

    def reload(self) -> None:
        """Let systemd read its files anew. Raises as `keep` does."""
        self._do("", doing.RELOAD)

    def recover(self, kept: PreparedStep) -> tuple[StepState, tuple[Remedy, ...]]:
        """Whether a step that was cut off is done, and what takes it back if it is."""
        reload = doing.RELOAD if kept.wants_daemon_reload else ""
        script = f"settle=1\n{doing.apply_script(kept)}{reload}"
        status, said = self._do(kept.folder, script)
        if status == NOT_DONE:
            return StepState.NOT_APPLIED, ()
        return StepState.DONE, inverse.inverse_changes(kept, said.splitlines())

    def read(self, path: str) -> bytes | None:
        """A file's bytes now, None where there is none. Raises Failed."""
        found = read_files(self._session, [path])[path]
        if isinstance(found, StepFailed):
            raise found
        return found

    def _contents(
        self, steps: Mapping[int, Step]
    ) -> "dict[int, bytes | PreconditionFailed | StepFailed]":
        """The new bytes of each file that is edited, from those that are there now."""
        edits = {n: s.change for n, s in steps.items() if isinstance(s.change, FileEdit)}
        present = read_files(self._session, [change.path for change in edits.values()])
        return {n: _new_content(change, present[change.path]) for n, change in edits.items()}

    def _do(self, folder: str, script: str) -> tuple[int, str]:
        whole = f"{PRELUDE}d={shlex.quote(folder)}\n{script}"
        timeout = SWAP_TIMEOUT if "swapoff" in script else TIMEOUT
        done = self._session.run(whole, timeout, simple=True)
        if done.exit_status == MOVED:
            raise PreconditionFailed(_stderr_text(done.stderr))
        if done.exit_status not in (0, ALREADY, NOT_DONE):
            raise StepFailed(
                _stderr_text(done.stderr) or f"exit status {done.exit_status}, and not a word"
            )
        return done.exit_status, done.stdout.decode(errors="surrogateescape")


def read_files(session: Session, paths: Iterable[str]) -> "dict[str, bytes | StepFailed | None]":
    """The bytes of files, by one command; None where there is none. Raises as Session.run does."""
    wanted = list(dict.fromkeys(paths))
    if not wanted:
        return {}
    script = f"{_READ}for p in {' '.join(map(shlex.quote, wanted))}; do read_it; done\n"
    done = session.run("exec /bin/sh", TIMEOUT, script.encode())
    if done.exit_status:
        raise StepFailed(
            _stderr_text(done.stderr) or f"exit status {done.exit_status}, and not a word"
        )
    found: dict[str, bytes | StepFailed | None] = {}
    for path, line in zip(wanted, done.stdout.decode().splitlines(), strict=True):
        kind, text = line[:1], base64.b64decode(line[1:])
        found[path] = {"-": None, "+": text}.get(kind, StepFailed(_stderr_text(text)))
    return found


# One line a file: `-`, `+` and its bytes, or `!` and why it cannot be read; in base64.
_READ = """\
LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
read_it() {
  if [ ! -e "$p" ] && [ ! -L "$p" ]; then echo -
  elif e=$(base64 -w0 -- "$p" 2>&1 </dev/null); then printf '+%s\\n' "$e"
  else printf '!%s\\n' "$(printf %s "$e" | base64 -w0)"; fi
}
"""


def _new_content(
    change: FileEdit, before: "bytes | StepFailed | None"
) -> "bytes | PreconditionFailed | StepFailed":
    if isinstance(before, StepFailed):
        return before
    try:
        return line_edit.apply_edits(before or b"", change.edits)
    except line_edit.LineMismatch as error:
        if before is not None and all(
            isinstance(e, AppendLine) or e.new.encode() in before for e in change.edits
        ):
            return before
        return PreconditionFailed(f"{change.path}: {error}")


def _parse_backup_output(lines: Iterable[str]) -> Iterator[tuple[int, tuple[str, ...], bytes]]:
    """Of each step its exit status, what it told, and its words on standard error; at last what
    was told after all of them."""
    told: list[str] = []
    for line in lines:
        if line.startswith("end "):
            _, status, words = line.split(" ")
            yield int(status), tuple(told), base64.b64decode(words)
            told = []
        elif line:
            told.append(line)
    yield 0, tuple(told), b""


def _prepared(
    kept: PreparedStep, status: int, told: tuple[str, ...], said: bytes, original: str
) -> "PreparedStep | PreconditionFailed | StepFailed | None":
    """How keeping a step ended. original: the SHA-256 of the file that was kept."""
    match status:
        case 0:
            if original != kept.before:
                return PreconditionFailed(
                    f"{getattr(kept.step.change, 'path', '')} was changed this moment"
                )
            return replace(kept, notes=told)
        case x if x == ALREADY:
            return None
        case x if x == MOVED:
            return PreconditionFailed(_stderr_text(said))
    return StepFailed(_stderr_text(said) or f"exit status {status}, and not a word")


def _stderr_text(stderr: bytes) -> str:
    lines = stderr.decode(errors="backslashreplace").strip().splitlines()
    said = "; ".join(lines[-3:])
    for words, hint in _HINTS.items():
        if words in said:
            return f"{said} ({hint})"
    return said


_HINTS = {
    "Operation not permitted": "an immutable file has the letter i or a in `lsattr`: find out "
    "who made it so, `chattr -i -a`, and plan again",
    "Device or resource busy": "it is mounted there by itself (`findmnt`): change it where it "
    "comes from",
    "Read-only file system": "see why: `findmnt`, `dmesg`; remount it and plan again",
    "No space left": "make room (`df -h`, `df -i`) and plan again; the old file is untouched",
}


def backup_files(session: Session, run: str) -> Mapping[str, int]:
    """Sizes of what the host keeps for a run, by path; for people and tests."""
    done = session.run(f"find {shlex.quote(f'{RUNS}/{run}')} -type f -printf '%s %p\\n'", TIMEOUT)
    lines = (line.split(" ", 1) for line in done.stdout.decode().splitlines())
    return {path: int(size) for size, path in lines}
