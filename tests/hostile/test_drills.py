"""What a cluster and its hosts answer to a drill: an Ingress of a user's, addresses, HTTP statuses.

Who may make Ingresses in a namespace is no administrator, and a master may lie: the host that sends
the requests asks what the drill names, and that alone.
"""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hale.drill import components, http_client, sampler
from hale.model.components import DASHBOARD, INGRESS
from hale.model.drill import FaultKind
from hale.model.errors import UserError
from hale.polling import wait_until
from hale.shell import arguments, script_with
from hale.ssh import SessionPool
from tests.hostile.forgery import KNOWN

GLOB = "/[1-9]/{a,b}"
DRILL = Path(components.__file__).parent


class Served(ThreadingHTTPServer):
    """Keeps the paths that were requested."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, _Handler)
        self.paths: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Served

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def serve(address: str, port: int) -> Iterator[Served]:
    with Served((address, port)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def at_port_80() -> Iterator[Served]:
    """On an address of this process's own."""
    number = os.getpid() % 65536
    yield from serve(f"127.88.{number // 256}.{number % 256}", 80)


@pytest.fixture
def server() -> Iterator[Served]:
    yield from serve("127.0.0.1", 0)


def ingresses(host: object, path: object) -> str:
    backend = {"service": {"name": DASHBOARD.name}}
    rule = {"host": host, "http": {"paths": [{"path": path, "backend": backend}]}}
    return json.dumps({"items": [{"spec": {"ingressClassName": INGRESS.name, "rules": [rule]}}]})


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("h.example", GLOB),
        ("h.example", "@192.0.2.1/"),
        ("h.example", "/a b"),
        ("h.example", "/$(touch x)"),
        ("h.example", "/" + "a" * 5000),
        ("h.example", "/\n/"),
        ("h.example:8080", "/"),
        ("h.example:80:192.0.2.1", "/"),
        ("h.example 192.0.2.1", "/"),
        ("user@h.example", "/"),
        ("{a,b}.example", "/"),
        ("*.example", "/"),
        ("-o", "/"),
        ("\u212a.example", "/"),
        ("", "/"),
    ],
)
def test_a_route_that_does_not_stand_for_itself_is_none(host: str, path: str) -> None:
    assert components.find_route(ingresses(host, path)) is None
    assert components.find_route(ingresses("h.example", "/x"))


@pytest.mark.parametrize(("host", "path"), [(1, "/"), (["a"], "/"), ("h.example", 1)])
def test_a_route_of_another_type_is_named_as_such(host: object, path: object) -> None:
    with pytest.raises(UserError, match="list of Ingresses has an unknown format"):
        components.find_route(ingresses(host, path))


@pytest.mark.parametrize(
    "output",
    ["", "200", "200 200 200", "200 \x1b[2J", "200 2000", "200 \u0662\u0660\u0660", "200 -00"],
)
def test_statuses_that_are_none(output: str) -> None:
    with pytest.raises(UserError, match="m1 did not answer with HTTP statuses"):
        components.parse_statuses("m1", ["192.0.2.1", "192.0.2.2"], output)


@pytest.mark.skipif(os.geteuid() != 0, reason="the script requests port 80")
def test_a_pattern_of_curls_is_one_request(at_port_80: Served) -> None:
    at = str(at_port_80.server_address[0])
    given = script_with(DRILL / "components.sh", host=at, path=GLOB)
    script = arguments(at) + given
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "200\n"
    assert at_port_80.paths == [GLOB]


def test_a_pattern_of_curls_is_one_request_of_the_client(server: Served, tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("")
    port = server.server_address[1]
    target = http_client.ClientTarget(f"http://127.0.0.1:{port}{GLOB}", "")
    script = script_with(
        DRILL / "http_client.sh",
        url=target.url,
        resolved="",
        ca=str(tmp_path / "ca"),
        certificate="",
        timeout="2",
        connect="1",
        period="10",
    )
    running = subprocess.Popen(
        ["sh", "-c", sampler.BEGIN + script],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:  # one request to see who is let in, and those of the drill
        assert not wait_until(lambda: len(server.paths) < 3, 300, 0.05)
    finally:
        os.killpg(running.pid, 9)
        running.wait()
    assert set(server.paths) == {GLOB}


@pytest.mark.parametrize(
    "text", ["", "None", "10.0.0.1/@192.0.2.1", "10.0.0.1 10.0.0.2", "h.example", "\x1b[2J"]
)
def test_an_address_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the dashboard's Service, as a master has it."""
    outputs = iter([json.dumps({"items": []}), text])
    monkeypatch.setattr(components, "_output", lambda *_: next(outputs))
    with pytest.raises(UserError, match="is not an address"):
        components.find_target(FaultKind.DASHBOARD, KNOWN, SessionPool({}), "m1")
