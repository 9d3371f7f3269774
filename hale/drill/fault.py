"""What a drill takes away, how it comes back, and where that may be done.

Every way back may be walked twice, and finds by itself what there is to do. What is taken by a
command is given back by the host itself after LIMIT, should nobody be left to do it.

haproxy is killed, and a mask that a reboot forgets keeps systemd from starting it again. An
apiserver is killed at once, without the grace that a kubelet gives, and its manifest lies beside
the folder that the kubelet watches, so that it stays away. etcd is killed as often as the kubelet
starts it: were its manifest away, the kubelet would have to delete the member's Pod through an
apiserver that has no etcd, and would wait for that, half a minute at a time, before it looked at
the manifest again. Power is what the lab cuts; on a site a host is told to reboot, because nobody
could switch it on again from here.

Sources: systemctl(1), mask --runtime; systemd-run(1); kubernetes.io, "Create static Pods";
haproxy's Management Guide, "Stopping and restarting HAProxy".
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from hale.inventory.ini import Inventory
from hale.model.errors import UserError

AUTO_REVERT_AFTER = 900  # seconds until a host helps itself
#: Shell: says, in seconds since the host booted, that the part is lost from now on.
LOST = 'read -r up _ </proc/uptime; echo "lost $up"\n'
MANIFESTS = "/etc/kubernetes/manifests"
ASIDE = "/etc/kubernetes"  # on the same file system, and not watched
HAPROXY = "haproxy.service"
_UNDO = "hale-drill-undo"

#: The parts in the order of `invoke drill all`: what costs least first.
PARTS = ("vip", "apiserver", "etcd", "worker", "master")
POWER = ("worker", "master")


class PowerError(Exception):
    """A host could not be switched off or on; says why."""


class Power(Protocol):
    """Who can switch hosts off and on: the lab. Raises NoPower where that does not work."""

    def off(self, host: str) -> None:
        """Cut the host's power."""

    def on(self, host: str) -> None:
        """Switch it on, and return when it lets people log in; on already is fine."""


@dataclass(frozen=True)
class Fault:
    """One part that is taken from one host. reboots: it comes back by itself."""

    part: str
    host: str
    reboots: bool = False

    @property
    def title(self) -> str:
        """What is lost, for people."""
        return {
            "vip": f"haproxy of the VIP's owner {self.host}",
            "apiserver": f"the apiserver of {self.host}",
            "etcd": f"the etcd member of {self.host}",
            "worker": f"the whole worker {self.host}",
            "master": f"the whole master {self.host}",
        }[self.part]

    @property
    def how(self) -> str:
        """How it is taken away."""
        if self.reboots:
            return "systemctl reboot"
        return {
            "vip": "SIGKILL, masked until it is given back",
            "apiserver": "SIGKILL, its manifest moved aside",
            "etcd": "SIGKILL, as often as it is started",
        }.get(self.part, "power cut")

    @property
    def by_power(self) -> bool:
        """Whether it takes someone who can switch hosts off and on."""
        return self.part in POWER and not self.reboots

    def take(self, limit: int = AUTO_REVERT_AFTER) -> str:
        """Shell, as root on the host. Ends with 0 when it is gone."""
        if self.part in POWER:
            return f"{LOST}systemctl --no-block reboot\n"
        look, take, _ = _SCRIPTS[self.part]
        return f"{look}{_after(limit, self.give())}{take}"

    def give(self) -> str:
        """Shell, as root on the host: brings it back, whatever is left of the outage."""
        if self.part in POWER:
            return ":\n"
        return _SCRIPTS[self.part][2] + f"systemctl --quiet stop {_UNDO}.timer 2>/dev/null || :\n"


def _after(limit: int, script: str) -> str:
    """Let systemd run the script by itself, later."""
    return (
        f"systemctl --quiet stop {_UNDO}.timer 2>/dev/null || :\n"
        f"systemd-run --quiet --collect --unit={_UNDO} --on-active={limit} "
        "--timer-property=AccuracySec=1s "
        f"/bin/sh -c {shlex.quote(script)}\n"
    )


def _manifest(name: str) -> tuple[str, str, str]:
    """Shell for a static Pod: whether it is there, to take it, to give it back."""
    there, aside = f"{MANIFESTS}/{name}.yaml", f"{ASIDE}/{name}.yaml.hale-drill"
    look = f"""\
[ -f {there} ] || {{ echo "{there} is not there: is this kubeadm's?" >&2; exit 1; }}
"""
    take = f"""\
mv -nT {there} {aside}
sync {ASIDE} {MANIFESTS}
{LOST}# Until the kubelet has seen it, it may start what was killed once more.
for n in 1 2 3 4 5 6 7 8 9 10; do
  pkill -9 -x {name} || [ $n = 1 ] || break
  sleep 0.2
done
[ ! -e {there} ] && ! pgrep -x {name} >/dev/null
"""
    give = f"""\
[ ! -e {aside} ] || mv -nT {aside} {there}
sync {ASIDE} {MANIFESTS}
[ -e {there} ]
"""
    return look, take, give


_STATE = f"systemctl show --property=LoadState --value {HAPROXY}"
_VIP = (
    f"""\
[ "$({_STATE})" = loaded ] || {{ echo "there is no unit {HAPROXY}" >&2; exit 1; }}
""",
    f"""\
systemctl --quiet mask --runtime {HAPROXY}
[ "$({_STATE})" = masked ] || {{
  echo "{HAPROXY} cannot be masked: its unit lies in /etc/systemd/system" >&2; exit 1
}}
{LOST}systemctl --quiet kill --signal=KILL {HAPROXY}
for n in 1 2 3 4 5 6 7 8 9 10; do pgrep -x haproxy >/dev/null || exit 0; sleep 0.1; done
exit 1
""",
    f"""\
systemctl --quiet unmask --runtime {HAPROXY}
systemctl reset-failed {HAPROXY} 2>/dev/null || :
systemctl --quiet start {HAPROXY}
""",
)
_KILLER = "hale-drill-etcd.service"
_ETCD = (
    f"""\
[ -f {MANIFESTS}/etcd.yaml ] && pid=$(pgrep -o -x etcd) || {{
  echo "no etcd of kubeadm's runs here" >&2; exit 1
}}
""",
    f"""\
{LOST}systemd-run --quiet --collect --unit={_KILLER} \\
  /bin/sh -c 'while :; do pkill -9 -x etcd; sleep 0.1; done'
for n in 1 2 3 4 5 6 7 8 9 10; do kill -0 $pid 2>/dev/null || exit 0; sleep 0.1; done
exit 1
""",
    f"systemctl --quiet stop {_KILLER} 2>/dev/null || :\n",
)
_SCRIPTS = {"vip": _VIP, "apiserver": _manifest("kube-apiserver"), "etcd": _ETCD}


@dataclass(frozen=True)
class ClusterRoles:
    """Who is what in the cluster now: the VIP's owner, and the host of etcd's leader."""

    vip: str
    etcd: str


def select_fault(
    part: str, known: Inventory, roles: ClusterRoles, wanted: str, power: Power | None
) -> Fault:
    """The outage that a part means now. Raises HaleError where it cannot be had."""
    masters = [h.name for h in known.masters]
    workers = [h.name for h in known.hosts if h.name not in masters]
    if part == "vip" and known.endpoint.kind != "keepalived":
        raise UserError(
            f"endpoint_kind is {known.endpoint.kind}: no haproxy on these hosts carries the VIP. "
            "Drill it where it is."
        )
    if part == "etcd" and known.etcd_kind != "stacked":
        raise UserError("etcd is external: its hosts are not in this inventory.")
    if part != "worker" and len(masters) < 3:
        raise UserError(
            f"{len(masters)} master(s) do not bear the loss of one: etcd would be without quorum. "
            "Only the drill of a worker can be made here."
        )
    if part == "worker" and len(workers) < 2:
        raise UserError("the loss of a worker needs two: where would its Pods go?")
    able = workers if part == "worker" else masters
    usual = {"etcd": roles.etcd, "worker": workers[-1] if workers else ""}.get(part, roles.vip)
    host = wanted or usual or able[0]
    if part == "vip" and host != roles.vip:
        raise UserError(f"the VIP is on {roles.vip}: its haproxy is to be lost, not {host}'s.")
    if host not in able:
        raise UserError(f"--host: {host} is none of {', '.join(able)}.")
    return Fault(part, host, reboots=part in POWER and power is None)


def select_client(known: Inventory, outages: Mapping[str, str]) -> str:
    """The host that asks: the first worker that loses nothing, or else such a master.

    outages: host -> part. Raises HaleError where none is left.
    """
    masters = {h.name for h in known.masters}
    hosts = sorted((h.name for h in known.hosts), key=lambda name: name in masters)
    for name in hosts:
        if name not in outages:
            return name
    raise UserError("no host is left to ask from: every one loses something.")
