"""Signals that end a run: where they are heeded in another way, and for how long."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def signal_handler(
    handler: Callable[[int, FrameType | None], object], *signals: signal.Signals
) -> Iterator[None]:
    """These signals are the handler's while the block lasts; in the main thread only."""
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def defer_sigint() -> Iterator[None]:
    """Ctrl-C takes effect at the end of the block; in the main thread only.

    To be put around imports: for each one Python runs a weak reference's callback, and a
    KeyboardInterrupt raised there is told as "Exception ignored" and forgotten (weakref.ref).
    """
    pressed: list[int] = []
    with signal_handler(lambda number, frame: pressed.append(number), signal.SIGINT):
        yield
    if pressed:
        signal.raise_signal(signal.SIGINT)
