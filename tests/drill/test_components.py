"""The drills of ingress and dashboard: which node is lost, where the client asks; refusals."""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from msgspec.structs import replace

from hale.drill import components, http_client
from hale.drill.components import HttpRoute, Replica
from hale.drill.http_client import ClientTarget
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model.drill import FaultKind
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.ssh import SessionPool

WORKERS = ("k8s-node-01", "k8s-node-02")
PODS = "k8s-node-01\t10.0.0.1\tTrue\nk8s-node-02\t10.0.0.2\tTrue\n"
NOBODY = SessionPool({})


@pytest.fixture(scope="module")
def known() -> Inventory:
    found = ini.load_inventory(ROOT / "inventory.ini")
    return replace(found, cluster=replace(found.cluster, ingress="traefik", dashboard="headlamp"))


class Hosts:
    """Answers a drill's commands as hosts would: by a part of the command."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        self.answers = answers
        self.commands: list[tuple[str, str]] = []

    def __call__(self, _: SessionPool, host: str, script: str, timeout: float = 0) -> str:
        self.commands.append((host, script))
        return next(answer for part, answer in self.answers.items() if part in script)


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Hosts]:
    """What the cluster's hosts print."""

    def made(**answers: str) -> Hosts:
        rows = {
            "get pods": answers.get("pods", PODS),
            "get ingresses": answers.get("ingresses", '{"items": []}'),
            "get service": "10.96.7.7",
            "10.208.1.190": answers.get("vip", "000\n"),
            "http://$host": answers.get("statuses", "200\n200\n"),
        }
        found = Hosts(rows)
        monkeypatch.setattr("hale.drill.actions.run_script", found)
        return found

    return made


@pytest.mark.parametrize("kind", [FaultKind.INGRESS, FaultKind.DASHBOARD])
def test_the_last_node_with_a_replica_is_lost(
    known: Inventory, hosts: Callable[..., Hosts], kind: FaultKind
) -> None:
    found = hosts()
    assert components.select_fault(kind, known, NOBODY, "", None).host == "k8s-node-02"
    # kubectl's jsonpath takes escapes in quoted text, and no control characters (JSONPath Support).
    assert all(r'{"\t"}' in c and c.isprintable() for _, c in found.commands), found.commands
    wanted = components.select_fault(kind, known, NOBODY, "k8s-node-01", None)
    assert (wanted.host, wanted.reboots, wanted.method) == (
        "k8s-node-01",
        True,
        "systemctl reboot",
    )


@pytest.mark.parametrize(
    ("pods", "wanted", "why"),
    [
        (PODS.replace("02\t10.0.0.2\tTrue", "02\t10.0.0.2\tFalse"), "", "k8s-node-02 is not re"),
        ("k8s-node-01\t10.0.0.1\tTrue\n" * 2, "", "on k8s-node-01 of this inventory: the drill"),
        ("", "", "on no host of this inventory"),
        (f"{PODS}\t\tFalse\n", "", "replica on no node is not ready"),
        (PODS, "k8s-master-01", "k8s-master-01 has no replica of the ingress"),
    ],
    ids=["not-ready", "one-node", "none", "pending", "other-host"],
)
def test_what_could_lose_all_of_it_is_refused(
    known: Inventory, hosts: Callable[..., Hosts], pods: str, wanted: str, why: str
) -> None:
    hosts(pods=pods)
    with pytest.raises(UserError, match=why):
        components.select_fault(FaultKind.INGRESS, known, NOBODY, wanted, None)


def test_a_cluster_that_asks_for_none_is_refused(hosts: Callable[..., Hosts]) -> None:
    hosts()
    bare = ini.load_inventory(ROOT / "inventory.ini")
    for kind, line in ((FaultKind.INGRESS, "ingress=traefik"), (FaultKind.DASHBOARD, "headlamp")):
        with pytest.raises(UserError, match=f"has no .*{line}"):
            components.select_fault(kind, bare, NOBODY, "", None)


def test_the_client_is_on_no_node_with_a_replica(
    known: Inventory, hosts: Callable[..., Hosts]
) -> None:
    hosts()
    client = components.select_client(known, FaultKind.INGRESS, NOBODY, "k8s-node-02")
    assert client == "k8s-master-02", "the first one watches"


def test_a_vip_that_routes_is_asked_alone(known: Inventory, hosts: Callable[..., Hosts]) -> None:
    hosts(vip="200\n")
    target = components.find_target(FaultKind.INGRESS, known, NOBODY, "k8s-master-02")
    assert target.resolved == ("hale-check.ingress.internal:80:10.208.1.190",)
    assert target.through == "through the VIP 10.208.1.190"


def test_without_it_each_worker_is_asked_first_in_turn(
    known: Inventory, hosts: Callable[..., Hosts]
) -> None:
    found = hosts()
    target = components.find_target(FaultKind.INGRESS, known, NOBODY, "k8s-master-02")
    host = "hale-check.ingress.internal"
    assert target.url == f"http://{host}/ping"
    assert target.resolved == (f"{host}:80:10.0.0.1", f"{host}:80:10.0.0.2")
    assert "10.0.0.1 and 10.0.0.2 in turn" in str(target)
    assert {h for h, script in found.commands if "curl" in script} == {"k8s-master-02"}


def test_a_worker_that_does_not_answer_is_refused(
    known: Inventory, hosts: Callable[..., Hosts]
) -> None:
    hosts(statuses="200\n503\n")
    with pytest.raises(UserError, match=r"k8s-master-02 gets no answer .*: 10\.0\.0\.2: HTTP 503"):
        components.find_target(FaultKind.INGRESS, known, NOBODY, "k8s-master-02")


BACKEND = {"service": {"name": "headlamp", "port": {"number": 80}}}
ROUTE = {
    "spec": {
        "ingressClassName": "traefik",
        "rules": [{"host": "board.example", "http": {"paths": [{"backend": BACKEND}]}}],
    }
}


def test_a_dashboard_is_asked_through_its_route(
    known: Inventory, hosts: Callable[..., Hosts]
) -> None:
    hosts(ingresses=json.dumps({"items": [ROUTE]}))
    target = components.find_target(FaultKind.DASHBOARD, known, NOBODY, "k8s-master-02")
    assert target.url == "http://board.example/"
    assert len(target.resolved) == 2


def test_a_dashboard_without_a_route_is_asked_at_its_service(
    known: Inventory, hosts: Callable[..., Hosts]
) -> None:
    hosts(statuses="200\n")
    target = components.find_target(FaultKind.DASHBOARD, known, NOBODY, "k8s-master-02")
    assert (target.url, target.resolved) == ("http://10.96.7.7/", ())
    assert "at its Service's address" in str(target)


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({**ROUTE["spec"]}, HttpRoute("board.example", "/")),
        ({**ROUTE["spec"], "ingressClassName": "other"}, None),
        ({**ROUTE["spec"], "rules": [{"host": "*.example", "http": {}}]}, None),
        ({"ingressClassName": "traefik", "defaultBackend": BACKEND}, None),
    ],
)
def test_which_ingress_leads_to_the_dashboard(
    spec: dict[str, object], found: HttpRoute | None
) -> None:
    assert components.find_route(json.dumps({"items": [{"spec": spec}]})) == found


@pytest.mark.parametrize("text", ["", "[]", '{"items": 3}', '{"items": [{}]}', "[" * 100_000])
def test_a_list_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="unknown format"):
        components.find_route(text)


def test_replicas_are_read_by_line() -> None:
    assert components.parse_replicas("a\t1.2.3.4\tTrue\n\t\t\nb\tx\n") == (
        Replica("a", "1.2.3.4", True),
        Replica("", "", False),
        Replica("b", "x", False),
    )


# --- the client's loop, against servers of this machine ---

NETWORK = f"127.{1 + (os.getpid() >> 8) % 254}.{os.getpid() % 256}"
FIRST, SECOND, NOTHING = (f"{NETWORK}.{n}" for n in (1, 2, 3))


class Counting(BaseHTTPRequestHandler):
    """Answers every request."""

    def do_GET(self) -> None:
        self.server.hosts.append(self.headers["Host"])  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def servers() -> Iterator[list[ThreadingHTTPServer]]:
    """Two servers of one port."""
    with ExitStack() as stack:
        found: list[ThreadingHTTPServer] = []
        port = 0
        for address in (FIRST, SECOND):
            server = stack.enter_context(ThreadingHTTPServer((address, port), Counting))
            port = server.server_address[1]
            server.hosts = []  # type: ignore[attr-defined]
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            found.append(server)
        yield found


def _requests(
    servers: list[ThreadingHTTPServer],
    folder: Path,
    enough: Callable[[http_client.RequestLog], bool],
) -> tuple[http_client.RequestLog, list[list[str]]]:
    """The client's log at three addresses, and the Host headers that each server got."""
    port = servers[0].server_address[1]
    resolved = tuple(
        word.replace(":80:", f":{port}:")
        for word in components.resolutions("shop.example", [FIRST, SECOND, NOTHING])
    )
    target = ClientTarget(f"http://shop.example:{port}/", "at all three", resolved)
    ca = folder / "ca.crt"
    ca.write_text("")
    script = http_client.client_script(target).replace(http_client.CA_FILE, str(ca))
    out = folder / "client.txt"
    with out.open("wb") as stdout:
        child = subprocess.Popen(["/bin/sh", "-c", script], stdout=stdout, start_new_session=True)
    counted = [server.hosts for server in servers]  # type: ignore[attr-defined]
    try:
        _until(lambda: enough(http_client.parse_log(out.read_bytes())))
    finally:
        os.killpg(child.pid, 9)
        child.wait()
    assert {*counted[0], *counted[1]} == {f"shop.example:{port}"}
    log = http_client.parse_log(out.read_bytes())
    assert log.malformed == 0
    return log, counted


def test_each_request_begins_with_the_next_address_and_moves_on(
    servers: list[ThreadingHTTPServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of three addresses have a server: no request fails, and each server has its share.

    On a busy machine the start of curl alone may take the two seconds of a request.
    """
    monkeypatch.setattr(http_client, "REQUEST_TIMEOUT", 120)
    monkeypatch.setattr(http_client, "CONNECT_TIMEOUT", 30)
    log, counted = _requests(servers, tmp_path, lambda log: len(log.requests) > 30)
    # Of three requests in turn, the first server has its own and the one that found no server.
    assert len(counted[0]) > 1.5 * len(counted[1]) > 0
    assert http_client.failure_counts(log.requests) == {}


def test_a_request_moves_on_from_an_address_that_does_not_answer(
    servers: list[ThreadingHTTPServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of a node without power: nothing refuses the connection. Here a listener's queue is
    full, so that Linux drops what wants to connect."""
    monkeypatch.setattr(http_client, "REQUEST_TIMEOUT", 120)
    with ExitStack() as stack:
        silent = stack.enter_context(socket.socket())
        silent.bind((NOTHING, servers[0].server_address[1]))
        silent.listen(0)
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(silent.getsockname())
        log, _ = _requests(servers, tmp_path, lambda log: len(_slow(log)) >= 5)
    assert http_client.failure_counts(log.requests) == {}
    # curl itself would move on after a minute.
    assert max(_slow(log)) < 30 * http_client.CONNECT_TIMEOUT


def _slow(log: http_client.RequestLog) -> list[float]:
    """The seconds of those requests that began at an address without an answer."""
    return [r.seconds for r in log.requests if r.seconds >= http_client.CONNECT_TIMEOUT]


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
