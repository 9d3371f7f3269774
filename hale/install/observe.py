"""Observe hosts for the phases: one round trip a host serves several requests."""

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from hale import gather
from hale.gather.request import ProbeRequest
from hale.gather.transports import SshTransport
from hale.install.cluster_context import ClusterContext
from hale.install.phase import Observations, Phase, ProbeSource
from hale.install.session_leases import SessionFor
from hale.inventory.ini import Host
from hale.model.evidence import CommandProbe, Evidence, FileProbe, Output, Probe

TIMEOUT = 90.0  # seconds for all probes of one host
# Each de-duplicated probe -> the (request, local name) pairs that it answers.
_Aliases = dict[str, list[tuple[int, str]]]


class HostsUnreachable(Exception):
    """A host is unreachable; the message says which, why, and what to do."""


@dataclass(frozen=True)
class ObservationRequest:
    """What to observe.

    of: whose probes. hosts: names; empty for all hosts. with_preflight: a phase's slow
    `preflight_probes` too.
    """

    of: ProbeSource
    site: ClusterContext
    hosts: tuple[str, ...] = ()
    with_preflight: bool = False


def observe(requests: Iterable[ObservationRequest], of: SessionFor) -> tuple[Observations, ...]:
    """One Observations per request, from all hosts in parallel. Raises HostsUnreachable."""
    requests = tuple(requests)
    probe_requests = []
    served: dict[str, _Aliases] = {}
    for host in requests[0].site.hosts if requests else ():
        probe_request, keys = _probe_request(host, requests)
        if probe_request is not None:
            served[host.name] = keys
            probe_requests.append((probe_request, SshTransport(of(host.name))))
    found = gather.gather_hosts(probe_requests, TIMEOUT)
    for evidence in found.values():
        if evidence.unreachable:
            raise HostsUnreachable(evidence.unreachable)
    return tuple(
        Observations({n: _for_facts(e, number, served[n]) for n, e in found.items()})
        for number in range(len(requests))
    )


def _probe_request(
    host: Host, requests: Iterable[ObservationRequest]
) -> tuple[ProbeRequest | None, _Aliases]:
    commands: dict[str, CommandProbe] = {}
    patterns: dict[str, None] = {}
    keys: _Aliases = {}
    named: dict[str, str] = {}
    for number, request in enumerate(requests):
        if request.hosts and host.name not in request.hosts:
            continue
        for subject, probes in _for_request(request, host):
            for probe in probes:
                if isinstance(probe, FileProbe):
                    patterns.update(dict.fromkeys(probe.patterns))
                    continue
                # A probe that several phases need runs once.
                key = named.setdefault(probe.script, f"{number}.{subject}.{probe.name}")
                commands.setdefault(key, probe)
                keys.setdefault(key, []).append((number, f"{subject}.{probe.name}"))
    if not commands and not patterns:
        return None, keys
    return ProbeRequest(host, tuple(commands.items()), tuple(patterns)), keys


def _for_request(
    request: ObservationRequest, host: Host
) -> Iterable[tuple[str, tuple[Probe, ...]]]:
    yield from request.of.probes(request.site, host).items()
    if request.with_preflight and isinstance(request.of, Phase):
        yield from request.of.preflight_probes(request.site, host).items()


def _for_facts(evidence: Evidence, number: int, keys: _Aliases) -> Evidence:
    """The evidence for the request of that number, under the names that its facts use."""
    outputs: dict[str, Output] = {}
    for key, output in evidence.outputs.items():
        for request, own in keys.get(key, ()):
            if request == number:
                outputs[own] = replace(output, name=own)
    return replace(evidence, outputs=outputs)
