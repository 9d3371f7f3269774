"""What facts/ingress_requests.sh requests, of real servers on this machine's loopback interface.

A controller on port 80 of one address, endpoints of two Services on others.
"""

import itertools
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from facts.parsers import api_objects, ingress_nodes, ingress_routes, route_answers
from facts.parsers.ingress_controllers import PROGRAMS
from facts.parsers.ingress_routes import Route
from facts.parsers.route_answers import Answers, RouteState
from hale.shell import load_script, variables
from tests.cluster.faults import tls_secret

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="port 80")

# Of this process alone: tests of this file run side by side, and a port has one server.
NETWORK = f"127.{1 + (os.getpid() >> 8) % 254}.{os.getpid() % 256}"
CONTROLLER, ECHO, OTHER, NONE = (f"{NETWORK}.{n}" for n in (20, 1, 2, 99))
PORT = 8381
UNKNOWN = "unknown.hale.invalid"
Answer = tuple[int, str]
SCRIPT = Path(ingress_routes.__file__).parents[1] / "ingress_requests.sh"
SLICES = "".join(
    f"""    {{
      "metadata": {{
        "name": "{name}-abc",
        "namespace": "lab",
        "labels": {{
          "kubernetes.io/service-name": "{name}"
        }},
      }},
      "endpoints": [
        {{
          "addresses": [
            "{NONE}"
          ],
          "conditions": {{
            "ready": false,
          }},
        }},
        {{
          "addresses": [
            "{address}"
          ],
          "conditions": {{
            "ready": true,
          }},
        }}
      ],
      "ports": [
        {{
          "name": "",
          "port": {PORT}
        }}
      ]
    }},
"""
    for name, address in (("echo", ECHO), ("other", OTHER))
)


@contextmanager
def server(
    address: str, port: int, answer: Callable[[str, str], Answer], pem: Path | None = None
) -> Iterator[None]:
    """A server whose answers are by host and path. pem: of one with TLS."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = answer(self.headers.get("Host", ""), self.path)
            self.send_response(status)
            if status == 302:
                scheme = text or "http"
                self.send_header("Location", f"{scheme}://{self.headers['Host']}/login")
            self.end_headers()
            with suppress(ConnectionError):
                while text == "endless":
                    self.wfile.write(b"x" * 65536)
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer((address, port), Handler) as made:
        made.daemon_threads = True
        if pem:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem)
            made.socket = context.wrap_socket(
                made.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield
        made.shutdown()


def routes(*paths: tuple[str, str]) -> tuple[Route, ...]:
    return tuple(Route("", "lab", "a.example", p, s, 80) for p, s in paths)


def states(
    wanted: tuple[Route, ...],
    controller: Callable[[str, str], Answer],
    echo: Callable[[str, str], Answer],
    other: Callable[[str, str], Answer] = lambda h, p: (200, "other"),
) -> list[RouteState]:
    """What is proven of these routes."""
    found = answers(wanted, controller, echo, other)
    each = []
    for route in wanted:
        others = sorted({r.backend for r in wanted} - {route.backend})
        state, _ = route_answers.judged(route, others, CONTROLLER, found)
        each.append(state)
    return each


def answers(
    wanted: tuple[Route, ...],
    controller: Callable[[str, str], Answer],
    echo: Callable[[str, str], Answer],
    other: Callable[[str, str], Answer] = lambda h, p: (200, "other"),
    nodes: str = "",
    shell: str = load_script(SCRIPT),
) -> Answers:
    """What the script gets."""
    text = "\n".join(f"lab {r.host} {r.path} {r.service}" for r in wanted)
    script = api_objects.shell(PROGRAMS) + variables(
        unknown_host=UNKNOWN, routes=text, vias=CONTROLLER, nodes=nodes, got=SLICES
    )
    with ExitStack() as stack:
        stack.enter_context(server(CONTROLLER, 80, controller))
        stack.enter_context(server(ECHO, PORT, echo))
        stack.enter_context(server(OTHER, PORT, other))
        done = subprocess.run(
            ["sh", "-c", script + shell],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
    found = route_answers.read(done.stdout.split("\n"), UNKNOWN)
    assert found.complete
    return found


def by_path(host: str, path: str) -> Answer:
    """A controller with both routes."""
    if host != "a.example":
        return 404, "no route"
    return (200, "other") if path.startswith("/other") else (200, "echo")


BOTH = routes(("/", "echo"), ("/other", "other"))


def test_right() -> None:
    assert states(BOTH, by_path, lambda h, p: (200, "echo")) == [RouteState.REACHED] * 2


def test_a_redirect_of_the_application() -> None:
    """It names the host that was requested, whichever address that was at."""
    redirects = by_path

    def controller(host: str, path: str) -> Answer:
        return (302, "") if host == "a.example" else redirects(host, path)

    assert states(BOTH[:1], controller, lambda h, p: (302, "")) == [RouteState.REACHED]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_redirect_to_https_is_noted(scheme: str) -> None:
    def controller(host: str, path: str) -> Answer:
        return (302, scheme) if host == "a.example" else (404, "no route")

    found = answers(BOTH[:1], controller, lambda h, p: (200, "echo"))
    assert found.secure == ({(CONTROLLER, "a.example", "/")} if scheme == "https" else set())


def test_swapped() -> None:
    def controller(host: str, path: str) -> Answer:
        return by_path(host, "/" if path.startswith("/other") else "/other")

    assert states(BOTH, controller, lambda h, p: (200, "echo")) == [RouteState.FAULT] * 2


def test_another_content() -> None:
    number = iter(range(1000))
    found = states(BOTH[:1], by_path, lambda h, p: (200, f"echo {next(number)}"))
    assert found == [RouteState.UNPROVEN]


def test_the_controllers_own_error() -> None:
    found = states(BOTH[:1], lambda h, p: (503, "no server"), lambda h, p: (200, "echo"))
    assert found == [RouteState.FAULT]


def test_an_answer_without_end() -> None:
    """It is cut, costs neither memory nor time, and proves nothing."""
    began = time.monotonic()
    found = states(BOTH[:1], lambda h, p: (200, "endless"), lambda h, p: (200, "endless"))
    assert found == [RouteState.UNPROVEN]
    assert time.monotonic() - began < 60


# --- the nodes' own ports ---

NEAR, FAR = f"{NETWORK}.31", f"{NETWORK}.32"
NODES = f"near={NEAR} 443\nnear={NEAR} 80\nfar={FAR} 443\nfar={FAR} 80"
Controller = Callable[[str, str], Answer]


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    path = tmp_path / "own.pem"
    path.write_bytes(b"".join(tls_secret.certificate("traefik.default")))
    return path


def told(
    pem: Path, http: Controller | None, https: Controller | None, wanted: tuple[Route, ...] = BOTH
) -> list[tuple[RouteState, str]]:
    """What is told of the nodes, of which the far one has these answers on ports 80 and 443."""
    with ExitStack() as stack:
        stack.enter_context(server(NEAR, 80, by_path))
        stack.enter_context(server(NEAR, 443, by_path, pem))
        if http:
            stack.enter_context(server(FAR, 80, http))
        if https:
            stack.enter_context(server(FAR, 443, https, pem))
        found = answers(wanted, by_path, lambda h, p: (200, "echo"), nodes=NODES)
    ports = {"near": (80, 443), "far": (80, 443)}
    return list(ingress_nodes.judged(ports, [CONTROLLER], wanted, found, 404))


def test_every_port_of_every_node(pem: Path) -> None:
    assert told(pem, by_path, by_path) == []
    found = answers_of_nodes(pem)
    assert {
        (at, host, path, scheme) for at, host, path, scheme in found.via if at in ("near", "far")
    } == {
        (node, host, path, scheme)
        for node in ("near", "far")
        for host, path in ((UNKNOWN, "/"), ("a.example", "/"), ("a.example", "/other"))
        for scheme in ("http", "https")
    }


def answers_of_nodes(pem: Path) -> Answers:
    """What two healthy nodes answer."""
    with ExitStack() as stack:
        for at in (NEAR, FAR):
            stack.enter_context(server(at, 80, by_path))
            stack.enter_context(server(at, 443, by_path, pem))
        return answers(BOTH, by_path, lambda h, p: (200, "echo"), nodes=NODES)


def swapped(host: str, path: str) -> Answer:
    return by_path(host, "/" if path.startswith("/other") else "/other")


def foreign(host: str, path: str) -> Answer:
    return 404, "another page"


@pytest.mark.parametrize(
    ("http", "https", "messages"),
    [
        (None, by_path, ["port 80 of far, which has a replica: nothing listens there"]),
        (by_path, None, ["port 443 of far, which has a replica: nothing listens there"]),
        (
            swapped,
            by_path,
            [
                "a.example/ over http at far: HTTP 200; at CONTROLLER it reaches lab/echo, and "
                "here lab/other",
                "a.example/other over http at far: HTTP 200; at CONTROLLER it reaches lab/other, "
                "and here lab/echo",
            ],
        ),
        (
            by_path,
            foreign,
            [
                "a.example/ over https at far: HTTP 404; at near it reaches lab/echo",
                "a.example/other over https at far: HTTP 404; at near it reaches lab/other",
            ],
        ),
        (
            by_path,
            lambda h, p: (401, "log in") if h == UNKNOWN else by_path(h, p),
            ["a host without any route gets HTTP 401 at port 443 of far, and not HTTP 404"],
        ),
    ],
    ids=["closed-80", "closed-443", "swapped", "another-program", "another-answer"],
)
def test_a_node_that_differs(
    pem: Path, http: Controller | None, https: Controller | None, messages: list[str]
) -> None:
    states = told(pem, http, https)
    assert [state for state, _ in states] == [RouteState.FAULT] * len(messages), states
    for (_, text), message in zip(states, messages, strict=True):
        assert text.startswith(message.replace("CONTROLLER", CONTROLLER))


def test_pods_that_differ_are_asked_when_the_time_for_nodes_is_over(pem: Path) -> None:
    """The far node is slow, and leads to another pod than the near one."""
    texts = itertools.cycle(["echo", "another pod's"])

    def far(host: str, path: str) -> Answer:
        status, text = by_path(host, path)
        if status == 200:
            time.sleep(2.2)
        return status, "another pod's" if text == "echo" else text

    shell = load_script(SCRIPT).replace("--max-time 3", "--max-time 30")
    assert shell.count("+ 6)) lines") == 1
    with ExitStack() as stack:
        stack.enter_context(server(NEAR, 80, by_path))
        stack.enter_context(server(FAR, 80, far))
        found = answers(
            BOTH[:1],
            by_path,
            lambda h, p: (200, next(texts)),
            nodes=f"near={NEAR} 80\nfar={FAR} 80",
            shell=shell.replace("+ 6)) lines", "+ 2)) lines"),
        )
    nodes = {"near": (80,), "far": (80,)}
    assert list(ingress_nodes.judged(nodes, [CONTROLLER], BOTH[:1], found, 404)) == []


def test_a_port_without_tls(pem: Path) -> None:
    """Another program listens on 443, and does not speak TLS."""
    with server(FAR, 443, by_path):
        ((state, text),) = told(pem, by_path, None, BOTH[:1])
    assert state is RouteState.FAULT
    assert text.startswith("port 443 of far, which has a replica: the TLS handshake failed")
