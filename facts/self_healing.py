"""A Deployment keeps its replicas when a node dies: measured by a drill, not by an audit.

An audit reads only, and nothing that can be read shows what a cluster does when a node is lost.

Source: kubernetes.io, "Kubernetes Self-Healing", "Taints and Tolerations" (eviction).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hale.fact import Probe
from hale.inventory import Host
from hale.standard import Case


@dataclass(frozen=True)
class Parameters:
    """None."""


def probes(host: Host, cases: Sequence[Case[Parameters]]) -> tuple[Probe, ...]:
    """Nothing to read."""
    return ()
