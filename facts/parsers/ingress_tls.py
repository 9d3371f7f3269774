"""TLS of routes: which Secret is named for a host, and which certificate is served. Not a subject.

What facts/ingress_tls.sh prints. A certificate covers a host by a DNS name of its subjectAltName; a
wildcard stands for one label. The subject's common name does not count, as for every browser.

Sources: kubernetes.io, "Ingress" (TLS), "Secrets" (kubernetes.io/tls); gateway-api.sigs.k8s.io,
"TLS Configuration" (Listener, certificateRefs); RFC 6125, 6.4.3.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from facts.parsers.blanks import split_words
from facts.parsers.route_answers import RouteState
from hale.model.evidence import Unreadable

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_GROUP = "gateway.networking.k8s.io"
State = tuple[RouteState, str]


class TlsUse(Struct, frozen=True):
    """The Secrets that are named for a host of an Ingress or HTTPRoute, `NAMESPACE/NAME`.

    by: what names them, where it is not the owner.
    """

    owner: str
    host: str
    secrets: tuple[str, ...]
    by: str = ""


class RouteCertificate(Struct, frozen=True):
    """A server's. names: its DNS names; valid_from, valid_until: seconds since 1970."""

    fingerprint: str
    names: tuple[str, ...]
    valid_from: float
    valid_until: float

    def covers(self, host: str) -> bool:
        """Whether one of its names is this host, which may have a wildcard itself."""
        host = host.lower()
        parent = f"*.{host.partition('.')[2]}"
        return any(name.lower() in (host, parent) for name in self.names)

    def __str__(self) -> str:
        return f"a certificate for {' '.join(self.names) or 'no name'}"


class NamedSecret(Struct, frozen=True):
    """The apiserver's HTTP status for it, and its certificate."""

    http: int
    certificate: RouteCertificate | None = None


class TlsAnswers(Struct, frozen=True):
    """now: the host's clock, seconds since 1970. served: by address and host; None: no TLS there.

    can_request: whether the host has openssl.
    """

    now: float = 0.0
    secrets: Mapping[str, NamedSecret] = {}
    served: Mapping[tuple[str, str], RouteCertificate | None] = {}
    can_request: bool = True


class IngressTls(Struct, frozen=True):
    """What is named, and what is served."""

    uses: tuple[TlsUse, ...] = ()
    answers: TlsAnswers = TlsAnswers()


def of_ingresses(ingresses: Sequence[Mapping[str, Any]]) -> Iterator[TlsUse]:
    """Of each host that has a rule, the Secrets that the Ingress names for it."""
    for ingress in ingresses:
        spec, namespace = ingress.get("spec") or {}, ingress["metadata"]["namespace"]
        owner = f"Ingress {namespace}/{ingress['metadata']['name']}"
        for host in dict.fromkeys(rule.get("host", "") for rule in spec.get("rules") or ()):
            secrets = tuple(
                f"{namespace}/{entry['secretName']}"
                for entry in spec.get("tls") or ()
                if entry.get("secretName") and has_host(entry.get("hosts") or (host,), host)
            )
            if host and secrets:
                yield TlsUse(owner, host, secrets)


def of_gateways(
    http_routes: Sequence[Mapping[str, Any]], gateways: Sequence[Mapping[str, Any]]
) -> Iterator[TlsUse]:
    """Of each host name of an HTTPRoute, the Secrets of its Gateways' listeners for it."""
    by_name = {(g["metadata"]["namespace"], g["metadata"]["name"]): g for g in gateways}
    for route in http_routes:
        spec, namespace = route["spec"], route["metadata"]["namespace"]
        owner = f"HTTPRoute {namespace}/{route['metadata']['name']}"
        for parent in spec.get("parentRefs") or ():
            at = parent.get("namespace", namespace), parent["name"]
            if parent.get("group", _GROUP) != _GROUP or at not in by_name:
                continue
            for listener in by_name[at]["spec"].get("listeners") or ():
                if parent.get("sectionName", listener["name"]) == listener["name"]:
                    by = f"Gateway {'/'.join(at)}"
                    for host in spec.get("hostnames") or ():
                        if secrets := _of_listener(listener, at[0], host):
                            yield TlsUse(owner, host, secrets, by)


def _of_listener(listener: Mapping[str, Any], namespace: str, host: str) -> tuple[str, ...]:
    tls = listener.get("tls") or {}
    if listener.get("protocol") != "HTTPS" or tls.get("mode", "Terminate") != "Terminate":
        return ()
    if not _listens(listener.get("hostname", ""), host):
        return ()
    return tuple(
        f"{ref.get('namespace', namespace)}/{ref['name']}"
        for ref in tls.get("certificateRefs") or ()
        if ref.get("kind", "Secret") == "Secret"
    )


def _listens(hostname: str, host: str) -> bool:
    """Whether a listener has this host: a wildcard of the Gateway API stands for any labels."""
    if hostname.startswith("*."):
        return host.endswith(hostname[1:])
    return hostname in ("", host)


def read(lines: Sequence[str]) -> TlsAnswers:
    """The lines that facts/ingress_tls.sh prints. Raises Unreadable."""
    now = 0.0
    secrets: dict[str, NamedSecret] = {}
    served: dict[tuple[str, str], RouteCertificate | None] = {}
    for number, line in enumerate(lines):
        try:
            match split_words(line):
                case ["now", seconds]:
                    now = float(int(seconds))
                case ["secret", name, http]:
                    secrets[name] = NamedSecret(int(http), _certificate(lines, number + 1))
                case ["served", address, host]:
                    served[address, host] = _certificate(lines, number + 1)
                case ["alike", address, host, other]:
                    served[address, host] = served[other, host]
        except (ValueError, KeyError) as error:
            raise Unreadable(f"the answer is garbled: {line[:80]!r}: {error}") from None
    return TlsAnswers(now, secrets, served, "no openssl" not in lines)


def _certificate(lines: Sequence[str], start: int) -> RouteCertificate | None:
    """The certificate that begins in that line; None where none does. Raises ValueError."""
    if start >= len(lines) or lines[start] != _BEGIN:
        return None
    from cryptography import x509  # slower to import than all of facts/, and not always needed
    from cryptography.hazmat.primitives import hashes

    end = next((n for n in range(start, len(lines)) if lines[n] == _END), len(lines) - 1)
    found = x509.load_pem_x509_certificate("\n".join([*lines[start : end + 1], ""]).encode())
    try:
        subject = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(subject.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        names = ()
    return RouteCertificate(
        found.fingerprint(hashes.SHA256()).hex(),
        names,
        found.not_valid_before_utc.timestamp(),
        found.not_valid_after_utc.timestamp(),
    )


def judged(
    tls: IngressTls, addresses: Mapping[str, Sequence[str]], unknown_host: str
) -> list[State]:
    """What is wrong with the TLS of each host, and what is not proven.

    addresses: of its controller, by `OWNER HOST`. A host that is not among them is judged by its
    Secrets alone: what serves it is not known.
    """
    states: list[State] = []
    for use in tls.uses:
        states += _of_secrets(use, tls.answers) or _of_served(
            use, addresses.get(f"{use.owner} {use.host}"), tls.answers, unknown_host
        )
    return list(dict.fromkeys(states))


def _of_secrets(use: TlsUse, found: TlsAnswers) -> list[State]:
    """What the Secrets lack. One of several that covers the host is enough for it."""
    states: list[State] = []
    other: list[State] = []
    covered = False
    for name in use.secrets:
        at = f"{use.by or use.owner}: the Secret {name} for TLS of {use.host}"
        secret = found.secrets.get(name)
        if secret is None or secret.http not in (200, 404):
            why = f"the apiserver answers HTTP {secret.http}" if secret else "it was not read"
            states.append((RouteState.UNPROVEN, f"{at}: {why}"))
        elif secret.http == 404:
            states.append((RouteState.FAULT, f"{at} is not there"))
        elif secret.certificate is None:
            states.append((RouteState.FAULT, f"{at} has no certificate in tls.crt"))
        elif not secret.certificate.covers(use.host):
            other.append((RouteState.FAULT, f"{at} has {secret.certificate}"))
        else:
            covered = True
            states += _of_dates(at, secret.certificate, found.now)
    return states if covered else states + other


def _of_dates(at: str, certificate: RouteCertificate, now: float) -> list[State]:
    if certificate.valid_until < now:
        ended = _day(certificate.valid_until)
        return [(RouteState.FAULT, f"{at}: its certificate expired on {ended}")]
    if certificate.valid_from > now:
        began = _day(certificate.valid_from)
        return [(RouteState.FAULT, f"{at}: its certificate is not valid before {began}")]
    return []


def _of_served(
    use: TlsUse, addresses: Iterable[str] | None, found: TlsAnswers, unknown_host: str
) -> list[State]:
    """What is served for the host at each address, by the certificates of its Secrets."""
    if addresses is None:
        return []
    at = tuple(addresses)
    if not (at and found.can_request):
        lacks = "the master has no openssl" if at else "no Service leads from 80 and 443 to it"
        return [(RouteState.UNPROVEN, f"{use.host} was not requested over TLS: {lacks}")]
    own = {
        secret.certificate.fingerprint
        for name in use.secrets
        if (secret := found.secrets.get(name)) and secret.certificate
    }
    host = f"hale-check.{use.host[2:]}" if use.host.startswith("*.") else use.host
    states: list[State] = []
    for address in at:
        if (address, host) not in found.served:
            states.append((RouteState.UNPROVEN, f"{use.host} was not requested over TLS"))
            continue
        got, default = found.served[address, host], found.served.get((address, unknown_host))
        if got is None or got.fingerprint not in own:
            states.append((RouteState.FAULT, _other(use, address, got, default)))
    return states


def _other(
    use: TlsUse, address: str, got: RouteCertificate | None, default: RouteCertificate | None
) -> str:
    """What is served instead of its own."""
    if got is None:
        what = "no certificate"
    elif default and got.fingerprint == default.fingerprint:
        what = "the controller's own certificate"
    else:
        what = str(got)
    wanted = " or ".join(use.secrets)
    return f"{use.host} over TLS at {address} gets {what}, and not that of the Secret {wanted}"


def has_host(hosts: Iterable[str], host: str) -> bool:
    """Whether one of an Ingress's TLS hosts is this one; a wildcard stands for one label."""
    return any(
        given == host or (given[:2] == "*." and given[2:] == host.partition(".")[2])
        for given in hosts
    )


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
