"""`invoke install --plan`: the status of each phase, and what it would do."""

import shlex
from collections.abc import Collection

from rich.console import Console
from rich.text import Text

from hale.apply import sealing
from hale.apply.reporter import console_reporter
from hale.audit import recorder
from hale.install import change_page, preflight, saved_plan
from hale.install.cluster_context import ClusterContext, load_context
from hale.install.joined import exempt_phases, joined_hosts, only_adds_workers
from hale.install.locked_run import check_reachable
from hale.install.observe import HostsUnreachable
from hale.install.options import InstallOptions
from hale.install.planning import phase_statuses
from hale.install.progress import headline
from hale.install.refusals import unsupported
from hale.install.status_view import print_status
from hale.install.workflow import AUDIT, GATE, selected_phases
from hale.inventory import ini
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.plan import approval
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
    with SessionPool(targets_of(inventory, options.login)) as sessions:
        check_reachable(sessions)
        joined = joined_hosts(context, sessions)
        exempt = joined if only_adds_workers(context, joined, options.phase) else frozenset()
        if GATE in selected:
            _print_gate(options, context, standard, sessions, console, exempt)
        phases = [n for n in selected if n not in (GATE, AUDIT)]
        try:
            alone = exempt_phases(context, sessions, phases, joined, options.phase)
            statuses = phase_statuses(context, sessions, phases, alone, again=bool(options.phase))
        except HostsUnreachable as error:
            raise UserError(str(error)) from None
    for status in statuses:
        print_status(console, status)
    if AUDIT in selected:
        console.print(headline("▶", AUDIT, "Audit of everything", ""))
    console.print("\nNothing was changed.")
    if options.out is not None:
        made = saved_plan.build(options, context, standard, statuses)
        approval.void(options.out)
        saved_plan.save(made, options.out)
        saved_page = change_page.save_plan_page(made, options.out)
        command = f"invoke install --apply {shlex.quote(str(options.out))} --sha256 {made.sha256}"
        console.print(
            Text(
                f"Saved to {options.out}, with its page for the approval: {saved_page}\n"
                "This carries it out, and refuses any other plan:\n"
                f"    {command}\n"
                "Before that, its approver can sign it with an ssh key:\n"
                f"    {approval.command(options.out)}"
            )
        )


def _print_gate(
    options: InstallOptions,
    context: ClusterContext,
    standard: Standard,
    sessions: SessionPool,
    console: Console,
    exempt: Collection[str],
) -> None:
    reasons = unsupported(context, sessions, exempt)
    folder = recorder.create_run_dir(options.reports, "plan")
    found = preflight.run_preflight(
        context.inventory, standard, sessions, folder, options.ignore_preflight_errors, exempt
    )
    sealing.seal_folder(folder, console_reporter())
    failed = [*found.fixable, *found.blocking, *found.postponed]
    mark = "-" if found.open and not reasons else "▶"
    console.print(headline(mark, GATE, "Host requirements", "" if failed or reasons else "done"))
    for text in reasons:
        console.print(Text(f"    blocked by: {escape_controls(text)}", "red"))
    for text in preflight.render(failed):
        console.print(Text(f"    {escape_controls(text)}"))
