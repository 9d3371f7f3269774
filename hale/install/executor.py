"""Executes one step on one host; nothing else in hale/install writes to hosts.

The input of a step travels on the command's standard input, so that no process list and no file
shows a secret.
"""

import base64
import shlex
from collections.abc import Callable
from pathlib import Path

from hale.install.phase import NO_FILE, RunScript, Step, WriteFile
from hale.install.secrets import Secret, Secrets
from hale.inventory.cluster_spec import WRITTEN
from hale.redact import redact
from hale.shell import script_with
from hale.ssh import CommandTimeout, HostUnreachable, OutputTooLarge, Session, remote

BACKUP_DIR = "/var/lib/hale/install/original"
REPLACED_DIR = "/var/lib/hale/install/replaced"
TIMEOUT = 120.0
LINES = 15  # of a failed step's output
_INVALID, _CHANGED = 45, 46

NOTE = "note: "  # begins a line of a step's output that the operator is to read
OutputCallback = Callable[[str], None]  # the latest line of a step that runs


class InstallStepFailed(Exception):
    """A step failed. output: its last lines, redacted."""

    def __init__(self, step: Step, why: str, output: str = "") -> None:
        super().__init__(f"{step.host}: {step.title}: {why}")
        self.step = step
        self.why = why
        self.output = output


class InstallStepExecutor:
    """Executes steps on one host over its session. secrets: redacted from all output."""

    def __init__(self, session: Session, secrets: Secrets) -> None:
        self._session = session
        self._secrets = secrets

    def execute(self, step: Step, on_output: OutputCallback) -> bool:
        """Execute a step; False if there was nothing to do. Raises StepFailed.

        A lost connection is a failure too: the next observation shows how far the step got.
        """
        try:
            return self._write(step) if isinstance(step, WriteFile) else self._run(step, on_output)
        except CommandTimeout:
            seconds = step.timeout if isinstance(step, RunScript) else TIMEOUT
            raise InstallStepFailed(step, f"stopped after {seconds:g} s") from None
        except (HostUnreachable, OutputTooLarge) as error:
            raise InstallStepFailed(step, self.redact(str(error))) from None

    def redact(self, text: str) -> str:
        """The text without secrets and what looks like them."""
        return redact(self._secrets.redact(text))

    def _run(self, step: RunScript, on_output: OutputCallback) -> bool:
        script = f"{_PRELUDE}set -eu\numask 022\n{step.script}"
        given = step.stdin.reveal() if isinstance(step.stdin, Secret) else step.stdin or ""
        listener = _Lines(lambda line: on_output(self.redact(line)))
        done = self._session.run(
            f"/bin/sh -c {shlex.quote(script)}", step.timeout, given.encode(), listener.take
        )
        if done.exit_status:
            output = (done.stdout + b"\n" + done.stderr).decode(errors="backslashreplace")
            raise InstallStepFailed(step, f"exit status {done.exit_status}", self.tail(output))
        return True

    def _write(self, step: WriteFile) -> bool:
        raw = step.content.encode() if isinstance(step.content, str) else step.content
        script = _PRELUDE + script_with(
            _WRITE,
            path=step.path,
            mode=f"{step.mode:o}",
            backup=f"{BACKUP_DIR}{step.path}" if step.keep else "",
            written=f"{WRITTEN}{step.path}",
            replaced=f"{REPLACED_DIR}{step.path.rpartition('/')[0]}",
            check=step.check or ":",
            after=step.then or ":",
            invalid=str(_INVALID),
            replaces=step.replaces or "",
            none=NO_FILE,
            different=str(_CHANGED),
        )
        done = self._session.run(
            f"/bin/sh -c {shlex.quote(script)}", TIMEOUT, base64.b64encode(raw)
        )
        output = done.stderr.decode(errors="backslashreplace")
        if done.exit_status == _INVALID:
            raise InstallStepFailed(
                step, f"the new {step.path} is invalid, the old one was kept", self.tail(output)
            )
        if done.exit_status == _CHANGED:
            why = (
                f"{step.path} has changed since it was read, so it was kept; run the command again"
            )
            raise InstallStepFailed(step, why, self.tail(output))
        if done.exit_status:
            raise InstallStepFailed(step, f"exit status {done.exit_status}", self.tail(output))
        return done.stdout.strip() == b"changed"

    def tail(self, text: str) -> str:
        """The last lines that are not blank, redacted."""
        lines = [line.rstrip() for line in self.redact(text).splitlines() if line.strip()]
        return "\n".join(lines[-LINES:])


class _Lines:
    """Splits output into lines and reports the latest complete one, and every note."""

    def __init__(self, on_output: OutputCallback) -> None:
        self._on_output = on_output
        self._rest = b""

    def take(self, new: bytes) -> None:
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            if line.startswith(NOTE.encode()):
                self._on_output(line.decode(errors="replace").strip())
        for line in reversed(lines):
            if line.strip() and not line.startswith(NOTE.encode()):
                self._on_output(line.decode(errors="replace").strip())
                return


_PRELUDE = remote.PRELUDE + remote.LOCAL_PROGRAMS + remote.ATOMIC_WRITE
_WRITE = Path(__file__).with_name("write_file.sh")
