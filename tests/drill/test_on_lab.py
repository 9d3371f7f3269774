"""On real hosts without a cluster: what is taken stays away and comes back."""

import time
from collections.abc import Callable, Iterator

import pytest

from hale.drill import actions
from hale.drill.actions import ActionFailed
from hale.drill.fault import Fault
from hale.inventory import ini
from hale.model.drill import FaultKind
from hale.ssh import SessionPool
from hale.ssh.inventory_targets import LoginOptions, targets_of
from lab.machine import Lab, LabHost
from lab.topology import OPERATOR_ADDRESS

pytestmark = pytest.mark.lab
MASTER, WORKER = "k8s-master-01", "k8s-node-01"
# systemd starts haproxy again, and the kubelet what has a manifest; these do the same.
_STAND_INS = r"""
set -e
mkdir -p /etc/kubernetes/manifests /usr/local/lib/drill
for name in haproxy etcd kube-apiserver; do cp /bin/sleep /usr/local/lib/drill/$name; done
cat >/usr/lib/systemd/system/haproxy.service <<'EOF'
[Service]
ExecStart=/usr/local/lib/drill/haproxy infinity
Restart=always
RestartSec=100ms
EOF
# As the kubelet's driver `systemd` places a static Pod, and a Pod that the API created.
digest=0123456789abcdef0123456789abcdef
for name in etcd kube-apiserver; do
  digest=$(echo $digest | tr 0-9a-f 1-9a-f0)
  mkdir -p "/var/log/pods/kube-system_$name-k8s-master-02_$digest"
  hosted=kubepods-besteffort-pod55014bea_1dcc_4dcb_9b01_c4d817e9fe81.slice
  systemd-run --quiet --unit=hosted-$name --slice=$hosted /usr/local/lib/drill/$name infinity
  systemd-run --quiet --unit=users-$name --uid=nobody /usr/local/lib/drill/$name infinity
  echo "# $name" >/etc/kubernetes/manifests/$name.yaml
  cat >/usr/local/lib/drill/$name.sh <<EOF
while :; do
  [ ! -e /etc/kubernetes/manifests/$name.yaml ] || /usr/local/lib/drill/$name infinity
  sleep 0.1
done
EOF
  printf '[Service]\nSlice=%s\nExecStart=/bin/sh /usr/local/lib/drill/%s.sh\n' \
    "kubepods-burstable-pod$digest.slice" $name \
    >/usr/lib/systemd/system/drill-$name.service
done
systemd-run --quiet --unit=hosted-haproxy --slice=$hosted /usr/local/lib/drill/haproxy infinity
systemctl daemon-reload
systemctl start haproxy drill-etcd drill-kube-apiserver
"""


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[LabHost]:
    """A master with stand-ins of all that can be taken from one."""
    host = lab["k8s-master-02"]
    host.run(_STAND_INS)
    yield host
    host.reset()


def running(host: LabHost, name: str) -> bool:
    """Whether it runs, and not only since a moment ago."""
    unit = "haproxy.service" if name == "haproxy" else f"drill-{name}.service"
    listed = host.run(f"ps -ww -C {name} -o etimes=,cgroup=", check=False).stdout.decode()
    return any(int(line.split()[0]) >= 1 for line in listed.splitlines() if f"/{unit}" in line)


def others(host: LabHost) -> list[str]:
    """Processes of the same names: a hosted control plane's, an ingress controller's, a user's."""
    units = "hosted-haproxy hosted-etcd hosted-kube-apiserver users-etcd users-kube-apiserver"
    shown = host.run(f"systemctl show --property=MainPID --value {units}").stdout.decode().split()
    assert len(shown) == 5
    assert "0" not in shown
    return shown


def wait(condition: Callable[[], bool], most: float = 240) -> None:
    end = time.monotonic() + most
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


PROCESS = {
    FaultKind.VIP: "haproxy",
    FaultKind.APISERVER: "kube-apiserver",
    FaultKind.ETCD: "etcd",
}
_FILES = "ls -R /etc/kubernetes; cat /etc/kubernetes/manifests/*"


@pytest.mark.parametrize("part", PROCESS)
def test_what_is_taken_stays_away_and_comes_back(host: LabHost, part: FaultKind) -> None:
    outage, name = Fault(part, host.name), PROCESS[part]
    wait(lambda: running(host, name))
    before = host.run(_FILES).stdout
    beside = others(host)
    host.run(outage.inject_script())
    assert others(host) == beside
    assert not running(host, name)
    time.sleep(2)
    assert not running(host, name)
    assert host.run("systemctl is-active hale-drill-undo.timer").stdout == b"active\n"
    assert others(host) == beside
    host.run(outage.revert_script())
    wait(lambda: running(host, name))
    host.run(outage.revert_script())  # a second time there is nothing to do
    assert running(host, name)
    assert host.run(_FILES).stdout == before
    leftovers = host.run("systemctl is-active hale-drill-undo.timer", check=False).stdout
    assert leftovers == b"inactive\n"


@pytest.mark.parametrize("part", PROCESS)
def test_a_host_reverts_its_fault_by_itself_after_its_time(host: LabHost, part: FaultKind) -> None:
    outage, name = Fault(part, host.name), PROCESS[part]
    wait(lambda: running(host, name))
    host.run(outage.inject_script(2))
    assert not running(host, name)
    wait(lambda: running(host, name))
    # Its service may still be at work: the timer is gone once that has ended.
    timer = "systemctl is-active hale-drill-undo.timer"
    wait(lambda: host.run(timer, check=False).returncode != 0)


def test_what_is_not_there_is_not_taken(host: LabHost) -> None:
    host.run("mv /etc/kubernetes/manifests/etcd.yaml /root/")
    done = host.run(Fault(FaultKind.ETCD, host.name).inject_script(), check=False)
    host.run("mv /root/etcd.yaml /etc/kubernetes/manifests/")
    assert done.returncode == 1
    assert b"no etcd of kubeadm runs on this host" in done.stderr
    assert host.run("systemctl is-active hale-drill-undo.timer", check=False).returncode


def answers(lab: Lab, caller: str) -> bool:
    """Whether sshd on the master answers that host, through a new connection."""
    at = "/dev/tcp/10.208.1.192/22"
    return not lab[caller].run(f"timeout 1 bash -c '<{at}'", check=False).returncode


def is_taken_back(host: LabHost) -> bool:
    """Whether no rule and no timer of the fault is left."""
    timer = "systemctl is-active hale-drill-undo.timer"
    return not host.run("ip rule show pref 7").stdout and bool(
        host.run(timer, check=False).returncode
    )


def test_a_member_is_cut_off_from_one_cluster_alone(lab: Lab) -> None:
    host, first, other = lab["k8s-master-02"], WORKER, MASTER
    cut = Fault(FaultKind.MEMBER, host.name, unreached=("10.208.1.196", "10.244.0.0/16"))
    rules = host.run("ip rule; ip -6 rule").stdout
    assert answers(lab, first)
    host.run(cut.inject_script())
    assert not answers(lab, first)
    assert answers(lab, other), "its own cluster, and the operator"
    assert host.run(cut.inject_script(), check=False).returncode, "never twice"
    assert host.run("systemctl is-active hale-drill-undo.timer").stdout == b"active\n"
    host.run(cut.revert_script())
    assert answers(lab, first)
    host.run(cut.revert_script())  # a second time there is nothing to do
    assert is_taken_back(host)
    assert host.run("ip rule; ip -6 rule").stdout == rules


def test_a_member_reverts_its_fault_by_itself_after_its_time(lab: Lab) -> None:
    host = lab["k8s-master-02"]
    cut = Fault(FaultKind.MEMBER, host.name, unreached=("10.208.1.196", "fd00::/64"))
    host.run(cut.inject_script(3))
    wait(lambda: is_taken_back(host))
    assert answers(lab, WORKER)


def test_a_member_does_not_cut_off_who_would_revert_it(lab: Lab) -> None:
    cut = Fault(FaultKind.MEMBER, MASTER, unreached=(str(OPERATOR_ADDRESS),))
    pool = SessionPool(targets_of(ini.load_inventory(lab.inventory), LoginOptions()))
    with pool as sessions, pytest.raises(ActionFailed, match=f"comes from {OPERATOR_ADDRESS}"):
        actions.run_script(sessions, MASTER, cut.inject_script())
    assert is_taken_back(lab[MASTER])
