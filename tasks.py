"""The door to invoke: `invoke --list` names what there is."""

import shlex
import sys
from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from hale.errors import HaleError
from lab import machine
from lab.errors import LabError
from lab.tasks import lab

TREE = Path(__file__).parent


@task
def demo(context: Context) -> None:
    """Raise the lab, audit its five hosts, leave the report; without a lab, audit this machine."""
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
    command = shlex.join([str(Path(sys.executable).parent / "pytest"), *arguments])
    print(f"\n$ {command}\n", flush=True)
    with context.cd(TREE):
        done = context.run(command, pty=sys.stdout.isatty(), warn=True, hide=False)
    if done is None or done.exited not in (0, 1):
        raise Exit("the audit could not be made; what stopped it stands above", code=1)
    print("\nThe audit is made; red rows are how the hosts are, not an error of the audit.")
    if not reason:
        print("The lab is still up: `.venv/bin/invoke lab.status`, `.venv/bin/invoke lab.down`.")


@task(
    help={
        "hosts": "which hosts, as in pytest --hosts (default: all)",
        "inventory": "the inventory (default: inventory.ini)",
        "only": "requirements, by commas (default: all that are red)",
        "profile": "document or extended",
        "out": "save the plan to this file, with a SHA-256 over its content",
    }
)
def fix(
    _: Context,
    hosts: str = "all",
    inventory: str = "",
    only: str = "",
    profile: str = "document",
    out: str = "",
) -> None:
    """Say what would make the red rows green, changing nothing: diffs, costs, what is by hand."""
    from hale import fix as planner
    from hale import plan

    try:
        wanted = planner.requirements(only)
        run = planner.audit(
            Path(inventory) if inventory else None, hosts, profile, TREE / "reports"
        )
        made = planner.make(run, wanted)
        if out:
            plan.save(made, Path(out))
    except HaleError as error:
        raise Exit(f"fix: {error}", code=1) from None
    print("\n".join(planner.lines(made)))
    print(f"\nSaved to {out}." if out else "\nNothing is changed; --out FILE saves this plan.")


namespace = Collection(demo, fix, lab)
