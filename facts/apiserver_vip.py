"""The apiserver as this host reaches it: by name and by the VIP, with its certificate verified.

Two requests. One by name, as the kubelet and kubectl connect: the host's own resolver supplies the
address, and curl reports which one answered. One to the VIP itself, so the certificate must be
valid for both. Only the cluster's CA is trusted, not the system's, and verification is never off.

/livez allows anonymous access unless the site disabled it. Where it answers 401 or 403, the
request is repeated with the kubelet's client certificate (only curl reads its key). If that is
refused too, the verdict is UNKNOWN: the cluster answers, but does not disclose its state.

The kubelet must use this address too, by the kubeconfig that it reads when it starts: one that
names a master works until that master is lost. On a master it may name that master's own API
server (kubeadm's ControlPlaneKubeletLocalMode).

Sources: kubernetes.io, "Kubernetes API health endpoints", "PKI certificates and requirements";
kubeadm's "Creating Highly Available Clusters", "ControlPlaneKubeletLocalMode"; getent(1); curl(1),
EXIT CODES and --write-out.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from facts.parsers import kubelet_config
from facts.parsers.blanks import BLANKS, is_decimal, split_words
from facts.parsers.curl import EXIT_CODES, NO_ACCESS
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.ini import ControlPlaneEndpoint, Host
from hale.model.address import url_host
from hale.model.evidence import CommandProbe, ConfigLine, HostView, Probe, Unreadable
from hale.model.requirement import Case
from hale.shell import arguments, script_with

APISERVER_PORT = 6443
_UNREAD = {
    "kubelet absent": "does not exist",
    "kubelet hidden": "is not readable by this user",
    "kubelet none": "names no server that Hale finds",
}
# kubeadm puts it here on every host, masters and workers, when the host joins.
CA = "/etc/kubernetes/pki/ca.crt"
KUBELET = "/etc/kubernetes/kubelet.conf"
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
    """Both responses, the VIP, and whether the host has the cluster's CA certificate.

    astray: why the kubelet does not use the VIP after its next start.
    """

    vip: str
    joined: bool
    by_name: VipResponse
    by_vip: VipResponse
    astray: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        text = f"{self.by_name}; {self.by_vip}"
        if not self.joined:
            text = f"this host is not in a cluster yet (no {CA}); {text}"
        if self.by_name.exit == 0 and self.by_name.address != self.vip:
            text += f"; the name resolves to {self.by_name.address}, not to the VIP {self.vip}"
        return "; ".join([text, *self.astray])


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
    fact = ApiserverVipRuntime(
        endpoint.vip, lines[0] == "joined", by_name, by_vip, tuple(_astray(lines, case))
    )
    unknown = _unknown(lines, case)
    if unknown and not fact.astray and by_name.ok and by_vip.ok:
        raise Unreadable(unknown)
    return fact


def _servers(lines: Sequence[str]) -> list[tuple[str, str, int, list[str]]]:
    """Each server of the kubelet's kubeconfig: URL, host, port, and the host's addresses."""
    found = []
    for line in lines:
        if line.startswith("kubelet https://"):
            _, url, *addresses = split_words(line)
            at = url.removeprefix("https://").partition("/")[0]
            name, _, port = at.rpartition(":")
            if not is_decimal(port):
                name, port = at, "443"
            name = name.strip("[]").lower()
            found.append((url, name, int(port), list(dict.fromkeys(addresses))))
    return found


def _astray(lines: Sequence[str], case: Case[ApiserverVipParameters]) -> list[str]:
    """Why the kubelet's kubeconfig does not lead to the endpoint."""
    endpoint, host = case.inventory.endpoint, case.host
    masters = {h.address or h.name: h.name for h in case.inventory.masters}
    own = {a for line in lines if line.startswith("own ") for a in split_words(line)[1:]}
    own = {a for a in own if a != endpoint.vip}
    faults = []
    for url, name, port, found in _servers(lines):
        addresses = [name] if name == endpoint.vip else found
        named = name in (endpoint.vip, *(n.lower() for n in endpoint.names))
        if named and endpoint.vip in (addresses or [endpoint.vip]):
            if port not in (endpoint.port, APISERVER_PORT):
                faults.append(
                    f"{KUBELET} names {url}, and the API server's port is {endpoint.port} there"
                )
            continue
        if addresses == [endpoint.vip]:
            continue
        others = [masters[a] for a in addresses or [name] if a in masters]
        if host is not None and host.is_master and (others == [host.name] or own & {*addresses}):
            continue
        if _loopback(name, addresses):
            continue
        what = f"which is {others[0]} alone" if others else "which is not the VIP"
        faults.append(f"{KUBELET} names {url}, {what}: this node is lost with it")
    return faults


def _unknown(lines: Sequence[str], case: Case[ApiserverVipParameters]) -> str:
    """Why it is not known where the kubelet's kubeconfig leads; empty where it is."""
    for line, why in _UNREAD.items():
        if any(found.strip(BLANKS) == line for found in lines):
            return f"{KUBELET} {why}: look which API server the kubelet uses"
    if case.host is None or case.host.is_master:
        return ""
    for url, name, _, addresses in _servers(lines):
        if _loopback(name, addresses):
            return f"{KUBELET} names {url}, a proxy on this node: look where that one leads"
    return ""


def _loopback(name: str, addresses: Sequence[str]) -> bool:
    every = addresses or [name]
    return all(a.startswith("127.") or a == "::1" for a in every)


def _urls(endpoint: ControlPlaneEndpoint) -> tuple[str, str]:
    return (
        f"https://{endpoint.names[0]}:{endpoint.port}/livez",
        f"https://{url_host(endpoint.vip)}:{endpoint.port}/livez",
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
    paths = {"ca": CA, "client": CLIENT, "kubelet": KUBELET, "config": kubelet_config.PATH}
    return PRELUDE + arguments(*_urls(endpoint)) + script_with(file, **paths)
