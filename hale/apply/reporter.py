"""Events of a run for whoever watches it."""

from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from hale.report.text import escape_lines

Reporter = Callable[[str, str], None]  # host, and what happens there


def console_reporter() -> Reporter:
    """A reporter that prints each event as a line, after the name of its host."""
    console = Console(highlight=False, soft_wrap=True)
    return lambda host, text: console.print(
        Text(escape_lines(f"  {host + ': ' if host else ''}{text}"))
    )
