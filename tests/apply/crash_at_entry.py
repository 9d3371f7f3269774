"""Carries out a plan and dies at a journal's entry: `python -m tests.apply.crash_at_entry …`.

A process of its own, because it ends by SIGKILL: nothing of it can clean up.
"""

import os
import signal
import sys
from pathlib import Path

from hale.apply.journal import Entry, Journal
from hale.inventory import ini
from hale.plan import plan
from hale.ssh import SessionPool
from hale.ssh.inventory_targets import LoginOptions, targets_of
from tests.apply.compliant_lab import carry_out


def main(inventory: str, saved: str, folder: str, side: str, entry: int, trial: int = 0) -> None:
    """Die right `before` or `after` the entry of that number is on disk.

    trial: seconds after which the host undoes the run by itself.
    """
    write = Journal.write
    count = 0

    def dying(self: Journal, line: Entry) -> None:
        nonlocal count
        count += 1
        if count == entry and side == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, line)
        if count == entry and side == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.write = dying  # type: ignore[method-assign, assignment]
    made = plan.load_plan(Path(saved))
    known = ini.load_inventory(Path(inventory))
    sessions = SessionPool(targets_of(known, LoginOptions(connect_timeout=60)))
    carry_out(made, sessions, Path(inventory), Path(folder), "fix", trial=trial)


if __name__ == "__main__":
    inventory, saved, folder, side, *numbers = sys.argv[1:]
    main(inventory, saved, folder, side, *map(int, numbers))
