"""`invoke check | judge | runs | report | accept | explain`: what was found and done, and why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from hale.cli import options
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.report.text import escape_lines

if TYPE_CHECKING:
    from hale.ssh.inventory_targets import LoginOptions


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
        "run": "a folder in reports/ that has an evidence.json, or a path",
        "inventory": "the inventory (default: the one that the run had)",
        "reports": options.REPORTS,
    },
)
def judge(_: Context, run: str, inventory: str = "", reports: str = "") -> None:
    """Judge saved evidence again, without pytest, and report it; contacts no host."""
    from hale.cli.judge import judge as judge_again

    path = Path(inventory) if inventory else None
    found, folder = judge_again(run, path, options.reports(reports))
    failed = sum(row.verdict.failed for row in found.results)
    print(f"{len(found.results)} results, {failed} failed or unknown\nreport: {folder}/report.html")
    raise Exit(code=1 if failed else 0)


@task(
    klass=options.Command,
    help={
        "hosts": options.HOSTS,
        "inventory": options.INVENTORY,
        "profile": "baseline (default) or extended",
        "run": "judge no host, but report this run: a folder in reports/, a path, or newest, of "
        "--inventory if that is given",
        "max-age": "hours after which that run is UNKNOWN (default: 24)",
        "reports": options.REPORTS,
    },
)
def check(
    _: Context,
    hosts: str = "all",
    inventory: str = "",
    profile: str = "baseline",
    run: str = "",
    max_age: float = 24.0,
    reports: str = "",
    *,
    login: LoginOptions,
) -> None:
    """Audit, and print one line for a monitoring system: exit status 0, 1, 2 or 3."""
    from hale.cli import check as monitored

    folder = options.reports(reports)
    try:
        path = Path(inventory) if inventory else None
        if run:
            line, state = monitored.saved(run, folder, max_age, path)
        else:
            line, state = monitored.audit(path, profile, hosts, folder, login)
    except (UserError, OSError) as error:
        line, state = monitored.refusal(error)
    print(line)
    raise Exit(code=state.value)


@task(
    klass=options.Command,
    positional=["run", "before", "after"],
    more_positional={"diff": ("before", "after"), "verify": ("before",), "sign": ("before",)},
    help={
        "run": "a folder in reports/, such as 2026-11-23T162800Z-audit, or a path; or a word: "
        "invoke report diff BEFORE AFTER, invoke report verify RUN, invoke report sign RUN",
        "before": "of diff: the earlier run, or its results.json; of verify and sign: the run",
        "after": "of diff: the later one",
        "format": "html (default), csv, json, junit, markdown, openreports, oscal, prometheus, "
        "sarif or xccdf; change: the page of a change, made again",
        "out": "the file to write (default: standard output)",
        "key": "of sign: an ssh key, or the .pub of one in ssh-agent (default: $HALE_SIGN_KEY)",
        "inventory": "of verify: allowed_signers stands beside it (default: inventory.ini)",
        "reports": options.REPORTS,
    },
)
def report(
    _: Context,
    run: str,
    before: str = "",
    after: str = "",
    format: str = "html",
    out: str = "",
    key: str = "",
    inventory: str = "",
    reports: str = "",
) -> None:
    """Print an earlier run's report in another format; compare two runs; verify or sign one.

    `diff BEFORE AFTER` compares. Its exit status is 1 if something broke or is no longer known, 2
    if there is nothing to compare.

    `verify RUN` names the files that are not as the run wrote them (SHA256SUMS), and whether a
    signature is by one of allowed_signers, beside the inventory. Its exit status is 1 if not, or
    if a signature is required and missing. `sign RUN` signs a run with an ssh key.
    """
    from hale.cli import change_page, integrity
    from hale.cli import report as written
    from hale.files import atomic
    from hale.report.formats import encode

    folder, status = options.reports(reports), 0
    if run == written.DIFF:
        try:
            if options.is_typed("format"):
                raise UserError("a comparison has no --format.")
            content, status = written.diff(before, after, folder)
        except UserError as error:
            raise Exit(f"report: {escape_lines(str(error))}", code=written.UNFIT) from None
    elif run == integrity.VERIFY:
        path = Path(inventory) if inventory else ROOT / "inventory.ini"
        text, status = integrity.verify(before, folder, path)
        content = encode(text)
    elif run == integrity.SIGN:
        content = encode(integrity.sign(before, folder, key))
    elif format == change_page.FORMAT:
        content = change_page.render(run, folder)
    else:
        content = written.render(run, folder, format)
    if out:
        atomic.write_named(Path(out), content)
    else:
        sys.stdout.buffer.write(content)
    raise Exit(code=status)


@task(
    klass=options.Command,
    help={
        "run": "an audit in reports/, such as 2026-11-23T162800Z-audit, or a path",
        "inventory": options.INVENTORY,
        "reports": options.REPORTS,
    },
)
def accept(_: Context, run: str, inventory: str = "", reports: str = "") -> None:
    """Accept the results of an audit: pytest --drift reports what changes from then on."""
    from hale.cli import accepted

    path = Path(inventory) if inventory else ROOT / "inventory.ini"
    print(accepted.accept(run, options.reports(reports), path), end="")


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
