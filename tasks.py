"""The door to invoke: `invoke --list` names what there is."""

import shlex
import subprocess
import sys
from pathlib import Path

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

TREE = Path(__file__).parent


@task
def demo(context: Context) -> None:
    """Raise the lab, audit its five hosts, leave the report; without a lab, audit this machine."""
    from lab import machine

    reason = machine.unavailable()
    if reason:
        print(f"No lab here: {reason}\nAuditing this machine instead.", flush=True)
        # No cluster is meant here, so its VIP is not asked: the address may be somebody else's.
        arguments = ["--hosts=local://", "-m", "not apiserver_vip"]
    else:
        raised = machine.Lab("lab", lambda line: print(line, flush=True))
        try:
            raised.up()
        except LabError as error:
            raise Exit(f"lab: {error}", code=1) from None
        arguments = ["--inventory", str(raised.inventory), "--hosts=all"]
    command = [str(Path(sys.executable).parent / "pytest"), *arguments]
    print(f"\n$ {shlex.join(command)}\n", flush=True)
    # Not by context.run, which reads 1000 bytes at a time and spoils a sign that lies across.
    with subprocess.Popen(command, cwd=TREE) as audit:
        try:
            audit.wait()
        except KeyboardInterrupt:  # pytest has the signal too, and ends by itself
            audit.wait()
    if audit.returncode not in (0, 1):
        raise Exit("the audit could not be made; what stopped it stands above", code=1)
    print("\nThe audit is made; red rows are how the hosts are, not an error of the audit.")
    if not reason:
        print("The lab is still up: `.venv/bin/invoke lab.status`, `.venv/bin/invoke lab.down`.")


MAX_FAIL = "so many failed hosts of a group stop the rest of it (default: 1)"


@task(
    klass=options.Command,
    help={
        "hosts": options.HOSTS,
        "inventory": options.INVENTORY,
        "only": "requirements, by commas (default: all that are red)",
        "profile": "baseline (default) or extended",
        "out": "save the plan to this file, with a SHA-256 over its content",
        "apply": "make the changes, and audit again",
        "plan": "with --apply: this saved plan and no other",
        "yes": options.YES,
        "approved-by": options.APPROVED_BY,
        "ticket": options.TICKET,
        "max-fail": MAX_FAIL,
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
    out: str = "",
    apply: bool = False,
    plan: str = "",
    yes: bool = False,
    approved_by: str = "",
    ticket: str = "",
    max_fail: int = 1,
    force_unlock: bool = False,
    reports: str = "",
) -> None:
    """Say what would make the red rows green: diffs, costs, what is by hand. --apply does it."""
    path = Path(inventory) if inventory else None
    folder = options.reports(reports)
    try:
        if (plan or yes or ticket or approved_by or force_unlock) and not apply:
            raise UserError("nothing is applied without --apply; the other option belongs to it.")
        if (apply and out) or (plan and (only or inventory)):
            raise UserError(
                "--out only plans; a saved plan has an inventory and requirements of its own."
            )
        from hale.apply import workflow
        from hale.plan import plan as plans
        from hale.plan import planner

        wanted = planner.parse_only(only)
        asked = workflow.ApplyOptions(
            folder,
            path,
            hosts,
            profile,
            yes=yes,
            force_unlock=force_unlock,
            max_fail=max_fail,
            approved_by=approved_by,
            ticket=ticket,
        )
        if apply:
            whole = workflow.apply_fix(asked, wanted, Path(plan) if plan else None)
            raise Exit(code=0 if whole else 1)
        made = workflow.plan_fix(asked, wanted)
        if out:
            plans.save_plan(made, Path(out))
    except UserError as error:
        raise Exit(f"fix: {error}", code=1) from None
    except KeyboardInterrupt:
        raise Exit("interrupted; `invoke runs` says what was done", code=130) from None
    print("\n".join(planner.render(made)))
    saved = f"Saved to {out}; `invoke fix --apply --plan {out}` applies it."
    print(f"\n{saved}" if out else "\nNothing is changed; --apply does it, --out FILE saves it.")


@task(
    klass=options.Command,
    help={
        "run": "the run, as `invoke runs` names it",
        "hosts": "only these hosts (default: all that the run changed)",
        "force": "put back files too that somebody has changed since",
        "yes": options.YES,
        "approved-by": options.APPROVED_BY,
        "ticket": options.TICKET,
        "max-fail": MAX_FAIL,
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
    force_unlock: bool = False,
    reports: str = "",
) -> None:
    """Take a run back: bytes, modes, owners, units and values as they were, newest first."""
    from hale.apply import workflow

    try:
        asked = workflow.ApplyOptions(
            options.reports(reports),
            hosts=hosts,
            yes=yes,
            force_unlock=force_unlock,
            max_fail=max_fail,
            approved_by=approved_by,
            ticket=ticket,
            force=force,
        )
        whole = workflow.undo_run(asked, run)
    except UserError as error:
        raise Exit(f"undo: {error}", code=1) from None
    except KeyboardInterrupt:
        raise Exit("interrupted; `invoke runs` says what was done", code=130) from None
    raise Exit(code=0 if whole else 1)


@task(help={"reports": options.REPORTS})
def runs(_: Context, reports: str = "") -> None:
    """List the runs, installs and drills too: who changed what, when, and how it ended."""
    from rich.console import Console

    from hale.cli import runs as every

    try:
        Console(highlight=False).print(every.table(options.reports(reports)))
    except UserError as error:
        raise Exit(f"runs: {error}", code=1) from None


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

    try:
        content = render(run, options.reports(reports), format)
        if out:
            Path(out).write_bytes(content)
    except UserError as error:
        raise Exit(f"report: {error}", code=1) from None
    except OSError as error:
        raise Exit(f"report: {error.filename}: {error.strerror}.", code=1) from None
    if not out:
        sys.stdout.buffer.write(content)


@task(klass=options.Command, help={"requirement": "its id, such as SWAP-OFF"})
def explain(_: Context, requirement: str) -> None:
    """Say what a requirement asks, how it is seen, what mends it, and how to do that by hand."""
    from rich.console import Console
    from rich.markdown import Markdown

    from hale.docs import requirement_page as pages

    try:
        page = pages.page(requirement)
    except UserError as error:
        raise Exit(f"explain: {error}", code=1) from None
    if sys.stdout.isatty():
        Console().print(Markdown(page))
    else:
        print(page, end="")


@task(
    klass=options.Command,
    positional=["part"],
    without_positional="revert",
    help={
        "part": "which fault to inject: vip, apiserver, etcd, worker, master, several separated by "
        "commas, or all",
        "inventory": options.INVENTORY,
        "host": "take it from this host (default: the one whose loss costs most)",
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
) -> None:
    """Inject a fault into the cluster, measure the downtime, and revert the fault."""
    from hale.drill import workflow
    from lab.power import of_inventory

    if part == "restore":
        options.warn_renamed("drill restore", "drill --revert")
        revert = True
    path = Path(inventory) if inventory else TREE / "inventory.ini"
    asked = workflow.DrillOptions(
        faults=part,
        reports=options.reports(reports),
        inventory=path,
        host=host,
        allow_production=allow_production,
        yes=yes,
        force_unlock=force_unlock,
        power=of_inventory(path),
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
    )
    try:
        whole = workflow.revert_only(asked) if revert else workflow.run_drills(asked)
    except UserError as error:
        raise Exit(f"drill: {error}", code=1) from None
    except KeyboardInterrupt:
        raise Exit("interrupted; run `invoke drill --revert`", code=130) from None
    raise Exit(code=0 if whole else 1)


namespace = Collection(
    demo, explain, fix, undo, runs, report, install, reset, kubeconfig, drill, lab
)
