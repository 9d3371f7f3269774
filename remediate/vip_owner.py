"""Who holds the VIP is for its manager to say; a person sees why that says otherwise.

Sources: keepalived.conf(5) (unicast_peer, virtual_router_id, nopreempt); RFC 5798.
"""

from facts.vip_owner import VipOwnerParameters, VipOwnerPersisted, VipOwnerRuntime
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def runtime(fact: VipOwnerRuntime, case: Case[VipOwnerParameters]) -> tuple[Remedy, ...]:
    """Which two to part, or where to look for why nobody takes it."""
    if len(fact.owners) > 1:
        return (
            ManualStep(
                f"{fact.actual}. Masters that do not hear each other each take it: see on both "
                "`journalctl -u keepalived -n 50`, that both name the other as unicast_peer with "
                "the same virtual_router_id, and that protocol 112 passes between them. Where "
                "keepalived says BACKUP and the address is there all the same, somebody set it by "
                f"hand: `ip address del {fact.vip}/32 dev <interface>` there."
            ),
        )
    return (
        ManualStep(
            f"{fact.actual}. On each master `systemctl status keepalived` and `journalctl -u "
            "keepalived -n 50`: where its health check fails, the apiserver behind the load "
            "balancer is what to look at (HA-LB-BACKENDS, HA-APISERVER-EACH). Where it was never "
            "installed, the cluster's installation does that."
        ),
    )


def persisted(fact: VipOwnerPersisted, case: Case[VipOwnerParameters]) -> tuple[Remedy, ...]:
    """Enable it, or have its configuration written."""
    if case.inventory.endpoint.kind == "kube-vip":
        how = (
            "Put what `kube-vip manifest pod` prints for the VIP there (docs/install.md, Load "
            "balancer and VIP)."
        )
    else:
        how = (
            f"`systemctl enable {case.parameters.unit}` there. What was never installed, or has "
            "lost its configuration, `invoke install --only load_balancer` puts there."
        )
    return (ManualStep(f"{fact.actual}. {how}"),)
