"""The image registry, as this host reaches it; nothing is pulled.

Two requests: /v2/, which identifies a registry, and the manifest of an image that every node
needs, kube-proxy of the cluster's version. A registry without that image is as bad as none: the
next node that joins does not start. The inventory names the registry and says whether it is used
without TLS (image_repository, image_registry_plain_http, kubernetes_version).

Source: OCI Distribution Specification 1.1, "Determining Support", "Checking if content exists".
"""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from facts.parsers.blanks import BLANKS
from facts.parsers.curl import EXIT_CODES
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.ini import Host, Inventory
from hale.model.evidence import CommandProbe, ConfigLine, HostView, NotApplicable, Probe, Unreadable
from hale.model.requirement import Case
from hale.shell import load_script

KINDS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
# curl's exit codes that prove that this host cannot use the registry.
AWAY = (6, 7, 28, 35, 52, 56, 60)
UNTRUSTED = (
    "the certificate is not of a CA that this host trusts, not valid now, or of another name"
)
UNKNOWN_REPOSITORY = (
    "the inventory names no image_repository: which registry the nodes pull from is not known"
)

ASK = load_script(Path(__file__).with_suffix(".sh"))


class RegistryParameters(Struct, frozen=True):
    """The image whose manifest is requested, by its name in the repository."""

    image: str


class RegistryRuntime(Struct, frozen=True):
    """The URLs that were requested, and the faults."""

    requested: tuple[str, ...]
    faults: tuple[str, ...]
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        return "; ".join(self.faults) or f"answers: {', '.join(self.requested)}"


def probes(host: Host, cases: Sequence[Case[RegistryParameters]]) -> tuple[Probe, ...]:
    """Both requests in one command, in parallel with other probes because they may time out."""
    urls = _urls(cases[0].inventory, cases[0].parameters) if cases else ()
    if not urls:
        return ()
    accept = " ".join(f"-H {shlex.quote(f'Accept: {kind}')}" for kind in KINDS)
    requests = "\n".join(
        f"ask {shlex.quote(url)}" + (f" -I {accept}" if "/manifests/" in url else "")
        for url in urls
    )
    return (CommandProbe("answers", PRELUDE + ASK + requests, timeout=20, slow=True),)


def read_runtime(readings: HostView, case: Case[RegistryParameters]) -> RegistryRuntime:
    """The registry's answers. Raises NotApplicable where the inventory names no registry.

    Raises Unreadable where no request could be made, or access was denied.
    """
    urls = _urls(case.inventory, case.parameters)
    if not urls:
        raise NotApplicable(UNKNOWN_REPOSITORY)
    responses = {}
    for line in readings.output("answers").lines:
        if found := re.fullmatch(r"url (\S+) (\d+) (.*)", line, re.ASCII):
            responses[found[1]] = (int(found[2]), found[3].strip(BLANKS))
    faults = []
    for url in urls:
        if url not in responses:
            raise Unreadable(f"the answer of {url} is incomplete")
        code, output = responses[url]
        http = re.search(r"@ (\d{3})", output, re.ASCII)
        why = re.sub(
            r" after \d+ (ms|milliseconds)",
            "",
            output[http.end() :] if http else output,
            flags=re.ASCII,
        )
        if code in AWAY:
            word = UNTRUSTED if code == 60 else EXIT_CODES[code]
            faults.append(f"{url}: {word} ({why.strip(BLANKS)})")
            break  # the second request would fail the same way
        if code or not http:
            raise Unreadable(f"{url}: {why.strip(BLANKS) or f'curl ended with {code}'}")
        if http[1] in ("401", "403"):
            if url.endswith("/v2/"):
                continue  # a registry that requires a login is a registry
            raise Unreadable(f"{url}: the registry wants a login: HTTP {http[1]}")
        if http[1] == "404" and not url.endswith("/v2/"):
            faults.append(f"{url}: the registry does not have it")
        elif http[1] != "200":
            faults.append(f"{url}: HTTP {http[1]}")
    return RegistryRuntime(urls, tuple(faults))


def _urls(inventory: Inventory, wanted: RegistryParameters) -> tuple[str, ...]:
    """/v2/ and the manifest; empty where the inventory names no repository."""
    cluster = inventory.cluster
    registry, _, path = cluster.image_repository.partition("/")
    if not registry:
        return ()
    base = f"http{'' if cluster.plain_http else 's'}://{registry}/v2/"
    version = cluster.kubernetes_version
    if not version:
        return (base,)
    return (base, f"{base}{f'{path}/' if path else ''}{wanted.image}/manifests/v{version}")
