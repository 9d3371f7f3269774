"""The faults a drill can inject, how each is reverted, and on which host it may be injected.

Every revert is idempotent and finds out by itself what there is to do. A fault that is injected
by a script reverts itself after AUTO_REVERT_AFTER, in case the operator cannot.

haproxy is killed, and a runtime mask, which a reboot clears, keeps systemd from restarting it. An
apiserver is killed at once, without the kubelet's grace period, and its manifest is moved out of
the kubelet's folder, so that it stays down. etcd is killed as often as the kubelet restarts it:
with its manifest gone, the kubelet would try to delete the member's Pod through an apiserver that
has no etcd, and would wait for half a minute at a time before it read the manifest again. Power
is cut by the lab; on a site a host is rebooted instead, because nothing could power it on again.
A member of the federation is disconnected on its own hosts: rules of the routing policy, which a
reboot clears, drop what they would send to the hosts and pods of the cluster with Karmada.

Processes are found by their static Pod's or unit's control group: other Pods (a hosted control
plane, an ingress controller) and users may have processes of the same name.

Sources: systemctl(1), mask --runtime; systemd-run(1); ip-rule(8); kubernetes.io, "Create static
Pods"; haproxy's Management Guide, "Stopping and restarting HAProxy".
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from hale.inventory.ini import Inventory
from hale.model.drill import COMPONENT_FAULTS, FaultKind
from hale.model.errors import UserError
from hale.shell import PROCESSES, arguments, load_script, script_with

HERE = Path(__file__).parent
AUTO_REVERT_AFTER = 900  # seconds until a host reverts the fault by itself
#: Shell: report the moment of injection, in seconds since the host booted.
REPORT_LOSS = 'read -r up _ </proc/uptime; echo "lost $up"\n'
MANIFESTS = "/etc/kubernetes/manifests"
ASIDE = "/etc/kubernetes"  # on the same file system, not watched by the kubelet
HAPROXY = "haproxy.service"
_UNDO = "hale-drill-undo"

#: The faults that stop a host.
HOST_FAULTS = (FaultKind.WORKER, FaultKind.MASTER, *COMPONENT_FAULTS)
#: Those that lose a replica of the drill's own workload, too.
WORKLOAD_FAULTS = (FaultKind.WORKER, FaultKind.MASTER)


class PowerError(Exception):
    """A host could not be switched off or on; the message says why."""


class PowerSwitch(Protocol):
    """Switches hosts off and on, as the lab can. Raises PowerError on failure."""

    def off(self, host: str) -> None:
        """Cut the host's power."""

    def on(self, host: str) -> None:
        """Switch the host on and wait until it accepts logins; does nothing if it is on."""


_TITLES = {
    FaultKind.VIP: "haproxy on the VIP owner {}",
    FaultKind.APISERVER: "the apiserver on {}",
    FaultKind.ETCD: "the etcd member on {}",
    FaultKind.WORKER: "the worker {}",
    FaultKind.MASTER: "the control-plane node {}",
    FaultKind.INGRESS: "the node {} with a replica of the ingress",
    FaultKind.DASHBOARD: "the node {} with a replica of the dashboard",
    FaultKind.MEMBER: "the network between the member's host {} and the cluster with Karmada",
}
_METHODS = {
    FaultKind.VIP: "SIGKILL, masked until reverted",
    FaultKind.APISERVER: "SIGKILL, its manifest moved aside",
    FaultKind.ETCD: "SIGKILL at every restart",
    FaultKind.WORKER: "power cut",
    FaultKind.MASTER: "power cut",
    FaultKind.INGRESS: "power cut",
    FaultKind.DASHBOARD: "power cut",
    FaultKind.MEMBER: "packets to that cluster are dropped (ip rule) until reverted",
}


@dataclass(frozen=True)
class Fault:
    """One fault on one host. reboots: the host comes back by itself.

    unreached: addresses and ranges that the host cannot answer any more.
    """

    kind: FaultKind
    host: str
    reboots: bool = False
    unreached: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What is lost, for people."""
        return _TITLES[self.kind].format(self.host)

    @property
    def method(self) -> str:
        """How it is injected."""
        return "systemctl reboot" if self.reboots else _METHODS[self.kind]

    @property
    def needs_power(self) -> bool:
        """Whether it takes a power switch."""
        return self.kind in HOST_FAULTS and not self.reboots

    def inject_script(self, limit: int = AUTO_REVERT_AFTER) -> str:
        """Shell, run as root on the host; exits 0 once the component is down."""
        if self.kind in HOST_FAULTS:
            return f"{REPORT_LOSS}systemctl --no-block reboot\n"
        scripts = _SCRIPTS[self.kind]
        begin = arguments(*self.unreached) + scripts.check
        return f"{begin}{_after(limit, self.revert_script())}{scripts.inject}"

    def revert_script(self) -> str:
        """Shell, run as root on the host; reverts whatever is left of the fault."""
        if self.kind in HOST_FAULTS:
            return ":\n"
        stop_timer = f"systemctl --quiet stop {_UNDO}.timer 2>/dev/null || :\n"
        return _SCRIPTS[self.kind].revert + stop_timer


def _after(limit: int, script: str) -> str:
    """Let systemd run the script after `limit` seconds."""
    return (
        f"systemctl --quiet stop {_UNDO}.timer 2>/dev/null || :\n"
        f"systemd-run --quiet --collect --unit={_UNDO} --on-active={limit} "
        "--timer-property=AccuracySec=1s "
        # systemd expands variables in a command line; `$$` is a `$` (systemd.service(5)).
        f"/bin/sh -c {shlex.quote(script.replace('$', '$$'))}\n"
    )


class _Scripts(NamedTuple):
    """Shell: check that the component is there, stop it, start it again."""

    check: str
    inject: str
    revert: str


def _manifest(name: str) -> _Scripts:
    """The scripts for a static Pod."""
    there, aside = f"{MANIFESTS}/{name}.yaml", f"{ASIDE}/{name}.yaml.hale-drill"
    check = f"""\
[ -f {there} ] || {{ echo "{there} not found: is this a kubeadm control plane?" >&2; exit 1; }}
"""
    inject = PROCESSES + script_with(
        HERE / "static_pod.inject.sh", name=name, there=there, aside=aside
    )
    revert = f"""\
[ ! -e {aside} ] || mv -nT {aside} {there}
sync {ASIDE} {MANIFESTS}
[ -e {there} ]
"""
    return _Scripts(check, inject, revert)


_STATE = f"systemctl show --property=LoadState --value {HAPROXY}"
_VIP = _Scripts(
    f"""\
[ "$({_STATE})" = loaded ] || {{ echo "{HAPROXY} not found" >&2; exit 1; }}
""",
    script_with(HERE / "haproxy.inject.sh", unit=HAPROXY),
    f"""\
systemctl --quiet unmask --runtime {HAPROXY}
systemctl reset-failed {HAPROXY} 2>/dev/null || :
systemctl --quiet start {HAPROXY}
""",
)
_KILLER = "hale-drill-etcd.service"
_ETCD = _Scripts(
    f"""\
{PROCESSES}
[ -f {MANIFESTS}/etcd.yaml ] && pid=$(static_pids etcd | head -n 1) && [ -n "$pid" ] || {{
  echo "no etcd of kubeadm runs on this host" >&2; exit 1
}}
""",
    script_with(
        HERE / "etcd.inject.sh",
        killer=_KILLER,
        # systemd expands variables in a command line; `$$` is a `$` (systemd.service(5)).
        loop=(PROCESSES + load_script(HERE / "etcd.kill.sh")).replace("$", "$$"),
    ),
    f"systemctl --quiet stop {_KILLER} 2>/dev/null || :\n",
)
_PREFERENCE = "7"  # of the rules: before those of the site, after the host's own addresses
_MEMBER = _Scripts(
    script_with(HERE / "member.check.sh", preference=_PREFERENCE),
    script_with(HERE / "member.inject.sh", preference=_PREFERENCE),
    script_with(HERE / "member.revert.sh", preference=_PREFERENCE),
)
_SCRIPTS = {
    FaultKind.VIP: _VIP,
    FaultKind.APISERVER: _manifest("kube-apiserver"),
    FaultKind.ETCD: _ETCD,
    FaultKind.MEMBER: _MEMBER,
}


@dataclass(frozen=True)
class ClusterRoles:
    """The hosts that own the VIP and run etcd's leader at present; empty if unknown."""

    vip_owner: str
    etcd_leader: str


def select_fault(
    kind: FaultKind,
    inventory: Inventory,
    roles: ClusterRoles,
    wanted: str,
    power: PowerSwitch | None,
) -> Fault:
    """The fault of that kind on the wanted host, or else where it does most damage.

    Raises UserError if the cluster or the host does not allow it.
    """
    masters = [h.name for h in inventory.masters]
    workers = [h.name for h in inventory.hosts if h.name not in masters]
    if kind is FaultKind.VIP and inventory.endpoint.kind != "keepalived":
        raise UserError(
            f"endpoint_kind is {inventory.endpoint.kind}: no haproxy on these hosts serves the "
            "VIP. Test the failover where the endpoint runs."
        )
    if kind is FaultKind.ETCD and inventory.etcd_kind != "stacked":
        raise UserError("etcd is external: its hosts are not in this inventory.")
    if kind is not FaultKind.WORKER and len(masters) < 3:
        raise UserError(
            f"with {len(masters)} control-plane node(s), etcd would be without quorum after the "
            "loss of one. Only the worker drill is possible here."
        )
    if kind is FaultKind.WORKER and len(workers) < 2:
        raise UserError(
            "the worker drill needs at least two workers, otherwise evicted Pods have nowhere to "
            "run."
        )
    candidates = workers if kind is FaultKind.WORKER else masters
    default = {
        FaultKind.ETCD: roles.etcd_leader,
        FaultKind.WORKER: workers[-1] if workers else "",
    }.get(kind, roles.vip_owner)
    host = wanted or default or candidates[0]
    if kind is FaultKind.VIP and host != roles.vip_owner:
        raise UserError(
            f"--host: the VIP is on {roles.vip_owner}, so this drill has to stop haproxy there, "
            f"not on {host}."
        )
    if host not in candidates:
        raise UserError(f"--host: {host} is none of {', '.join(candidates)}.")
    return Fault(kind, host, reboots=kind in HOST_FAULTS and power is None)


def select_client(inventory: Inventory, faults: Mapping[str, FaultKind]) -> str:
    """The host to send requests from: the first worker without a fault, else such a master.

    faults: host -> fault. Raises UserError if every host has one.
    """
    masters = {h.name for h in inventory.masters}
    hosts = sorted((h.name for h in inventory.hosts), key=lambda name: name in masters)
    for name in hosts:
        if name not in faults:
            return name
    raise UserError("no host is left to run the client: every host loses something.")
