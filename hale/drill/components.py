"""`invoke drill ingress` and `dashboard`: which node is lost, and what the client requests.

The client asks as a site's clients would. The ingress: the route that Hale's own manifest has, at
the VIP if that answers it; else at the address of every node with a replica, as a DNS name with all
of them gives it. Each request then begins with the next address, and moves on where it cannot
connect. The dashboard: through the ingress, where an Ingress leads to its Service; else at the
Service's own address, which kube-proxy balances.

Before the confirmation, every replica must be ready, on two nodes at least, and every address must
answer: otherwise nothing can be learned from the loss of one.

Sources: kubernetes.io, "Ingress", "DaemonSet"; curl(1), --resolve.
"""

import ipaddress
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from hale.drill import actions
from hale.drill.actions import ActionFailed
from hale.drill.fault import Fault, PowerSwitch
from hale.drill.http_client import ClientTarget
from hale.drill.workload import ADMIN
from hale.inventory.ini import Inventory
from hale.model import components
from hale.model.address import url_host
from hale.model.components import CHECK_HOST, CHECK_PATH, AddedComponent
from hale.model.drill import FaultKind
from hale.model.errors import UserError
from hale.shell import arguments, script_with
from hale.ssh import SessionPool

_KNOWN = {FaultKind.INGRESS: components.INGRESS, FaultKind.DASHBOARD: components.DASHBOARD}
_REQUEST = Path(__file__).with_suffix(".sh")
_KUBECTL = f"kubectl --kubeconfig={ADMIN}"
# What can stand in a URL as it is, and leads to no other host, port or user.
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_PATH = re.compile(r"/[A-Za-z0-9/._~-]{0,1023}", re.ASCII)


class Replica(Struct, frozen=True):
    """A pod of the component. address: of its node."""

    node: str
    address: str
    ready: bool


class HttpRoute(Struct, frozen=True):
    """A host and a path that an Ingress has."""

    host: str
    path: str


def select_fault(
    kind: FaultKind,
    inventory: Inventory,
    sessions: SessionPool,
    wanted: str,
    power: PowerSwitch | None,
) -> Fault:
    """The loss of the wanted node with a replica, or else of the last one.

    Raises UserError where the cluster has no such component, or could lose all of it.
    """
    nodes = _nodes(kind, inventory, _replicas(kind, inventory, sessions))
    host = wanted or nodes[-1]
    if host not in nodes:
        raise UserError(
            f"--host: {host} has no replica of the {kind}: choose from {', '.join(nodes)}."
        )
    return Fault(kind, host, reboots=power is None)


def select_client(inventory: Inventory, kind: FaultKind, sessions: SessionPool, lost: str) -> str:
    """The host to send requests from: without a replica, if there is one, and not the watcher.

    Raises UserError.
    """
    nodes = _nodes(kind, inventory, _replicas(kind, inventory, sessions))
    watcher = next(h.name for h in inventory.masters if h.name != lost)
    names = [h.name for h in (*inventory.masters, *inventory.hosts) if h.name != lost]
    return min(names, key=lambda name: (name in nodes, name == watcher))


def find_target(
    kind: FaultKind, inventory: Inventory, sessions: SessionPool, client: str
) -> ClientTarget:
    """What the client requests. Raises UserError where an address does not answer with HTTP 200."""
    if kind is FaultKind.INGRESS:
        return _through_ingress(HttpRoute(CHECK_HOST, CHECK_PATH), inventory, sessions, client)
    name = components.DASHBOARD
    get = f"{_KUBECTL} -n {name.namespace} get"
    ingresses = _output(inventory, sessions, f"{get} ingresses -o json")
    if inventory.cluster.ingress == components.INGRESS.value and (route := find_route(ingresses)):
        return _through_ingress(route, inventory, sessions, client)
    service = f"{get} service {name.name} -o jsonpath={{.spec.clusterIP}}"
    at = url_host(_ip(_output(inventory, sessions, service).strip()))
    target = ClientTarget(f"http://{at}/", "at its Service's address: no route leads to it")
    _require_answer(client, _statuses(sessions, client, at, "/", [at]))
    return target


def find_route(text: str) -> HttpRoute | None:
    """The first host and path that leads to the dashboard, and can be requested as it stands.

    text: kubectl's list of the Ingresses in its namespace. Raises UserError if that is not JSON.
    """
    try:
        items: list[dict[str, Any]] = json.loads(text)["items"]
        return next(
            (
                HttpRoute(rule["host"], path.get("path", "/"))
                for item in items
                if item["spec"].get("ingressClassName") == components.INGRESS.name
                for rule in item["spec"].get("rules") or ()
                for path in (rule.get("http") or {}).get("paths") or ()
                if _HOST.fullmatch(rule.get("host", ""))
                and _PATH.fullmatch(path.get("path", "/"))
                and (path["backend"].get("service") or {}).get("name") == components.DASHBOARD.name
            ),
            None,
        )
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"kubectl's list of Ingresses has an unknown format: {error!r}.") from None


def parse_replicas(text: str) -> tuple[Replica, ...]:
    """Lines of `NODE ADDRESS READY`, with words missing of a pod that has no node."""
    found = []
    for line in text.splitlines():
        node, address, ready = [*line.split("\t"), "", "", ""][:3]
        found.append(Replica(node, address, ready == "True"))
    return tuple(found)


def resolutions(host: str, addresses: Sequence[str]) -> tuple[str, ...]:
    """Words for curl's --resolve, one for each of the addresses."""
    return tuple(f"{host}:80:{url_host(address)}" for address in addresses)


def _through_ingress(
    route: HttpRoute, inventory: Inventory, sessions: SessionPool, client: str
) -> ClientTarget:
    """The VIP if that answers the route; else each node with a replica of the ingress."""
    url = f"http://{route.host}{route.path}"
    vip = inventory.endpoint.vip
    if _statuses(sessions, client, route.host, route.path, [vip])[vip] == "200":
        return ClientTarget(url, f"through the VIP {vip}", resolutions(route.host, [vip]))
    replicas = _replicas(FaultKind.INGRESS, inventory, sessions)
    addresses = sorted({_ip(r.address) for r in replicas})
    _require_answer(client, _statuses(sessions, client, route.host, route.path, addresses))
    through = f"at {' and '.join(addresses)} in turn, moving on where it cannot connect"
    return ClientTarget(url, through, resolutions(route.host, addresses))


def _statuses(
    sessions: SessionPool, client: str, host: str, path: str, addresses: Sequence[str]
) -> dict[str, str]:
    """The HTTP status that each address gives; 000 for none. Raises UserError."""
    words = arguments(*map(url_host, addresses))
    try:
        output = actions.run_script(
            sessions, client, words + script_with(_REQUEST, host=host, path=path)
        )
    except ActionFailed as error:
        raise UserError(f"no fault was injected: {error}.") from None
    return parse_statuses(client, addresses, output)


def parse_statuses(client: str, addresses: Sequence[str], output: str) -> dict[str, str]:
    """A line for each address. Raises UserError."""
    found = output.split()
    if len(found) != len(addresses) or not all(re.fullmatch("[0-9]{3}", one) for one in found):
        raise UserError(f"no fault was injected: {client} did not answer with HTTP statuses.")
    return dict(zip(addresses, found, strict=True))


def _ip(text: str) -> str:
    """An address that kubectl has printed. Raises UserError."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise UserError(f"no fault was injected: {text[:80]!r} is not an address.") from None


def _require_answer(client: str, statuses: dict[str, str]) -> None:
    """Raises UserError unless all of them answered with HTTP 200."""
    if wrong := {at: status for at, status in statuses.items() if status != "200"}:
        listed = "; ".join(f"{at}: HTTP {status}" for at, status in wrong.items())
        raise UserError(
            f"no fault was injected, because {client} gets no answer to measure: {listed}. See "
            "`pytest --hosts=all -m chapter2`."
        )


def _replicas(kind: FaultKind, inventory: Inventory, sessions: SessionPool) -> tuple[Replica, ...]:
    """The component's pods. Raises UserError where the inventory asks for none."""
    added: AddedComponent = _KNOWN[kind]
    if getattr(inventory.cluster, added.variable) != added.value:
        raise UserError(
            f"{inventory.path} has no {added.variable}={added.value}: `invoke drill {kind}` knows "
            f"{added.title} as `invoke install` makes it, and no other {kind}."
        )
    columns = r'{.spec.nodeName}{"\t"}{.status.hostIP}{"\t"}'
    ready = r'{.status.conditions[?(@.type=="Ready")].status}{"\n"}'
    return parse_replicas(
        _output(
            inventory,
            sessions,
            f"{_KUBECTL} -n {added.namespace} get pods -l app.kubernetes.io/name={added.name} "
            f"-o jsonpath='{{range .items[*]}}{columns}{ready}{{end}}'",
        )
    )


def _nodes(kind: FaultKind, inventory: Inventory, replicas: Sequence[Replica]) -> list[str]:
    """The hosts with a replica, sorted. Raises UserError unless all are ready, on two at least."""
    if lacking := [r.node or "no node" for r in replicas if not r.ready]:
        raise UserError(
            f"no fault was injected: the {kind}'s replica on {lacking[0]} is not ready."
        )
    names = {h.address: h.name for h in inventory.hosts} | {h.name: h.name for h in inventory.hosts}
    found = sorted({names.get(r.node) or names.get(r.address, "") for r in replicas} - {""})
    if len(found) < 2:
        raise UserError(
            f"the {kind} has ready replicas on {' '.join(found) or 'no host'} of this inventory: "
            "the drill needs two, because with one the loss of its node stops it for certain."
        )
    return found


def _output(inventory: Inventory, sessions: SessionPool, command: str) -> str:
    """What kubectl prints on the first control-plane node. Raises UserError."""
    try:
        return actions.run_script(sessions, inventory.masters[0].name, command)
    except ActionFailed as error:
        raise UserError(f"no fault was injected: {error}.") from None
