"""A lab that is supplied: its hosts can be installed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from lab import supply
from lab.machine import Lab, raised

GIVEN = "HALE_CLUSTER_LAB"  # names a lab that is up, to be used and left there


@contextmanager
def supplied(console: Console, purpose: str) -> Iterator[Lab]:
    """The lab that is given, or one that is raised and taken down again."""
    if name := os.environ.get(GIVEN):
        yield Lab(name)
        return
    with raised(f"test-{os.getpid()}-{purpose}", console.print) as lab:
        supply.supply(lab, console.print)
        yield lab
