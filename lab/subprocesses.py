"""Run a program of the machine, with a clear error if it fails; end one that is the lab's."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Sequence

from lab.errors import LabError

#: A C locale, so that messages can be read by code and people alike, and no surprises by proxies.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
}


def run(
    argv: Sequence[str], *, input: str | None = None, check: bool = True, keep: Sequence[int] = ()
) -> subprocess.CompletedProcess[str]:
    """Run `argv` to its end and return it with stdout and stderr as text.

    `keep` names file descriptors that the program inherits. Commands that change the machine
    inherit the lab's lock: when the caller is killed, whoever comes next and waits for the lock
    thereby waits until the change that was under way has ended.

    Raises LabError with the command and its last words if it fails and `check` is set.
    """
    done = subprocess.run(
        argv,
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        text=True,
        errors="replace",
        env=ENVIRONMENT,
        pass_fds=tuple(keep),
        check=False,
    )
    if check and done.returncode:
        words = (done.stderr or done.stdout).strip() or "no output"
        raise LabError(f"`{shlex.join(argv)}` failed ({done.returncode}): {words}")
    return done


def kill_process(pid: int, is_ours: Callable[[], bool]) -> None:
    """SIGKILL the process if, once no other can get its number, `is_ours` finds it to be ours.

    The kernel deals out numbers again, on a busy machine (32768 of them) within minutes: that of a
    process which died since it was listed may be any other program's (pidfd_open(2)).
    """
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if is_ours():
            signal.pidfd_send_signal(process, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has died, whoever has its number now
    finally:
        os.close(process)
