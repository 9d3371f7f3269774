"""Redirects from HTTP to HTTPS that an Ingress's annotation asks for. Not a subject.

Sources: kubernetes.github.io/ingress-nginx, haproxy-ingress.github.io, haproxy.com,
projectcontour.io (`ssl-redirect`, `force-ssl-redirect` behind each one's prefix).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from facts.parsers.ingress_routes import Route
from facts.parsers.ingress_tls import State, has_host
from facts.parsers.route_answers import Answers, RouteState, requested_host


class Redirecting(Struct, frozen=True):
    """An Ingress that asks for a redirect to HTTPS, for these hosts; empty: for every one."""

    owner: str
    hosts: tuple[str, ...] = ()


def redirecting(ingresses: Sequence[Mapping[str, Any]]) -> tuple[Redirecting, ...]:
    """The Ingresses that ask for a redirect: `force-ssl-redirect`; for TLS hosts `ssl-redirect`."""
    found = []
    for ingress in ingresses:
        metadata, spec = ingress["metadata"], ingress.get("spec") or {}
        owner = f"Ingress {metadata['namespace']}/{metadata['name']}"
        given = {
            key.rpartition("/")[2]
            for key, value in (metadata.get("annotations") or {}).items()
            if value == "true"
        }
        if "force-ssl-redirect" in given:
            found.append(Redirecting(owner))
        elif "ssl-redirect" in given and spec.get("tls"):
            every = [entry.get("hosts") or () for entry in spec["tls"]]
            hosts = tuple(host for hosts in every for host in hosts)
            found.append(Redirecting(owner, hosts if all(every) else ()))
    return tuple(found)


def not_redirected(
    routes: Sequence[Route], every: Sequence[Redirecting], found: Answers
) -> list[State]:
    """The routes whose Ingress asks for a redirect to HTTPS, and that answer over HTTP without."""
    states: list[State] = []
    for wanted in every:
        for route in routes:
            concerned = not wanted.hosts or has_host(wanted.hosts, route.host)
            if route.owner == wanted.owner and concerned:
                states += _over_http(route, found)
    return states


def _over_http(route: Route, found: Answers) -> list[State]:
    host = requested_host(route, found.unknown_host)
    return [
        (
            RouteState.FAULT,
            f"{route.owner} wants a redirect to HTTPS: {route} at {address} gets {answer}",
        )
        for (address, at, path, scheme), answer in found.via.items()
        if (at, path, scheme) == (host, route.path, "http")
        and answer.http
        and (address, at, path) not in found.secure
    ]
