"""The operating system and kernel of a host.

Sources: os-release(5); proc_sys_kernel(5), osrelease.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest

from msgspec import Struct

from facts.parsers.blanks import BLANKS
from hale.inventory.ini import Host
from hale.model.evidence import ConfigLine, FileProbe, HostView, Probe, Unreadable
from hale.model.requirement import Case

FILES = ("/etc/os-release", "/usr/lib/os-release")  # the second only without the first
KERNEL = "/proc/sys/kernel/osrelease"


class OsReleaseParameters(Struct, frozen=True):
    """Accepted systems, spelled `NAME VERSION_ID`, and the oldest accepted kernel.

    "Rocky Linux 9" accepts 9.4 as well; "Rocky Linux 9.4" accepts neither 9.5 nor 9.40.
    """

    accepted: tuple[str, ...]
    kernel: str


class OsReleaseRuntime(Struct, frozen=True):
    """The system as `NAME VERSION_ID`, and the running kernel's release."""

    system: str
    pretty_name: str
    kernel: str
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        where = f" ({self.sources[0].path})" if self.sources else ""
        pretty = f", which calls itself {self.pretty_name}" if self.pretty_name else ""
        return f"{self.system}{pretty}{where}, with kernel {self.kernel}"

    def is_one_of(self, accepted: Sequence[str]) -> bool:
        """Whether it is one of these systems, or a minor release of one of them."""
        return any(self.system == one or self.system.startswith(f"{one}.") for one in accepted)

    def kernel_at_least(self, release: str) -> bool:
        """Whether the running kernel is this release or a later one."""
        have, want = numbers(self.kernel), numbers(release)
        for mine, theirs in zip_longest(have, want, fillvalue=0):
            if mine != theirs:
                return mine > theirs
        return True


def probes(host: Host, cases: Sequence[Case[OsReleaseParameters]]) -> tuple[Probe, ...]:
    """os-release in both of its places, and the kernel's own release string."""
    return (FileProbe(*FILES, KERNEL),)


def read_runtime(readings: HostView, case: Case[OsReleaseParameters]) -> OsReleaseRuntime:
    """The running system and kernel. Raises Unreadable where either has no name or release."""
    values = fields(readings, FILES)
    name = values.get("NAME", "")
    if not name:
        raise Unreadable(f"no NAME in {' or '.join(FILES)}")
    file = readings.file(KERNEL)
    kernel = file.lines[0].strip(BLANKS) if file and file.lines else ""
    numbers(kernel)
    return OsReleaseRuntime(
        f"{name} {values.get('VERSION_ID', '')}".strip(BLANKS),
        values.get("PRETTY_NAME", ""),
        kernel,
        _sources(readings),
    )


def fields(readings: HostView, files: Sequence[str]) -> Mapping[str, str]:
    """The assignments of the first of these files that exists. Raises Unreadable."""
    for path in files:
        if file := readings.file(path):
            return {key: value for line in file.lines for key, value in _assignment(line)}
    raise Unreadable(f"there is no {' or '.join(files)}")


def numbers(release: str) -> tuple[int, ...]:
    """(4, 18, 0) for `4.18.0-553.el8.x86_64`. Raises Unreadable without a leading number."""
    found = re.match(r"\d+(\.\d+)*", release, re.ASCII)
    if not found:
        raise Unreadable(f"{release!r} is not a kernel release")
    return tuple(int(n) for n in found[0].split("."))


def _assignment(line: str) -> list[tuple[str, str]]:
    """One `KEY=value` as a shell would read it; empty for a line that is no assignment."""
    found = re.match(r"\s*([A-Za-z_][A-Za-z0-9_]*)=(.*)$", line.rstrip("\r"), re.ASCII)
    if not found:
        return []
    value = found[2].strip(BLANKS)
    if value[:1] == "'" and value.find("'", 1) > 0:
        return [(found[1], value[1 : value.find("'", 1)])]
    if value[:1] == '"' and (quoted := re.match(r'"((?:[^"\\]|\\.)*)"', value)):
        return [(found[1], re.sub(r'\\([$"`\\])', r"\1", quoted[1]))]
    return [(found[1], re.sub(r"\\(.)", r"\1", value))]


def _sources(readings: HostView) -> tuple[ConfigLine, ...]:
    file = next(f for path in FILES if (f := readings.file(path)))
    return tuple(
        ConfigLine(file.path, number, line.strip(BLANKS), wins=True, changed=file.changed)
        for number, line in enumerate(file.lines, 1)
        for key, _ in _assignment(line)
        if key in ("NAME", "VERSION_ID")
    )
