"""`invoke install --plan`: the status of each phase, and what it would do."""

from rich.console import Console
from rich.text import Text

from hale.audit import recorder
from hale.install import preflight
from hale.install.cluster_context import ClusterContext, load_context
from hale.install.locked_run import LOGIN_TIMEOUT, check_reachable
from hale.install.observe import HostsUnreachable
from hale.install.options import InstallOptions
from hale.install.phase import Problems
from hale.install.planning import PhaseStatus, phase_statuses
from hale.install.progress import headline
from hale.install.support import unsupported
from hale.install.workflow import AUDIT, GATE, selected_phases
from hale.inventory import ini
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.report.text import escape_controls
from hale.ssh import SessionPool
from hale.ssh.inventory_targets import targets_of
from hale.standard import loader
from hale.standard.loader import Standard


def print_plan(options: InstallOptions) -> None:
    """Print the status of each phase and what it would do. Changes nothing. Raises UserError."""
    inventory = ini.load_inventory(options.path)
    standard = loader.load_standard(ROOT / "standard")
    context = load_context(inventory, standard)
    console = Console(highlight=False, soft_wrap=True)
    selected = selected_phases(options)
    with SessionPool(targets_of(inventory, LOGIN_TIMEOUT)) as sessions:
        check_reachable(sessions)
        if GATE in selected:
            _print_gate(options, context, standard, sessions, console)
        try:
            statuses = phase_statuses(
                context, sessions, [n for n in selected if n not in (GATE, AUDIT)]
            )
        except HostsUnreachable as error:
            raise UserError(str(error)) from None
    for status in statuses:
        _print_planned(console, status)
    if AUDIT in selected:
        console.print(headline("▶", AUDIT, "Audit of everything", ""))
    console.print("\nNothing was changed.")


def _print_gate(
    options: InstallOptions,
    context: ClusterContext,
    standard: Standard,
    sessions: SessionPool,
    console: Console,
) -> None:
    reasons = unsupported(context, sessions)
    folder = recorder.create_run_dir(options.reports, "plan")
    found = preflight.run_preflight(
        context.inventory, standard, sessions, folder, options.ignore_preflight_errors
    )
    failed = [*found.fixable, *found.blocking]
    mark = "-" if found.open and not reasons else "▶"
    console.print(headline(mark, GATE, "Host requirements", "" if failed or reasons else "done"))
    for text in reasons:
        console.print(Text(f"    blocked by: {escape_controls(text)}", "red"))
    for text in preflight.render(failed):
        console.print(Text(f"    {escape_controls(text)}"))


def _print_planned(console: Console, status: PhaseStatus) -> None:
    if status.skip_reason:
        console.print(headline("-", status.name, status.title, f"skipped: {status.skip_reason}"))
        return
    if status.unknown and not status.remaining:
        console.print(headline("?", status.name, status.title, status.unknown))
        return
    console.print(
        headline(
            "▶" if status.remaining else "-",
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
    if status.unknown:
        console.print(Text(f"    not known yet: {escape_controls(status.unknown)}", "dim"))


def _group_hosts(problems: Problems) -> list[str]:
    """One line for each detail, with all the hosts that have it."""
    hosts: dict[str, list[str]] = {}
    for problem in problems:
        hosts.setdefault(problem.detail, []).extend(filter(None, [problem.host]))
    return [f"{', '.join(names)}: {detail}" if names else detail for detail, names in hosts.items()]
