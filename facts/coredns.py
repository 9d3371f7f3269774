"""CoreDNS: enough ready replicas on different nodes, and correct answers on every node.

The replicas are the pods that the Service kube-dns selects, whatever they are called, or those with
kubeadm's label k8s-app=kube-dns, as each master's apiserver lists them; masters that contradict
each other prove nothing. Name resolution is tested from every node with one query: the A record of
kubernetes.default.svc, sent to the DNS server that its kubelet configures for pods, through the
same kube-proxy that pods use.
The answer must be the Service's address according to the apiserver.

A CoreDNS that forwards to itself finds its own question come back and ends. So its Corefile is read
for servers that are itself, and where it forwards to /etc/resolv.conf, the file that each node's
kubelet gives to its pods.

Sources: kubernetes.io, "DNS for Services and Pods", KubeletConfiguration v1beta1 (clusterDNS,
clusterDomain, resolvConf); CoreDNS's plugins forward and loop, "Troubleshooting Loops In Kubernetes
Clusters"; facts/parsers/dns_query.py.
"""

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from facts.parsers import dns_query, kubelet_config, local_apiserver
from facts.parsers.blanks import split_words
from facts.parsers.combined import read_each
from hale.inventory.ini import Host
from hale.model.evidence import ClusterView, CommandProbe, ConfigLine, HostView, Probe, Unreadable
from hale.model.requirement import Case
from hale.shell import script_with

_SERVICES = "/services/{}?includeObject=None&pretty=false"
_DNS = "/api/v1/namespaces/kube-system" + _SERVICES.format("kube-dns")
_LABEL = "k8s-app=kube-dns"
PATHS = {
    "pods": "/api/v1/namespaces/kube-system/pods?includeObject=None&pretty=false&labelSelector=",
    "service": "/api/v1/namespaces/default" + _SERVICES.format("kubernetes"),
}

CONFIGMAP = "/api/v1/namespaces/kube-system/configmaps/coredns?pretty=false"
RESOLV_CONF = "/etc/resolv.conf"
_FORWARD = re.compile(r"\s*(?:forward|proxy)\s+\.\s+([^{#]*)", re.ASCII)

LOOK = dns_query.SHELL + script_with(Path(__file__).with_suffix(".sh"), config=kubelet_config.PATH)


class CorednsParameters(Struct, frozen=True):
    """The number of ready replicas required, each on a different node."""

    replicas: int


class CorednsRuntime(Struct, frozen=True):
    """The nodes of the ready replicas, and the faults in the answers that nodes received."""

    nodes: tuple[str, ...]
    faults: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        text = f"ready replicas of CoreDNS: {_listed(self.nodes)}"
        return "; ".join([text, *self.faults, *self.unread])


def probes(host: Host, cases: Sequence[Case[CorednsParameters]]) -> tuple[Probe, ...]:
    """A DNS query from every host, and the list of replicas from masters; run in parallel."""
    look = CommandProbe("lookup", LOOK, timeout=15, slow=True)
    if not host.is_master:
        return (look,)
    file = Path(__file__).with_name("coredns_corefile.sh")
    corefile = local_apiserver.SHELL + script_with(file, path=CONFIGMAP)
    return look, replicas_probe(), CommandProbe("corefile", corefile, timeout=20, slow=True)


def replicas_probe() -> CommandProbe:
    """Requests the replicas and the Service from this master's own apiserver."""
    file = Path(__file__).with_name("coredns_replicas.sh")
    requests = script_with(file, **PATHS, dns=_DNS, label=_LABEL, table=local_apiserver.TABLE)
    return CommandProbe("replicas", f"{local_apiserver.SHELL}\n{requests}", timeout=25, slow=True)


def read_runtime(readings: ClusterView, case: Case[CorednsParameters]) -> CorednsRuntime:
    """The hosts' answers combined. A proven fault counts even where other hosts did not answer.

    Raises Unreadable where a host, or every apiserver, gave no answer, or two masters contradict
    each other, and the others prove no fault.
    """
    answers, errors = read_each(readings, case.inventory.masters, replicas)
    addresses = tuple(dict.fromkeys(address for _, address in answers.values()))
    nodes = next((nodes for nodes, _ in answers.values()), None)
    lookups, unread = read_each(
        readings,
        case.sources.values(),
        lambda its: _lookup(its.output("lookup").lines, addresses),
    )
    faults = [f"{host}: {fault}" for host, fault in lookups.items() if fault]
    if len(set(answers.values())) > 1:
        unread.insert(0, _contradiction(answers))
    elif nodes is None:
        unread = [*errors, *unread]
    elif len(set(nodes)) < min(case.parameters.replicas, len(case.inventory.hosts)):
        faults.append(
            f"they are on {len(set(nodes))} node(s): the loss of one would stop the "
            "resolution of all Services' names"
            if nodes
            else "none is ready: no Service's name resolves"
        )
    if any("ready" in fault for fault in faults) or len(set(nodes or ())) < 2:
        faults += _not_ready(readings, case)
    faults += _loops(readings, case)
    if unread and not faults:
        raise Unreadable("; ".join(unread))
    return CorednsRuntime(nodes or (), tuple(faults), tuple(unread))


def _not_ready(readings: ClusterView, case: Case[CorednsParameters]) -> list[str]:
    """The state of each replica that is not ready, as the first master with an answer has it."""
    for host in case.inventory.masters:
        try:
            found = local_apiserver.answers(readings[host.name].output("replicas").lines, PATHS)
            rows = found["pods"].rows if found else []
            return sorted(
                f"{row['Name']} on {row['Node']} is not ready ({row['Status']})"
                for row in rows
                if row["Status"] != "Running" or not _all_ready(row["Ready"])
            )
        except (KeyError, Unreadable):
            continue
    return []


def _loops(readings: ClusterView, case: Case[CorednsParameters]) -> list[str]:
    """Where CoreDNS forwards to itself. Nothing where the Corefile could not be read."""
    targets: tuple[str, ...] = ()
    for host in case.inventory.masters:
        try:
            targets = targets or _forwards(readings[host.name].output("corefile").lines)
        except (KeyError, Unreadable):
            continue
    servers: dict[str, tuple[str, list[str]]] = {}
    clusters: set[str] = set()
    for host in case.sources.values():
        try:
            lines = readings[host.name].output("lookup").lines
        except (KeyError, Unreadable):
            continue
        clusters |= {
            split_words(line)[1] for line in lines if re.match(r"dns \S+ ", line, re.ASCII)
        }
        for line in lines:
            if line.startswith("resolver ") and len(words := split_words(line)) > 1:
                servers[host.name] = words[1], words[2:]
    faults = [
        f"CoreDNS forwards to {target}, which is itself: it ends when it starts (plugin loop)"
        for target in targets
        if _itself(target, clusters)
    ]
    if RESOLV_CONF in targets:
        faults += [
            f"{host}: {path} names {server}, which is itself for a CoreDNS that starts there: it "
            "ends (plugin loop)"
            for host, (path, found) in servers.items()
            for server in found
            if _itself(server, clusters)
        ]
    return faults


def _forwards(lines: Sequence[str]) -> tuple[str, ...]:
    """What the Corefile forwards all other names to."""
    line = next((x.removeprefix("corefile ") for x in lines if x.startswith("corefile ")), '""')
    try:
        text = json.loads(line)
    except (ValueError, RecursionError):
        return ()
    found = (split_words(match[1]) for match in map(_FORWARD.match, str(text).split("\n")) if match)
    return tuple(dict.fromkeys(word for words in found for word in words))


def _itself(target: str, clusters: Collection[str]) -> bool:
    """Whether it is the DNS port of the loopback address, or of the cluster's DNS server."""
    text = target.removeprefix("dns://").removesuffix(":53").strip("[]")
    try:
        return text in clusters or ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return text == "localhost"


def _lookup(lines: Sequence[str], addresses: Sequence[str]) -> str:
    """What is wrong with the answer that this host received; empty: nothing. Raises Unreadable.

    addresses: the Service's, several where masters contradict each other.
    """
    if lines == ["not joined"]:
        return f"there is no {kubelet_config.PATH}: this host is not a node yet"
    if lines == ["no server"]:
        return f"{kubelet_config.PATH} names no clusterDNS: pods get no DNS server of the cluster"
    got = dns_query.reply(lines[-1] if lines else "")
    if got.trouble:
        return got.trouble
    if addresses and (len(got.addresses) != 1 or got.addresses[0] not in addresses):
        return (
            f"{got.server} says {' '.join(got.addresses)} for {got.name}, and the Service has "
            f"{' or '.join(addresses)}"
        )
    return ""


def _contradiction(answers: Mapping[str, tuple[tuple[str, ...], str]]) -> str:
    """Who has which answer."""
    each = (
        f"{name} has {_listed(nodes)}, and {address} for the Service"
        for name, (nodes, address) in answers.items()
    )
    return f"the masters contradict each other on the ready replicas: {'; '.join(each)}"


def _listed(nodes: Sequence[str]) -> str:
    """`1 on node-1, 2 on node-2`, or `none`."""
    return ", ".join(f"{n} on {node}" for node, n in sorted(Counter(nodes).items())) or "none"


def replicas(readings: HostView) -> tuple[tuple[str, ...], str]:
    """The ready replicas' nodes and the Service's address, from this master's apiserver.

    Raises Unreadable.
    """
    found = local_apiserver.answers(readings.output("replicas").lines, PATHS)
    if found is None:
        raise Unreadable(f"no apiserver to ask: {local_apiserver.NONE}")
    try:
        ready = [
            row["Node"]
            for row in found["pods"].rows
            if row["Status"] == "Running" and _all_ready(row["Ready"])
        ]
        (service,) = found["service"].rows
        address = ipaddress.ip_address(service["Cluster-IP"])
        return tuple(sorted(ready)), str(address)
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"the table has an unknown format: {error!r}") from None


def _all_ready(cell: str) -> bool:
    """Whether all containers are ready: `1/1`, not `0/1`."""
    ready, _, every = cell.partition("/")
    return ready == every != "0"
