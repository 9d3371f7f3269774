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

from hale import typed
from hale.errors import HaleError
from hale.install.tasks import install, kubeconfig, reset
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
    help={
        "hosts": typed.HOSTS,
        "inventory": typed.INVENTORY,
        "only": "requirements, by commas (default: all that are red)",
        "profile": "document or extended",
        "out": "save the plan to this file, with a SHA-256 over its content",
        "apply": "make the changes, and audit again",
        "plan": "with --apply: this saved plan and no other",
        "yes": typed.YES,
        "approved-by": typed.APPROVED_BY,
        "ticket": typed.TICKET,
        "max-fail": MAX_FAIL,
        "take-lock": typed.TAKE_LOCK,
        "reports": typed.REPORTS,
    }
)
def fix(
    _: Context,
    hosts: str = "all",
    inventory: str = "",
    only: str = "",
    profile: str = "document",
    out: str = "",
    apply: bool = False,
    plan: str = "",
    yes: bool = False,
    approved_by: str = "",
    ticket: str = "",
    max_fail: int = 1,
    take_lock: bool = False,
    reports: str = "",
) -> None:
    """Say what would make the red rows green: diffs, costs, what is by hand. --apply does it."""
    path = Path(inventory) if inventory else None
    folder = typed.reports(reports)
    try:
        if (plan or yes or ticket or approved_by or take_lock) and not apply:
            raise HaleError("nothing is applied without --apply; the other option belongs to it.")
        if (apply and out) or (plan and (only or inventory)):
            raise HaleError(
                "--out only plans; a saved plan has an inventory and requirements of its own."
            )
        if apply and not plan:
            from hale import logins

            logins.begin(path, hosts)
        from hale import fix as planner
        from hale import plan as plans
        from hale.apply import command

        wanted = planner.requirements(only)
        if apply:
            asked = command.Asked(
                folder,
                path,
                hosts,
                profile,
                yes=yes,
                take_lock=take_lock,
                max_fail=max_fail,
                approved_by=approved_by,
                ticket=ticket,
            )
            whole = command.apply(asked, wanted, Path(plan) if plan else None)
            raise Exit(code=0 if whole else 1)
        run = planner.audit(path, hosts, profile, folder, planner.marker(wanted))
        made = planner.make(run, wanted)
        if out:
            plans.save(made, Path(out))
    except HaleError as error:
        raise Exit(f"fix: {error}", code=1) from None
    except KeyboardInterrupt:
        raise Exit("interrupted; `invoke runs` says what was done", code=130) from None
    print("\n".join(planner.lines(made)))
    saved = f"Saved to {out}; `invoke fix --apply --plan {out}` applies it."
    print(f"\n{saved}" if out else "\nNothing is changed; --apply does it, --out FILE saves it.")


@task(
    klass=typed.Helpful,
    help={
        "run": "the run, as `invoke runs` names it",
        "hosts": "only these hosts (default: all that the run changed)",
        "force": "put back files too that somebody has changed since",
        "yes": typed.YES,
        "approved-by": typed.APPROVED_BY,
        "ticket": typed.TICKET,
        "max-fail": MAX_FAIL,
        "take-lock": typed.TAKE_LOCK,
        "reports": typed.REPORTS,
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
    take_lock: bool = False,
    reports: str = "",
) -> None:
    """Take a run back: bytes, modes, owners, units and values as they were, newest first."""
    from hale.apply import command

    try:
        asked = command.Asked(
            typed.reports(reports),
            hosts=hosts,
            yes=yes,
            take_lock=take_lock,
            max_fail=max_fail,
            approved_by=approved_by,
            ticket=ticket,
            force=force,
        )
        whole = command.take_back(asked, run)
    except HaleError as error:
        raise Exit(f"undo: {error}", code=1) from None
    except KeyboardInterrupt:
        raise Exit("interrupted; `invoke runs` says what was done", code=130) from None
    raise Exit(code=0 if whole else 1)


@task(help={"reports": typed.REPORTS})
def runs(_: Context, reports: str = "") -> None:
    """List the runs, installs and drills too: who changed what, when, and how it ended."""
    from rich.console import Console

    from hale import runs as every

    try:
        Console(highlight=False).print(every.table(typed.reports(reports)))
    except HaleError as error:
        raise Exit(f"runs: {error}", code=1) from None


@task(klass=typed.Helpful, help={"requirement": "its id, such as SWAP-OFF"})
def explain(_: Context, requirement: str) -> None:
    """Say what a requirement asks, how it is seen, what mends it, and how to do that by hand."""
    from rich.console import Console
    from rich.markdown import Markdown

    from hale import explain as pages

    try:
        page = pages.page(requirement)
    except HaleError as error:
        raise Exit(f"explain: {error}", code=1) from None
    if sys.stdout.isatty():
        Console().print(Markdown(page))
    else:
        print(page, end="")


@task(
    klass=typed.Helpful,
    positional=["part"],
    help={
        "part": "vip, apiserver, etcd, worker, master, several by commas, or all: what is taken "
        "away; or restore: only give back what a drill left that was cut off",
        "inventory": typed.INVENTORY,
        "host": "take it from this host (default: the one whose loss costs most)",
        "on-production": "also where hosts are no lab's; docs/drills.md says what happens there",
        "yes": typed.YES,
        "take-lock": typed.TAKE_LOCK,
        "reports": typed.REPORTS,
    },
)
def drill(
    _: Context,
    part: str,
    inventory: str = "",
    host: str = "",
    on_production: bool = False,
    yes: bool = False,
    take_lock: bool = False,
    reports: str = "",
) -> None:
    """Take a part of the cluster away, measure who misses it, and give it back."""
    from hale.drill import command
    from lab.power import of_inventory

    path = Path(inventory) if inventory else TREE / "inventory.ini"
    asked = command.Asked(
        part=part,
        reports=typed.reports(reports),
        inventory=path,
        host=host,
        on_production=on_production,
        yes=yes,
        take_lock=take_lock,
        power=of_inventory(path),
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
    )
    try:
        whole = command.give_back(asked) if part == "restore" else command.drill(asked)
    except HaleError as error:
        raise Exit(f"drill: {error}", code=1) from None
    except KeyboardInterrupt:
        raise Exit("interrupted; see `invoke drill restore`", code=130) from None
    raise Exit(code=0 if whole else 1)


namespace = Collection(demo, explain, fix, undo, runs, install, reset, kubeconfig, drill, lab)
