"""Ctrl-C where Python would lose it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def held() -> Iterator[None]:
    """Ctrl-C takes effect at the end of the block; in the main thread only.

    To be put around imports: for each one Python runs a weak reference's callback, and a
    KeyboardInterrupt raised there is told as "Exception ignored" and forgotten (weakref.ref).
    """
    pressed: list[FrameType | None] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        signal.raise_signal(signal.SIGINT)
