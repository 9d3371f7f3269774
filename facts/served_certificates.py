"""The certificates that the control plane and the kubelet really serve, against their files.

A request to each server on its own host shows the dates of the certificate that it serves; they are
compared with those of the file that its flags or its configuration name. A renewal changes both
dates. The API server looks at its file every minute, etcd at every handshake: one that differs for
longer does not see the file, or is another server.

The controller manager and the scheduler make their certificate in memory unless a flag names a
file, and are judged with a file alone. The kubelet's is the one that it issued to itself
(kubelet.crt, for a year, never renewed), the one that the cluster issues (serverTLSBootstrap), or
tlsCertFile.

Sources: kubernetes.io, kube-apiserver(1) (--tls-cert-file), "Certificate Management with kubeadm",
"Kubelet configuration (v1beta1)", "Configure Certificate Rotation for the Kubelet"; etcd's
"Transport security model"; curl(1), --verbose.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from msgspec import Struct

from facts.parsers import kubelet_config, static_pod
from facts.parsers.blanks import split_words
from facts.parsers.curl import EXIT_CODES
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.ini import Host
from hale.model.evidence import (
    CommandProbe,
    ConfigLine,
    FileProbe,
    HostView,
    NotApplicable,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case
from hale.shell import arguments, script_with

DAY = 86400.0
PKI = "/var/lib/kubelet/pki"
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
SCRIPT = script_with(
    Path(__file__).with_suffix(".sh"),
    folder=static_pod.FOLDER,
    config=kubelet_config.PATH,
    pki=PKI,
)


class ServedCertificatesParameters(Struct, frozen=True):
    """The components, and the days for which their certificates must remain valid."""

    servers: tuple[str, ...]
    days: int


class ServedCertificate(Struct, frozen=True):
    """What one server serves; days until it expires, and until the file's expires.

    same: whether both have the same dates. begun: whether it is valid yet.
    """

    server: str
    address: str
    path: str
    days: float
    file_days: float
    same: bool
    begun: bool

    def lasts(self, days: int) -> bool:
        """Whether it is the file's, valid now and for so many days."""
        return self.same and self.begun and self.days >= days

    def __str__(self) -> str:
        who = f"{self.server} at {self.address}"
        if not self.same:
            return (
                f"{who} serves another certificate than {self.path} has: the one served expires in "
                f"{self.days:.0f} days, the file's in {self.file_days:.0f}"
            )
        if not self.begun:
            return f"{who} serves {self.path}, which is not valid yet"
        if self.days < 0:
            return f"{who} serves {self.path}, which expired {-self.days:.0f} days ago"
        return f"{who} serves {self.path}, which expires in {self.days:.0f} days"


class ServedCertificatesRuntime(Struct, frozen=True):
    """The servers' certificates, those that differ from their files first.

    faults: missing files. unread: servers that did not answer.
    """

    served: tuple[ServedCertificate, ...]
    faults: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        return "; ".join([*self.faults, *map(str, self.served), *self.unread])


def probes(host: Host, cases: Sequence[Case[ServedCertificatesParameters]]) -> tuple[Probe, ...]:
    """All servers of all requirements in one command, in parallel with other probes."""
    servers = dict.fromkeys(name for case in cases for name in case.parameters.servers)
    if not host.is_master:
        servers = {name: None for name in servers if name == "kubelet"}
    script = f"{PRELUDE}{arguments(*servers)}{SCRIPT}"
    return (
        FileProbe(*kubelet_config.PATTERNS),
        CommandProbe("served", script, timeout=30, slow=True),
    )


def read_runtime(
    readings: HostView, case: Case[ServedCertificatesParameters]
) -> ServedCertificatesRuntime:
    """The certificates of these servers. Raises NotApplicable, Unreadable."""
    lines = readings.output("served").lines
    now = re.fullmatch(r"now (\d{1,12})", lines[0] if lines else "", re.ASCII)
    if not now:
        raise Unreadable("the host's `date` printed no time")
    if lines[1:] == ["not joined"]:
        raise NotApplicable(f"this host is not a node yet (no {kubelet_config.PATH})")
    if "kubelet" in case.parameters.servers:
        _refuse_flags(readings)
    found: list[ServedCertificate] = []
    faults: list[str] = []
    unread: list[str] = []
    for server, address, path, part in _servers(lines):
        if server not in case.parameters.servers:
            continue
        if part[-1:] == ["none"]:
            faults.append(f"{server} is to serve {path}, which is not there")
            continue
        try:
            found.append(_compared(server, address, path, part, float(now[1])))
        except Unreadable as error:
            unread.append(str(error))
    if not found and not faults and not unread:
        raise NotApplicable("no such server with a certificate of its own is set up on this host")
    lasting = all(one.lasts(case.parameters.days) for one in found)
    if unread and lasting and not faults:
        raise Unreadable("; ".join(unread))
    found.sort(key=lambda one: (one.same, one.days))
    return ServedCertificatesRuntime(tuple(found), tuple(faults), tuple(unread))


def _refuse_flags(readings: HostView) -> None:
    """Raises Unreadable where the kubelet's flags decide what the script takes from its file."""
    for name in ("tls-cert-file", "cert-dir", "port", "address", "rotate-server-certificates"):
        if found := kubelet_config.option(readings, name):
            raise Unreadable(f"{found[1]} has the kubelet's --{name}, which beats its file")


def _servers(lines: Sequence[str]) -> Iterator[tuple[str, str, str, Sequence[str]]]:
    """Name, address, file, and the lines of each server. Raises Unreadable."""
    starts = [at for at, line in enumerate(lines) if line.startswith("server ")]
    for at, end in pairwise([*starts, len(lines)]):
        words = split_words(lines[at], 3)
        if len(words) != 4:
            raise Unreadable(f"the answer is garbled: {lines[at][:80]!r}")
        yield words[1], words[2], words[3], lines[at + 1 : end]


def _compared(
    server: str, address: str, path: str, part: Sequence[str], now: float
) -> ServedCertificate:
    """Raises Unreadable."""
    ended = next((at for at, line in enumerate(part) if line.startswith("ended ")), None)
    if ended is None or part[ended + 1 : ended + 2] != ["cert"]:
        raise Unreadable(f"{server}: the answer is incomplete")
    dates = [line.partition(" ") for line in part[:ended]]
    shown = {word: _seconds(text) for word, _, text in dates}
    if {"start", "expire"} - shown.keys():
        code = int(part[ended].removeprefix("ended ") or 0)
        why = EXIT_CODES.get(code, f"curl ended with {code}") if code else "curl shows no dates"
        raise Unreadable(f"{server} at {address} shows no certificate: {why}")
    begins, ends = _of_file(path, part[ended + 2 :])
    return ServedCertificate(
        server,
        address,
        path,
        (shown["expire"] - now) / DAY,
        (ends - now) / DAY,
        (shown["start"], shown["expire"]) == (begins, ends),
        shown["start"] <= now,
    )


def _seconds(text: str) -> float:
    """Of `Nov 25 17:54:41 2026 GMT`. Raises Unreadable."""
    form = r"([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4}) GMT"
    found = re.fullmatch(form, text, re.ASCII)
    try:
        if found is None:
            raise ValueError
        month = _MONTHS.index(found[1]) + 1
        day, hour, minute, second, year = (int(found[n]) for n in (2, 3, 4, 5, 6))
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        raise Unreadable(f"curl prints a date in an unknown form: {text[:40]!r}") from None


def _of_file(path: str, lines: Sequence[str]) -> tuple[float, float]:
    """The dates of the file's first certificate. Raises Unreadable."""
    from cryptography import x509  # slower to import than all of facts/, and not always needed

    try:
        first = x509.load_pem_x509_certificates("\n".join(lines).encode())[0]
    except ValueError as error:
        raise Unreadable(f"{path}: its certificate cannot be read: {error}") from None
    return first.not_valid_before_utc.timestamp(), first.not_valid_after_utc.timestamp()
