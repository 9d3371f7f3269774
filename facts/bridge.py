"""The kernel's switches for bridged packets: there as soon as br_netfilter is.

Source: the kernel's Documentation/networking/ip-sysctl, "/proc/sys/net/bridge/* Variables".
"""

from collections.abc import Sequence

from msgspec import Struct

from hale.fact import Files, Probe, Readings, Source, Unreadable
from hale.inventory import Host
from hale.requirement import Case

ROOT = "/proc/sys"


class Parameters(Struct, frozen=True):
    """The folder that must exist, below /proc/sys, and the module that makes it."""

    path: str
    module: str = ""


class Runtime(Struct, frozen=True):
    """Whether the folder exists."""

    path: str
    exists: bool
    kind: str = ""
    sources: tuple[Source, ...] = ()

    @property
    def actual(self) -> str:
        if self.exists:
            return f"{self.path} exists"
        if self.kind:
            return f"{self.path} is there but no folder (kind {self.kind!r})"
        return f"{self.path} does not exist"


def probes(host: Host, cases: Sequence[Case[Parameters]]) -> tuple[Probe, ...]:
    """The folder and /proc/sys itself."""
    return (Files(ROOT, *(case.parameters.path for case in cases)),)


def runtime(readings: Readings, case: Case[Parameters]) -> Runtime:
    """Raises Unreadable where /proc/sys as a whole is not to be seen."""
    path = case.parameters.path
    found = readings.file(path)
    if found is None and readings.file(ROOT) is None:
        raise Unreadable(f"{ROOT} does not exist: is /proc mounted?")
    return Runtime(path, found is not None and found.kind == "d", found.kind if found else "")
