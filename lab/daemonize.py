"""Start processes that outlive the command, in a lab's own control groups."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def join(group: Path) -> str:
    """A line of bash that moves the script's process into a control group."""
    return f"echo $BASHPID > {shlex.quote(str(group / 'cgroup.procs'))} || exit 255"


def start(
    groups: Sequence[Path],
    script: str,
    log: Path,
    environment: Mapping[str, str],
    keep: Sequence[int],
) -> None:
    """Run a bash script, detached, inside control groups; returns once it is in them.

    Its output overwrites `log`. Until it is in the groups, where a clean-up finds it, it holds
    the lab's lock (`keep`), so that a clean-up cannot miss it.
    """
    joined, joining = os.pipe()
    try:
        lines = [*map(join, groups), *(f"exec {fd}>&-" for fd in (*keep, joining)), script]
        with log.open("wb") as output:
            subprocess.run(
                ["setsid", "--fork", "bash", "-c", "\n".join(lines)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                pass_fds=(*keep, joining),
                check=True,
            )
        os.close(joining)
        joining = -1
        os.read(joined, 1)
    finally:
        os.close(joined)
        if joining >= 0:
            os.close(joining)
