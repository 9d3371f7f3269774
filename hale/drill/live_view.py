"""The progress of a drill: a live table on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hale.drill.http_client import Request
from hale.report.text import escape_controls


class LiveView:
    """A context manager. `log` prints a step, `update` shows the current measurements."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True, file=sys.stdout)
        self._live = Live(console=self.console, refresh_per_second=4, transient=True)
        self._is_live = self.console.is_terminal
        self._began = time.monotonic()
        self._step = ""

    def __enter__(self) -> "LiveView":
        if self._is_live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._is_live:
            self._live.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the live table, for a question to the operator."""
        if self._is_live:
            self._live.stop()
        try:
            yield
        finally:
            if self._is_live:
                self._live.start()

    def log(self, host: str, message: str) -> None:
        """Print a step with the time since the start; host may be empty."""
        passed = time.monotonic() - self._began
        self._step = message
        prefix = f"{host}: " if host else ""
        self.console.print(Text(f"{passed:7.1f} s  {prefix}{escape_controls(message)}"))

    def update(
        self, requests: Sequence[Request], now: float, elapsed: float, unhealthy: Sequence[str]
    ) -> None:
        """now: by the clock of the requests. elapsed: seconds since the injection."""
        if self._is_live:
            self._live.update(progress_table(self._step, requests, now, elapsed, unhealthy))


def progress_table(
    step: str, requests: Sequence[Request], now: float, elapsed: float, unhealthy: Sequence[str]
) -> Table:
    """The live table: step, time, request rate, current downtime, unhealthy components."""
    recent = [r for r in requests[-100:] if r.ended > now - 1]
    successful = sum(r.ok for r in recent)
    last = next((r.ended for r in reversed(requests) if r.ok), None)
    downtime = now - last if last is not None else 0.0
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_row("step", Text(escape_controls(step)))
    table.add_row("elapsed", f"{elapsed:.1f} s" if elapsed > 0 else "no fault injected yet")
    rate = f"{successful} successful, {len(recent) - successful} failed in the last second"
    table.add_row("requests", Text(rate))
    table.add_row("downtime", Text(f"{downtime:.1f} s", "bold red" if downtime > 0.5 else ""))
    table.add_row("unhealthy", Text("\n".join(map(escape_controls, unhealthy)) or "-", "yellow"))
    return table
