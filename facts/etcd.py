"""etcd, as each master's own member reports itself and the others.

Requests go through etcd's JSON gateway with curl and the client certificate that kubeadm creates
for health checks, so no etcdctl is needed; only curl reads the key, which never leaves the host.
A member's status is local, so a cluster without quorum still answers. It includes alarms
(`errors`): a separate request for them would write to etcd's log. /health shows whether there is
quorum, because it performs a read through it.

Members are identified by ID: each master reports which member it is, whatever its name.

Sources: etcd's "API reference", "gRPC gateway", "Health check"; kubernetes.io, "PKI
certificates and requirements"; kubeadm's implementation details, "Generate static Pod
manifest for local etcd"; proc_net(5), /proc/net/tcp.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from facts.parsers.blanks import BLANKS, is_decimal
from facts.parsers.combined import read_each
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.ini import Host
from hale.model.evidence import (
    ClusterView,
    CommandProbe,
    ConfigLine,
    HostView,
    NotApplicable,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case
from hale.shell import script_with

PKI = "/etc/kubernetes/pki/etcd"
MANIFEST = "/etc/kubernetes/manifests/etcd.yaml"
PORT = 2379

# curl's exit codes that prove an unhealthy etcd; all others prove nothing.
SILENT = {
    7: "refuses the connection",
    28: "gives no answer in time",
    52: "closes the connection without an answer",
    60: f"presents a certificate that {PKI}/ca.crt did not sign, or that is not valid now",
}

_ASK = PRELUDE + script_with(
    Path(__file__).with_suffix(".sh"), pki=PKI, manifest=MANIFEST, port=str(PORT)
)
_SECOND_SAMPLE = "ask again /v3/maintenance/status -d '{}'\n"
# A second apart, to show whether entries are applied at all.
SCRIPT = f"{_ASK}sleep 1\n{_SECOND_SAMPLE}"
SCRIPT_SINGLE_SAMPLE = f"{_ASK}echo again -\n"  # for polling: `again` repeats the first sample


class EtcdParameters(Struct, frozen=True):
    """The number of log entries by which a member may lag behind the most advanced one."""

    lag: int


class Member(Struct, frozen=True):
    """A member of the member list. One that has never started has no name."""

    id: int
    name: str
    voting: bool


class MemberStatus(Struct, frozen=True):
    """What one master's etcd reports of itself."""

    host: str
    id: int
    cluster: int
    leader: int
    applied: tuple[int, int]  # the log's index in both samples
    committed: int  # in the second sample
    healthy: bool
    complaints: tuple[str, ...]
    members: tuple[Member, ...]


class EtcdRuntime(Struct, frozen=True):
    """All masters' etcd. faults: in sentences, all but the lag, which the check judges."""

    statuses: tuple[MemberStatus, ...]
    faults: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def behind(self) -> tuple[tuple[str, int], ...]:
        """Each master, and the number of entries not yet applied in its second sample."""
        most = max((v.applied[0] for v in self.statuses), default=0)
        return tuple(
            (v.host, max(most - v.applied[1], v.committed - v.applied[1], 0)) for v in self.statuses
        )

    @property
    def lag(self) -> int:
        """The number of entries by which the slowest member lags."""
        return max((entries for _, entries in self.behind), default=0)

    @property
    def actual(self) -> str:
        parts = list(self.faults)
        if not parts:
            leader = next(
                (v.host for v in self.statuses if v.id == v.leader), "none of the masters"
            )
            parts = [f"{len(self.statuses)} members, one on each master, led by {leader}"]
        if self.lag:
            slowest = max(self.behind, key=lambda pair: pair[1])
            parts.append(f"{slowest[0]} is {slowest[1]} entries behind")
        elif self.statuses:
            parts.append("none is behind")
        return "; ".join([*parts, *self.unread])

    @property
    def settled(self) -> str:
        """The members without the leader, which changes by itself, and without the lag."""
        parts = self.faults or (f"members on {', '.join(v.host for v in self.statuses)}",)
        return "; ".join([*parts, *self.unread])


def probes(host: Host, cases: Sequence[Case[EtcdParameters]]) -> tuple[Probe, ...]:
    """Each master's own member, twice, a second apart, so in parallel with other probes."""
    stacked = any(case.inventory.etcd_kind == "stacked" for case in cases)
    if not host.is_master or not stacked:
        return ()
    return (CommandProbe("members", SCRIPT, timeout=30, slow=True),)


def read_runtime(readings: ClusterView, case: Case[EtcdParameters]) -> EtcdRuntime:
    """The masters' answers combined. A proven fault counts even where others did not answer.

    Raises NotApplicable where etcd is external. Raises Unreadable where a master gave no answer
    and the others prove no fault.
    """
    if case.inventory.etcd_kind != "stacked":
        raise NotApplicable("etcd is external: its hosts are not in this inventory")
    masters = case.inventory.masters
    answers, unread = read_each(readings, masters, parse_status)
    statuses = [status for status in answers.values() if isinstance(status, MemberStatus)]
    faults = [f"{host}: {text}" for host, text in answers.items() if isinstance(text, str)]
    faults += _faults(statuses, len(masters))
    fact = EtcdRuntime(tuple(statuses), tuple(faults), tuple(unread))
    if unread and not faults and fact.lag <= case.parameters.lag:
        raise Unreadable("; ".join(unread))
    if not masters:
        raise Unreadable("the inventory names no master")
    return fact


def _faults(statuses: Sequence[MemberStatus], masters: int) -> list[str]:
    """What is wrong with these statuses, each by itself and all together.

    A member without a status may belong to a master without one, unless there are more of them.
    """
    faults = []
    for status in statuses:
        if not status.healthy:
            faults.append(f"{status.host}: etcd is not healthy")
        if not status.leader:
            faults.append(f"{status.host}: knows no leader")
        faults += [f"{status.host}: {complaint}" for complaint in status.complaints]
    if len({v.cluster for v in statuses}) > 1:
        faults.append("different clusters: " + _each(statuses, lambda v: f"{v.cluster:x}"))
    if len({v.leader for v in statuses if v.leader}) > 1:
        faults.append("different leaders: " + _each(statuses, lambda v: f"{v.leader:x}"))
    views = {v.members for v in statuses if v.members}
    if len(views) > 1:
        faults.append(
            "they disagree about the members: "
            + _each(statuses, lambda v: " ".join(_called(m) for m in v.members))
        )
    selves = {v.id: v.host for v in statuses}
    if len(selves) < len(statuses):
        faults.append("two masters are one member: " + _each(statuses, lambda v: f"{v.id:x}"))
    for members in views:
        faults += [f"{_called(m)} does not vote: it is a learner" for m in members if not m.voting]
        faults += [f"{_called(m)} was added and never started" for m in members if not m.name]
        strangers = [m for m in members if m.id not in selves]
        if len(strangers) > masters - len(statuses):
            faults.append(
                f"{len(members)} members for {masters} masters: "
                f"{' '.join(map(_called, strangers))} is on none of them"
            )
        known = {m.id for m in members}
        faults += [f"{host} is not a member" for id_, host in selves.items() if id_ not in known]
        leaders = {v.leader for v in statuses if v.leader and v.members == members}
        faults += [f"the leader {id_:x} is not a member" for id_ in leaders - known]
    return list(dict.fromkeys(faults))


def _each(statuses: Sequence[MemberStatus], word: Any) -> str:
    return ", ".join(f"{v.host} says {word(v)}" for v in statuses)


def _called(member: Member) -> str:
    return member.name or f"{member.id:x}"


def parse_status(readings: HostView) -> MemberStatus | str:
    """The status of the master's etcd, or why it has none. Raises Unreadable."""
    lines = readings.output("members").lines
    if len(lines) < 2 or lines[0] not in ("manifest", "no manifest"):
        raise Unreadable(f"the answer is garbled: {' '.join(lines)[:80]!r}")
    if lines[1] == "closed":
        manifest = (
            f"there is no {MANIFEST}"
            if lines[0] == "no manifest"
            else f"although {MANIFEST} is there"
        )
        return f"no etcd: nothing listens on {PORT} ({manifest})"
    answers: dict[str, tuple[int, str]] = {}
    for line in lines[2:]:
        name, _, rest = line.partition(" ")
        ended, _, body = rest.partition(" ")
        answers[name] = (int(ended) if is_decimal(ended) else -1, body)
        if (name, rest) == ("again", "-") and "status" in answers:
            answers["again"] = answers["status"]
    for name in ("status", "members", "health", "again"):
        if name not in answers:
            raise Unreadable(f"there is no answer of {name}")
        if answers[name][0] == -1 or answers[name][0] not in (0, *SILENT):
            raise Unreadable(f"{name}: {answers[name][1]}")
    for name in ("status", "again"):
        code, text = answers[name]
        if code:
            return f"etcd {SILENT[code]} ({text.partition(' More details')[0].strip(BLANKS)})"
    first, second = _json("status", answers), _json("again", answers)
    for status in (first, second):
        if "header" not in status:
            return f"etcd does not report its state: {_reason(status)}"
    complaints = [f"etcd reports: {text}".strip(BLANKS) for text in second.get("errors", ())]
    code, text = answers["members"]
    listed: dict[str, Any] = {} if code else _json("members", answers)
    if code or "members" not in listed:
        why = f"it {SILENT[code]}" if code else _reason(listed)
        complaints.append(f"etcd does not report its members: {why}")
    code, text = answers["health"]
    health: dict[str, Any] = {} if code else _json("health", answers)
    if code or health.get("reason"):
        complaints.append(f"/health: {health.get('reason') or f'it {SILENT[code]}'}")
    try:
        return MemberStatus(
            host=readings.host,
            id=int(second["header"]["member_id"]),
            cluster=int(second["header"]["cluster_id"]),
            leader=int(second.get("leader", 0)),
            applied=(int(first["raftAppliedIndex"]), int(second["raftAppliedIndex"])),
            committed=int(second["raftIndex"]),
            healthy=health.get("health") in ("true", True),
            complaints=tuple(complaints),
            members=tuple(sorted(map(_member, listed.get("members", ())), key=lambda m: m.id)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"etcd's answer has an unknown format: {error!r}") from None


def _member(listed: Mapping[str, Any]) -> Member:
    return Member(int(listed["ID"]), listed.get("name", ""), not listed.get("isLearner", False))


def _reason(answer: Mapping[str, Any]) -> str:
    return str(answer.get("error") or answer.get("message") or "")


def _json(name: str, answers: Mapping[str, tuple[int, str]]) -> dict[str, Any]:
    text = answers[name][1]
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Unreadable(f"{name}: {text[:80]!r} is not a response of etcd")
    return found
