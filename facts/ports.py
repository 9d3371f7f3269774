"""The ports of Kubernetes' components: free before a host joins, open afterwards.

Before the join, a process that listens on one prevents a component from starting, and kubeadm
stops half-way. Afterwards, a closed port means a component that does not run.

Sources: kubernetes.io, "Ports and Protocols"; proc_net_tcp(5); kubeadm's preflight checks.
"""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from facts.parsers import kubelet_config
from facts.parsers.blanks import split_words
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.ini import Host
from hale.model.evidence import (
    CommandProbe,
    ConfigLine,
    FileProbe,
    HostView,
    NotApplicable,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case
from hale.shell import load_script

LISTEN = "0A"
SCRIPT = PRELUDE + load_script(Path(__file__).with_suffix(".sh"))


class PortsParameters(Struct, frozen=True):
    """TCP ports; `etcd_ports` apply where etcd is stacked on the masters."""

    ports: tuple[int, ...]
    etcd_ports: tuple[int, ...] = ()


class PortsRuntime(Struct, frozen=True):
    """The open and closed ports. joined: whether this host is a node (it has a kubelet config)."""

    joined: bool
    open: tuple[int, ...]
    closed: tuple[int, ...]
    sources: tuple[ConfigLine, ...] = ()

    @property
    def wrong(self) -> tuple[int, ...]:
        """Ports in the wrong state: closed on a node, open on another host."""
        return self.closed if self.joined else self.open

    @property
    def actual(self) -> str:
        wrong = ", ".join(map(str, self.wrong))
        if self.joined:
            return f"nothing listens on {wrong}" if wrong else "a process listens on each"
        if not wrong:
            return "this host has not joined, and all of them are free"
        return (
            f"this host has not joined, and a process listens on {wrong} (`ss -ltnp` shows which)"
        )


def probes(host: Host, cases: Sequence[Case[PortsParameters]]) -> tuple[Probe, ...]:
    """The kernel's list of listening sockets, and the file that shows that the host has joined."""
    return (FileProbe(kubelet_config.PATH), CommandProbe("listening", SCRIPT))


def read_runtime(readings: HostView, case: Case[PortsParameters]) -> PortsRuntime:
    """The open and the closed ports. Raises NotApplicable, Unreadable."""
    joined = readings.file(kubelet_config.PATH) is not None
    lines = readings.output("listening").lines
    if lines[-1:] != ["end"]:
        raise Unreadable("the list of listening sockets is truncated")
    listening = set()
    for line in lines[:-1]:
        words = split_words(line)
        try:
            if words[3] == LISTEN:
                listening.add(int(words[1].rpartition(":")[2], 16))
        except (IndexError, ValueError):
            raise Unreadable(f"/proc/net/tcp: {line[:60]!r} is not a socket") from None
    wanted = list(case.parameters.ports)
    if case.inventory.etcd_kind == "stacked":
        wanted += case.parameters.etcd_ports
    if not wanted:
        raise NotApplicable("the baseline names no port")
    return PortsRuntime(
        joined,
        tuple(p for p in wanted if p in listening),
        tuple(p for p in wanted if p not in listening),
    )
