"""The site's external etcd, as a master reaches it: whether it answers, and whether it has data.

Not a subject: the install observes it before init. Requests go through etcd's JSON gateway with
the certificates that kubeadm_extra names; only curl reads the key, which never leaves the host.
The keys below /registry/ are only counted; their content is not read.

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
    """missing: certificate files that do not exist. silent: endpoints that do not answer, with
    curl's error. keys: the number of keys below /registry/, from the first endpoint that answers;
    None where none does."""

    missing: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    keys: int | None = None


def probe(endpoints: Iterable[str], ca: str, cert: str, key: str) -> CommandProbe:
    """A request to every endpoint, https://HOST:PORT; the files may be empty for http."""
    given = (*map(shlex.quote, (ca, cert, key)), shlex.join(endpoints))
    return CommandProbe("store", PRELUDE + _SCRIPT % given, timeout=40, slow=True)


def read(readings: HostView) -> Store:
    """The endpoints' answers to this host. Raises Unreadable."""
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
    """The count in an answer (the gateway omits a zero); None for anything else."""
    try:
        found = json.loads(body)
        return int(found.get("count", 0)) if "cluster_id" in found["header"] else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
