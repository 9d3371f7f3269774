"""Requests of a master to its own apiserver. Not a subject: facts about the cluster use it.

Address and port come from the static manifest. No other apiserver is used, so an answer describes
this master, and the load balancer in front cannot hide an apiserver that is down. curl presents
the client certificate that this apiserver uses for kubelets (kubeadm puts it in the group of the
cluster's administrators), so requests are authorized where anonymous access is off. Only curl
reads the key. Every request is a GET.

Sources: kubernetes.io, "PKI certificates and requirements", "Kubernetes API health endpoints",
"API Concepts" (Receiving resources as Tables); kubeadm's implementation details; curl(1), EXIT
CODES.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from facts.parsers.blanks import BLANKS
from facts.parsers.curl import EXIT_CODES, NO_ACCESS
from facts.parsers.probe_prelude import PRELUDE
from hale.model.evidence import Unreadable
from hale.shell import script_with

MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
PKI = "/etc/kubernetes/pki"
NONE = f"there is no {MANIFEST}"
# curl's exit codes that prove an unhealthy apiserver; all others prove nothing.
UNHEALTHY = (7, 28, 35, 52, 56, 60)

# Prints `at ADDRESS:PORT`, or `at none` where this host has no apiserver's manifest.
# Then `api NAME PATH [curl's options]` prints one line `NAME EXIT BODY @ HTTP ERROR`.
SHELL = PRELUDE + script_with(Path(__file__).with_suffix(".sh"), pki=PKI, manifest=MANIFEST)
# With this header, a list comes as the table that `kubectl get` prints.
TABLE = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io"

# Between the status and curl's error may be warnings, such as the dynamic linker's.
_LINE = re.compile(r"([\w-]+) (-?\d+) (.*) *@ (\d{3})(?: .*?(curl: .*?))? *", re.ASCII)


class ApiResponse(Struct, frozen=True):
    """The response to one path: curl's exit code, the HTTP status, the body, curl's error."""

    url: str
    exit: int
    http: int
    body: str
    error: str = ""

    @property
    def failure(self) -> str:
        """Why this proves an unhealthy apiserver; empty where it answered. Raises Unreadable
        where no request could be made, or access was denied."""
        if self.exit == -1:
            raise Unreadable(self.body)
        if self.exit in UNHEALTHY:
            return f"{self.url}: {EXIT_CODES.get(self.exit, 'no answer')} ({self.error})"
        if self.exit:
            raise Unreadable(f"{self.url}: {self.error or f'curl ended with {self.exit}'}")
        if self.http in NO_ACCESS:
            raise Unreadable(f"{self.url} does not authorize this master: HTTP {self.http}")
        return ""

    @property
    def document(self) -> dict[str, Any]:
        """The body as JSON. Raises Unreadable for another body, or an unhealthy apiserver."""
        if why := self.failure:
            raise Unreadable(why)
        if self.http != 200:
            raise Unreadable(f"{self.url}: HTTP {self.http} {self.body[:80]!r}")
        try:
            found = json.loads(self.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Unreadable(f"{self.url}: {self.body[:80]!r} is not a response of an apiserver")
        return found

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of a Table, by column name. Raises Unreadable, as `document` does."""
        table = self.document
        try:
            names = [column["name"] for column in table["columnDefinitions"]]
            return [dict(zip(names, row["cells"], strict=True)) for row in table.get("rows") or ()]
        except (KeyError, TypeError, ValueError) as error:
            raise Unreadable(f"{self.url}: the table has an unknown format: {error!r}") from None


def answers(lines: Sequence[str], paths: Mapping[str, str]) -> dict[str, ApiResponse] | None:
    """The response for each name (paths: name -> requested path); None without an apiserver.

    Raises Unreadable where the output is incomplete.
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
            # The waiting time differs from run to run; without it, equal answers compare equal.
            error = re.sub(r" after \d+ (ms|milliseconds)", "", matched[5] or "", flags=re.ASCII)
            found[matched[1]] = ApiResponse(
                url, int(matched[2]), int(matched[4]), matched[3].strip(BLANKS), error
            )
    for name in paths:
        if name not in found:
            raise Unreadable(f"the answer of {name} is incomplete")
    return found
