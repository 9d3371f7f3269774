"""A host with a fault in it, and the way back."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from lab.faults.fault import HostFault
from lab.machine import Lab


@contextmanager
def injected(lab: Lab, fault: HostFault) -> Iterator[None]:
    """Inside the `with` the host has the fault. Afterwards its files are as they were, byte for
    byte, and what files do not bring back the fault's own undo does.

    Raises LabError if inject or undo fail.
    """
    host = lab[fault.host]
    paths = [path.lstrip("/") for path in fault.files]
    kept = b""
    if paths:
        # Out of the host: a power cut would take it from /run.
        there = '[ ! -e "$p" ] && [ ! -L "$p" ] || set -- "$@" "$p"'
        listed = f"for p in {shlex.join(paths)}; do {there}; done"
        kept = host.run(f'cd / && set -- && {listed}; [ $# = 0 ] || tar -cf - -- "$@"').stdout
    try:
        host.run(fault.inject)
        if fault.reboot:
            host.power_cycle()
        yield
    finally:
        if paths:
            gone = f"cd / && rm -rf -- {shlex.join(paths)}"
            host.run(f"{gone} && tar -xpf -" if kept else gone, input=kept or None)
        if fault.undo:
            host.run(fault.undo)
        if fault.reboot:
            host.power_cycle()
