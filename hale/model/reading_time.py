"""A limit on the processor time that it takes to understand what one host answered.

Parsers are plain functions of text, so the limit comes from outside: a thread watches those that
read, and raises TimeExceeded in one that takes too long. (Python raises it between two
instructions, hence lines have a limit too: a regular expression is one instruction.)
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Thread, get_ident

from hale.model.budgets import READING_SECONDS

_POLL = 0.1  # seconds


class TimeExceeded(BaseException):
    """Not an Exception: a reader that copes with errors must not take this for one of them."""


class Stopwatch:
    """The processor time (seconds) that one host's answer has taken so far."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @property
    def reason(self) -> str:
        """Why what is not read by now is unknown."""
        return (
            f"the host's answer takes longer than {READING_SECONDS:g} s to read; something in its "
            "files or in the output of its commands is not as such hosts have it"
        )


class _Reader:
    def __init__(self, limit: float) -> None:
        self.thread = get_ident()
        self.clock = time.pthread_getcpuclockid(self.thread)
        self.end = time.clock_gettime(self.clock) + limit
        self.raised = False


# Changed by single operations of a dictionary, not under a lock: TimeExceeded can come anywhere.
_readers: dict[int, _Reader] = {}
_starting = Lock()
_watching = False


@contextmanager
def limited(stopwatch: Stopwatch) -> Iterator[None]:
    """Raises TimeExceeded in the block once the stopwatch has reached READING_SECONDS."""
    limit = READING_SECONDS - stopwatch.seconds
    if limit <= 0:
        raise TimeExceeded
    reader = _Reader(limit)
    key = id(reader)
    _readers[key] = reader
    if not _watching:
        _start_watching()
    try:
        yield
    finally:
        stopwatch.seconds += limit - (reader.end - time.clock_gettime(reader.clock))
        if _readers.pop(key, None) is None:
            stopwatch.seconds = READING_SECONDS
            while not reader.raised:
                time.sleep(0.001)
            _raise_in(reader.thread, None)  # if it has not come yet, it must not come later
            raise TimeExceeded


def _start_watching() -> None:
    global _watching
    with _starting:
        if not _watching:
            _watching = True
            Thread(target=_watch, name="reading time", daemon=True).start()


def _watch() -> None:
    """Until there is nothing to watch for a second."""
    global _watching
    idle = 0
    while idle < 10:
        time.sleep(_POLL)
        idle = 0 if _readers else idle + 1
        for key, reader in list(_readers.items()):
            if reader.end < _now(reader) and _readers.pop(key, None) is not None:
                _raise_in(reader.thread, TimeExceeded)
                reader.raised = True
    _watching = False


def _now(reader: _Reader) -> float:
    try:
        return time.clock_gettime(reader.clock)
    except OSError:  # the thread has ended
        return 0.0


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    import ctypes  # takes longer to import than most hosts to read

    value = ctypes.py_object(error) if error else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), value)
