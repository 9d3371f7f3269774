"""Makes the lab's hosts compliant, so that a fault is the only thing wrong with them.

It applies by hand what the remedies would. There is no apiserver here: a stand-in on the first
master answers on the VIP with a certificate of a CA that all hosts have, so that its result passes
and a fault can make it fail.
"""

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path

from hale.model.results import RowKey
from hale.shell import script_with
from lab.machine import Lab, LabHost
from lab.topology import HOSTS

VIP_HOLDER = "k8s-master-01"
# The first has a copy of the machine-id of the second, for the fault that makes it a clone.
CLONE, CLONED = "k8s-node-01", "k8s-node-02"
CLONED_ID = "/root/machine-id-of-another"
STAND_IN = "/usr/local/lib/stand-in"

MASTERS = [host.name for host in HOSTS if host.role == "masters"]
WORKERS = [host.name for host in HOSTS if host.role == "workers"]


def _each(
    hosts: Iterable[str], keys: str, verdict: str, says: str
) -> dict[RowKey, tuple[str, str]]:
    """The same verdict and text for each host and key (`REQUIREMENT aspect`, comma-separated)."""
    return {
        RowKey(host, *key.split()): (verdict, says) for host in hosts for key in keys.split(", ")
    }


# What fails in a lab without a cluster, and why; all other results must pass.
NO_CLUSTER = {
    **_each(MASTERS, "HA-APISERVER-EACH runtime", "FAIL", "no apiserver: there is no"),
    **_each(MASTERS, "HA-LB-BACKENDS runtime", "FAIL", "no load balancer on this master"),
    **_each(MASTERS, "HA-LB-BACKENDS persisted", "FAIL", "haproxy.service is not installed"),
    **_each(MASTERS, "CMP-KUBECTL runtime", "FAIL", "kubectl is not installed"),
    **_each(MASTERS + WORKERS, "CMP-KUBE-PROXY runtime", "FAIL", "kube-proxy does not run"),
    **_each(
        MASTERS + WORKERS,
        "CMP-KUBELET runtime, CMP-KUBELET persisted",
        "FAIL",
        "kubelet.service is not installed",
    ),
    **_each(
        ["cluster"],
        "HA-VIP-OWNER runtime, HA-VIP-OWNER persisted",
        "FAIL",
        "keepalived.service is not installed",
    ),
    **_each(
        ["cluster"],
        "HA-CONTROLLER-MANAGER runtime, HA-SCHEDULER runtime",
        "FAIL",
        "does not run (no manifest of it)",
    ),
    **_each(["cluster"], "CMP-COREDNS runtime", "FAIL", "this host is not a node yet"),
    **_each(
        ["cluster"],
        "CP-MANIFEST-DRIFT runtime, CMP-POD-NETWORK runtime",
        "N-A",
        "there is no cluster yet",
    ),
    **_each(["cluster"], "CMP-KUBELET-DRIFT persisted", "N-A", "no host is a node yet"),
    **_each(["cluster"], "CMP-NODES runtime", "UNKNOWN", "no apiserver to ask"),
    **_each(["cluster"], "HA-SELF-HEALING drill", "N-A", "measured only by a drill"),
    **_each(["cluster"], "HA-VIP-OWNER drill", "N-A", "measured only by a drill"),
    **_each(
        ["cluster"],
        "CMP-DASHBOARD runtime, CMP-INGRESS runtime, CMP-FEDERATION runtime",
        "N-A",
        "not requested",
    ),
    **_each(MASTERS + WORKERS, "NODES-IMAGE-PULL runtime", "N-A", "names no image_repository"),
    **_each(MASTERS + WORKERS, "NODE-CGROUP-DRIVER persisted", "N-A", "not a node yet"),
    **_each(
        MASTERS,
        "CERT-APISERVER runtime, CERT-ETCD runtime, CERT-FRONT-PROXY runtime, "
        "CERT-KUBECONFIG runtime, CERT-CA runtime, CERT-SERVED runtime",
        "N-A",
        "this host is not a node yet",
    ),
    **_each(MASTERS, "ETCD-SIZE runtime, ETCD-FSYNC runtime", "N-A", "no etcd yet"),
    **_each(
        MASTERS + WORKERS,
        "CERT-KUBELET runtime, CERT-KUBELET-SERVED runtime, CERT-HELD runtime",
        "N-A",
        "this host is not a node yet",
    ),
    **_each(
        WORKERS,
        "HA-APISERVER-EACH runtime, HA-LB-BACKENDS runtime, HA-LB-BACKENDS persisted, "
        "CMP-KUBECTL runtime, CERT-APISERVER runtime, CERT-ETCD runtime, "
        "CERT-FRONT-PROXY runtime, CERT-KUBECONFIG runtime, CERT-CA runtime, "
        "NODE-PORTS-MASTER runtime, DISK-ETCD runtime, ETCD-SIZE runtime, ETCD-FSYNC runtime, "
        "CERT-SERVED runtime",
        "N-A",
        "concerns masters only",
    ),
    **_each(MASTERS, "NODE-PORTS-WORKER runtime", "N-A", "concerns workers only"),
}
NOT_GREEN = {
    **NO_CLUSTER,
    RowKey("cluster", "HA-ETCD-MEMBERS", "runtime"): ("FAIL", "nothing listens on 2379"),
    RowKey("cluster", "ID-PRODUCT-UUID", "runtime"): ("N-A", "no host has a product_uuid"),
    **{
        RowKey(host.name, f"SVC-{service}-{item}", aspect): ("N-A", "is not installed")
        for host in HOSTS
        for service in ("CONTAINERD", "KUBELET")
        for item in ("NOFILE", "NPROC", "MEMLOCK")
        for aspect in ("runtime", "persisted")
    },
    **{
        RowKey(host.name, f"MOD-{module}", aspect): ("N-A", "kube-proxy's mode is iptables")
        for host in HOSTS
        for module in ("IP-VS", "NF-CONNTRACK", "NF-TABLES")
        for aspect in ("runtime", "persisted")
    },
    # No kubelet runs, and the lab's inventory asks for no version.
    **{
        RowKey(host.name, requirement, "runtime"): ("N-A", f"from Kubernetes {since} on")
        for host in HOSTS
        for requirement, since in (("NODE-CGROUP-V2", "1.35"), ("CMP-CONTAINERD", "1.36"))
    },
}

_HERE = Path(__file__).parent
_CERTIFICATE = script_with(_HERE / "stand_in_certificate.sh", folder=STAND_IN)
_MAKE_CA = script_with(_HERE / "stand_in_ca.sh", folder=STAND_IN, make_certificate=_CERTIFICATE)
_REPLY = script_with(_HERE / "stand_in_reply.sh", folder=STAND_IN)
_STAND_IN = script_with(_HERE / "stand_in.sh", folder=STAND_IN, answer_request=_REPLY)


# What the baseline requires of limits.conf; memlock in KiB.
_LIMITS = {"nofile": 65536.0, "nproc": 65536.0, "memlock": inf}


def make(lab: Lab, inventory: Path) -> None:
    """Make fresh hosts compliant, and write the inventory that says so.

    It is the lab's, but for limits above those of sshd: a machine may not let anybody raise
    them (capabilities(7), CAP_SYS_RESOURCE), so there the standard's value is overridden with
    what there is. Raises LabError for the step that failed.
    """
    holder = lab[VIP_HOLDER]
    ca = holder.run(_MAKE_CA).stdout
    has = _hard(holder)
    able = {item: min(wanted, has[item]) for item, wanted in _LIMITS.items()}
    lines = []
    for item, value in able.items():
        lines += [f"* soft {item} {_number(value)}", f"* hard {item} {_number(value)}"]
        # Not below what sshd has: the audit comes in as root, and must be able to go back there.
        hard = value if has[item] == inf else max(value, has[item])
        lines += [f"root soft {item} {_number(value)}", f"root hard {item} {_number(hard)}"]
    script = script_with(_HERE / "baseline_host.sh", limits="\n".join(lines))

    def one(host: LabHost) -> None:
        host.run(script, input=ca)

    with ThreadPoolExecutor(len(lab.hosts)) as pool:
        list(pool.map(one, lab.hosts))
    holder.run(_STAND_IN)
    lab[CLONE].run(f"cat >{CLONED_ID}", input=lab[CLONED].run("cat /etc/machine-id").stdout)
    overrides = [
        f"hale_{of}_{item}__least={_number(value)}"
        for item, value in able.items()
        if value < _LIMITS[item]
        for of in ("lim", "lim_root", "svc_containerd", "svc_kubelet")
    ]
    # The lab's own inventory overrides those that the machine itself does not reach.
    text = lab.inventory.read_text()
    more = [line for line in overrides if line.partition("=")[0] + "=" not in text]
    inventory.write_text("\n".join([text.rstrip(), *more, ""]))


def _hard(host: LabHost) -> dict[str, float]:
    """The hard limits that sshd has, which a login can have without any privilege."""
    output = host.run('cat "/proc/$(cat /run/sshd.pid)/limits"').stdout.decode()
    found = {}
    for item, title, unit in (
        ("nofile", "Max open files", 1),
        ("nproc", "Max processes", 1),
        ("memlock", "Max locked memory", 1024),
    ):
        value = re.search(rf"{title}\s+\w+\s+(\w+)", output)
        assert value, f"/proc/<sshd>/limits has no {title!r}"
        found[item] = inf if value[1] == "unlimited" else int(value[1]) // unit
    return found


def _number(value: float) -> str:
    return "unlimited" if value == inf else str(int(value))


def fresh(lab: Lab) -> None:
    """Give every host a fresh disk, which removes every fault."""
    with ThreadPoolExecutor(len(lab.hosts)) as pool:
        list(pool.map(LabHost.reset, lab.hosts))
