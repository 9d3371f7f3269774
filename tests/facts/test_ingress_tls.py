"""What facts/ingress_tls.sh reads of Secrets, and what it is served by real servers with TLS.

The apiserver is a program in the place of curl that prints its answer; of a Secret nothing but the
certificate may come from it. The controller is a server of this machine with certificates by name.
"""

import base64
import json
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from facts.parsers import api_objects, ingress_tls
from facts.parsers.ingress_controllers import PROGRAMS
from facts.parsers.ingress_tls import IngressTls, TlsAnswers, TlsUse
from facts.parsers.route_answers import RouteState
from hale.model.evidence import Unreadable
from hale.shell import load_script, variables
from tests.cluster.faults import tls_secret
from tests.cluster.faults.tls_secret import DAY

HOST, UNKNOWN = "shop.example", "unknown.hale.invalid"
OWNER = "Ingress lab/web"
SCRIPT = Path(ingress_tls.__file__).parents[1] / "ingress_tls.sh"
REQUESTS = SCRIPT.with_name("ingress_requests.sh").read_text()
ADDRESS = f"127.{1 + (os.getpid() >> 8) % 254}.{os.getpid() % 256}.40"
INGRESS = """
    {
      "metadata": {
        "name": "web",
        "namespace": "lab",
      },
      "spec": {
        "tls": [
          {
            "hosts": [
              "shop.example"
            ],
            "secretName": "site"
          }
        ],
"""
GATEWAY = """
    {
      "metadata": {
        "name": "edge",
        "namespace": "gateways",
      },
      "spec": {
        "listeners": [
          {
            "name": "https",
            "tls": {
              "certificateRefs": [
                {
                  "kind": "Secret",
                  "name": "wild",
                  "namespace": "lab"
                },
                {
                  "kind": "Other",
                  "name": "none"
                },
                {
                  "kind": "Secret",
                  "name": "near"
                }
              ]
            }
          }
        ]
"""
Pair = tuple[bytes, bytes]
SITE, DEFAULT = tls_secret.certificate(HOST), tls_secret.certificate("traefik.default")


@contextmanager
def served(
    folder: Path, default: Pair, address: str = ADDRESS, /, **by_name: Pair
) -> Iterator[None]:
    """A server on port 443 with these certificates; `_` in a name is a dot."""

    def context(number: int, pair: Pair) -> ssl.SSLContext:
        path = folder / f"{number}.pem"
        path.write_bytes(b"".join(pair))
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(path)
        return made

    own = {
        name.replace("_", "."): context(n, pair) for n, (name, pair) in enumerate(by_name.items())
    }
    first = context(len(own), default)

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        connection.context = own.get(name or "", first)

    first.sni_callback = choose
    with ThreadingHTTPServer((address, 443), BaseHTTPRequestHandler) as server:
        server.daemon_threads = True
        server.socket = first.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def printed(
    folder: Path, secrets: dict[str, str], ingresses: str, listeners: str = "", nodes: str = ""
) -> list[str]:
    """What the script prints where the apiserver has these Secrets, by path."""
    curl = folder / "curl"
    answers = folder / "answers"
    for path, text in secrets.items():
        place = answers / path
        place.mkdir(parents=True)
        (place / "body").write_text(text)
    curl.write_text(
        "#!/bin/sh\n"
        f"for url; do :; done; f={answers}/${{url#*/namespaces/}}; f=${{f%%\\?*}}/body\n"
        '[ -e "$f" ] && { cat "$f"; echo; echo "@ 200"; } || printf "\\n@ 404\\n"\n'
    )
    curl.chmod(0o755)
    in_time = 'in_time() { read -r uptime _ </proc/uptime; [ "${uptime%.*}" -lt "$end" ]; }\n'
    assert in_time in REQUESTS
    script = api_objects.shell(PROGRAMS) + variables(
        at="192.0.2.1:6443",
        most="30",
        unknown_host=UNKNOWN,
        ingresses=ingresses,
        listeners=listeners,
        routes=f"lab {HOST} / echo\nlab - / echo",
        vias=ADDRESS,
        open=nodes,
    )
    script += f'{in_time}bracketed() {{ echo "$1"; }}\nrequested_host() {{ echo "$1"; }}\nset -f\n'
    script += load_script(SCRIPT)
    done = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": f"{folder}:{os.environ['PATH']}", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.split("\n")[:-1]


def secret(pair: Pair) -> str:
    """As an apiserver prints it, with what kubectl noted of it."""
    made = json.loads(tls_secret.manifest("site", pair))
    made["metadata"]["annotations"] = {"last-applied": json.dumps(made)}
    return json.dumps({"kind": "Secret", "apiVersion": "v1", **made}, indent=2)


def judged(
    lines: list[str], *, secrets: tuple[str, ...] = ("lab/site",)
) -> list[tuple[RouteState, str]]:
    tls = IngressTls((TlsUse(OWNER, HOST, secrets),), ingress_tls.read(lines))
    return ingress_tls.judged(tls, {f"{OWNER} {HOST}": (ADDRESS,)}, UNKNOWN)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="port 443")


@needs_root
def test_the_secrets_own_certificate_is_served(tmp_path: Path) -> None:
    with served(tmp_path, DEFAULT, shop_example=SITE):
        lines = printed(tmp_path, {"lab/secrets/site": secret(SITE)}, INGRESS)
    assert lines[-1] == "tls done"
    assert judged(lines) == []


NODE = ADDRESS.removesuffix("40") + "41"


@needs_root
@pytest.mark.parametrize("own", [SITE, DEFAULT], ids=["own", "another"])
def test_a_node(tmp_path: Path, own: Pair) -> None:
    """Of a node that serves the same, and of hosts without a Secret, no certificate is printed."""
    with served(tmp_path, DEFAULT, shop_example=SITE), served(tmp_path, own, NODE):
        lines = printed(
            tmp_path, {"lab/secrets/site": secret(SITE)}, INGRESS, nodes=f"far={NODE} 443"
        )
    tls = IngressTls((TlsUse(OWNER, HOST, ("lab/site",)),), ingress_tls.read(lines))
    states = ingress_tls.judged(tls, {f"{OWNER} {HOST}": (ADDRESS, "far")}, UNKNOWN)
    of_node = [line for line in lines if " far " in line]
    if own is SITE:
        assert (states, of_node) == ([], [f"alike far {HOST} {ADDRESS}"])
    else:
        ((state, text),) = states
        assert (state, of_node) == (RouteState.FAULT, [f"served far {HOST}"])
        assert text.startswith(f"{HOST} over TLS at far gets a certificate for traefik.default, ")


@needs_root
def test_no_key_leaves_the_host(tmp_path: Path) -> None:
    """Not even one that is in the certificate's own field, and nothing of the annotations."""
    both = (SITE[1] + SITE[0] + SITE[1], SITE[1])
    with served(tmp_path, DEFAULT):
        text = "\n".join(printed(tmp_path, {"lab/secrets/site": secret(both)}, INGRESS))
    assert SITE[0].decode().split("\n")[1] in text
    for line in SITE[1].decode().split("\n")[1:3]:
        assert line not in text
    assert base64.b64encode(SITE[1]).decode()[:30] not in text
    assert "last-applied" not in text


@needs_root
@pytest.mark.parametrize(
    ("own", "served_", "message"),
    [
        (SITE, {}, "gets the controller's own certificate, and not that of the Secret lab/site"),
        (
            SITE,
            {"shop_example": tls_secret.certificate(HOST, "other.example")},
            "gets a certificate for shop.example other.example, and not that of",
        ),
        (
            tls_secret.certificate("other.example"),
            {},
            f"{OWNER}: the Secret lab/site for TLS of {HOST} has a certificate for other.example",
        ),
        (tls_secret.certificate(HOST, until=-DAY), {}, "its certificate expired on 2"),
        (tls_secret.certificate(HOST, since=DAY), {}, "its certificate is not valid before 2"),
        ((b"", SITE[1]), {}, "has no certificate in tls.crt"),
    ],
    ids=["default", "another", "name", "expired", "not-begun", "none"],
)
def test_another_certificate(
    tmp_path: Path, own: Pair, served_: dict[str, Pair], message: str
) -> None:
    with served(tmp_path, DEFAULT, **served_):
        lines = printed(tmp_path, {"lab/secrets/site": secret(own)}, INGRESS)
    ((state, text),) = judged(lines)
    assert state is RouteState.FAULT
    assert message in text


@needs_root
def test_a_secret_that_is_not_there(tmp_path: Path) -> None:
    with served(tmp_path, DEFAULT):
        lines = printed(tmp_path, {}, INGRESS)
    ((state, text),) = judged(lines)
    assert (state, text.endswith(f"lab/site for TLS of {HOST} is not there")) == (
        RouteState.FAULT,
        True,
    )


def test_nothing_answers_over_tls(tmp_path: Path) -> None:
    lines = printed(tmp_path, {"lab/secrets/site": secret(SITE)}, INGRESS)
    ((state, text),) = judged(lines)
    assert state is RouteState.FAULT
    assert "gets no certificate" in text


def test_the_secrets_of_a_gateway(tmp_path: Path) -> None:
    lines = printed(tmp_path, {"lab/secrets/wild": secret(SITE)}, "", GATEWAY)
    found = ingress_tls.read(lines).secrets
    assert {name: s.http for name, s in found.items()} == {"lab/wild": 200, "gateways/near": 404}


def test_without_tls_no_secret_is_read(tmp_path: Path) -> None:
    assert printed(tmp_path, {}, INGRESS.replace("secretName", "other")) == ["at none"]


# --- what is named for a host ---


def ingress(tls: list[dict[str, object]], *hosts: str) -> dict[str, object]:
    return {
        "metadata": {"name": "web", "namespace": "lab"},
        "spec": {"tls": tls, "rules": [{"host": h} for h in hosts]},
    }


@pytest.mark.parametrize(
    ("tls", "hosts", "named"),
    [
        ([{"hosts": [HOST], "secretName": "a"}], (HOST, "b.example"), {HOST: ("lab/a",)}),
        ([{"hosts": ["*.example"], "secretName": "a"}], (HOST, "a.b.example"), {HOST: ("lab/a",)}),
        ([{"secretName": "a"}], (HOST,), {HOST: ("lab/a",)}),
        ([{"hosts": [HOST]}], (HOST,), {}),
        (
            [{"secretName": "a"}, {"hosts": [HOST], "secretName": "b"}],
            (HOST,),
            {HOST: ("lab/a", "lab/b")},
        ),
        ([{"secretName": "a"}], (), {}),
    ],
    ids=["host", "wildcard", "every-host", "no-secret", "two", "no-host"],
)
def test_the_secrets_of_an_ingress(
    tls: list[dict[str, object]], hosts: tuple[str, ...], named: dict[str, tuple[str, ...]]
) -> None:
    found = ingress_tls.of_ingresses([ingress(tls, *hosts)])
    assert {use.host: use.secrets for use in found} == named


def gateway(**changed: object) -> dict[str, object]:
    listener = {
        "name": "web",
        "protocol": "HTTPS",
        "tls": {"certificateRefs": [{"name": "site"}, {"name": "far", "namespace": "lab"}]},
        **changed,
    }
    return {
        "metadata": {"name": "edge", "namespace": "gates"},
        "spec": {"listeners": [listener]},
    }


HTTP_ROUTE = {
    "metadata": {"name": "web", "namespace": "lab"},
    "spec": {"hostnames": [HOST], "parentRefs": [{"name": "edge", "namespace": "gates"}]},
}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({}, ("gates/site", "lab/far")),
        ({"hostname": "*.example"}, ("gates/site", "lab/far")),
        ({"hostname": "other.example"}, ()),
        ({"protocol": "HTTP"}, ()),
        ({"tls": {"mode": "Passthrough"}}, ()),
    ],
    ids=["any-host", "wildcard", "another-host", "http", "passthrough"],
)
def test_the_secrets_of_a_listener(changed: dict[str, object], named: tuple[str, ...]) -> None:
    found = list(ingress_tls.of_gateways([HTTP_ROUTE], [gateway(**changed)]))
    assert [use.secrets for use in found] == ([named] if named else [])
    assert all(use.by == "Gateway gates/edge" for use in found)


def test_another_section_is_not_the_routes() -> None:
    other = {"name": "edge", "namespace": "gates", "sectionName": "other"}
    route = {**HTTP_ROUTE, "spec": {**HTTP_ROUTE["spec"], "parentRefs": [other]}}  # type: ignore[dict-item]
    assert not list(ingress_tls.of_gateways([route], [gateway()]))


# --- what is not proven ---


def test_without_openssl_nothing_is_proven() -> None:
    pem = SITE[0].decode().rstrip().split("\n")
    lines = ["now 1800000000", "secret lab/site 200", *pem, "no openssl"]
    found = ingress_tls.read(lines)
    tls = IngressTls(
        (TlsUse(OWNER, HOST, ("lab/site",)),), TlsAnswers(0.0, found.secrets, {}, False)
    )
    tls = IngressTls(tls.uses, TlsAnswers(_now(), found.secrets, {}, found.can_request))
    ((state, text),) = ingress_tls.judged(tls, {f"{OWNER} {HOST}": (ADDRESS,)}, UNKNOWN)
    assert state is RouteState.UNPROVEN
    assert "no openssl" in text


def _now() -> float:
    return float(subprocess.run(["date", "+%s"], capture_output=True, check=True).stdout)


@pytest.mark.parametrize(
    "lines",
    [
        ["now x"],
        ["secret lab/site ok"],
        ["served 10.0.0.1 shop.example", "-----BEGIN CERTIFICATE-----", "AAAA"],
    ],
)
def test_garbage(lines: list[str]) -> None:
    with pytest.raises(Unreadable, match="garbled"):
        ingress_tls.read(lines)
