"""`invoke runs | report | explain`: what was done and found, and why it matters."""

from __future__ import annotations

import sys
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from hale.cli import options


@task(klass=options.Command, help={"reports": options.REPORTS})
def runs(_: Context, reports: str = "") -> None:
    """List all runs, installs and drills included: who, when, and the outcome."""
    from rich.console import Console

    from hale.cli import runs as every

    # Whatever reads a file or a pipe does not need lines of 80 columns.
    width = None if sys.stdout.isatty() else 1000
    Console(highlight=False, width=width).print(every.table(options.reports(reports)))


@task(
    klass=options.Command,
    help={
        "run": "a folder in reports/, such as 2026-11-23T162800Z-audit, or a path",
        "format": "html (default), csv, json, junit, markdown, openreports, oscal, prometheus, "
        "sarif or xccdf; change: the page of a change, made again",
        "out": "the file to write (default: standard output)",
        "reports": options.REPORTS,
    },
)
def report(_: Context, run: str, format: str = "html", out: str = "", reports: str = "") -> None:
    """Print the report of an earlier run in another format."""
    from hale.cli import change_page
    from hale.cli.report import render
    from hale.files import atomic

    folder = options.reports(reports)
    change = format == change_page.FORMAT
    content = change_page.render(run, folder) if change else render(run, folder, format)
    if out:
        atomic.write_named(Path(out), content)
    else:
        sys.stdout.buffer.write(content)


@task(klass=options.Command, help={"requirement": "its id, such as SWAP-OFF"})
def explain(_: Context, requirement: str) -> None:
    """Explain a requirement: what is checked and how, what `fix` does, and the manual steps."""
    from rich.console import Console
    from rich.markdown import Markdown

    from hale.docs import requirement_page as pages

    page = pages.page(requirement)
    if sys.stdout.isatty():
        Console().print(Markdown(page))
    else:
        print(page, end="")
