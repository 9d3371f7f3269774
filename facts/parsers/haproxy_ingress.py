"""The frontends of the ingress in haproxy, on the masters. Not a subject: facts/load_balancer.py.

Each of the ingress's ports leads to the same port of every worker, and of no other host. A server
that is down is no fault here, because CMP-INGRESS requests the ingress itself; one that is out of
service by hand, or is not checked, is one.
"""

from collections.abc import Iterator, Mapping, Sequence

from facts.parsers import haproxy
from facts.parsers.haproxy import PortRoute, normal_address
from facts.parsers.haproxy_stats import UNCHECKED, Backend
from hale.inventory.cluster_spec import INGRESS_PORTS
from hale.inventory.ini import Host, Inventory
from hale.model.evidence import File, Unreadable

MAINTENANCE = "MAINT"  # the status of such a server in `show stat`


def now(
    files: Sequence[File], running: Mapping[str, Sequence[Backend]], inventory: Inventory
) -> Iterator[str]:
    """The faults of the running haproxy, and of its configuration. Raises Unreadable."""
    yield from at_boot(files, inventory)
    for port, route in _routes(files, inventory):
        servers = [b for name in route.backends for b in running.get(name, ())] if route else []
        for worker in _workers(inventory) if route else ():
            mine = [b for b in servers if b.port == port and _is(worker, b.address, b.host_name)]
            if not mine:
                yield f"the running haproxy has no {worker.name} behind the VIP's port {port}"
            elif mine[0].why.startswith(MAINTENANCE):
                yield f"{worker.name} is not in service on the VIP's port {port} ({mine[0].why})"
            elif mine[0].why.startswith(UNCHECKED):
                yield f"{worker.name} is not checked on the VIP's port {port}"


def at_boot(files: Sequence[File], inventory: Inventory) -> Iterator[str]:
    """The faults of the configuration. Raises Unreadable."""
    for port, route in _routes(files, inventory):
        if route is None:
            yield f"no line binds the VIP's port {port}, which ingress_on_vip asks for"
            continue
        yield from (
            f"{line} disables a section on the way from the VIP's port {port} to the workers"
            for line in route.disabled
        )
        others = list(route.servers)
        for worker in _workers(inventory):
            mine = [s for s in others if s.port in (port, 0) and _is(worker, s.address, s.address)]
            if not mine and (named := [s for s in others if s.by_name]):
                raise Unreadable(
                    f"{named[0].source}: {named[0].name} has a name for its address: look whether "
                    f"it is {worker.name}"
                )
            if not mine:
                yield (
                    f"{worker.name} ({worker.address or worker.name}:{port}) is not among the "
                    f"servers behind the VIP's port {port}"
                )
            for server in mine:
                others.remove(server)
                if server.disabled:
                    yield f"{server.source} starts {worker.name} disabled"
                elif server.check and server.check.kind == "none":
                    yield f"{worker.name} is not checked ({server.source})"
        yield from (
            f"{server.name} ({server.address}:{server.port}) is behind the VIP's port {port}, and "
            "is no worker"
            for server in others
        )


def _routes(files: Sequence[File], inventory: Inventory) -> Iterator[tuple[int, PortRoute | None]]:
    for port in INGRESS_PORTS if inventory.cluster.ingress_on_vip else ():
        yield port, haproxy.route_of_port(files, port)


def _workers(inventory: Inventory) -> tuple[Host, ...]:
    return tuple(h for h in inventory.hosts if "workers" in h.groups and not h.is_master)


def _is(worker: Host, address: str, host_name: str) -> bool:
    wanted = worker.address or worker.name
    return (normal_address(wanted) or wanted) in (address, host_name)
