"""Hosts with faults in them, and the way back."""

import shlex
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from lab.faults.fault import HostFault
from lab.machine import Lab


@contextmanager
def injected(lab: Lab, *faults: HostFault) -> Iterator[None]:
    """Inside the `with` each host has its fault; several hosts get theirs side by side. Afterwards
    their files are as they were, byte for byte, and what files do not bring back the fault's own
    undo does.

    Raises LabError if inject or undo fail, ValueError for two faults of one host.
    """
    if len({fault.host for fault in faults}) < len(faults):
        raise ValueError(f"two faults of one host: {[fault.name for fault in faults]}")
    hosts = [_FaultyHost(lab, fault) for fault in faults]
    with ThreadPoolExecutor(len(hosts)) as side_by_side:

        def each(deed: Callable[[_FaultyHost], None]) -> None:
            list(side_by_side.map(deed, hosts))

        each(_FaultyHost.keep)
        try:
            each(_FaultyHost.inject)
            yield
        finally:
            each(_FaultyHost.undo)


class _FaultyHost:
    """A host, its fault, and its files of before."""

    def __init__(self, lab: Lab, fault: HostFault) -> None:
        self._host = lab[fault.host]
        self._fault = fault
        self._paths = [path.lstrip("/") for path in fault.files]
        self._kept = b""

    def keep(self) -> None:
        """Out of the host: a power cut would take it from /run."""
        if self._paths:
            there = '[ ! -e "$p" ] && [ ! -L "$p" ] || set -- "$@" "$p"'
            listed = f"for p in {shlex.join(self._paths)}; do {there}; done"
            archive = f'cd / && set -- && {listed}; [ $# = 0 ] || tar -cf - -- "$@"'
            self._kept = self._host.run(archive).stdout

    def inject(self) -> None:
        self._host.run(self._fault.inject)
        self._boot()

    def undo(self) -> None:
        if self._paths:
            gone = f"cd / && rm -rf -- {shlex.join(self._paths)}"
            script = f"{gone} && tar -xpf -" if self._kept else gone
            self._host.run(script, input=self._kept or None)
        if self._fault.undo:
            self._host.run(self._fault.undo)
        self._boot()

    def _boot(self) -> None:
        if self._fault.reboot:
            self._host.power_cycle()
