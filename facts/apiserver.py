"""This master's own apiserver: whether it is ready, and which of its own checks say no.

Asked past the load balancer, on the address that its static manifest has it advertise.

Source: kubernetes.io, "Kubernetes API health endpoints" (/readyz?verbose).
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from facts import own_apiserver
from hale.fact import Command, Probe, Readings, Source
from hale.inventory import Host
from hale.requirement import Case

PATH = "/readyz?verbose"


class Parameters(Struct, frozen=True):
    """None: address and port are the manifest's."""


class Runtime(Struct, frozen=True):
    """What it said. trouble: why it gave no answer of its own. failing: its checks that say no."""

    url: str
    http: int
    failing: tuple[str, ...]
    trouble: str = ""
    sources: tuple[Source, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether it said of itself that it is ready."""
        return not self.trouble and self.http == 200 and not self.failing

    @property
    def actual(self) -> str:
        if self.trouble:
            return self.trouble
        if self.ready:
            return f"{self.url}: ready"
        return f"{self.url}: HTTP {self.http}, not ready: {', '.join(self.failing) or 'no reason'}"


def probes(host: Host, cases: Sequence[Case[Parameters]]) -> tuple[Probe, ...]:
    """One request, beside the others: it may hang."""
    return (Command("readyz", f"{own_apiserver.SHELL}\napi readyz '{PATH}'", 15, slow=True),)


def runtime(readings: Readings, case: Case[Parameters]) -> Runtime:
    """What the apiserver says. Raises Unreadable where it could not be asked."""
    found = own_apiserver.answers(readings.output("readyz").lines, {"readyz": PATH})
    if found is None:
        return Runtime("", 0, (), f"no apiserver: {own_apiserver.NONE}")
    answer = found["readyz"]
    if why := answer.ill:
        return Runtime(answer.url, answer.http, (), why)
    failing = tuple(re.findall(r"\[-\](\S+)", answer.body))
    if answer.http == 200 and "readyz check passed" not in answer.body:
        failing = (*failing, f"it says {answer.body[:60]!r}")
    return Runtime(answer.url, answer.http, failing)
