"""How a master asks its own apiserver. No subject of its own: facts about the cluster use it.

Its address and port are what its static manifest says; nobody else's apiserver is asked, so that
an answer tells of this master, and the load balancer in front cannot hide one that is down. curl
shows the client certificate with which this apiserver asks kubelets (kubeadm makes it a member of
the cluster's administrators), so it is let in where anonymous access is off. Only curl reads the
key. Everything asked is a GET.

Sources: kubernetes.io, "PKI certificates and requirements", "Kubernetes API health endpoints",
"API Concepts" (Receiving resources as Tables); kubeadm's implementation details; curl(1), EXIT
CODES.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from facts.apiserver_vip import NO_ACCESS, WORDS
from facts.parsers.probe_prelude import PRELUDE
from hale.model.evidence import Unreadable

MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
PKI = "/etc/kubernetes/pki"
NONE = f"there is no {MANIFEST}"
# curl's exit codes that prove an apiserver which is not well; all others prove nothing.
UNHEALTHY = (7, 28, 35, 52, 56, 60)

# Prints `at ADDRESS:PORT`, or `at none` where this host has no apiserver's manifest.
# Then `api NAME PATH [curl's options]` prints one line `NAME EXIT BODY @ HTTP ERROR`.
SHELL = f"""{PRELUDE}
need curl sed tr
pki={PKI} manifest={MANIFEST}
enter /etc/kubernetes /etc/kubernetes/manifests $pki
at=
if [ -e $manifest ]; then
  readable $manifest
  at=$(sed -n 's/^[- ]*--advertise-address=//p' $manifest)
  port=$(sed -n 's/^[- ]*--secure-port=//p' $manifest)
  case $at in '') at=127.0.0.1 ;; *:*) at="[$at]" ;; esac
  at=$at:${{port:-6443}}
fi
echo "at ${{at:-none}}"
api() {{
  [ -n "$at" ] || return 0
  for f in ca.crt apiserver-kubelet-client.crt apiserver-kubelet-client.key; do
    [ -e $pki/$f ] || {{ echo "$1 -1 $pki/$f is missing @ 000"; return; }}
    readable $pki/$f
  done
  name=$1 path=$2; shift 2
  said=$(curl -q -sS --noproxy '*' --connect-timeout 2 --max-time 5 --capath /dev/null \\
    --cacert $pki/ca.crt --cert $pki/apiserver-kubelet-client.crt \\
    --key $pki/apiserver-kubelet-client.key -w '\\n@ %{{http_code}}\\n' \\
    "$@" "https://$at$path" 2>&1)
  printf '%s %s %s\\n' "$name" "$?" "$(flat "$said")"
}}
"""
# With this header a list comes as what `kubectl get` shows of it.
TABLE = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io"

_LINE = re.compile(r"([\w-]+) (-?\d+) (.*) *@ (\d{3}) *(curl: .*?)? *")


class ApiResponse(Struct, frozen=True):
    """What came back for one path: curl's exit code, HTTP's code, the body, curl's complaint."""

    url: str
    exit: int
    http: int
    body: str
    error: str = ""

    @property
    def failure(self) -> str:
        """Why this proves that the apiserver is not well; empty where it answered. Raises
        Unreadable where the master could not ask, or was not let in."""
        if self.exit == -1:
            raise Unreadable(self.body)
        if self.exit in UNHEALTHY:
            return f"{self.url}: {WORDS.get(self.exit, 'no answer')} ({self.error})"
        if self.exit:
            raise Unreadable(f"{self.url}: {self.error or f'curl ended with {self.exit}'}")
        if self.http in NO_ACCESS:
            raise Unreadable(f"{self.url} does not let this master ask: HTTP {self.http}")
        return ""

    @property
    def document(self) -> dict[str, Any]:
        """The body as JSON. Raises Unreadable where it is none, or the apiserver is ill."""
        if why := self.failure:
            raise Unreadable(why)
        if self.http != 200:
            raise Unreadable(f"{self.url}: HTTP {self.http} {self.body[:80]!r}")
        try:
            found = json.loads(self.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Unreadable(f"{self.url}: {self.body[:80]!r} is no answer of an apiserver")
        return found

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A Table's rows by their columns' names. Raises as document does."""
        table = self.document
        try:
            names = [column["name"] for column in table["columnDefinitions"]]
            return [dict(zip(names, row["cells"], strict=True)) for row in table.get("rows") or ()]
        except (KeyError, TypeError, ValueError) as error:
            raise Unreadable(
                f"{self.url}: the table has another form than we know: {error!r}"
            ) from None


def answers(lines: Sequence[str], paths: Mapping[str, str]) -> dict[str, ApiResponse] | None:
    """Each name's answer (`paths`: name -> what was asked); None where there is no apiserver.

    Raises Unreadable where the output is not whole.
    """
    at = next((line.removeprefix("at ") for line in lines if line.startswith("at ")), "")
    if not at:
        raise Unreadable(f"the answer is garbled: {' '.join(lines)[:80]!r}")
    if at == "none":
        return None
    found = {}
    for line in lines:
        matched = _LINE.fullmatch(line)
        if matched and matched[1] in paths:
            url = f"https://{at}{paths[matched[1]]}"
            # How long it waited differs from run to run, and the answer does not.
            error = re.sub(r" after \d+ (ms|milliseconds)", "", matched[5] or "")
            found[matched[1]] = ApiResponse(
                url, int(matched[2]), int(matched[4]), matched[3].strip(), error
            )
    for name in paths:
        if name not in found:
            raise Unreadable(f"there is no whole answer of {name}")
    return found
