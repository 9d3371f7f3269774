"""Faults that are proven side by side, each on a host of its own.

What a fault changes on its own host alone can be told from what others change on theirs: each row
of a host must be as this host's fault has it, those of the cluster and of all other hosts as they
were without any. One audit of all hosts shows a batch, and one of its hosts the way back.
"""

from collections.abc import Callable, Iterable

import pytest

from lab.faults.baseline import VIP_HOLDER
from lab.faults.fault import HostFault

Batch = tuple[HostFault, ...]


def is_own(fault: HostFault) -> bool:
    """Whether the fault concerns its own host alone. All hosts reach the VIP at its holder."""
    alone = fault.alone or fault.host == VIP_HOLDER
    return not alone and all(row.host == fault.host for row in fault.rows)


def batches(
    faults: Iterable[HostFault], first: Callable[[HostFault], object] = lambda fault: False
) -> list[Batch]:
    """All faults in batches of different hosts, those that concern other rows too by themselves.

    first: whether the fault costs more than others. These are together, as are those that cut the
    power, so that few batches have the cost.
    """
    faults = sorted(faults, key=lambda fault: (not first(fault), not fault.reboot))
    of_host: dict[str, list[HostFault]] = {}
    for fault in faults:
        if is_own(fault):
            of_host.setdefault(fault.host, []).append(fault)
    rounds = max(map(len, of_host.values()), default=0)
    together = [tuple(f[n] for f in of_host.values() if n < len(f)) for n in range(rounds)]
    return [*together, *((fault,) for fault in faults if not is_own(fault))]


def selected(request: pytest.FixtureRequest) -> list[HostFault]:
    """The faults of the module's tests in this run."""
    calls = (getattr(i, "callspec", None) for i in request.session.items if i.path == request.path)
    found = (call.params.get("fault") for call in calls if call)
    return [fault for fault in found if isinstance(fault, HostFault)]


class Batched:
    """The batches of a run, and which faults are proven."""

    def __init__(self, of_run: Iterable[Batch]) -> None:
        self._batch = {fault.name: batch for batch in of_run for fault in batch}
        self._proven: set[str] = set()

    def is_proven(self, fault: HostFault) -> bool:
        """Whether the fault was proven in a batch, by the test of another one."""
        return fault.name in self._proven

    def take(self, fault: HostFault) -> Batch:
        """The fault's batch. Where something in it is wrong, its faults are taken one by one after
        it, so that it shows of which of them it comes."""
        batch = self._batch[fault.name]
        self._batch |= {each.name: (each,) for each in batch}
        return batch

    def proven(self, batch: Batch) -> None:
        """All is right with these faults."""
        self._proven |= {fault.name for fault in batch}
