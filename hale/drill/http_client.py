"""The client: requests the apiserver's /readyz through the VIP every 50 ms, on new connections.

Or a route of the ingress, or the dashboard (components.py). Each request is a curl process of its
own that verifies the certificate of an https URL. Requests overlap, so one
that hangs does not delay the next. Each line of the log says when its request started and ended,
and with what result. A downtime lasts from the end of the last successful request to the end of
the next one.

Where the target has several addresses, each request begins with the next one, and moves on where it
has no connection within a second.

Sources: kubernetes.io, "Kubernetes API health endpoints"; curl(1), EXIT CODES, --write-out and
--resolve.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from msgspec import Struct

from hale.drill.sampler import BEGIN
from hale.inventory.ini import ControlPlaneEndpoint
from hale.model.address import url_host
from hale.model.drill import Downtime
from hale.shell import script_with

PERIOD = 0.05  # seconds between two requests
REQUEST_TIMEOUT = 2  # seconds
CONNECT_TIMEOUT = 1  # seconds, where there is another address to move on to
MIN_DOWNTIME = 3 * PERIOD  # between two answers; less is scheduling noise on a busy host
# kubeadm writes the CA to every host. The kubelet's own certificate is for clusters that refuse
# anonymous requests.
CA_FILE = "/etc/kubernetes/pki/ca.crt"
CLIENT_CERTIFICATE = "/var/lib/kubelet/pki/kubelet-client-current.pem"


def url(endpoint: ControlPlaneEndpoint) -> str:
    """The requested URL: whether an apiserver behind the VIP is ready to serve."""
    return f"https://{url_host(endpoint.vip)}:{endpoint.port}/readyz"


class ClientTarget(Struct, frozen=True):
    """What the client requests.

    through: for people, where its requests go. resolved: words for curl's --resolve, an address
    each, with one of which each request begins in turn; empty for a URL with an address.
    certificate: the client's own.
    """

    url: str
    through: str
    resolved: tuple[str, ...] = ()
    certificate: str = ""

    def __str__(self) -> str:
        return f"{self.url} {self.through}"


def apiserver(endpoint: ControlPlaneEndpoint) -> ClientTarget:
    """The apiserver through the VIP."""
    return ClientTarget(url(endpoint), "through the VIP", certificate=CLIENT_CERTIFICATE)


def client_script(target: ClientTarget) -> str:
    """The client's loop, in POSIX sh, on a fixed schedule: one late request delays no other."""
    return BEGIN + script_with(
        Path(__file__).with_suffix(".sh"),
        url=target.url,
        resolved=" ".join(target.resolved),
        ca=CA_FILE,
        certificate=target.certificate,
        timeout=str(REQUEST_TIMEOUT),
        connect=str(CONNECT_TIMEOUT if len(target.resolved) > 1 else REQUEST_TIMEOUT),
        period=str(round(PERIOD * 100)),
    )


class Request(Struct, frozen=True):
    """One request. Times in seconds of one clock; http_status is 0 if there was no response."""

    number: int
    started: float
    ended: float
    exit_status: int  # of curl
    http_status: int
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the answer was HTTP 200, from a server with a valid certificate if it has one."""
        return self.exit_status == 0 and self.http_status == 200

    @property
    def seconds(self) -> float:
        """The duration, including the start of curl."""
        return self.ended - self.started

    @property
    def failure(self) -> str:
        """The error, without the parts that differ from request to request."""
        if self.exit_status:
            error = re.sub(r"\b(after )?\d+ (ms|milliseconds)( timeout)?", "", self.error)
            return " ".join(f"curl {self.exit_status}: {error.removeprefix('curl: ')}".split())
        return f"HTTP {self.http_status}"


class RequestLog(Struct, frozen=True):
    """A complete log: the requests in order of their start, and its defects.

    malformed: lines that the client did not write. out_of_order: requests that ended before they
    started, or were logged twice. Their times are meaningless, and the log proves nothing.
    """

    requests: tuple[Request, ...] = ()
    malformed: int = 0
    out_of_order: int = 0

    def since(self, zero: float) -> "RequestLog":
        """The same log with times relative to `zero`."""
        shifted = tuple(
            Request(
                r.number, r.started - zero, r.ended - zero, r.exit_status, r.http_status, r.error
            )
            for r in self.requests
        )
        return RequestLog(shifted, self.malformed, self.out_of_order)

    @property
    def failed(self) -> tuple[Request, ...]:
        """The requests that did not succeed."""
        return tuple(r for r in self.requests if not r.ok)


_LINE = re.compile(r"ask (\d{1,9}) (\d{1,12}) (\d{1,12}) (\d{1,3})(?: (.*))?")
_WRITE_OUT = re.compile(r"= (\d{3}) ([\d.]+)$|^= (\d{3}) ([\d.]+) ?")


def parse_log(raw: bytes) -> RequestLog:
    """Parse a log, or complete lines of one. An incomplete last line is ignored."""
    requests: dict[int, Request] = {}
    malformed = out_of_order = 0
    for line in raw.decode(errors="backslashreplace").split("\n")[:-1]:
        if re.fullmatch(r"(begin|late) \d+", line):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            malformed += 1
            continue
        number, started, ended, exit_status = (int(match[n]) for n in range(1, 5))
        output = match[5] or ""
        write_out = _WRITE_OUT.search(output)
        if ended < started or number in requests:
            out_of_order += 1
            continue
        http_status = int(write_out[1] or write_out[3]) if write_out else 0
        error = _WRITE_OUT.sub("", output).strip()
        requests[number] = Request(
            number, started / 100, ended / 100, exit_status, http_status, error
        )
    ordered = [requests[n] for n in sorted(requests)]
    out_of_order += sum(later.started < earlier.started - 1 for earlier, later in pairwise(ordered))
    return RequestLog(tuple(sorted(ordered, key=lambda r: r.started)), malformed, out_of_order)


def downtimes(log: RequestLog, until: float) -> tuple[Downtime, ...]:
    """The intervals between two successful requests in which failed ones started.

    `until` closes the last interval. A request that fails while others succeed is no downtime: a
    client that retries gets through. A slow request is none either.
    """
    answers = sorted(r.ended for r in log.requests if r.ok)
    failed = sorted(r.started for r in log.failed)
    if not failed:
        return ()
    if not answers:
        return (Downtime(min(r.started for r in log.requests), until, len(failed)),)
    edges = [log.requests[0].started, *answers] if failed[0] < answers[0] else answers
    if failed[-1] > answers[-1] and until > answers[-1]:
        edges = [*edges, until]
    counted = (
        Downtime(before, after, bisect_left(failed, after) - bisect_left(failed, before))
        for before, after in pairwise(edges)
    )
    return tuple(d for d in counted if d.failed_requests and d.seconds > MIN_DOWNTIME)


def max_client_gap(requests: Sequence[Request]) -> float:
    """The longest time between the starts of two requests, in seconds.

    More than a few periods means that the client's host was too busy to measure.
    """
    started = sorted(r.started for r in requests)
    return max((later - earlier for earlier, later in pairwise(started)), default=0.0)


def failure_counts(requests: Iterable[Request]) -> dict[str, int]:
    """How many requests failed with each error, the most frequent first."""
    counts: dict[str, int] = {}
    for request in requests:
        if not request.ok:
            counts[request.failure] = counts.get(request.failure, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))
