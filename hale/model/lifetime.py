"""Which versions of Kubernetes, or of an operating system, have a requirement or a value."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

#: Numbers of a version, major first: (1, 35) of Kubernetes 1.35.2, (8,) of CentOS Stream 8.
Version = tuple[int, ...]
#: The versions in use by product: `KUBERNETES`, and NAME of the host's os-release(5). What is not
#: in it is unknown, or does not concern the host.
Versions = Mapping[str, Version]

KUBERNETES = "kubernetes"


class HowTested(StrEnum):
    """How a system was tested: on hosts of the lab, in recorded evidence, or not at all."""

    LAB = "lab"
    RECORDED = "recorded"
    NONE = "none"


class Lifetime(Struct, frozen=True):
    """The versions of a product that have something.

    since: the first one that has it. deprecated, disabled: the first one that warns of it, that has
    it off by default. until: the first one without it. None where there is no such version.
    source: where upstream states that. instead: what to use, for people.
    """

    product: str = KUBERNETES
    since: Version | None = None
    deprecated: Version | None = None
    disabled: Version | None = None
    until: Version | None = None
    source: str = ""
    instead: str = ""

    def holds_at(self, version: Version) -> bool:
        """Whether that version has it."""
        return (self.since is None or self.since <= version) and (
            self.until is None or version < self.until
        )

    @property
    def limits(self) -> tuple[Version, ...]:
        """Its versions in the order in which they come."""
        given = (self.since, self.deprecated, self.disabled, self.until)
        return tuple(version for version in given if version is not None)


class StatedValue(Struct, frozen=True):
    """A value of a parameter with its lifetime; of a parameter with several values, one of them.

    tested: how, where the value is an operating system.
    """

    parameter: str
    value: Any
    lifetime: Lifetime
    tested: HowTested | None = None


def spelled(version: Version) -> str:
    """`1.35` of (1, 35)."""
    return ".".join(map(str, version))
