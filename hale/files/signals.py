"""Temporary handlers of the signals that end a run."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def signal_handler(
    handler: Callable[[int, FrameType | None], object], *signals: signal.Signals
) -> Iterator[None]:
    """Use this handler for the signals within the block; in the main thread only."""
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def defer_sigint() -> Iterator[None]:
    """Delay Ctrl-C until the end of the block; in the main thread only.

    For imports: each one runs a weak reference's callback, and a KeyboardInterrupt raised there
    is printed as "Exception ignored" and lost (weakref.ref).
    """
    pressed: list[int] = []
    with signal_handler(lambda number, frame: pressed.append(number), signal.SIGINT):
        yield
    if pressed:
        signal.raise_signal(signal.SIGINT)
