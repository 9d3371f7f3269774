"""Processes that a test began and that are still there: known by their environment."""

import os
import signal
from contextlib import suppress
from pathlib import Path

MARK = "HALE_HOSTILE_TEST"  # in the environment of all that a module of these tests starts


def processes(text: str) -> dict[int, str]:
    """The command lines of other processes with this text in their environment, by process id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended, or is another user's
            if text.encode() not in (folder / "environ").read_bytes():
                continue
            if int(folder.name) == os.getpid():
                continue
            words = (folder / "cmdline").read_bytes().decode(errors="backslashreplace")
            found[int(folder.name)] = words.replace("\0", " ").strip()
    return found


def end(text: str) -> dict[int, str]:
    """Kill each of `processes`; returns what there was."""
    found = processes(text)
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found
