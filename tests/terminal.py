"""A command that an operator types on a terminal, and the sudo password once it is asked for."""

import contextlib
import fcntl
import os
import pty
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence

from hale.paths import ROOT

Process = subprocess.Popen[str]


def type_password(
    words: Sequence[str],
    password: str,
    environment: Mapping[str, str],
    timeout: float,
    began: Callable[[Process], None] = lambda process: None,
) -> tuple[int, str]:
    """Run the words with a terminal of their own as standard input: exit status and output.

    began: called with the process once it runs. The password is asked for once, and neither the
    terminal nor the output shows it. timeout: seconds after the password was typed.
    """
    operator, terminal = pty.openpty()
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env=environment,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(terminal, termios.TIOCSCTTY, 0),
    )
    os.close(terminal)
    began(process)
    shown = b""
    while b"password" not in shown:
        shown += os.read(operator, 1000)
    os.write(operator, password.encode() + b"\n")
    output = process.communicate(timeout=timeout)[0]
    os.set_blocking(operator, False)
    with contextlib.suppress(OSError):  # nothing more was printed there
        shown += os.read(operator, 10000)
    os.close(operator)
    assert shown.count(b"sudo password") == 1
    assert password.encode() not in shown
    assert password not in output
    return process.returncode, output
