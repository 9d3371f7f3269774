"""One audit: the selected hosts, their evidence, and the verdict of every case."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from hale import gather
from hale.audit import cases as audit_cases
from hale.audit import evidence_file
from hale.audit.cases import skip_reason
from hale.audit.judge import JudgedCase, View, judge
from hale.audit.versions import at_versions
from hale.audit.waivers import NO_WAIVERS, Waivers
from hale.gather import request
from hale.inventory.ini import Host, Inventory
from hale.inventory.selection import SelectedHost
from hale.model.errors import Location
from hale.model.evidence import Evidence, HostView
from hale.model.lifetime import KUBERNETES, Versions
from hale.model.requirement import Aspect, Case
from hale.standard import subjects
from hale.standard.loader import Standard, planned_versions


class Audit(Struct, dict=True):
    """The inputs of an audit and what it has gathered and judged so far.

    `gather` fills `hosts` (evidence by host name); `judge` returns the verdict of a case.
    """

    inventory: Inventory
    standard: Standard
    profile: str
    selected_hosts: tuple[SelectedHost, ...]
    transport: Callable[[SelectedHost], gather.Transport]
    gather_timeout: float  # seconds
    waivers: Waivers = NO_WAIVERS
    hosts: Mapping[str, Evidence] = {}
    evidence_of: str = ""  # inventory of the --evidence, if it differs
    masters_suffice: bool = False  # see build_cases
    judged: dict[str, JudgedCase] = {}  # by the case's nodeid
    versions_read: dict[str, Versions] = {}  # by host name

    @cached_property
    def cases(self) -> tuple[Case[Any], ...]:
        """Every case that can be judged on the selected hosts."""
        hosts = [s.host for s in self.selected_hosts]
        return tuple(
            audit_cases.build_cases(
                self.inventory,
                self.standard,
                self.profile,
                hosts,
                masters_suffice=self.masters_suffice,
            )
        )

    @cached_property
    def cases_by_check(self) -> Mapping[tuple[str, str], tuple[Case[Any], ...]]:
        """The cases by subject and aspect: those of one function of checks/."""
        found: dict[tuple[str, str], list[Case[Any]]] = {}
        for case in self.cases:
            found.setdefault((case.requirement.subject, case.aspect), []).append(case)
        return MappingProxyType({key: tuple(cases) for key, cases in found.items()})

    @cached_property
    def all_cases(self) -> tuple[Case[Any], ...]:
        """Every case of the profile for the inventory's hosts, and those of selected hosts that are
        not in the inventory."""
        planned = audit_cases.build_cases(
            self.inventory, self.standard, self.profile, self.inventory.hosts
        )
        beside = [c for c in self.cases if c.host and not c.host.in_inventory]
        return (*planned, *beside)

    def gather(
        self,
        cases: Iterable[Case[Any]],
        on_answer: Callable[[Evidence], None] = lambda evidence: None,
        while_waiting: Callable[[], None] = lambda: None,
        on_pause: Callable[[], None] = lambda: None,
    ) -> None:
        """Gather from every host that one of these cases concerns, in parallel; see gather_hosts.

        The cases of a host are judged as soon as its evidence is there, while others still answer.
        on_answer: called per host. while_waiting: called once, after all requests are sent.
        on_pause: called where the slow hosts are waited for. If an exception ends the gathering,
        `hosts` and `judged` have what has arrived until then.
        """
        wanted = [c for c in cases if skip_reason(c) is None]
        own: dict[str, list[Case[Any]]] = {}
        answered: dict[str, Evidence] = {}
        self.hosts = answered

        def take(evidence: Evidence) -> None:
            answered[evidence.host] = evidence
            on_answer(evidence)
            for case in own[evidence.host]:
                self.judge(case)

        requests = []
        for selected in self.selected_hosts:
            concerned = [c for c in wanted if self._concerns(c, selected.host)]
            if concerned:
                own[selected.host.name] = [c for c in concerned if c.host is not None]
                probes = request.build_request(selected.host, concerned)
                requests.append((probes, self.transport(selected)))
        self.hosts = gather.gather_hosts(
            requests, self.gather_timeout, take, while_waiting, on_pause
        )

    def judge(self, case: Case[Any]) -> JudgedCase:
        """The case's verdict, judged once and then remembered. Never raises."""
        found = self.judged.get(case.nodeid)
        if found is None:
            versions = self.versions(case)
            found = judge(at_versions(case, versions), self.view(case), versions)
            result = self.waivers.judged(case, found.result)
            if result is not found.result:
                found = replace(found, result=result)
            self.judged[case.nodeid] = found
        return found

    def versions(self, case: Case[Any]) -> Versions:
        """The versions that decide which requirements and values hold for the case.

        Of the cluster: the newest kubelet of the hosts that it is read from.
        """
        if case.host is not None:
            return self.host_versions(case.host.name)
        if set(case.requirement.aspects) <= {Aspect.INVENTORY}:
            return planned_versions(self.inventory)
        return max(
            (self.host_versions(name) for name in case.sources),
            key=lambda found: found.get(KUBERNETES, ()),
            default=planned_versions(self.inventory),
        )

    def host_versions(self, host: str) -> Versions:
        """Those of the host: what runs there, and else what the inventory asks for."""
        if host not in self.hosts:
            return planned_versions(self.inventory)
        if host not in self.versions_read:
            self.versions_read[host] = {
                **planned_versions(self.inventory),
                **self._running_versions(host),
            }
        return self.versions_read[host]

    def kubelet_version(self, host: str) -> tuple[int, ...]:
        """Major, minor and patch of the kubelet that runs there; empty where that is unknown."""
        found = self._node_versions(host)
        return tuple(found.kubernetes) if found else ()

    def _node_versions(self, host: str) -> Any:
        """What facts/node_versions.py reads; None where that is unreadable or garbled."""
        subject: Any = subjects.load_subject(request.VERSIONS)
        try:
            return subject.read(self._host_view(host, request.VERSIONS))
        except Exception:  # the versions are unknown then, whatever the reason
            return None

    def _running_versions(self, host: str) -> Versions:
        found = self._node_versions(host)
        if found is None:
            return {}
        return {**found.systems, **({KUBERNETES: found.kubernetes[:2]} if found.kubernetes else {})}

    def forget(self, host: str, cases: Iterable[Case[Any]]) -> None:
        """Free what was understood of the host and of its judged cases; the evidence stays."""
        for case in cases:
            self.judged.pop(case.nodeid, None)
        if host in self.hosts:
            vars(self.hosts[host]).clear()

    def view(self, case: Case[Any]) -> View:
        """The evidence for the case's subject: of one host, of the cluster's hosts, or none."""
        subject = case.requirement.subject
        if case.aspect is Aspect.INVENTORY:
            return {}
        if case.host is None:
            return {name: self._host_view(name, subject) for name in case.sources}
        return self._host_view(case.host.name, subject)

    def identity(self, host: str) -> Any:
        """The identity of the machine that answered (facts/identity.py). Raises Unreadable."""
        subject: Any = subjects.load_subject(request.IDENTITY)
        return subject.read(self._host_view(host, request.IDENTITY))

    def _concerns(self, case: Case[Any], host: Host) -> bool:
        if case.aspect is Aspect.INVENTORY:
            return False
        if case.host is None:
            return host.name in case.sources
        return case.host.name == host.name

    def _host_view(self, host: str, subject: str) -> HostView:
        missing = Evidence(host, unreachable=f"{host} is not in the evidence")
        return HostView(self.hosts.get(host, missing), subject)


def hosts_in_evidence(
    saved: evidence_file.EvidenceFile, inventory: Inventory
) -> tuple[SelectedHost, ...]:
    """The hosts in saved evidence, with the inventory's current groups and variables."""
    planned = {h.name: h for h in inventory.hosts}
    found = []
    for name in saved.hosts:
        host = planned.get(name) or Host(
            name, None, frozenset({"all"}), inventory.variables, Location("evidence"), False
        )
        found.append(SelectedHost(host, saved.uris.get(name, "")))
    return tuple(found)
