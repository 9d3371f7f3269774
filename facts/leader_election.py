"""Controller-manager and scheduler: an instance runs on every master, and exactly one leads.

Whether an instance runs is read on its master: a process in the control group of its static Pod,
and its own /healthz on the loopback address. The leader is the holder of the component's lease,
which any master's apiserver returns. The lease's age is computed with the clock of the host that
reads it; the leader's own host takes precedence, because its clock set the time of renewal. A lease
has a single holder, so there cannot be two leaders; there can be none, or one that died long ago.

The request to /healthz does not verify the certificate, the only place where Hale does so: the
component generates its certificate in memory, and the request never leaves the host. Instead, the
socket that answers must be one of that process; if it is not, the row names its owner.

Sources: kubernetes.io, "Leases", "Kubernetes Component health"; kubeadm's implementation details;
kube-scheduler(1), kube-controller-manager(1), --leader-elect-lease-duration.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from facts.parsers import listeners, local_apiserver
from facts.parsers.blanks import BLANKS
from facts.parsers.combined import read_each
from hale.inventory.ini import Host
from hale.model.evidence import (
    ClusterView,
    CommandProbe,
    ConfigLine,
    HostView,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case
from hale.shell import PROCESSES, script_with

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
# A master's clock is read with the lease, and at the end of its answer: an audit lies between.
MOST_SECONDS_APART = 300
SILENT = {
    7: "does not listen",
    28: "gives no answer in time",
    35: "fails the TLS handshake",
    52: "closes the connection without an answer",
    56: "drops the connection",
}


class LeaderElectionParameters(Struct, frozen=True):
    """A component, the port of its /healthz, and the maximum age of its lease in seconds."""

    component: str
    port: int
    lease_seconds: float


class LeaderElectionRuntime(Struct, frozen=True):
    """All masters' instances. ages: (host, the lease's age in seconds) for each that read it.

    leader: the master that holds the lease, or the holder's name where it is none of them.
    """

    component: str
    leader: str
    ages: tuple[tuple[str, float], ...]
    faults: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def age(self) -> float:
        """The lease's age in seconds by the leader's clock, else the lowest read; inf if none."""
        by_host = dict(self.ages)
        return by_host.get(self.leader, min(by_host.values(), default=float("inf")))

    @property
    def actual(self) -> str:
        parts = list(self.faults) or [f"{self.component} runs on every master"]
        if self.leader:
            parts.append(f"{self.leader} leads, and renewed its lease {self.age:.0f} s ago")
        return "; ".join([*parts, *self.unread])

    @property
    def settled(self) -> str:
        """Without the leader, which changes by itself, and the age of its lease."""
        parts = self.faults or (f"{self.component} runs on every master",)
        return "; ".join([*parts, "one leads" if self.leader else "none leads", *self.unread])


class Lease(Struct, frozen=True):
    """A lease as a master's apiserver returns it; holder: its identity, empty where none has it.

    renewed: seconds since the epoch, by the holder's clock. age: in seconds, by the master's clock.
    """

    holder: str
    renewed: float = 0.0
    age: float = 0.0


def probes(host: Host, cases: Sequence[Case[LeaderElectionParameters]]) -> tuple[Probe, ...]:
    """One command for each component, in parallel: a stopped one does not answer."""
    if not host.is_master:
        return ()
    return tuple(
        CommandProbe(case.parameters.component, _script(case.parameters), timeout=20, slow=True)
        for case in cases
    )


def _script(wanted: LeaderElectionParameters) -> str:
    functions = local_apiserver.SHELL + PROCESSES + listeners.LISTENERS
    return functions + script_with(
        Path(__file__).with_suffix(".sh"),
        component=wanted.component,
        port=str(wanted.port),
        lease=f"{LEASES}/{wanted.component}",
    )


def read_runtime(
    readings: ClusterView, case: Case[LeaderElectionParameters]
) -> LeaderElectionRuntime:
    """The masters' answers combined. A proven fault counts even where others did not answer.

    Raises Unreadable where a master gave no answer, no apiserver returned the lease, or two
    masters contradict each other about it, and the others prove no fault.
    """
    wanted = case.parameters
    masters = case.inventory.masters
    instances, unread = read_each(
        readings, masters, lambda its: _instance(its.output(wanted.component).lines, wanted)
    )
    faults = [f"{host}: {fault}" for host, fault in instances.items() if fault]
    leases, lease_errors = read_each(
        readings,
        [host for host in masters if host.name in instances],
        lambda its: _lease(its.output(wanted.component).lines, wanted.component, its),
    )
    if not masters:
        raise Unreadable("the inventory names no master")
    unread += _contradictions(leases, wanted) if leases else lease_errors
    leader = _leader([lease.holder for lease in leases.values() if lease.holder], case)
    if leases and not leader:
        faults.append(f"no leader: the lease kube-system/{wanted.component} has no holder")
    elif leader and leader not in {h.name for h in case.inventory.masters}:
        faults.append(f"{leader} leads, and is not one of the masters")
    ages = tuple((name, lease.age) for name, lease in leases.items() if lease.holder)
    fact = LeaderElectionRuntime(wanted.component, leader, ages, tuple(faults), tuple(unread))
    if unread and not faults and not (leader and fact.age > wanted.lease_seconds):
        raise Unreadable("; ".join(unread))
    return fact


def _instance(lines: Sequence[str], wanted: LeaderElectionParameters) -> str:
    """What is wrong with this master's instance; empty: nothing. Raises Unreadable."""
    if "manifest" not in lines and "no manifest" not in lines:
        raise Unreadable(f"the answer is garbled: {' '.join(lines)[:80]!r}")
    if "no process" in lines:
        there = "no " if "no manifest" in lines else "although there is a "
        return f"{wanted.component} does not run ({there}manifest of it)"
    line = next((x for x in lines if x.startswith("healthz ")), "")
    found = re.fullmatch(r"healthz (\d+) (.*)", line, re.ASCII)
    if not found:
        raise Unreadable(f"{wanted.component}: /healthz is missing in the answer")
    code, body = int(found[1]), found[2].strip(BLANKS)
    if code in SILENT:
        return f"{wanted.component} runs, but {SILENT[code]} on port {wanted.port}"
    if code:
        raise Unreadable(f"{wanted.component}: {body}")
    address = next((x.removeprefix("bind ") for x in lines if x.startswith("bind ")), "")
    if owner := listeners.foreign_owner(lines, address, wanted.port):
        return f"{wanted.component} runs, but port {wanted.port} is of {owner}"
    return "" if body == "ok" else f"{wanted.component} is not healthy: {body[:60]!r}"


def _lease(lines: Sequence[str], component: str, its: HostView) -> Lease:
    """The lease as this master returned it. Raises Unreadable."""
    found = local_apiserver.answers(lines, {"lease": f"{LEASES}/{component}?pretty=false"})
    if found is None:
        raise Unreadable(f"no apiserver to ask: {local_apiserver.NONE}")
    answer = found["lease"]
    if not answer.failure and answer.http == 404:
        return Lease("")
    spec = answer.document.get("spec", {})
    now = next(
        (re.fullmatch(r"now (\d+\.?\d*)", x, re.ASCII) for x in lines if x.startswith("now ")), None
    )
    holder = str(spec.get("holderIdentity") or "")
    if not holder:
        return Lease("")
    try:
        renewed = datetime.fromisoformat(spec["renewTime"]).timestamp()
    except (KeyError, TypeError, ValueError):
        raise Unreadable(f"the lease's renewTime is {spec.get('renewTime')!r}") from None
    if not now:
        raise Unreadable("the host's `date` printed no time")
    if its.clock is not None and abs(its.clock - float(now[1])) > MOST_SECONDS_APART:
        raise Unreadable(
            f"its clock has two times in one run, {abs(its.clock - float(now[1])):.0f} s apart"
        )
    return Lease(holder, renewed, float(now[1]) - renewed)


def _contradictions(leases: Mapping[str, Lease], wanted: LeaderElectionParameters) -> list[str]:
    """What the masters' answers differ in, with each one's. They read the lease within seconds."""
    found = []
    if len({lease.holder for lease in leases.values()}) > 1:
        each = (f"{n} has {lease.holder or 'no holder'}" for n, lease in leases.items())
        found.append(f"the masters differ on the lease's holder: {', '.join(each)}")
    held = {name: lease for name, lease in leases.items() if lease.holder}
    times = [lease.renewed for lease in held.values()]
    if times and max(times) - min(times) > wanted.lease_seconds:
        last = max(times)
        each = (f"{n} has {last - lease.renewed:.0f} s before" for n, lease in held.items())
        found.append(
            f"the masters differ on when it was renewed; compared with the last: {', '.join(each)}"
        )
    return found


def _leader(holders: Sequence[str], case: Case[LeaderElectionParameters]) -> str:
    """The master whose name begins the holder's identity, `<hostname>_<uuid>`.

    Where the masters differ, the holder that most of them have, of equals the first.
    """
    if not holders:
        return ""
    holder = max(holders, key=holders.count)
    name = holder.rpartition("_")[0] or holder
    return next((h.name for h in case.inventory.masters if h.name == name), name)
