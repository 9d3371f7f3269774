"""What the baseline names and not every cluster has: dashboard, ingress, a second cluster.

A site that wants one says so in its inventory. Hale has no way yet to prove that one works, so
where it is asked for the verdict is UNKNOWN, and says that; it is never taken for granted.
"""

from collections.abc import Sequence
from typing import NoReturn

from msgspec import Struct

from hale.inventory.ini import Host
from hale.model.evidence import ClusterView, ConfigLine, NotApplicable, Probe, Unreadable
from hale.model.requirement import Case


class AddonsParameters(Struct, frozen=True):
    """Whether the site asks for it."""

    requested: bool


class AddonsRuntime(Struct, frozen=True):
    """Whether it was seen to work."""

    proven: bool
    actual: str
    sources: tuple[ConfigLine, ...] = ()


def probes(host: Host, cases: Sequence[Case[AddonsParameters]]) -> tuple[Probe, ...]:
    """Nothing: there is no way to prove it yet."""
    return ()


def read_runtime(readings: ClusterView, case: Case[AddonsParameters]) -> NoReturn:
    """Told by nothing yet: raises NotApplicable where it is not asked for, else UNKNOWN."""
    if not case.parameters.requested:
        raise NotApplicable("not requested")
    raise Unreadable(
        f"the inventory asks for it, and Hale cannot prove it yet: {case.expected}. Show it by "
        "hand, and keep the evidence beside the report"
    )
