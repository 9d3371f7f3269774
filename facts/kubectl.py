"""kubectl on the masters: whether it reaches the cluster with the administrator's kubeconfig.

`kubectl version` sends one request to the apiserver that the kubeconfig names, and prints both
versions. The kubeconfig is used in place and never printed, and no cache is written.

Sources: kubernetes.io, kubectl-version(1), "Version Skew Policy".
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from facts.parsers.blanks import BLANKS
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.ini import Host
from hale.model.evidence import CommandProbe, ConfigLine, HostView, Probe, Unreadable
from hale.model.requirement import Case
from hale.shell import script_with

KUBECONFIG = "/etc/kubernetes/admin.conf"

SCRIPT = PRELUDE + script_with(Path(__file__).with_suffix(".sh"), kubeconfig=KUBECONFIG)


class KubectlParameters(Struct, frozen=True):
    """The number of minor versions by which kubectl may differ from the apiserver."""

    minor_skew: int


class KubectlRuntime(Struct, frozen=True):
    """Both versions as reported, or why there are none."""

    client: str
    server: str
    trouble: str = ""
    sources: tuple[ConfigLine, ...] = ()

    @property
    def skew(self) -> int:
        """The difference in minor versions, plus 1000 for each major version."""
        (one, minor), (other, theirs) = map(_version, (self.client, self.server))
        return abs(minor - theirs) + 1000 * abs(one - other)

    @property
    def actual(self) -> str:
        return self.trouble or f"kubectl {self.client} talks to an apiserver of {self.server}"


def probes(host: Host, cases: Sequence[Case[KubectlParameters]]) -> tuple[Probe, ...]:
    """One request, in parallel with other probes because it may time out."""
    return (CommandProbe("version", SCRIPT, timeout=15, slow=True),)


def read_runtime(readings: HostView, case: Case[KubectlParameters]) -> KubectlRuntime:
    """The versions that kubectl reports. Raises Unreadable where it could not be run."""
    lines = readings.output("version").lines
    if lines == ["no kubectl"]:
        return KubectlRuntime("", "", "kubectl is not installed")
    if lines == ["no kubeconfig"]:
        return KubectlRuntime(
            "", "", f"there is no {KUBECONFIG}: this host is not a master of a cluster yet"
        )
    found = re.fullmatch(r"version (\d+) (.*)", lines[0] if lines else "", re.ASCII)
    if not found:
        raise Unreadable(f"the answer is garbled: {' '.join(lines)[:80]!r}")
    code, output = int(found[1]), found[2].strip(BLANKS)
    if code in (126, 127):
        raise Unreadable(f"kubectl: {output[:120]}")
    if code:
        # kubectl prints its own version before the error.
        error = re.sub(r"^\{.*\} *", "", output) or output
        return KubectlRuntime("", "", f"kubectl does not reach the cluster: {error[:200]}")
    try:
        versions = json.loads(output)
        client, server = (versions[k]["gitVersion"] for k in ("clientVersion", "serverVersion"))
        _version(client)
        _version(server)
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"kubectl's answer has an unknown format: {error!r}") from None
    return KubectlRuntime(client, server)


def _version(text: str) -> tuple[int, int]:
    """Major and minor of `v1.34.4`. Raises ValueError."""
    found = re.match(r"v(\d+)\.(\d+)\.", text, re.ASCII)
    if not found:
        raise ValueError(f"{text!r} is not a version")
    return int(found[1]), int(found[2])
