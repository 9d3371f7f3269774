"""Types an invoke command that waits once it holds the hosts' locks: `… FILE WORD…`.

It creates FILE when it holds them, and goes on when FILE is gone. Everything else is the command's.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from invoke.program import Program

from hale.apply import cluster_lock
from hale.polling import wait_until

PATIENCE = 900.0  # seconds; a test that has ended does not need the command any more


def main(file: Path, words: Sequence[str]) -> None:
    """Run `invoke words`."""
    acquire_all = cluster_lock.acquire_all

    def paused(*given: Any, **named: Any) -> list[str]:
        held = acquire_all(*given, **named)
        file.touch()
        wait_until(file.exists, PATIENCE, 0.05)
        return held

    cluster_lock.acquire_all = paused
    Program().run(["invoke", *words])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
