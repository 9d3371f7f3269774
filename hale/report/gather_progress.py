"""The progress of the gathering on standard output, and whether that takes colours."""

import os
import sys
from typing import Any

from hale.model.evidence import Evidence
from hale.report.text import escape_controls


class GatherProgress:
    """The progress of the gathering: a live line on a terminal, plain lines elsewhere."""

    def __init__(self, reporter: Any, hosts: int) -> None:
        self._reporter = reporter
        self._hosts = hosts
        self._answered = 0
        self._live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"

    def __enter__(self) -> "GatherProgress":
        self._show()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._reporter.write("\r\x1b[K")

    def report(self, evidence: Evidence) -> None:
        """Count a host that has answered or is unreachable; name the unreachable."""
        self._answered += 1
        if evidence.unreachable:
            if self._live:
                self._reporter.write("\r\x1b[K")
            self._reporter.write_line(
                escape_controls(f"{evidence.host}: {evidence.unreachable}"), yellow=True
            )
        self._show()

    def _show(self) -> None:
        if self._live:
            self._reporter.write(f"\rgathering: {self._answered} of {self._hosts} hosts answered")


def wants_color() -> bool:
    """Whether standard output takes colours: a terminal, and no NO_COLOR (no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


class Stdout:
    """Standard output, as far as GatherProgress uses pytest's reporter."""

    def write(self, text: str) -> None:
        """Print the text as it is."""
        print(text, end="", flush=True)

    def write_line(self, text: str, **_: bool) -> None:
        """Print the text as a line."""
        print(text, flush=True)
