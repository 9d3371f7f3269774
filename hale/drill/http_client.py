"""The client: asks the apiserver through the VIP, every 50 ms over a new connection.

Each ask is a curl of its own with the certificate verified, on its way beside those before it,
so that one that hangs delays no other. Its line in the record says when it began and ended, and
with what. Nobody answered from the end of the last ask that got an answer to the end of the
next that did.

Sources: kubernetes.io, "Kubernetes API health endpoints"; curl(1), EXIT CODES and --write-out.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec import Struct

from hale.drill.sampler import NOW
from hale.inventory.ini import ControlPlaneEndpoint

PERIOD = 0.05  # seconds between two asks
REQUEST_TIMEOUT = 2  # seconds that an ask waits
MIN_DOWNTIME = 3 * PERIOD  # between two answers: shorter is the unrest of a busy host
# kubeadm puts the CA here on every host; the kubelet's own certificate, where nobody may ask
# without one.
CA = "/etc/kubernetes/pki/ca.crt"
CLIENT = "/var/lib/kubelet/pki/kubelet-client-current.pem"

_PERIOD = round(PERIOD * 100)
_CURL = (
    "curl -q -sS --noproxy '*' --http1.1 -o /dev/null "
    f"--connect-timeout {REQUEST_TIMEOUT} --max-time {REQUEST_TIMEOUT} "
    f"--cacert {CA} --capath /dev/null"
)


def url(endpoint: ControlPlaneEndpoint) -> str:
    """What is asked: whether an apiserver behind the VIP is ready to serve."""
    vip = f"[{endpoint.vip}]" if ":" in endpoint.vip else endpoint.vip
    return f"https://{vip}:{endpoint.port}/readyz"


def client_script(endpoint: ControlPlaneEndpoint) -> str:
    """The loop, in POSIX sh. It keeps to its times: what is late is not made later."""
    return f"""
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
set -f
for tool in curl sleep; do
  command -v $tool >/dev/null || {{ echo "$tool is not installed" >&2; exit 127; }}
done
[ -r {CA} ] || {{ echo "no {CA} to verify with: the host has joined no cluster" >&2; exit 3; }}
{NOW}
url={url(endpoint)}
cert=
case $({_CURL} -w '%{{http_code}}' $url 2>/dev/null) in
401|403) [ ! -r {CLIENT} ] || cert="--cert {CLIENT}" ;;
esac
ask() {{
  now; began=$now
  said=$({_CURL} $cert -w '= %{{http_code}} %{{time_total}}' $url 2>&1); r=$?
  set -- "$1" $said
  n=$1; shift
  now
  printf 'ask %s %s %s %s %s\\n' "$n" "$began" "$now" "$r" "$*"
}}
now; start=$now; n=0
echo "begin $now"
while :; do
  now
  left=$((start + n * {_PERIOD} - now))
  if [ $left -gt 9 ]; then sleep 0.1
  elif [ $left -gt 0 ]; then sleep 0.0$left
  fi
  [ $left -gt -100 ] || {{ echo "late $now"; start=$((now - n * {_PERIOD})); }}
  [ $left -gt 9 ] || {{ ask $n & n=$((n + 1)); }}
done
"""


class Request(Struct, frozen=True):
    """One request. Times in seconds, by one clock; http is 0 where there was no answer at all."""

    number: int
    began: float
    ended: float
    exit: int
    http: int
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether an apiserver that is the cluster's said that it is ready."""
        return self.exit == 0 and self.http == 200

    @property
    def seconds(self) -> float:
        """How long it took, the start of curl included."""
        return self.ended - self.began

    @property
    def failure(self) -> str:
        """What it got instead of an answer, without what differs from ask to ask."""
        if self.exit:
            said = re.sub(r"\b(after )?\d+ (ms|milliseconds)( timeout)?", "", self.error)
            return " ".join(f"curl {self.exit}: {said.removeprefix('curl: ')}".split())
        return f"HTTP {self.http}"


class RequestLog(Struct, frozen=True):
    """A whole record: the asks in order of their beginning, and what is odd about it.

    garbled: lines that are none of ours. backwards: asks that ended before they began, or were
    written again; with them times mean nothing, and nothing may be concluded.
    """

    asks: tuple[Request, ...] = ()
    garbled: int = 0
    backwards: int = 0

    def since(self, zero: float) -> "RequestLog":
        """The same with times that count from `zero`."""
        moved = tuple(
            Request(a.number, a.began - zero, a.ended - zero, a.exit, a.http, a.error)
            for a in self.asks
        )
        return RequestLog(moved, self.garbled, self.backwards)

    @property
    def failed(self) -> tuple[Request, ...]:
        """Those that got no good answer."""
        return tuple(a for a in self.asks if not a.ok)


_ASK = re.compile(r"ask (\d{1,9}) (\d{1,12}) (\d{1,12}) (\d{1,3})(?: (.*))?")
_TOLD = re.compile(r"= (\d{3}) ([\d.]+)$|^= (\d{3}) ([\d.]+) ?")


def parse_log(raw: bytes) -> RequestLog:
    """Read a record, or whole lines of one; a last line that was cut off is left out."""
    asks: dict[int, Request] = {}
    garbled = backwards = 0
    for line in raw.decode(errors="backslashreplace").split("\n")[:-1]:
        if re.fullmatch(r"(begin|late) \d+", line):
            continue
        found = _ASK.fullmatch(line)
        if not found:
            garbled += 1
            continue
        number, began, ended, code = (int(found[n]) for n in range(1, 5))
        said = found[5] or ""
        told = _TOLD.search(said)
        if ended < began or number in asks:
            backwards += 1
            continue
        http = int(told[1] or told[3]) if told else 0
        error = _TOLD.sub("", said).strip()
        asks[number] = Request(number, began / 100, ended / 100, code, http, error)
    ordered = [asks[n] for n in sorted(asks)]
    backwards += sum(later.began < earlier.began - 1 for earlier, later in pairwise(ordered))
    return RequestLog(tuple(sorted(ordered, key=lambda a: a.began)), garbled, backwards)


class Downtime(Struct, frozen=True):
    """A stretch in which nobody answered although somebody asked. Times in seconds."""

    began: float
    ended: float
    failed: int

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def downtimes(asked: RequestLog, until: float) -> tuple[Downtime, ...]:
    """The stretches between two answers in which asks began that failed; `until` closes the last.

    An ask that failed while others were answered makes no gap: a client that tries again gets
    through. One that is only slow makes none either.
    """
    answers = sorted(a.ended for a in asked.asks if a.ok)
    failed = sorted(a.began for a in asked.failed)
    if not failed:
        return ()
    if not answers:
        return (Downtime(min(a.began for a in asked.asks), until, len(failed)),)
    edges = [asked.asks[0].began, *answers] if failed[0] < answers[0] else answers
    if failed[-1] > answers[-1] and until > answers[-1]:
        edges = [*edges, until]
    counted = (
        Downtime(before, after, bisect_left(failed, after) - bisect_left(failed, before))
        for before, after in pairwise(edges)
    )
    return tuple(gap for gap in counted if gap.failed and gap.seconds > MIN_DOWNTIME)


def max_client_gap(asks: Sequence[Request]) -> float:
    """The longest time for which the client itself did not ask, in seconds.

    Longer than a few periods it says that the client's host was too busy to measure.
    """
    began = sorted(a.began for a in asks)
    return max((later - earlier for earlier, later in pairwise(began)), default=0.0)


def failure_counts(asks: Iterable[Request]) -> dict[str, int]:
    """How often which failure, the most frequent first."""
    counts: dict[str, int] = {}
    for ask in asks:
        if not ask.ok:
            counts[ask.failure] = counts.get(ask.failure, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))
