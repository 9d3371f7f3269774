"""This master's own apiserver: whether it is ready, and which of its readiness checks fail.

The request bypasses the load balancer: it goes to the address that the static manifest advertises.

Source: kubernetes.io, "Kubernetes API health endpoints" (/readyz?verbose).
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from facts.parsers import local_apiserver
from hale.inventory.ini import Host
from hale.model.evidence import CommandProbe, ConfigLine, HostView, Probe
from hale.model.requirement import Case

PATH = "/readyz?verbose"


class ApiserverParameters(Struct, frozen=True):
    """None: the manifest has the address and the port."""


class ApiserverRuntime(Struct, frozen=True):
    """Its answer. trouble: why there was none; failing: the readiness checks that failed."""

    url: str
    http: int
    failing: tuple[str, ...]
    trouble: str = ""
    sources: tuple[ConfigLine, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether it reports itself ready."""
        return not self.trouble and self.http == 200 and not self.failing

    @property
    def actual(self) -> str:
        if self.trouble:
            return self.trouble
        if self.ready:
            return f"{self.url}: ready"
        return f"{self.url}: HTTP {self.http}, not ready: {', '.join(self.failing) or 'no reason'}"


def probes(host: Host, cases: Sequence[Case[ApiserverParameters]]) -> tuple[Probe, ...]:
    """One request, in parallel with other probes because it may hang."""
    return (CommandProbe("readyz", f"{local_apiserver.SHELL}\napi readyz '{PATH}'", 15, slow=True),)


def read_runtime(readings: HostView, case: Case[ApiserverParameters]) -> ApiserverRuntime:
    """The apiserver's readiness. Raises Unreadable where the request could not be made."""
    found = local_apiserver.answers(readings.output("readyz").lines, {"readyz": PATH})
    if found is None:
        return ApiserverRuntime("", 0, (), f"no apiserver: {local_apiserver.NONE}")
    answer = found["readyz"]
    if why := answer.failure:
        return ApiserverRuntime(answer.url, answer.http, (), why)
    failing = tuple(re.findall(r"\[-\](\S+)", answer.body, re.ASCII))
    if answer.http == 200 and "readyz check passed" not in answer.body:
        failing = (*failing, f"it says {answer.body[:60]!r}")
    return ApiserverRuntime(answer.url, answer.http, failing)
