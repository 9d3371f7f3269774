"""The nodes of a living cluster, by kubectl on one of its control-plane nodes.

kubectl uses kubeadm's admin.conf, as CMP-KUBECTL does: the server is the one that it names.

Sources: kubectl's reference, `get`, `cordon`, `drain`, `uncordon`; "JSONPath support";
kubernetes.io, "Safely Drain a Node".
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hale.apply.gates import GateClosed
from hale.inventory.cluster_spec import ADMIN
from hale.ssh import CommandResult, RemoteError, SessionPool

REQUEST_TIMEOUT = 20  # seconds
_KUBECTL = f"KUBERC=off kubectl --kubeconfig {ADMIN} --cache-dir /dev/null"
# An empty field keeps its brackets.
_NODES = (
    "{range .items[*]}{.metadata.name} [{.spec.unschedulable} "
    '{.spec.taints[?(@.key=="node.kubernetes.io/unschedulable")].timeAdded}] '
    '[{.status.conditions[?(@.type=="Ready")].status}] [{.spec.taints[*].effect}] '
    '{range .status.addresses[*]}{.address} {end}{"\\n"}{end}'
)
_NODE = re.compile(
    r"(\S+) \[(true|false)? ?([0-9TZ:-]*)\] \[(True|False|Unknown)?\] \[([A-Za-z ]*)\](.*)"
)
_REPELS = ("NoSchedule", "NoExecute")


class ClusterNode(NamedTuple):
    """A node as the cluster has it.

    cordoned: no new pods are scheduled to it. tainted: nor are those that do not tolerate a taint.
    cordoned_at: UTC time of the taint that the cluster adds to a cordoned node; empty if unknown.
    """

    name: str
    cordoned: bool
    ready: bool
    addresses: tuple[str, ...]
    tainted: bool = False
    cordoned_at: str = ""

    @property
    def takes_pods(self) -> bool:
        """Whether any pod may be scheduled to it."""
        return self.ready and not self.cordoned and not self.tainted


class ApiUnavailable(Exception):
    """The cluster's API does not answer, or not as kubectl does; the text has the reason."""


@dataclass
class ClusterNodes:
    """Requests to the cluster. masters: the hosts on which kubectl is tried, in order."""

    sessions: SessionPool
    masters: Sequence[str]
    _answers: str = field(default="", init=False)  # the host on which it has worked

    def run(self, *words: str, timeout: float = REQUEST_TIMEOUT) -> CommandResult:
        """Run kubectl with these arguments where it works; its result, whatever the exit status.

        timeout: seconds. Raises ApiUnavailable.
        """
        if not self._answers:
            self.all()
        try:
            return self._run_on(self._answers, words, timeout)
        except ApiUnavailable:
            self._answers = ""  # the next request tries all hosts again
            raise

    def _run_on(self, master: str, words: Iterable[str], timeout: float) -> CommandResult:
        command = f"{_KUBECTL} {shlex.join(words)}"
        try:
            return self.sessions.on_session(master, lambda session: session.run(command, timeout))
        except RemoteError as error:
            raise ApiUnavailable(str(error)) from None

    def all(self) -> tuple[ClusterNode, ...]:
        """All nodes. Raises ApiUnavailable."""
        reasons = []
        for master in self.masters:
            words = ("get", "nodes", "--request-timeout=10s", "-o", f"jsonpath={_NODES}")
            try:
                done = self._run_on(master, words, REQUEST_TIMEOUT)
            except ApiUnavailable as error:
                reasons.append(str(error))
                continue
            if done.exit_status == 0:
                try:
                    nodes = parse_nodes(done.stdout.decode(errors="backslashreplace"))
                except ValueError as error:
                    reasons.append(f"{master}: {error}")
                    continue
                self._answers = master
                return nodes
            reasons.append(f"{master}: {last_line(done)}")
        raise ApiUnavailable(reasons[0] if reasons else "the inventory names no control-plane node")


def node_of(
    nodes: Iterable[ClusterNode], name: str, addresses: Mapping[str, str]
) -> ClusterNode | None:
    """The node of a host, by its address and its name. addresses: of all hosts.

    An address that another host has too, as with ports forwarded through one host, proves nothing.
    Raises GateClosed where more than one node may be the host's.
    """
    found, address = list(nodes), addresses.get(name, "")
    by_name = [n for n in found if n.name == name]
    by_address = [n for n in found if address and address in n.addresses]
    others = {host: other for host, other in addresses.items() if host != name}
    sharing = [host for host, other in others.items() if other == address]
    sharing += [n.name for n in by_address if n.name in others]
    if by_name and sharing:
        return by_name[0]
    candidates = {n.name: n for n in (*by_address, *by_name)}
    if by_address and sharing:
        raise GateClosed(
            f"{name} has the address {address}, as has {sharing[0]}, and no node has its name, so "
            "its node is unknown"
        )
    if len(candidates) > 1:
        raise GateClosed(
            f"the nodes {' and '.join(candidates)} have the address {address} or the name {name}, "
            "so its node is unknown"
        )
    return next(iter(candidates.values()), None)


def parse_nodes(text: str) -> tuple[ClusterNode, ...]:
    """The nodes that kubectl has printed by the template. Raises ValueError."""
    made = []
    for line in filter(str.strip, text.splitlines()):
        found = _NODE.fullmatch(line)
        if found is None:
            raise ValueError(f"kubectl's list of nodes has an unknown line: {line[:80]!r}")
        name, cordoned, since, ready, taints, addresses = found.groups()
        tainted = any(effect in _REPELS for effect in taints.split())
        made.append(
            ClusterNode(
                name, cordoned == "true", ready == "True", tuple(addresses.split()), tainted, since
            )
        )
    if not made:
        raise ValueError("kubectl's list of nodes is empty")
    return tuple(made)


def last_line(done: CommandResult) -> str:
    """The last line of a failed command's standard error."""
    lines = done.stderr.decode(errors="backslashreplace").strip().splitlines()
    return lines[-1] if lines else f"exit status {done.exit_status}"
