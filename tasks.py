"""The door to invoke: `invoke --list` names what there is."""

import shlex
import sys
from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

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


namespace = Collection(demo, lab)
