"""A requirement of the standard, and the case of it that one test judges."""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from hale.inventory.ini import Host, Inventory
from hale.model.errors import Location
from hale.model.lifetime import Lifetime, StatedValue


class Role(StrEnum):
    """Which hosts a requirement concerns. CLUSTER: judged once, from the hosts of `reads`."""

    ALL = "all"
    MASTERS = "masters"
    WORKERS = "workers"
    CLUSTER = "cluster"


class Severity(StrEnum):
    """How bad a failed result is, worst first."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"


class Profile(StrEnum):
    """Which requirements an audit has; each profile includes those before it."""

    BASELINE = "baseline"
    EXTENDED = "extended"


class Guard(StrEnum):
    """What must not begin on a living cluster that fails a requirement."""

    CHANGE = "change"
    DRILL = "drill"


class Aspect(StrEnum):
    """What of a requirement is judged: the plan, the host now, the host after a boot, a drill."""

    INVENTORY = "inventory"
    RUNTIME = "runtime"
    PERSISTED = "persisted"
    DRILL = "drill"


class Relation(StrEnum):
    """What a requirement that passes means for the rule of another benchmark."""

    EQUIVALENT = "equivalent"  # it is met too
    PARTIAL = "partial"  # a part of it is met
    CONFLICTING = "conflicting"  # it cannot be met: the baseline asks for the opposite


class Reference(Struct, frozen=True, forbid_unknown_fields=True):
    """A rule of a published benchmark that is about the same thing as a requirement.

    benchmark: its title and version; id, title: the rule's, as it prints them.
    """

    benchmark: str
    id: str
    title: str
    relation: Relation


_EARLIER_PROFILES = {"document": Profile.BASELINE}  # as typed, and as saved by earlier releases


def current_profile(name: str) -> str:
    """The profile's name today, for one that was typed or saved under an earlier name."""
    return _EARLIER_PROFILES.get(name, name)


P = TypeVar("P", covariant=True)


class Requirement(Struct, frozen=True):
    """One requirement of the standard. `parameters` are the standard's own, unoverridden.

    guards: what must not begin on a living cluster while the requirement's runtime result is not
    PASS. preflight: whether the hosts must meet it before an install begins. preflight_after: the
    requirements that are remediated first, because this one may fail for want of them. shared: the
    requirement whose parameter this one's is, and which is overridden in its place, by name.
    lifetimes: the versions that have the requirement, all where there are none. values: of its
    parameters, those that not all versions have.
    references: rules of other benchmarks about the same thing.
    """

    id: str
    chapter: int
    title: str
    subject: str
    role: Role
    reads: Role
    severity: Severity
    profile: Profile
    why: str
    aspects: Mapping[Aspect, str]
    parameters: Any
    where: Location
    guards: tuple[Guard, ...] = ()
    preflight: bool = False
    preflight_after: tuple[str, ...] = ()
    shared: Mapping[str, str] = {}
    lifetimes: tuple[Lifetime, ...] = ()
    values: tuple[StatedValue, ...] = ()
    references: tuple[Reference, ...] = ()


class Override(Struct, frozen=True):
    """A value of the standard that the inventory replaces, for one host or all."""

    parameter: str
    standard: Any
    value: Any
    scope: str  # the group or host that says so
    where: Location


class Case(Struct, Generic[P], frozen=True, dict=True):
    """What one test judges: a requirement's aspect, on a host (None: the cluster).

    masters_only: whether it is judged by what the masters answer, though it is read from all hosts.
    """

    requirement: Requirement
    aspect: Aspect
    host: Host | None
    parameters: P
    overrides: tuple[Override, ...]
    inventory: Inventory
    masters_only: bool = False

    @cached_property
    def sources(self) -> Mapping[str, Host]:
        """The hosts that a case of the cluster is read from by name, in the inventory's order."""
        role = Role.MASTERS if self.masters_only else self.requirement.reads
        names = frozenset(self.inventory.groups.get(role, ()))
        return MappingProxyType({h.name: h for h in self.inventory.hosts if h.name in names})

    @property
    def host_name(self) -> str:
        """The name in test ids and results."""
        return self.host.name if self.host else "cluster"

    @cached_property
    def nodeid(self) -> str:
        """pytest's id of this case's test."""
        requirement = self.requirement
        return (
            f"checks/test_{requirement.subject}.py::test_{self.aspect}"
            f"[{self.host_name}-{requirement.id}]"
        )

    @cached_property
    def expected(self) -> str:
        """What must be true, with this host's values filled in."""
        endpoint = self.inventory.endpoint
        values: dict[str, Any] = {
            "vip": endpoint.vip,
            "vip_port": endpoint.port,
            "vip_names": " ".join(endpoint.names),
            "host": self.host_name,
        }
        given: Any = self.parameters  # a Struct, which a TypeVar cannot say
        values |= msgspec.structs.asdict(given)
        return _substitute(self.requirement.aspects[self.aspect], values)


def _substitute(text: str, values: Mapping[str, Any]) -> str:
    def one(found: re.Match[str]) -> str:
        if found[1] not in values:
            return found[0]
        value = values[found[1]]
        return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)

    return re.sub(r"\{(\w+)\}", one, text)
