"""How long the certificates of a node remain valid.

Only certificates are read. Kubeconfigs and the kubelet's own file also contain a private key, so
the text before and after the certificate never leaves the host. The certificates are parsed by
Hale and compared with the clock of the host that uses them.

kubeadm issues certificates for a year and renews them on upgrade; the kubelet renews its own.
A component uses a renewed file only after a restart. A kubelet does not start again where its
kubeconfig contains a certificate that has expired, whatever it has renewed beside it.

Sources: kubernetes.io, "PKI certificates and requirements", "Certificate Management with
kubeadm"; RFC 7468 (PEM).
"""

import base64
import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from facts.parsers import kubelet_config
from facts.parsers.local_apiserver import MANIFEST
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.ini import Host
from hale.model.evidence import CommandProbe, ConfigLine, HostView, NotApplicable, Probe, Unreadable
from hale.model.requirement import Case
from hale.shell import arguments, script_with

DAY = 86400.0
NO_CLUSTER = f"this host is not a node yet (no {kubelet_config.PATH})"

# kubeadm's path of the apiserver's client certificate for etcd; an external etcd may use another.
ETCD_CLIENT = "/etc/kubernetes/pki/apiserver-etcd-client.crt"

KUBELET_CLIENT = "/var/lib/kubelet/pki/kubelet-client-current.pem"
KUBELET_CONF = "/etc/kubernetes/kubelet.conf"

# Prints `cert PATH` and then the PEM, or the base64 of a kubeconfig's certificate; `none PATH`.
# Before them `etcd PATH`, the apiserver's certificate for etcd as its manifest names it, and
# `kubelet PATH`, where the kubelet's kubeconfig has another certificate than the usual one.
SCRIPT = script_with(
    Path(__file__).with_suffix(".sh"),
    joined=kubelet_config.PATH,
    manifest=MANIFEST,
    client=ETCD_CLIENT,
    kubelet=KUBELET_CLIENT,
    conf=KUBELET_CONF,
)


class CertificatesParameters(Struct, frozen=True):
    """The files, and the number of days for which their certificates must remain valid.

    etcd: they belong to a stacked etcd, and do not exist where etcd is external.
    """

    files: tuple[str, ...]
    days: int
    etcd: bool = False


class Certificate(Struct, frozen=True):
    """One certificate: file, subject, and the days until it expires (negative: expired)."""

    path: str
    subject: str
    days: float
    begun: bool = True

    def __str__(self) -> str:
        if not self.begun:
            return f"{self.path} ({self.subject}) is not valid yet"
        if self.days < 0:
            return f"{self.path} ({self.subject}) expired {-self.days:.0f} days ago"
        return f"{self.path} ({self.subject}) expires in {self.days:.0f} days"


class CertificatesRuntime(Struct, frozen=True):
    """The certificates, the first to expire first; faults: files without a certificate."""

    certificates: tuple[Certificate, ...]
    faults: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def days(self) -> float:
        """The days until the first one expires."""
        return min((c.days for c in self.certificates), default=0.0)

    @property
    def actual(self) -> str:
        first = [c for c in self.certificates if not c.begun] or list(self.certificates[:1])
        return "; ".join([*self.faults, *map(str, first)])

    @property
    def settled(self) -> str:
        """The files and subjects of all certificates, without the days that they have left."""
        named = sorted(f"{c.path} ({c.subject})" for c in self.certificates)
        return "; ".join([*self.faults, *named]) or "no certificate"


def probes(host: Host, cases: Sequence[Case[CertificatesParameters]]) -> tuple[Probe, ...]:
    """All files of all requirements in one command."""
    files = dict.fromkeys(path for case in cases for path in case.parameters.files)
    return (CommandProbe("files", f"{PRELUDE}{arguments(*files)}{SCRIPT}"),)


def read_runtime(readings: HostView, case: Case[CertificatesParameters]) -> CertificatesRuntime:
    """The certificates in these files. Raises NotApplicable, Unreadable."""
    if case.parameters.etcd and case.inventory.etcd_kind != "stacked":
        raise NotApplicable("etcd is external: its certificates are on hosts of its own")
    lines = readings.output("files").lines
    now = re.fullmatch(r"now (\d+)", lines[0] if lines else "", re.ASCII)
    if not now:
        raise Unreadable("the host's `date` printed no time")
    if lines[1:] == ["not joined"]:
        raise NotApplicable(NO_CLUSTER)
    found: list[Certificate] = []
    faults: list[str] = []
    elsewhere = next((line[5:] for line in lines if line.startswith("etcd ")), ETCD_CLIENT)
    files = [elsewhere if f == ETCD_CLIENT else f for f in case.parameters.files]
    if KUBELET_CLIENT in files:
        files += [line.removeprefix("kubelet ") for line in lines if line.startswith("kubelet ")]
    for path in files:
        if f"none {path}" in lines:
            faults.append(f"there is no {path}")
            continue
        every = _certificates(path, _of_file(lines, path), float(now[1]))
        if not every:
            faults.append(f"there is no certificate in {path}")
        found += every
    return CertificatesRuntime(tuple(sorted(found, key=lambda c: c.days)), tuple(faults))


def _of_file(lines: Sequence[str], path: str) -> list[str]:
    """The lines after `cert PATH`. Raises Unreadable where they are missing."""
    try:
        start = lines.index(f"cert {path}") + 1
    except ValueError:
        raise Unreadable(f"{path} is missing in the answer") from None
    end = next(
        (i for i in range(start, len(lines)) if lines[i].startswith(("cert ", "none "))), len(lines)
    )
    return list(lines[start:end])


def _certificates(path: str, lines: Sequence[str], now: float) -> list[Certificate]:
    """The file's certificates; of a chain only the first, the leaf. Raises Unreadable."""
    from cryptography import x509  # slower to import than all of facts/, and not always needed

    if not lines:
        return []
    if lines[0].startswith("at "):
        raise Unreadable(f"{path} names {lines[0][3:]}, which Hale does not read")
    text = "\n".join(lines)
    try:
        if path.endswith(".conf"):
            text = base64.b64decode("".join(lines), validate=True).decode("ascii")
        first = x509.load_pem_x509_certificates(text.encode())[0]
    except ValueError as error:
        raise Unreadable(f"{path}: its certificate cannot be read: {error}") from None
    seconds = first.not_valid_after_utc.timestamp() - now
    begun = first.not_valid_before_utc.timestamp() <= now
    return [Certificate(path, first.subject.rfc4514_string(), seconds / DAY, begun)]
