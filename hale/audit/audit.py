"""One audit: the hosts it asks, the cases it judges, the evidence in between.

pytest's controller gathers; xdist's workers are handed the evidence's file.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from hale import gather
from hale.audit import evidence_file
from hale.gather import request
from hale.inventory import selection
from hale.inventory.ini import Host, Inventory
from hale.inventory.selection import SelectedHost
from hale.model.errors import Location
from hale.model.evidence import Evidence, Fact, HostView, NotApplicable, Unreadable
from hale.model.requirement import Case
from hale.standard import subjects
from hale.standard.loader import Standard


class CaseOutcome(Struct):
    """What one test has read, and found, or why not."""

    readings: Sequence[HostView] = ()
    fact: Fact | None = None
    error: Exception | None = None

    @property
    def excluded(self) -> bool:
        """Whether the case does not apply."""
        return isinstance(self.error, NotApplicable)


class Audit(Struct, dict=True):
    """What `pytest --hosts=…` is about to do, or has done."""

    inventory: Inventory
    standard: Standard
    profile: str
    chosen: tuple[SelectedHost, ...]
    transport: Callable[[SelectedHost], gather.Transport]
    gather_timeout: float
    hosts: Mapping[str, Evidence] = {}
    seen: dict[str, CaseOutcome] = {}  # by the case's nodeid, of the tests that have looked
    looked: dict[str, CaseOutcome] = {}  # what they are going to see
    evidence_of: str = ""  # the inventory that --evidence was gathered with, if another one

    @cached_property
    def cases(self) -> tuple[Case[Any], ...]:
        """Everything that can be judged on the chosen hosts."""
        hosts = [c.host for c in self.chosen]
        return tuple(selection.build_cases(self.inventory, self.standard, self.profile, hosts))

    @cached_property
    def by_test(self) -> Mapping[tuple[str, str], tuple[Case[Any], ...]]:
        """The cases by subject and aspect: those of one test function."""
        found: dict[tuple[str, str], list[Case[Any]]] = {}
        for case in self.cases:
            found.setdefault((case.requirement.subject, case.aspect), []).append(case)
        return MappingProxyType({key: tuple(cases) for key, cases in found.items()})

    @cached_property
    def possible(self) -> tuple[Case[Any], ...]:
        """Everything that the profile says of the whole inventory."""
        every = selection.build_cases(
            self.inventory, self.standard, self.profile, self.inventory.hosts
        )
        beside = [c for c in self.cases if c.host and not c.host.in_inventory]
        return (*every, *beside)

    def gather(
        self,
        cases: Iterable[Case[Any]],
        told: Callable[[Evidence], None],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Ask every host that one of these cases concerns, all at once; see gather.gather.

        What a host has answered is parsed while others are still to answer.
        """
        wanted = [c for c in cases if skip_reason(c) is None]
        own: dict[str, list[Case[Any]]] = {}
        answered: dict[str, Evidence] = {}
        self.hosts = answered

        def parsed(evidence: Evidence) -> None:
            answered[evidence.host] = evidence
            told(evidence)
            for case in own[evidence.host]:
                self.look(case)

        asked = []
        for chosen in self.chosen:
            concerned = [c for c in wanted if self._concerns(c, chosen.host)]
            if concerned:
                own[chosen.host.name] = [c for c in concerned if c.host is not None]
                asked.append(
                    (request.build_request(chosen.host, concerned), self.transport(chosen))
                )
        self.hosts = gather.gather_hosts(asked, self.gather_timeout, parsed, meanwhile)

    def look(self, case: Case[Any]) -> CaseOutcome:
        """What a test of this case sees. Parses it at the first call only; never raises."""
        seen = self.looked.get(case.nodeid)
        if seen is None:
            raw, everything = self.read(case)
            seen = self.looked[case.nodeid] = CaseOutcome(everything)
            try:
                seen.fact = parse_fact(case, raw)
            except Exception as error:  # the test raises it again
                seen.error = error
        return seen

    def _concerns(self, case: Case[Any], host: Host) -> bool:
        if case.aspect == "inventory":
            return False
        if case.host is None:
            return host.name in selection.source_hosts(case.requirement, self.inventory)
        return case.host.name == host.name

    def read(self, case: Case[Any]) -> tuple[Any, list[HostView]]:
        """The readings in the form that the subject's function takes, and all of them."""
        subject = case.requirement.subject
        if case.aspect == "inventory":
            return {}, []
        if case.host is None:
            names = [h.name for h in self.inventory.hosts]
            needed = selection.source_hosts(case.requirement, self.inventory)
            cluster = {n: self._readings(n, subject) for n in names if n in needed}
            return cluster, list(cluster.values())
        one = self._readings(case.host.name, subject)
        return one, [one]

    def _readings(self, host: str, subject: str) -> HostView:
        missing = Evidence(host, unreachable=f"{host} is not in the evidence")
        return HostView(self.hosts.get(host, missing), subject)

    def identity(self, host: str) -> Any:
        """Which machine answered, as facts/identity.py reads it."""
        subject: Any = subjects.load_subject(request.IDENTITY)
        return subject.read(self._readings(host, request.IDENTITY))


def parse_fact(case: Case[Any], readings: Any) -> Fact:
    """Parse what was read. Raises Unreadable, NotApplicable, or whatever is a bug."""
    reason = skip_reason(case)
    if reason:
        raise NotApplicable(reason)
    if case.host is None and case.aspect != "inventory" and not readings:
        reads = case.requirement.reads
        raise Unreadable(f"no host is in the group {reads}, so there is nothing to read it from")
    read = subjects.reader(case.requirement.subject, case.aspect)
    assert read is not None  # or the standard would not have been loaded
    found: Fact = read(readings, case)
    return found


def skip_reason(case: Case[Any]) -> str | None:
    """Why the requirement's role does not include this host; None where it does."""
    if case.aspect == "drill":
        return "measured only by a drill, not by an audit"
    role = case.requirement.role
    if case.host is None or role in ("all", "cluster") or role in case.host.groups:
        return None
    return f"concerns {role} only"


def coverage_gaps(audit: Audit, selected: Sequence[Case[Any]], unjudged: int) -> list[str]:
    """Why a run covers less than the inventory and the profile; empty if it covers all."""
    reasons = []
    covered = {c.nodeid for c in selected}
    asked = {c.host.name for c in audit.chosen}
    left_out = [h.name for h in audit.inventory.hosts if h.name not in asked]
    if left_out:
        reasons.append(f"hosts of the inventory left out: {', '.join(left_out)}")
    missing = [c for c in audit.possible if c.nodeid not in covered]
    here = [c for c in missing if c.host is None or c.host.name in asked]
    if here:
        reasons.append(f"{len(here)} of the profile's rows deselected on the hosts asked")
    if unjudged:
        reasons.append(f"{unjudged} rows selected but not judged")
    return reasons


def overrides_sha256(audit: Audit) -> str:
    """A digest over every override that applies to a chosen host."""
    lines = sorted(
        f"{case.host_name} {case.requirement.id} {o.parameter} {o.value!r}"
        for case in audit.cases
        for o in case.overrides
    )
    return hashlib.sha256("\n".join(dict.fromkeys(lines)).encode()).hexdigest()


def hosts_in_evidence(
    saved: evidence_file.EvidenceFile, inventory: Inventory
) -> tuple[SelectedHost, ...]:
    """The hosts that saved evidence holds, as the inventory has them today."""
    planned = {h.name: h for h in inventory.hosts}
    chosen = []
    for name in saved.hosts:
        host = planned.get(name) or Host(
            name, None, frozenset({"all"}), inventory.variables, Location("evidence"), False
        )
        chosen.append(SelectedHost(host, saved.uris.get(name, "")))
    return tuple(chosen)
