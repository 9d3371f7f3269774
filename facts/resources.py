"""CPUs and memory of the running kernel.

Sources: the kernel's Documentation/admin-guide/cputopology.rst (`online`, a list of ranges);
proc_meminfo(5), MemTotal: usable memory, without what firmware and kernel reserve.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from facts.parsers.blanks import BLANKS
from hale.inventory.ini import Host
from hale.model.evidence import ConfigLine, FileProbe, HostView, Probe, Unreadable
from hale.model.requirement import Case

CPUS = "/sys/devices/system/cpu/online"
MEMORY = "/proc/meminfo"


class ResourcesParameters(Struct, frozen=True):
    """The minimum CPUs, the minimum installed memory, and the share that may be reserved."""

    cpus: int
    memory_mib: int
    reserved_percent: int

    @property
    def usable_mib(self) -> float:
        """The minimum of MemTotal, in MiB."""
        return self.memory_mib * (100 - self.reserved_percent) / 100


class ResourcesRuntime(Struct, frozen=True):
    """Online CPUs, and usable memory in MiB."""

    cpus: int
    memory_mib: float
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        return (
            f"{self.cpus} CPU{'' if self.cpus == 1 else 's'} online, "
            f"{self.memory_mib:.0f} MiB of memory usable (MemTotal)"
        )


def probes(host: Host, cases: Sequence[Case[ResourcesParameters]]) -> tuple[Probe, ...]:
    """The kernel's list of online CPUs, and /proc/meminfo."""
    return (FileProbe(CPUS, MEMORY),)


def read_runtime(readings: HostView, case: Case[ResourcesParameters]) -> ResourcesRuntime:
    """Online CPUs and usable memory. Raises Unreadable where the kernel does not report them."""
    cpus = readings.file(CPUS)
    memory = readings.file(MEMORY)
    if cpus is None or memory is None:
        raise Unreadable(f"there is no {MEMORY if cpus else CPUS}")
    return ResourcesRuntime(_count("".join(cpus.lines).strip(BLANKS)), _total(memory.lines) / 1024)


def _count(ranges: str) -> int:
    """The number of CPUs in a list of ranges: 4 for `0-2,5`."""
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", ranges, re.ASCII):
        raise Unreadable(f"{CPUS}: {ranges!r} is not a list of CPUs")
    count = 0
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        count += int(last or first) - int(first) + 1
    return count


def _total(lines: Sequence[str]) -> int:
    for line in lines:
        if found := re.fullmatch(r"MemTotal:\s+(\d+) kB\s*", line, re.ASCII):
            return int(found[1])
    raise Unreadable(f"{MEMORY} has no MemTotal")
