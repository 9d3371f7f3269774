"""Reading the hosts for the phases: what several of them ask for, in one round trip a host."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from hale import connection, gather
from hale.fact import Command, Evidence, Files, Output, Probe
from hale.gather.question import Question
from hale.install.sessions import Of
from hale.install.site import Site
from hale.install.step import Asked, Await, Phase, Seen
from hale.inventory import Host
from hale.transports import Connected

TIMEOUT = 90.0  # seconds for all that one host is asked
# By the command that a host is asked: which wishes it serves, and the name that each knows it by.
_Served = dict[str, list[tuple[int, str]]]


class Down(Exception):
    """A host cannot be asked; says which, why, and what to do."""


@dataclass(frozen=True)
class Wish:
    """What somebody wants to see: a phase, or one who waits.

    site: as the phase knows it. whole: a phase's obstacles too.
    """

    of: "Phase | Await"
    site: Site
    hosts: tuple[str, ...] = ()  # all where empty
    whole: bool = False


def look(wishes: Iterable[Wish], of: Of = connection.session_for) -> tuple[Seen, ...]:
    """What the hosts answer to each of the wishes, all hosts at once. Raises Down."""
    wishes = tuple(wishes)
    asked = []
    served: dict[str, _Served] = {}
    for host in wishes[0].site.hosts if wishes else ():
        question, keys = _question(host, wishes)
        if question is not None:
            served[host.name] = keys
            asked.append((question, Connected(of(host.name), connection.TARGETS[host.name])))
    found = gather.gather(asked, TIMEOUT)
    for evidence in found.values():
        if evidence.down:
            raise Down(evidence.down)
    return tuple(
        Seen({n: _own(e, number, served[n]) for n, e in found.items()})
        for number in range(len(wishes))
    )


def _question(host: Host, wishes: Iterable[Wish]) -> tuple[Question | None, _Served]:
    commands: dict[str, Command] = {}
    patterns: dict[str, None] = {}
    keys: _Served = {}
    named: dict[str, str] = {}
    for number, wish in enumerate(wishes):
        if wish.hosts and host.name not in wish.hosts:
            continue
        for subject, probes in _asked(wish, host):
            for probe in probes:
                if isinstance(probe, Files):
                    patterns.update(dict.fromkeys(probe.patterns))
                    continue
                # Two phases that ask the same are answered by one run of it.
                key = named.setdefault(probe.script, f"{number}.{subject}.{probe.name}")
                commands.setdefault(key, probe)
                keys.setdefault(key, []).append((number, f"{subject}.{probe.name}"))
    if not commands and not patterns:
        return None, keys
    return Question(host, tuple(commands.items()), tuple(patterns)), keys


def _asked(wish: Wish, host: Host) -> Iterable[tuple[str, tuple[Probe, ...]]]:
    yield from wish.of.probes(wish.site, host).items()
    if wish.whole:
        yield from obstacles(wish.of, wish.site, host).items()


def obstacles(of: Phase | Await, site: Site, host: Host) -> Asked:
    """What is read on a host only to find what stands in a phase's way."""
    ask: Callable[[Site, Host], Asked] | None = getattr(of, "obstacles", None)
    return ask(site, host) if ask else {}


def _own(evidence: Evidence, number: int, keys: _Served) -> Evidence:
    """The evidence as the wish of that number sees it, by the names that its facts know."""
    outputs: dict[str, Output] = {}
    for key, output in evidence.outputs.items():
        for wish, own in keys.get(key, ()):
            if wish == number:
                outputs[own] = replace(output, name=own)
    return replace(evidence, outputs=outputs)
