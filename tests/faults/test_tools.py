"""A host without a tool may be unknown, but never green where it was red, nor red where green."""

from collections.abc import Iterator

import pytest

from hale.paths import ROOT
from hale.polling import wait_until
from hale.shell import arguments, load_script, script_with
from lab.faults import baseline, services
from lab.faults.fault import HostFault
from lab.machine import LabHost
from tests.faults import audit, proofs
from tests.faults.conftest import Compliant
from tests.faults.fault_context import injected

pytestmark = pytest.mark.lab
_LAB = ROOT / "lab" / "faults"

# Every program that a probe runs, and those that it might be tempted to. No host of the lab has
# getenforce(8), so every audit of the lab shows that it is not needed.
TOOLS = (
    "awk", "base64", "cat", "chronyc", "curl", "date", "dd", "find", "getconf", "getent", "grep",
    "head", "hostname", "id", "ip", "iptables-save", "ls", "lsmod", "nft", "od", "prlimit", "ps",
    "readlink", "runuser", "sed", "sleep", "socat", "sort", "ss", "stat", "su", "swapon", "sysctl",
    "systemctl", "tail", "timeout", "tr", "uname",
)  # fmt: skip

# Whatever a host can have wrong, on the host that has firewalld, all at once.
RUIN = r"""
sed -i '/^10.208.1.190/d' /etc/hosts; echo '10.208.1.191 master.k8s.io' >>/etc/hosts
rm /etc/kubernetes/pki/ca.crt
hostname localhost; echo localhost >/etc/hostname
sed -i 's/10.208.1.198/10.208.1.77/' /etc/network/interfaces
ip address add 10.208.1.190/32 dev lo
rm /etc/os-release; printf 'NAME="Other"\nVERSION_ID="1"\n' >/etc/os-release
systemctl --quiet unmask firewalld; systemctl --quiet enable --now firewalld
mkdir -p /etc/selinux; echo SELINUX=enforcing >/etc/selinux/config
echo 'GRUB_CMDLINE_LINUX="security=selinux selinux=1"' >/etc/default/grub
printf '/dev/sdb1\tnone\tswap\tsw\t0\t0\n' >>/etc/fstab
sed -i 's/= 1/= 0/; s/= 5/= 1/' /etc/sysctl.d/60-kubernetes.conf
sysctl -qw net.ipv4.ip_forward=0 fs.inotify.max_user_instances=128 \
  fs.inotify.max_user_watches=65536 \
  net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0
echo 'blacklist br_netfilter' >/etc/modprobe.d/site.conf
for who in '*' root; do
  echo "$who soft nofile 512"; echo "$who soft nproc 500"; echo "$who soft memlock 64"
done >/etc/security/limits.d/90-site.conf
""" + "\n".join(
    f"{services.installed(unit, services.LOW)}; {services.started(unit)}" for unit in services.UNITS
)
# ufw's rules in nftables, those of iptables beside them in the kernel's older tables.
_SITE = script_with(_LAB / "firewall_nftables.sh", ports="22")
RUIN += f"""
( {arguments("ufw-before-input")}{load_script(_LAB / "firewall_ufw.sh")}
)
( {load_script(_LAB / "firewall_iptables.sh")}
)
iptables-legacy -A INPUT -p tcp --dport 10250 -j DROP
( {_SITE} ) >/etc/nftables.conf
nft -f /etc/nftables.conf; systemctl --quiet enable nftables
"""
RUIN += """
systemctl --quiet disable kubelet
systemctl --quiet disable --now chrony
for d in kubelet containerd; do
  mkdir -p /var/lib/$d; mount -t tmpfs -o size=1m none /var/lib/$d
  head -c 1000000 /dev/zero >/var/lib/$d/full
done
nohup socat TCP-LISTEN:10250,reuseaddr,fork EXEC:/bin/cat >/dev/null 2>&1 &
"""
REPAIR = r"""
pkill -x socat
nft delete table inet site; nft delete table ip filter; iptables-legacy -F INPUT
hostname k8s-node-02
ip address del 10.208.1.190/32 dev lo
systemctl --quiet disable --now firewalld; systemctl --quiet mask firewalld
systemctl --quiet enable --now chrony
systemctl stop containerd kubelet
umount /var/lib/kubelet /var/lib/containerd
systemctl daemon-reload
sysctl -qw net.ipv4.ip_forward=1 fs.inotify.max_user_instances=512 \
  fs.inotify.max_user_watches=524288 \
  net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1
"""
EVERYTHING = HostFault(
    "everything at once",
    "k8s-node-02",
    RUIN,
    files=(
        "/etc/hosts", "/etc/kubernetes/pki", "/etc/hostname", "/etc/network", "/etc/os-release",
        "/etc/selinux", "/etc/default/grub", "/etc/fstab", "/etc/sysctl.d", "/etc/modprobe.d",
        "/etc/security", "/etc/ufw", "/etc/default/ufw", "/etc/iptables", "/etc/nftables.conf",
        "/etc/systemd/system/ufw.service", "/etc/systemd/system/netfilter-persistent.service",
        "/etc/systemd/system/multi-user.target.wants/ufw.service",
        "/etc/systemd/system/multi-user.target.wants/netfilter-persistent.service",
        "/etc/systemd/system/sysinit.target.wants/nftables.service",
        *map(services.path, services.UNITS), *map(services.link, services.UNITS),
    ),
    undo=REPAIR,
)  # fmt: skip


class Without:
    """A host from which one tool after the other is taken away and given back."""

    def __init__(self, compliant: Compliant, host: LabHost) -> None:
        self.compliant = compliant
        self.host = host
        self.before = self._settled()

    def _settled(self) -> audit.Rows:
        """The host's rows, once two looks have the same verdicts: all later ones are compared with
        them, and a busy machine's host may be late with an answer."""
        looks: list[audit.Rows] = [self.rows()]

        def moves() -> bool:
            looks.append(self.rows())
            old, new = (
                {r: judged_row.verdict for r, judged_row in one.items()} for one in looks[-2:]
            )
            return old != new

        assert not wait_until(moves, 120.0, 1.0), "the host's rows do not settle"
        return looks[-1]

    def rows(self) -> audit.Rows:
        """The host's own rows."""
        # Over one connection: a login of its own for each tool would be slow and show no more.
        rows = self.compliant.engine.audit(self.host.name, reconnect=())
        return audit.of_host(rows, self.host.name)

    def rows_without(self, tool: str) -> audit.Rows:
        """The host's rows while the tool is in none of the folders of programs."""
        found = self.host.run(
            f"for d in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin; do"
            f' if [ -e "$d/{tool}" ] || [ -L "$d/{tool}" ]; then echo "$d"; fi; done'
        )
        folders = found.stdout.decode().split()
        assert folders, f"the lab's hosts have no {tool}: they are judged without it anyway"
        self.host.run(";".join(f"mv {d}/{tool} {d}/{tool}.gone" for d in folders))
        try:
            return self.rows()
        finally:
            self.host.run(";".join(f"mv {d}/{tool}.gone {d}/{tool}" for d in folders))


@pytest.fixture(scope="module")
def ruined(compliant: Compliant) -> Iterator[Without]:
    """A host on which all is wrong that can be."""
    with injected(compliant.lab, EVERYTHING):
        yield Without(compliant, compliant.lab[EVERYTHING.host])


@pytest.fixture(scope="module")
def sound(compliant: Compliant) -> Without:
    """A compliant host."""
    return Without(compliant, compliant.lab["k8s-node-01"])


@pytest.mark.parametrize("tool", TOOLS)
def test_a_compliant_host_turns_unknown_at_worst(tool: str, sound: Without) -> None:
    after = sound.rows_without(tool)
    wrong = [
        f"{row} was {sound.before[row]} and is {result}"
        for row, result in after.items()
        if result.verdict not in (sound.before[row].verdict, "UNKNOWN")
    ]
    assert not wrong, "\n".join(wrong)


def test_on_the_ruined_host_all_is_red_that_can_be(ruined: Without) -> None:
    green = {
        (row.requirement, row.aspect)
        for row, result in ruined.before.items()
        if result.verdict not in ("FAIL", "UNKNOWN")
    }
    assert green == {
        key
        for key in proofs.ONLY_RECORDED
        if key in {(r.requirement, r.aspect) for r in ruined.before}
    } | {
        (row.requirement, row.aspect)
        for row, (verdict, _) in baseline.NO_CLUSTER.items()
        if row.host == EVERYTHING.host and verdict == "N-A"
    }


@pytest.mark.parametrize("tool", TOOLS)
def test_a_ruined_host_never_turns_green(tool: str, ruined: Without) -> None:
    after = ruined.rows_without(tool)
    wrong = [
        f"{row} was {ruined.before[row]} and is {result}"
        for row, result in after.items()
        if result.verdict not in ("FAIL", "UNKNOWN")
        and ruined.before[row].verdict in ("FAIL", "UNKNOWN")
    ]
    assert not wrong, "\n".join(wrong)
