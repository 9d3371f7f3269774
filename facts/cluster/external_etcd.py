"""An etcd of the site's own, as a master reaches it: whether it answers, and whose data it has.

No subject of its own: the install asks before init. Asked over etcd's JSON gateway with the
certificates that kubeadm_extra names; the key is read by curl and never leaves the host. Only the
keys below /registry/ are counted, nothing of them is read.

Sources: etcd's "API reference", "gRPC gateway"; kube-apiserver(8), --etcd-prefix; kubeadm, "Set up
a High Availability etcd Cluster with kubeadm".
"""

import json
import shlex
from base64 import b64encode
from collections.abc import Iterable

from msgspec import Struct

from facts.parsers.probe_prelude import PRELUDE
from hale.model.evidence import CommandProbe, HostView, Unreadable

SUBJECT = "external_etcd"
PREFIX = "/registry/"

# A range from the prefix to its successor: the last byte plus one.
_KEY, _END = (b64encode(s.encode()).decode() for s in (PREFIX, PREFIX[:-1] + "0"))
_SCRIPT = f"""
need curl tr
ca=%s cert=%s key=%s
for f in "$ca" "$cert" "$key"; do [ -z "$f" ] || [ -e "$f" ] || echo "missing $f"; done
for at in %s; do
  said=$(curl -q -sS --noproxy '*' --connect-timeout 3 --max-time 8 --capath /dev/null \\
    ${{ca:+--cacert "$ca"}} ${{cert:+--cert "$cert"}} ${{key:+--key "$key"}} "$at/v3/kv/range" \\
    -d '{{"key":"{_KEY}","range_end":"{_END}","count_only":true}}' 2>&1)
  printf 'at %%s %%s %%s\\n' "$at" "$?" "$(flat "$said")"
done
"""


class Store(Struct, frozen=True):
    """missing: certificates that are not there. silent: endpoints that do not answer, and what
    curl says of each. keys: how many there are below /registry/, as the first that answers tells;
    None where none does."""

    missing: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    keys: int | None = None


def probe(endpoints: Iterable[str], ca: str, cert: str, key: str) -> CommandProbe:
    """Asks every endpoint, https://HOST:PORT; the files may be empty where it is http."""
    given = (*map(shlex.quote, (ca, cert, key)), shlex.join(endpoints))
    return CommandProbe("store", PRELUDE + _SCRIPT % given, timeout=40, slow=True)


def read(readings: HostView) -> Store:
    """What this host is told. Raises Unreadable."""
    lines = readings.output("store").lines
    missing = tuple(line.removeprefix("missing ") for line in lines if line.startswith("missing "))
    silent: list[str] = []
    keys: int | None = None
    for line in lines:
        word, at, code, body = [*line.split(" ", 3), "", "", ""][:4]
        if word != "at":
            continue
        count = _count(body) if code == "0" else None
        if count is None:
            silent.append(f"{at}: {body.strip()[:160] or f'curl ended with {code}'}")
        elif keys is None:
            keys = count
    if not silent and keys is None:
        raise Unreadable(f"the answer is garbled: {' '.join(lines)[:80]!r}")
    return Store(missing, tuple(silent), keys)


def _count(body: str) -> int | None:
    """The number in an answer; the gateway leaves out a zero. None where it is no answer."""
    try:
        found = json.loads(body)
        return int(found.get("count", 0)) if "cluster_id" in found["header"] else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
