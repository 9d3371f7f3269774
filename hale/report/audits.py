"""The audits of commands: of `invoke fix`, an install or a drill, without pytest."""

import contextlib
import shutil
from collections.abc import Collection
from pathlib import Path

from hale.audit.run import AuditRequest, AuditResult, run
from hale.files import atomic
from hale.gather import transports
from hale.inventory.ini import Inventory
from hale.inventory.selection import select_hosts
from hale.model.errors import UserError
from hale.model.results import Results
from hale.report import gather_progress, html, junit, terminal
from hale.report.text import encode
from hale.ssh import SessionPool
from hale.standard.loader import Standard

#: What pytest writes beside results.json, and who renders it. (hale.report.formats would import all
#: formats.)
FILES = {"report.html": html.render, "junit.xml": junit.render}


def audit(
    folder: Path,
    inventory: Inventory,
    standard: Standard,
    profile: str,
    hosts: str = "all",
    requirements: Collection[str] = (),
    *,
    sessions: SessionPool,
    show: bool = False,
    masters_suffice: bool = False,
) -> AuditResult:
    """Audit the hosts into `folder`, and write the same reports as an audit by pytest.

    folder: the run's own; must exist. hosts: a host pattern, as of `--hosts`. requirements: their
    IDs; empty for all of the profile. show: print unreachable hosts and the matrix.
    masters_suffice: as of AuditRequest. Raises UserError.
    """
    request = AuditRequest(
        inventory,
        standard,
        profile,
        transports.over_ssh(sessions),
        hosts,
        requirements,
        masters_suffice=masters_suffice,
    )
    try:
        found = _run(request, folder, show=show)
    except UserError:
        with contextlib.suppress(OSError):  # an empty folder would look like an audit
            folder.rmdir()
        raise
    write_reports(found.results, folder)
    return found


def write_reports(found: Results, folder: Path) -> None:
    """The same reports as of an audit by pytest. Raises UserError."""
    for file, render in FILES.items():
        atomic.write(folder / file, encode(render(found)))


def _run(request: AuditRequest, folder: Path, *, show: bool) -> AuditResult:
    if not show:
        return run(request, folder)
    selected = select_hosts(request.hosts, request.inventory, lambda uri: ())
    with gather_progress.GatherProgress(gather_progress.Stdout(), len(selected)) as progress:
        found = run(request, folder, progress.report)
    _print_matrix(found.results, folder)
    return found


def _print_matrix(found: Results, folder: Path) -> None:
    width = shutil.get_terminal_size((100, 24)).columns
    print(terminal.text(found, width, -2, color=gather_progress.wants_color()), end="")
    print(f"audit: {folder}", flush=True)
