"""What the operator sees while a drill runs: a live table on a terminal, plain lines elsewhere."""

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
    """Use it in a `with`. `told` says a step; `show` what is measured at this moment."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True, file=sys.stdout)
        self._live = Live(console=self.console, refresh_per_second=4, transient=True)
        self._on = self.console.is_terminal
        self._began = time.monotonic()
        self._step = ""

    def __enter__(self) -> "LiveView":
        if self._on:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._on:
            self._live.stop()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Meanwhile the operator is asked something."""
        if self._on:
            self._live.stop()
        try:
            yield
        finally:
            if self._on:
                self._live.start()

    def told(self, host: str, said: str) -> None:
        """Something happens, on a host or (empty) altogether."""
        passed = time.monotonic() - self._began
        self._step = said
        where = f"{host}: " if host else ""
        self.console.print(Text(f"{passed:7.1f} s  {where}{escape_controls(said)}"))

    def show(self, asked: Sequence[Request], now: float, since: float, ill: Sequence[str]) -> None:
        """asked, now: the client's record and its clock. since: seconds since the taking away."""
        if self._on:
            self._live.update(progress_table(self._step, asked, now, since, ill))


def progress_table(
    step: str, asked: Sequence[Request], now: float, since: float, ill: Sequence[str]
) -> Table:
    """The live table: how long, answers a second, how long nobody has answered, what is ill."""
    lately = [a for a in asked[-100:] if a.ended > now - 1]
    answered = sum(a.ok for a in lately)
    last = next((a.ended for a in reversed(asked) if a.ok), None)
    waiting = now - last if last is not None else 0.0
    shown = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    shown.add_row("now", escape_controls(step))
    shown.add_row("since", f"{since:.1f} s" if since > 0 else "nothing is taken away yet")
    rate = Text(f"{answered} answers, {len(lately) - answered} failures in the last second")
    shown.add_row("client", rate)
    style = "bold red" if waiting > 0.5 else ""
    shown.add_row("nobody answers for", Text(f"{waiting:.1f} s", style))
    shown.add_row("not whole", Text("\n".join(map(escape_controls, ill)) or "nothing", "yellow"))
    return shown
