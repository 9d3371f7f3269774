"""The progress of a run on the terminal: a line per phase and step, and what runs now."""

import threading
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from hale.apply.journal import InstallStepState, PhaseState
from hale.install.executor import NOTE
from hale.install.phase import Step
from hale.redact import redact
from hale.report.text import escape_controls

SIGNS = {
    PhaseState.STARTED: ("▶", "bold"),
    PhaseState.DONE: ("✓", "green"),
    PhaseState.SKIPPED: ("-", "dim"),
    PhaseState.FAILED: ("✗", "bold red"),
}


class InstallProgress:
    """Prints a line when a phase or step ends; a terminal also shows what runs, live."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._running: dict[int, tuple[Step, float, str]] = {}
        self._waits: dict[str, str] = {}
        self._phases: dict[str, str] = {}
        self._live = (
            Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._now)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> "InstallProgress":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def phase(
        self, name: str, title: str, state: PhaseState, seconds: float, why: str = ""
    ) -> None:
        """A phase starts or has ended."""
        with self._lock:
            if state is PhaseState.STARTED:
                self._phases[name] = f"{title} …"
            else:
                self._phases.pop(name, None)
        if state is PhaseState.STARTED:
            if not self._live:
                self._print(f"{name}: {title}", "bold", "▶")
            return
        sign, style = SIGNS[state]
        took = f"  {seconds:.1f} s" if state is not PhaseState.SKIPPED else ""
        detail = f"  {escape_controls(why)}" if why and state is not PhaseState.FAILED else ""
        self._print(f"{name}: {title}{took}{detail}", style, sign)

    def step(self, step: Step, state: InstallStepState, seconds: float) -> None:
        """A step starts or has ended."""
        with self._lock:
            if state is InstallStepState.STARTED:
                self._running[id(step)] = (step, time.monotonic(), "")
                return
            self._running.pop(id(step), None)
        if state is not InstallStepState.UNCHANGED:
            sign, style = ("·", "dim") if state is InstallStepState.DONE else ("✗", "red")
            self._print(f"  {step.host}: {step.title}  {seconds:.1f} s", style, sign)

    def output_line(self, step: Step, text: str) -> None:
        """The latest line that a running step printed; one that starts with "note: " stays."""
        if text.startswith(NOTE):
            self.notice(f"{step.host}: {escape_controls(text.removeprefix(NOTE))}")
        with self._lock:
            if id(step) in self._running:
                self._running[id(step)] = (*self._running[id(step)][:2], escape_controls(text))

    def waiting(self, title: str, remaining: Sequence[str], seconds: float) -> None:
        """What the run waits for and what remains of it; empty when the wait is over."""
        with self._lock:
            self._waits.pop(title, None)
            if remaining:
                self._waits[title] = f"until {title}  {seconds:.0f} s  {remaining[0]}"
        if not remaining and seconds > 0.5:
            self._print(f"  {title}  {seconds:.1f} s", "dim", "·")

    def notice(self, text: str) -> None:
        """A message about the run."""
        self._print(text, "yellow", "!")

    def _print(self, text: str, style: str, sign: str) -> None:
        self._console.print(Text(f"{sign} {text}", style), soft_wrap=True, highlight=False)

    def _now(self) -> Group:
        with self._lock:
            running = list(self._running.values())
            phases, waits = list(self._phases.values()), list(self._waits.values())
        width = max(40, self._console.width - 1)
        lines = [Text(phase, "bold") for phase in phases]
        for step, started, detail in running:
            text = f"  {step.host}: {step.title}  {time.monotonic() - started:.0f} s  {detail}"
            lines.append(Text(text[:width], "cyan"))
        lines += [Text(f"  {escape_controls(detail)}"[:width], "yellow") for detail in waits]
        return Group(*lines)


def headline(sign: str, name: str, title: str, detail: str) -> Text:
    """One line about a phase."""
    return Text(f"{sign} {name}: {title}{f'  {escape_controls(detail)}' if detail else ''}")


def escaped_lines(text: str) -> str:
    """A host's text, redacted and with terminal control sequences escaped."""
    lines = text.expandtabs(4).split("\n")
    return "\n".join(escape_controls(redact(line)) for line in lines)


def indented(text: str) -> str:
    """Indent each line by four spaces."""
    return "\n".join(f"    {line}" for line in text.split("\n"))
