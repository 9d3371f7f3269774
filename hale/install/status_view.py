"""What is printed of a phase's status: what remains, what would be done, what stays as it is."""

from rich.console import Console
from rich.text import Text

from hale.install.phase import Problems
from hale.install.planning import PhaseStatus
from hale.install.progress import escaped_lines, headline
from hale.report.text import escape_controls


def print_status(console: Console, status: PhaseStatus) -> None:
    """Print the status of a phase, and what it would do."""
    if status.skip_reason:
        console.print(headline("-", status.name, status.title, f"skipped: {status.skip_reason}"))
        return
    if status.unknown and not status.remaining:
        console.print(headline("?", status.name, status.title, status.unknown))
        return
    console.print(
        headline(
            "▶" if status.remaining or status.steps else "-",
            status.name,
            status.title,
            "" if status.remaining else "done",
        )
    )
    for text in _group_hosts(status.remaining):
        console.print(Text(f"    remaining: {escape_controls(text)}"))
    for text in status.problems:
        console.print(Text(f"    blocked by: {escape_controls(text)}", "red"))
    for text in status.steps:
        console.print(Text(f"    would do: {escape_controls(text)}", "dim"))
    print_differences(console, status.differences)
    if status.unknown:
        console.print(Text(f"    not known yet: {escape_controls(status.unknown)}", "dim"))


def _group_hosts(problems: Problems) -> list[str]:
    """One line for each detail, with all the hosts that have it."""
    hosts: dict[str, list[str]] = {}
    for problem in problems:
        hosts.setdefault(problem.detail, []).extend(filter(None, [problem.host]))
    return [f"{', '.join(names)}: {detail}" if names else detail for detail, names in hosts.items()]


def print_differences(console: Console, problems: Problems) -> None:
    """Print what stays as it is although it differs."""
    for text in _group_hosts(problems):
        console.print(Text(f"    ! {escaped_lines(text)}".replace("\n", "\n      + "), "yellow"))
