"""The site's external etcd, as a master reaches it: whether it answers, and whether it has data.

Not a subject: the install observes it before init. Requests go through etcd's JSON gateway with
the certificates that kubeadm_extra names; only curl reads the key, which never leaves the host.
The keys below /registry/ are only counted; their content is not read.

Sources: etcd's "API reference", "gRPC gateway"; kube-apiserver(8), --etcd-prefix; kubeadm, "Set up
a High Availability etcd Cluster with kubeadm".
"""

import json
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from facts.parsers.blanks import BLANKS
from facts.parsers.probe_prelude import PRELUDE
from hale.model.evidence import CommandProbe, HostView, Unreadable, parsed
from hale.shell import arguments, script_with

SUBJECT = "external_etcd"
PREFIX = "/registry/"

# A range from the prefix to its successor: the last byte plus one.
_KEY, _END = (b64encode(s.encode()).decode() for s in (PREFIX, PREFIX[:-1] + "0"))
_RANGE = json.dumps({"key": _KEY, "range_end": _END, "count_only": True})


class Store(Struct, frozen=True):
    """missing: certificate files that do not exist. silent: endpoints that do not answer, with
    curl's error. keys: the number of keys below /registry/, from the first endpoint that answers;
    None where none does."""

    missing: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    keys: int | None = None


def probe(endpoints: Iterable[str], ca: str, cert: str, key: str) -> CommandProbe:
    """A request to every endpoint, https://HOST:PORT; the files may be empty for http."""
    file = Path(__file__).with_suffix(".sh")
    script = script_with(file, ca=ca, cert=cert, key=key, range=_RANGE)
    return CommandProbe("store", f"{PRELUDE}{arguments(*endpoints)}{script}", timeout=40, slow=True)


@parsed
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
            silent.append(f"{at}: {body.strip(BLANKS)[:160] or f'curl ended with {code}'}")
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
