"""A lab with a package mirror and registry, so that its hosts can be installed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from lab import mirror
from lab.machine import Lab, running_lab

GIVEN = "HALE_CLUSTER_LAB"  # the name of a running lab, which is used and left running


@contextmanager
def lab_with_mirror(console: Console, purpose: str) -> Iterator[Lab]:
    """The lab that $HALE_CLUSTER_LAB names, or one that is started and removed."""
    if name := os.environ.get(GIVEN):
        yield Lab(name)
        return
    with running_lab(f"test-{os.getpid()}-{purpose}", console.print) as lab:
        mirror.start_mirror(lab, console.print)
        yield lab
