"""The apiserver as this host reaches it: by name and by the VIP, with its certificate verified.

Two requests. One by name, as the kubelet and kubectl connect: the host's own resolver supplies the
address, and curl reports which one answered. One to the VIP itself, so the certificate must be
valid for both. Only the cluster's CA is trusted, not the system's, and verification is never off.

/livez allows anonymous access unless the site disabled it. Where it answers 401 or 403, the
request is repeated with the kubelet's client certificate (only curl reads its key). If that is
refused too, the verdict is UNKNOWN: the cluster answers, but does not disclose its state.

Sources: kubernetes.io, "Kubernetes API health endpoints", "PKI certificates and requirements";
kubeadm's "Creating Highly Available Clusters"; curl(1), EXIT CODES and --write-out.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from facts.parsers.blanks import BLANKS, split_words
from facts.parsers.curl import EXIT_CODES, NO_ACCESS
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.ini import ControlPlaneEndpoint, Host
from hale.model.evidence import CommandProbe, ConfigLine, HostView, Probe, Unreadable
from hale.model.requirement import Case
from hale.shell import arguments, script_with

# kubeadm puts it here on every host, masters and workers, when the host joins.
CA = "/etc/kubernetes/pki/ca.crt"
CLIENT = "/var/lib/kubelet/pki/kubelet-client-current.pem"


class ApiserverVipParameters(Struct, frozen=True):
    """None: the inventory has the address, the port and the names."""


class VipResponse(Struct, frozen=True):
    """The response to one URL. exit: curl's exit code; http, address: of the last response."""

    url: str
    exit: int
    http: int
    address: str
    body: str
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the apiserver reports itself healthy."""
        return self.exit == 0 and self.http == 200 and self.body == "ok"

    def __str__(self) -> str:
        if self.exit:
            return f"{self.url}: {EXIT_CODES.get(self.exit, 'no answer')} ({self.error})"
        body = self.body if len(self.body) <= 60 else f"{self.body[:60]}…"
        return f"{self.url}: HTTP {self.http} {body!r} from {self.address}"


class ApiserverVipRuntime(Struct, frozen=True):
    """Both responses, the VIP, and whether the host has the cluster's CA certificate."""

    vip: str
    joined: bool
    by_name: VipResponse
    by_vip: VipResponse
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        text = f"{self.by_name}; {self.by_vip}"
        if not self.joined:
            text = f"this host is not in a cluster yet (no {CA}); {text}"
        if self.by_name.exit == 0 and self.by_name.address != self.vip:
            text += f"; the name resolves to {self.by_name.address}, not to the VIP {self.vip}"
        return text


def probes(host: Host, cases: Sequence[Case[ApiserverVipParameters]]) -> tuple[Probe, ...]:
    """Both requests in one command, in parallel with other probes because they may time out."""
    endpoint = cases[0].inventory.endpoint if cases else None
    return (CommandProbe("livez", _script(endpoint), timeout=30, slow=True),) if endpoint else ()


def read_runtime(readings: HostView, case: Case[ApiserverVipParameters]) -> ApiserverVipRuntime:
    """Both responses. Raises Unreadable where no request could be made, or access was denied."""
    endpoint = case.inventory.endpoint
    lines = readings.output("livez").lines
    if not lines or lines[0] not in ("joined", "not joined"):
        raise Unreadable(f"the answer of livez is garbled: {' '.join(lines)[:80]!r}")
    answers = [_answer(url, lines[1:]) for url in _urls(endpoint)]
    by_name, by_vip = answers
    for answer in answers:
        if answer.exit == 0 and answer.http in NO_ACCESS:
            raise Unreadable(
                f"{answer.url} is the cluster's, but does not authorize this host: "
                f"HTTP {answer.http}"
            )
    return ApiserverVipRuntime(endpoint.vip, lines[0] == "joined", by_name, by_vip)


def _urls(endpoint: ControlPlaneEndpoint) -> tuple[str, str]:
    vip = f"[{endpoint.vip}]" if ":" in endpoint.vip else endpoint.vip
    return (
        f"https://{endpoint.names[0]}:{endpoint.port}/livez",
        f"https://{vip}:{endpoint.port}/livez",
    )


def _answer(url: str, lines: Sequence[str]) -> VipResponse:
    """The block `url … / body … / got …`. Raises Unreadable where it is incomplete."""
    try:
        start = lines.index(f"url {url}")
        got = next(i for i in range(start, len(lines)) if lines[i].startswith("got "))
        _, exit_, http, address = [*split_words(lines[got]), ""][:4]
        output = [line.removeprefix("| ") for line in lines[start + 1 : got]]
        # The waiting time differs from run to run; without it, equal answers compare equal.
        error = [
            re.sub(r" after \d+ ms", "", x, flags=re.ASCII)
            for x in output
            if x.startswith("curl: ")
        ]
        body = [line for line in output if not line.startswith("curl: ")]
        return VipResponse(
            url, int(exit_), int(http), address, "\n".join(body).strip(BLANKS), " ".join(error)
        )
    except (ValueError, StopIteration):
        raise Unreadable(f"the answer of {url} is incomplete") from None


def _script(endpoint: ControlPlaneEndpoint) -> str:
    """curl without ~/.curlrc, which may disable verification, and without the system's CAs.

    -w prints its line last and body lines get a prefix, so a body cannot be mistaken for it.
    """
    file = Path(__file__).with_suffix(".sh")
    return PRELUDE + arguments(*_urls(endpoint)) + script_with(file, ca=CA, client=CLIENT)
