"""What a cluster leaves on a host: containers, mounts, interfaces, rules, routes, the VIP, files.

Not a subject: `invoke reset` and the install's tests observe it.

Sources: proc_mounts(5); iptables-save(8), nft(8); kubernetes.io, "Cleaning up CNI",
kubeadm-reset(1), which documents what it leaves.
"""

import shlex

from msgspec import Struct

from facts.cluster.kubernetes import ETCD_DATA, FILES
from hale.model.evidence import CommandProbe, HostView, Unreadable

SUBJECT = "remains"

# Names of the interfaces that network plugins and kube-proxy create.
INTERFACES = (
    r"cni0|cni-.*|cbr0|flannel[.-].*|cali.*|vxlan[.]calico|tunl0|wireguard[.]cali|cilium_.*|lxc.*|"
    r"kube-ipvs0|kube-bridge|nodelocaldns|weave|genev_sys_.*|antrea.*|ovn.*"
)
# Chains and tables of kube-proxy, the kubelet and network plugins.
CHAINS = "KUBE-|CNI-|cali-|FLANNEL|CILIUM_|ANTREA-|WEAVE"
TABLES = "kube-proxy|kube_proxy|flannel|calico|cni_hostport"

_SCRIPT = f"""\
vip=%s pods=%s etcd=%s
if command -v ctr >/dev/null && [ -S /run/containerd/containerd.sock ]; then
  ctr -n k8s.io containers ls -q 2>/dev/null | sed 's/^/container /'
fi
ours='^(containerd-shim|kube-|coredns|pause$)'
ps -eo comm= | grep -E -e "$ours" ${{etcd:+-e '^etcd$'}} | sed 's/^/process /'
awk '$2 ~ "^(/var/lib/kubelet/|/run/containerd/io[.]|/run/netns/cni-|/var/run/netns/cni-)" \\
  {{ print "mount " $2 }}' /proc/mounts
for i in /sys/class/net/*; do
  echo "${{i##*/}}" | grep -xE '{INTERFACES}' | sed 's/^/interface /'
done
for t in iptables ip6tables; do
  ! command -v $t-save >/dev/null || $t-save 2>/dev/null | grep -E '^:({CHAINS})' |
    cut -d' ' -f1 | sed "s/^:/rule $t /"
done
! command -v nft >/dev/null || nft list tables 2>/dev/null | grep -E ' ({TABLES})' |
  sed 's/^/rule nft /'
[ ! -r /proc/net/ip_vs ] || tail -n +4 /proc/net/ip_vs | sed 's/^/rule ipvs /'
[ -z "$pods" ] || ip -o route show root "$pods" 2>/dev/null | sed 's/^/route /'
! ip -o addr show | grep -qF " $vip/" || echo "vip $vip"
for f in {" ".join(FILES)} $etcd /etc/cni/net.d/*; do [ ! -e "$f" ] || echo "file $f"; done
for f in /etc/haproxy/haproxy.cfg /etc/keepalived/keepalived.conf; do
  ! grep -qs 'written by Hale' $f || echo "file $f"
done
for u in kubelet; do ! systemctl -q is-active $u || echo "service $u"; done
echo end
"""


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
    given = (shlex.quote(vip), shlex.quote(pods), ETCD_DATA if stacked else "")
    return CommandProbe("things", _SCRIPT % given, timeout=30)


def read(readings: HostView) -> Leftovers:
    """The leftovers on the host. Raises Unreadable."""
    lines = readings.output("things").lines
    if not lines or lines[-1] != "end":
        raise Unreadable("the answer is truncated")
    return Leftovers(tuple(lines[:-1]))
