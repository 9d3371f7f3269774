"""haproxy's configuration is the installation's; a person reloads it, or asks why a master is down.

Sources: haproxy's Management Guide, 4 "Stopping and restarting", 9.3; haproxy(1) (-c).
"""

from facts.load_balancer import LoadBalancerParameters, LoadBalancerPersisted, LoadBalancerRuntime
from facts.parsers.haproxy import FILE
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def runtime(fact: LoadBalancerRuntime, case: Case[LoadBalancerParameters]) -> tuple[Remedy, ...]:
    """Reload, or look at the master that is down."""
    return (
        ManualStep(
            f"{fact.actual}. `haproxy -c -f {FILE}`, and if that is valid `systemctl reload "
            f"{fact.unit}`, on one master at a time, the VIP's holder last. A master that is down "
            "for it: see HA-APISERVER-EACH there. Where there is no load balancer yet, the "
            "cluster's installation makes it."
        ),
    )


def persisted(
    fact: LoadBalancerPersisted, case: Case[LoadBalancerParameters]
) -> tuple[Remedy, ...]:
    """Enable the unit, and name every master in the file."""
    endpoint, port = case.inventory.endpoint, case.parameters.apiserver_port
    return (
        ManualStep(
            f"{fact.actual}. `systemctl enable {fact.unit}`; in {FILE} the backend behind port "
            f"{endpoint.port} has a line `server <master> <address>:{port} check` for every "
            "master, and no other. Then `haproxy -c`, and reload. Where there is no load "
            "balancer yet, the cluster's installation makes it."
        ),
    )
