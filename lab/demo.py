"""`invoke demo`: an audit to look at, without hosts of one's own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from lab.errors import LabError

TREE = Path(__file__).parent.parent


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
        print("A cluster on it is `make cluster`; docs/lab.md has its dashboard in the browser.")
