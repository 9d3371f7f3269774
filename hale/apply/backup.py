"""The script that backs up all steps of a host in one go, before any of them is applied.

Forking takes most of the time on a host, so checksums and attributes are read once for all steps.
"""

import base64
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from hale.apply.handlers import handler_of
from hale.apply.prepared import (
    HOME,
    NOT_APPLIED,
    PRECONDITION_FAILED,
    RUNS,
    UNCHANGED,
    PreparedStep,
)
from hale.shell import load_script, variables
from hale.ssh import remote

HERE = Path(__file__).parent

STEP_PRELUDE = (
    remote.PRELUDE
    + variables(
        UNCHANGED=str(UNCHANGED),
        PRECONDITION_FAILED=str(PRECONDITION_FAILED),
        NOT_APPLIED=str(NOT_APPLIED),
        HALE_HOME=HOME,
    )
    + remote.ATOMIC_WRITE
    + load_script(HERE / "step.sh")
)


def begin(steps: Iterable[PreparedStep]) -> str:
    """The lines before the first step: the folders, and the checksums of all files."""
    steps = list(steps)
    folders = [shlex.quote(step.folder) for step in steps]
    changes = [step.step.change for step in steps]
    files = [shlex.quote(file) for c in changes for file in handler_of(c).files_to_hash(c)]
    return (
        STEP_PRELUDE
        + load_script(HERE / "backup.sh")
        + f"make_folders {' '.join(folders)}\nhash_files {' '.join(files)}\n"
    )


def lines(prepared: PreparedStep, content: bytes | None) -> Iterator[str]:
    """The lines of one step: its backup, and the new content that its folder is to hold."""
    folder = shlex.quote(prepared.folder)
    handler = handler_of(prepared.step.change)
    script = variables(step_dir=prepared.folder) + handler.backup_script(prepared)
    yield f"run_backup {shlex.quote(script)}\n"
    if content is not None:
        yield _stage(folder, content)
    yield f"report_backup {folder}\n"


def _stage(folder: str, content: bytes) -> str:
    if _TEXT.fullmatch(content):
        return f"stage_file {folder} {shlex.quote(content.decode())}\n"
    return f"stage_base64 {folder} <<'END'\n{base64.encodebytes(content).decode()}END\n"


_TEXT = re.compile(rb"[\t\n\r -~]*")  # what every shell takes as it is


def end(run: str) -> str:
    """The lines after the last step: the SHA-256 of each backup with its path, then fsync."""
    return variables(run=run, runs=RUNS) + load_script(HERE / "backup_end.sh")
