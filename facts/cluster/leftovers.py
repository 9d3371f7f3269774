"""What a cluster leaves on a host: containers, mounts, interfaces, rules, routes, the VIP, files.

Not a subject: `invoke reset` and the install's tests observe it.

Sources: proc_mounts(5); iptables-save(8), nft(8); kubernetes.io, "Cleaning up CNI",
kubeadm-reset(1), which documents what it leaves.
"""

from pathlib import Path

from msgspec import Struct

from facts.cluster import kubernetes
from hale.model.evidence import CommandProbe, HostView, Unreadable, parsed
from hale.shell import arguments, load_script, script_with, variables

SUBJECT = "remains"

# Names of the interfaces that network plugins and kube-proxy create. Cilium's are lxc and 12
# digits; LXC's bridge is lxcbr0, podman's are cni-podman0 and so on.
INTERFACES = (
    r"cni0|cbr0|flannel[.-].*|cali.*|vxlan[.]calico|tunl0|wireguard[.]cali|cilium_.*|lxc_health|"
    r"lxc[0-9a-f]{12}|kube-ipvs0|kube-bridge|nodelocaldns|weave|genev_sys_.*|antrea.*|ovn0|"
    r"ovn-k8s-.*"
)
# Chains and tables of kube-proxy, the kubelet and network plugins.
CHAINS = "KUBE-|CNI-|cali-|FLANNEL|CILIUM_|ANTREA-|WEAVE"
TABLES = "kube-proxy|kube_proxy|flannel(-ipv[46])?|calico|cni_hostport"
# Names in /etc/cni/net.d of programs that have containers without Kubernetes.
OTHERS_CNI = "podman|nerdctl|cri-?o"
#: On a host's disk, what Karmada's etcd stores (remediate/cluster/federation.py).
FEDERATION = "/var/lib/hale-karmada"
# Defines kube_ipvs.
KUBE_IPVS = load_script(Path(__file__).with_name("kube_ipvs.sh"))
# Defines functions that tell networks of other programs from the cluster's.
OTHERS_NETWORKS = load_script(Path(__file__).with_name("others_networks.sh"))

_SCRIPT = (
    KUBE_IPVS
    + OTHERS_NETWORKS
    + script_with(
        Path(__file__).with_suffix(".sh"),
        interfaces=INTERFACES,
        chains=CHAINS,
        tables=TABLES,
        others_cni=OTHERS_CNI,
    )
)


class Leftovers(Struct, frozen=True):
    """Each item as `kind name`, in the order of the probe."""

    items: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The first four and the number of the others, for a message."""
        more = len(self.items) - 4
        return ", ".join(self.items[:4]) + (f" and {more} more" if more > 0 else "")


def probe(vip: str, pods: str, *, stacked: bool) -> CommandProbe:
    """The probe for all of it. pods: the pods' CIDR, may be empty. stacked: etcd's data too."""
    given = variables(vip=vip, pods=pods)
    script = f"{given}{arguments(*kubernetes.kubeadm_files(stacked=stacked), FEDERATION)}{_SCRIPT}"
    return CommandProbe("things", script, timeout=30)


@parsed
def read(readings: HostView) -> Leftovers:
    """The leftovers on the host. Raises Unreadable."""
    lines = readings.output("things").lines
    if not lines or lines[-1] != "end":
        raise Unreadable("the answer is truncated")
    return Leftovers(tuple(lines[:-1]))
