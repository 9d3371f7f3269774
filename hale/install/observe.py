"""Reading the hosts for the phases: what several of them ask for, in one round trip a host."""

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from hale import gather, ssh
from hale.gather.request import ProbeRequest
from hale.gather.transports import SshTransport
from hale.install.cluster_context import ClusterContext
from hale.install.phase import Observations, Phase, ProbeSource
from hale.install.session_pool import SessionFor
from hale.inventory.ini import Host
from hale.model.evidence import CommandProbe, Evidence, FileProbe, Output, Probe

TIMEOUT = 90.0  # seconds for all that one host is asked
# By the command that a host is asked: which wishes it serves, and the name that each knows it by.
_Aliases = dict[str, list[tuple[int, str]]]


class HostsUnreachable(Exception):
    """A host cannot be asked; says which, why, and what to do."""


@dataclass(frozen=True)
class ObservationRequest:
    """What somebody wants to see: a phase, or one who waits.

    site: as the phase knows it. whole: a phase's obstacles too.
    """

    of: ProbeSource
    site: ClusterContext
    hosts: tuple[str, ...] = ()  # all where empty
    with_preflight: bool = False


def observe(
    wishes: Iterable[ObservationRequest], of: SessionFor = ssh.session_for
) -> tuple[Observations, ...]:
    """What the hosts answer to each of the wishes, all hosts at once. Raises Down."""
    wishes = tuple(wishes)
    asked = []
    served: dict[str, _Aliases] = {}
    for host in wishes[0].site.hosts if wishes else ():
        question, keys = _question(host, wishes)
        if question is not None:
            served[host.name] = keys
            asked.append((question, SshTransport(of(host.name), ssh.TARGETS[host.name])))
    found = gather.gather_hosts(asked, TIMEOUT)
    for evidence in found.values():
        if evidence.unreachable:
            raise HostsUnreachable(evidence.unreachable)
    return tuple(
        Observations({n: _own(e, number, served[n]) for n, e in found.items()})
        for number in range(len(wishes))
    )


def _question(
    host: Host, wishes: Iterable[ObservationRequest]
) -> tuple[ProbeRequest | None, _Aliases]:
    commands: dict[str, CommandProbe] = {}
    patterns: dict[str, None] = {}
    keys: _Aliases = {}
    named: dict[str, str] = {}
    for number, wish in enumerate(wishes):
        if wish.hosts and host.name not in wish.hosts:
            continue
        for subject, probes in _for_request(wish, host):
            for probe in probes:
                if isinstance(probe, FileProbe):
                    patterns.update(dict.fromkeys(probe.patterns))
                    continue
                # Two phases that ask the same are answered by one run of it.
                key = named.setdefault(probe.script, f"{number}.{subject}.{probe.name}")
                commands.setdefault(key, probe)
                keys.setdefault(key, []).append((number, f"{subject}.{probe.name}"))
    if not commands and not patterns:
        return None, keys
    return ProbeRequest(host, tuple(commands.items()), tuple(patterns)), keys


def _for_request(wish: ObservationRequest, host: Host) -> Iterable[tuple[str, tuple[Probe, ...]]]:
    yield from wish.of.probes(wish.site, host).items()
    if wish.with_preflight and isinstance(wish.of, Phase):
        yield from wish.of.preflight_probes(wish.site, host).items()


def _own(evidence: Evidence, number: int, keys: _Aliases) -> Evidence:
    """The evidence as the wish of that number sees it, by the names that its facts know."""
    outputs: dict[str, Output] = {}
    for key, output in evidence.outputs.items():
        for wish, own in keys.get(key, ()):
            if wish == number:
                outputs[own] = replace(output, name=own)
    return replace(evidence, outputs=outputs)
