"""A requirement of the standard, and the case of it that one test judges."""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from hale.inventory.ini import Host, Inventory
from hale.model.errors import Location

ROLES = ("all", "masters", "workers", "cluster")
SEVERITIES = ("critical", "major", "minor")
PROFILES = ("baseline", "extended")
RENAMED_PROFILES = {"document": "baseline"}  # as typed, and as saved by earlier releases
GUARDS = ("change", "drill")
ASPECTS = ("inventory", "runtime", "persisted", "drill")


def current_profile(name: str) -> str:
    """The profile's name today, for one that was typed or saved under an earlier name."""
    return RENAMED_PROFILES.get(name, name)


P = TypeVar("P", covariant=True)


class Requirement(Struct, frozen=True):
    """One requirement of the standard. `parameters` are the standard's own, unoverridden.

    guards: what must not begin on a living cluster while the requirement's runtime result is not
    PASS, of GUARDS. preflight: whether the hosts must meet it before an install begins.
    """

    id: str
    chapter: int
    title: str
    subject: str
    role: str
    reads: str
    severity: str
    profile: str
    why: str
    aspects: Mapping[str, str]
    parameters: Any
    where: Location
    guards: tuple[str, ...] = ()
    preflight: bool = False


class Override(Struct, frozen=True):
    """A value of the standard that the inventory replaces, for one host or all."""

    parameter: str
    standard: Any
    value: Any
    scope: str  # the group or host that says so
    where: Location


class Case(Struct, Generic[P], frozen=True, dict=True):
    """What one test judges: a requirement's aspect, on a host (None: the cluster as a whole)."""

    requirement: Requirement
    aspect: str
    host: Host | None
    parameters: P
    overrides: tuple[Override, ...]
    inventory: Inventory

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
