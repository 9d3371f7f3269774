"""What routes answer: through the controller, and their Services themselves. Not a subject.

A route is proven where the answer through the controller (status and content) is one that an
endpoint of its own Service gives to the same request, that no other Service of the host gives, and
that an unknown host does not get. Applications whose answers differ from one request to the next
can be neither proven nor refuted this way.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum, auto

from msgspec import Struct

from facts.parsers.blanks import split_words
from facts.parsers.curl import EXIT_CODES
from facts.parsers.ingress_routes import Route
from hale.model.evidence import Unreadable

# What a controller answers itself, for a route that it does not have or a Service it cannot reach.
_ITS_OWN = (404, 502, 503, 504)


class RouteState(Enum):
    """What the answers prove of a route."""

    REACHED = auto()
    FAULT = auto()
    UNPROVEN = auto()


class Answer(Struct, frozen=True):
    """One answer. exit: curl's exit status, not 0 also where it was too long or ended too late.

    http: 0 where there was none; digest: of status and content.
    """

    exit: int
    http: int
    digest: str

    def __str__(self) -> str:
        return (
            f"HTTP {self.http}"
            if self.http
            else EXIT_CODES.get(self.exit, f"curl ended with {self.exit}")
        )

    @property
    def content(self) -> str:
        """The digest of a complete answer; empty for another."""
        return "" if self.exit or not self.http else self.digest


class Answers(Struct, frozen=True):
    """via: by controller's address or node, host, path and scheme; direct: by Service, host, path.

    secure: address, host and path of requests over HTTP that were redirected to HTTPS.
    """

    via: Mapping[tuple[str, str, str, str], Answer] = {}
    direct: Mapping[tuple[str, str, str], tuple[Answer, ...]] = {}
    unknown_host: str = ""
    complete: bool = False
    secure: frozenset[tuple[str, str, str]] = frozenset()

    def unknown(self, address: str, scheme: str = "http") -> Answer | None:
        """What an unknown host gets at this address."""
        return self.via.get((address, self.unknown_host, "/", scheme))


def read(lines: Sequence[str], unknown_host: str) -> Answers:
    """The lines that facts/ingress_requests.sh prints. Raises Unreadable."""
    via: dict[tuple[str, str, str, str], Answer] = {}
    direct: dict[tuple[str, str, str], tuple[Answer, ...]] = {}
    secure: set[tuple[str, str, str]] = set()
    for line in lines:
        words = split_words(line)
        try:
            match words:
                case ["via", address, host, path, scheme, *rest]:
                    # The unknown host is requested first, and again by routes of any host.
                    via.setdefault((address, host, path, scheme), _answer(rest))
                case ["secure", address, host, path]:
                    secure.add((address, host, path))
                case ["direct", service, host, path, _, _, *rest]:
                    key = service, host, path
                    direct[key] = (*direct.get(key, ()), _answer(rest))
        except ValueError as error:
            raise Unreadable(f"the answer is garbled: {line[:80]!r}: {error}") from None
    return Answers(via, direct, unknown_host, "done" in lines, frozenset(secure))


def _answer(words: Sequence[str]) -> Answer:
    exit_, http, digest = words
    if not re.fullmatch(r"[0-9a-f]{64}|-", digest, re.ASCII):
        raise ValueError("no digest")
    return Answer(int(exit_), int(http), digest)


def judged(
    route: Route, others: Sequence[str], address: str, found: Answers
) -> tuple[RouteState, str]:
    """What is proven of the route at this address, and why not.

    others: Services of other routes of this host, `NAMESPACE/NAME`.
    """
    host = requested_host(route, found.unknown_host)
    got = [
        answer
        for scheme in ("http", "https")
        if (answer := found.via.get((address, host, route.path, scheme)))
    ]
    own = found.direct.get((route.backend, host, route.path), ())
    if not got:
        return RouteState.UNPROVEN, f"{route} was not requested"
    heard = [answer for answer in got if answer.http]
    if not heard:
        return RouteState.FAULT, f"{route} at {address}: {got[0]}"
    contents = {answer.content for answer in heard} - {""}
    alike = [answer for answer in own if answer.content in contents]
    unknown = found.unknown(address)
    no_route = unknown.content if unknown else ""
    strange = [
        other
        for other in others
        for answer in found.direct.get((other, host, route.path), ())
        if answer.content in contents - {no_route}
    ]
    if strange and not alike:
        return RouteState.FAULT, f"{route} at {address} reaches {strange[0]}, not {route.backend}"
    if not any(answer.http for answer in own):
        return RouteState.UNPROVEN, f"{route}: {route.backend} itself gives no answer over HTTP"
    if not alike:
        if all(a.http in _ITS_OWN for a in heard) and not {a.http for a in heard} & {
            o.http for o in own
        }:
            return (
                RouteState.FAULT,
                f"{route} at {address}: {heard[0]}, and {route.backend} itself {own[0]}",
            )
        return (
            RouteState.UNPROVEN,
            f"{route} at {address}: {heard[0]}, with other content than {route.backend} gives "
            "itself: what answers is not proven",
        )
    if strange:
        return (
            RouteState.UNPROVEN,
            f"{route}: {route.backend} and {strange[0]} give the same answer: which one answers "
            "is not proven",
        )
    if all(answer.content == no_route for answer in alike):
        return RouteState.UNPROVEN, f"{route} gets the answer of an unknown host ({alike[0]})"
    return RouteState.REACHED, ""


def requested_host(route: Route, unknown_host: str) -> str:
    """The host name by which a route is requested."""
    if not route.host:
        return unknown_host
    return f"hale-check.{route.host[2:]}" if route.host.startswith("*.") else route.host
