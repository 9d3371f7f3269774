"""The kernel's switches for bridged packets, which exist once br_netfilter is loaded.

Source: the kernel's Documentation/networking/ip-sysctl, "/proc/sys/net/bridge/* Variables".
"""

from collections.abc import Sequence

from msgspec import Struct

from hale.inventory.ini import Host
from hale.model.evidence import ConfigLine, FileProbe, HostView, Probe, Unreadable
from hale.model.requirement import Case

ROOT = "/proc/sys"


class BridgeNetfilterParameters(Struct, frozen=True):
    """The folder below /proc/sys that must exist, and the module that creates it."""

    path: str
    module: str = ""


class BridgeNetfilterRuntime(Struct, frozen=True):
    """Whether the folder exists."""

    path: str
    exists: bool
    kind: str = ""
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        if self.exists:
            return f"{self.path} exists"
        if self.kind:
            return f"{self.path} is there but no folder (kind {self.kind!r})"
        return f"{self.path} does not exist"


def probes(host: Host, cases: Sequence[Case[BridgeNetfilterParameters]]) -> tuple[Probe, ...]:
    """The folder and /proc/sys itself."""
    return (FileProbe(ROOT, *(case.parameters.path for case in cases)),)


def read_runtime(
    readings: HostView, case: Case[BridgeNetfilterParameters]
) -> BridgeNetfilterRuntime:
    """Whether the folder exists. Raises Unreadable where /proc/sys itself is missing."""
    path = case.parameters.path
    found = readings.file(path)
    if found is None and readings.file(ROOT) is None:
        raise Unreadable(f"{ROOT} does not exist: is /proc mounted?")
    return BridgeNetfilterRuntime(
        path, found is not None and found.kind == "d", found.kind if found else ""
    )
