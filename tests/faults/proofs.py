"""docs/proofs.md: which fault makes which requirement fail. `make proofs` writes it from the
tables of faults; tests/faults and tests/cluster prove each fault of these tables on real hosts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from hale.model.requirement import Requirement
from hale.model.results import RowKey
from hale.paths import ROOT
from hale.standard import loader
from lab.faults.fault import ExpectedResult
from lab.topology import HOSTS
from tests.cluster.faults.headlamp import FAULTS as HEADLAMP
from tests.cluster.faults.table import FAULTS as CLUSTERS
from tests.cluster.faults.traefik import FAULTS as TRAEFIK
from tests.faults.table import EVERY
from tests.federation.states import STATES, State

PAGE = ROOT / "docs" / "proofs.md"

HEAD = """\
# Proofs

For every requirement and aspect: the faults that make it fail. `make proofs` writes this page
from the tables of faults. `tests/faults` proves them: it injects each fault on one of the lab's
hosts, beside others on hosts of their own where they concern no other host, audits all of them, and
fails unless exactly the results listed for that fault change, for the reason listed;
`tests/cluster` does the same, one by one, with a cluster that `invoke install` has built ("real
cluster"): CI draws some of them for each run, and `make soak` proves all, those "in a soak" among
them, which CI never draws. A requirement without a fault on a real host is not proven yet; recorded
evidence alone is accepted only for what the lab cannot show, because its hosts share one kernel.
`tests/federation` breaks Karmada's own programs, which run beside real apiservers of one network
namespace ("Karmada itself"); CI judges what the probe printed there.

"""


class Proof(Protocol):
    """What a page tells of a fault: of a host, of recorded evidence, of a cluster."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def how(self) -> str:
        """What it was shown on."""

    @property
    def rows(self) -> dict[RowKey, ExpectedResult]:
        """What it turns."""


@dataclass(frozen=True)
class FederationProof:
    """A state of a federation (tests/federation/states.py)."""

    state: State
    how: str = "Karmada itself"

    @property
    def name(self) -> str:
        """For people."""
        return self.state.name.replace("-", " ")

    @property
    def rows(self) -> dict[RowKey, ExpectedResult]:
        """What it turns."""
        row = RowKey("cluster", "CMP-FEDERATION", "runtime")
        return {row: ExpectedResult(self.state.verdict, self.state.actual)}


def current() -> str:
    """The page of the tables as they are now."""
    return page(
        loader.load_standard(ROOT / "standard").requirements,
        (*EVERY, *CLUSTERS, *TRAEFIK, *HEADLAMP, *map(FederationProof, STATES)),
    )


def page(stated: Iterable[Requirement], faults: Iterable[Proof]) -> str:
    """The page, in the standard's order and the table's, without times: a rerun changes nothing."""
    faults = list(faults)
    text = HEAD
    for requirement in stated:
        text += f"## {requirement.id}\n\n{requirement.title}.\n\n"
        if note := NOTES.get(requirement.id):
            text += f"{note}\n\n"
        for aspect in requirement.aspects:
            text += f"### {requirement.id} {aspect}\n\n"
            if why := ONLY_RECORDED.get((requirement.id, aspect)):
                text += f"Recorded evidence only: {why}.\n\n"
            lines = [
                f"| {verdict} | {fault.name} | {hosts} | {fault.how} |\n"
                for fault in faults
                for verdict, hosts in _turned(fault, requirement.id, aspect)
            ]
            head = "| verdict | fault | hosts | shown on |\n|---|---|---|---|\n"
            text += head + "".join(lines) + "\n" if lines else "**No proof.**\n\n"
    text += "## What must not change a result\n\nThese look like faults and are none:\n\n"
    return text + "".join(f"- {fault.name}\n" for fault in faults if not fault.rows)


def _turned(fault: Proof, requirement: str, aspect: str) -> list[tuple[str, str]]:
    """The red that the fault gives this aspect, and on which hosts; empty if none."""
    hosts: dict[str, list[str]] = {}
    for row, turn in fault.rows.items():
        if (row.requirement, row.aspect) == (requirement, aspect) and turn.verdict in RED:
            hosts.setdefault(turn.verdict, []).append(row.host)
    return [
        (verdict, "all hosts" if len(names) == len(HOSTS) else ", ".join(names))
        for verdict, names in hosts.items()
    ]


RED = ("FAIL", "UNKNOWN")

# What a reader must know of how a row was green before.
NOTES: Mapping[str, str] = {
    "CMP-DASHBOARD": (
        "The lab cannot get Headlamp's server. Its faults are those of a stand-in in the same "
        "Deployment and Service: a page, and the apiserver behind it for a user's own token."
    ),
    "CMP-INGRESS": (
        "Faults that name Traefik are those of Traefik itself, as `invoke install` adds it. The "
        "others have a server of the lab under Traefik's label, which answers every host and path. "
        "HTTPRoutes are judged by recorded evidence of Traefik alone (tests/facts/ingress); what "
        "Traefik makes of them is in [gateway-conformance.yaml](gateway-conformance.yaml)."
    ),
    "CMP-FEDERATION": (
        "On two clusters of the lab (a soak, tests/federation/test_two_clusters.py) it fails "
        "before a cluster has joined, passes afterwards, fails while `invoke drill member` "
        "disconnects the member, and passes again. A workload for the member runs there alone, and "
        "a Pod of the first cluster calls a Service of the second. The faults below are of a "
        "federation without kubelets."
    ),
    "HA-APISERVER-VIP": (
        "Passes before the fault because of a stand-in: a TLS server on the VIP with a certificate "
        "of the hosts' CA, which answers as an apiserver does. A real cluster needs none."
    ),
    **{
        f"SVC-{service}-{item}": (
            "Not applicable before: the lab's hosts have no such service, and each fault brings a "
            "stand-in that systemd runs as it would run the real one."
        )
        for service in ("CONTAINERD", "KUBELET")
        for item in ("NOFILE", "NPROC", "MEMLOCK")
    },
    "HA-ETCD-MEMBERS": (
        "Fails on the lab's hosts before the fault, because they have no etcd; a fault there "
        "changes the reason. Passes before the fault in the recorded evidence of a healthy etcd."
    ),
}

# What turns by recorded evidence alone, and why the lab's hosts cannot have the fault.
ONLY_RECORDED: Mapping[tuple[str, str], str] = {
    ("CMP-FEDERATION", "runtime"): (
        "the lab's one cluster has no Karmada; tests/federation makes its faults with Karmada's "
        "own programs and real apiservers, and records them in tests/facts/federation"
    ),
    ("SWAP-OFF", "runtime"): "swap is the kernel's, and the lab's hosts share the machine's",
    ("MOD-BR-NETFILTER", "runtime"): "modules are the kernel's",
    **{
        (f"MOD-{name}", aspect): "the lab's kube-proxy has another mode: its kernel may lack both"
        for name in ("IP-VS", "NF-CONNTRACK", "NF-TABLES")
        for aspect in ("runtime", "persisted")
    },
    **{
        (name, "runtime"): "the lab's hosts run no such version of Kubernetes"
        for name in ("NODE-CGROUP-V2", "CMP-CONTAINERD")
    },
    ("BRIDGE-PROC", "runtime"): "the folder goes with the kernel's module",
    ("NODES-ODD-MASTERS", "inventory"): "no host is read; the inventory decides",
    ("NODES-RESOURCES", "runtime"): "CPUs and memory are the machine's",
    ("ID-PRODUCT-UUID", "runtime"): "the lab's hosts have no DMI",
    ("CLOCK-SKEW", "runtime"): "the clock is the machine's",
    ("SEC-SELINUX", "runtime"): "SELinux is the kernel's",
}


if __name__ == "__main__":
    PAGE.write_text(current())
