"""Redirects to HTTPS: which Ingress asks for one, and which route does not make it."""

import pytest

from facts.parsers.ingress_redirects import Redirecting, not_redirected, redirecting
from facts.parsers.ingress_routes import Route
from facts.parsers.route_answers import Answer, Answers, RouteState

OWNER, HOST, AT = "Ingress lab/web", "shop.example", "10.96.0.7"
NGINX = "nginx.ingress.kubernetes.io"


def ingress(annotations: dict[str, str], tls: list[dict[str, object]]) -> dict[str, object]:
    return {
        "metadata": {"name": "web", "namespace": "lab", "annotations": annotations},
        "spec": {"tls": tls},
    }


@pytest.mark.parametrize(
    ("annotations", "tls", "found"),
    [
        ({f"{NGINX}/force-ssl-redirect": "true"}, [], (Redirecting(OWNER),)),
        ({"haproxy.org/ssl-redirect": "true"}, [{"hosts": [HOST]}], (Redirecting(OWNER, (HOST,)),)),
        ({"haproxy.org/ssl-redirect": "true"}, [{"secretName": "a"}], (Redirecting(OWNER),)),
        ({f"{NGINX}/ssl-redirect": "true"}, [], ()),
        ({f"{NGINX}/ssl-redirect": "false"}, [{"hosts": [HOST]}], ()),
        ({}, [{"hosts": [HOST]}], ()),
    ],
    ids=["force", "host", "every-host", "without-tls", "false", "none"],
)
def test_which_ingress_asks_for_one(
    annotations: dict[str, str], tls: list[dict[str, object]], found: tuple[Redirecting, ...]
) -> None:
    assert redirecting([ingress(annotations, tls)]) == found


@pytest.mark.parametrize(
    ("wanted", "http", "secure", "faulty"),
    [
        (Redirecting(OWNER), 200, False, True),
        (Redirecting(OWNER), 302, False, True),
        (Redirecting(OWNER), 302, True, False),
        (Redirecting(OWNER, ("*.example",)), 200, False, True),
        (Redirecting(OWNER, ("other.example",)), 200, False, False),
        (Redirecting("Ingress lab/other"), 200, False, False),
        (Redirecting(OWNER), 0, False, False),
    ],
    ids=["page", "http", "https", "wildcard", "other-host", "other-owner", "no-answer"],
)
def test_which_route_makes_none(wanted: Redirecting, http: int, secure: bool, faulty: bool) -> None:
    route = Route(OWNER, "lab", HOST, "/", "web", 80)
    found = Answers(
        {
            (AT, HOST, "/", "http"): Answer(0, http, "-"),
            (AT, HOST, "/", "https"): Answer(0, 200, "-"),
        },
        unknown_host="unknown.invalid",
        secure=frozenset({(AT, HOST, "/")} if secure else ()),
    )
    states = not_redirected([route], [wanted], found)
    assert [state for state, _ in states] == [RouteState.FAULT] * faulty
    assert all(text.endswith(f"at {AT} gets HTTP {http}") for _, text in states)
