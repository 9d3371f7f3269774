"""The commands of invoke; `invoke --list` lists them."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# invoke lets no compiled Python be kept: each command would compile anew all that it imports,
# which takes longer than an audit. From here on it is as Python was told.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from hale.cli import options
from hale.cli.install import install, kubeconfig, reset
from hale.model.errors import UserError
from lab.errors import LabError
from lab.tasks import lab

if TYPE_CHECKING:
    from hale.ssh.inventory_targets import LoginOptions

TREE = Path(__file__).parent


@task
def demo(context: Context) -> None:
    """Start the lab and audit its five hosts; without a lab, audit this machine."""
    from lab import machine

    reason = machine.unavailable()
    if reason:
        print(f"No lab here: {reason}\nAuditing this machine instead.", flush=True)
        # There is no cluster here: the address of its VIP may belong to another host.
        arguments = ["--hosts=local://", "-m", "not apiserver_vip"]
    else:
        name = os.environ.get("HALE_LAB", "lab")
        demo_lab = machine.Lab(name, lambda line: print(line, flush=True))
        try:
            demo_lab.up()
        except LabError as error:
            raise Exit(f"lab: {error}", code=1) from None
        arguments = ["--inventory", str(demo_lab.inventory), "--hosts=all"]
    command = [str(Path(sys.executable).parent / "pytest"), *arguments]
    print(f"\n$ {shlex.join(command)}\n", flush=True)
    # Not context.run: it reads 1000 bytes at a time and breaks a character across two reads.
    with subprocess.Popen(command, cwd=TREE) as audit:
        try:
            audit.wait()
        except KeyboardInterrupt:  # pytest receives the signal too, and ends by itself
            audit.wait()
    if audit.returncode not in (0, 1):
        raise Exit("the audit failed to run; the reason is above", code=1)
    print("\nAudit complete. Failures describe the hosts, not a problem with the audit.")
    if not reason:
        print("The lab is still up: `.venv/bin/invoke lab.status`, `.venv/bin/invoke lab.down`.")


SEE_RUNS = "interrupted; `invoke runs` lists what was done"
MAX_FAIL = "stop a group after this many of its hosts have failed (default: 1)"
# How workers of a living cluster are changed.
_WORKERS = {
    "batch": "workers of a cluster that are changed at the same time after the first one, a number "
    "or a percentage, as Ansible's serial (default: 10%)",
    "no-drain": options.NO_DRAIN,
    "drain-timeout": options.DRAIN_TIMEOUT,
}


@task(
    klass=options.Command,
    interrupted=SEE_RUNS,
    help={
        "hosts": options.HOSTS,
        "inventory": options.INVENTORY,
        "only": "comma-separated requirement IDs (default: all that failed)",
        "profile": "baseline (default) or extended",
        "out": "save the plan to this file, with a SHA-256 over its content",
        "apply": "make the changes, and audit again",
        "plan": "with --apply: apply exactly this saved plan",
        "sha256": "with --plan: refuse a plan with another SHA-256 than this one, of the approval",
        "yes": options.YES,
        "approved-by": options.APPROVED_BY,
        "ticket": options.TICKET,
        "max-fail": MAX_FAIL,
        **_WORKERS,
        "force-unlock": options.FORCE_UNLOCK,
        "reports": options.REPORTS,
    },
)
def fix(
    _: Context,
    hosts: str = "all",
    inventory: str = "",
    only: str = "",
    profile: str = "baseline",
    out: str | None = None,
    apply: bool = False,
    plan: str | None = None,
    sha256: str | None = None,
    yes: bool = False,
    approved_by: str = "",
    ticket: str = "",
    max_fail: int = 1,
    batch: str = "10%",
    no_drain: bool = False,
    drain_timeout: int = 300,
    force_unlock: bool = False,
    reports: str = "",
    *,
    login: "LoginOptions",
) -> None:
    """Show a remediation plan: diffs, impact, manual steps. --apply carries it out."""
    options.require_values(out=out, plan=plan)
    path = Path(inventory) if inventory else None
    folder = options.reports(reports)
    if (plan or yes or ticket or approved_by or force_unlock) and not apply:
        raise UserError(
            "--plan, --yes, --ticket, --approved-by and --force-unlock require --apply."
        )
    if (apply and out) or (plan and (only or inventory)):
        raise UserError(
            "--out only saves a plan, without --apply; a saved plan has its own inventory and "
            "requirements, so --plan excludes --inventory and --only."
        )
    if sha256 is not None and not (plan and re.fullmatch("[0-9a-fA-F]{64}", sha256)):
        raise UserError("--sha256 requires --plan, and the 64 hexadecimal digits of its SHA-256.")
    from hale.apply import workflow
    from hale.apply.gates import BatchSize
    from hale.plan import plan as plans
    from hale.plan import planner

    wanted = planner.parse_only(only)
    chosen = workflow.ApplyOptions(
        folder,
        path,
        hosts,
        profile,
        yes=yes,
        force_unlock=force_unlock,
        max_fail=max_fail,
        batch=BatchSize.parse(batch),
        drain=not no_drain,
        drain_timeout=drain_timeout,
        approved_by=approved_by,
        ticket=ticket,
        login=login,
        plan_sha256=sha256 or "",
    )
    if apply:
        complete = workflow.apply_fix(chosen, wanted, Path(plan) if plan else None)
        raise Exit(code=0 if complete else 1)
    made = workflow.plan_fix(chosen, wanted)
    if not out:
        print("\nNothing was changed. --apply applies the plan, --out FILE saves it.")
        return
    plans.save_plan(made, Path(out))
    print(
        f"\nSaved to {out}. This applies it, and refuses any other plan:\n"
        f"    invoke fix --apply --plan {shlex.quote(out)} --sha256 {made.sha256}"
    )


@task(
    klass=options.Command,
    interrupted=SEE_RUNS,
    help={
        "run": "the run to undo, as listed by `invoke runs`",
        "hosts": "only these hosts (default: all that the run changed)",
        "force": "also restore files that were changed after the run",
        "yes": options.YES,
        "approved-by": options.APPROVED_BY,
        "ticket": options.TICKET,
        "max-fail": MAX_FAIL,
        **_WORKERS,
        "force-unlock": options.FORCE_UNLOCK,
        "reports": options.REPORTS,
    },
)
def undo(
    _: Context,
    run: str,
    hosts: str = "all",
    force: bool = False,
    yes: bool = False,
    approved_by: str = "",
    ticket: str = "",
    max_fail: int = 1,
    batch: str = "10%",
    no_drain: bool = False,
    drain_timeout: int = 300,
    force_unlock: bool = False,
    reports: str = "",
    *,
    login: "LoginOptions",
) -> None:
    """Undo a run: restore content, modes, owners, units and kernel values, newest first."""
    from hale.apply import workflow
    from hale.apply.gates import BatchSize

    chosen = workflow.ApplyOptions(
        options.reports(reports),
        hosts=hosts,
        yes=yes,
        force_unlock=force_unlock,
        max_fail=max_fail,
        batch=BatchSize.parse(batch),
        drain=not no_drain,
        drain_timeout=drain_timeout,
        approved_by=approved_by,
        ticket=ticket,
        force=force,
        login=login,
    )
    complete = workflow.undo_run(chosen, run)
    raise Exit(code=0 if complete else 1)


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
        "run": "judge no host, but report this run: a folder in reports/, a path, or newest",
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
    login: "LoginOptions",
) -> None:
    """Audit, and print one line for a monitoring system: exit status 0, 1, 2 or 3."""
    from hale.cli import check as monitored

    folder = options.reports(reports)
    try:
        if run:
            line, state = monitored.saved(run, folder, max_age)
        else:
            path = Path(inventory) if inventory else None
            line, state = monitored.audit(path, profile, hosts, folder, login)
    except (UserError, OSError) as error:
        line, state = monitored.refusal(error)
    print(line)
    raise Exit(code=state.value)


@task(
    klass=options.Command,
    help={
        "run": "a folder in reports/, such as 2026-11-23T162800Z-audit, or a path",
        "format": "html (default), junit, json or csv",
        "out": "the file to write (default: standard output)",
        "reports": options.REPORTS,
    },
)
def report(_: Context, run: str, format: str = "html", out: str = "", reports: str = "") -> None:
    """Print the report of an earlier run in another format."""
    from hale.cli.report import render
    from hale.files import atomic

    content = render(run, options.reports(reports), format)
    if out:
        atomic.write_named(Path(out), content)
    else:
        sys.stdout.buffer.write(content)


@task(
    klass=options.Command,
    positional=["requirement"],
    help={
        "requirement": "its id, such as LIM-NOFILE",
        "aspect": "runtime, persisted or inventory: which of its rows",
        "hosts": "the hosts, as in pytest --hosts; or cluster, for what is read from several",
        "accepts": "the value that is accepted, a shell pattern; or unknown",
        "run": "an audit in reports/, instead of --accepts: the value that it found",
        "owner": "who answers for it",
        "approver": "who approved it, and is not the owner",
        "reason": "why it cannot be as required",
        "compensation": "what is done instead",
        "ticket": "where that was decided",
        "expires": "the last day on which it holds, such as 2027-03-01",
        "inventory": options.INVENTORY,
        "reports": options.REPORTS,
    },
)
def waive(
    _: Context,
    requirement: str,
    aspect: str = "",
    hosts: str = "",
    owner: str = "",
    approver: str = "",
    reason: str = "",
    compensation: str = "",
    ticket: str = "",
    expires: str = "",
    accepts: str = "",
    run: str = "",
    inventory: str = "",
    reports: str = "",
) -> None:
    """Accept a failed requirement until a day: writes waivers.toml beside the inventory."""
    from hale.cli import waivers as written

    folder = options.reports(reports) / run
    print(
        written.waive(
            written.WaiveOptions(
                requirement,
                Path(inventory) if inventory else TREE / "inventory.ini",
                hosts,
                aspect,
                owner,
                approver,
                reason,
                compensation,
                ticket,
                expires,
                accepts,
                (folder if folder.is_dir() else Path(run)) if run else None,
            )
        ),
        end="",
    )


@task(klass=options.Command, help={"inventory": options.INVENTORY})
def waivers(_: Context, inventory: str = "") -> None:
    """List the waivers beside the inventory, the first to expire first."""
    from rich.console import Console

    from hale.cli import waivers as written

    width = None if sys.stdout.isatty() else 1000
    written.print_waivers(
        Console(highlight=False, width=width),
        Path(inventory) if inventory else TREE / "inventory.ini",
    )


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


@task(
    klass=options.Command,
    interrupted="interrupted; run `invoke drill --revert`",
    positional=["part"],
    without_positional="revert",
    help={
        "part": "which fault to inject: vip, apiserver, etcd, worker, master, several separated by "
        "commas, or all",
        "inventory": options.INVENTORY,
        "host": "the host to inject it on (default: the one with the largest effect)",
        "allow-production": "run on hosts that are not a lab; read docs/drills.md first",
        "yes": options.YES,
        "force-unlock": options.FORCE_UNLOCK,
        "reports": options.REPORTS,
        "revert": "inject nothing; revert the faults that an interrupted drill left behind",
    },
)
def drill(
    _: Context,
    part: str = "",
    inventory: str = "",
    host: str = "",
    allow_production: bool = False,
    yes: bool = False,
    force_unlock: bool = False,
    reports: str = "",
    revert: bool = False,
    *,
    login: "LoginOptions",
) -> None:
    """Inject a fault into the cluster, measure the downtime, and revert the fault."""
    from hale.drill import workflow
    from lab.power import of_inventory

    if part == "restore":
        options.warn_renamed("drill restore", "drill --revert")
        revert = True
    path = Path(inventory) if inventory else TREE / "inventory.ini"
    chosen = workflow.DrillOptions(
        faults=part,
        reports=options.reports(reports),
        inventory=path,
        host=host,
        allow_production=allow_production,
        yes=yes,
        force_unlock=force_unlock,
        power=of_inventory(path),
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
        login=login,
    )
    complete = workflow.revert_only(chosen) if revert else workflow.run_drills(chosen)
    raise Exit(code=0 if complete else 1)


namespace = Collection(
    demo,
    explain,
    fix,
    undo,
    runs,
    check,
    judge,
    report,
    waive,
    waivers,
    install,
    reset,
    kubeconfig,
    drill,
    lab,
)
