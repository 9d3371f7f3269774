"""What the baseline names and not every cluster has: a second cluster.

A site that wants one requests it in its inventory. Hale cannot yet prove that one works, so the
verdict of a requested one is UNKNOWN, with that reason; it is never assumed to work.
"""

from collections.abc import Sequence
from typing import NoReturn

from msgspec import Struct

from hale.inventory.ini import Host
from hale.model.evidence import ClusterView, ConfigLine, NotApplicable, Probe, Unreadable
from hale.model.requirement import Case


class AddonsParameters(Struct, frozen=True):
    """Whether the site's inventory requests it."""

    requested: bool


class AddonsRuntime(Struct, frozen=True):
    """Whether it has been proven to work."""

    proven: bool
    actual: str
    sources: tuple[ConfigLine, ...] = ()


def probes(host: Host, cases: Sequence[Case[AddonsParameters]]) -> tuple[Probe, ...]:
    """No probe: Hale has no way yet to prove it."""
    return ()


def read_runtime(readings: ClusterView, case: Case[AddonsParameters]) -> NoReturn:
    """Raises NotApplicable where it is not requested. Raises Unreadable otherwise."""
    if not case.parameters.requested:
        raise NotApplicable("not requested")
    raise Unreadable(
        f"the inventory asks for it, and Hale cannot prove it yet: {case.expected}. Prove it "
        "manually, and keep the evidence with the report"
    )
