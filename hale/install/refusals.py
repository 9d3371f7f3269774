"""Whether the phases can ever complete on these hosts, for the gate.

A phase that would fail after packages have been installed says so here, before any host is changed.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from hale.install.cluster_context import ClusterContext
from hale.install.observe import HostsUnreachable, ObservationRequest, observe
from hale.install.phase import Probes
from hale.install.scheduler import load_phase, phase_names
from hale.inventory.ini import Host
from hale.model.errors import UserError
from hale.model.evidence import Unreadable
from hale.ssh import SessionPool


@dataclass(frozen=True)
class _GateProbes:
    """A phase's gate_probes as what is to be observed."""

    probes: Callable[[ClusterContext, Host], Probes]


def unsupported(
    context: ClusterContext, sessions: SessionPool, exempt: Collection[str] = ()
) -> tuple[str, ...]:
    """Why phases cannot be completed on these hosts, each with the next step; empty if they can.

    exempt: hosts that the run leaves as they are; what cannot be completed there is no reason, but
    another version of Kubernetes is. What cannot be read is a reason too. Raises UserError for an
    unreachable host.
    """
    phases = map(load_phase, phase_names())
    asking = [p for p in phases if any(p.gate_probes(context, h) for h in context.hosts)]
    requests = [ObservationRequest(_GateProbes(p.gate_probes), context) for p in asking]
    try:
        observed = observe(requests, sessions.session)
    except HostsUnreachable as error:
        raise UserError(str(error)) from None
    reasons: list[str] = []
    of_exempt: list[str] = []
    for phase, observations in zip(asking, observed, strict=True):
        try:
            reasons += phase.gate_problems(context, observations)
            of_exempt += phase.exemption_problems(context, observations, exempt)
        except Unreadable as error:
            reasons.append(f"{phase.name}: {error}")
    return (*(r for r in reasons if r.partition(": ")[0] not in exempt), *of_exempt)
