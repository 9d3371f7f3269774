"""`invoke install`: preflight, phases, final audit."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from hale.apply import sealing
from hale.apply.reporter import console_reporter
from hale.audit import recorder
from hale.install import change_page, saved_plan
from hale.install.cluster_context import load_context
from hale.install.final_audit import audit_cluster
from hale.install.host_requirements import pass_gate
from hale.install.install_run import InstallRun
from hale.install.joined import joined_hosts, only_adds_workers
from hale.install.locked_run import check_reachable
from hale.install.options import InstallOptions
from hale.install.phase_run import run_phases
from hale.install.phase_selection import AUDIT, GATE, selected_phases
from hale.install.saved_plan import InstallPlan
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.paths import ROOT
from hale.plan import approval
from hale.plan.approval import PlanOrigin, SavedPlan
from hale.report.text import escape_controls
from hale.ssh import SessionPool
from hale.ssh.inventory_targets import targets_of
from hale.standard import loader


def install_cluster(options: InstallOptions) -> bool:
    """Install the cluster, or resume. True if all phases are done and the audit has passed.

    Raises UserError for wrong options, a wrong inventory, unreachable or locked hosts.
    """
    made = None
    if options.apply is not None:
        made = saved_plan.load(options.apply, options.plan_sha256)
        options = dataclasses.replace(
            options,
            inventory=options.inventory or Path(made.inventory),
            until=made.until,
            phase=made.phase,
            ignore_preflight_errors=made.ignored,
        )
    inventory = ini.load_inventory(options.path)
    standard = loader.load_standard(ROOT / "standard")
    context = load_context(inventory, standard)
    if made is not None:
        saved_plan.require_same_inputs(made, context, standard)
    options = dataclasses.replace(options, origin=_origin(options, made, inventory))
    chosen = selected_phases(options)
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(f"{inventory.environment} inventory {inventory.path}"))
    if made is not None:
        author, created = escape_controls(made.author), escape_controls(made.created)
        console.print(Text(f"plan of {author}, {created}, SHA-256 {made.sha256}"))
        if options.origin.signer:
            signer = escape_controls(options.origin.signer)
            console.print(Text(f"signed by {signer} ({options.origin.key})"))
    with SessionPool(targets_of(inventory, options.login)) as sessions:
        check_reachable(sessions)
        folder = recorder.create_run_dir(options.reports, "install")
        return _install(
            InstallRun(options, made, standard, context, sessions, folder, console), chosen
        )


def _origin(options: InstallOptions, made: InstallPlan | None, inventory: Inventory) -> PlanOrigin:
    """Where the plan comes from. Raises UserError where its approval is not as required."""
    if made is None or options.apply is None:
        steps = (
            "Save the plan (--plan --out FILE), have it signed (invoke approve FILE), and carry it "
            "out (--apply FILE)."
        )
        approval.require_for_run(inventory, steps)
        return approval.MADE_NOW
    exact = SavedPlan(options.apply, saved_plan.encoded(made), made.author)
    return approval.require(exact, inventory, named=bool(options.plan_sha256))


def _install(run: InstallRun, chosen: Sequence[str]) -> bool:
    joined = joined_hosts(run.context, run.sessions)
    adds = only_adds_workers(run.context, joined, run.options.phase)
    if GATE in chosen and not pass_gate(run, joined if adds else frozenset()):
        sealing.seal_run(run.folder, console_reporter())
        return False
    phases = [n for n in chosen if n not in (GATE, AUDIT)]
    ok = run_phases(run, phases, joined)
    if ok and AUDIT in chosen:
        print(f"▶ {AUDIT}: Audit of everything", flush=True)
        ok = audit_cluster(run, phases)
        change_page.write_page(run.folder, console_reporter())
    sealing.seal_run(run.folder, console_reporter())
    run.console.print(Text(f"report: {run.folder}"))
    return ok
