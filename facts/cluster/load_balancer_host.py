"""What the load balancer's files depend on: the versions of haproxy and keepalived, and IPv6.

Not a subject: the install's phases observe it. The version is what the installed program prints, or
else its package's: `keepalived -v` of 2.3 fails without its file keepalived.config-opts. Before
there is a program, it is that of the package which apt or dnf would install, as far as its lists
say. dnf is asked for what it has cached (`-C`), so that reading never waits for a mirror.

IPv6 that the kernel does not have (`ipv6.disable=1`) leaves no /proc/sys/net/ipv6, and no socket of
that family can be opened; where only `disable_ipv6` is set, interfaces have no addresses, and the
socket can be opened and bound to `::` all the same.

Sources: haproxy(1) -v; keepalived(8) -v; dpkg-query(1); rpm(8); apt-cache(8) policy; dnf(8)
repoquery; the kernel's
Documentation/networking/ipv6.rst (disable) and ip-sysctl.rst (disable_ipv6).
"""

import re
from enum import Enum
from pathlib import Path

from msgspec import Struct

from hale.model.evidence import CommandProbe, HostView, Unreadable, parsed
from hale.shell import arguments, load_script

SUBJECT = "load_balancer_host"
PROGRAMS = ("haproxy", "keepalived")  # as their packages are named

# `HA-Proxy version 1.8.27-493ce0b 2020/11/06`, `HAProxy version 3.3-dev5-…`, `Keepalived v2.2.7 (…`
_INSTALLED = re.compile(r"(?:HA-?Proxy version |Keepalived v)(\d+)\.(\d+)(?:\.(\d+))?", re.ASCII)
_PACKAGE = re.compile(
    r"(?:\d+:)?(\d+)\.(\d+)(?:\.(\d+))?", re.ASCII
)  # an epoch stands before the colon

Version = tuple[int, int, int]


class Ipv6(Enum):
    """Whether the host's network has IPv6."""

    ENABLED = "enabled"
    DISABLED = "disabled"  # by the sysctl: no addresses
    ABSENT = "absent"  # by the kernel argument: no such sockets


class Program(Struct, frozen=True):
    """A program's version. text: what the version was read from. installed: not yet otherwise."""

    version: Version
    text: str
    installed: bool = True

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


class LoadBalancerHost(Struct, frozen=True):
    """None: neither installed nor in the package manager's lists."""

    haproxy: Program | None = None
    keepalived: Program | None = None
    ipv6: Ipv6 = Ipv6.ENABLED


def probe() -> CommandProbe:
    """The probe for all of it."""
    script = arguments(*PROGRAMS) + load_script(Path(__file__).with_suffix(".sh"))
    return CommandProbe("versions", script, timeout=20)


@parsed
def read(readings: HostView) -> LoadBalancerHost:
    """Versions and IPv6. Raises Unreadable, also for an installed program without a version."""
    found: dict[str, Program] = {}
    printed: dict[str, str] = {}
    ipv6: Ipv6 | None = None
    for line in readings.output("versions").lines:
        word, _, rest = line.partition(" ")
        if word == "ipv6" and rest in [i.value for i in Ipv6]:
            ipv6 = Ipv6(rest)
            continue
        name, _, text = rest.partition(" ")
        if word not in ("installed", "package", "candidate") or name not in PROGRAMS:
            raise Unreadable(f"the answer is garbled: {line[:80]!r}")
        if word == "installed":
            printed[name] = text
        match = (_INSTALLED.search if word == "installed" else _PACKAGE.match)(text)
        if match and name not in found:
            major, minor, patch = (int(part or 0) for part in match.groups())
            found[name] = Program((major, minor, patch), text, word != "candidate")
    for name, text in printed.items():
        if name not in found:
            raise Unreadable(
                f"`{name} -v` prints no version: {text[:80]!r}. Its configuration depends on that: "
                f"reinstall the package {name}, and run the command again"
            )
    if ipv6 is None:
        raise Unreadable("the answer is garbled: it does not say whether there is IPv6")
    return LoadBalancerHost(found.get("haproxy"), found.get("keepalived"), ipv6)
